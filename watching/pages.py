"""Which news somebody has by e-mail."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminRadioSelectWidget

from organizations.current import current_user
from organizations.models import User
from organizations.permissions import require_role
from watching import mails, wording
from watching.models import OnHomePageOnly

MAIL, HOME = "mail", "home"
WAYS = [(MAIL, gettext_lazy("By e-mail, and on the home page")), (HOME, gettext_lazy("On the home page only"))]


class NoticesForm(forms.Form):
    """A choice for each kind of news that this person has."""

    def __init__(self, user: User, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.user = user
        quiet = set(OnHomePageOnly.objects.filter(user=user).values_list("kind", flat=True))
        for kind in wording.kinds_of(user):
            self.fields[kind.value] = forms.ChoiceField(
                label=kind.label,
                choices=WAYS,
                initial=HOME if kind in quiet else MAIL,
                widget=UnfoldAdminRadioSelectWidget,
                required=False,  # what is left out stays as it was
            )

    def save(self) -> None:
        """Each choice by itself, so that one of two windows does not undo what the other has saved."""
        for kind, way in self.cleaned_data.items():
            if way == MAIL:
                OnHomePageOnly.objects.filter(user=self.user, kind=kind).delete()
            elif way == HOME:
                OnHomePageOnly.objects.get_or_create(user=self.user, kind=kind)


def choose(request: HttpRequest) -> HttpResponse:
    """What administrators and operators have by mail."""
    user = current_user(request)
    if not user.is_operator:
        require_role(user, User.Role.ADMINISTRATOR)
    form = NoticesForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Your settings are saved."))
        return HttpResponseRedirect(reverse("admin:notices"))
    context = {
        "title": _("E-mail notices"),
        "form": form,
        "sends_mail": mails.is_possible(),
        "sender": settings.DEFAULT_FROM_EMAIL,
    }
    return TemplateResponse(request, "admin/watching/notices.html", {**admin.site.each_context(request), **context})

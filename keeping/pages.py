"""The pages about keeping and forgetting. Rights and scope come from `admin`."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminTextInputWidget

from contacts import numbers
from intake import examples
from keeping import forgetting
from keeping.models import PERIODS, Retention
from organizations import audit
from organizations.current import current_user
from organizations.meanwhile import Meanwhile
from organizations.models import Organization

AT_ONCE = 5.0  # seconds a request goes on with the search; a worker does the rest


class NumberForm(forms.Form):
    """Whose number it is; the second time with `sure`."""

    use_required_attribute = False

    phone = forms.CharField(
        label=gettext_lazy("Phone number"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )

    def __init__(self, organization: Organization, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization
        example = examples.number(organization.default_region)
        self.fields["phone"].help_text = _("With the country code, for example %(example)s.") % {"example": example}

    def clean_phone(self) -> str:
        """E.164, and nothing that the organisation itself sends from."""
        try:
            phone = numbers.read(self.cleaned_data["phone"], self.organization.default_region).e164
            forgetting.require_possible(self.organization, phone)
        except (numbers.InvalidNumber, forgetting.NotPossible) as error:
            raise forms.ValidationError(str(error)) from error
        return phone


def _bounds(name: str) -> str:
    _default, shortest, longest = PERIODS[name]
    return _("days, %(shortest)s to %(longest)s") % {"shortest": shortest, "longest": longest}


class PeriodsForm(Meanwhile):
    """How long what is kept."""

    use_required_attribute = False

    class Meta:
        model = Retention
        fields = ("texts", "replies", "answers", "history", "callbacks", "imports", "audit", "sessions")
        widgets: ClassVar = {
            name: UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}) for name in fields
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.help_text = _bounds(name)


@require_http_methods(["GET", "HEAD", "POST"])
def periods(request: HttpRequest) -> HttpResponse:
    """How long the organisation keeps what."""
    organization = current_user(request).organization
    assert organization is not None  # only its administrators get here
    row = Retention.objects.filter(pk=organization.pk).first() or Retention(
        organization=organization, callbacks=min(settings.CALLBACK_RETENTION_DAYS, 90)
    )
    form = PeriodsForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        changes = audit.changes(form)
        form.save()
        if changes:
            audit.record(audit.CHANGED, organization=organization, request=request, target=row, changes=changes)
        messages.success(request, _("The periods are saved. They are applied once a day."))
        return redirect("admin:keeping_periods")
    context = {**admin.site.each_context(request), "title": _("Retention periods"), "form": form}
    return TemplateResponse(request, "admin/keeping/periods.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def forget(request: HttpRequest) -> HttpResponse:
    """Ask for a number, show what would go, and let it go."""
    user = current_user(request)
    organization = user.organization
    assert organization is not None  # only its administrators get here
    form = NumberForm(organization, request.POST or None)
    found: dict[str, int] | None = None
    if request.method == "POST" and form.is_valid():
        phone = form.cleaned_data["phone"]
        if "sure" in request.POST:
            row = forgetting.begin(organization, phone, user)
            if forgetting.go_on(row, until=time.monotonic() + AT_ONCE):
                messages.success(request, _("It is done. Nothing here names this person any more."))
            else:
                said = _(
                    "Nothing more is sent to this person, and what was found by the number is gone. All other texts "
                    "are still being searched for it; this list shows when that is done."
                )
                messages.success(request, said)
            return redirect("admin:keeping_forgetting_changelist")
        found = forgetting.what_goes(organization, phone)
    context = {
        **admin.site.each_context(request),
        "title": _("Forget a person"),
        "form": form,
        "phone": form.cleaned_data.get("phone", "") if form.is_bound else "",
        "found": found,
        "total": sum(found.values()) if found else 0,
    }
    status = 422 if form.is_bound and form.errors else 200
    return TemplateResponse(request, "admin/keeping/forget.html", context, status=status)

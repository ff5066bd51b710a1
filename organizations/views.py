"""What somebody meets who has not logged in: the choice of a language, and where an invitation leads."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import check_for_language, gettext_noop
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from organizations import audit, invitations, languages, throttle, tokens
from organizations.forms import ChosenPasswordForm
from organizations.models import User

TOKEN_ENDED = tokens.ENDED
PASSWORD_SET = gettext_noop("set a password")


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Remember the language: for somebody who is logged in as their own choice, and for the log-in page in a cookie."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("admin:index")
    response = HttpResponseRedirect(target)
    language = request.POST.get("language", "")
    if languages.is_spoken(language) and check_for_language(language):
        if isinstance(request.user, User):
            request.user.language = language
            request.user.save(update_fields=["language"])
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=365 * 24 * 3600,
            secure=settings.SESSION_COOKIE_SECURE,
            samesite="Lax",
            httponly=True,
        )
    return response


class SetPasswordView(PasswordResetConfirmView):
    """Where an invitation leads: the person chooses a password, and the link is used up."""

    template_name = "admin/organizations/set_password.html"
    form_class = ChosenPasswordForm
    token_generator = invitations.password_links
    success_url = reverse_lazy("admin:index")
    post_reset_login = True  # the link has proved who it is as well as the password would
    post_reset_login_backend = settings.AUTHENTICATION_BACKENDS[0]

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if isinstance(user, User) and user.is_active else None

    def form_valid(self, form: SetPasswordForm) -> HttpResponse:
        user = form.user
        assert isinstance(user, User)
        audit.record(PASSWORD_SET, organization=user.organization, actor=user, request=self.request, target=user)
        end_token_if_asked(self.request, form, user)
        response = super().form_valid(form)
        messages.success(self.request, _("Your password is set, and you are logged in."))
        user.refresh_from_db()
        throttle.remember_device(response, user)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**admin.site.each_context(self.request), **super().get_context_data(**kwargs)}


def end_token_if_asked(request: HttpRequest, form: SetPasswordForm, user: User) -> None:
    """Ends the person's API token where the form for a password says so, and writes that down."""
    if form.cleaned_data.get("end_token") and tokens.end(user):
        audit.record(TOKEN_ENDED, organization=user.organization, actor=user, request=request, target=user)

"""Pages about the person who is looking, not about rows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import check_for_language, gettext_noop
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from organizations import audit, commitments, invitations, permissions, throttle, tokens
from organizations.admin_base import current_user
from organizations.forms import ChosenPasswordForm, OrganizationSettingsForm, OwnPasswordForm, ProfileForm
from organizations.models import User

TOKEN_MADE = gettext_noop("made an API token")
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
    if language in dict(settings.LANGUAGES) and check_for_language(language):
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


def profile(request: HttpRequest) -> HttpResponse:
    """One's own name, language and mobile number, what one may do, and one's API token."""
    user = current_user(request)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        changes = audit.changes(form)
        form.save()
        if changes:
            audit.record(audit.CHANGED, organization=user.organization, request=request, target=user, changes=changes)
        messages.success(request, _("Your profile is saved."))
        return HttpResponseRedirect(reverse("admin:profile"))
    context = {
        "title": _("My profile"),
        "form": form,
        "decision": None if user.is_operator else user.sms_permission(),
        "sight": None if user.is_operator else user.recipients_permission(),
        "token": user.api_tokens.filter(revoked_at=None).first(),
    }
    return _page(request, "admin/organizations/profile.html", context)


def organization_settings(request: HttpRequest) -> HttpResponse:
    """The administrator's own organisation: its IDs (R96), how it works, and what it is licensed for (R13)."""
    user = current_user(request)
    permissions.require_role(user, User.Role.ADMINISTRATOR)
    organization = user.organization
    assert organization is not None
    form = OrganizationSettingsForm(request.POST or None, instance=organization)
    if request.method == "POST":
        if form.is_valid():
            changes = audit.changes(form)
            form.save()
            if changes:
                audit.record(
                    audit.CHANGED, organization=organization, request=request, target=organization, changes=changes
                )
            messages.success(request, _("The organisation is saved."))
            commitments.tell(request, organization.pk)  # a new stop word may be an answer to a planned survey
            return HttpResponseRedirect(reverse("admin:organization_settings"))
        organization.refresh_from_db()  # the head of the page names what is stored, not what was refused
    context = {
        "title": _("Organisation"),
        "form": form,
        "organization": organization,
        "datacenter_id": settings.DATACENTER_ID,
        "licence": getattr(organization, "licence", None),
        "token": user.api_tokens.filter(revoked_at=None).first(),
    }
    return _page(request, "admin/organizations/organization.html", context)


@require_POST
def renew_token(request: HttpRequest) -> HttpResponse:
    """Make a new API token for oneself, show it this once, and end the old one."""
    user = current_user(request)
    if user.is_operator:
        raise permissions.MissingRight(_("Platform operators have no API token: the API is about an organisation."))
    token = tokens.regenerate(user)
    audit.record(TOKEN_MADE, organization=user.organization, request=request, target=user)
    return _page(request, "admin/organizations/token.html", {"title": _("API token"), "new_token": token})


@require_POST
def end_token(request: HttpRequest) -> HttpResponse:
    """End one's own API token."""
    user = current_user(request)
    if tokens.end(user):
        audit.record(TOKEN_ENDED, organization=user.organization, request=request, target=user)
        messages.success(request, _("The API token has ended."))
    return HttpResponseRedirect(reverse("admin:profile"))


def end_token_if_asked(request: HttpRequest, form: SetPasswordForm, user: User) -> None:
    """Ends the person's API token where the form for a password says so, and writes that down."""
    if form.cleaned_data.get("end_token") and tokens.end(user):
        audit.record(TOKEN_ENDED, organization=user.organization, actor=user, request=request, target=user)


class SetPasswordView(PasswordResetConfirmView):
    """Where an invitation leads: the person chooses a password, and the link is used up."""

    template_name = "admin/organizations/set_password.html"
    form_class = ChosenPasswordForm
    token_generator = invitations.password_links
    success_url = reverse_lazy("admin:login")

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if isinstance(user, User) and user.is_active else None

    def form_valid(self, form: SetPasswordForm) -> HttpResponse:
        user = form.user
        assert isinstance(user, User)
        audit.record(PASSWORD_SET, organization=user.organization, actor=user, request=self.request, target=user)
        end_token_if_asked(self.request, form, user)
        messages.success(self.request, _("Your password is set. Please log in."))
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**admin.site.each_context(self.request), **super().get_context_data(**kwargs)}


class ChangePasswordView(PasswordChangeView):
    """One's own password; other sessions of the user end."""

    template_name = "admin/organizations/change_password.html"
    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:profile")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        user = current_user(self.request)
        audit.record(PASSWORD_SET, organization=user.organization, request=self.request, target=user)
        end_token_if_asked(self.request, form, user)
        messages.success(self.request, _("Your password is changed."))
        response = super().form_valid(form)
        throttle.remember_device(response, user)  # the former cookie has ended with the former password
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        site = admin.site.each_context(self.request)
        return {**site, **super().get_context_data(**kwargs), "title": _("Change password")}


def _page(request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
    """A page of the admin site."""
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})

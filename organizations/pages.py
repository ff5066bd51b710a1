"""Pages about the person who is looking, not about rows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_http_methods, require_POST

from organizations import audit, commitments, permissions, sealing, throttle, tokens
from organizations.current import current_user
from organizations.forms import OrganizationSettingsForm, OwnPasswordForm, ProfileForm
from organizations.models import User
from organizations.views import PASSWORD_SET, TOKEN_ENDED, end_token_if_asked

TOKEN_MADE = gettext_noop("made an API token")


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
        "is_told": user.role != User.Role.MEMBER,  # who is told what, and how: watching/pages.py
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


SHOWN = "new_api_token"  # in the session, sealed


@require_http_methods(["GET", "HEAD", "POST"])
def renew_token(request: HttpRequest) -> HttpResponse:
    """Make a new API token for oneself and end the old one. Its page can be loaded anew for some minutes."""
    user = current_user(request)
    if user.is_operator:
        raise permissions.MissingRight(_("Platform operators have no API token: the API serves an organisation."))
    if request.method == "POST":
        sealing.keep(request.session, SHOWN, user, tokens.regenerate(user))
        audit.record(TOKEN_MADE, organization=user.organization, request=request, target=user)
        return HttpResponseRedirect(reverse("admin:renew_token"))
    token = sealing.see(request.session, SHOWN, user)
    if token is None or tokens.find(token) is None:  # ended meanwhile
        return HttpResponseRedirect(reverse("admin:profile"))
    context = {"title": _("API token"), "new_token": token, "minutes": sealing.LIFE // 60}
    return _page(request, "admin/organizations/token.html", context)


@require_POST
def end_token(request: HttpRequest) -> HttpResponse:
    """End one's own API token."""
    user = current_user(request)
    request.session.pop(SHOWN, None)
    if tokens.end(user):
        audit.record(TOKEN_ENDED, organization=user.organization, request=request, target=user)
        messages.success(request, _("The API token has been revoked."))
    return HttpResponseRedirect(reverse("admin:profile"))


@require_POST
def show_guide(request: HttpRequest) -> HttpResponse:
    """Whether the reader wants to see the guide on the home page."""
    user = current_user(request)
    user.guide_dismissed_at = None if request.POST.get("show") == "1" else timezone.now()
    user.save(update_fields=["guide_dismissed_at"])
    return HttpResponseRedirect(reverse("admin:index"))


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

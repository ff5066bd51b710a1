"""The form of a new account, filled in with what is no secret where it replaces another."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from extensions import services, traffic
from extensions.contract import Capabilities, Provider, SenderKind
from extensions.forms import KINDS, AccountForm
from extensions.pages.frame import account_of, for_administrators, organization_of, page, set_up
from organizations.admin_base import current_user


@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
@for_administrators
def add_account(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    """The provider's own form; with ?replaces=… it takes over name and sender of that account, never a secret."""
    organization = organization_of(request)
    services.require_extension(organization, provider)
    wanted = request.GET.get("replaces")
    replaces = account_of(request, wanted) if wanted else None
    if replaces is not None and replaces.provider != provider.key:
        raise Http404
    if request.method == "POST":
        form = AccountForm(provider, request.POST)
        if form.is_valid():
            account = services.add_account(
                organization,
                current_user(request),
                provider,
                name=form.name,
                sender=form.sender,
                sender_kind=form.sender_kind,
                values=form.values,
                replaces=replaces,
                end_former=form.end_former,
                request=request,
            )
            messages.success(request, _("“%(name)s” has been added.") % {"name": account.name})
            services.verify(account, current_user(request), request=request)  # it is saved, whatever the answer
            return redirect("admin:extensions_account", account.public_id)
    else:
        initial = {"name": replaces.name, "sender": replaces.sender} if replaces else None
        form = AccountForm(provider, initial=initial)
    form.common.fields["sender"].widget.attrs.update(
        {
            "hx-post": reverse("admin:extensions_sender", args=[provider]),
            "hx-trigger": "input changed delay:300ms",
            "hx-target": "#sender-preview",
            "hx-params": "sender",  # secrets stay in the form
        }
    )
    return page(
        request,
        "add_account",
        title=_("Replace account") if replaces else _("Add account"),
        form=form,
        replaces=replaces,
        grace_days=settings.CALLBACK_GRACE_DAYS,
        under_way=traffic.under_way(replaces) if replaces else 0,
        failed=request.method == "POST",
        preview=preview(provider, form.common["sender"].value() or "", form.common["confirm_one_way"]),
        example=example_of(provider),
        status=422 if request.method == "POST" else 200,
        **set_up(provider, organization),
    )


def example_of(provider: type[Provider]) -> dict[str, str]:
    """What fills in the form where the provider is simulated; {} where it is not."""
    example = settings.EXAMPLE_ACCOUNTS.get(provider.key) if provider.key in settings.PROVIDER_BASE_URLS else None
    return {"name": str(provider.name), **example} if example else {}


@require_POST
@for_administrators
def preview_sender(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    """What a sender means, before anything is saved. Only the sender is posted here, never a credential."""
    form = AccountForm(provider)
    return page(
        request, "_sender", preview=preview(provider, request.POST.get("sender", ""), form.common["confirm_one_way"])
    )


def preview(provider: type[Provider], value: str, confirmation: forms.BoundField) -> dict[str, Any]:
    """The kind of a sender and its consequences; `error` says what would be right, {} for an empty value."""
    value = value.strip()
    if not value:
        return {}
    try:
        cleaned, kind = provider.clean_sender(value)
    except ValidationError as error:
        return {"error": error.messages[0]}
    able: Capabilities = provider.capabilities(kind)
    return {
        "value": cleaned,
        "kind": KINDS[kind],
        "able": able,
        "provider": provider({}),
        "warn": not able.two_way,
        "is_name": kind is SenderKind.ALPHANUMERIC,
        "confirmation": confirmation,
    }

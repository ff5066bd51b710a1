"""The form of a new account, filled in with what is not a secret where it replaces another."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from extensions import asking, services, traffic
from extensions.contract import (
    Capabilities,
    OwnNumber,
    Provider,
    ProviderError,
    Refused,
    SecretField,
    SenderKind,
)
from extensions.entries import SENDER, read
from extensions.forms import KEPT, KINDS, AccountForm
from extensions.kept import Drawer
from extensions.models import ProviderAccount
from extensions.pages.frame import account_of, for_administrators, organization_of, page, set_up
from organizations.current import current_user
from organizations.models import Organization


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def add_account(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    """The provider's own form; with ?replaces=… all is filled in from that account but its secrets.

    What was typed is put right where that is certain, and said; a secret that was typed before is kept (`kept`).
    """
    organization = organization_of(request)
    services.require_extension(organization, provider)
    wanted = request.GET.get("replaces")
    replaces = account_of(request, wanted) if wanted else None
    if replaces is not None and replaces.provider != provider.key:
        raise Http404
    drawer = Drawer(request, current_user(request), organization, provider)
    if request.method == "POST":
        form = AccountForm(provider, request.POST, drawer=drawer, exchange_back=request.POST.get("as_typed", ""))
        if form.is_valid() and "swap" not in request.POST:
            return _added(request, form, organization, replaces)
        form.keep()
    else:
        form = AccountForm(provider, initial=_filled_in(replaces) if replaces else None, drawer=drawer)
    _ask_as_one_types(form)
    return page(
        request,
        "add_account",
        title=_("Replace account") if replaces else _("Add account"),
        form=form,
        lists_numbers=provider.offers(Provider.build_numbers),
        replaces=replaces,
        grace_days=settings.CALLBACK_GRACE_DAYS,
        under_way=traffic.under_way(replaces) if replaces else 0,
        failed=request.method == "POST" and bool(form.errors),
        preview=preview(provider, form.common["sender"].value() or "", form.common["confirm_one_way"]),
        example=example_of(provider),
        status=422 if request.method == "POST" else 200,
        **set_up(provider, organization),
    )


def _added(
    request: HttpRequest, form: AccountForm, organization: Organization, replaces: ProviderAccount | None
) -> HttpResponse:
    """Save the account and ask the provider about it. A refusal keeps the secrets for the form that replaces it."""
    user = current_user(request)
    account = services.add_account(
        organization,
        user,
        form.provider,
        name=form.name,
        sender=form.sender,
        sender_kind=form.sender_kind,
        values=form.values,
        replaces=replaces,
        end_former=form.end_former,
        request=request,
    )
    messages.success(request, _("“%(name)s” has been added.") % {"name": account.name})
    for label, value in form.put_right:
        messages.info(request, _("%(field)s: kept as %(value)s") % {"field": label, "value": value})
    services.verify(account, user, request=request)  # it is saved, whatever the answer
    if account.is_refused:
        form.keep()
    elif form.drawer is not None:
        form.drawer.forget()
    return redirect("admin:extensions_account", account.public_id)


def _filled_in(replaces: ProviderAccount) -> dict[str, str]:
    """What the new account takes over: everything but what is secret."""
    if replaces.is_unreadable:
        return {"name": replaces.name, "sender": replaces.sender}
    fields = replaces.provider_class.Credentials.base_fields
    known = {
        name: value
        for name, value in replaces.secrets().items()
        if name in fields and not isinstance(fields[name], SecretField)
    }
    return {**known, "name": replaces.name, "sender": replaces.sender}


def _ask_as_one_types(form: AccountForm) -> None:
    """Each field is looked at when somebody leaves it, the sender also while it is typed; else at the end."""
    for name, field in form.credentials.fields.items():
        asks = {
            "hx-post": reverse("admin:extensions_check_field", args=[form.provider]),
            "hx-trigger": "change",
            "hx-target": f"#said-{name}",
            "hx-vals": json.dumps({"field": name}),
            "hx-sync": "this:replace",
        }
        field.widget.attrs.update(asks)
        if form.kept.get(name):
            field.widget.attrs["placeholder"] = _("Kept")
    form.common.fields["sender"].widget.attrs.update(
        {
            "hx-post": reverse("admin:extensions_sender", args=[form.provider]),
            "hx-trigger": "input changed delay:300ms, change",
            "hx-target": "#sender-preview",
            "hx-params": "sender",  # nothing else is needed for it
            "hx-sync": "this:replace",
        }
    )


@sensitive_post_parameters()
@require_POST
@for_administrators
def check_field(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    """What is to be said of a field that somebody has left: what is wrong, or what was put right. A secret is kept."""
    organization = organization_of(request)
    services.require_extension(organization, provider)
    drawer = Drawer(request, current_user(request), organization, provider)
    form = AccountForm(provider, request.POST, drawer=drawer)
    name = request.POST.get("field", "")
    if name not in form.credentials.fields:
        return HttpResponseBadRequest()
    form.is_valid()
    if name in form.secrets and not form.misplaced:
        form.kept.pop(name, None) if request.POST.get(name) else None
        form.keep(name)
    pair = next((pair for pair in form.misplaced if name in pair), ())
    is_alone = any(not request.POST.get(each) and not request.POST.get(f"{KEPT}{each}") for each in pair)
    return page(
        request,
        "_said",
        row=form.row(name),
        form=form,
        checked=True,
        belongs_to=form.label(next(each for each in pair if each != name)) if is_alone else "",
        exchanges=[(form.label(pair[0]), form.label(pair[1]))] if pair and not is_alone else (),
    )


@sensitive_post_parameters()
@require_POST
@for_administrators
def list_numbers(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    """The account's own numbers, asked of the provider with what stands in the form; nothing is saved."""
    organization = organization_of(request)
    services.require_extension(organization, provider)
    form = AccountForm(provider, request.POST, drawer=Drawer(request, current_user(request), organization, provider))
    form.is_valid()
    fields = form.credentials.fields
    names = list(fields)
    asked = names[: names.index(provider.sender_after) + 1] if provider.sender_after else names  # those above it
    wrong = [name for name in asked if name in form.errors and not hasattr(fields[name], "generates")]
    missing = [form.label(name) for name in wrong]
    numbers: list[OwnNumber] = []
    trouble = ""
    if not provider.offers(Provider.build_numbers):
        trouble = _("%(provider)s lists no numbers.") % {"provider": provider.name}
    elif form.misplaced or missing:
        trouble = _("Fill in these fields first: %(fields)s.") % {"fields": ", ".join(missing) or form.exchanges[0][0]}
    else:
        try:
            numbers = asking.own_numbers(provider, {**dict.fromkeys(fields, ""), **form.values})
        except Refused as refusal:
            trouble = _("The provider refused to list them: %(why)s") % {"why": refusal.detail}
        except ProviderError as problem:
            trouble = _("The provider could not be asked: %(why)s") % {"why": problem}
    return page(request, "_numbers", numbers=numbers, trouble=trouble)


def example_of(provider: type[Provider]) -> dict[str, str]:
    """What fills in the form where the provider is simulated; {} where it is not."""
    example = settings.EXAMPLE_ACCOUNTS.get(provider.key) if provider.key in settings.PROVIDER_BASE_URLS else None
    return {"name": str(provider.name), **example} if example else {}


@require_POST
@for_administrators
def preview_sender(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    """What a sender means, before anything is saved. Only the sender is posted here, never a credential."""
    confirmation = AccountForm(provider).common["confirm_one_way"]
    return page(request, "_sender", preview=preview(provider, request.POST.get("sender", ""), confirmation))


def preview(provider: type[Provider], value: str, confirmation: forms.BoundField) -> dict[str, Any]:
    """The kind of a sender and its consequences; {} for an empty value.

    `put_right` is the sender as it counts, where it was typed otherwise; `error` says what would be right, and
    `suggestion` is that, where it can be told.
    """
    entry = read(provider, {SENDER: value})[SENDER]
    if not entry.value:
        return {}
    try:
        cleaned, kind = provider.clean_sender(entry.value)
    except ValidationError as error:
        params = error.error_list[0].params or {}
        return {"error": error.messages[0], "suggestion": params.get("suggestion", "")}
    able: Capabilities = provider.capabilities(kind)
    return {
        "value": cleaned,
        "put_right": entry.value if entry.is_put_right else "",
        "kind": KINDS[kind],
        "able": able,
        "provider": provider({}),
        "warn": not able.two_way,
        "is_name": kind is SenderKind.ALPHANUMERIC,
        "confirmation": confirmation,
    }

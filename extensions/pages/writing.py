"""What an administrator has asked of the provider or written there: the balance, the webhooks."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from extensions import asking
from extensions.contract import Provider, ProviderError, Refused, WebhookChange
from extensions.models import ProviderAccount
from extensions.pages.frame import account_of, for_administrators, page, set_up
from organizations.current import current_user


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def set_webhooks(request: HttpRequest, public_id: str) -> HttpResponse:
    """What would be written at the provider, asked of it now; a POST writes it."""
    account = account_of(request, public_id)
    provider = account.provider_class
    if not provider.offers(Provider.build_webhooks):
        return _not_offered(request, account)
    if request.method == "POST":
        written, problem = asking.set_webhooks(account, current_user(request), request=request)
        if written:
            said = ngettext("%(count)s webhook has been set.", "%(count)s webhooks have been set.", written)
            messages.success(request, said % {"count": written})
        if problem:
            messages.error(request, _worded(problem))
        elif not written:
            messages.info(request, _("Both addresses are already set: nothing was changed."))
        return redirect("admin:extensions_account", account.public_id)
    changes: list[WebhookChange] = []
    trouble = ""
    try:
        changes = asking.webhook_changes(account)
    except ProviderError as problem:
        trouble = _worded(problem)
    assert account.organization is not None
    return page(
        request,
        "set_webhooks",
        title=_("Set the webhooks"),
        account=account,
        changes=changes,
        trouble=trouble,
        **set_up(provider, account.organization),
    )


@require_POST
@for_administrators
def ask_balance(request: HttpRequest, public_id: str) -> HttpResponse:
    """Ask for the balance, which is kept, and go back to the account."""
    account = account_of(request, public_id)
    if not account.provider_class.offers(Provider.build_balance):
        return _not_offered(request, account)
    try:
        asking.ask_balance(account)
    except ProviderError as problem:
        messages.error(request, _worded(problem))
    return redirect("admin:extensions_account", account.public_id)


def _not_offered(request: HttpRequest, account: ProviderAccount) -> HttpResponse:
    said = _("%(provider)s does not offer this through its API.") % {"provider": account.provider_name}
    messages.info(request, said)
    return redirect("admin:extensions_account", account.public_id)


def _worded(problem: ProviderError) -> str:
    if isinstance(problem, Refused):
        return _("The provider refused it: %(why)s") % {"why": problem.detail}
    return _("The provider could not be asked: %(why)s") % {"why": problem}

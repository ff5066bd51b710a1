"""The calls of a provider to one account, for the organisation's administrators who may see recipients."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from extensions.models import ProviderAccount
from extensions.pages.frame import account_of, for_administrators, page
from organizations.current import current_user
from organizations.permissions import require_sight
from webhooks import calls
from webhooks.models import Callback


@require_safe
@for_administrators
def show_calls(request: HttpRequest, public_id: str) -> HttpResponse:
    """The newest calls of this account. What they say is on the page of each."""
    account = account_of(request, public_id)
    found: QuerySet[Callback] = calls.newest(account)
    return page(request, "calls", title=_("Calls of the provider"), account=account, calls=found)


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def show_call(request: HttpRequest, public_id: str, call_id: int) -> HttpResponse:
    """One call, as it came, without secrets; a POST has it applied once more."""
    account = account_of(request, public_id)
    require_sight(current_user(request))
    callback = _call_of(account, call_id)
    if request.method == "POST":
        if calls.replay(callback, account, current_user(request), request):
            messages.success(request, _("The call is applied once more. What is known already does not count twice."))
        else:
            messages.info(request, _("The call is waiting to be applied anyway."))
        return redirect("admin:extensions_call", account.public_id, callback.pk)
    return page(
        request,
        "call",
        title=_("Call %(number)s") % {"number": callback.pk},
        account=account,
        call=callback,
        address=calls.without_secrets(account, callback.url),
        body=calls.body_of(account, callback),
        is_done=callback.state in (Callback.State.APPLIED, Callback.State.UNREADABLE),
    )


def _call_of(account: ProviderAccount, call_id: int) -> Callback:
    callback = Callback.objects.filter(account=account, pk=call_id).first()
    if callback is None:
        raise Http404(_("There is no such call; it may have been deleted after its time."))
    return callback

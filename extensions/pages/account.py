"""An account's page: its check-list and what can be done there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from unfold.widgets import INPUT_CLASSES

from extensions import checklist, rates, routing, services, traffic
from extensions.contract import Provider, SenderKind
from extensions.forms import KINDS
from extensions.models import AccountState, ProviderAccount
from extensions.pages.frame import account_of, explained, for_administrators, organization_of, page, set_up
from extensions.pages.leaving import former_of
from extensions.pages.pace import shown
from extensions.selftest import SelfTest
from organizations.current import current_user
from organizations.models import Organization


class TestForm(forms.Form):
    """A number of the administrator's own, and what to write there."""

    __test__ = False
    use_required_attribute = False

    to = forms.CharField(
        label=gettext_lazy("Your phone number"),
        max_length=30,
        widget=forms.TextInput(
            attrs={"class": " ".join(INPUT_CLASSES), "inputmode": "tel", "autocomplete": "tel", "type": "tel"}
        ),
    )

    def __init__(self, organization: Organization, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization

    def clean_to(self) -> str:
        return services.read_number(self.cleaned_data["to"], self.organization)


@require_safe
@for_administrators
def show_account(request: HttpRequest, public_id: str) -> HttpResponse:
    return _account_page(request, account_of(request, public_id))


def _account_page(
    request: HttpRequest,
    account: ProviderAccount,
    *,
    form: TestForm | None = None,
    news: str = "",
    remark: str = "",
    self_tests: Sequence[SelfTest] = (),
    status: int = 200,
) -> HttpResponse:
    """The account's page; only its check-list where HTMX asks for that. `news` is the step that was just done,
    `remark` a sentence about what was just tried.
    """
    organization = organization_of(request)
    provider = account.provider_class
    fragment = request.headers.get("HX-Target") == "check-list"
    state = AccountState.objects.filter(account=account).first() or AccountState(account=account)
    test = account.test_messages.first()
    places = routing.places(organization)
    place = next(place for place in places if place.account.pk == account.pk)
    refusals = traffic.refusals(organization, provider)
    steps = checklist.steps(account, state, refusals, test)
    successors = account.replaced_by.alive().defer("credentials")
    return page(
        request,
        "_checklist" if fragment else "account",
        title=account.name,
        account=account,
        state=state,
        place=place,
        in_use=next((place.account for place in places if place.in_use), None),
        steps=steps,
        remark=remark,
        news=next((step for step in steps if step.key == news), None),
        listening=any(step.mark is checklist.Mark.UNDER_WAY for step in steps),
        refusals=explained(refusals, provider),
        set_aside=traffic.set_aside(organization, provider),
        self_tests=self_tests,
        former=former_of(account),
        successors=successors,
        kind=KINDS[SenderKind(account.sender_kind)],
        rate=shown(state.messages_per_second or rates.documented_rate(account)),
        able=account.capabilities,
        is_name=account.sender_kind == SenderKind.ALPHANUMERIC,
        tells_balance=provider.offers(Provider.build_balance),
        last_refusal=refusals[0] if refusals else None,
        countries=traffic.countries(account) if not fragment else None,
        test_form=form or TestForm(organization),
        status=status,
        **set_up(provider, organization),
    )


def _done(request: HttpRequest, account: ProviderAccount, step: str, remark: str = "") -> HttpResponse:
    """The check-list in place for HTMX, else back to the account's page; the remark is about what did not go well."""
    if request.headers.get("HX-Target") == "check-list":
        return _account_page(request, account_of(request, account.public_id), news=step, remark=remark)
    if remark:
        messages.warning(request, remark)
    return redirect("admin:extensions_account", account.public_id)


@require_POST
@for_administrators
def verify_account(request: HttpRequest, public_id: str) -> HttpResponse:
    account = account_of(request, public_id)
    check = services.verify(account, current_user(request), request=request)
    return _done(request, account, "verify", str(check.detail) if check.is_open else "")


@require_POST
@for_administrators
def grant_account(request: HttpRequest, public_id: str) -> HttpResponse:
    """The provider is asked first. Where it says nothing, a second button grants access all the same ("unproved")."""
    account = account_of(request, public_id)
    unproved = "unproved" in request.POST
    if services.grant_if_proven(account, current_user(request), unproved=unproved, request=request):
        return _done(request, account, "grant")
    said = {"why": account.answer}
    if account.is_refused:
        remark = _("Access has not been granted, because the provider refused the credentials. %(why)s") % said
    else:
        remark = _("Access has not been granted, because it is not known whether the credentials work. %(why)s") % said
    return _done(request, account, "verify", remark)


@require_POST
@for_administrators
def test_account(request: HttpRequest, public_id: str) -> HttpResponse:
    account = account_of(request, public_id)
    organization = organization_of(request)
    form = TestForm(organization, request.POST)
    if not form.is_valid():
        return _account_page(request, account, form=form, status=422)
    text = _("Test message from %(organization)s, sent by Switchboard. It arrived: the account works.") % {
        "organization": organization.name
    }
    try:
        services.send_test(account, current_user(request), form.cleaned_data["to"], text, request=request)
    except forms.ValidationError as barred:
        form.add_error("to", barred)
        return _account_page(request, account, form=form, status=422)
    return _done(request, account, "test")


@require_POST
@for_administrators
def test_webhooks(request: HttpRequest, public_id: str) -> HttpResponse:
    """The result in its place for HTMX, else the account's page with it. Nothing is kept of it."""
    account = account_of(request, public_id)
    results = services.try_webhooks(account, current_user(request), request=request)
    if request.headers.get("HX-Target") == "self-test":
        return page(request, "_self_test", self_tests=results)
    return _account_page(request, account, self_tests=results)


@require_POST
@for_administrators
def move_account_to_top(request: HttpRequest, public_id: str) -> HttpResponse:
    account = account_of(request, public_id)
    services.move_to_top(account, current_user(request), request=request)
    messages.success(request, _("“%(name)s” is at the top of the list.") % {"name": account.name})
    return redirect("admin:extensions_account", account.public_id)


@require_safe
@for_administrators
def replace_account(request: HttpRequest, public_id: str) -> HttpResponse:
    """“Create new” is the add form, filled in with what is not a secret (R24)."""
    account = account_of(request, public_id)
    url = reverse("admin:extensions_add_account", args=[account.provider_class])
    return redirect(f"{url}?replaces={account.public_id}")

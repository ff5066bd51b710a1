"""The pages behind Admin → Extensions: catalogue, extension, add account, account.

They hold no rules: who may is in `services` and `entitlements`, the order of accounts in `routing`, the steps of a
set-up in `checklist`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from unfold.widgets import INPUT_CLASSES

from extensions import catalogue, checklist, entitlements, registry, routing, services, traffic
from extensions.contract import Capabilities, Provider, SenderKind
from extensions.diagnosis import explain, summarise
from extensions.forms import KINDS, AccountForm
from extensions.models import AccountState, ProviderAccount
from extensions.routing import Place
from extensions.selftest import SelfTest
from extensions.services import Rest
from extensions.webhook_urls import webhook_url
from organizations import commitments
from organizations.admin_base import current_user
from organizations.commitments import Depending
from organizations.models import Organization, User

View = Callable[..., HttpResponse]
MOST_REFUSALS = 10  # on one page


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


class RestForm(forms.Form):
    """What becomes of the texts that wait on an account that is to leave; `ways` are those that are open to it."""

    use_required_attribute = False

    rest = forms.ChoiceField(
        label=gettext_lazy("What becomes of the texts that are waiting?"),
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose what becomes of the texts that are waiting.")},
    )
    at_once = forms.BooleanField(required=False)

    def __init__(
        self, account: ProviderAccount, ways: Collection[Rest], to: ProviderAccount | None, *args: Any
    ) -> None:
        super().__init__(*args)
        words = {
            Rest.STOP: _("Stop these distributions: what is left is cancelled"),
            Rest.HOLD: _("Let them wait until access is granted again"),
        }
        if may_finish(account):
            words[Rest.FINISH] = _("Let it finish them from %(sender)s; nothing new is sent through it") % {
                "sender": account.sender
            }
        if to is not None:
            words[Rest.HAND_OVER] = _("Send the rest as %(sender)s") % {"sender": to.sender}
        offered = [(way.value, words[way]) for way in ways if way in words]
        self.fields["rest"].choices = offered  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("at_once") and self.cleaned_data.get("rest") == Rest.FINISH.value:
            self.add_error("rest", _("An account that finishes needs its secrets: choose another way."))
        return self.cleaned_data

    @property
    def rest_chosen(self) -> Rest:
        return Rest(self.cleaned_data["rest"])


def may_finish(account: ProviderAccount) -> bool:
    """Whether it could send what it has begun, and is not told to already."""
    return account.retiring_at is None and ProviderAccount.objects.usable().filter(pk=account.pk).exists()


# --- who comes in -----------------------------------------------------------------------------------------------------


def for_administrators(view: View) -> View:
    """Only administrators of an organisation (R11); without the SMS add-on they are told whom to ask (R12, R13)."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = current_user(request)
        if not user.is_administrator or user.organization is None:
            raise PermissionDenied(_("Only administrators of an organisation can set up extensions."))
        if not entitlements.has_sms(user.organization):
            return page(request, "no_licence", title=_("Extensions"), status=403)
        return view(request, *args, **kwargs)

    return guarded


def organization_of(request: HttpRequest) -> Organization:
    organization = current_user(request).organization
    assert organization is not None  # for_administrators has seen to it
    return organization


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """A page in the admin's frame; a fragment (its name starts with an underscore) without it."""
    user: User = current_user(request)
    context.setdefault("organization", user.organization)
    if not template.startswith("_"):
        context = {**admin.site.each_context(request), **context}
    return TemplateResponse(request, f"admin/extensions/{template}.html", context, status=status)


def account_of(request: HttpRequest, public_id: str, *, finishing: bool = False) -> ProviderAccount:
    """The organisation's own account in the list; also one that is `finishing`. Raises Http404 for any other."""
    listed = ProviderAccount.objects.filter(deleted_at=None) if finishing else ProviderAccount.objects.alive()
    accounts = listed.visible_to(current_user(request))
    account = accounts.select_related("organization", "state", "replaces").filter(public_id=public_id).first()
    if account is None:
        raise Http404(_("There is no such account; it may have been deleted."))
    return account


# --- catalogue and extension ------------------------------------------------------------------------------------------


@require_GET
@for_administrators
def show_catalogue(request: HttpRequest) -> HttpResponse:
    organization = organization_of(request)
    query = request.GET.get("q", "").strip()[:100]
    enabled = entitlements.enabled_keys(organization)
    places = routing.places(organization, enabled)
    found = catalogue.search(registry.all(), query)
    cards = [catalogue.card(provider, places, enabled) for provider in found]
    fragment = request.headers.get("HX-Target") == "extension-cards"
    return page(
        request,
        "_cards" if fragment else "catalogue",
        title=_("Extensions"),
        query=query,
        cards=cards,
        total=len(registry.all()),
        in_use=next((place for place in places if place.in_use), None),
        places=places,
        default=routing.installation_account(),
    )


@require_GET
@for_administrators
def show_extension(request: HttpRequest, provider: type[Provider]) -> HttpResponse:
    organization = organization_of(request)
    enabled = entitlements.enabled_keys(organization)
    places = routing.places(organization, enabled)
    mine = [place for place in places if place.account.provider == provider.key]
    return page(
        request,
        "extension",
        title=provider.name,
        card=catalogue.card(provider, places, enabled),
        enabled=provider.key in enabled,
        places=mine,
        listed=len(places),
        finishing=finishing_at(organization, provider),
        elsewhere=next((p.account for p in places if p.in_use and p.account.provider != provider.key), None),
        refusals=explained(traffic.refusals(organization, provider), provider),
        set_aside=traffic.set_aside(organization, provider),
        **set_up(provider, organization),
    )


def finishing_at(organization: Organization, provider: type[Provider]) -> list[tuple[ProviderAccount, int]]:
    """Accounts out of the list that still send what they have begun, and how many texts each has left."""
    accounts = ProviderAccount.objects.filter(
        organization=organization, provider=provider.key, retiring_at__isnull=False, deleted_at=None
    )
    return [(account, traffic.waiting(account)) for account in accounts.defer("credentials")]


def explained(refusals: Sequence[traffic.Refusal], provider: type[Provider]) -> list[dict[str, Any]]:
    """The latest refused calls, each with what is likely wrong."""
    return [
        {
            **refusal,
            "summary": summarise(refusal["fault"]),
            "advice": explain(refusal["fault"], provider),
        }
        for refusal in refusals[:MOST_REFUSALS]
    ]


def set_up(provider: type[Provider], organization: Organization) -> dict[str, Any]:
    """What the administrator enters at the provider: the two addresses, and the steps with them filled in."""
    reports_url = webhook_url("status", provider, organization)
    inbound_url = webhook_url("message", provider, organization)
    text = str(provider.setup).replace("{reports_url}", reports_url).replace("{inbound_url}", inbound_url)
    return {
        "provider": provider({}),  # without credentials: a template would call a class
        "reports_url": reports_url,
        "inbound_url": inbound_url,
        "datacenter_id": settings.DATACENTER_ID,
        "set_up_text": text,
        "set_up_blocks": catalogue.blocks(text, (reports_url, inbound_url)),
    }


# --- add an account ---------------------------------------------------------------------------------------------------


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


# --- one account ------------------------------------------------------------------------------------------------------


@require_GET
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
        able=account.capabilities,
        is_name=account.sender_kind == SenderKind.ALPHANUMERIC,
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
    services.send_test(account, current_user(request), form.cleaned_data["to"], text, request=request)
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


# --- an account that leaves -------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@for_administrators
def withdraw_account(request: HttpRequest, public_id: str) -> HttpResponse:
    """Asks first and names what will follow; while texts wait, what becomes of them is asked too."""
    account = account_of(request, public_id)
    what_follows = _what_follows(request, account, (Rest.HOLD, Rest.STOP, Rest.HAND_OVER))
    form, waiting, successor = (what_follows[name] for name in ("form", "waiting", "next_in_line"))
    if request.method == "POST" and (not waiting or form.is_valid()):
        rest = form.rest_chosen if waiting else None
        services.withdraw(account, current_user(request), rest=rest, to=successor, request=request)
        messages.success(request, _("Access to “%(name)s” has been withdrawn.") % {"name": account.name})
        return redirect("admin:extensions_account", account.public_id)
    return page(
        request,
        "withdraw",
        title=_("Withdraw access"),
        status=422 if request.method == "POST" else 200,
        **what_follows,
    )


@require_http_methods(["GET", "POST"])
@for_administrators
def take_over(request: HttpRequest, public_id: str) -> HttpResponse:
    """“Take over now” of a replacement: asks first, as deleting the former does. Its credentials have to be good.

    Where the provider says nothing about them, somebody may take over all the same ("unproved").
    """
    account = account_of(request, public_id)
    former = former_of(account)
    if former is None:  # pressed twice, perhaps
        return redirect("admin:extensions_account", account.public_id)
    ways = (Rest.HAND_OVER, Rest.STOP) if account.ends_former else (Rest.HAND_OVER, Rest.FINISH, Rest.STOP)
    same_number = account.has_number_of(former)
    waiting = traffic.waiting(former)
    asks = waiting and not same_number
    form = RestForm(former, ways, account, request.POST if request.method == "POST" else None)
    tried = False
    if request.method == "POST" and (not asks or form.is_valid()):
        user, unproved = current_user(request), "unproved" in request.POST
        if services.is_proven(account, user, unproved=unproved, request=request):
            services.take_over(account, user, rest=form.rest_chosen if asks else None, request=request)
            names = {"name": account.name, "former": former.name}
            messages.success(request, _("“%(name)s” has taken over from “%(former)s”.") % names)
            return redirect("admin:extensions_account", account.public_id)
        tried = True
    return page(
        request,
        "take_over",
        title=_("Take over"),
        account=account,
        former=former,
        place=next(place for place in routing.places(organization_of(request)) if place.account.pk == former.pk),
        same_number=same_number,
        on_their_own=waiting if same_number else 0,
        waiting=waiting if asks else 0,
        under_way=traffic.under_way(former),
        grace_days=settings.CALLBACK_GRACE_DAYS,
        form=form,
        tried=tried,
        status=422 if request.method == "POST" else 200,
    )


def former_of(account: ProviderAccount) -> ProviderAccount | None:
    """The account that this one is to replace, while that one is in the list."""
    former = account.replaces
    return former if former and former.deleted_at is None and former.retiring_at is None else None


@require_http_methods(["GET", "POST"])
@for_administrators
def delete_account(request: HttpRequest, public_id: str) -> HttpResponse:
    """Asks first and names what will follow; while texts wait, what becomes of them is asked too."""
    account = account_of(request, public_id, finishing=True)
    what_follows = _what_follows(request, account, (Rest.STOP, Rest.FINISH, Rest.HAND_OVER))
    form, waiting, successor = (what_follows[name] for name in ("form", "waiting", "next_in_line"))
    if request.method == "POST" and (not waiting or form.is_valid()):
        rest = form.rest_chosen if waiting else None
        at_once = "at_once" in request.POST
        services.delete(account, current_user(request), rest=rest, to=successor, at_once=at_once, request=request)
        if rest is Rest.FINISH:
            said = _("“%(name)s” finishes what it has begun and is deleted then.")
        elif at_once:
            said = _("“%(name)s” has been deleted, and its secrets have ended.")
        else:
            said = _("“%(name)s” has been deleted.")
        messages.success(request, said % {"name": account.name})
        return redirect("admin:extensions_extension", account.provider_class)
    return page(
        request,
        "delete",
        title=_("Delete account"),
        grace_days=settings.CALLBACK_GRACE_DAYS,
        status=422 if request.method == "POST" else 200,
        **what_follows,
    )


def _what_follows(request: HttpRequest, account: ProviderAccount, ways: Sequence[Rest]) -> dict[str, Any]:
    """What an account that leaves leaves behind, and the form that asks about it in these `ways`."""
    places = routing.places(organization_of(request))
    others = [place for place in places if place.account.pk != account.pk]
    successor = next((other.account for other in others if other.is_ready), None)
    place = next((place for place in places if place.account.pk == account.pk), None)
    return {
        "account": account,
        "place": place,
        "next_in_line": successor,
        "default": routing.installation_account(),
        "under_way": traffic.under_way(account),
        "waiting": traffic.waiting(account),
        "depending": _depending(place, successor) if place else None,
        "form": RestForm(account, ways, successor, request.POST if request.method == "POST" else None),
    }


def _depending(place: Place, successor: ProviderAccount | None) -> Depending | None:
    """What is planned, if this account is in use: the list is read when its time comes."""
    found = commitments.depending(ProviderAccount.objects.filter(pk=place.account.pk)) if place.in_use else None
    carrier = successor or routing.installation_account()
    if found is None or carrier is None:
        return found
    consequence = ngettext(
        "Unless the list of accounts changes, it will be sent as %(sender)s.",
        "Unless the list of accounts changes, they will be sent as %(sender)s.",
        found.number,
    ) % {"sender": carrier.sender}
    return replace(found, consequence=consequence)


@require_GET
@for_administrators
def replace_account(request: HttpRequest, public_id: str) -> HttpResponse:
    """“Create new” is the add form, filled in with what is no secret (R24)."""
    account = account_of(request, public_id)
    url = reverse("admin:extensions_add_account", args=[account.provider_class])
    return redirect(f"{url}?replaces={account.public_id}")

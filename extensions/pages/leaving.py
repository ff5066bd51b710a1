"""An account that leaves: withdrawn, deleted, or replaced by another that takes over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from extensions import routing, services, traffic
from extensions.models import ProviderAccount
from extensions.pages.frame import account_of, for_administrators, organization_of, page
from extensions.routing import Place
from extensions.services import Rest
from organizations import commitments
from organizations.commitments import Depending
from organizations.current import current_user


class RestForm(forms.Form):
    """What becomes of the texts that wait on an account that is to leave; `ways` are those that are open to it."""

    use_required_attribute = False

    rest = forms.ChoiceField(
        label=gettext_lazy("What should happen to the waiting texts?"),
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose what should happen to the waiting texts.")},
    )
    at_once = forms.BooleanField(required=False)

    def __init__(
        self, account: ProviderAccount, ways: Collection[Rest], to: ProviderAccount | None, *args: Any
    ) -> None:
        super().__init__(*args)
        words = {
            Rest.STOP: _("Stop these distributions: the remaining texts are cancelled"),
            Rest.HOLD: _("Let them wait until access is granted again"),
        }
        if may_finish(account):
            words[Rest.FINISH] = _("Let this account finish them as %(sender)s; nothing new is sent through it") % {
                "sender": account.sender
            }
        if to is not None:
            words[Rest.HAND_OVER] = _("Send the rest as %(sender)s") % {"sender": to.sender}
        offered = [(way.value, words[way]) for way in ways if way in words]
        self.fields["rest"].choices = offered  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("at_once") and self.cleaned_data.get("rest") == Rest.FINISH.value:
            self.add_error(
                "rest", _("An account that is to finish its texts needs its secrets: choose another option.")
            )
        return self.cleaned_data

    @property
    def rest_chosen(self) -> Rest:
        return Rest(self.cleaned_data["rest"])


def may_finish(account: ProviderAccount) -> bool:
    """Whether it could send what it has begun, and is not told to already."""
    return account.retiring_at is None and ProviderAccount.objects.usable().filter(pk=account.pk).exists()


@require_http_methods(["GET", "HEAD", "POST"])
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


@require_http_methods(["GET", "HEAD", "POST"])
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


@require_http_methods(["GET", "HEAD", "POST"])
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
            said = _("“%(name)s” will finish what it has begun and then be deleted.")
        elif at_once:
            said = _("“%(name)s” has been deleted, and its secrets have been revoked.")
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

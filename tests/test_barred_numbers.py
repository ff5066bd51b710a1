"""Nobody who has opted out or was forgotten is texted: not by a test either, whoever sends it from wherever."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import responses
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from contacts import opt_outs
from contacts.models import OptOut
from distributions import own_phone
from distributions.engine import identity
from extensions import traffic
from extensions.models import ProviderAccount, TestMessage
from keeping import forgetting
from organizations.models import Organization, User
from tests import factories

pytestmark = pytest.mark.django_db
PHONE, OTHER = "+447700900123", "+447700900456"


def opted_out(organization: Organization) -> None:
    opt_outs.opt_out(organization, PHONE, OptOut.Source.LINK)


def forgotten(organization: Organization) -> None:
    assert forgetting.go_on(forgetting.begin(organization, PHONE, None))


def from_the_accounts_page(account: ProviderAccount, user: User, phone: str) -> str:
    client = Client()
    client.force_login(user)
    page = client.post(reverse("admin:extensions_test", args=[account.public_id]), {"to": phone}, follow=True)
    return page.content.decode()


def from_the_command_line(account: ProviderAccount, _user: User, phone: str) -> str:
    try:
        call_command("send_test", account.provider, phone, organization=account.organization.public_id)
    except CommandError as refusal:
        return str(refusal)
    return ""


def as_a_code(_account: ProviderAccount, user: User, phone: str) -> str:
    try:
        own_phone.send_code(user, phone)
    except own_phone.Refused as refusal:
        return str(refusal)
    return ""


def to_oneself(_account: ProviderAccount, user: User, phone: str) -> str:
    User.objects.filter(pk=user.pk).update(phone=phone, confirmed_phone=phone)
    try:
        own_phone.send_to_myself(User.objects.get(pk=user.pk), "How was it?")
    except own_phone.Refused as refusal:
        return str(refusal)
    return ""


WAYS = [from_the_accounts_page, from_the_command_line, as_a_code, to_oneself]
Way = Callable[[ProviderAccount, User, str], str]


@pytest.mark.parametrize("why", [opted_out, forgotten])
@pytest.mark.parametrize("way", WAYS)
@responses.activate
def test_no_way_of_sending_one_text_reaches_them(
    clinic: Organization, account: ProviderAccount, administrator: User, way: Way, why: Callable[[Organization], None]
) -> None:
    why(clinic)

    assert "opted out" in way(account, administrator, PHONE)

    assert len(responses.calls) == 0
    assert not TestMessage.objects.exists()


@pytest.mark.parametrize("way", [as_a_code, to_oneself])
@responses.activate
def test_whoever_opts_out_while_one_is_being_sent_is_not_texted_either(
    clinic: Organization, account: ProviderAccount, administrator: User, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first look, before the request."""
    monkeypatch.setattr(own_phone, "_require_reachable", lambda organization, phone: opted_out(organization))

    assert "opted out" in way(account, administrator, PHONE)

    assert len(responses.calls) == 0


@pytest.mark.parametrize("way", WAYS)
@responses.activate
def test_of_a_restored_database_no_test_leaves_either(
    account: ProviderAccount, administrator: User, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "is_held", lambda: True)

    assert "restored from a backup" in way(account, administrator, PHONE)

    assert len(responses.calls) == 0


@pytest.mark.parametrize("why", [opted_out, forgotten])
def test_whoever_opted_out_elsewhere_or_came_back_may_be_texted(
    clinic: Organization, why: Callable[[Organization], None]
) -> None:
    why(factories.organization("Another clinic"))
    opted_out(clinic)
    opt_outs.opt_in(clinic, PHONE)

    assert traffic.barred(clinic, PHONE) == ""
    assert traffic.barred(clinic, OTHER) == ""

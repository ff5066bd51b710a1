"""An account's life between saving and deleting: withdrawn, moved to the top, verified, granted, taken over from."""

from __future__ import annotations

import re
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from distributions import leaving, sweeping
from distributions.models import Distribution
from extensions import routing, services
from extensions.models import EnabledExtension, ProviderAccount
from organizations.models import AuditEvent, Organization, User
from tests import factories
from tests.test_leaving import carriers, client_of, page, under_way

pytestmark = pytest.mark.django_db
State = Distribution.State


@pytest.fixture
def clinic() -> Organization:
    return factories.organization(default_region="GB")


@pytest.fixture
def boss(clinic: Organization) -> User:
    return factories.administrator(clinic)


@pytest.fixture
def site(boss: User) -> Client:
    return client_of(boss)


def line(clinic: Organization, name: str, number: int, provider: str = "twilio", **fields: Any) -> ProviderAccount:
    return factories.account(clinic, provider, name=name, sender=f"44770090{number:04d}", **fields)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def order(clinic: Organization) -> list[str]:
    return [place.account.name for place in routing.places(clinic)]


# --- withdraw ---------------------------------------------------------------------------------------------------------


def test_withdrawing_puts_the_next_in_use_at_once_and_is_audited(clinic, boss, site):
    """R22, R23, R34."""
    first, second = line(clinic, "First", 1), line(clinic, "Second", 2, "infobip")
    asked = text_of(site.get(page("withdraw", first)))
    assert "“Second” at Infobip is next in the list and will be in use at once" in asked

    for _twice in range(2):
        site.post(page("withdraw", first))

    first.refresh_from_db()
    assert (first.granted_at, first.granted_by, first.deleted_at) == (None, None, None)
    assert routing.account_in_use(clinic) == second
    assert order(clinic) == ["First", "Second"], "it keeps its place"
    event = AuditEvent.objects.get(action="withdrew access to")
    assert (event.actor, event.object_id) == (boss, first.public_id)


def test_what_is_not_granted_has_nothing_to_withdraw(clinic, site):
    account = line(clinic, "Main", 1, granted=False)

    assert page("withdraw", account) not in text_of(site.get(page("account", account)))
    site.post(page("withdraw", account))

    assert not AuditEvent.objects.filter(action="withdrew access to").exists()


def test_withdrawing_asks_while_texts_wait_and_does_nothing_without_an_answer(clinic, site):
    account = line(clinic, "Main", 1)
    under_way(clinic, account)

    refused = site.post(page("withdraw", account))

    assert refused.status_code == 422
    assert "Choose what becomes of the texts" in text_of(refused)
    account.refresh_from_db()
    assert account.granted_at is not None


def test_withdrawing_offers_no_finishing(clinic, site):
    """What is not granted sends nothing, so it can finish nothing."""
    account = line(clinic, "Main", 1)
    under_way(clinic, account)

    assert site.post(page("withdraw", account), {"rest": "finish"}).status_code == 422
    assert "Let it finish" not in text_of(site.get(page("withdraw", account)))


def test_what_waits_for_the_grant_goes_on_with_it(clinic, boss, site):
    account, _other = line(clinic, "Main", 1), line(clinic, "Other", 2)
    sending = under_way(clinic, account)

    site.post(page("withdraw", account), {"rest": "hold"})
    leaving.follow()
    sending.refresh_from_db()
    assert (carriers(sending), bool(sending.problem)) == ({account.pk}, True)
    assert sweeping.accounts_due() == []

    site.post(page("grant", account))
    leaving.follow()
    sending.refresh_from_db()
    assert sending.problem == ""
    assert sweeping.accounts_due() == [account.pk]


@pytest.mark.parametrize("word", ["stop", "hand_over"])
def test_what_waits_stops_or_goes_on_from_another_number_as_somebody_says(clinic, site, word):
    account, other = line(clinic, "Main", 1), line(clinic, "Other", 2)
    sending = under_way(clinic, account)

    site.post(page("withdraw", account), {"rest": word})

    sending.refresh_from_db()
    if word == "stop":
        assert sending.state == State.CANCELLED
    else:
        assert carriers(sending) == {other.pk}
        assert sweeping.accounts_due() == [other.pk]


@pytest.mark.parametrize("end", ["grant", "extension"])
def test_an_account_that_may_not_send_is_offered_no_finishing(clinic, site, end):
    """It would be finishing for ever."""
    account = line(clinic, "Main", 1)
    under_way(clinic, account)
    if end == "grant":
        ProviderAccount.objects.filter(pk=account.pk).update(granted_at=None)
    else:
        EnabledExtension.objects.filter(organization=clinic).delete()

    assert "Let it finish" not in text_of(site.get(page("delete", account)))
    assert site.post(page("delete", account), {"rest": "finish"}).status_code == 422


# --- the order of the list --------------------------------------------------------------------------------------------


def test_moving_to_the_top_puts_an_account_in_use_and_is_audited(clinic, boss, site):
    """R22: the order is the rule; R24: it is no detail of an account."""
    line(clinic, "First", 1)
    third = [line(clinic, "Second", 2, "infobip"), line(clinic, "Third", 3, "sinch")][1]
    assert "new distributions are sent from 447700900003 instead of 447700900001" in text_of(
        site.get(page("account", third))
    )

    for _twice in range(2):
        answer = site.post(page("top", third), follow=True)

    assert "“Third” is at the top of the list." in text_of(answer)
    assert order(clinic) == ["Third", "First", "Second"]
    assert routing.account_in_use(clinic) == third
    event = AuditEvent.objects.get(action="moved to the top of the list")
    assert (event.actor, event.object_id) == (boss, third.public_id)
    assert page("top", third) not in text_of(site.get(page("account", third))), "there is nowhere to move it to"


def test_what_has_begun_stays_on_its_number_when_the_order_changes(clinic, site):
    first, second = line(clinic, "First", 1), line(clinic, "Second", 2)
    sending = under_way(clinic, first)

    site.post(page("top", second))
    leaving.follow()

    sending.refresh_from_db()
    assert (carriers(sending), sending.problem) == ({first.pk}, "")
    assert sweeping.accounts_due() == [first.pk]


def test_an_unfinished_account_at_the_top_is_passed_over(clinic, site):
    first, unfinished = line(clinic, "First", 1), line(clinic, "Unfinished", 2, granted=False)
    assert "as soon as its set-up is finished" in text_of(site.get(page("account", unfinished)))

    site.post(page("top", unfinished))

    assert order(clinic) == ["Unfinished", "First"]
    assert routing.account_in_use(clinic) == first


def test_the_extension_shows_the_place_in_the_whole_list(clinic, site):
    line(clinic, "First", 1, "infobip")
    line(clinic, "Second", 2, "twilio")

    shown = text_of(site.get(reverse("admin:extensions_extension", args=["twilio"])))

    assert "Number 2 of 2 in the list" in shown


@pytest.mark.parametrize("deed", ["withdraw", "top"])
def test_only_an_account_in_the_list_of_ones_own_organisation(clinic, site, deed):
    stranger = line(factories.organization(), "Theirs", 1)
    gone = line(clinic, "Gone", 2, deleted_at=timezone.now())
    finishing = line(clinic, "Finishing", 3, retiring_at=timezone.now())

    assert [site.post(page(deed, account)).status_code for account in (stranger, gone, finishing)] == [404] * 3
    stranger.refresh_from_db()
    assert stranger.granted_at is not None


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_move_at_once_leave_one_order():
    clinic = factories.organization()
    boss = factories.administrator(clinic)
    accounts = [line(clinic, name, number) for number, name in enumerate(("First", "Second", "Third"))]
    ready, failures = Barrier(2), []

    def move(account: ProviderAccount) -> None:
        try:
            ready.wait(10)
            services.move_to_top(account, boss)
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [Thread(target=move, args=[account]) for account in accounts[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    assert set(order(clinic)[:2]) == {"Second", "Third"}
    assert order(clinic)[2] == "First"
    assert len(set(ProviderAccount.objects.values_list("listed_at", flat=True))) == 3

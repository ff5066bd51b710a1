"""An account's life between saving and deleting: withdrawn, moved to the top, verified, granted, taken over from."""

from __future__ import annotations

import re
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from distributions.engine import due, outbox
from distributions.models import Chunk, Distribution
from distributions.planning import leaving, starting
from distributions.replies import conversations
from distributions.states import Status
from extensions import client, registry, routing, services
from extensions.contract import Category, NotTaken, Refused, SenderKind, Unclear
from extensions.models import AccountState, EnabledExtension, ProviderAccount
from extensions.pages.leaving import former_of
from extensions.services import Rest
from organizations.models import AuditEvent, Organization, User
from tests import factories
from tests.acme import Acme, Plain, answers
from tests.test_leaving import carriers, client_of, page, under_way

pytestmark = pytest.mark.django_db
State = Distribution.State


@pytest.fixture
def site(administrator: User) -> Client:
    return client_of(administrator)


def line(clinic: Organization, name: str, number: int, provider: str = "twilio", **fields: Any) -> ProviderAccount:
    return factories.account(clinic, provider, name=name, sender=f"44770090{number:04d}", **fields)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def order(clinic: Organization) -> list[str]:
    return [place.account.name for place in routing.places(clinic)]


# --- withdraw ---------------------------------------------------------------------------------------------------------


def test_withdrawing_puts_the_next_in_use_at_once_and_is_audited(clinic, administrator, site):
    """R22, R23, R34."""
    first, second = line(clinic, "First", 1), line(clinic, "Second", 2, "infobip")
    asked = text_of(site.get(page("withdraw", first)))
    assert "“Second” (Infobip) is next in the list and will be in use at once" in asked

    for _twice in range(2):
        site.post(page("withdraw", first))

    first.refresh_from_db()
    assert (first.granted_at, first.granted_by, first.deleted_at) == (None, None, None)
    assert routing.account_in_use(clinic) == second
    assert order(clinic) == ["First", "Second"], "it keeps its place"
    event = AuditEvent.objects.get(action="withdrew access to")
    assert (event.actor, event.object_id) == (administrator, first.public_id)


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
    assert "Choose what should happen to the waiting texts" in text_of(refused)
    account.refresh_from_db()
    assert account.granted_at is not None


def test_withdrawing_offers_no_finishing(clinic, site):
    """What is not granted sends nothing, so it can finish nothing."""
    account = line(clinic, "Main", 1)
    under_way(clinic, account)

    assert site.post(page("withdraw", account), {"rest": "finish"}).status_code == 422
    assert "Let this account finish" not in text_of(site.get(page("withdraw", account)))


def test_what_waits_for_the_grant_goes_on_with_it(clinic, administrator, site):
    account, _other = line(clinic, "Main", 1), line(clinic, "Other", 2)
    sending = under_way(clinic, account)

    site.post(page("withdraw", account), {"rest": "hold"})
    leaving.follow()
    sending.refresh_from_db()
    assert (carriers(sending), bool(sending.problem)) == ({account.pk}, True)
    assert due.accounts_due() == []

    site.post(page("grant", account))
    leaving.follow()
    sending.refresh_from_db()
    assert sending.problem == ""
    assert due.accounts_due() == [account.pk]


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
        assert due.accounts_due() == [other.pk]


@pytest.mark.parametrize("end", ["grant", "extension"])
def test_an_account_that_may_not_send_is_offered_no_finishing(clinic, site, end):
    """It would be finishing for ever."""
    account = line(clinic, "Main", 1)
    under_way(clinic, account)
    if end == "grant":
        ProviderAccount.objects.filter(pk=account.pk).update(granted_at=None)
    else:
        EnabledExtension.objects.filter(organization=clinic).delete()

    assert "Let this account finish" not in text_of(site.get(page("delete", account)))
    assert site.post(page("delete", account), {"rest": "finish"}).status_code == 422


# --- the order of the list --------------------------------------------------------------------------------------------


def test_moving_to_the_top_puts_an_account_in_use_and_is_audited(clinic, administrator, site):
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
    assert (event.actor, event.object_id) == (administrator, third.public_id)
    assert page("top", third) not in text_of(site.get(page("account", third))), "there is nowhere to move it to"


def test_what_has_begun_stays_on_its_number_when_the_order_changes(clinic, site):
    first, second = line(clinic, "First", 1), line(clinic, "Second", 2)
    sending = under_way(clinic, first)

    site.post(page("top", second))
    leaving.follow()

    sending.refresh_from_db()
    assert (carriers(sending), sending.problem) == ({first.pk}, "")
    assert due.accounts_due() == [first.pk]


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
    administrator = factories.administrator(clinic)
    accounts = [line(clinic, name, number) for number, name in enumerate(("First", "Second", "Third"))]
    ready, failures = Barrier(2), []

    def move(account: ProviderAccount) -> None:
        try:
            ready.wait(10)
            services.move_to_top(account, administrator)
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


# --- verified on saving -----------------------------------------------------------------------------------------------

FIELDS = {"name": "Main", "account": "AC123456", "api_key": "sandbox-key", "region": "eu", "sender": "13531234567"}
AWAY = (NotTaken("api.acme.example: the name cannot be resolved"), Unclear("time was up"), 429, 500, 503)


@pytest.fixture
def acme(monkeypatch) -> Any:
    """The provider Acme beside the real ones; call it with what it answers next."""
    monkeypatch.setattr(registry, "_providers", lambda: {"acme": Acme, "plain": Plain})
    return lambda *said: monkeypatch.setattr(client, "call", answers(*said))


def add(site: Client, query: str = "", **changes: str) -> Any:
    return site.post(reverse("admin:extensions_add_account", args=["acme"]) + query, {**FIELDS, **changes}, follow=True)


def test_saving_asks_the_provider_and_shows_what_it_said(acme, site, clinic):
    acme(200)

    shown = text_of(add(site))

    account = ProviderAccount.objects.get()
    assert (account.check_ok, account.granted_at) == (True, None)
    assert "Acme knows this account." in shown
    assert AuditEvent.objects.filter(action="verified", object_id=account.public_id).count() == 1


def test_refused_credentials_are_saved_and_plainly_shown(acme, site):
    acme(401)

    shown = text_of(add(site))

    assert ProviderAccount.objects.get().check_ok is False
    assert "Acme SMS refused these credentials" in shown
    assert "Acme says: “Key unknown” (401)." in shown
    assert "Credentials refused" in shown
    assert "is-good" not in shown.split('id="check-list"')[1].split("<ol")[0]


@pytest.mark.parametrize("away", AWAY, ids=str)
def test_an_account_is_saved_while_the_provider_is_away(acme, site, away):
    acme(away)

    response = add(site)

    account = ProviderAccount.objects.get()
    assert response.status_code == 200
    assert (account.check_ok, account.checked_at is None) == (None, False)


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_provider_is_asked(acme, monkeypatch):
    acme(200)
    ask, seen = client.call, []
    monkeypatch.setattr(client, "call", lambda *given: seen.append(connection.in_atomic_block) or ask(*given))

    add(client_of(factories.administrator(factories.organization())))
    site = client_of(User.objects.get())
    ProviderAccount.objects.update(check_ok=None)
    site.post(page("grant", ProviderAccount.objects.get()))

    assert seen == [False, False]


@pytest.mark.parametrize("away", AWAY, ids=str)
@pytest.mark.parametrize("known", [True, False])
def test_what_is_known_holds_while_the_provider_is_away(acme, site, clinic, away, known):
    """Neither does an outage take an account out of use, nor does it bring a refused one back."""
    acme(away)
    account = line(clinic, "Main", 1, "acme", credentials=FIELDS)
    ProviderAccount.objects.update(check_ok=known)

    said = text_of(site.post(page("verify", account), follow=True))

    account.refresh_from_db()
    assert account.check_ok is known
    assert (routing.account_in_use(clinic) == account) is known
    assert "could not be asked" in said


# --- in use means it works --------------------------------------------------------------------------------------------


def test_refused_credentials_are_not_in_use_and_the_next_account_is(acme, site, clinic):
    acme(401)
    first, second = (line(clinic, name, 1, "acme", credentials=FIELDS) for name in ("First", "Second"))

    site.post(page("verify", first))

    assert routing.account_in_use(clinic) == second
    assert [place.standing.value for place in routing.places(clinic)] == ["refused", "in_use"]
    assert first not in ProviderAccount.objects.usable()


def test_without_another_account_the_route_says_that_the_credentials_are_refused(clinic):
    line(clinic, "Main", 1, check_detail="20003")
    ProviderAccount.objects.update(check_ok=False)

    with pytest.raises(routing.NoRoute, match=r"“Main” \(Twilio\): The provider refused the credentials"):
        routing.route_for(clinic)


@pytest.mark.parametrize("check_ok", [True, None, False])
def test_what_has_begun_waits_for_credentials_that_are_not_refused(clinic, check_ok):
    account, other = line(clinic, "Main", 1), line(clinic, "Other", 2)
    sending, fresh = under_way(clinic, account), under_way(clinic, account, left=0)
    ProviderAccount.objects.filter(pk=account.pk).update(check_ok=check_ok)

    leaving.follow()

    refused = check_ok is False
    sending.refresh_from_db()
    assert (carriers(sending), bool(sending.problem)) == ({account.pk}, refused)
    assert carriers(fresh) == {other.pk if refused else account.pk}
    left = list(sending.messages.filter(status="queued").values_list("pk", flat=True))
    assert len(outbox.mark(left, account.pk)) == (0 if refused else 7)


def test_a_conversation_goes_on_through_the_account_with_its_number_whose_credentials_are_good(clinic):
    account, same = line(clinic, "Main", 1), line(clinic, "Same number", 1, "infobip")
    ProviderAccount.objects.filter(pk=account.pk).update(check_ok=False)
    account.refresh_from_db()

    assert conversations.carrier(account) == same


@pytest.mark.parametrize(
    ("check_ok", "stopped", "badge", "tone"),
    [
        (True, False, "In use", "is-good"),
        (None, False, "In use, credentials unproved", "is-warning"),
        (True, True, "In use, but stopped", "is-bad"),
        (False, False, "Credentials refused", "is-bad"),
    ],
)
def test_only_what_is_known_to_work_is_in_use_in_green(clinic, site, check_ok, stopped, badge, tone):
    """On every page that says it."""
    account = line(clinic, "Main", 1)
    ProviderAccount.objects.update(check_ok=check_ok)
    AccountState.objects.update(stopped_at=timezone.now() if stopped else None)
    expected = f'<span class="sb-badge {tone}">{badge}</span>'

    for address in (
        page("account", account),
        reverse("admin:extensions_extension", args=["twilio"]),
        reverse("admin:extensions_catalogue"),
    ):
        assert expected in text_of(site.get(address)), address
    if tone != "is-good":
        for address in ("/admin/", reverse("admin:extensions_catalogue")):
            assert not re.search(r'is-good">\s*In use', text_of(site.get(address))), address


# --- granting asks ----------------------------------------------------------------------------------------------------


def unasked(clinic: Organization, **fields: Any) -> ProviderAccount:
    return line(clinic, "Main", 1, "acme", granted=False, verified=False, credentials=FIELDS, **fields)


def test_granting_asks_the_provider_first(acme, site, clinic):
    acme(200)
    account = unasked(clinic)

    site.post(page("grant", account))

    account.refresh_from_db()
    assert account.check_ok
    assert routing.account_in_use(clinic) == account


@pytest.mark.parametrize("answer", [401, Refused(Category.AUTH_FAILED, "Key unknown")], ids=["answer", "token"])
@pytest.mark.parametrize("word", [{}, {"unproved": "1"}], ids=["plainly", "anyway"])
def test_what_the_provider_refuses_is_not_granted(acme, site, clinic, answer, word):
    acme(answer)
    account = unasked(clinic)

    for _twice in range(2):
        shown = text_of(site.post(page("grant", account), word, follow=True))

    account.refresh_from_db()
    assert account.granted_at is None
    assert "Access has not been granted" in shown
    assert "Key unknown" in shown


@pytest.mark.parametrize("away", AWAY, ids=str)
def test_where_the_provider_cannot_be_asked_somebody_decides(acme, site, clinic, away):
    acme(away)
    account = unasked(clinic)
    assert "Grant access anyway" not in text_of(site.get(page("account", account)))

    shown = text_of(site.post(page("grant", account), headers={"HX-Target": "check-list"}))
    account.refresh_from_db()
    assert account.granted_at is None
    assert "Grant access anyway" in shown

    site.post(page("grant", account), {"unproved": "1"})
    account.refresh_from_db()
    assert account.granted_at is not None
    assert "In use, credentials unproved" in text_of(site.get(page("account", account)))


def test_nobody_grants_anyway_before_the_provider_was_asked(acme, site, clinic):
    acme(503)
    account = unasked(clinic)

    site.post(page("grant", account), {"unproved": "1"})

    account.refresh_from_db()
    assert account.granted_at is None


def test_what_was_refused_is_not_granted_anyway_while_the_provider_is_away(acme, site, clinic):
    acme(503)
    account = unasked(clinic)
    ProviderAccount.objects.update(check_ok=False, checked_at=timezone.now())

    site.post(page("grant", account), {"unproved": "1"})

    account.refresh_from_db()
    assert (account.granted_at, account.check_ok) == (None, False)


@pytest.mark.parametrize("key", sorted(factories.CREDENTIALS))
def test_no_provider_that_is_away_counts_as_refusing(site, clinic, administrator, monkeypatch, key):
    """Whatever sentence it has for that: HTTP 429 and 5xx say nothing about the credentials, 401 does."""
    account = factories.account(clinic, key, granted=False, verified=False)
    token = "distributions.tests.token"
    monkeypatch.setattr(services.tokens, "token_for", lambda account: token)
    for status, known in ((429, None), (500, None), (503, None), (401, False), (502, False)):
        monkeypatch.setattr(client, "call", answers(status))
        services.verify(account, administrator)
        assert account.check_ok is known, status


# --- taking over ------------------------------------------------------------------------------------------------------


def replacement(site: Client, former: ProviderAccount, **changes: str) -> ProviderAccount:
    """Added through the page, with the number of the former unless `changes` say otherwise."""
    add(site, f"?replaces={former.public_id}", **{"sender": former.sender, "name": "New", **changes})
    return ProviderAccount.objects.get(replaces=former)


def of_acme(clinic: Organization, name: str, number: int, **fields: Any) -> ProviderAccount:
    return line(clinic, name, number, "acme", credentials=FIELDS, **fields)


def test_both_pages_say_who_is_in_use_until_the_new_account_takes_over(acme, site, clinic):
    acme(200)
    former = of_acme(clinic, "Old", 1)

    new = replacement(site, former)

    assert new.check_ok
    assert routing.account_in_use(clinic) == former, "confirmed on saving, and still nothing happens by itself"
    shown = text_of(site.get(page("account", new)))
    assert "This account is to replace “Old”, which stays as it is until this one takes over" in shown
    assert page("take_over", new) in shown
    assert "“New” is to replace this account" in text_of(site.get(page("account", former)))


def test_on_the_same_number_the_texts_that_wait_simply_go_on(acme, site, clinic):
    acme(200)
    former = of_acme(clinic, "Old", 1)
    sending = under_way(clinic, former)
    new = replacement(site, former)
    assert "The 7 texts that are waiting go on through the new account" in text_of(site.get(page("take_over", new)))

    site.post(page("take_over", new))

    assert routing.account_in_use(clinic) == new
    assert carriers(sending) == {new.pk}
    assert due.accounts_due() == [new.pk]


@pytest.mark.parametrize("word", ["", "hold", "sell"])
def test_from_another_number_the_texts_that_wait_are_asked_about(acme, site, clinic, word):
    acme(200)
    former = of_acme(clinic, "Old", 1)
    under_way(clinic, former)
    new = replacement(site, former, sender="13530000001")
    asked = text_of(site.get(page("take_over", new)))
    assert "New distributions are sent from 13530000001 instead of 447700900001" in asked
    assert "7 texts are waiting for “Old”" in asked

    assert site.post(page("take_over", new), {"rest": word}).status_code == 422

    assert routing.account_in_use(clinic) == former


@pytest.mark.parametrize("word", ["stop", "finish", "hand_over"])
def test_what_waits_becomes_what_somebody_has_said(acme, site, clinic, word):
    acme(200)
    former = of_acme(clinic, "Old", 1)
    sending = under_way(clinic, former)
    new = replacement(site, former, sender="13530000001")

    site.post(page("take_over", new), {"rest": word})
    leaving.follow()
    leaving.retire()

    assert routing.account_in_use(clinic) == new
    former.refresh_from_db()
    sending.refresh_from_db()
    assert (former.deleted_at is None) == (word == "finish")
    assert sending.state == (State.CANCELLED if word == "stop" else State.SENDING)
    assert carriers(sending) == {new.pk if word == "hand_over" else former.pk}
    assert sending.problem == ""


def test_where_the_secrets_of_the_former_end_it_finishes_nothing(acme, site, clinic):
    acme(200)
    former = of_acme(clinic, "Old", 1)
    under_way(clinic, former)
    new = replacement(site, former, sender="13530000001", end_former="on")

    assert site.post(page("take_over", new), {"rest": "finish"}).status_code == 422
    site.post(page("take_over", new), {"rest": "stop"})

    former.refresh_from_db()
    assert former.ended_at is not None


@pytest.mark.parametrize(("answer", "anyway"), [(401, False), (503, True), (NotTaken("no way"), True)], ids=str)
def test_only_good_credentials_take_over_unless_the_provider_cannot_be_asked(acme, site, clinic, answer, anyway):
    acme(answer)
    former = of_acme(clinic, "Old", 1)
    new = replacement(site, former)

    refused = site.post(page("take_over", new))
    assert refused.status_code == 422
    assert "Nothing has changed" in text_of(refused)
    assert ("Take over although" in text_of(refused)) is anyway
    assert routing.account_in_use(clinic) == former

    site.post(page("take_over", new), {"unproved": "1"})
    assert routing.account_in_use(clinic) == (new if anyway else former)


def test_the_new_account_takes_the_place_that_the_former_has_now(acme, site, clinic):
    acme(200)
    line(clinic, "First", 1, "plain", credentials={})
    former = of_acme(clinic, "Old", 2)
    new = replacement(site, former)
    site.post(page("top", former))

    site.post(page("take_over", new))

    assert order(clinic) == ["New", "First"]
    assert routing.account_in_use(clinic) == new


@pytest.mark.django_db(transaction=True)
def test_a_second_click_takes_over_nothing_more():
    clinic = factories.organization()
    administrator = factories.administrator(clinic)
    former = line(clinic, "Old", 1)
    new = line(clinic, "New", 1, granted=False, replaces=former)
    ready, done = Barrier(2), []

    def click() -> None:
        try:
            account = ProviderAccount.objects.get(pk=new.pk)
            ready.wait(10)
            done.append(services.take_over(account, administrator))
        except BaseException as failure:
            done.append(failure)
        finally:
            connection.close()

    threads = [Thread(target=click) for _twice in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(done, key=str) == [False, True]
    assert AuditEvent.objects.filter(action="replaced").count() == 1
    assert AuditEvent.objects.filter(action="granted access to").count() == 1


# --- any sequence of all this, while texts wait -----------------------------------------------------------------------

NUMBERS = ("447700900001", "447700900002", "447700900003")
ANSWERS = st.sampled_from([200, 200, 401, 503])  # good, refused, away
indices = st.integers(0, 2)
TAKING_OVER = (Rest.STOP, Rest.FINISH, Rest.HAND_OVER)


class AccountLife(RuleBasedStateMachine):
    """Administrators do everything they can to accounts, in any order, while distributions are being sent.

    `numbers` is what the texts of each distribution may come from: the number that was in use when they were written,
    and those that a person has named since.
    """

    acme: Any  # tells the provider what to answer

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.clinic = factories.organization()
        self.administrator = factories.administrator(self.clinic)
        self.people = factories.contact_list(self.clinic, 4)
        self.survey = factories.survey(self.clinic)
        self.numbers: dict[int, set[str]] = {}  # of each distribution, those that texts may come from
        self.texted: dict[int, set[str]] = {}  # those that a text has come from

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    # --- what there is ---

    def listed(self) -> list[ProviderAccount]:
        return list(ProviderAccount.objects.alive().filter(organization=self.clinic).select_related("replaces"))

    def one(self, index: int) -> ProviderAccount | None:
        listed = self.listed()
        return listed[index % len(listed)] if listed else None

    def running(self) -> list[Distribution]:
        return list(Distribution.objects.filter(organization=self.clinic, state__in=leaving.RUNNING))

    def name(self, account: ProviderAccount, to: ProviderAccount) -> None:
        """A person says that what has begun through `account` goes on as `to`."""
        for distribution in leaving.running_on(account):
            self.numbers[distribution.pk].add(to.sender)

    def ready(self, besides: ProviderAccount) -> ProviderAccount | None:
        places = [place for place in routing.places(self.clinic) if place.account.pk != besides.pk]
        return next((place.account for place in places if place.is_ready), None)

    # --- what is done ---

    @initialize(numbers=st.permutations(NUMBERS))
    def begin(self, numbers: list[str]) -> None:
        """Two accounts that may carry traffic, and a distribution on its way."""
        for number in numbers[:2]:
            self.add(number, "acme")
            self.grant(-1, 200, unproved=False)
        self.launch()
        self.send_one(0)

    @rule(number=st.sampled_from(NUMBERS), provider=st.sampled_from(["acme", "plain"]))
    def add(self, number: str, provider: str) -> None:
        factories.account(self.clinic, provider, sender=number, granted=False, verified=False, credentials=FIELDS)

    @precondition(lambda self: self.listed())
    @rule(index=indices, number=st.sampled_from(NUMBERS), rest=st.sampled_from(["later", None, None, *TAKING_OVER]))
    def replace(self, index: int, number: str, rest: Any) -> None:
        """And take over in the same moment, or later."""
        former = self.one(index)
        assert former is not None
        services.add_account(
            self.clinic,
            self.administrator,
            former.provider_class,
            name="New",
            sender=number,
            sender_kind=SenderKind.NUMBER,
            values=FIELDS,
            replaces=former,
        )
        if rest != "later":
            self.take_over(-1, rest)

    @precondition(lambda self: self.listed())
    @rule(index=indices, answer=ANSWERS)
    def verify(self, index: int, answer: int) -> None:
        account = self.one(index)
        assert account is not None
        before = routing.account_in_use(self.clinic)
        self.acme(answer)
        services.verify(account, self.administrator)
        after = routing.account_in_use(self.clinic)
        assert after == before or account in (before, after), "verifying changes nothing but what it is about"

    @precondition(lambda self: self.listed())
    @rule(index=indices, answer=ANSWERS, unproved=st.booleans())
    def grant(self, index: int, answer: int, unproved: bool) -> None:
        account = self.one(index)
        assert account is not None
        self.acme(answer)
        granted = services.grant_if_proven(account, self.administrator, unproved=unproved)
        assert not (granted and account.is_refused)

    @precondition(lambda self: self.listed())
    @rule(index=indices, rest=st.sampled_from([None, Rest.STOP, Rest.HOLD, Rest.HAND_OVER]))
    def withdraw(self, index: int, rest: Rest | None) -> None:
        account = self.one(index)
        assert account is not None
        to = self.ready(account)
        if rest is Rest.HAND_OVER and to is not None and account.granted_at is not None:
            self.name(account, to)
        services.withdraw(account, self.administrator, rest=rest, to=to)

    @precondition(lambda self: self.listed())
    @rule(index=indices)
    def move(self, index: int) -> None:
        account = self.one(index)
        assert account is not None
        services.move_to_top(account, self.administrator)
        assert self.listed()[0] == account

    @precondition(lambda self: self.listed())
    @rule(index=indices, rest=st.sampled_from([None, Rest.STOP, Rest.FINISH, Rest.HAND_OVER]))
    def delete(self, index: int, rest: Rest | None) -> None:
        account = self.one(index)
        assert account is not None
        to = self.ready(account)
        if rest is Rest.HAND_OVER and to is not None:
            self.name(account, to)
        services.delete(account, self.administrator, rest=rest, to=to)

    @precondition(lambda self: any(former_of(account) for account in self.listed()))
    @rule(index=indices, rest=st.sampled_from([None, *TAKING_OVER]))
    def take_over(self, index: int, rest: Rest | None) -> None:
        mine = sorted(filter(former_of, self.listed()), key=lambda account: account.pk)
        account = mine[index % len(mine)]
        former = account.replaces
        assert former is not None
        if rest is Rest.HAND_OVER:
            self.name(former, account)
        assert services.take_over(account, self.administrator, rest=rest)
        assert not services.take_over(account, self.administrator, rest=rest), "once only"

    # --- what is sent ---

    @precondition(lambda self: routing.account_in_use(self.clinic))
    @rule()
    def launch(self) -> None:
        account = routing.account_in_use(self.clinic)
        assert account is not None
        made = factories.distribution(
            self.clinic,
            contact_list=self.people,
            survey=self.survey,
            account=account,
            state=State.LAUNCHING,
            launched_at=timezone.now(),
        )
        self.numbers[made.pk], self.texted[made.pk] = {account.sender}, set()
        while starting.expand(made.pk):
            pass

    @precondition(lambda self: self.running())
    @rule(index=indices)
    def send_one(self, index: int) -> None:
        """As a pump does: through the account that its range names, if that may carry it."""
        running = self.running()
        distribution = running[index % len(running)]
        chunk = Chunk.objects.filter(distribution=distribution, state=Chunk.State.OPEN).first()
        text = distribution.messages.filter(status=Status.QUEUED).first()
        if chunk is None or text is None or chunk.account_id is None:
            return
        marked = outbox.mark([text.pk], chunk.account_id)
        if marked:
            carrier = ProviderAccount.objects.get(pk=chunk.account_id)
            assert carrier in ProviderAccount.objects.usable()
            outbox.apply([outbox.Change(id=row.id, to=Status.ACCEPTED) for row in marked])
            self.texted[distribution.pk].add(carrier.sender)

    @rule()
    def sweep(self) -> None:
        """Every few seconds. What nobody has received a text of follows the list; nothing else changes its number."""
        fresh = [pk for pk, texted in self.texted.items() if not texted]
        in_use = routing.account_in_use(self.clinic)
        if in_use is not None:
            for pk in fresh:
                self.numbers[pk].add(in_use.sender)
        leaving.follow()
        leaving.retire()

    # --- what holds at every moment ---

    @invariant()
    def the_account_in_use_is_the_first_that_may_be(self) -> None:
        places = routing.places(self.clinic)
        usable = set(ProviderAccount.objects.usable().filter(retiring_at=None).values_list("pk", flat=True))
        may = [place.account.pk for place in places if place.account.pk in usable]
        assert [place.account.pk for place in places if place.in_use] == may[:1]
        assert [place.number for place in places] == list(range(1, len(places) + 1))
        assert not any(place.account.is_refused or place.account.granted_at is None for place in places if place.in_use)

    @invariant()
    def every_text_comes_from_a_number_that_was_in_use_or_named(self) -> None:
        carried = Chunk.objects.filter(distribution__organization=self.clinic, state=Chunk.State.OPEN)
        for distribution, sender in carried.values_list("distribution", "account__sender"):
            assert sender in self.numbers[distribution]
        for distribution, texted in self.texted.items():
            assert texted <= self.numbers[distribution]


def test_whatever_is_done_to_accounts_one_is_in_use_and_no_text_changes_its_number_unasked(acme):
    run_state_machine_as_test(
        type("AccountLife", (AccountLife,), {"acme": staticmethod(acme)}),
        settings=settings(max_examples=20, stateful_step_count=16, deadline=None, database=None),
    )


@pytest.mark.parametrize("said", ["20003: invalid username", "20003: invalid username.", "Who are you?", "Forbidden! "])
def test_what_a_provider_says_is_a_sentence_before_ours_follows(site, clinic, said):
    account = line(clinic, "Old", 1)
    ProviderAccount.objects.filter(pk=account.pk).update(check_ok=False, checked_at=timezone.now(), check_detail=said)
    ended = said.strip() if said.strip()[-1] in ".?!" else f"{said}."

    refused = text_of(site.get(page("account", account)))
    AccountState.objects.filter(account=account).update(stopped_at=timezone.now(), stopped_reason=said)
    stopped = text_of(site.get(page("account", account)))

    assert f"</strong> {ended} If they are mistyped" in refused
    assert f"Sending has stopped.</strong> {ended} Put it right" in stopped

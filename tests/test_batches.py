"""Providers that take many messages in one request: what is wrong with one of them holds up no other."""

from __future__ import annotations

from collections import Counter

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from distributions.engine import outcomes
from distributions.engine.outcomes import Kind
from distributions.engine.references import reference
from distributions.models import Distribution
from distributions.planning import starting
from distributions.states import Status
from extensions import registry
from extensions.contract import LONGEST_WAIT, ApiResponse
from extensions.models import AccountState
from tests import factories, pumping
from tests.provider_cases import FOLDER, all_data, answer_of, cases, each, load, provider_of, sms_of

pytestmark = pytest.mark.django_db(transaction=True)

RECIPIENTS = 300
INVALID = "9904"  # the last digits of a number that the simulator refuses


ODD = "7777"  # the last digits of a number for which the simulator refuses the whole request, without naming it
BATCHED = each(simulated=True, keys=[provider.key for provider in registry.all() if provider.batch_size > 1])


def launched(provider, bad, digits=INVALID):
    """A distribution to many, with a number that ends in these digits at each of the bad places."""
    data = load(FOLDER / f"{provider}.toml")
    form = registry.get(provider).Credentials(data["credentials"])
    assert form.is_valid()
    clinic = factories.organization()
    account = factories.account(clinic, provider, sender=data["sender"], credentials=form.cleaned_data)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=5000)
    patients = factories.contact_list(clinic, RECIPIENTS, phone="+3538{:07d}")
    for place, contact in enumerate(patients.contacts.order_by("pk")):
        if place in bad:
            patients.contacts.filter(pk=contact.pk).update(phone=f"+35385{place:04d}{digits}")
    made = factories.distribution(
        clinic,
        contact_list=patients,
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while starting.expand(made.pk):
        pass
    return made


def test_a_bad_number_holds_up_no_other_message_of_its_request(sink):
    """The whole request is refused, with the bad message named: the others go again at once, and once only."""
    made = launched("messagemedia", bad={5, 17, 130, 299})

    runs = 1
    while pumping.run(made.account_id):  # woken anew, at once
        runs += 1

    found = Counter(made.messages.values_list("status", "reason"))
    assert found == {(Status.ACCEPTED, ""): 296, (Status.FAILED, "invalid_recipient"): 4}
    assert len(sink.ledger) == 296
    assert runs == 2
    state = AccountState.objects.get(pk=made.account_id)
    assert (state.failures, state.open_until, state.stopped_at) == (0, None, None)


def test_a_request_in_which_nothing_is_wrong_is_sent_once(sink):
    made = launched("link_mobility", bad=set())

    pumping.run(made.account_id)

    assert set(made.messages.values_list("status", flat=True)) == {Status.ACCEPTED}
    assert sorted(entry["reference"] for entry in sink.ledger) == sorted(
        reference(pk) for pk in made.messages.values_list("pk", flat=True)
    )


@pytest.mark.parametrize("provider", BATCHED)
def test_a_refusal_that_names_no_message_fails_only_the_one_at_fault(sink, provider):
    """The request goes again in halves until the bad message is alone; each text leaves once, with no pause."""
    sink.fail("400", provider, to=ODD)
    made = launched(provider, bad={5, 130}, digits=ODD)

    runs = 1
    while pumping.run(made.account_id):
        runs += 1
        assert runs < 30

    found = Counter(made.messages.values_list("status", flat=True))
    assert found == {Status.ACCEPTED: 298, Status.FAILED: 2}
    assert {message.to[-4:] for message in made.messages.filter(status=Status.FAILED)} == {ODD}
    assert set(Counter(entry["to"] for entry in sink.ledger).values()) == {1}
    assert len(sink.ledger) == 298
    assert max(made.messages.values_list("attempt", flat=True)) <= 9  # 200, 100, 50, 25, 13, 7, 4, 2, 1
    state = AccountState.objects.get(pk=made.account_id)
    assert (state.failures, state.open_until, state.stopped_at) == (0, None, None)


@pytest.mark.parametrize("provider", BATCHED)
@pytest.mark.parametrize("kind", ["accept_500", "accept_garbage", "accept_drop"])
def test_what_may_have_been_taken_is_never_halved(sink, provider, kind):
    sink.fail(kind, provider)
    made = launched(provider, bad=set())

    while pumping.run(made.account_id):
        pass

    assert set(made.messages.values_list("status", flat=True)) == {Status.UNCERTAIN}
    assert set(Counter(entry["reference"] for entry in sink.ledger).values()) == {1}


@pytest.mark.parametrize("provider", BATCHED)
def test_bad_credentials_stop_the_account_and_halve_nothing(sink, provider):
    sink.fail("401", provider)
    made = launched(provider, bad=set())

    pumping.run(made.account_id)

    assert set(made.messages.values_list("status", flat=True)) == {Status.QUEUED}
    assert set(made.chunks.values_list("batch_limit", flat=True)) == {0}
    assert AccountState.objects.get(pk=made.account_id).stopped_at is not None


@pytest.mark.parametrize("provider", BATCHED)
def test_too_many_requests_are_a_pause_even_if_the_provider_names_no_time_to_wait(sink, provider):
    """Retry-After: 0 was taken for "only a neighbour is at fault", so that the next request followed at once."""
    sink.fail("429", provider, retry_after=0)
    made = launched(provider, bad=set())

    assert pumping.run(made.account_id) is False

    assert set(made.messages.values_list("status", flat=True)) == {Status.QUEUED}
    state = AccountState.objects.get(pk=made.account_id)
    assert state.open_until is not None
    assert state.failures == 1


def is_one_bad(case):
    """Whether the whole request is refused for one recipient, whom the answer names."""
    refused = [result for result in case.get("results", []) if result.get("kind") == "refused"]
    return [result["category"] for result in refused] == ["invalid_recipient"] and all(
        result.get("kind") == "not_taken" for result in case["results"] if result not in refused
    )


NAMED = [
    pytest.param(data, case, id=f"{key}-{case['name']}")
    for key, data in all_data().items()
    for _heading, case in cases(data, "batch")
    if is_one_bad(case)
]


@pytest.mark.parametrize(("data", "case"), NAMED)
def test_an_answer_that_names_one_bad_destination_frees_its_neighbours_at_once(data, case):
    parser = provider_of(data, case)

    answers = parser.parse_batch(answer_of(case), [sms_of(parser, values) for values in case["sms"]])

    for expected, answer in zip(case["results"], map(outcomes.of, answers), strict=True):
        if expected["kind"] == "refused":
            assert (answer.kind, answer.category) == (Kind.REFUSED, "invalid_recipient")
        else:
            assert (answer.kind, answer.blameless) == (Kind.NOT_TAKEN, True)


def test_such_answers_are_among_the_cases():
    assert NAMED


# --- how long to wait ------------------------------------------------------------------------------------------------

NOON = "Thu, 26 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("-5", 0),
        ("9" * 200, LONGEST_WAIT),
        ("Thu, 26 Nov 2026 12:00:30 GMT", 30),
        ("Thu Nov 26 12:00:30 2026", 30),
        ("Thu, 26 Nov 2026 13:00:30 +0100", 30),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0),
        ("Thu, 26 Nov 9999 12:00:30 GMT", LONGEST_WAIT),
        *(
            (junk, None)
            for junk in ("", "soon", "nan", "inf", "-inf", "1e3", "1_000", "٣", "0x10", "7 s", "7,5", "Thu")
        ),
    ],
)
def test_how_long_a_provider_asks_us_to_wait(said, seconds):
    assert ApiResponse(429, {"Retry-After": said, "Date": NOON}).retry_after == seconds


def test_a_date_without_a_clock_to_read_it_by_says_nothing():
    assert ApiResponse(429, {"Retry-After": NOON}).retry_after is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_the_reading_of_it(said, now):
    wait = ApiResponse(429, {"Retry-After": said, "Date": now}).retry_after

    assert wait is None or 0 <= wait <= LONGEST_WAIT

"""What an HTTP status means for a message: the same at every provider, but for what its own table says.

The rule behind the table: nothing is sent again unless it is certain that nothing was taken.
"""

from __future__ import annotations

import json

import pytest

from extensions import registry
from extensions.contract import (
    LONGEST_WAIT,
    Again,
    ApiResponse,
    Category,
    NotTaken,
    OutboundSms,
    Provider,
    Refused,
    Rung,
    SendResult,
    Unclear,
    bounded,
    by_reference,
    one_by_one,
    refused_together,
)
from tests.provider_cases import NOW, at_least, cases, files, load, provider_of, sms_of

DATA = {data["key"]: data for data in map(load, files())}
each_provider = pytest.mark.parametrize("key", sorted(DATA))

LATER, NEVER, UNCLEAR = Again.LATER, Again.NEVER, Again.UNCLEAR
LADDER = {
    100: (UNCLEAR, None),
    200: (UNCLEAR, None),  # with a body that cannot be read
    202: (UNCLEAR, None),
    204: (UNCLEAR, None),
    301: (UNCLEAR, None),
    302: (UNCLEAR, None),
    304: (UNCLEAR, None),
    400: (NEVER, Category.UNKNOWN),
    401: (NEVER, Category.AUTH_FAILED),
    402: (NEVER, Category.INSUFFICIENT_BALANCE),
    403: (NEVER, Category.AUTH_FAILED),
    404: (NEVER, Category.UNKNOWN),
    405: (NEVER, Category.UNKNOWN),
    408: (UNCLEAR, None),
    409: (NEVER, Category.UNKNOWN),
    413: (NEVER, Category.UNKNOWN),
    422: (NEVER, Category.UNKNOWN),
    429: (LATER, Category.RATE_LIMITED),
    500: (UNCLEAR, None),
    501: (UNCLEAR, None),
    502: (UNCLEAR, None),
    503: (UNCLEAR, None),
    504: (UNCLEAR, None),
    599: (UNCLEAR, None),
}
WAITS = {  # Retry-After and what is waited
    None: None,
    "7": 7.0,
    "0": 0.0,
    "-30": 0.0,
    "9" * 12: LONGEST_WAIT,  # 30,000 years
    "Thu, 26 Nov 2026 12:00:30 GMT": 30.0,
    "Thu, 26 Nov 2096 12:00:30 GMT": LONGEST_WAIT,
    "Wed, 25 Nov 2026 12:00:00 GMT": 0.0,
    "soon": None,
    "": None,
}
CLOCK = {"Date": "Thu, 26 Nov 2026 12:00:00 GMT"}
BODIES = [b"", b"{}", b"[]", b"<html>", b"null", b'{"messages": []}']


def answer(status, body=b"", said=None):
    return ApiResponse(status, CLOCK if said is None else {**CLOCK, "Retry-After": said}, body)


def outcome_of(act):
    """(again, category, wait) of what is raised for the request, or said of each of its messages alike."""
    try:
        error, *others = act()
    except (Refused, NotTaken, Unclear) as raised:
        error, others = raised, []
    assert [str(other) for other in others] == [str(error)] * len(others)
    if isinstance(error, NotTaken):
        assert not error.blameless
        return LATER, error.category, error.retry_after
    return (UNCLEAR, None, None) if isinstance(error, Unclear) else (NEVER, error.category, None)


def sends(key):
    """What reads the answers to a send."""
    provider = provider_of(DATA[key])
    yield provider.parse_send
    if provider.batch_size > 1:
        messages = [sms_of(provider, {"reference": reference}) for reference in ("r0", "r1")]
        yield lambda response: provider.parse_batch(response, messages)


@each_provider
@pytest.mark.parametrize("status", LADDER)
def test_an_http_status_means_the_same_at_every_provider(key, status):
    """Its own table is looked at first: see `test_what_a_provider_documents_otherwise_is_among_its_cases`."""
    again, category = LADDER[status]
    if own := registry.get(key).http_ladder.get(status):
        again, category = own.again, own.category if own.again is not UNCLEAR else None

    for read in sends(key):
        for body in BODIES:
            assert outcome_of(lambda: read(answer(status, body))) == (again, category, None), (body, status)  # noqa: B023


@each_provider
@pytest.mark.parametrize("said", WAITS)
def test_a_wait_is_read_in_one_way_and_is_never_longer_than_a_day(key, said):
    wait = WAITS[said]

    for read in sends(key):
        assert outcome_of(lambda: read(answer(429, b"{}", said))) == (LATER, Category.RATE_LIMITED, wait)  # noqa: B023
        closed = (LATER, Category.TRANSIENT, wait) if wait is not None else (UNCLEAR, None, None)
        assert outcome_of(lambda: read(answer(503, b"{}", said))) == closed  # noqa: B023
        for status in (408, 500, 502, 504):  # no time to come back makes certain that nothing was taken
            assert outcome_of(lambda: read(answer(status, b"{}", said)))[0] is UNCLEAR  # noqa: B023


def bodies_of(key):
    """Every body of an answer that is a refusal or a "later" in the provider's own words."""
    return {
        case["response"].get("body", "").encode()
        for heading, case in cases(DATA[key], "send", "batch")
        if case.get("error", {}).get("kind") in ("refused", "not_taken")
    }


@each_provider
@pytest.mark.parametrize("status", [100, 301, 302, 408, 500, 502, 504])
def test_no_words_make_certain_what_a_machine_on_the_way_may_have_said(key, status):
    """A time-out, a redirect and a server error are unclear, whatever is in the body."""
    own = registry.get(key).http_ladder.get(status)
    bodies = bodies_of(key)

    assert len(bodies) >= at_least(key, 6)
    for read in sends(key):
        for body in bodies:
            assert outcome_of(lambda: read(answer(status, body)))[0] is (own.again if own else UNCLEAR), body  # noqa: B023


@each_provider
def test_what_a_provider_documents_otherwise_is_among_its_cases(key):
    """An exception without a case that shows it could be taken out unnoticed."""
    shown = {case["response"].get("status", 200) for _, case in cases(DATA[key], "send") if "response" in case}

    assert set(registry.get(key).http_ladder) <= shown


@pytest.mark.parametrize("key", [key for key in sorted(DATA) if DATA[key].get("lookup")])
@pytest.mark.parametrize("status", LADDER)
def test_a_look_up_believes_nothing_but_200(key, status):
    """An answer of another kind that was taken for "not found" would send the text a second time."""
    provider = provider_of(DATA[key])
    sms = sms_of(provider, {})
    assert provider.build_lookup(sms, attempted_at=NOW)
    found = {case["response"].get("body", "").encode() for _, case in cases(DATA[key], "lookup") if "result" in case}

    for body in [*BODIES[:-1], *(found if status != 200 else ())]:
        expected = LATER if status == 429 else UNCLEAR
        assert outcome_of(lambda: provider.parse_lookup(answer(status, body), sms))[0] is expected  # noqa: B023
    if status in (429, 503):
        wait = outcome_of(lambda: provider.parse_lookup(answer(status, b"{}", "9" * 12), sms))
        assert (wait[0], wait[2]) == (LATER, LONGEST_WAIT)


# --- the ladder itself ------------------------------------------------------------------------------------------------


class Odd(Provider):
    http_ladder = {404: Rung(LATER, Category.TRANSIENT), 200: Rung(UNCLEAR), 418: Rung(UNCLEAR)}


@pytest.mark.parametrize("status", [200, 404, 418])
def test_a_providers_own_table_goes_first(status):
    expected = {200: UNCLEAR, 404: LATER, 418: UNCLEAR}[status]

    assert outcome_of(lambda: _raise(Odd.http_error(answer(status))))[0] is expected


@pytest.mark.parametrize("status", range(201, 300))
def test_a_good_status_is_for_the_body_to_tell(status):
    assert Odd.http_error(answer(status)) is None
    assert Odd.http_error(answer(status), said=Rung(LATER)) is None


@pytest.mark.parametrize("again", Again)
def test_what_the_body_says_counts_where_the_status_refuses_and_only_there(again):
    said = Rung(again, Category.TRANSIENT)

    assert outcome_of(lambda: _raise(Provider.http_error(answer(400), said=said)))[0] is again
    for status in (408, 500, 503):
        assert outcome_of(lambda: _raise(Provider.http_error(answer(status), said=said)))[0] is UNCLEAR  # noqa: B023
    assert outcome_of(lambda: _raise(Provider.http_error(answer(429), said=said)))[:2] == (LATER, Category.RATE_LIMITED)


@pytest.mark.parametrize(
    ("header", "body", "wait"), [("3", 9.0, 3), (None, 9.0, 9), (None, 1e9, LONGEST_WAIT), ("soon", 9.0, 9)]
)
def test_the_header_goes_before_a_wait_in_the_body_and_both_are_bounded(header, body, wait):
    for status, category in ((429, Category.RATE_LIMITED), (503, Category.TRANSIENT)):
        found = outcome_of(lambda: _raise(Provider.http_error(answer(status, said=header), wait=body)))  # noqa: B023
        assert found == (LATER, category, wait)


def test_a_wait_is_neither_in_the_past_nor_longer_than_a_day():
    assert [bounded(wait) for wait in (-1, 0, 1.5, LONGEST_WAIT, 1e12)] == [0, 0, 1.5, LONGEST_WAIT, LONGEST_WAIT]


def _raise(error):
    assert error is not None
    assert error.detail.startswith("HTTP ")
    raise error


def test_of_messages_that_were_refused_together_only_those_at_fault_fail():
    refusal = Refused(Category.INVALID_RECIPIENT, "no number")

    first, second, third = refused_together({1: refusal}, 3)

    assert second is refusal
    for other in (first, third):
        assert isinstance(other, NotTaken)
        assert other.blameless


def test_what_is_wrong_with_one_message_of_a_batch_is_its_own_outcome():
    def read(sms):
        if sms == "bad":
            raise Unclear("not named")
        return SendResult(sms)

    good, bad, last = one_by_one(["a", "bad", "b"], read)

    assert (good.message_id, last.message_id) == ("a", "b")
    assert isinstance(bad, Unclear)


def test_each_message_of_a_batch_is_found_by_our_reference_in_whatever_order_they_come():
    messages = [OutboundSms("+46700000001", "Hi", reference=reference) for reference in ("r1", "", "r2", "r3")]

    first, nameless, second, missing = by_reference(messages, {"r2": "b", "r1": "a", "": "x"}, SendResult)

    assert (first.message_id, second.message_id) == ("a", "b")
    assert isinstance(nameless, Unclear)
    assert isinstance(missing, Unclear)


# --- waits that are told in other words than the header ---------------------------------------------------------------


@pytest.mark.parametrize(("said", "wait"), [("8.5s", 8.5), ("999999s", LONGEST_WAIT), ("-5s", None), ("a while", None)])
def test_sinch_may_tell_the_wait_in_the_body(said, wait):
    body = {"error": {"code": 429, "details": [{"retryDelay": said}]}}

    found = outcome_of(lambda: provider_of(DATA["sinch"]).parse_send(answer(429, json.dumps(body).encode())))

    assert found == (LATER, Category.RATE_LIMITED, wait)


@pytest.mark.parametrize(("milliseconds", "wait"), [("250", 0.25), ("999999999", LONGEST_WAIT)])
def test_vonage_tells_the_wait_in_a_sentence(milliseconds, wait):
    part = {"status": "1", "error-text": f"Throughput Rate Exceeded - please wait [ {milliseconds} ] and retry"}
    body = {"message-count": "1", "messages": [part]}

    found = outcome_of(lambda: provider_of(DATA["vonage"]).parse_send(answer(200, json.dumps(body).encode())))

    assert found == (LATER, Category.RATE_LIMITED, wait)


def test_messagebirds_internal_error_is_unclear_although_the_status_refuses():
    body = b'{"errors": [{"code": 99, "description": "internal error"}]}'

    assert outcome_of(lambda: provider_of(DATA["messagebird"]).parse_send(answer(422, body)))[0] is UNCLEAR


@pytest.mark.parametrize(("said", "wait"), [(None, None), ("9", 9.0)])
def test_link_mobilitys_internal_error_was_certainly_not_taken(said, wait):
    body = b'{"status": 106000, "description": "internal"}'

    for read in sends("link_mobility"):
        assert outcome_of(lambda: read(answer(400, body, said))) == (LATER, Category.TRANSIENT, wait)  # noqa: B023

"""Whatever text a stranger sends: it is read or refused with a reason, kept whole, and holds up nobody."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributions.models import InboundMessage, InboundPart, Message, MessageEvent
from extensions import contract, registry
from extensions.contract import DeliveryReport, InboundSms, InvalidSignature, LookUp, ProviderError, SendResult
from extensions.models import TestMessage
from intake.data import DEEPEST, NotReadable, read_json
from intake.text import fitted, fitted_id, is_storable, storable
from tests import provider_cases

bounded = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

LENGTHS = st.sampled_from([0, 1, 39, 40, 41, 79, 80, 81, 255, 256, 1_000, 65_536])
CHARACTERS = st.one_of(
    st.characters(),  # every class of code points, surrogates left out
    st.sampled_from("\0\ud800\udbff\udc00\udfff\ufffe\uffff\U0010ffff\u202e\u200f\u2066\u200b\ufeff\u0301\x1b\x7f\x85'\"\\%<[{;\r\n\t"),
)  # fmt: skip
# Short pieces, repeated to any length: quick to draw, and what repeats is what readers stumble over.
HOSTILE = st.builds(
    lambda piece, length: (piece * (length // len(piece) + 1))[:length] if piece else "",
    st.text(CHARACTERS, max_size=6),
    LENGTHS,
)
NUMBERS = st.sampled_from([-1, 0, 255, 256, 32_768, 2**31, 2**63, 10**4_000, 1.5, True, None, [], {}, [[]], {"": ""}])
DATA = provider_cases.all_data()
PROVIDERS = list(DATA.values())
DOCUMENTED = (ProviderError,)


def leaves(value, path=()):
    """The places of all single values in a JSON value."""
    if isinstance(value, dict):
        return [place for name, inner in value.items() for place in leaves(inner, (*path, name))]
    if isinstance(value, list):
        return [place for number, inner in enumerate(value) for place in leaves(inner, (*path, number))]
    return [path]


def with_hostile(data, value, body):
    """The body with one of its values, JSON's or a form's, in place of another; or with bytes of any kind."""
    try:
        content = json.loads(body)
    except ValueError:
        pairs = parse_qsl(body, keep_blank_values=True)
        if not pairs:
            return str(value).encode(errors="replace")
        number = data.draw(st.integers(0, len(pairs) - 1))
        pairs[number] = (pairs[number][0], str(value))
        return urlencode(pairs, errors="replace").encode()
    places = leaves(content)
    if not places or not places[0]:
        return json.dumps(value).encode()
    return replaced(content, data.draw(st.sampled_from(places)), value)


def replaced(content, place, value):
    """JSON with this value in one place of it."""
    content = copy.deepcopy(content)
    *way, last = place
    inner = content
    for step in way:
        inner = inner[step]
    inner[last] = value
    return json.dumps(content).encode()


def assert_fits(said):
    """Everything a provider said can be stored in the columns that it ends in."""
    for field in dataclasses.fields(said):
        value = getattr(said, field.name)
        if not isinstance(value, str):
            continue
        assert is_storable(value), field.name
        length = contract.ID_LENGTHS.get(field.name) or contract.WORDS_LENGTHS.get(field.name)
        assert length is None or len(value) <= length, field.name


@pytest.mark.parametrize("key", provider_cases.each("status"))
@bounded
@given(data=st.data())
def test_whatever_a_callback_holds_it_is_read_or_refused_with_a_reason(key, data):
    provider = DATA[key]
    callbacks = [
        (provider_cases.kind_of(heading, case), case)
        for heading, case in provider_cases.cases(provider, "report", "inbound", "opt_out")
        if not provider_cases.is_send(case) and case.get("body", case.get("query"))
    ]
    kind, case = data.draw(st.sampled_from(callbacks))
    value = data.draw(HOSTILE | NUMBERS)
    here = provider_cases.provider_of(provider, case)
    request = provider_cases.callback_of(provider, case, kind)
    if request.body:
        request = dataclasses.replace(request, body=with_hostile(data, value, request.body.decode()))
    else:
        query = with_hostile(data, value, case["query"]).decode()
        request = dataclasses.replace(request, url=f"{request.url.partition('?')[0]}?{query}")

    try:
        here.verify(request, now=provider_cases.NOW)
    except InvalidSignature as refusal:
        reasons = [refusal.reason]
    else:
        reasons = []
    assert len(here.dedupe_key(request)) <= 200
    for parse in (here.parse_reports, here.parse_inbound):
        try:
            found = parse(request)
        except DOCUMENTED as error:
            reasons.append(str(error))
        else:
            for said in found:
                assert isinstance(said, DeliveryReport | InboundSms)
                assert_fits(said)
    assert all(reason and is_storable(reason) for reason in reasons)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda data: data["key"])
@bounded
@given(data=st.data())
def test_whatever_a_provider_answers_to_a_send_or_a_look_up_it_means_something(provider, data):
    heading, case = data.draw(st.sampled_from(answered(provider)))
    body = provider_cases.answer_of(case).body.decode() or "{}"

    assert_means_something(provider, heading, case, with_hostile(data, data.draw(HOSTILE | NUMBERS), body))


def answered(provider):
    """(heading, case) of everything that a provider is asked."""
    found = provider_cases.cases(provider, "send", "batch", "lookup", "check", "token")
    return [(heading, case) for heading, case in found if "response" in case]


def assert_means_something(provider, heading, case, body):
    """An answer with this body is read, or refused as documented, and can be stored."""
    here = provider_cases.provider_of(provider, case)
    answer = dataclasses.replace(provider_cases.answer_of(case), body=body)
    sms = case.get("sms", {})
    messages = [provider_cases.sms_of(here, one) for one in (sms if isinstance(sms, list) else [sms])]

    try:
        match heading:
            case "send":
                said = [here.parse_send(answer)]
            case "batch":
                said = here.parse_batch(answer, messages)
            case "lookup":
                said = [here.parse_lookup(answer, messages[0])]
            case "token":
                said = [here.parse_token(answer)]
            case _:
                said = [here.parse_check(answer)]
    except DOCUMENTED as error:
        said = [error]
    for one in said:
        if isinstance(one, ProviderError):
            assert is_storable(str(one))
        elif isinstance(one, SendResult | LookUp):
            assert_fits(one)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 1e308, [[]], True, None, "", "9" * 400], ids=lambda value: repr(value)[:9]
)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda data: data["key"])
def test_each_value_of_each_answer_may_be_of_any_size_and_kind(provider, value):
    """What the draws above meet by chance, one by one: a check failed at a balance too large to count with."""
    for heading, case in answered(provider):
        answer = provider_cases.answer_of(case)
        try:
            content = json.loads(answer.body)
        except ValueError:
            continue
        for place in filter(None, leaves(content)):
            assert_means_something(provider, heading, case, replaced(content, place, value))


@given(st.text(CHARACTERS, max_size=300), st.integers(0, 300))
def test_storable_text_is_what_was_written_without_what_no_database_holds(text, length):
    kept = storable(text)

    assert is_storable(kept)
    assert kept.encode().decode() == kept
    assert storable(kept) == kept
    if is_storable(text):
        assert kept == text
    assert fitted(text, length) == kept[:length]


@given(st.text(CHARACTERS, max_size=200), st.text(CHARACTERS, max_size=200))
def test_two_ids_that_differ_still_differ_when_they_are_cut(one, other):
    cut, other_cut = fitted_id(one, 80), fitted_id(other, 80)

    assert len(cut) <= 80
    assert is_storable(cut)
    assert fitted_id(cut, 80) == cut, "cutting twice changes nothing"
    assert (cut == other_cut) == (storable(one) == storable(other))


def test_half_a_pair_and_its_other_half_are_one_character_again():
    assert storable("\ud83d\ude00") == "😀"


def test_the_lengths_are_those_of_the_columns():
    columns = [
        (Message, "provider_message_id", "message_id"),
        (InboundMessage, "provider_message_id", "message_id"),
        (InboundPart, "provider_message_id", "message_id"),
        (TestMessage, "provider_message_id", "message_id"),
        (InboundMessage, "sender", "sender"),
        (InboundMessage, "recipient", "recipient"),
        (InboundPart, "sender", "sender"),
        (MessageEvent, "part", "part"),
    ]
    for model, column, name in columns:
        assert contract.ID_LENGTHS[name] <= model._meta.get_field(column).max_length
    for model in (Message, MessageEvent):
        assert contract.WORDS_LENGTHS["error"] <= model._meta.get_field("error").max_length


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        '{"a":' * 60 + "1" + "}" * 60,
        "9" * 5_000,
        "[1, -" + "9" * 5_000 + "]",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "",
        "{",
        "\ud800",
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_none_or_too_much_is_refused_with_a_sentence(text):
    with pytest.raises(NotReadable) as refusal:
        read_json(text.encode("utf-8", "surrogatepass"))

    assert refusal.value.reason.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEPEST + "]" * DEEPEST,
        json.dumps({"brackets": "[" * 5_000}),
        json.dumps([[1, {}]] * 5_000),
        "1e300",
        "9" * 4_000,
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_large_but_honest_is_read(text):
    assert read_json(text) == json.loads(text)


# --- operations -------------------------------------------------------------------------------------------------------

READERS = {
    f"{data['key']} {name}": (data, name)
    for key, data in DATA.items()
    for name in ("parse_reports", "parse_inbound", "verify")
    if name != "verify" or registry.get(key).calls()
}
PIECES = ("c,", "[", '{"a":', "&a=b", "%00", "\\ud800", '"', "\r\n", "1e9,", '{"results":[', "((", "a" * 16, "é", "\0")


def lines_of(work):
    """How many lines of Python `work` runs."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except ProviderError:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("reader", READERS)
def test_reading_twice_as_much_takes_at_most_twice_the_steps(reader):
    """Counted, not timed: lines of Python, on 32 KB and 64 KB of each piece."""
    data, name = READERS[reader]
    here = provider_cases.provider_of(data)
    kind = "message" if name == "parse_inbound" else "status"

    def steps(piece, size, content_type):
        body = (piece * (size // len(piece) + 1))[:size].encode()
        headers = {"Content-Type": content_type, "Authorization": "Basic " + "Y" * 64, "X-Twilio-Signature": "x"}
        request = contract.WebhookRequest("POST", provider_cases.callback_url(type(here), kind), headers, body)
        if name == "verify":
            return lines_of(lambda: here.verify(request, now=provider_cases.NOW))
        return lines_of(lambda: getattr(here, name)(request))

    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        for piece in PIECES:
            once, twice = steps(piece, 32_768, content_type), steps(piece, 65_536, content_type)
            assert twice <= 2.2 * once + 200, (piece, content_type, once, twice)

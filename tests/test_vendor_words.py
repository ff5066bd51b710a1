"""Words of providers that look like values and are none: limits that are no waiting times, templates not filled in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions import registry
from extensions.contract import ApiResponse, NotTaken, Unreadable, WebhookRequest
from tests import factories

URL = "https://surveys.example.com/distribution-providers/v1/receive/distribution/message/messagemedia/ORG42"
words = st.from_regex(r"\A\$[a-zA-Z][a-zA-Z0-9]{0,20}\Z") | st.from_regex(r"\A\$\{[a-zA-Z][a-zA-Z0-9]{0,20}\}\Z")


# --- Vonage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Throughput Rate Exceeded - please wait [ 250 ] and retry", 0.25),
        ("Throughput Rate Exceeded - Please Wait [250] and retry", 0.25),
        ("[ 30 ] INTERVAL [ 1000 ] - please wait [ 125 ] and retry", 0.125),
        ("Throughput Rate Exceeded - [ 30 ] INTERVAL [ 1000 ]", None),
        ("MAX_TPS [ 30 ] INTERVAL [ 1000 ]", None),
        ("wait for MAX [ 30 ] INTERVAL [ 1000 ]", None),
        ("please wait [ soon ] and retry", None),
        ("Throttled [ 1 ]", None),
        ("Throttled", None),
    ],
)
def test_only_what_vonage_says_to_wait_is_a_waiting_time(said, seconds):
    provider = registry.get("vonage")(factories.CREDENTIALS["vonage"], sender="13531234567")
    body = {"message-count": "1", "messages": [{"status": "1", "error-text": said}]}

    with pytest.raises(NotTaken) as caught:
        provider.parse_send(ApiResponse(200, body=json.dumps(body).encode()))

    assert caught.value.retry_after == seconds


# --- MessageMedia -----------------------------------------------------------------------------------------------------


def messagemedia():
    return registry.get("messagemedia")(factories.CREDENTIALS["messagemedia"], sender="353861000000")


def call(**fields):
    return WebhookRequest("POST", URL, {"Content-Type": "application/json"}, json.dumps(fields).encode())


@given(reply_id=words, recipient=words, message_id=words)
def test_a_word_of_the_template_that_was_not_filled_in_is_no_value(reply_id, recipient, message_id):
    told = messagemedia().parse_inbound(
        call(
            reply_id=reply_id,
            source_number="+353871234567",
            destination_number=recipient,
            message_id=message_id,
            content="9, great",
        )
    )

    assert [(sms.message_id, sms.recipient, sms.in_reply_to, sms.text) for sms in told] == [("", "", "", "9, great")]


@given(sender=words)
def test_nobody_is_called_by_a_word_of_the_template(sender):
    with pytest.raises(Unreadable) as caught:
        messagemedia().parse_inbound(call(reply_id="r-1", source_number=sender, content="9"))

    assert "source_number" in caught.value.reason


@pytest.mark.parametrize("no_id", ["$notificationId", "${notificationId}", "", None])
def test_two_opt_outs_without_ids_are_two_and_one_that_is_repeated_is_one(no_id):
    provider = messagemedia()
    first, second = (call(notification_id=no_id, source_number=f"+35387123456{n}", content="STOP") for n in (7, 8))

    assert provider.dedupe_key(first) != provider.dedupe_key(second)
    assert provider.dedupe_key(first) == provider.dedupe_key(first)
    for request in (first, second):
        (sms,) = provider.parse_inbound(request)
        assert (sms.message_id, sms.opt_out) == ("", True)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"status": "delivered", "message_id": "m-1", "content": "$moContent"}, "report"),
        ({"status": "$status", "content": "9", "source_number": "+353871234567"}, "reply"),
        ({"status": "$status", "content": "$moContent", "source_number": "+353871234567"}, "opt_out"),
    ],
)
def test_one_template_for_all_events_is_told_apart_by_what_is_filled_in(fields, kind):
    provider = messagemedia()
    request = call(delivery_report_id="$drId", reply_id="$replyId", notification_id="$notificationId", **fields)

    assert [report.message_id for report in provider.parse_reports(request)] == (["m-1"] if kind == "report" else [])
    assert [sms.opt_out for sms in provider.parse_inbound(request)] == {
        "report": [],
        "reply": [None],
        "opt_out": [True],
    }[kind]


@pytest.mark.parametrize("text", ["$20", "$yes", "US$", "It cost $five", "$", "100 $"])
def test_what_a_person_writes_stays_whatever_it_looks_like(text):
    (sms,) = messagemedia().parse_inbound(call(reply_id="r-1", source_number="+353871234567", content=text))

    assert sms.text == text

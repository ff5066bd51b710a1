"""One request can be followed through all logs; logs are lines or JSON, and what leaves for Sentry is scrubbed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlencode

import pytest
import sentry_sdk
from django.test import Client
from django.utils import timezone
from hypothesis import given
from sentry_sdk.transport import Transport

from config.ops import logs, sentry
from config.ops.checks import log_format
from distributions.engine.references import reference
from distributions.models import Distribution
from distributions.states import Status
from organizations import tracing
from organizations.tracing import HEADER
from tests import factories
from tests.processes import ROOT, Web, Worker, environment
from tests.test_logs import AROUND, Odd, numbers, record, together

# --- the trace --------------------------------------------------------------------------------------------------------


def test_each_request_has_a_trace_that_nobody_can_choose(db):
    first, second = (Client().get("/admin/login/", headers={HEADER: "chosen"})[HEADER] for _ in range(2))

    assert first != second
    assert len(first) == tracing.LENGTH
    assert first.isalpha()
    assert tracing.current.get() == ""


def test_a_refused_request_has_one_too(db):
    assert Client().post("/distribution-providers/v1/receive/distribution/status/twilio-sms/ORG0")[HEADER]
    assert Client().get("/nowhere")[HEADER]


def test_a_line_names_the_trace_that_it_belongs_to():
    assert "[" not in logs.MaskingFormatter().format(record("kept"))
    with tracing.under("bcdf"):
        assert logs.MaskingFormatter().format(record("kept")).endswith("distributions.engine.pump [bcdf] kept")
        with tracing.under(""):
            assert tracing.current.get() == "bcdf"
    assert tracing.current.get() == ""


def post(web, path, parameters, token):
    """A callback as Twilio makes it; its trace."""
    url = f"{web.url}{path}"
    signed = url + "".join(f"{name}{parameters[name]}" for name in sorted(parameters))
    signature = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    request = urllib.request.Request(url, urlencode(parameters).encode(), {"X-Twilio-Signature": signature})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers[HEADER]


def lines_of(process, trace):
    return [line for line in process.output().splitlines() if trace in line]


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", ["line", "json"])
def test_a_callback_can_be_followed_from_the_web_through_the_worker_to_the_message(start, settings, form):
    clinic = factories.organization(public_id="ORG42")
    account = factories.account(clinic)
    made = factories.distribution(
        clinic, recipients=1, account=account, state=Distribution.State.FINISHED, launched_at=timezone.now()
    )
    made.messages.update(status=Status.ACCEPTED, attempt=1, provider_message_id="SM1")
    message = made.messages.get()
    web, worker = start(Web, LOG_FORMAT=form), start(Worker, LOG_FORMAT=form)
    credentials = factories.CREDENTIALS["twilio"]
    said = {
        "MessageSid": "SM1",
        "MessageStatus": "delivered",
        "To": message.to,
        "AccountSid": credentials["account_sid"],
    }

    path = "/distribution-providers/v1/receive/distribution/{}/twilio-sms/ORG42"
    report = post(web, path.format("status") + f"?mid={reference(message.pk)}", said, credentials["auth_token"])
    text = {
        "MessageSid": "SM2",
        "From": message.to,
        "To": account.sender,
        "Body": "Yes, please call",
        "SmsStatus": "received",
    }
    reply = post(web, path.format("message"), text, credentials["auth_token"])
    deadline = time.monotonic() + 60
    while not (lines_of(worker, report) and lines_of(worker, reply)):
        assert time.monotonic() < deadline, worker.output()[-3000:]
        time.sleep(0.2)
    time.sleep(0.5)

    assert any("A status callback of twilio is kept" in line for line in lines_of(web, report))
    assert any(f"Message {message.pk:_}: twilio reports" in line for line in lines_of(worker, report))
    assert any("is applied" in line for line in lines_of(worker, report))
    assert any("Reply" in line and f"message {message.pk:_} is kept" in line for line in lines_of(worker, reply))
    for process in (web, worker):
        assert message.to.lstrip("+") not in process.output()
        assert "please call" not in process.output()
    if form == "json":
        told = [json.loads(line) for line in lines_of(web, report) + lines_of(worker, report)]
        assert all(line["trace"] == report for line in told)


# --- JSON -------------------------------------------------------------------------------------------------------------


@given(numbers(), AROUND, AROUND)
def test_a_line_of_json_is_valid_and_has_no_whole_number(written, before, after):
    number, text = written
    said = f"{before}{text}{after}"
    try:
        raise Odd(said)
    except Odd:
        raised = sys.exc_info()

    for one in (
        record("to %s", said),
        record("broken", exc_info=raised),
        record("deep", sinfo=f"Stack\n to = {said!r}"),
    ):
        line = logs.MaskingJsonFormatter().format(one)
        told = json.loads(line)
        assert "\n" not in line
        assert told["level"] == "ERROR"
        for name in ("message", "error", "stack"):
            assert number not in together(told.get(name, ""))


def test_what_nobody_catches_is_a_line_of_json_too(db):
    code = "import django\ndjango.setup()\nraise ValueError('Key (phone)=(+447700900123) already exists.')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment() | {"LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = json.loads(done.stderr.splitlines()[-1])

    assert (told["level"], told["message"]) == ("CRITICAL", "ValueError")
    assert "+44•••0123" in told["error"]


def test_a_format_that_does_not_exist_is_refused_at_the_start(settings):
    assert log_format(None) == []
    settings.LOG_FORMAT = "yaml"

    assert [found.id for found in log_format(None)] == ["switchboard.E020"]


def test_pings_are_not_logged_and_everything_else_is():
    keep = logs.WithoutPings().filter
    assert not keep(record("Task %(name)s[%(id)s] received", {"name": logs.PING, "id": "1"}))
    assert not keep(record("Scheduler: Sending due task %s (%s)", "ping-send", logs.PING))
    assert keep(record("Task %(name)s[%(id)s] received", {"name": "distributions.tasks.pump", "id": "1"}))
    assert keep(record("kept"))


# --- Sentry -----------------------------------------------------------------------------------------------------------


class Sink(Transport):
    def __init__(self):
        super().__init__()
        self.events = []

    def capture_envelope(self, envelope):
        self.events += [event for item in envelope.items if (event := item.get_event()) is not None]


@pytest.fixture
def sink(settings):
    settings.SENTRY_DSN = "https://key@errors.example.com/1"
    made = Sink()
    sentry.begin(transport=made)
    yield made
    sentry_sdk.get_client().close()
    sentry_sdk.init()  # sends nothing any more


def test_what_is_sent_holds_nothing_of_people(sink, db):
    phone, text, secret = "+447700900123", "Our very private text", "planted-auth-token-5f1c9a7e"
    try:
        variable = {"text": text, "secret": secret}
        raise ValueError(f"Key (phone)=({phone}) already exists.\nDETAIL: row contains ({text}, {secret}, {variable})")
    except ValueError as error:
        sentry_sdk.set_user({"email": "ada@example.org"})
        sentry_sdk.capture_exception(error)
    logging_said = "could not send %s to %s"
    logs.logging.getLogger("distributions").error(logging_said, text, phone)
    sentry_sdk.flush()

    assert len(sink.events) == 2
    told = json.dumps(sink.events)
    for word in (phone, phone.lstrip("+"), text, secret, "ada@example.org"):
        assert word not in told
    [raised] = [event for event in sink.events if "exception" in event]
    assert raised["exception"]["values"][0]["type"] == "ValueError"
    assert raised["exception"]["values"][0]["stacktrace"]["frames"]
    assert any(event.get("logentry") == {"message": logging_said} for event in sink.events)


def test_of_a_request_its_method_and_address_are_left():
    event = {
        "event_id": "1",
        "request": {
            "method": "POST",
            "url": "https://surveys.example.com/admin/contacts/?q=447700900123",
            "query_string": "q=447700900123",
            "headers": {"Cookie": "sessionid=secret"},
            "data": {"text": "private"},
            "env": {"REMOTE_ADDR": "203.0.113.9"},
        },
    }
    assert sentry.scrub(event) == {
        "event_id": "1",
        "request": {"method": "POST", "url": "https://surveys.example.com/admin/contacts/"},
        "contexts": {},
    }
    link = sentry.scrub({"request": {"url": "https://surveys.example.com/s/Xy12z-secret"}})
    assert link["request"] == {"url": "https://surveys.example.com/s/…"}


def test_without_the_setting_nothing_is_asked_of_the_package(settings, monkeypatch):
    settings.SENTRY_DSN = ""
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)

    sentry.begin()


def test_a_missing_package_is_named_at_the_start(settings, monkeypatch):
    settings.SENTRY_DSN = "https://key@errors.example.com/1"
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)

    with pytest.raises(Exception, match=r"requirements-sentry\.txt"):
        sentry.begin()

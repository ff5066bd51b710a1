"""`manage.py send_test`: one real message from the command line."""

from __future__ import annotations

import json
from io import StringIO

import pytest
import responses
from django.core.management import CommandError, call_command

from extensions.models import TestMessage
from organizations.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db
SEND = f"https://api.twilio.com/2010-04-01/Accounts/{factories.CREDENTIALS['twilio']['account_sid']}/Messages.json"


@pytest.fixture
def clinic():
    return factories.organization("City Clinic")


def send(*arguments):
    output = StringIO()
    call_command("send_test", *arguments, stdout=output)
    return output.getvalue()


@responses.activate
def test_it_sends_one_message_through_the_organisations_account(clinic):
    factories.account(clinic, "twilio", granted=False)
    responses.post(SEND, status=201, json={"sid": "SM1", "status": "queued", "num_segments": "1"})

    output = send("twilio", "+447400123456", "--text", "Hello ☺")

    assert "Twilio has the message; its ID there is SM1." in output
    (call,) = responses.calls
    assert "Body=Hello+%E2%98%BA" in call.request.body.decode()
    assert "%2B447400123456" in call.request.body.decode()
    assert TestMessage.objects.get().provider_message_id == "SM1"
    assert AuditEvent.objects.filter(actor=None, organization=clinic).exists()


@responses.activate
def test_it_says_why_the_provider_refused(clinic):
    factories.account(clinic, "twilio")
    responses.post(SEND, status=400, body=json.dumps({"code": 21211, "message": "Invalid 'To' Phone Number"}))

    with pytest.raises(CommandError, match="did not take the message: 21211: Invalid"):
        send("twilio", "+447400123456")


@responses.activate
def test_it_says_when_the_answer_was_not_clear(clinic):
    factories.account(clinic, "twilio")
    responses.post(SEND, status=500)

    with pytest.raises(CommandError, match="not clear whether"):
        send("twilio", "+447400123456")


def test_mistakes_are_named_with_what_would_be_right(clinic):
    with pytest.raises(CommandError, match=r"no provider no-such-one; there are: .*twilio"):
        send("no-such-one", "+447400123456")
    with pytest.raises(CommandError, match="City Clinic has no account"):
        send("twilio", "+447400123456")
    with pytest.raises(CommandError, match="no organisation with the ID ORG42"):
        send("twilio", "+447400123456", "--organization", "ORG42")
    factories.account(clinic, "twilio")
    with pytest.raises(CommandError, match="12: This is not a phone number"):
        send("twilio", "12")
    factories.organization("Other Clinic")
    with pytest.raises(CommandError, match="name one with --organization"):
        send("twilio", "+447400123456")


def test_a_licence_without_sms_sends_nothing():
    clinic = factories.organization(sms=False)
    factories.account(clinic, "twilio")

    with pytest.raises(CommandError, match="add-on"):
        send("twilio", "+447400123456", "--organization", clinic.public_id)

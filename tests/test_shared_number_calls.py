"""Calls for the installation's own account, from the door to the rows: whose they are, and whose not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from contacts.models import OptOut
from distributions.engine.references import reference
from distributions.models import Distribution, InboundMessage, Message
from distributions.states import Status
from tests import factories
from webhooks import applying, inbox
from webhooks.models import Callback, RefusedCallback

pytestmark = pytest.mark.django_db

PUBLIC_URL = "https://surveys.example.com"
PATH = "/distribution-providers/v1/receive/distribution/{}/twilio-sms/{}"
PHONE = "+447700900077"
OWN = {"account_sid": "AC" + "9" * 32, "auth_token": "9" * 32}  # the installation's


@pytest.fixture(autouse=True)
def fresh_cache(settings):
    settings.PUBLIC_URL = PUBLIC_URL
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()


@pytest.fixture
def shared():
    return factories.account(None, credentials=OWN, sender="447700900100")


def texted(organization, account, *, minutes_ago=5, phone=PHONE, sid=""):
    made = factories.distribution(
        organization,
        contact_list=factories.contact_list(organization, phones=[phone]),
        recipients=1,
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
    )
    at = timezone.now() - timedelta(minutes=minutes_ago)
    made.messages.update(status=Status.ACCEPTED, attempt=1, attempted_at=at, provider_message_id=sid)
    return made.messages.get()


def call(kind, organization, parameters, *, token=OWN["auth_token"], about=None):
    """A callback; a report is `about` one of our texts, whose reference Twilio echoes."""
    path = PATH.format(kind, organization.public_id) + (f"?mid={reference(about.pk)}" if about else "")
    signed = PUBLIC_URL + path + "".join(f"{name}{parameters[name]}" for name in sorted(parameters))
    signature = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    form = "application/x-www-form-urlencoded"
    return Client().post(path, urlencode(parameters), form, headers={"X-Twilio-Signature": signature})


def reply(text, sid="SMin1", to="+447700900100", sender=PHONE):
    return {
        "MessageSid": sid,
        "SmsStatus": "received",
        "From": sender,
        "To": to,
        "Body": text,
        "AccountSid": OWN["account_sid"],
    }


def arrive(kind, organization, parameters, **options):
    answer = call(kind, organization, parameters, **options)
    assert answer.status_code == 200
    applying.apply_due()
    assert set(Callback.objects.values_list("state", flat=True)) == {Callback.State.APPLIED}


def test_a_reply_goes_to_whoever_texted_last_although_another_is_called(shared):
    """The provider has one address for the number, which names one organisation."""
    called, last = factories.organization(), factories.organization()
    texted(called, shared, minutes_ago=9)
    theirs = texted(last, shared, minutes_ago=2)

    arrive("message", called, reply("Thank you"))

    kept = InboundMessage.objects.get()
    assert (kept.organization, kept.message, kept.account) == (last, theirs, shared)
    assert kept.contact.organization == last
    assert kept.text == "Thank you"


def test_from_somebody_whom_nobody_texted_nothing_is_kept(shared):
    called = factories.organization()
    texted(called, shared, phone="+447700900001")

    arrive("message", called, reply("Hello?"))

    assert not InboundMessage.objects.exists()


def test_a_stop_counts_for_everybody_who_texted_the_person_on_it_and_for_nobody_else(shared):
    first, last, elsewhere, stranger = (factories.organization() for _organization in range(4))
    own = factories.account(elsewhere)
    texted(first, shared, minutes_ago=9)
    texted(last, shared, minutes_ago=2)
    texted(elsewhere, own, minutes_ago=1)
    factories.contact_list(stranger, phones=[PHONE])

    arrive("message", first, reply("STOP"))

    stopped = set(OptOut.objects.active().values_list("organization", flat=True))
    assert stopped == {first.pk, last.pk}


def test_the_same_call_at_two_organisations_addresses_is_one_reply(shared):
    first, last = factories.organization(), factories.organization()
    texted(first, shared, minutes_ago=9)
    texted(last, shared, minutes_ago=2)

    arrive("message", first, reply("Thank you"))
    arrive("message", last, reply("Thank you"))

    assert InboundMessage.objects.count() == 1
    assert Callback.objects.count() == 1, "it is known before it is applied"


def test_a_report_moves_the_text_of_whichever_organisation_sent_it(shared):
    called, other = factories.organization(), factories.organization()
    mine, theirs = texted(called, shared, sid="SM1"), texted(other, shared, sid="SM2")
    report = {"MessageSid": "SM2", "MessageStatus": "delivered", "To": PHONE, "AccountSid": OWN["account_sid"]}

    arrive("status", called, report, about=theirs)

    states = dict(Message.objects.values_list("pk", "status"))
    assert states == {mine.pk: Status.ACCEPTED, theirs.pk: Status.DELIVERED}


def test_an_organisations_own_secret_does_not_open_the_shared_number(shared):
    """Its signature proves its own account alone, where the number is none of its own."""
    clinic, other = factories.organization(), factories.organization()
    factories.account(clinic)
    theirs = texted(other, shared, sid="SM1")
    texted(clinic, shared)

    own = factories.CREDENTIALS["twilio"]
    report = {"MessageSid": "SM1", "MessageStatus": "failed", "To": PHONE, "AccountSid": own["account_sid"]}
    assert call("status", clinic, report, token=own["auth_token"], about=theirs).status_code == 200
    stop = {**reply("STOP"), "AccountSid": own["account_sid"]}
    assert call("message", clinic, stop, token=own["auth_token"]).status_code == 200
    applying.apply_due()

    theirs.refresh_from_db()
    assert theirs.status == Status.ACCEPTED
    assert not OptOut.objects.filter(organization=other).exists()


def test_another_organisations_secret_opens_nothing(shared):
    clinic, other = factories.organization(), factories.organization()
    factories.account(other, credentials={"account_sid": "AC" + "7" * 32, "auth_token": "7" * 32})
    texted(clinic, shared)

    answer = call("message", clinic, {**reply("STOP"), "AccountSid": "AC" + "7" * 32}, token="7" * 32)

    assert answer.status_code == 401
    assert not Callback.objects.exists()
    assert RefusedCallback.objects.get().organization == clinic

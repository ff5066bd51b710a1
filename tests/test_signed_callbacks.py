"""Callbacks of the providers that sign with tokens and parameters, through the door and into the history."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from urllib.parse import urlencode

import jwt
import pytest
from django.test import Client
from django.utils import timezone

from contacts.models import OptOut
from distributions.engine.references import reference
from distributions.models import Distribution, InboundMessage, InboundPart
from distributions.states import Status
from extensions.contract import Fault, basic_authorization
from tests import factories
from webhooks import applying, inbox
from webhooks.models import RefusedCallback

pytestmark = pytest.mark.django_db

PUBLIC_URL = "https://surveys.example.com"
PATH = "/distribution-providers/v1/receive/distribution/{}/{}/ORG42"
SIGNING_KEY = "a-signing-key-for-tests-of-32-letters"
VONAGE = {
    "account_sid": "a1b2c3d4",
    "auth_token": "sandbox-api-secret",
    "signature_secret": "a-signature-secret-for-tests",
    "signature_method": "sha256",
}


@pytest.fixture(autouse=True)
def fresh_cache(settings):
    settings.PUBLIC_URL = PUBLIC_URL
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()


@pytest.fixture
def clinic():
    return factories.organization(public_id="ORG42")


@pytest.fixture
def messagebird(clinic):
    credentials = {"signing_key": SIGNING_KEY, "access_token": "live_sandbox"}
    return factories.account(clinic, "messagebird", credentials=credentials)


@pytest.fixture
def vonage(clinic):
    return factories.account(clinic, "vonage", credentials=VONAGE)


def message_of(account, **fields):
    made = factories.distribution(
        account.organization,
        recipients=1,
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
    )
    made.messages.update(status=Status.ACCEPTED, attempt=1, provider_message_id="first", **fields)
    return made.messages.get()


def call_messagebird(kind, fields, *, slug="messagebird-sms", method="POST", key=SIGNING_KEY):
    """A callback as MessageBird makes it, with a token of its own."""
    content = urlencode(fields)
    path = PATH.format(kind, slug) + (f"?{content}" if method == "GET" else "")
    body = content if method == "POST" else ""
    now = int(time.time())
    claims = {"iss": "MessageBird", "nbf": now, "exp": now + 60, "jti": str(uuid.uuid4())}
    claims["url_hash"] = hashlib.sha256((PUBLIC_URL + path).encode()).hexdigest()
    if body:
        claims["payload_hash"] = hashlib.sha256(body.encode()).hexdigest()
    headers = {"MessageBird-Signature-JWT": jwt.encode(claims, key, algorithm="HS256")}
    return Client().generic(method, path, body, "application/x-www-form-urlencoded", headers=headers)


def call_vonage(kind, fields, *, slug="vonage-sms"):
    """A callback as Vonage makes it, by POST-JSON with a signature over all parameters."""
    fields = {
        **fields,
        "api-key": VONAGE["account_sid"],
        "timestamp": str(int(time.time())),
        "nonce": str(uuid.uuid4()),
    }
    signed = "".join(f"&{name}={value.replace('&', '_').replace('=', '_')}" for name, value in sorted(fields.items()))
    fields["sig"] = hmac.new(VONAGE["signature_secret"].encode(), signed.encode(), "sha256").hexdigest()
    return Client().post(PATH.format(kind, slug), json.dumps(fields), "application/json")


def apply():
    while applying.apply_due():
        pass


@pytest.mark.parametrize("slug", ["messagebird-sms", "twilio-sms"])
def test_a_report_of_messagebird_arrives_by_either_path(messagebird, slug):
    """(R93) Accounts set up from older instructions call the path of another provider."""
    message = message_of(messagebird)
    fields = {"id": "first", "reference": reference(message.pk), "recipient": message.to, "status": "delivered"}

    response = call_messagebird("status", fields, slug=slug, method="GET")
    apply()

    message.refresh_from_db()
    assert (response.status_code, response.content, response["Content-Type"]) == (200, b"OK", "text/plain")
    assert message.status == Status.DELIVERED


def test_the_shared_path_still_wants_the_right_signature(messagebird):
    """(R100)"""
    factories.account(messagebird.organization, "twilio")
    message = message_of(messagebird)
    fields = {"id": "first", "reference": reference(message.pk), "status": "delivered"}

    response = call_messagebird(
        "status", fields, slug="twilio-sms", method="GET", key="another-key-of-32-letters-or-more"
    )
    apply()

    message.refresh_from_db()
    assert response.status_code == 401
    assert message.status == Status.ACCEPTED
    assert "wrong signature" in RefusedCallback.objects.get().reason


def test_the_same_short_answer_counts_twice_although_a_flow_sends_no_id(messagebird):
    answer = {"originator": "31612345678", "payload": "1", "recipient": "13531234567"}

    responses = [call_messagebird("message", answer) for _ in range(2)]
    apply()

    assert [response.status_code for response in responses] == [200, 200]
    assert list(InboundMessage.objects.values_list("sender", "text")) == [("+31612345678", "1")] * 2


def test_statuserrorcode_103_opts_the_person_out(messagebird):
    message = message_of(messagebird)
    fields = {"id": "first", "reference": reference(message.pk), "status": "delivery_failed", "statusErrorCode": "103"}

    call_messagebird("status", fields, method="GET")
    apply()

    message.refresh_from_db()
    assert (message.status, message.reason) == (Status.UNDELIVERED, "opted_out")
    assert OptOut.objects.get().phone == message.to


@pytest.mark.parametrize("slug", ["vonage-sms", "vonage"])
def test_a_long_text_is_delivered_when_vonage_has_reported_every_part(vonage, slug):
    message = message_of(vonage, segments=2)
    receipt = {"msisdn": message.to[1:], "to": "13531234567", "status": "delivered", "err-code": "0"}
    receipt["client-ref"] = reference(message.pk)

    call_vonage("status", {**receipt, "messageId": "first"}, slug=slug)
    apply()
    message.refresh_from_db()
    after_one = message.status
    call_vonage("status", {**receipt, "messageId": "second"}, slug=slug)
    apply()

    message.refresh_from_db()
    assert (after_one, message.status) == (Status.SENT, Status.DELIVERED)


def test_a_long_reply_is_joined_from_its_parts(vonage):
    part = {"msisdn": "31612345678", "to": "13531234567", "type": "text", "concat": "true", "concat-ref": "108"}
    part["concat-total"] = "2"

    call_vonage("message", {**part, "messageId": "B", "text": "and goes on", "concat-part": "2"})
    call_vonage("message", {**part, "messageId": "A", "text": "A long reply ", "concat-part": "1"})
    apply()

    assert InboundMessage.objects.get().text == "A long reply and goes on"


def test_vonage_may_try_the_address_and_an_unsigned_call_is_refused_with_its_reason(vonage):
    """(R100) Saving the address in the dashboard makes Vonage call it once, empty."""
    probe = Client().get(PATH.format("status", "vonage-sms"))
    unsigned = Client().get(PATH.format("status", "vonage-sms"), {"messageId": "first", "status": "delivered"})

    assert (probe.status_code, unsigned.status_code) == (200, 401)
    assert "not signed" in RefusedCallback.objects.get().reason


def test_vonage_is_asked_again_for_a_call_it_forgot_to_sign(vonage):
    """An account that signs does so always, but for rare faults: answered 5xx, the call comes again, signed."""
    message = message_of(vonage)
    receipt = {"messageId": "first", "msisdn": "31612345678", "to": "13531234567", "status": "delivered"}
    call_vonage("status", {**receipt, "client-ref": reference(message.pk)})
    apply()

    unsigned = Client().get(PATH.format("status", "vonage-sms"), receipt)
    forged = Client().get(PATH.format("status", "vonage-sms"), {**receipt, "sig": "0" * 64})

    assert (unsigned.status_code, forged.status_code) == (503, 401)
    assert unsigned["Retry-After"]
    assert set(RefusedCallback.objects.values_list("fault", flat=True)) == {Fault.UNSIGNED, Fault.SECRET}


def test_a_token_by_another_secret_is_refused_for_its_secret_and_not_asked_for_again(vonage):
    """Its reason says "not signed with the account's secret", which was once taken for "not signed"."""
    receipt = {"messageId": "first", "msisdn": "31612345678", "to": "13531234567", "status": "delivered"}
    call_vonage("status", receipt)
    apply()
    body = json.dumps({"message_uuid": "first", "status": "delivered"})
    claims = {"iss": "Vonage", "iat": int(time.time()), "payload_hash": hashlib.sha256(body.encode()).hexdigest()}
    token = jwt.encode(claims, "another-secret-of-32-letters-or-more", algorithm="HS256")

    forged = Client().post(
        PATH.format("status", "vonage-sms"), body, "application/json", headers={"Authorization": f"Bearer {token}"}
    )

    assert forged.status_code == 401
    assert RefusedCallback.objects.get().fault == Fault.SECRET


def test_a_part_that_is_repeated_after_its_text_was_whole_is_no_text_of_its_own(vonage):
    """Our answer was lost, so Vonage calls again, with a nonce of that call."""
    parts = [
        {"msisdn": "31612345678", "to": vonage.sender, "messageId": f"0B{number}", "text": text, "concat": "true"}
        | {"concat-ref": "108", "concat-total": "2", "concat-part": number}
        for number, text in (("1", "It was "), ("2", "9"))
    ]
    for fields in (*parts, *parts):
        assert call_vonage("message", fields).status_code == 200
        apply()

    assert InboundMessage.objects.get().text == "It was 9"
    assert not InboundPart.objects.exists()


def test_as_many_reports_as_a_provider_hands_over_in_one_call_are_kept_and_applied(clinic, client):
    """Infobip's subscriptions have up to 2,000 in one, each with all its fields."""
    account = factories.account(clinic, "infobip")
    made = factories.distribution(
        clinic, recipients=2_000, account=account, state=Distribution.State.FINISHED, launched_at=timezone.now()
    )
    made.messages.update(status=Status.ACCEPTED, attempt=1)
    state = {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET", "description": "x" * 700}
    results = [
        {"messageId": reference(message.pk), "to": message.to, "status": state} for message in made.messages.all()
    ]
    log_in = basic_authorization(*(account.open().credentials[f"webhook_{name}"] for name in ("username", "password")))

    answer = client.post(
        PATH.format("status", "infobip-sms"),
        json.dumps({"results": results}),
        "application/json",
        headers={"Authorization": log_in},
    )
    apply()

    assert answer.status_code == 200
    assert set(made.messages.values_list("status", flat=True)) == {Status.DELIVERED}

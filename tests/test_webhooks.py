"""Callbacks at the door: verified, kept before the answer, applied in bulk; everything else changes nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone, translation

from distributions.engine.references import reference
from distributions.models import Distribution, InboundMessage, MessageEvent
from distributions.states import Status
from extensions import registry, traffic
from extensions.contract import Fault, InvalidSignature, Unreadable
from extensions.models import AccountState, ProviderAccount, TestMessage
from keeping import retention
from keeping.models import Walk
from tests import factories
from webhooks import applying, inbox
from webhooks.models import Callback, RefusedCallback
from webhooks.views import MAX_BODY

pytestmark = pytest.mark.django_db

PUBLIC_URL = "https://surveys.example.com"
PATH = "/distribution-providers/v1/receive/distribution/{}/twilio-sms/{}"
FORM = "application/x-www-form-urlencoded"
STRANGER = {  # a report about a message that is not ours
    "MessageSid": "SM9",
    "MessageStatus": "sent",
    "AccountSid": factories.CREDENTIALS["twilio"]["account_sid"],
}


@pytest.fixture(autouse=True)
def fresh_cache(settings):
    settings.PUBLIC_URL = PUBLIC_URL
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()


@pytest.fixture
def account():
    return factories.account(factories.organization(public_id="ORG42"))


@pytest.fixture
def message(account):
    made = factories.distribution(
        account.organization,
        recipients=1,
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
    )
    made.messages.update(status=Status.ACCEPTED, attempt=1, provider_message_id="SM1")
    return made.messages.get()


def sign(url, parameters, token):
    """Twilio's signature, computed here on our own."""
    signed = url + "".join(f"{name}{parameters[name]}" for name in sorted(parameters))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def call(kind, organization_id, parameters, *, token=None, query="", path=None, signature=None, **extra):
    """A callback as Twilio makes it."""
    path = path or PATH.format(kind, organization_id)
    target = path + (f"?{query}" if query else "")
    token = token or factories.CREDENTIALS["twilio"]["auth_token"]
    signature = sign(PUBLIC_URL + target, parameters, token) if signature is None else signature
    headers = {"X-Twilio-Signature": signature} if signature else {}
    return Client(enforce_csrf_checks=True).post(target, urlencode(parameters), FORM, headers=headers, **extra)


def status_of(message, status="delivered", **fields):
    return {
        "MessageSid": "SM1",
        "MessageStatus": status,
        "To": message.to,
        "From": "+447700900000",
        "AccountSid": factories.CREDENTIALS["twilio"]["account_sid"],
        **fields,
    }


def reply_of(message, text="Yes", sid="SMin1"):
    return {
        "MessageSid": sid,
        "SmsStatus": "received",
        "From": message.to,
        "To": "+447700900000",
        "Body": text,
        "AccountSid": factories.CREDENTIALS["twilio"]["account_sid"],
    }


def test_a_signed_report_is_kept_before_the_answer_and_then_moves_the_message(account, message):
    """R99."""
    answer = call("status", "ORG42", status_of(message), query=f"mid={reference(message.pk)}")

    assert answer.status_code == 200
    assert Callback.objects.get().state == Callback.State.NEW
    message.refresh_from_db()
    assert message.status == Status.ACCEPTED, "the work is not done at the door"

    assert applying.apply_due() == 1

    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    assert Callback.objects.get().state == Callback.State.APPLIED
    assert AccountState.objects.get().reports_seen_at is not None


def test_a_repeated_callback_is_harmless(account, message):
    """R49: the same address also works as the fallback handler."""
    for _time in range(5):
        assert call("message", "ORG42", reply_of(message)).status_code == 200

    applying.apply_due()

    assert Callback.objects.count() == InboundMessage.objects.count() == 1


def test_a_reply_is_kept_and_answered_without_a_word_to_the_person(account, message):
    answer = call("message", "ORG42", reply_of(message, "Very good"))
    applying.apply_due()

    assert answer["Content-Type"].startswith("text/xml")
    assert b"<Message" not in answer.content
    assert InboundMessage.objects.get().message == message
    assert AccountState.objects.get().inbound_seen_at is not None


@pytest.mark.parametrize("receive", ["receive", "Receive", "erhalten", "Erhalten"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_both_spellings_of_the_address_work(account, message, receive, slash):
    """R98."""
    path = PATH.format("status", "ORG42").replace("receive", receive) + slash

    assert call("status", "ORG42", status_of(message), path=path).status_code == 200


def test_each_route_ignores_the_others_payload(account, message):
    """R99."""
    call("status", "ORG42", reply_of(message))
    call("message", "ORG42", status_of(message, "undelivered"))
    applying.apply_due()

    message.refresh_from_db()
    assert message.status == Status.ACCEPTED
    assert not InboundMessage.objects.exists()


def test_a_get_is_answered_405(account):
    """R48."""
    answer = Client().get(PATH.format("message", "ORG42"))

    assert answer.status_code == 405
    assert answer["Allow"] == "POST"


def assert_challenged(answer):
    """Refused without a hint of what was wrong, and asked for the log-in that some providers send only then."""
    assert (answer.status_code, answer.content) == (401, b"Not authorised.")
    assert answer["WWW-Authenticate"] == 'Basic realm="webhook", charset="UTF-8"'


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("no signature", {"signature": ""}),
        ("a made-up signature", {"signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}),
        ("not even base64", {"signature": "☃"}),
        ("the signature of another token", {"token": "0" * 32}),
    ],
)
def test_a_forged_call_changes_nothing_and_is_listed_with_its_reason(account, message, kind, change):
    """R100."""
    if change.get("signature") == "☃":
        change = {"signature": "%E2%98%83"}
    answers = [call("status", "ORG42", status_of(message, "failed"), **change) for _time in range(3)]

    applying.apply_due()

    for answer in answers:
        assert_challenged(answer)
    message.refresh_from_db()
    assert message.status == Status.ACCEPTED
    assert not Callback.objects.exists()
    [refusal] = traffic.refusals(account.organization, registry.get("twilio"))
    assert (refusal["count"], refusal["kind"]) == (3, "status")
    assert refusal["reason"]
    assert "failed" not in json.dumps(refusal, default=str), "no payload is shown"


def test_a_call_that_was_changed_on_the_way_changes_nothing(account, message):
    genuine = status_of(message, "delivered")
    signature = sign(
        PUBLIC_URL + PATH.format("status", "ORG42"), genuine, factories.CREDENTIALS["twilio"]["auth_token"]
    )

    answer = call("status", "ORG42", {**genuine, "MessageStatus": "failed"}, signature=signature)

    assert_challenged(answer)
    assert not Callback.objects.exists()


def test_another_organizations_valid_signature_does_not_open_this_address(account, message):
    """R97."""
    other = factories.account(
        factories.organization(public_id="OTHER"), credentials={"account_sid": "AC" + "6" * 32, "auth_token": "7" * 32}
    )
    parameters = status_of(message, "failed", AccountSid="AC" + "6" * 32)

    assert_challenged(call("status", "ORG42", parameters, token="7" * 32))
    assert call("status", "OTHER", parameters, token="7" * 32).status_code == 200
    applying.apply_due()

    message.refresh_from_db()
    assert message.status == Status.ACCEPTED
    assert Callback.objects.get().account == other
    assert not MessageEvent.objects.exists()


def test_nobody_learns_whether_an_organization_exists_beyond_404(account):
    assert call("status", "NOBODY", {"MessageSid": "SM1"}).status_code == 404
    assert (
        call(
            "status", "ORG42", {"a": "b"}, path=PATH.format("status", "ORG42").replace("twilio-sms", "nobody")
        ).status_code
        == 404
    )
    assert not RefusedCallback.objects.exists()


def test_the_door_has_the_policies_of_every_answer_and_no_session(account, message):
    answer = call("status", "ORG42", status_of(message))

    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not answer.cookies
    assert "Cookie" not in answer.headers.get("Vary", "")


def test_a_host_that_is_not_ours_is_refused_at_the_door(account, message, settings):
    settings.ALLOWED_HOSTS = ["surveys.example.com"]

    answer = call("status", "ORG42", status_of(message), SERVER_NAME="elsewhere.example.com")

    assert answer.status_code == 400
    assert not Callback.objects.exists()


@pytest.mark.parametrize("path", ["/distribution-providers/", "/distribution-providers/v2/receive/x", PATH[:-5]])
def test_beside_the_door_there_is_nothing(db, path):
    assert Client().post(path.format("status", "ORG42"), b"a=b", FORM).status_code == 404


def test_the_door_speaks_no_language_of_an_earlier_page(account):
    with translation.override("de"):  # as a page has left it in this thread
        answer = Client().post(PATH.format("status", "ORG42"), b"x" * (MAX_BODY + 1), FORM)

    assert "too large" in answer.content.decode()


def test_an_oversized_body_is_refused_before_it_is_read(account):
    answer = Client().post(PATH.format("status", "ORG42"), b"x" * (MAX_BODY + 1), FORM)

    assert answer.status_code == 413
    assert not Callback.objects.exists()


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe\x00", b"a" * 1000, b"&".join(b"x=%d" % number for number in range(5000)), b"{" * 50_000, b"\0"],
)
@pytest.mark.parametrize("slug", ["twilio-sms", "infobip-sms"])
def test_whatever_is_posted_the_answer_is_never_a_server_error(account, body, slug):
    if registry.find("infobip"):
        factories.account(account.organization, "infobip")
    path = PATH.format("status", "ORG42").replace("twilio-sms", slug)

    for content_type in (FORM, "application/json", "text/plain; charset=nonsense", ""):
        headers = {"X-Twilio-Signature": "x", "Authorization": "Basic ??"}
        answer = Client().generic("POST", path, body, content_type, headers=headers)
        assert 400 <= answer.status_code < 500


def test_while_the_database_is_away_the_provider_hears_503_and_tries_again(account, message, monkeypatch):
    def away(_callbacks):
        raise OperationalError("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(inbox.Writer, "_insert", lambda self, callbacks: away(callbacks))
        broken.setattr(inbox.Writer, "write", inbox.Writer.write)
        with pytest.raises(OperationalError):
            inbox.writer._insert([])
        answer = _call_outside_a_transaction(broken, message)
    assert answer.status_code == 503

    assert call("status", "ORG42", status_of(message)).status_code == 200


def _call_outside_a_transaction(patch, message):
    class Outside:
        in_atomic_block = False

        def close(self):
            pass

    patch.setattr(inbox, "connection", Outside())
    return call("status", "ORG42", status_of(message))


def test_a_report_that_comes_before_its_message_is_known_waits_for_it(account, message):
    ProviderAccount.objects.filter(pk=account.pk)
    message_pk, message_to = message.pk, message.to
    distribution = message.distribution
    message.delete()
    parameters = {**status_of(message), "To": message_to}

    call("status", "ORG42", parameters, query=f"mid={reference(message_pk)}")
    applying.apply_due()
    parked = Callback.objects.get()
    assert parked.state == Callback.State.PARKED
    assert parked.not_before > timezone.now()

    message.pk = message_pk
    message.distribution = distribution
    message.save(force_insert=True)
    Callback.objects.update(not_before=timezone.now())
    applying.apply_due()

    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    assert Callback.objects.get().state == Callback.State.APPLIED


def test_a_report_about_a_text_that_is_not_ours_is_dealt_with_at_once_and_counted(account):
    call("status", "ORG42", STRANGER)

    assert applying.apply_due() == 1

    assert Callback.objects.get().state == Callback.State.APPLIED
    assert AccountState.objects.get().strange_reports == 1
    assert applying.apply_due() == 0


def test_a_deleted_account_goes_on_verifying_for_a_while(account, message, settings):
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    assert call("status", "ORG42", status_of(message)).status_code == 200

    settings.CALLBACK_GRACE_DAYS = 0
    inbox.forget_accounts()

    assert_challenged(call("status", "ORG42", status_of(message, "failed")))


@pytest.mark.postgresql
def test_a_thousand_callbacks_are_applied_in_a_handful_of_statements(account, django_assert_max_num_queries):
    made = factories.distribution(
        account.organization,
        recipients=300,
        account=account,
        state=Distribution.State.SENDING,
        launched_at=timezone.now(),
    )
    made.messages.update(status=Status.ACCEPTED)
    for message in made.messages.all():
        call("status", "ORG42", status_of(message), query=f"mid={reference(message.pk)}")

    with django_assert_max_num_queries(22):
        assert applying.apply_due() == 300

    assert set(made.messages.values_list("status", flat=True)) == {Status.DELIVERED}


@pytest.mark.postgresql
def test_reports_about_nobody_cost_no_statement_each(account, django_assert_max_num_queries):
    for number in range(200):
        call("status", "ORG42", {**STRANGER, "MessageSid": f"SM{number}"})
    test = TestMessage.objects.create(account=account, reference="t1", provider_message_id="SM7", status="queued")

    with django_assert_max_num_queries(22):
        assert applying.apply_due() == 200

    test.refresh_from_db()
    assert test.status == "sent"
    assert Callback.objects.filter(state=Callback.State.APPLIED, error="").count() == 1
    assert Callback.objects.filter(state=Callback.State.APPLIED, error=applying.STRANGE).count() == 199


def test_old_callbacks_are_forgotten(account, message, settings):
    call("status", "ORG42", status_of(message), query=f"mid={reference(message.pk)}")
    applying.apply_due()
    assert retention.run(rest=lambda _seconds: None)["callbacks"] == 0

    Walk.objects.all().delete()  # the next day
    Callback.objects.update(received_at=timezone.now() - timezone.timedelta(days=settings.CALLBACK_RETENTION_DAYS + 1))
    assert retention.run(rest=lambda _seconds: None)["callbacks"] == 1


@pytest.mark.django_db(transaction=True)
def test_callbacks_that_come_together_are_all_kept_before_they_are_answered(account, message):
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    def one(number):
        try:
            return call("status", "ORG42", status_of(message, MessageSid=f"SM{number}")).status_code
        finally:
            connection.close()

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(64)))
    inbox.writer.close()

    assert set(answers) <= {200, 204}
    assert Callback.objects.count() == 64
    assert time.monotonic() - started < inbox.KEEP_TIMEOUT


# --- the kind of a refusal --------------------------------------------------------------------------------------------


def refusals():
    return dict(RefusedCallback.objects.values_list("reason", "fault"))


def older_code_counts(organization, reason, *, day=None):
    """As a version does that knows no faults."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO webhooks_refusedcallback (organization_id, slug, kind, reason, day, count, first_at, last_at) "
            "VALUES (%s, 'twilio-sms', 'status', %s, %s, 1, %s, %s)",
            [organization.pk, reason, day or now.date(), now, now],
        )


def test_a_refusal_is_stored_with_its_kind(account):
    clinic = account.organization.pk

    inbox.refuse(clinic, "twilio-sms", "status", InvalidSignature(Fault.CLOCK, "too old"))
    inbox.refuse(clinic, "twilio-sms", "status", Unreadable("The body is not JSON."))
    inbox.refuse(clinic, "twilio-sms", "status", InvalidSignature())

    assert refusals() == {
        "too old": Fault.CLOCK,
        "The body is not JSON.": Fault.FORMAT,
        "wrong signature": Fault.SECRET,
    }
    shown = {row["reason"]: row["fault"] for row in traffic.refusals(account.organization, registry.get("twilio"))}
    assert shown == refusals()


def test_what_older_code_counts_during_an_upgrade_has_a_fault_as_soon_as_newer_code_counts_it_too(account):
    older_code_counts(account.organization, "too old")
    assert refusals() == {"too old": Fault.UNKNOWN}

    inbox.refuse(account.organization.pk, "twilio-sms", "status", InvalidSignature(Fault.CLOCK, "too old"))

    assert refusals() == {"too old": Fault.CLOCK}
    assert RefusedCallback.objects.get().count == 2


BEFORE = {  # reasons of earlier versions, and what they were taken for
    "the header X-Twilio-Signature is missing": Fault.UNSIGNED,
    "not signed: secure callbacks are off, or no signature key is enabled": Fault.UNSIGNED,
    "no Basic credentials: the gate's destination needs username and password": Fault.UNSIGNED,
    "wrong webhook user name or webhook password": Fault.SECRET,
    "wrong signature: the webhook has another secret token, or the call was altered": Fault.SECRET,
    "wrong signature: the token is not signed with the account's secret": Fault.SECRET,
    "signed for another address: with a slash at its end": Fault.ADDRESS,
    "the address called is not the one that was signed, or its query was changed": Fault.ADDRESS,
    "signed more than 300 seconds from now": Fault.CLOCK,
    "the token is not valid yet: check the clock of this server": Fault.CLOCK,
    "the signed time is outside the window of 24 hours": Fault.CLOCK,
    "AccountSid is not this account's": Fault.OTHER_ACCOUNT,
    "the call is for another Vonage account (api-key)": Fault.OTHER_ACCOUNT,
    "signed with another algorithm than HmacSHA256": Fault.METHOD,
    "the body is not the one that was signed": Fault.CONTENT,
    "the account has no webhook secret token": Fault.INCOMPLETE,
    "no account of this provider": Fault.NO_ACCOUNT,
    "The body is not JSON.": Fault.FORMAT,
    "something nobody has thought of": Fault.UNKNOWN,
}


@pytest.mark.django_db(transaction=True)
def test_calls_refused_before_the_upgrade_are_explained_as_before():
    clinic = factories.organization()
    try:
        MigrationExecutor(connection).migrate([("webhooks", "0003_callbacks_set_aside")])
        for reason in BEFORE:
            older_code_counts(clinic, reason)
            older_code_counts(clinic, reason, day="2026-01-01")
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())

    assert refusals() == BEFORE
    assert RefusedCallback.objects.count() == 2 * len(BEFORE)
    RefusedCallback.objects.all().delete()
    older_code_counts(clinic, "from a process that has not been restarted yet")
    assert refusals() == {"from a process that has not been restarted yet": Fault.UNKNOWN}

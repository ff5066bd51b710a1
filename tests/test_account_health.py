"""How an account does: what its page says of it, and single calls, opened without secrets and applied once more."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from distributions import sums
from distributions.models import Chunk, InboundMessage, Message
from distributions.states import Status
from extensions.contract import WebhookRequest
from extensions.models import AccountState, ProviderAccount
from organizations.models import AuditEvent, Organization, User
from tests import factories
from webhooks import applying, calls, inbox
from webhooks.models import Callback

pytestmark = pytest.mark.django_db
TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
CREDENTIALS = {"account_sid": "AC" + "1" * 32, "auth_token": TOKEN}


@pytest.fixture
def clinic() -> Organization:
    return factories.organization("Clinic", default_region="GB")


@pytest.fixture
def account(clinic: Organization) -> ProviderAccount:
    return factories.account(clinic, credentials=CREDENTIALS)


@pytest.fixture
def portal(administrator: User) -> Client:
    return logged_in(administrator)


def logged_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def url(name: str, account: ProviderAccount, *more: Any) -> str:
    return reverse(f"admin:extensions_{name}", args=[account.public_id, *more])


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def texts(clinic: Organization, account: ProviderAccount, *rows: tuple[str, Status], age: int = 0) -> None:
    """Texts that went to these numbers, `age` days ago."""
    distribution = factories.distribution(clinic)
    made = [
        Message.objects.create(
            organization=clinic,
            distribution=distribution,
            account=account,
            to=number,
            text="Hi",
            status=status,
            attempted_at=timezone.now() - timedelta(days=age),
        )
        for number, status in rows
    ]
    Chunk.objects.create(distribution=distribution, account=account, first_id=made[0].pk, last_id=made[-1].pk)


# --- health ----------------------------------------------------------------------------------------------------------


def test_the_page_says_how_the_account_does(portal: Client, clinic: Organization, account: ProviderAccount) -> None:
    AccountState.objects.filter(pk=account.pk).update(
        balance=47.5, balance_unit="USD", balance_at=timezone.now(), reports_seen_at=timezone.now()
    )
    texts(clinic, account, ("+447700900123", Status.DELIVERED), ("+4915112345678", Status.FAILED))

    page = text_of(portal.get(url("account", account)))

    assert "47.50 USD" in page
    assert "+44 GB" in page
    assert "+49 DE" in page
    assert TOKEN not in page


def test_an_account_that_has_sent_nothing_says_so(portal: Client, account: ProviderAccount) -> None:
    page = text_of(portal.get(url("account", account)))

    assert "No text has been sent through this account in the last 7 days." in page
    assert "not known yet" in page


def test_texts_are_counted_by_country_and_only_those_of_a_week(clinic: Organization, account: ProviderAccount) -> None:
    other = factories.account(clinic)
    texts(clinic, account, ("+447700900001", Status.DELIVERED), age=8)
    texts(clinic, other, ("+447700900002", Status.DELIVERED))
    texts(
        clinic,
        account,
        ("+447700900003", Status.DELIVERED),
        ("+447700900004", Status.UNDELIVERED),
        ("+15005550006", Status.SENT),
        ("+15005550007", Status.QUEUED),
        ("+35312345678", Status.DELIVERED),
    )

    told = sums.by_country(account)

    assert told["is_partial"] is False
    assert [tuple(row.values()) for row in told["rows"]] == [
        ("+44 GB", 1, 1, 0),
        ("+1 US", 0, 0, 1),
        ("+353 IE", 1, 0, 0),
    ]


def test_however_many_texts_there_are_only_the_newest_are_counted(
    clinic: Organization, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(sums, "MOST_TEXTS", 2)
    for _chunk in range(3):
        texts(clinic, account, ("+447700900001", Status.DELIVERED), ("+447700900002", Status.FAILED))

    with django_assert_num_queries(2):
        told = sums.by_country(account)

    assert told["is_partial"] is True
    assert [tuple(row.values()) for row in told["rows"]] == [("+44 GB", 1, 1, 0)]


@pytest.mark.parametrize(
    ("number", "country"), [("+44770", "+44 GB"), ("+1500", "+1 US"), ("+3531", "+353 IE"), ("+999", "?"), ("", "?")]
)
def test_a_country_is_told_by_the_calling_code(number: str, country: str) -> None:
    assert sums.country_of(number) == country


# --- single calls ----------------------------------------------------------------------------------------------------


def called(account: ProviderAccount, body: bytes, kind: str = "message", **fields: Any) -> Callback:
    fields = {"state": Callback.State.APPLIED, "method": "POST", "content_type": "application/json", **fields}
    fields.setdefault("url", f"https://surveys.example.com/{kind}?mid=1")
    return Callback.objects.create(account=account, kind=kind, body=body, dedupe_key=inbox._digest(str(body)), **fields)


def test_a_call_is_shown_as_it_came_and_without_secrets(portal: Client, account: ProviderAccount) -> None:
    call = called(account, f'{{"text":"<b>Ja</b>","key":"{TOKEN}"}}'.encode(), url=f"https://x.example/s?key={TOKEN}")

    listed, page = text_of(portal.get(url("calls", account))), text_of(portal.get(url("call", account, call.pk)))

    assert url("call", account, call.pk) in listed
    assert "&lt;b&gt;Ja&lt;/b&gt;" in page
    assert "•••" in page
    assert TOKEN not in listed + page


@pytest.mark.parametrize(
    "body",
    [
        '{"key": "pä\\"s/+w&%o rd\\\\"}',
        '{"key": "p\\u00e4\\"s\\/+w&%o rd\\\\"}',
        "key=p%C3%A4%22s%2F%2Bw%26%25o+rd%5C&to=1",
        "key=p%c3%a4%22s%2f%2bw%26%25o%20rd%5c",
        "key=p%C3%A4%22s/%2Bw%26%25o%20rd%5C",
        'key pä"s/+w&%o rd\\ key',
        "Basic cMOkInMvK3cmJW8gcmRc",
    ],
    ids=["JSON", "JSON in ASCII", "a form", "an address", "a path", "plain text", "Base64"],
)
def test_a_secret_is_left_out_however_it_is_written(clinic: Organization, body: str) -> None:
    secret = 'pä"s/+w&%o rd\\'
    account = factories.account(clinic, credentials={**CREDENTIALS, "auth_token": secret})

    shown = calls.body_of(account, called(account, body.encode())) + calls.without_secrets(account, body)

    assert shown.count(calls.LEFT_OUT) == 2
    assert not any(part in shown for part in ("w&%o", "w%26", "cMOk"))


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"[" * 5000, b"a=1&b=%00", b"x" * 100_000])
def test_whatever_came_can_be_looked_at(portal: Client, account: ProviderAccount, body: bytes) -> None:
    call = called(account, body)

    assert portal.get(url("call", account, call.pk)).status_code == 200


def test_a_call_that_is_applied_once_more_counts_once(
    portal: Client, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = account.open()
    sample = provider.sample_callback("message", "https://x.example/m", now=timezone.now())
    assert isinstance(sample, WebhookRequest)
    body = sample.body.replace(b"self-test", b"SM0123")
    call = called(account, body, state=Callback.State.NEW, content_type="application/x-www-form-urlencoded")
    monkeypatch.setattr(calls, "wake_soon", lambda task: None)
    applying.apply_due()
    known = InboundMessage.objects.count()

    waiting = Callback.objects.get(pk=call.pk)
    portal.post(url("call", account, call.pk))
    again = Callback.objects.get(pk=call.pk)
    applying.apply_due()

    assert waiting.state == Callback.State.APPLIED
    assert again.state == Callback.State.NEW
    assert Callback.objects.get(pk=call.pk).state == Callback.State.APPLIED
    assert InboundMessage.objects.count() == known == 1
    assert AuditEvent.objects.filter(action="replayed a callback of").count() == 1


def test_a_call_that_waits_is_not_touched(portal: Client, account: ProviderAccount) -> None:
    call = called(account, b"{}", state=Callback.State.PARKED, tries=3, pending=[0])

    portal.post(url("call", account, call.pk))

    call.refresh_from_db()
    assert (call.state, call.tries, call.pending) == (Callback.State.PARKED, 3, [0])


def test_calls_are_of_one_account_and_for_those_who_see_recipients(
    portal: Client, clinic: Organization, account: ProviderAccount
) -> None:
    other = factories.account(factories.organization("Other"), credentials=CREDENTIALS)
    foreign = called(other, b"{}")
    mine = called(account, b"[]")
    blind = logged_in(factories.administrator(clinic, see_recipients="disabled"))

    assert portal.get(url("call", account, foreign.pk)).status_code == 404
    assert portal.get(url("calls", other)).status_code == 404
    assert blind.get(url("call", account, mine.pk)).status_code == 403
    assert blind.post(url("call", account, mine.pk)).status_code == 403

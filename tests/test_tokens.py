"""Bearer tokens: cached per account, fetched once by one worker."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from extensions import client, registry, tokens
from extensions.contract import ApiRequest, ApiResponse, Category, NotTaken, Provider, Refused, Token, Unclear
from extensions.models import AccessToken
from tests import factories


class Acme(Provider):
    key = "acme"
    name = "Acme SMS"
    slug = "acme-sms"
    needs_token = True

    def build_token(self):
        return ApiRequest("POST", "https://auth.acme.example/token")

    def parse_token(self, response):
        if response.status != 200:
            raise Refused(Category.AUTH_FAILED, f"HTTP {response.status}")
        return Token(response.body.decode(), 3600)


@pytest.fixture
def asked(monkeypatch):
    """What was asked of Acme; the answers count up."""
    known = dict(registry._providers())
    monkeypatch.setattr(registry, "_providers", lambda: {**known, "acme": Acme})
    calls = []

    def call(provider, request):
        calls.append(request.url)
        return ApiResponse(200, {}, f"token-{len(calls)}".encode())

    monkeypatch.setattr(client, "call", call)
    return calls


@pytest.fixture
def account(asked, db):
    return factories.account(factories.organization(), "acme", credentials={"client_id": "c", "client_secret": "s"})


def test_a_provider_without_tokens_costs_no_query(asked, db, django_assert_num_queries):
    account = factories.account(factories.organization(), "twilio")

    with django_assert_num_queries(0):
        assert tokens.token_for(account) == ""
    assert asked == []


def test_a_token_is_fetched_once_and_kept(account, asked):
    assert [tokens.token_for(account) for _turn in range(3)] == ["token-1"] * 3
    assert len(asked) == 1


def test_a_token_is_renewed_before_its_end(account, asked):
    tokens.token_for(account)
    row = AccessToken.objects.get(account=account)
    assert timedelta(minutes=58) < row.expires_at - timezone.now() <= timedelta(minutes=59)

    AccessToken.objects.filter(account=account).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert tokens.token_for(account) == "token-2"


def test_a_forgotten_token_is_fetched_anew(account, asked):
    tokens.token_for(account)

    tokens.forget(account)

    assert tokens.token_for(account) == "token-2"


def test_a_token_is_stored_encrypted_and_opens_nothing_in_another_row(account, asked):
    tokens.token_for(account)
    other = factories.account(factories.organization(), "acme", credentials={})
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM extensions_accesstoken")
        raw = bytes(cursor.fetchone()[0])
        assert b"token-1" not in raw
        expires_at = timezone.now() + timedelta(hours=1)
        AccessToken.objects.create(account=other, expires_at=expires_at)
        cursor.execute("UPDATE extensions_accesstoken SET value = %s WHERE account_id = %s", [raw, other.pk])

    assert tokens.token_for(other) == "token-2"


def test_refused_credentials_are_told_and_the_next_worker_may_try(account, asked, monkeypatch):
    monkeypatch.setattr(client, "call", lambda provider, request: ApiResponse(401))
    with pytest.raises(Refused) as caught:
        tokens.token_for(account)
    assert caught.value.category is Category.AUTH_FAILED

    monkeypatch.setattr(client, "call", lambda provider, request: ApiResponse(200, {}, b"good"))
    assert tokens.token_for(account) == "good"


def test_an_unclear_answer_means_try_later_as_no_message_has_left(account, asked, monkeypatch):
    def fail(provider, request):
        raise Unclear("no complete answer")

    monkeypatch.setattr(client, "call", fail)

    with pytest.raises(NotTaken):
        tokens.token_for(account)
    assert AccessToken.objects.get(account=account).fetching_until is None


def test_the_lease_of_a_worker_that_died_ends(account, asked):
    AccessToken.objects.create(account=account, fetching_until=timezone.now() - timedelta(seconds=1))

    assert tokens.token_for(account) == "token-1"


def test_who_waits_too_long_for_another_worker_tries_later(account, asked, monkeypatch):
    AccessToken.objects.create(account=account, fetching_until=timezone.now() + timedelta(seconds=30))
    monkeypatch.setattr(tokens, "WAIT", 0.2)

    with pytest.raises(NotTaken, match="another worker"):
        tokens.token_for(account)
    assert asked == []


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_ask_once(asked, monkeypatch):
    account = factories.account(factories.organization(), "acme", credentials={})
    quick = client.call

    def slow(provider, request):
        time.sleep(0.3)
        return quick(provider, request)

    monkeypatch.setattr(client, "call", slow)
    got = []

    def work():
        got.append(tokens.token_for(account))
        connection.close()

    workers = [threading.Thread(target=work) for _worker in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert got == ["token-1"] * 6
    assert len(asked) == 1

"""Callbacks that are written in one statement: each is kept or refused by itself, whatever the others are."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
from django.db import OperationalError, connection

from extensions import registry
from extensions.models import ProviderAccount
from organizations import clock
from tests import factories
from webhooks import inbox
from webhooks.models import Callback


def callback(account, key, **fields):
    given = {"kind": "status", "method": "POST", "url": "/", "content_type": "application/json", "body": b"{}"}
    return Callback(
        account_id=account if isinstance(account, int) else account.pk, dedupe_key=key, **{**given, **fields}
    )


@pytest.fixture
def account(transactional_db):
    return factories.account(factories.organization())


class IsNotKept:
    def __eq__(self, error: object) -> bool:
        return isinstance(error, inbox.NotKept)


def stored_together(*callbacks):
    """What the requests of these callbacks are told: None where it is kept."""
    group = [(one, Future()) for one in callbacks]
    inbox.Writer()._store(group)
    return [done.exception(timeout=0) for _callback, done in group]


@pytest.mark.parametrize(
    "odd",
    [
        {"url": "/\ud800"},
        {"url": "/\0"},
        {"kind": "a route that is too long"},
        {"method": "\udfff"},
    ],
    ids=["half a character", "NUL", "too long", "half a word"],
)
def test_one_that_cannot_be_stored_keeps_no_other_out(account, odd):
    told = stored_together(callback(account, "before"), callback(account, "odd", **odd), callback(account, "after"))

    kept = set(Callback.objects.values_list("dedupe_key", flat=True))
    assert kept - {"odd"} == {"before", "after"}
    assert told == [None, None if "odd" in kept else IsNotKept(), None]
    assert "odd" not in kept or connection.vendor == "sqlite", "which takes what PostgreSQL refuses"


def test_of_accounts_whose_secrets_have_ended_or_that_are_gone_nothing_is_kept(account):
    ended, gone = factories.account(account.organization), factories.account(account.organization)
    ProviderAccount.objects.filter(pk=ended.pk).update(ended_at=clock.read())
    gone_pk = gone.pk
    ProviderAccount.objects.filter(pk=gone_pk).delete()

    told = stored_together(callback(ended, "ended"), callback(account, "living"), callback(gone_pk, "gone"))

    assert [type(error) for error in told] == [inbox._Ended, type(None), inbox._Ended]
    assert Callback.objects.get().account == account


def test_what_says_the_same_is_one_row_and_all_are_answered(account):
    told = stored_together(*(callback(account, "same", body=b"%d" % number) for number in range(5)))

    assert told == [None] * 5
    assert bytes(Callback.objects.get().body) == b"0"


def test_what_is_kept_is_what_came(account):
    sent = callback(
        account, "1", kind="message", url="https://x/?a=%00&b=ä", body=bytes(range(256)), trace="bcdfghjklmnp"
    )
    before = clock.read()

    assert stored_together(sent, callback(account, "2")) == [None, None]

    kept = Callback.objects.get(dedupe_key="1")
    for name in ("account_id", "kind", "method", "url", "content_type", "trace"):
        assert getattr(kept, name) == getattr(sent, name), name
    assert bytes(kept.body) == sent.body
    assert (kept.state, kept.tries, kept.error, kept.pending) == (Callback.State.NEW, 0, "", None)
    assert before <= kept.received_at == kept.not_before <= clock.read()


def test_while_the_database_is_away_it_is_asked_once_for_all(account, monkeypatch):
    asked = []

    def away(_self, callbacks):
        asked.append(len(callbacks))
        raise OperationalError("the database is away")

    monkeypatch.setattr(inbox.Writer, "_insert", away)

    told = stored_together(*(callback(account, str(number)) for number in range(9)))

    assert {type(error) for error in told} == {inbox.NotKept}
    assert asked == [9]


def test_the_writer_outlives_what_it_cannot_write(account):
    writer = inbox.Writer()
    with pytest.raises(inbox.NotKept):
        writer.write(callback(account, "odd", url="/\ud800"))
    thread = writer._thread
    writer.write(callback(account, "right"))
    writer.close()

    assert isinstance(thread, threading.Thread)
    assert Callback.objects.get().dedupe_key == "right"


@pytest.mark.parametrize(("silence", "is_known"), [(0.1, True), (inbox.CACHE_SECONDS + 0.1, False)])
def test_while_one_reads_the_accounts_anew_the_others_go_by_what_was_known_just_now(
    account, monkeypatch, silence, is_known
):
    twilio, organization_id, now = registry.get("twilio"), account.organization.public_id, [1000.0]
    monkeypatch.setattr(inbox.time, "monotonic", lambda: now[0])
    inbox.forget_accounts()
    known = inbox._accounts(organization_id, twilio)
    now[0] += inbox.CACHE_SECONDS + silence
    meanwhile = []

    def another_request(execute, *statement):
        if not meanwhile:
            meanwhile.append(None)
            meanwhile[0] = inbox._accounts(organization_id, twilio)
        return execute(*statement)

    with connection.execute_wrapper(another_request):
        anew = inbox._accounts(organization_id, twilio)

    assert anew[1] is not known[1]
    assert (meanwhile[0][1] is known[1]) is is_known

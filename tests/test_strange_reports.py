"""Reports without a reference of ours: about a test message, or about what somebody else has sent."""

from __future__ import annotations

from itertools import count

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from distributions.engine.references import reference
from distributions.models import Distribution, Message
from distributions.states import Status
from extensions.models import AccountState, TestMessage
from tests import factories, provider_cases
from webhooks import applying
from webhooks.models import Callback

pytestmark = pytest.mark.django_db

DATA = provider_cases.all_data()
OF_CASES = "7c1f"  # the reference in the files of cases, which nobody can have given out
ODD = (
    "",
    "0",
    "-1",
    "zzzzzzzzzzzzzzzzz",  # a key that no database has
    "9" * 400,
    "7c1f+OR+1=1",
    "7c1f%00",
    "٣٣٣٣٣٣٣٣",
)
CASES = 5  # of each provider's
State = Callback.State
_keys = count(1)


def reported(key):
    """Callbacks of the provider's cases that report on one text by its reference, with what they report."""
    found = []
    for _heading, case in provider_cases.cases(DATA[key], "report"):
        request = provider_cases.callback_of(DATA[key], case, "status")
        if "unreadable" not in case and OF_CASES.encode() in request.body + request.url.encode():
            said = provider_cases.provider_of(DATA[key], case).parse_reports(request)
            if [report.reference for report in said] == [OF_CASES]:
                found.append((request, said[0]))
    assert found, f"no case of {key} has the reference {OF_CASES}"
    return found[:CASES]


def kept(account, named=OF_CASES):
    """The callbacks, waiting to be applied; instead of the cases' reference they have `named`."""
    return Callback.objects.bulk_create(
        Callback(
            account=account,
            kind="status",
            method=request.method,
            url=request.url.replace(OF_CASES, named),
            content_type=request.header("Content-Type"),
            body=request.body.replace(OF_CASES.encode(), named.encode()),
            dedupe_key=f"{next(_keys):064d}",
        )
        for request, _said in reported(account.provider)
    )


def sent(account, ids):
    """Texts of the same account that the provider knows by these ids."""
    made = factories.distribution(
        account.organization,
        recipients=len(ids),
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
    )
    for message, message_id in zip(made.messages.order_by("pk"), ids, strict=True):
        Message.objects.filter(pk=message.pk).update(status=Status.ACCEPTED, provider_message_id=message_id)
    return made.messages


def states(callbacks):
    return set(Callback.objects.filter(pk__in=[one.pk for one in callbacks]).values_list("state", flat=True))


def strange_of(account):
    return AccountState.objects.get(pk=account.pk).strange_reports


@pytest.mark.parametrize("key", provider_cases.each("status"))
def test_it_is_counted_at_once_and_no_text_is_looked_for(key):
    """Whatever stands in the place of our reference; also where the provider's id is one that a text of ours has."""
    account = factories.account(factories.organization(), key)
    texts = sent(account, sorted({report.message_id for _request, report in reported(key)}))
    readable = kept(account) + kept(account, "")
    odd = [callback for named in ODD for callback in kept(account, named)]

    with CaptureQueriesContext(connection) as asked:
        applying.apply_due()

    assert states(readable) == {State.APPLIED}
    assert states(odd) <= {State.APPLIED, State.UNREADABLE}
    applied = Callback.objects.filter(state=State.APPLIED)
    assert set(applied.values_list("error", flat=True)) == {applying.STRANGE}
    assert strange_of(account) == applied.count()
    assert set(texts.values_list("status", flat=True)) == {Status.ACCEPTED}
    statements = [query["sql"] for query in asked]
    assert not [sql for sql in statements if '"distributions_message"' in sql]
    assert len([sql for sql in statements if 'FROM "extensions_testmessage"' in sql]) == 1, "one look for all of them"
    assert applying.apply_due() == 0, "nothing is tried again"


@pytest.mark.parametrize("by", ["reference", "provider_message_id"])
@pytest.mark.parametrize("key", provider_cases.each("status"))
def test_a_test_message_is_found_by_our_reference_and_by_the_providers_id(key, by):
    account = factories.account(factories.organization(), key)
    callbacks = kept(account)
    ids = sorted({report.message_id for _request, report in reported(key)})
    names = [(OF_CASES, "")] if by == "reference" else [(f"t{number}", named) for number, named in enumerate(ids)]
    TestMessage.objects.bulk_create(
        TestMessage(account=account, reference=named, provider_message_id=message_id, status="unknown")
        for named, message_id in names
    )

    applying.apply_due()

    assert states(callbacks) == {State.APPLIED}
    assert strange_of(account) == 0
    assert TestMessage.objects.exclude(status="unknown").exists()


@pytest.mark.parametrize("key", provider_cases.each("status"))
def test_beside_it_a_text_of_ours_is_found_and_one_that_is_not_there_yet_is_waited_for(key):
    account = factories.account(factories.organization(), key)
    ours = sent(account, ["ours"]).get()
    strange, known, late = kept(account), kept(account, reference(ours.pk)), kept(account, reference(ours.pk + 1_000))

    applying.apply_due()

    assert states(strange) == states(known) == {State.APPLIED}
    assert states(late) == {State.PARKED}
    assert ours.events.count() == len(known)
    assert strange_of(account) == len(strange)

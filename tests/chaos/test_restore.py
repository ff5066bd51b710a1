"""The database is put back from a backup in mid-send, under running workers: nobody gets a text twice."""

from __future__ import annotations

from collections import Counter

import pytest
from django.core.management import call_command
from django.utils import timezone

from distributions import tasks
from distributions.engine import identity, references
from distributions.models import Distribution, Message
from distributions.states import Status
from extensions.models import AccountState
from tests import backups, factories
from tests.chaos.judge import call, wait_for
from tests.processes import Beat, Web, Worker

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

RECIPIENTS = 1_500


def launched(account, phone):
    made = factories.distribution(
        account.organization,
        contact_list=factories.contact_list(account.organization, RECIPIENTS, phone=phone),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    tasks.expand.delay(made.pk)
    return made


@pytest.mark.parametrize("simulator", [{"latency_ms": 50, "report_delay_ms": 300}], indirect=True, ids=["50ms"])
@pytest.mark.parametrize("provider", ["twilio", "infobip"])
def test_a_restore_in_mid_send_doubles_no_text_and_no_key(simulator, provider, settings, start, tmp_path):
    settings.SEND_TIMEOUT, settings.SEND_SLICE, settings.SEND_LEASE = 3, 2, 7
    settings.LOOKUP_AFTER, settings.SWEEP_EVERY = 4, 1
    settings.PUBLIC_URL = start(Web).url
    account = factories.account(factories.organization(), provider)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=200, max_in_flight=32)
    start(Worker, "one")
    start(Worker, "two")
    start(Beat)

    def accepted():
        return call(simulator, "GET", "ledger")["entries"]

    first = launched(account, "+44770{:07d}")
    wait_for(lambda: len(accepted()) >= 300, 90, "300 texts")
    backups.take(tmp_path / "backup")
    wait_for(lambda: len(accepted()) >= 900, 90, "600 more after the backup")
    second = launched(account, "+44771{:07d}")
    wait_for(lambda: len(accepted()) >= 1_800, 90, "texts of a distribution that the backup does not know")
    backups.swap_in(tmp_path / "backup")
    references.forget_epochs()
    wait_for(identity.is_held, 30, "the hold")
    given_out = {entry["reference"] for entry in accepted()}
    call_command("after_restore")
    Distribution.objects.update(paused_at=None)  # somebody goes on without looking
    third = launched(account, "+44772{:07d}")
    wait_for(
        lambda: (
            third.messages.filter(attempt__gt=0).exclude(status__in=[Status.QUEUED, Status.SENDING]).count()
            == RECIPIENTS
        ),
        120,
        "the texts after the restore",
    )

    texts = accepted()
    assert not Distribution.objects.filter(public_id=second.public_id).exists()
    assert [to for to, times in Counter(entry["to"] for entry in texts).items() if times > 1] == []
    assert [own for own, times in Counter(entry["reference"] for entry in texts).items() if times > 1] == []
    ours = {references.reference(pk) for pk in third.messages.values_list("pk", flat=True)}
    assert not ours & given_out
    links = [word for entry in texts for word in entry["text"].split() if "/s/" in word]
    assert len(set(links)) == len(links) == len(texts)
    assert not Message.objects.filter(distribution=first, status=Status.QUEUED).exists()

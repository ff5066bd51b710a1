"""Launches and callbacks have turns: organisations each as many, and what people wrote goes before reports."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from django.utils import timezone

from distributions import tasks
from distributions.engine.turns import Turns
from distributions.models import Distribution
from tests import factories
from webhooks import applying
from webhooks.models import Callback

pytestmark = pytest.mark.django_db


def launching(organization, account):
    return factories.distribution(
        organization,
        contact_list=factories.contact_list(organization, 20),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )


def test_an_organisation_with_five_launches_has_no_more_turns_than_one_with_a_single_launch(monkeypatch):
    busy, calm = factories.organization(), factories.organization()
    crowd = [launching(busy, factories.account(busy)) for _number in range(5)]
    small = launching(calm, factories.account(calm))
    written = Counter()

    def one_step(distribution_id):
        written[distribution_id] += 1
        time.sleep(0.03)
        return True

    monkeypatch.setattr(tasks, "TURN", 0.02)
    monkeypatch.setattr(tasks, "_turns", Turns())
    monkeypatch.setattr(tasks.starting, "expand", one_step)
    for turn in range(20):
        tasks.expand(crowd[turn % 5].pk)  # whoever was rung for

    assert written[small.pk] == sum(written[made.pk] for made in crowd) == 10
    assert {written[made.pk] for made in crowd} == {2}


def test_a_wake_up_without_a_launch_does_nothing():
    tasks.expand(999_999)


def test_what_people_wrote_goes_before_every_account_s_reports(monkeypatch):
    accounts = [factories.account(factories.organization()) for _number in range(4)]
    order = []
    monkeypatch.setattr(applying, "_turn", lambda account_id, _limit, kind="": order.append((kind, account_id)) or 0)
    for number, account in enumerate(accounts):
        for kind in ("status", "message")[: 2 if number == 3 else 1]:
            Callback.objects.create(
                account=account, kind=kind, method="POST", url="https://x", body=b"", dedupe_key=f"{kind}{number}"
            )

    applying.apply_due()

    assert order[0] == ("message", accounts[3].pk)
    assert {account_id for kind, account_id in order if not kind} == {account.pk for account in accounts}

"""Bells. A task says "look at these rows"; lost, doubled and late ones are harmless, and the sweeper rings again."""

from __future__ import annotations

import signal
import time
from functools import partial

from celery import shared_task
from celery.signals import worker_process_init, worker_ready, worker_shutting_down
from django.db import connections

from distributions import conversations, identity, launching, reports, sending, settling, sweeping
from distributions.bells import quietly

TURN = 0.5  # seconds that one distribution's messages are written before another's


@worker_ready.connect
def look_at_the_database(**_kwargs: object) -> None:
    """Say at the start, and not only when somebody waits for texts, that the database is a restored one."""
    try:
        identity.remember_first()
        identity.says_held()
    finally:
        connections.close_all()  # this process only looks after the others


@worker_shutting_down.connect
def stop_pumping(**_kwargs: object) -> None:
    """Pumps take nothing new once the worker is asked to stop; what is in flight still comes back."""
    sending.stopping.value = True


@worker_process_init.connect
def finish_first(**_kwargs: object) -> None:
    """Some platforms ask every process to stop, and not only the one that looks after the others."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@shared_task(acks_late=True, ignore_result=True)
def expand(distribution_id: int) -> None:
    """Write a distribution's messages for a moment, then let another distribution have its turn.

    It rings for each step, so that the first are sent while the rest are written.
    """
    turn_ends_at = time.monotonic() + TURN
    more = True
    while more and time.monotonic() < turn_ends_at and not sending.stopping.value:
        more = launching.expand(distribution_id)
        for account_id in sweeping.accounts_due(distribution_id=distribution_id):
            quietly(partial(pump.delay, account_id))
    if more:
        quietly(partial(expand.delay, distribution_id))


@shared_task(acks_late=True, ignore_result=True)
def pump(account_id: int) -> None:
    """Send what is due through one account and beside it through others, for a bounded time."""
    for more in sending.serve(account_id):
        quietly(partial(pump.delay, more))


@shared_task(acks_late=True, ignore_result=True)
def settle(account_id: int) -> None:
    """Find out what became of the account's uncertain messages."""
    if settling.settle(account_id):
        quietly(partial(pump.delay, account_id))


@shared_task(acks_late=True, ignore_result=True)
def sweep() -> None:
    """Everything a lost bell forgot. Harmless however often it runs, and however many run at once."""
    identity.remember_first()
    if identity.says_held():
        return
    sweeping.start_scheduled()
    sweeping.look_ahead()
    sweeping.reroute()
    sweeping.close_finished()
    reports.join_forgotten_parts()
    conversations.carry_over()
    conversations.expire()
    for distribution_id in sweeping.launching():
        quietly(partial(expand.delay, distribution_id))
    for account_id in sweeping.accounts_due():
        quietly(partial(pump.delay, account_id))
    for account_id in sweeping.accounts_uncertain():
        quietly(partial(settle.delay, account_id))

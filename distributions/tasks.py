"""Tasks say "look at these rows". Lost, doubled and late ones are harmless: the periodic check starts them again."""

from __future__ import annotations

import signal
import time

from celery import shared_task
from celery.signals import worker_process_init, worker_ready, worker_shutting_down
from django.db import connections

from distributions.engine import closing, crew, due, identity, settling, worker_process
from distributions.engine.wake import EXPAND, PUMP, SETTLE, wake
from distributions.planning import leaving, starting
from distributions.replies import conversations, inbound

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
    worker_process.stopping.value = True


@worker_process_init.connect
def finish_first(**_kwargs: object) -> None:
    """Some platforms ask every process to stop, and not only the one that looks after the others."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@shared_task(acks_late=True, ignore_result=True)
def expand(distribution_id: int) -> None:
    """Write a distribution's messages for a moment, then let another distribution have its turn.

    Its pumps are woken after each step, so that the first texts leave while the rest are written.
    """
    turn_ends_at = time.monotonic() + TURN
    more = True
    while more and time.monotonic() < turn_ends_at and not worker_process.stopping.value:
        more = starting.expand(distribution_id)
        for account_id in due.accounts_due(distribution_id=distribution_id):
            wake(PUMP, account_id)
    if more:
        wake(EXPAND, distribution_id)


@shared_task(acks_late=True, ignore_result=True)
def pump(account_id: int) -> None:
    """Send what is due through one account and beside it through others, for a bounded time."""
    for more in crew.serve(account_id):
        wake(PUMP, more)


@shared_task(acks_late=True, ignore_result=True)
def settle(account_id: int) -> None:
    """Find out what became of the account's uncertain messages."""
    if settling.settle(account_id):
        wake(PUMP, account_id)


@shared_task(acks_late=True, ignore_result=True)
def sweep() -> None:
    """The periodic check: what a lost wake-up left undone. Harmless however often it runs, and however many at once."""
    identity.remember_first()
    if identity.says_held():
        return
    starting.start_due()
    starting.look_ahead()
    leaving.reroute()
    closing.close_finished()
    inbound.join_forgotten_parts()
    conversations.carry_over()
    conversations.expire()
    for distribution_id in due.launching():
        wake(EXPAND, distribution_id)
    for account_id in due.accounts_due():
        wake(PUMP, account_id)
    for account_id in due.accounts_uncertain():
        wake(SETTLE, account_id)

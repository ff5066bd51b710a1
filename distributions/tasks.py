"""Tasks say "look at these rows". Lost, doubled and late ones are harmless: the periodic check starts them again."""

from __future__ import annotations

import signal
import time

from celery import shared_task
from celery.signals import worker_process_init, worker_ready, worker_shutting_down
from django.db import connections

from distributions.engine import closing, crew, due, identity, reasons, settling, worker_process
from distributions.engine.turns import Turns
from distributions.engine.wake import EXPAND, PUMP, REVIEW, SETTLE, wake
from distributions.planning import leaving, starting, taking_back, working_out
from distributions.replies import conversations, inbound
from organizations import steps

TURN = 0.5  # seconds that one distribution's messages are written before another's

_turns = Turns()  # who was written for last, by this process


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
    """Write messages for a moment: those of the organisation that has waited longest, whoever was rung for.

    Each wake-up is a turn, so an organisation with ten launches has no more of them than one with a single one. The
    pumps are woken after each step, so that the first texts leave while the rest are written.
    """
    waiting = sorted(due.launches(), key=lambda line: line.distribution_id != distribution_id)
    if not waiting:
        return
    line = _turns.next(waiting)
    _turns.served(line)
    distribution_id = line.distribution_id
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
def review(distribution_id: int) -> None:
    """Work out the review of a draft to a long list, a step at a time, so that others have their turns."""
    if working_out.step(distribution_id):
        wake(REVIEW, distribution_id)


@shared_task(acks_late=True, ignore_result=True)
def take_back(distribution_id: int) -> None:
    """Take back what has not left of a cancelled distribution, for a moment, then let others have their turn."""
    taking_back.take_back(distribution_id, taking_back.TURN)


@shared_task(acks_late=True, ignore_result=True)
def sweep() -> None:
    """The periodic check: what a lost wake-up left undone. Harmless however often it runs, and however many at once.

    Each step by itself: one that fails keeps none of the others from running (organizations/steps.py).
    """
    identity.remember_first()
    if identity.says_held():
        return
    steps.run(
        starting.start_due,
        starting.look_ahead,
        leaving.follow,
        leaving.retire,
        closing.close_finished,
        taking_back.resume,
        inbound.join_forgotten_parts,
        conversations.carry_over,
        conversations.expire,
        working_out.purge,
        reasons.fold,
        _wake_expansions,
        _wake_pumps,
        _wake_settling,
    )


def _wake_expansions() -> None:
    for distribution_id in due.launching():
        wake(EXPAND, distribution_id)


def _wake_pumps() -> None:
    for account_id in due.accounts_due():
        wake(PUMP, account_id)


def _wake_settling() -> None:
    for account_id in due.accounts_uncertain():
        wake(SETTLE, account_id)

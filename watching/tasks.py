"""Tasks that watch."""

from __future__ import annotations

from celery import shared_task

from watching import mails, standing_in


@shared_task(acks_late=True, ignore_result=True)
def ping(queue: str) -> None:
    """Shows by being taken that somebody takes from the queue it came by (watching/signs.py)."""


@shared_task(acks_late=True, ignore_result=True)
def watch() -> None:
    """Look what is so, and tell who should know. Harmless however often it runs, and however many at once."""
    standing_in.watch()


@shared_task(acks_late=True, ignore_result=True)
def purge() -> None:
    """Forget what has long been over."""
    mails.forget()

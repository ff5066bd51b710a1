"""What becomes of uploaded files and kept numbers. Lost, doubled, late tasks are harmless: they are started again."""

from __future__ import annotations

from celery import shared_task

from contacts import counts, importing, removing
from organizations import steps


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=3_500, time_limit=3_600)  # seconds
def go_on(import_id: int) -> None:
    """Come further with an import for a moment."""
    importing.go_on(import_id)


@shared_task(acks_late=True, ignore_result=True)
def resume() -> None:
    """The periodic check: what a lost wake-up or a dead worker left undone."""
    importing.resume()


@shared_task(acks_late=True, ignore_result=True)
def purge() -> None:
    """Forget uploaded files that nobody imported."""
    importing.purge()


@shared_task(acks_late=True, ignore_result=True)
def add_up() -> None:
    """Add up what has been appended to lists' numbers, so that reading them stays quick; and go on with removing."""
    steps.run(_fold, _go_on_removing)


def _fold() -> None:
    while counts.fold() == counts.FOLDED_AT_ONCE:
        pass


def _go_on_removing() -> None:
    if removing.is_anything_left():
        removing.wake()


@shared_task(acks_late=True, ignore_result=True)
def remove_lists() -> None:
    """Remove the people of lists that are gone, for a moment, then let others have their turn."""
    if removing.go_on():
        removing.wake()

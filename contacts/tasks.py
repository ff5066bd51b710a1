"""What becomes of uploaded files by itself."""

from __future__ import annotations

from celery import shared_task

from contacts import importing


@shared_task(acks_late=True, ignore_result=True)
def purge() -> None:
    """Forget uploaded files that nobody imported."""
    importing.purge()

"""What happens to accounts by itself."""

from __future__ import annotations

from celery import shared_task

from extensions import asking, kept


@shared_task(acks_late=True, ignore_result=True)
def purge() -> None:
    """Forget the secrets of forms that nobody has finished."""
    kept.purge()


@shared_task(acks_late=True, ignore_result=True)
def ask_balances() -> None:
    """Look what is left on the accounts."""
    asking.ask_balances()

"""Deleting lists. A long one is gone for everybody at once; its people are removed by a worker, by portions.

From the moment it is marked (`ContactList.removed_at`) no query finds it but `ContactList.every`, so nobody sees, fills
or sends to it. Its people are no one's any more and go in short transactions: nobody waits for a million rows.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import current_app
from django.db import models, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from contacts import counts
from contacts.models import Contact, ContactList
from organizations import steps

logger = logging.getLogger(__name__)

REMOVE = "contacts.tasks.remove_lists"  # tasks are named and not imported, because they import this
AT_ONCE = 5_000  # people whose removal is waited for
PORTION = 500  # people in one transaction
TURN = 1.0  # seconds of a task before others have theirs


def remove(contact_list: ContactList) -> None:
    """Delete a list with its people. Who relies on it has been asked about before (organizations/commitments.py)."""
    with transaction.atomic():
        if counts.of(contact_list.pk).people <= AT_ONCE:
            while _remove_people(contact_list.pk, 1_000):
                pass
            contact_list.delete()
            return
        _let_go(contact_list)
        ContactList.every.filter(pk=contact_list.pk).update(removed_at=timezone.now())
        transaction.on_commit(wake)


def go_on(until: float | None = None) -> bool:
    """Remove the people of lists that are gone, and then the lists, for a while; True if there is more."""
    ends_at = time.monotonic() + TURN if until is None else until
    left: list[int] = []

    def remove_one(pk: int) -> None:
        more = not left
        while more and _remove_people(pk, PORTION):
            more = time.monotonic() <= ends_at
        if more:
            ContactList.every.filter(pk=pk).delete()
        else:
            left.append(pk)

    lists = ContactList.every.filter(removed_at__isnull=False).order_by("pk").values_list("pk", flat=True)
    steps.for_each(lists, remove_one, "remove the people of list")
    return bool(left)


def is_anything_left() -> bool:
    """Whether there are lists of which only people are still to be removed."""
    return bool(ContactList.every.filter(removed_at__isnull=False).exists())


def _let_go(contact_list: ContactList) -> None:
    """What its deletion does to other rows than its people: as their foreign keys say."""
    for relation in ContactList._meta.related_objects:
        model: Any = relation.related_model
        if model is Contact or relation.on_delete is models.DO_NOTHING:
            continue
        rows = model._base_manager.filter(**{relation.field.name: contact_list})
        if relation.on_delete is models.SET_NULL:
            rows.update(**{relation.field.name: None})
        else:
            rows.delete()


def _remove_people(list_id: int, number: int) -> int:
    """Remove some of a list's people; returns how many."""
    keys = list(Contact.objects.filter(contact_list=list_id).order_by("pk").values_list("pk", flat=True)[:number])
    if keys:
        Contact.objects.filter(pk__in=keys).delete()
    return len(keys)


def wake() -> None:
    """Have a worker go on."""
    try:
        current_app.send_task(REMOVE, ignore_result=True)
    except (BrokerError, OSError) as error:
        logger.warning("The broker is away (%s); the periodic check will find it.", type(error).__name__)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Model, QuerySet

from extensions.fields import EncryptedJSONField, Unreadable
from organizations.commands import DatabaseCommand


class UnreadableValue(Exception):
    """None of FERNET_KEYS opens it."""


class Command(DatabaseCommand):
    help = "Encrypts every stored secret anew with the first of FERNET_KEYS; afterwards the others can be dropped."

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = []
        for model, field in encrypted_fields():
            done = 0
            for key in QuerySet(model).order_by("pk").values_list("pk", flat=True).iterator():
                try:
                    done += encrypt_anew(model, field, key)
                except UnreadableValue:
                    unreadable.append(f"{model._meta.label} {key}")
            self.stdout.write(f"{model._meta.label}.{field}: {done} encrypted anew")
        if unreadable:
            raise CommandError(
                f"None of FERNET_KEYS opens {', '.join(unreadable)}: "
                "put the key with which they were written back at the end."
            )


def encrypted_fields() -> Iterator[tuple[type[Model], str]]:
    """Every encrypted column there is: a new one is found by itself."""
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, EncryptedJSONField):
                yield model, field.name


def encrypt_anew(model: type[Model], field: str, key: Any) -> bool:
    """Read and write one value; False if the row or its value is gone.

    With Django's own query set: an account's refuses to change its credentials, and their value stays what it is. One
    row at a time, locked, so that a token refreshed meanwhile is not set back. Raises UnreadableValue.
    """
    with transaction.atomic():
        row = QuerySet(model).select_for_update().filter(pk=key).values_list(field, flat=True).first()
        if row is None:
            return False
        if isinstance(row, Unreadable):
            raise UnreadableValue
        return bool(QuerySet(model).filter(pk=key).update(**{field: row}))

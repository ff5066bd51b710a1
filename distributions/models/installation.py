"""What the database remembers of itself, so that a restored one is noticed (docs/backup.md)."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class KnownDatabase(models.Model):
    """The database that this installation has been working with. A row that names another holds the workers.

    `position` counts the marks on SQLite, where a file beside the database keeps count too (engine/identity.py).
    """

    identity = models.CharField(max_length=160, primary_key=True)
    position = models.BigIntegerField(default=0)
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.identity


class Epoch(models.Model):
    """From message `first_id` on, references and links are proven with this salt (distributions/engine/references.py).

    After a restore nobody knows which keys were given out; what was made with them before proves nothing afterwards.
    """

    first_id = models.BigIntegerField()
    salt = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"from {self.first_id}"

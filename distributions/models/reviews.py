"""What the review of a long list has found."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from distributions.models.distributions import Distribution


class WorkedOut(models.Model):
    """The review of a draft whose list is too long to be read while somebody waits for the page.

    `asked` is what it was worked out for (the text and what carries it), `list_version` that of the list as it was when
    it began, `reviewed_version` the same as fingerprints know it. `found` is the part of the review that comes of the
    people, as far as the contact with the key `cursor`.
    """

    distribution = models.OneToOneField(Distribution, models.CASCADE, primary_key=True, related_name="worked_out")
    asked = models.CharField(max_length=64)
    list_version = models.BigIntegerField()
    reviewed_version = models.CharField(max_length=80, blank=True)
    cursor = models.BigIntegerField(default=0)
    people = models.PositiveIntegerField()  # on the list, when it began
    done = models.PositiveIntegerField(default=0)
    found = models.JSONField(default=dict)
    began_at = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["touched_at"], name="worked_out_by_age")]

    def __str__(self) -> str:
        return f"{self.distribution_id}: {self.done}/{self.people}"

    @property
    def percent(self) -> int:
        """How far it is; 99 until it is finished."""
        return min(99, 100 * self.done // max(self.people, 1))

"""For which reasons how many texts stand where they stand: kept, and so never counted."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from distributions.models.distributions import Distribution
from distributions.states import Status


class ReasonChange(models.Model):
    """By how much a number of texts has changed that have a reason: a number is the sum of its rows.

    Written by the database alone, whoever moves a message (engine/reasons.py). There is no foreign key in the database,
    since what is counted down while a distribution is deleted is counted, too.
    """

    distribution = models.ForeignKey(
        Distribution, models.DO_NOTHING, db_constraint=False, related_name="+", editable=False
    )
    status = models.CharField(max_length=12, choices=Status.choices)
    reason = models.CharField(max_length=24)
    is_first = models.BooleanField()  # not what a conversation goes on with
    texts = models.IntegerField()
    is_sum = models.BooleanField()  # of what had been appended before

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["distribution"], condition=Q(is_sum=False), name="reason_changes_to_add_up")
        ]

    def __str__(self) -> str:
        return f"{self.distribution_id} {self.status} {self.reason} {self.texts:+}"

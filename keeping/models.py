"""What is being forgotten, how long what is kept, and how far the daily job has come."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from organizations.encrypted import EncryptedJSONField
from organizations.models import Organization, Owned, User


class Forgetting(Owned):
    """One person's number that is being forgotten, or was; the number itself goes with the last step.

    `place` is where the search through all words has come to: [position of the table, key of the row].
    """

    number = EncryptedJSONField(null=True)  # {"phone": E.164} until it is finished
    digest = models.CharField(max_length=64, editable=False)  # so that the same number is not forgotten twice at once
    place = models.JSONField(default=list, db_default=[], editable=False)
    counts = models.JSONField(default=dict, db_default={}, editable=False)
    in_flight = models.JSONField(default=list, db_default=[], editable=False)  # messages whose requests had left
    started_at = models.DateTimeField(_("asked for"), db_default=Now())
    finished_at = models.DateTimeField(_("done"), null=True)
    started_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("asked for by"))

    class Meta:
        verbose_name = _("forgotten person")
        verbose_name_plural = _("forgotten persons")
        ordering: ClassVar = ["-started_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "digest"], condition=Q(finished_at=None), name="forgotten_once_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


# Days: the default, the shortest and the longest. The shortest leave time for what still comes: late reports, doubts, a
# survey of two weeks. Opt-out links work as long as numbers are kept, hence half a year.
PERIODS = {
    "texts": (365, 30, 3_650),
    "replies": (365, 30, 3_650),
    "answers": (1_095, 30, 3_650),
    "history": (1_095, 180, 3_650),
    "callbacks": (30, 7, 90),
    "imports": (365, 30, 3_650),
    "audit": (1_095, 365, 3_650),
    "sessions": (14, 1, 14),
}


def _days(label: Any, name: str) -> models.PositiveIntegerField:
    """A period in days, with its bounds; the database knows the default too."""
    default, shortest, longest = PERIODS[name]
    bounds = [MinValueValidator(shortest), MaxValueValidator(longest)]
    return models.PositiveIntegerField(label, default=default, db_default=default, validators=bounds)


class Retention(models.Model):
    """How many days an organisation keeps what; one without a row keeps the defaults."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="retention")
    texts = _days(_("wording of texts"), "texts")
    replies = _days(_("wording of replies"), "replies")
    answers = _days(_("answers to surveys by text"), "answers")
    history = _days(_("numbers in the history of texts and replies"), "history")
    callbacks = _days(_("raw messages from providers"), "callbacks")
    imports = _days(_("list of imported files"), "imports")
    sessions = _days(_("log-ins that are not used"), "sessions")
    audit = _days(_("audit trail"), "audit")

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retention")

    def __str__(self) -> str:
        return str(self.organization)


class Walk(models.Model):
    """How far the daily walk through one table has come: it goes on there after whatever stopped it."""

    name = models.CharField(max_length=40, primary_key=True)
    place = models.BigIntegerField(default=0, db_default=0)  # the key of the last row that was looked at
    changed = models.BigIntegerField(default=0, db_default=0)  # rows, since it began
    began_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name

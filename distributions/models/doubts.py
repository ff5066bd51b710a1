"""Replies that may mean "no more texts", until somebody has decided."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models import OptOut
from distributions.models.messages import Message
from extensions.models import ProviderAccount
from organizations.models import Owned, OwnedQuerySet, User
from surveys.models import Question


class DoubtQuerySet(OwnedQuerySet):
    def undecided(self) -> Self:
        """What waits for a decision. Whoever has opted out since, in whatever way, has decided it themselves."""
        since = OptOut.objects.filter(
            Q(ended_at=None) | Q(created_at__gte=OuterRef("created_at")),
            organization=OuterRef("organization"),
            phone=OuterRef("phone"),
        )
        return self.filter(~Exists(since), decided_at=None)


class Doubt(Owned):
    """What a person wrote that is not a stop word and may be meant as one. Until then they are asked nothing more.

    One for each person and number of ours, `line`: what they write meanwhile joins it (its `texts`). `message` is the
    text that it answers, `question` the one that waits for an answer, if a survey by text is open.
    """

    class Decision(models.TextChoices):
        OPT_OUT = "opt_out", _("opted out")
        ANSWER = "answer", _("taken as the answer")
        NEITHER = "neither", _("neither")
        PERSON = "person", _("decided by the person")  # who has written a stop or start word since

    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="+", verbose_name=_("account"))
    line = models.CharField(max_length=40)  # the account's sender: an account may be replaced, its number stays
    phone = models.CharField(_("number"), max_length=40)
    message = models.ForeignKey(
        Message, models.SET_NULL, null=True, db_constraint=False, related_name="+", verbose_name=_("in reply to")
    )
    question = models.ForeignKey(
        Question, models.SET_NULL, null=True, related_name="+", verbose_name=_("open question")
    )
    created_at = models.DateTimeField(_("since"), default=timezone.now)
    decision = models.CharField(_("decision"), max_length=8, choices=Decision.choices, blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("decided by"))

    objects: ClassVar = DoubtQuerySet.as_manager()

    class Meta:
        verbose_name = _("reply awaiting a decision")
        verbose_name_plural = _("replies awaiting a decision")
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "phone", "line"],
                condition=Q(decided_at=None),
                name="one_open_doubt_per_person_and_number",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["organization", "id"], condition=Q(decided_at=None), name="doubts_undecided")
        ]

    def __str__(self) -> str:
        return str(self.pk)

"""A survey held by text with one person."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from distributions.models.distributions import Distribution
from distributions.models.messages import Message
from extensions.models import ProviderAccount
from organizations.models import Owned
from surveys.models import Response


class Conversation(Owned):
    """Where a person stands in a survey by text. It begins with the first reply; until then there is only the message.

    `account` is the one whose number the person writes to, and follows a replacement. The person's replies are the
    `replies` of `message`, what we said after it are the `turns`. Without `response`: the first reply came too late.
    """

    class State(models.TextChoices):
        OPEN = "open", _("under way")
        COMPLETED = "completed", _("completed")
        BROKEN_OFF = "broken_off", _("broken off")  # no answer could be read
        OPTED_OUT = "opted_out", _("opted out")
        EXPIRED = "expired", _("expired")
        SUPERSEDED = "superseded", _("another survey came")
        ASIDE = "aside", _("asked for help")  # in reply to a link: no survey is held by text
        ENDED = "ended", _("ended")  # the distribution was cancelled, or its number is gone

    distribution = models.ForeignKey(Distribution, models.CASCADE, related_name="conversations")
    message = models.OneToOneField(
        Message, models.CASCADE, db_constraint=False, related_name="begun", verbose_name=_("first text")
    )
    response = models.OneToOneField(
        Response, models.PROTECT, null=True, related_name="conversation", verbose_name=_("response")
    )
    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="+", verbose_name=_("account"))
    phone = models.CharField(_("number"), max_length=16)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.OPEN)
    position = models.PositiveSmallIntegerField(default=0)  # of the question that waits for an answer
    misses = models.PositiveSmallIntegerField(default=0)  # replies to it that were not an answer
    asides = models.PositiveSmallIntegerField(default=0)  # texts of ours since it was asked that are beside the survey
    expires_at = models.DateTimeField(_("waits until"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    told_at = models.DateTimeField(null=True)  # that it is over, to somebody who wrote afterwards
    helped_at = models.DateTimeField(null=True)  # a word for help was answered
    reminded_at = models.DateTimeField(null=True)  # a start word was answered with the question that waits
    created_at = models.DateTimeField(_("began"), default=timezone.now)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], condition=models.Q(state="open"), name="open_conversations_by_expiry"),
            models.Index(fields=["organization", "phone"], name="conversations_by_number"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

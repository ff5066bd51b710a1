"""One text to one person, and what happened to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from distributions.models.distributions import Distribution
from distributions.states import NOT_LEFT, REPEATED, Status, sources
from extensions.models import ProviderAccount
from organizations.fields import ShortSentenceField
from organizations.models import Owned, OwnedQuerySet


class MessageQuerySet(OwnedQuerySet):
    def move(self, to: Status, **fields: Any) -> int:
        """One UPDATE, only from a state that allows it: late and duplicate reports change nothing. Returns how many."""
        return self.filter(status__in=sources(to)).update(status=to, **fields)

    def left(self, by: datetime) -> Self:
        """Texts that were on their way to their people at that time, or may have been.

        What the provider refused never was; what waits for its repetition may have left the first time.
        """
        repeated, refused = Q(reason=REPEATED), Q(status=Status.FAILED, provider_message_id="")
        attempted = self.filter(Q(attempted_at__lte=by) | Q(attempted_at=None) | repeated, attempt__gt=0)
        return attempted.exclude(refused).exclude(~repeated & Q(status__in=NOT_LEFT))


class Message(Owned):
    """One text to one person: the outbox row.

    There is no index on anything that changes, so that PostgreSQL updates rows in place. That on the number begins with
    it, since a reply to an account that many share names nobody else. `attempt` numbers the marks
    "sending"; a result is written only for the attempt it belongs to. `reason` is a Category, or why it was skipped;
    `error` are the provider's words, or a sentence of ours where it said nothing.
    """

    class Skip(models.TextChoices):
        OPTED_OUT = "opted_out", _("opted out")
        NO_NUMBER = "no_number", _("no phone number")
        DUPLICATE = "duplicate", _("same number twice")
        IN_DOUBT = "in_doubt", _("a reply awaits a decision")

    organization = models.ForeignKey("organizations.Organization", models.CASCADE, db_index=False, editable=False)
    distribution = models.ForeignKey(Distribution, models.CASCADE, related_name="messages", db_index=False)
    # No constraint and no index of its own: a contact can be deleted, history keeps the number.
    contact = models.ForeignKey(
        Contact, models.DO_NOTHING, null=True, db_index=False, db_constraint=False, related_name="+"
    )
    # Of a text that goes on with a conversation; those have no `contact`, so that everybody counts once.
    conversation = models.ForeignKey(
        "distributions.Conversation", models.CASCADE, null=True, db_index=False, related_name="turns"
    )
    account = models.ForeignKey(ProviderAccount, models.PROTECT, null=True, db_index=False, related_name="+")
    to = models.CharField(_("number"), max_length=16)
    text = models.TextField(_("text"))
    segments = models.PositiveSmallIntegerField(_("segments"), default=0)
    status = models.CharField(_("state"), max_length=12, choices=Status.choices, default=Status.QUEUED)
    reason = models.CharField(_("reason"), max_length=24, blank=True, default="")
    error = ShortSentenceField(_("the provider's words"), max_length=255, blank=True, default="")
    attempt = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(_("attempted"), null=True)
    provider_message_id = models.CharField(_("the provider's ID"), max_length=80, blank=True, default="")
    accepted_at = models.DateTimeField(_("accepted"), null=True)
    settled_at = models.DateTimeField(_("settled"), null=True)
    clicked_at = models.DateTimeField(_("opened the link"), null=True)

    objects: ClassVar = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["distribution", "contact"], name="one_message_per_contact")
        ]
        indexes: ClassVar = [
            models.Index(fields=["to", "organization"], name="messages_by_number"),
            models.Index(
                fields=["conversation"], condition=models.Q(conversation__isnull=False), name="messages_by_conversation"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class MessageEvent(models.Model):
    """Something that was said about a message: by a report, a look-up, a person, or an attempt that went wrong."""

    class Source(models.TextChoices):
        SEND = "send", _("sending")
        REPORT = "report", _("delivery report")
        LOOKUP = "lookup", _("look-up at the provider")
        PERSON = "person", _("a person")

    message = models.ForeignKey(Message, models.CASCADE, related_name="events", db_constraint=False)
    source = models.CharField(max_length=8, choices=Source.choices)
    status = models.CharField(max_length=12)
    category = models.CharField(max_length=24, blank=True, default="")
    error = ShortSentenceField(max_length=255, blank=True, default="")
    part = models.CharField(max_length=80, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.message_id} {self.status}"

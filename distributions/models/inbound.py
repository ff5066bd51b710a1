"""What people write to us."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact
from distributions.models.messages import Message
from extensions.models import ProviderAccount
from organizations.models import Owned


class InboundMessage(Owned):
    """An SMS from a person to the organisation, kept under the provider's own id."""

    class Meaning(models.TextChoices):
        REPLY = "reply", _("reply")
        ANSWER = "answer", _("answer")  # to the question of a survey by text
        UNCLEAR = "unclear", _("not understood")
        OPT_OUT = "opt_out", _("opt-out")
        OPT_IN = "opt_in", _("opt-in")
        HELP = "help", _("help")
        DOUBT = "doubt", _("possible opt-out")  # somebody decides: see doubts.py
        REACTION = "reaction", _("reaction")  # an emoji on one of our texts, sent as a text

    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="+", verbose_name=_("account"))
    provider_identity = models.CharField(max_length=24, default="", editable=False)  # of the account that proved it
    provider_message_id = models.CharField(max_length=120)
    sender = models.CharField(_("from"), max_length=40)
    recipient = models.CharField(_("to"), max_length=40, blank=True)
    text = models.TextField(_("text"), blank=True)
    meaning = models.CharField(_("read as"), max_length=8, choices=Meaning.choices, default=Meaning.REPLY)
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, related_name="+", verbose_name=_("contact"))
    message = models.ForeignKey(
        Message, models.SET_NULL, null=True, db_constraint=False, related_name="replies", verbose_name=_("in reply to")
    )
    received_at = models.DateTimeField(_("received"), default=timezone.now)
    doubt = models.ForeignKey(
        "distributions.Doubt", models.SET_NULL, null=True, related_name="texts", verbose_name=_("decision")
    )
    # In a text that is an answer all the same; it deserves a second look.
    mentions_stopping = models.BooleanField(_("mentions a stop word"), default=False)

    class Meta:
        verbose_name = _("inbound message")
        verbose_name_plural = _("inbound messages")
        ordering: ClassVar = ["-received_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider_identity", "recipient", "provider_message_id"], name="one_inbound_per_provider_id"
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["organization", "sender"],
                name="inbound_by_number",
                opclasses=["int8_ops", "varchar_pattern_ops"],  # the beginning of a number is looked for, too
            ),
            models.Index(fields=["organization", "-received_at", "-id"], name="inbound_latest_first"),  # as pages list
            models.Index(fields=["organization", "meaning", "-received_at", "-id"], name="inbound_by_meaning"),
            models.Index(
                fields=["organization", "-received_at", "-id"],
                condition=Q(mentions_stopping=True),
                name="inbound_that_mention_stopping",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.provider_identity = self.provider_identity or self.account.provider_identity
        super().save(*args, **kwargs)


class InboundPart(models.Model):
    """One part of a long text that its provider hands over in parts; gone once the text is whole."""

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="+")  # that has verified it
    provider_identity = models.CharField(max_length=24, default="", editable=False)
    organization = models.ForeignKey("organizations.Organization", models.CASCADE, related_name="+")
    key = models.CharField(max_length=120)  # what the parts of one text share: sender, recipient, the provider's number
    part = models.PositiveSmallIntegerField()  # from 1
    total = models.PositiveSmallIntegerField()
    provider_message_id = models.CharField(max_length=120)
    sender = models.CharField(max_length=40)
    recipient = models.CharField(max_length=40, blank=True)
    text = models.TextField(blank=True)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider_identity", "recipient", "provider_message_id"], name="one_part_per_provider_id"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["provider_identity", "key"], name="parts_of_one_text")]

    def __str__(self) -> str:
        return f"{self.part}/{self.total}"

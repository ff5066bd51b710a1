"""The inbox of raw callbacks, and what was refused at the door."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from extensions.contract import Fault
from extensions.models import ProviderAccount
from organizations import tracing
from organizations.fields import SentenceField
from organizations.models import Organization


class Callback(models.Model):
    """A verified webhook request, kept as it came until it has been applied and for a while after."""

    class State(models.TextChoices):
        NEW = "new"
        APPLIED = "applied"
        PARKED = "parked"  # names a message we do not know yet: tried again later
        UNREADABLE = "unreadable"  # set aside: its own data keeps it from being applied; `error` says why

    account = models.ForeignKey(ProviderAccount, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(_("route"), max_length=8)  # the route it came by: "status" or "message"
    method = models.CharField(max_length=8)
    url = models.TextField()
    content_type = models.CharField(max_length=100, blank=True)
    body = models.BinaryField()
    dedupe_key = models.CharField(max_length=64, unique=True)
    received_at = models.DateTimeField(_("received"), default=timezone.now)
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    tries = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    pending = models.JSONField(null=True)  # positions of what is not done: reports of unknown messages, replies
    error = models.CharField(max_length=255, blank=True)
    # Of the request that brought it. The database has a default, since an older version may still be writing.
    trace = models.CharField(max_length=tracing.LENGTH, blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        indexes: ClassVar = [
            models.Index(
                fields=["account", "not_before", "id"],
                condition=models.Q(state__in=["new", "parked"]),
                name="callbacks_due_by_account",
            ),
            models.Index(
                fields=["account", "not_before", "id"],
                condition=models.Q(state__in=["new", "parked"], kind="message"),
                name="replies_due_by_account",
            ),
            models.Index(
                fields=["account", "received_at"],
                condition=models.Q(state="unreadable"),
                name="callbacks_set_aside",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class RefusedCallback(models.Model):
    """How often a call was refused for one reason on one day. No payload, so nothing forged is ever shown as real."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="refused_callbacks")
    slug = models.CharField(_("path"), max_length=40)
    kind = models.CharField(_("route"), max_length=8)
    reason = SentenceField(_("reason"))
    # A word of Fault. The database has a default, since an older version may still be writing during an upgrade.
    fault = models.CharField(max_length=16, default=Fault.UNKNOWN.value, db_default=Fault.UNKNOWN.value)
    day = models.DateField()
    count = models.PositiveIntegerField(_("how often"), default=1)
    first_at = models.DateTimeField(_("first"), default=timezone.now)
    last_at = models.DateTimeField(_("last"), default=timezone.now)

    class Meta:
        verbose_name = _("refused callback")
        verbose_name_plural = _("refused callbacks")
        ordering: ClassVar = ["-last_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "slug", "kind", "reason", "day"], name="one_count_per_refusal"
            )
        ]

    def __str__(self) -> str:
        return self.reason

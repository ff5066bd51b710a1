"""A distribution, the chunks it is sent in, and its counters."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from contacts.models import ContactList, OptOut
from distributions import states
from distributions.states import ANSWERABLE
from extensions.models import ProviderAccount
from intake.sentences import moment
from organizations.fields import SentenceField
from organizations.ids import new_id
from organizations.models import Owned, OwnedQuerySet, User
from surveys import conversation
from surveys.models import LONGEST_WAIT, Survey


def new_distribution_id() -> str:
    return new_id("SMSD_")


class MomentField(models.DateTimeField):
    """A date and time that every zone's clock can show.

    What an older version let in, such as the last hour of the year 9999, is read as the first or last moment of what
    can be shown: it would break every page that lists it, and PostgreSQL's driver before that.
    """

    FIRST, LAST = "1000-01-01 00:00:00", "9000-01-01 00:00:00"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        shown = f"CASE WHEN {sql} > '{self.LAST}' THEN '{self.LAST}' WHEN {sql} < '{self.FIRST}' THEN '{self.FIRST}'"
        return f"{shown} ELSE {sql} END", [*params] * 5


class DistributionQuerySet(OwnedQuerySet):
    def stuck(self) -> Self:
        """Those that do not go on, or will not begin, before somebody has done something."""
        running = (Distribution.State.SCHEDULED, Distribution.State.LAUNCHING, Distribution.State.SENDING)
        return self.filter(~models.Q(problem="") & models.Q(state__in=running) | models.Q(edited_at__isnull=False))

    def planned(self) -> Self:
        """Those with a plan, the first to come first: waiting for their time, or being changed (`editing.py`).

        `planned_list` and `planned_survey` are what the plan of one that is being changed has, None for the others.
        """
        waiting, changing = Q(state=Distribution.State.SCHEDULED), Q(state=Distribution.State.DRAFT, plan__isnull=False)
        moment = models.DateTimeField()
        return (
            self.filter(waiting | changing)
            .alias(
                planned_list=Cast(KT("plan__contact_list_id"), models.BigIntegerField()),
                planned_survey=Cast(KT("plan__survey_id"), models.BigIntegerField()),
                begins=Coalesce(Cast(KT("plan__send_at"), moment), F("send_at"), output_field=moment),
            )
            .order_by("begins", "pk")
        )

    def with_answers(self) -> Self:
        """With what `answers_until` reads, in the same query: a list would otherwise ask once for every row."""
        now = timezone.now()
        replied = Distribution.conversations.rel.related_model._default_manager  # neither model can be imported here
        opened = replied.filter(distribution=OuterRef("pk"), state="open", expires_at__gt=now)
        firsts = Distribution.messages.rel.related_model._default_manager.filter(
            distribution=OuterRef("pk"), conversation=None, status__in=ANSWERABLE
        )
        stopped = OptOut.objects.active().filter(organization=OuterRef("organization"), phone=OuterRef("to"))
        silent = firsts.filter(~Exists(replied.filter(message=OuterRef("pk"))), ~Exists(stopped))
        ended = Q(state=Distribution.State.FINISHED, method=Distribution.Method.INTERACTIVE)
        recent = ended & Q(finished_at__gt=now - timedelta(hours=LONGEST_WAIT))
        latest = Subquery(opened.order_by("-expires_at").values("expires_at")[:1])
        return self.annotate(
            replies_until=Case(When(ended, then=latest)),
            wait_hours=F("survey__wait_hours"),
            somebody_is_silent=Case(When(recent, then=Exists(silent)), default=False),
        )


class Distribution(Owned):
    """One text to one contact list, now or at a time; its messages say what became of it, its tally how many."""

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        SCHEDULED = "scheduled", _("scheduled")
        LAUNCHING = "launching", _("being prepared")  # messages are being written; the first are sent already
        SENDING = "sending", _("sending")
        FINISHED = "finished", _("finished")
        CANCELLED = "cancelled", _("cancelled")

    class Method(models.TextChoices):
        INVITE = "invite", _("link to the survey")
        INTERACTIVE = "interactive", _("survey by text (two-way)")

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_distribution_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    survey = models.ForeignKey(Survey, models.PROTECT, related_name="distributions", verbose_name=_("survey"))
    contact_list = models.ForeignKey(
        ContactList, models.SET_NULL, null=True, related_name="distributions", verbose_name=_("contact list")
    )
    method = models.CharField(_("method"), max_length=12, choices=Method.choices, default=Method.INVITE)
    # Of a survey by text: what is said before the first question, and may be empty.
    message_text = models.TextField(_("message"), max_length=10_000, blank=True)
    send_at = MomentField(
        _("send at"), null=True, blank=True, help_text=_("Leave empty to send as soon as it is launched.")
    )
    time_zone = models.CharField(max_length=64, blank=True, editable=False)  # by whose clocks it was planned
    link_expires_at = MomentField(_("link expires"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.DRAFT, editable=False)
    paused_at = models.DateTimeField(_("paused"), null=True, editable=False)
    account = models.ForeignKey(
        ProviderAccount, models.PROTECT, null=True, editable=False, related_name="+", verbose_name=_("account")
    )
    # Whether texts of it may have been carried by another account; of what is older than this column nobody knows.
    had_other_accounts = models.BooleanField(default=False, db_default=True, editable=False)
    problem = SentenceField(_("what is wrong"), blank=True, editable=False)
    # Scheduled, but something was not as it had been when its time came: a person decides (services.take_over).
    held_at = models.DateTimeField(_("held since"), null=True, editable=False)
    looked_at = models.DateTimeField(null=True, editable=False)  # when it was last asked whether it would begin
    # A draft that was planned: its clock stands while it is being changed (distributions/planning/editing.py).
    edited_at = models.DateTimeField(_("being changed since"), null=True, editable=False)
    plan = models.JSONField(null=True, editable=False)
    planned_people = models.PositiveIntegerField(null=True, editable=False)  # who could be texted when it was planned
    # What whoever answers for it has reviewed (planning/fingerprint.py): who takes it over is told what differs.
    reviewed = models.JSONField(null=True, editable=False)
    confirmed_at = models.DateTimeField(null=True, editable=False)  # when a person last said that it may begin
    idempotency_key = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 (null: no key, not unique)
    cursor = models.BigIntegerField(default=0, editable=False)  # the last contact whose message is written
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("created by")
    )
    launched_at = models.DateTimeField(_("launched"), null=True, editable=False)
    launched_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("launched by")
    )
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)

    objects: ClassVar = DistributionQuerySet.as_manager()

    class Meta:
        verbose_name = _("distribution")
        verbose_name_plural = _("distributions")
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "idempotency_key"], name="one_distribution_per_idempotency_key"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["state", "send_at"], name="distributions_by_state")]

    def __str__(self) -> str:
        return self.name

    @property
    def standing(self) -> str:
        """The state in a word, as people are shown it."""
        if self.paused_at is not None:
            return str(_("paused"))
        if self.held_at is not None:
            return str(_("held"))
        if self.edited_at is not None:
            return str(_("being changed"))
        if self.answers_until is not None:
            return str(_("running"))
        return self.get_state_display()

    @cached_property
    def answers_until(self) -> datetime | None:
        """Of a survey by text of which everything has been sent: when the last who may still answer no longer may.

        None if nobody may: because all have answered, opted out or waited too long. Whoever has not replied may do so
        for some hours after their first text, which has left when the distribution finished at the latest.
        """
        if self.state != self.State.FINISHED or not self.is_interactive:
            return None
        row: Any = self if hasattr(self, "somebody_is_silent") else Distribution.objects.with_answers().get(pk=self.pk)
        moments = [row.replies_until]
        if row.somebody_is_silent and self.finished_at:
            moments.append(self.finished_at + timedelta(hours=row.wait_hours))
        return max((moment for moment in moments if moment and moment > timezone.now()), default=None)

    @property
    def needs_somebody(self) -> bool:
        """Whether it is planned, and held or known to be held when its time comes; see also `edited_at`."""
        return self.state == self.State.SCHEDULED and (self.held_at is not None or bool(self.problem))

    @property
    def planned_for(self) -> str:
        """When it is to begin, by the clocks it was planned by; they are named where they are not the reader's."""
        return moment(self.send_at, self.time_zone) if self.send_at else ""

    @property
    def link_works_until(self) -> str:
        """When the link expires, by the organisation's clocks; they are named where they are not the reader's."""
        return moment(self.link_expires_at, self.organization.time_zone) if self.link_expires_at else ""

    @property
    def due_at(self) -> datetime | None:
        """When it is to begin; while it is being changed, when it was to before."""
        if self.plan is None:
            return self.send_at
        return datetime.fromisoformat(self.plan["send_at"]) if self.plan["send_at"] else None

    @property
    def planned_before(self) -> str:
        """When it was to begin before somebody began to change it."""
        return moment(self.due_at, self.plan["time_zone"]) if self.plan and self.due_at else ""

    @property
    def is_interactive(self) -> bool:
        return self.method == self.Method.INTERACTIVE

    @property
    def whole_text(self) -> str:
        """The first text people get, with its placeholders: the message, or what opens the survey by text."""
        if not self.is_interactive:
            return self.message_text
        return "\n\n".join(filter(None, (self.message_text, conversation.opening(self.survey.script()).text)))


class Chunk(models.Model):
    """A range of messages that one pump claims at once: the queue. Its messages carry no index on their state."""

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"

    class Priority(models.IntegerChoices):
        REPLY = 0  # to somebody who has just written: before everything else, and at night too
        BULK = 10

    distribution = models.ForeignKey(Distribution, models.CASCADE, related_name="chunks")
    account = models.ForeignKey(ProviderAccount, models.PROTECT, related_name="chunks")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    priority = models.PositiveSmallIntegerField(default=Priority.BULK)
    not_before = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    holder = models.CharField(max_length=40, blank=True)
    tries = models.PositiveIntegerField(default=0)  # how often messages of it were not taken
    # How many messages may share a request, after one was refused as a whole; 0: as many as the provider takes.
    batch_limit = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["account", "priority", "not_before"], condition=models.Q(state="open"), name="chunks_due"
            ),
            # Who waits at an account, and whose first chunks they are: a claim chooses among distributions first
            # (engine/turns.py), and then finds what to take without looking at the rest.
            models.Index(
                fields=["account", "distribution", "priority", "not_before", "id"],
                condition=models.Q(state="open"),
                name="chunks_in_turn",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.distribution_id}: {self.first_id}-{self.last_id}"


class Tally(models.Model):
    """How many messages of a distribution are in which state; written once per batch, read by every page.

    `waiting` counts queued and sending together. What a conversation goes on with is counted in segments only: the
    states count people. `segments` are those of texts that have left, may have, or are still to leave; what was
    refused, skipped or taken back is counted apart, so that in the end they are what a provider may ask money for.
    """

    distribution = models.OneToOneField(Distribution, models.CASCADE, primary_key=True, related_name="tally")
    waiting = models.IntegerField(_("waiting"), default=0)
    uncertain = models.IntegerField(_("uncertain"), default=0)
    accepted = models.IntegerField(_("accepted"), default=0)
    sent = models.IntegerField(_("sent"), default=0)
    delivered = models.IntegerField(_("delivered"), default=0)
    undelivered = models.IntegerField(_("undelivered"), default=0)
    failed = models.IntegerField(_("failed"), default=0)
    expired = models.IntegerField(_("expired"), default=0)
    skipped = models.IntegerField(_("skipped"), default=0)
    cancelled = models.IntegerField(_("cancelled"), default=0)
    segments = models.IntegerField(_("segments"), default=0)
    segments_waiting = models.IntegerField(default=0, db_default=0)  # of `segments`
    segments_uncertain = models.IntegerField(default=0, db_default=0)  # of `segments`
    segments_failed = models.IntegerField(default=0, db_default=0)
    segments_skipped = models.IntegerField(default=0, db_default=0)
    segments_cancelled = models.IntegerField(default=0, db_default=0)
    clicked = models.IntegerField(_("opened the link"), default=0)
    started = models.IntegerField(_("began to answer"), default=0)  # by text
    completed = models.IntegerField(_("answered to the end"), default=0)  # by text

    COLUMNS: ClassVar[tuple[str, ...]] = tuple(states.COLUMNS)
    # Which states' segments each column adds up.
    SEGMENTS: ClassVar[dict[str, frozenset[str]]] = {
        "segments": states.with_segments("waiting", "uncertain", "taken"),
        "segments_waiting": states.with_segments("waiting"),
        "segments_uncertain": states.with_segments("uncertain"),
        "segments_failed": states.with_segments("failed"),
        "segments_skipped": states.with_segments("skipped"),
        "segments_cancelled": states.with_segments("cancelled"),
    }

    def __str__(self) -> str:
        return str(self.distribution_id)

    @property
    def total(self) -> int:
        """Everybody on the list, those who were skipped included."""
        return sum(getattr(self, column) for column in self.COLUMNS)

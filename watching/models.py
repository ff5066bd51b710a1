"""What is known of the processes that do the work, and who is told what."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from organizations.models import Organization, User


class WorkerSign(models.Model):
    """The latest sign of life of one process of a worker's pool, by the database's clock (watching/signs.py)."""

    class Problem(models.TextChoices):
        NONE = ""
        MAIN = "main"  # the worker's main process, which takes wake-ups from the broker, does not move
        TASK = "task"  # what this process works on has not moved

    worker = models.CharField(max_length=200)  # Celery's name for it: sender@host
    pid = models.PositiveIntegerField()
    queues = models.JSONField(default=list)
    problem = models.CharField(max_length=8, choices=Problem.choices, blank=True, default=Problem.NONE)
    is_busy = models.BooleanField(default=False)
    idle_seconds = models.FloatField(default=0)  # since it last took a wake-up, at `seen_at`
    seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["worker", "pid"], name="one_sign_per_process")]

    def __str__(self) -> str:
        return f"{self.worker} ({self.pid})"


class Mark(models.Model):
    """When something that must happen again and again has happened last, by the database's clock."""

    PERIODIC_CHECK: ClassVar[str] = "periodic check"
    WATCHED: ClassVar[str] = "watched"

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class FailingStep(models.Model):
    """A step of what is done again and again, of which the last `times` have failed (watching/failing.py)."""

    name = models.CharField(max_length=120, primary_key=True)  # of a task of ours, and of its step
    task = models.CharField(max_length=80)
    times = models.PositiveIntegerField(default=1)
    error = models.CharField(max_length=80)  # what kind
    since = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Kind(models.TextChoices):
    """What somebody is told."""

    ACCOUNT_STOPPED = "account_stopped", _("A provider has stopped an account")
    CALLBACKS_AWAY = "callbacks_away", _("Delivery reports are missing")
    DISTRIBUTION_PROBLEM = "distribution", _("A distribution is stuck or cannot start")
    DOUBTS_WAIT = "doubts", _("Replies that may be opt-outs are waiting for a decision")
    UNREADABLE = "unreadable", _("The stored credentials of an account cannot be read")
    LICENCE_ENDED = "licence", _("The licence for SMS has ended")
    HEALTH = "health", _("The installation is not working properly")


class Fact(models.Model):
    """Something that is so, from `began_at` until `ended_at`, and that people are told once.

    `key` says what it is about, and is there once while it lasts. `organization` is None for what only operators are
    told. `names` are what its sentence is filled in with: names of ours, never numbers or texts of people.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="+")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    key = models.CharField(max_length=160)
    names = models.JSONField(default=dict)
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # when it was last so
    told_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key"], condition=models.Q(ended_at=None), name="one_fact_at_a_time")
        ]

    def __str__(self) -> str:
        return self.key


class Mail(models.Model):
    """A fact that one person is told by e-mail: the outbox of mails, as messages have theirs."""

    fact = models.ForeignKey(Fact, models.CASCADE, related_name="mails")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    made_at = models.DateTimeField()
    not_before = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["fact", "user"], name="one_mail_per_fact_and_person")]
        indexes: ClassVar = [
            models.Index(
                fields=["not_before"],
                condition=models.Q(sent_at=None, given_up_at=None),
                name="mails_due",
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class OnHomePageOnly(models.Model):
    """Somebody's wish to have no mail about a kind of facts."""

    user = models.ForeignKey(User, models.CASCADE, related_name="told_on_home_page_only")
    kind = models.CharField(max_length=16, choices=Kind.choices)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "kind"], name="one_wish_per_kind")]

    def __str__(self) -> str:
        return self.kind

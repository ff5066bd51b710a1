"""What an organisation asks."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from organizations.ids import new_id
from organizations.models import Owned, User
from surveys import conversation, question_types
from surveys.question_types import TYPES, Kind, QuestionType

LONGEST_WAIT = 336  # hours
HOURS = 72  # how long a survey by text waits for a reply


def new_survey_id() -> str:
    return new_id("SV_")


def new_response_id() -> str:
    return new_id("R_")


class Survey(Owned):
    """What is asked: at an address to which people get a personal link, by text with questions of its own, or both."""

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_survey_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    url = models.URLField(
        _("address"),
        max_length=500,
        blank=True,
        help_text=_(
            "Where the survey is, for example https://forms.example.org/s/42. Each person's reference is added to it."
        ),
    )
    reference_parameter = models.SlugField(
        _("parameter for the reference"),
        max_length=40,
        default="ref",
        help_text=_("The name under which the survey receives the person's reference: …?ref=Ab3dE."),
    )
    thank_you = models.CharField(
        _("thank-you text"), max_length=600, blank=True, help_text=_("Sent after the last answer. Empty: nothing is.")
    )
    retries = models.PositiveSmallIntegerField(
        _("repetitions"),
        default=conversation.RETRIES,
        validators=[MaxValueValidator(5)],
        help_text=_("How often a question is asked again if the reply is no answer to it."),
    )
    wait_hours = models.PositiveSmallIntegerField(
        _("hours to wait for a reply"),
        default=HOURS,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_WAIT)],
        help_text=_("After that the conversation has ended; up to 336 hours (two weeks)."),
    )
    questions_locked_at = models.DateTimeField(_("questions in use since"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("created by")
    )

    class Meta:
        verbose_name = _("survey")
        verbose_name_plural = _("surveys")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    def address_for(self, reference: str) -> str:
        """Where one person goes: the survey's address with their reference added, whatever query it has already."""
        parts = urlsplit(self.url)
        kept = [pair for pair in parts.query.split("&") if pair and pair.split("=")[0] != self.reference_parameter]
        query = "&".join([*kept, f"{self.reference_parameter}={quote(reference, safe='')}"])
        return urlunsplit(parts._replace(path=parts.path or "/", query=query))

    def script(self) -> conversation.Script:
        """The survey as it is asked by text: what the pure engine works on."""
        questions = tuple(question.spoken() for question in self.questions.all())
        return conversation.Script(questions, self.thank_you, self.retries)


class Question(models.Model):
    """One question of a survey by text. Once a conversation has begun, questions stay as they are."""

    survey = models.ForeignKey(Survey, models.CASCADE, related_name="questions", verbose_name=_("survey"))
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    kind = models.CharField(_("type"), max_length=12, choices=question_types.offered, default=str(Kind.NPS))
    text = models.CharField(_("question"), max_length=600)
    choices = models.TextField(
        _("choices"),
        max_length=1_000,
        blank=True,
        help_text=_("One on each line. People reply with its number; the first is 1."),
    )
    required = models.BooleanField(
        _("must be answered"),
        default=True,
        help_text=_("Otherwise it is passed over once its repetitions are used up."),
    )
    minimum = models.IntegerField(_("smallest number"), null=True, blank=True)
    maximum = models.IntegerField(_("largest number"), null=True, blank=True)
    error_text = models.CharField(
        _("text if the reply is no answer"),
        max_length=300,
        blank=True,
        help_text=_("Empty: a sentence that says what would be one."),
    )

    class Meta:
        verbose_name = _("question")
        verbose_name_plural = _("questions")
        ordering: ClassVar = ["position", "id"]

    def __str__(self) -> str:
        return self.text

    @property
    def type(self) -> QuestionType:
        return TYPES[self.kind]

    def spoken(self) -> conversation.Question:
        """The question as the engine knows it."""
        labels = (line.strip() for line in self.choices.splitlines())
        return conversation.Question(
            kind=self.type,
            text=self.text,
            choices=tuple(label for label in labels if label),
            required=self.required,
            minimum=self.minimum,
            maximum=self.maximum,
            error_text=self.error_text,
        )


class Response(Owned):
    """One person's answers. Whose they are, the distribution knows (distributions/models/conversations.py)."""

    class State(models.TextChoices):
        OPEN = "open", _("under way")
        COMPLETED = "completed", _("completed")
        PARTIAL = "partial", _("broken off")

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_response_id, editable=False)
    survey = models.ForeignKey(Survey, models.PROTECT, related_name="responses", verbose_name=_("survey"))
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.OPEN)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("response")
        verbose_name_plural = _("responses")
        ordering: ClassVar = ["-started_at", "-id"]

    def __str__(self) -> str:
        return self.public_id


class Answer(models.Model):
    """One answer: `value` as it is evaluated (surveys/conversation.py says in which form), `text` as it was written."""

    response = models.ForeignKey(Response, models.CASCADE, related_name="answers", verbose_name=_("response"))
    question = models.ForeignKey(Question, models.PROTECT, related_name="answers", verbose_name=_("question"))
    value = models.TextField(_("answer"))
    text = models.TextField(_("as it was written"))
    answered_at = models.DateTimeField(_("answered"), default=timezone.now)

    class Meta:
        verbose_name = _("answer")
        verbose_name_plural = _("answers")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["response", "question"], name="one_answer_per_question")
        ]

    def __str__(self) -> str:
        return self.value

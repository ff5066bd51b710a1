"""What an organisation asks."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from organizations import languages
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


def offered_languages() -> list[tuple[str, Any]]:
    """None at all is of surveys from before there was a choice: each person's own language, as far as we speak it."""
    return [("", _("Each person's own, else the organisation's")), *languages.offered()]


def _own_words(label: Any, longest: int) -> models.CharField:
    """A column for what a survey says in place of a sentence of ours; empty for ours."""
    return models.CharField(label, max_length=longest, blank=True, default="", db_default="")


class Survey(Owned):
    """What is asked: at an address to which people get a personal link, by text with questions of its own, or both."""

    public_id = models.CharField(_("ID"), max_length=24, unique=True, default=new_survey_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    url = models.URLField(
        _("address"),
        max_length=500,
        blank=True,
        help_text=_(
            "The address of the survey, for example https://forms.example.org/s/42. Each person's reference is "
            "added to it."
        ),
    )
    reference_parameter = models.SlugField(
        _("parameter for the reference"),
        max_length=40,
        default="ref",
        help_text=_("The name under which the survey receives the person's reference: …?ref=Ab3dE."),
    )
    thank_you = models.CharField(
        _("thank-you text"),
        max_length=600,
        blank=True,
        help_text=_("Sent after the last answer. Leave empty to send nothing."),
    )
    language = models.CharField(
        _("language"),
        max_length=languages.LONGEST,
        blank=True,
        default="",
        db_default="",
        choices=offered_languages,
        help_text=_("The language the questions are written in. Automatic texts follow it."),
    )
    yes_word = _own_words(_("“Yes”"), 40)
    no_word = _own_words(_("“No”"), 40)
    scale_text = _own_words(_("scale of a recommendation"), 160)
    unreadable_text = _own_words(_("end without an answer"), 300)
    over_text = _own_words(_("answer to a late reply"), 300)
    retries = models.PositiveSmallIntegerField(
        _("repetitions"),
        default=conversation.RETRIES,
        validators=[MaxValueValidator(5)],
        help_text=_("How often a question is asked again after an invalid reply."),
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
        asked = self.questions.all() if self.pk else ()  # none yet
        return self.script_of(tuple(question.spoken() for question in asked))

    def script_of(self, questions: tuple[conversation.Question, ...]) -> conversation.Script:
        """The survey with these questions in place of those that are stored."""
        return conversation.Script(
            questions, self.thank_you, self.retries, self.language, self.unreadable_text, self.over_text
        )


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
        help_text=_("One on each line. People reply with the number of their choice; the first is 1."),
    )
    required = models.BooleanField(
        _("must be answered"),
        default=True,
        help_text=_("Otherwise it is skipped once its repetitions are used up."),
    )
    minimum = models.IntegerField(_("smallest number"), null=True, blank=True)
    maximum = models.IntegerField(_("largest number"), null=True, blank=True)
    error_text = models.CharField(
        _("text after an invalid reply"),
        max_length=300,
        blank=True,
        help_text=_("Leave empty for a standard hint."),
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
            language=self.survey.language,
            yes=self.survey.yes_word,
            no=self.survey.no_word,
            scale=self.survey.scale_text,
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

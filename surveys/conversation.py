"""A survey by text as one pure function: what a reply means, and what is asked next.

Values in, values out: no database, no clock, no provider. A conversation can be read, and tested, without a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.stop_words import is_taken
from surveys import reading

RETRIES = 2  # how often a reply that is no answer is asked about again
LONGEST_ANSWER = 2_000  # characters that are kept of a free text
LONGEST_READ = 1_000  # characters in which an answer of another kind is looked for: as many as all choices have
MOST_RECOMMENDED = 10  # on the scale that begins at 0


class Kind(models.TextChoices):
    """What a question takes for an answer."""

    NPS = "nps", gettext_lazy("recommendation, 0 to 10 (NPS)")
    CHOICE = "choice", gettext_lazy("one of several choices")
    CHOICES = "choices", gettext_lazy("any number of several choices")
    YES_NO = "yes_no", gettext_lazy("yes or no")
    NUMBER = "number", gettext_lazy("a number")
    TEXT = "text", gettext_lazy("free text")
    STATEMENT = "statement", gettext_lazy("a text without a question")


WITH_CHOICES = frozenset({Kind.CHOICE, Kind.CHOICES})


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `choices` are labels; their codes count from 1. `error_text` takes the place of our own."""

    kind: Kind
    text: str
    choices: tuple[str, ...] = ()
    required: bool = True
    minimum: int | None = None
    maximum: int | None = None
    error_text: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """A survey as it is asked by text."""

    questions: tuple[Question, ...]
    thank_you: str = ""
    retries: int = RETRIES


@dataclass(frozen=True, slots=True)
class Turn:
    """What we text, and the position of the question that then waits for an answer: None if nothing is left to ask."""

    text: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """What a reply leads to.

    `reply` is what we text next, "" for nothing. `answer` is what was understood, in the form that is stored, or None.
    `position` is the question that waits now, None when the conversation is over; `completed` tells whether it was
    answered to its end. `misses` is how often the waiting question has been answered with something else.
    """

    reply: str
    position: int | None
    answer: str | None = None
    misses: int = 0
    completed: bool = False


class NotUnderstood(Exception):
    """The reply is no answer to the question; the exception's text says what would be."""


def opening(script: Script) -> Turn:
    """The first text: statements up to the first question, and that question."""
    return _ask_from(script, 0)


def step(script: Script, position: int, text: str, *, misses: int = 0) -> Step:
    """Read a reply to the question at `position`. Stop words never come here: they were acted on before.

    A reply that is no answer is met with what would be one and the question again, `script.retries` times; then an
    optional question is passed over, and a required one ends the conversation unfinished.
    """
    question = script.questions[position]
    try:
        answer = read(question, text)
    except NotUnderstood as problem:
        if misses < script.retries:
            return Step(f"{problem}\n\n{ask(question)}", position, misses=misses + 1)
        if question.required:
            return Step(_("We could not read your answer. The survey ends here; thank you for your time."), None)
        answer = None
    turn = _ask_from(script, position + 1)
    if turn.position is not None:
        return Step(turn.text, turn.position, answer)
    closing = "\n\n".join(filter(None, (turn.text, script.thank_you)))
    return Step(closing, None, answer, completed=True)


def _ask_from(script: Script, position: int) -> Turn:
    texts = []
    for here, question in enumerate(script.questions[position:], position):
        texts.append(ask(question))
        if question.kind != Kind.STATEMENT:
            return Turn("\n\n".join(texts), here)
    return Turn("\n\n".join(texts), None)


def ask(question: Question) -> str:
    """The question as it is texted: its text, an empty line, and a line for each choice."""
    lines = [f"{code} - {label}" for code, label in enumerate(_labels(question), 1)]
    return "\n".join((question.text, "", *lines)) if lines else question.text


def _labels(question: Question) -> tuple[str, ...]:
    """What a person chooses from; empty if they write something of their own."""
    if question.kind == Kind.YES_NO:
        return (_("Yes"), _("No"))
    return question.choices if question.kind in WITH_CHOICES else ()


# --- reading a reply --------------------------------------------------------------------------------------------------


def read(question: Question, text: str) -> str:
    """The answer in a reply, in the form that is stored. Raises NotUnderstood.

    NPS and numbers as digits, choices as their codes ("2"; "1,3" for several), yes and no as "1" and "2".
    """
    if question.kind == Kind.TEXT:
        return _text(question, text.strip())  # in the person's own characters
    return _READERS[question.kind](question, _beginning(text))


def is_answer(question: Question, text: str) -> bool:
    """Whether a text is an answer to the question."""
    try:
        read(question, text)
    except NotUnderstood:
        return False
    return True


def is_exactly_an_answer(question: Question, text: str) -> bool:
    """Whether a text is one of the question's labels and nothing else, whatever words the label is made of."""
    return reading.Labels(_labels(question)).exact(_beginning(text)) is not None


def _beginning(text: str) -> str:
    """As much of a text as is looked at, tidied: a reason may be long, and one sign may stand for eighteen."""
    return reading.tidy(text[:LONGEST_READ])[:LONGEST_READ]


def _nps(question: Question, text: str) -> str:
    number = reading.number(text, most=MOST_RECOMMENDED) or ""
    if not (number.isdecimal() and len(number) <= 3 and int(number) <= MOST_RECOMMENDED):
        raise NotUnderstood(question.error_text or _("Please reply with a number from 0 to 10."))
    return str(int(number))


def _number(question: Question, text: str) -> str:
    number = reading.number(text, most=question.maximum)
    if number is None:
        raise NotUnderstood(question.error_text or _range_sentence(question))
    value = Decimal(number.replace(",", "."))
    too_small = question.minimum is not None and value < question.minimum
    too_large = question.maximum is not None and value > question.maximum
    if too_small or too_large:
        raise NotUnderstood(question.error_text or _range_sentence(question))
    return format(value.normalize() if value else Decimal(0), "f")


def _range_sentence(question: Question) -> str:
    bounds = {"least": question.minimum, "most": question.maximum}
    if question.minimum is not None and question.maximum is not None:
        return _("Please reply with a number from %(least)s to %(most)s.") % bounds
    if question.minimum is not None:
        return _("Please reply with a number of at least %(least)s.") % bounds
    if question.maximum is not None:
        return _("Please reply with a number of at most %(most)s.") % bounds
    return _("Please reply with a number.")


def _choice(question: Question, text: str) -> str:
    labels = reading.Labels(question.choices)
    code = labels.code(text) or labels.explained(text)
    if code is None:
        example = len(question.choices)
        raise NotUnderstood(
            question.error_text or _("Please reply with one number from 1 to %(most)s.") % {"most": example}
        )
    return str(code)


def _choices(question: Question, text: str) -> str:
    is_cut = len(text) >= LONGEST_READ  # perhaps within a number
    codes = None if is_cut else reading.several(reading.Labels(question.choices), text)
    if codes is None:
        raise NotUnderstood(
            question.error_text
            or _("Please reply with the numbers of all that apply, for example 1,%(last)s.")
            % {"last": len(question.choices)}
        )
    return ",".join(str(code) for code in sorted(set(codes)))


def _yes_no(question: Question, text: str) -> str:
    verdict = reading.yes_or_no(text)
    labels = reading.Labels(_labels(question))
    code = (1 if verdict else 2) if verdict is not None else labels.numbered(text)
    if code is None and not reading.has_signs(text):
        code = labels.code(text)  # "1 - Yes"
    if code is None:
        raise NotUnderstood(question.error_text or _("Please reply with 1 for yes or 2 for no."))
    return str(code)


def _text(question: Question, text: str) -> str:
    kept = text[:LONGEST_ANSWER].strip()
    if not kept:
        raise NotUnderstood(question.error_text or _("Please reply with a few words."))
    return kept


_READERS = {
    Kind.NPS: _nps,
    Kind.NUMBER: _number,
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.YES_NO: _yes_no,
}


# --- before it is launched --------------------------------------------------------------------------------------------


class Flaw(NamedTuple):
    """What is wrong with the question at `position`; None: with the survey as a whole."""

    position: int | None
    sentence: str


def flaws(script: Script, *, stop_words: str = "") -> list[Flaw]:
    """Why this survey cannot be held by text. Empty if it can. `stop_words` are the organisation's own."""
    found = []
    if all(question.kind == Kind.STATEMENT for question in script.questions):
        found.append(Flaw(None, _("The survey has no question that can be answered by text. Add one.")))
    for position, question in enumerate(script.questions):
        found += [Flaw(position, sentence) for sentence in question_flaws(question, stop_words=stop_words)]
    return found


def question_flaws(question: Question, *, stop_words: str = "") -> list[str]:
    """A sentence for each thing that would confuse people, or us. `stop_words` are the organisation's own."""
    return [sentence for _field, sentence in question_problems(question, stop_words=stop_words)]


def question_problems(question: Question, *, stop_words: str = "") -> Iterator[tuple[str, str]]:
    """The flaws of a question, each with the name of the field that is to be changed."""
    if question.kind in WITH_CHOICES:
        names = [reading.name(reading.tidy(label)) for label in question.choices]
        if len(names) < 2:
            yield "choices", _("Write at least two choices, one on each line.")
        if len(set(names)) < len(names):
            yield "choices", _("Two choices are the same: people could not tell them apart.")
        if not all(names):
            yield "choices", _("Each choice needs a letter or a digit.")
    elif question.choices:
        yield "choices", _("Only questions with choices take choices: remove them, or change the type.")
    numbers = _numbers(_labels(question))
    for code, label in enumerate(_labels(question), 1):
        number = numbers[code - 1]
        if is_taken(label, stop_words):
            yield (
                "choices",
                _("“%(choice)s” can be no choice: who replies with it opts out, opts in or asks for help. Reword it.")
                % {"choice": label},
            )
        elif number != code and number in range(1, len(question.choices) + 1):
            yield (
                "choices",
                _("“%(choice)s” is choice %(code)s: who replies %(choice)s would get another one. Add a word to it.")
                % {"choice": label, "code": code},
            )
    if question.kind == Kind.NUMBER:
        if question.minimum is not None and question.maximum is not None and question.minimum > question.maximum:
            yield "maximum", _("The smallest number is larger than the largest.")
    elif question.minimum is not None or question.maximum is not None:
        field = "minimum" if question.minimum is not None else "maximum"
        yield field, _("Only questions for a number take a smallest and a largest one.")


def _numbers(labels: Sequence[str]) -> list[int | None]:
    """The number that each label is. A word is one only among others: "due" is two in Italian, and seldom meant so."""
    found = [reading.whole(label) for label in labels]
    if None not in found:
        return found
    return [number if any(map(str.isdecimal, label)) else None for label, number in zip(labels, found, strict=True)]

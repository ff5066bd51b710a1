"""A survey by text as one pure function: what a reply means, and what is asked next.

Values in, values out: no database, no clock, no provider. A conversation can be read, and tested, without a phone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

RETRIES = 2  # how often a reply that is no answer is asked about again
LONGEST_ANSWER = 2_000  # characters that are kept of a free text


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
    """What we text, and the position of the question that then waits for an answer: None once nothing is left to ask."""

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
    if question.kind in WITH_CHOICES:
        lines = [f"{code} - {label}" for code, label in enumerate(question.choices, 1)]
    elif question.kind == Kind.YES_NO:
        lines = [f"1 - {_('Yes')}", f"2 - {_('No')}"]
    else:
        return question.text
    return "\n".join((question.text, "", *lines))


# --- reading a reply --------------------------------------------------------------------------------------------------


def read(question: Question, text: str) -> str:
    """The answer in a reply, in the form that is stored. Raises NotUnderstood.

    NPS and numbers as digits, choices as their codes ("2"; "1,3" for several), yes and no as "1" and "2".
    """
    return _READERS[question.kind](question, _tidy(text))


def _nps(question: Question, text: str) -> str:
    number = _whole(text)
    if number is None or not 0 <= number <= 10:
        raise NotUnderstood(question.error_text or _("Please reply with a number from 0 to 10."))
    return str(number)


def _number(question: Question, text: str) -> str:
    try:
        value = Decimal(text.replace(",", ".")) if _NUMBER.fullmatch(text) else Decimal(_number_words()[_bare(text)])
    except (InvalidOperation, KeyError):
        raise NotUnderstood(question.error_text or _range_sentence(question)) from None
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
    code = _code_of(question.choices, text)
    if code is None:
        example = len(question.choices)
        raise NotUnderstood(
            question.error_text or _("Please reply with one number from 1 to %(most)s.") % {"most": example}
        )
    return str(code)


def _choices(question: Question, text: str) -> str:
    """Several codes or labels, separated by commas, or codes separated by anything."""
    whole = _code_of(question.choices, text)
    if whole is not None:
        return str(whole)
    pieces = [piece for piece in re.split(r"[,;&+/\n]|\s+(?=\W?\d)", text) if piece.strip()]
    codes = [_code_of(question.choices, piece) for piece in pieces]
    if not codes or None in codes:
        raise NotUnderstood(
            question.error_text
            or _("Please reply with the numbers of all that apply, for example 1,%(last)s.")
            % {"last": len(question.choices)}
        )
    return ",".join(str(code) for code in sorted({code for code in codes if code is not None}))


def _yes_no(question: Question, text: str) -> str:
    code = _code_of((_("Yes"), _("No")), text)
    if code is None:
        bare = _bare(text)
        code = 1 if bare in YES else 2 if bare in NO else None
    if code is None:
        raise NotUnderstood(question.error_text or _("Please reply with 1 for yes or 2 for no."))
    return str(code)


def _text(question: Question, text: str) -> str:
    if not text:
        raise NotUnderstood(question.error_text or _("Please reply with a few words."))
    return text[:LONGEST_ANSWER]


_READERS = {
    Kind.NPS: _nps,
    Kind.NUMBER: _number,
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.YES_NO: _yes_no,
    Kind.TEXT: _text,
}

_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:[.,][0-9]{1,6})?")
_CODE = re.compile(r"\W*([0-9]{1,3})\W*")  # "1.", "1)", "(1)", "#1"
_SIGNED = re.compile(r"[-+\u2212]\s*[0-9]")

YES = frozenset({"y", "yes", "yep", "yeah", "ok", "j", "ja", "jo", "oui", "si", "sí", "sim"})
NO = frozenset({"n", "no", "nope", "nein", "ne", "non", "nao", "não", "nee"})


def _tidy(text: str) -> str:
    """Full-width digits and other variants become the plain ones; space at the ends goes."""
    return unicodedata.normalize("NFKC", text).strip()


def _bare(text: str) -> str:
    """Lower case, without anything but letters and digits; one space between words."""
    kept = "".join(character if character.isalnum() else " " for character in text.casefold())
    return " ".join(kept.split())


def _whole(text: str) -> int | None:
    """The whole number in a reply that is nothing else: digits with punctuation around, or a number word."""
    if match := _CODE.fullmatch(text):
        return None if _SIGNED.match(text) else int(match[1])
    return _number_words().get(_bare(text))


def _code_of(labels: Sequence[str], text: str) -> int | None:
    """The code a reply names: as a number, as the label, or as a beginning that only one label has."""
    number = _whole(text)
    bare = _bare(_tidy(text))
    bare_labels = [_bare(_tidy(label)) for label in labels]
    if _CODE.fullmatch(text):
        return number if number is not None and 1 <= number <= len(labels) else None
    if not bare:
        return None
    if bare in bare_labels:
        return bare_labels.index(bare) + 1
    coded = re.match(r"\W*([0-9]{1,3})\W+", text)  # "2 - Good": code and label as we have texted them
    if coded and 1 <= int(coded[1]) <= len(labels) and bare == f"{coded[1]} {bare_labels[int(coded[1]) - 1]}":
        return int(coded[1])
    beginning = [code for code, label in enumerate(bare_labels, 1) if label.startswith(bare)]
    if len(beginning) == 1:
        return beginning[0]
    return number if number is not None and 1 <= number <= len(labels) else None


def _number_words() -> dict[str, int]:
    """Zero to ten in the languages of the interface, and in that of the conversation."""
    words: dict[str, int] = {}
    for row in _WORDS:
        words.update({word: number for number, word in enumerate(row)})
    return words


_WORDS = (
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"),
)


# --- before it is launched --------------------------------------------------------------------------------------------


class Flaw(NamedTuple):
    """What is wrong with the question at `position`; None: with the survey as a whole."""

    position: int | None
    sentence: str


def flaws(script: Script) -> list[Flaw]:
    """Why this survey cannot be held by text. Empty if it can."""
    found = []
    if all(question.kind == Kind.STATEMENT for question in script.questions):
        found.append(Flaw(None, _("The survey has no question that can be answered by text. Add one.")))
    for position, question in enumerate(script.questions):
        found += [Flaw(position, sentence) for sentence in question_flaws(question)]
    return found


def question_flaws(question: Question) -> list[str]:
    """A sentence for each thing that would confuse people, or us."""
    found = []
    if question.kind in WITH_CHOICES:
        bare = [_bare(_tidy(label)) for label in question.choices]
        if len(bare) < 2:
            found.append(_("Write at least two choices, one on each line."))
        if len(set(bare)) < len(bare):
            found.append(_("Two choices are the same: people could not tell them apart."))
        if any(not label for label in bare):
            found.append(_("Each choice needs a letter or a digit."))
    elif question.choices:
        found.append(_("Only questions with choices take choices: remove them, or change the type."))
    if question.kind == Kind.NUMBER:
        if question.minimum is not None and question.maximum is not None and question.minimum > question.maximum:
            found.append(_("The smallest number is larger than the largest."))
    elif question.minimum is not None or question.maximum is not None:
        found.append(_("Only questions for a number take a smallest and a largest one."))
    return found

"""A survey by text as one pure function: what a reply means, and what is asked next.

Values in, values out: no database, no clock, no provider. A conversation can be read, and tested, without a phone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.stop_words import is_taken

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
    return _READERS[question.kind](question, _tidy(text[:LONGEST_ANSWER]))


def _nps(question: Question, text: str) -> str:
    number = _whole(text)
    if number is None or not 0 <= number <= 10:
        raise NotUnderstood(question.error_text or _("Please reply with a number from 0 to 10."))
    return str(number)


def _number(question: Question, text: str) -> str:
    core = _unwrapped(text)
    if _NUMBER.fullmatch(core):
        value = Decimal(core.replace(",", "."))
    elif (word := _NUMBER_WORDS.get(_bare(core))) is not None:
        value = Decimal(word)
    else:
        raise NotUnderstood(question.error_text or _range_sentence(question))
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
    """Several codes with nothing but signs or "and" between them; or codes and labels, separated the same way."""
    codes: list[int | None] = [int(digits) for digits in re.findall(r"[0-9]+", text)] if _CODES.fullmatch(text) else []
    if not codes or not all(code in range(1, len(question.choices) + 1) for code in codes):
        whole = _code_of(question.choices, text)
        codes = [whole] if whole else _codes_of_parts(question.choices, text)
    if not codes or None in codes:
        raise NotUnderstood(
            question.error_text
            or _("Please reply with the numbers of all that apply, for example 1,%(last)s.")
            % {"last": len(question.choices)}
        )
    return ",".join(str(code) for code in sorted({code for code in codes if code is not None}))


def _codes_of_parts(labels: Sequence[str], text: str) -> list[int | None]:
    """What each part names; a part is divided further only if it names nothing: "Tea and cake, toys & books"."""
    codes: list[int | None] = []
    for part in filter(_bare, re.split(r"[,;\n]", text)):
        code = _code_of(labels, part)
        codes += [code] if code else [_code_of(labels, piece) for piece in filter(_bare, _AND.split(part))]
    return codes


def _yes_no(question: Question, text: str) -> str:
    bare = _bare(text)
    code = 1 if bare in YES else 2 if bare in NO else _code_of(_labels(question), text)
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

# Up to two decimals: "1,000" is a thousand to some and one to others, so it is asked about again.
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,12}(?:[.,][0-9]{1,2})?|0[.,][0-9]{1,6})")
_DIGITS = re.compile(r"[-+]?[0-9]+")
_AND = re.compile(r"[&+/]|\s(?:and|und|et)\s|\s+(?=\W?[0-9])", re.IGNORECASE)
_CODES = re.compile(r"[^\w+-]*[0-9]{1,3}(?:(?:[\s,;.&+/()]+|\s*(?:and|und|et)\s*)[0-9]{1,3})*[\W_]*", re.IGNORECASE)

YES = frozenset({"y", "yes", "yep", "yeah", "ok", "j", "ja", "jo", "oui", "si", "sí", "sim"})
NO = frozenset({"n", "no", "nope", "nein", "ne", "non", "nao", "não", "nee"})

_DASHES = dict.fromkeys(
    map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-"
)  # phones write a minus as one of these


def _tidy(text: str) -> str:
    """Full-width letters, digits of other scripts and dashes become the plain ones; space at the ends goes."""
    plain = unicodedata.normalize("NFKC", text).translate(_DASHES)
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in plain).strip()


def _bare(text: str) -> str:
    """Lower case, without anything but letters (their accents included) and digits; one space between words."""
    kept = " "
    for sign in text.casefold():
        is_accent = not kept.endswith(" ") and unicodedata.category(sign) in ("Mn", "Mc")
        kept += sign if sign.isalnum() or is_accent else " "
    return " ".join(kept.split())


def _unwrapped(text: str) -> str:
    """Without the signs around it: "(1)", "1.", "#1" and "1)" are 1. A minus stays: -1 is not 1."""
    return re.sub(r"^[^\w+-]+|[\W_]+$", "", text)


def _whole(text: str) -> int | None:
    """The whole number in a reply that is nothing else: digits or a number word."""
    core = _unwrapped(text)
    return int(core) if re.fullmatch(r"[0-9]{1,3}", core) else _NUMBER_WORDS.get(_bare(core))


def _name(text: str) -> str:
    """What a reply and a choice's label are compared by: a number with its minus, or words without signs."""
    core = _unwrapped(text)
    return core if _DIGITS.fullmatch(core) else _bare(text)


def _code_of(labels: Sequence[str], text: str) -> int | None:
    """The code a reply names: as a number, as the label, as both, or as a beginning that only one label has."""
    number, said = _whole(text), _name(text)
    is_code = number is not None and 1 <= number <= len(labels)
    is_digits = _DIGITS.fullmatch(said) is not None
    if not said:
        return None
    if is_digits and is_code:
        return number
    names = [_name(_tidy(label)) for label in labels]
    if said in names:
        return names.index(said) + 1
    bare_labels = [_bare(_tidy(label)) for label in labels]
    for code, label in enumerate(bare_labels, 1):
        if said == f"{code} {label}":  # "2 - Good" as we have texted it
            return code
    beginning = f"{said} " if is_digits else said  # 24 is the beginning of "24 hours", 2 is not
    begun = [code for code, label in enumerate(bare_labels, 1) if label.startswith(beginning)]
    if len(begun) == 1:
        return begun[0]
    return number if is_code else None


# In the languages of the interface. Whoever writes "fuenf" has no umlauts at hand.
_NUMBER_WORDS = {
    word: number
    for words in (
        "zero one two three four five six seven eight nine ten",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn",
        "null ein zwo drei vier fuenf",
    )
    for number, word in enumerate(words.split())
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
        names = [_name(_tidy(label)) for label in question.choices]
        if len(names) < 2:
            yield "choices", _("Write at least two choices, one on each line.")
        if len(set(names)) < len(names):
            yield "choices", _("Two choices are the same: people could not tell them apart.")
        if not all(names):
            yield "choices", _("Each choice needs a letter or a digit.")
    elif question.choices:
        yield "choices", _("Only questions with choices take choices: remove them, or change the type.")
    for code, label in enumerate(_labels(question), 1):
        number = _whole(_tidy(label))
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

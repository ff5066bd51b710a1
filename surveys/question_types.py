"""The types of questions: each is one class here, and everything else asks it. Pure.

A type says what it is called, which fields its form has, what people choose from, what a reply means, what would be an
answer, what is wrong with a question of it and how an answer is shown. CONTRIBUTING.md has what a new one takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from contacts.stop_words import is_taken
from intake.sentences import said as _
from surveys import reading

LONGEST_ANSWER = 2_000  # characters that are kept of a free text
LONGEST_READ = 1_000  # characters in which an answer of another type is looked for: as many as all choices have
MOST_RECOMMENDED = 10  # on the scale that begins at 0


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `choices` are labels; their codes count from 1. `error_text` takes the place of our own."""

    kind: QuestionType
    text: str
    choices: tuple[str, ...] = ()
    required: bool = True
    minimum: int | None = None
    maximum: int | None = None
    error_text: str = ""
    language: str = ""  # in which we speak; "": that of the moment
    yes: str = ""  # in place of our own word, like the next
    no: str = ""
    scale: str = ""  # what the ends of a recommendation's scale mean, in place of our own sentence


@dataclass(frozen=True, slots=True)
class Sample:
    """A question of a type, and a reply that answers it."""

    text: str
    answer: str
    choices: tuple[str, ...] = ()


class NotUnderstood(Exception):
    """The reply does not answer the question; the exception's text says what would."""


class QuestionType(str):
    """A type of question; as a string it is the code that is stored.

    `fields` are those of the form, of `choices`, `minimum` and `maximum`, that it takes.
    """

    __slots__ = ()
    label: ClassVar[str | Promise]
    fields: ClassVar[tuple[str, ...]] = ()
    is_asked: ClassVar[bool] = True  # it waits for an answer
    takes_words: ClassVar[bool] = False  # the answer is what somebody writes, in their own characters
    sample: ClassVar[Sample]

    def __repr__(self) -> str:
        return f"Kind.{self.upper()}"  # surveys' fingerprints are made of it (distributions/planning/fingerprint.py)

    def labels(self, question: Question) -> tuple[str, ...]:
        """What a person chooses from; empty if they write something of their own."""
        return question.choices if "choices" in self.fields else ()

    def lines(self, question: Question) -> tuple[str, ...]:
        """What is texted below the question: its choices with their codes."""
        return tuple(f"{code} - {label}" for code, label in enumerate(self.labels(question), 1))

    def read(self, question: Question, text: str) -> str:
        """The answer in a reply, in the form that is stored. Raises NotUnderstood."""
        answer = self.answer(question, text.strip() if self.takes_words else beginning(text))
        if answer is None:
            raise NotUnderstood(question.error_text or self.hint(question))
        return answer

    def answer(self, question: Question, text: str) -> str | None:
        """The answer in a tidied reply, None if it is none."""
        raise NotImplementedError

    def hint(self, question: Question) -> str:
        """What would be an answer, as a sentence to somebody who wrote something else."""
        raise NotImplementedError

    def shown(self, question: Question, value: str) -> str:
        """A stored answer in words: choices by their labels, the rest as it is."""
        labels = self.labels(question)
        return "; ".join(labels[int(code) - 1] for code in value.split(",")) if labels else value

    def problems(self, question: Question, stop_words: str) -> Iterator[tuple[str, str]]:
        """What would confuse people, or us: the field that is to be changed, and a sentence.

        `stop_words` are the organisation's own.
        """
        if question.choices and "choices" not in self.fields:
            yield "choices", _("Only questions with choices take choices: remove them, or change the type.")
        yield from _problems_of_labels(question, self.labels(question), stop_words)
        if question.minimum is not None and "minimum" not in self.fields:
            yield "minimum", _("Only questions for a number take a smallest and a largest one.")
        elif question.maximum is not None and "maximum" not in self.fields:
            yield "maximum", _("Only questions for a number take a smallest and a largest one.")


def beginning(text: str) -> str:
    """As much of a text as is looked at, tidied: a reason may be long, and one sign may stand for eighteen."""
    return reading.tidy(text[:LONGEST_READ])[:LONGEST_READ]


def _problems_of_labels(question: Question, labels: Sequence[str], stop_words: str) -> Iterator[tuple[str, str]]:
    numbers = _numbers(labels)
    for code, label in enumerate(labels, 1):
        number = numbers[code - 1]
        if is_taken(label, stop_words):
            yield (
                "choices",
                _(
                    "“%(choice)s” cannot be a choice: whoever replies with it opts out, opts in or asks for help. "
                    "Reword it."
                )
                % {"choice": label},
            )
        elif number != code and number in range(1, len(question.choices) + 1):
            yield (
                "choices",
                _(
                    "“%(choice)s” is choice %(code)s: whoever replies %(choice)s would get a different one. Add a "
                    "word to it."
                )
                % {"choice": label, "code": code},
            )


def _numbers(labels: Sequence[str]) -> list[int | None]:
    """The number that each label is. A word is one only among others: "due" is two in Italian, and seldom meant so."""
    found = [reading.whole(label) for label in labels]
    if None not in found:
        return found
    return [number if any(map(str.isdecimal, label)) else None for label, number in zip(labels, found, strict=True)]


def word_problems(yes: str, no: str, stop_words: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a survey's own words for yes and no: the field ("yes" or "no"), and a sentence."""
    for field, word, opposite in (("yes", yes, False), ("no", no, True)):
        if not word:
            continue
        if is_taken(word, stop_words):
            yield (
                field,
                _("“%(word)s” cannot be used: who replies with it opts out, opts in or asks for help.")
                % {"word": word},
            )
        elif reading.whole(word) is not None or not reading.name(reading.tidy(word)):
            yield field, _("Use a word with letters: people reply with it, or with 1 or 2.")
        elif reading.yes_or_no(reading.tidy(word)) is opposite:
            yield field, _("“%(word)s” means the opposite to most people.") % {"word": word}
    if yes and no and reading.name(reading.tidy(yes)) == reading.name(reading.tidy(no)):
        yield "no", _("Both words are the same: nobody could tell them apart.")


# --- the types --------------------------------------------------------------------------------------------------------


class Nps(QuestionType):
    """Stored as digits."""

    label = gettext_lazy("recommendation, 0 to 10 (NPS)")
    sample = Sample("How likely are you to recommend us, from 0 to 10?", "9")

    def lines(self, question: Question) -> tuple[str, ...]:
        """What the ends of the scale mean, unless the question says it itself, or was written before we said it."""
        says_it = {"0", str(MOST_RECOMMENDED)} <= set(re.findall(r"\d+", question.text))
        if question.scale:
            return (question.scale,)
        return () if says_it or not question.language else (_("0 = not at all likely, 10 = extremely likely"),)

    def answer(self, question: Question, text: str) -> str | None:
        number = reading.number(text, most=MOST_RECOMMENDED) or ""
        is_on_the_scale = number.isdecimal() and len(number) <= 3 and int(number) <= MOST_RECOMMENDED
        return str(int(number)) if is_on_the_scale else None

    def hint(self, question: Question) -> str:
        return _("Please reply with a number from 0 to 10.")


class Choice(QuestionType):
    """Stored as the code of the label: "2"."""

    label = gettext_lazy("one of several choices")
    fields = ("choices",)
    sample = Sample("How was the wait?", "Fine", ("Short", "Fine", "Too long"))

    def answer(self, question: Question, text: str) -> str | None:
        labels = reading.Labels(question.choices)
        code = labels.code(text) or labels.explained(text)
        return None if code is None else str(code)

    def hint(self, question: Question) -> str:
        return _("Please reply with one number from 1 to %(most)s.") % {"most": len(question.choices)}

    def problems(self, question: Question, stop_words: str) -> Iterator[tuple[str, str]]:
        names = [reading.name(reading.tidy(label)) for label in question.choices]
        if len(names) < 2:
            yield "choices", _("Write at least two choices, one on each line.")
        if len(set(names)) < len(names):
            yield "choices", _("Two choices are the same: people could not tell them apart.")
        if not all(names):
            yield "choices", _("Each choice needs a letter or a digit.")
        yield from super().problems(question, stop_words)


class Choices(Choice):
    """Stored as the codes of the labels, in their order: "1,3"."""

    label = gettext_lazy("any number of several choices")
    sample = Sample("What was good?", "1 and 3", ("Seats", "Tea", "Newspapers"))

    def answer(self, question: Question, text: str) -> str | None:
        is_cut = len(text) >= LONGEST_READ  # perhaps within a number
        codes = None if is_cut else reading.several(reading.Labels(question.choices), text)
        return None if codes is None else ",".join(str(code) for code in sorted(set(codes)))

    def hint(self, question: Question) -> str:
        return _("Please reply with the numbers of all that apply, for example 1,%(last)s.") % {
            "last": len(question.choices)
        }


class YesNo(QuestionType):
    """Stored as "1" for yes and "2" for no."""

    label = gettext_lazy("yes or no")
    sample = Sample("Would you come again?", "Yes, gladly")

    def labels(self, question: Question) -> tuple[str, ...]:
        return (question.yes or _("Yes"), question.no or _("No"))

    def answer(self, question: Question, text: str) -> str | None:
        verdict = reading.yes_or_no(text)
        labels = reading.Labels(self.labels(question))
        if (question.yes or question.no) and (own := labels.exact(text)):
            return str(own)
        code = (1 if verdict else 2) if verdict is not None else labels.numbered(text)
        if code is None and not reading.has_signs(text):
            code = labels.code(text)  # "1 - Yes"
        return None if code is None else str(code)

    def hint(self, question: Question) -> str:
        if not question.yes and not question.no:
            return _("Please reply with 1 for yes or 2 for no.")
        yes, no = self.labels(question)
        return _("Please reply with 1 for “%(yes)s” or 2 for “%(no)s”.") % {"yes": yes, "no": no}


class Number(QuestionType):
    """Stored as digits, with a decimal point."""

    label = gettext_lazy("a number")
    fields = ("minimum", "maximum")
    sample = Sample("How many minutes did you wait?", "about 20")

    def answer(self, question: Question, text: str) -> str | None:
        number = reading.number(text, most=question.maximum)
        if number is None:
            return None
        value = Decimal(number.replace(",", "."))
        too_small = question.minimum is not None and value < question.minimum
        too_large = question.maximum is not None and value > question.maximum
        return None if too_small or too_large else format(value.normalize() if value else Decimal(0), "f")

    def hint(self, question: Question) -> str:
        bounds = {"least": question.minimum, "most": question.maximum}
        if question.minimum is not None and question.maximum is not None:
            return _("Please reply with a number from %(least)s to %(most)s.") % bounds
        if question.minimum is not None:
            return _("Please reply with a number of at least %(least)s.") % bounds
        if question.maximum is not None:
            return _("Please reply with a number of at most %(most)s.") % bounds
        return _("Please reply with a number.")

    def problems(self, question: Question, stop_words: str) -> Iterator[tuple[str, str]]:
        yield from super().problems(question, stop_words)
        if question.minimum is not None and question.maximum is not None and question.minimum > question.maximum:
            yield "maximum", _("The smallest number is larger than the largest.")


class Text(QuestionType):
    """Stored as it was written, up to a length."""

    label = gettext_lazy("free text")
    takes_words = True
    sample = Sample("What should we do better?", "More seats, please.")

    def answer(self, question: Question, text: str) -> str | None:
        return text[:LONGEST_ANSWER].strip() or None

    def hint(self, question: Question) -> str:
        return _("Please reply with a few words.")


class Statement(QuestionType):
    """Texted with the question behind it; nobody answers it."""

    label = gettext_lazy("a text without a question")
    is_asked = False


class Kind:
    """The types, by the names that the code has for them and in the order in which they are offered."""

    NPS = Nps("nps")
    CHOICE = Choice("choice")
    CHOICES = Choices("choices")
    YES_NO = YesNo("yes_no")
    NUMBER = Number("number")
    TEXT = Text("text")
    STATEMENT = Statement("statement")


TYPES: dict[str, QuestionType] = {str(row): row for row in vars(Kind).values() if isinstance(row, QuestionType)}


def offered() -> list[tuple[str, str | Promise]]:
    """The types with their labels, as a field's choices."""
    return [(code, kind.label) for code, kind in TYPES.items()]


def own_words(language: str) -> dict[str, str]:
    """What a survey may say in words of its own, by its fields, as we say it in this language."""
    asked = Question(Kind.NPS, "", language=language)
    yes, no = Kind.YES_NO.labels(asked)
    return {"yes_word": yes, "no_word": no, "scale_text": Kind.NPS.lines(asked)[0]}

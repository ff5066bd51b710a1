"""A survey by text as one pure function: what a reply means, and what is asked next.

Values in, values out: no database, no clock, no provider. A conversation can be read, and tested, without a phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

from django.utils import translation

from intake.sentences import said as _
from surveys import reading
from surveys.question_types import Kind as Kind
from surveys.question_types import NotUnderstood as NotUnderstood
from surveys.question_types import Question as Question
from surveys.question_types import beginning

RETRIES = 2  # how often a reply that is not an answer is asked about again


@dataclass(frozen=True, slots=True)
class Script:
    """A survey as it is asked by text."""

    questions: tuple[Question, ...]
    thank_you: str = ""
    retries: int = RETRIES
    language: str = ""  # in which we speak; "": that of the moment
    unreadable: str = ""  # in place of our own sentence at an end without an answer, like the next
    over: str = ""  # to a reply that comes too late


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


def opening(script: Script) -> Turn:
    """The first text: statements up to the first question, and that question."""
    return _ask_from(script, 0)


def step(script: Script, position: int, text: str, *, misses: int = 0) -> Step:
    """Read a reply to the question at `position`. Stop words never come here: they were acted on before.

    A reply that is not an answer is met with a hint and the question again, `script.retries` times; then an
    optional question is skipped, and a required one ends the conversation unfinished.
    """
    question = script.questions[position]
    try:
        answer = read(question, text)
    except NotUnderstood as problem:
        if misses < script.retries:
            return Step(f"{problem}\n\n{ask(question)}", position, misses=misses + 1)
        if question.required:
            return Step(broken_off(script), None)
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
        if question.kind.is_asked:
            return Turn("\n\n".join(texts), here)
    return Turn("\n\n".join(texts), None)


def ask(question: Question) -> str:
    """The question as it is texted: its text, an empty line, and a line for each choice."""
    with spoken_in(question.language):
        lines = question.kind.lines(question)
    return "\n".join((question.text, "", *lines)) if lines else question.text


# --- what we say by ourselves -----------------------------------------------------------------------------------------


def spoken_in(language: str) -> AbstractContextManager[None]:
    """In this language; in that of the moment where it is ""."""
    return translation.override(language) if language else nullcontext()


def hint(question: Question) -> str:
    """What a reply that is not an answer is met with, before the question is asked again; "" where nothing is asked."""
    if not question.kind.is_asked:
        return ""
    with spoken_in(question.language):
        return question.error_text or question.kind.hint(question)


def broken_off(script: Script) -> str:
    """The last text where no answer could be read."""
    with spoken_in(script.language):
        return script.unreadable or str(
            _("We could not read your answer. The survey ends here; thank you for your time.")
        )


def over(script: Script) -> str:
    """What somebody is told who replies when it has ended."""
    with spoken_in(script.language):
        return script.over or str(_("This survey has ended. Thank you for your reply."))


# --- reading a reply --------------------------------------------------------------------------------------------------


def read(question: Question, text: str) -> str:
    """The answer in a reply, in the form that is stored. Raises NotUnderstood.

    NPS and numbers as digits, choices as their codes ("2"; "1,3" for several), yes and no as "1" and "2".
    """
    with spoken_in(question.language):
        return question.kind.read(question, text)


def is_answer(question: Question, text: str) -> bool:
    """Whether a text is an answer to the question."""
    try:
        read(question, text)
    except NotUnderstood:
        return False
    return True


def is_exactly_an_answer(question: Question, text: str) -> bool:
    """Whether a text is one of the question's labels and nothing else, whatever words the label is made of."""
    with spoken_in(question.language):
        labels = question.kind.labels(question)
    return reading.Labels(labels).exact(beginning(text)) is not None


# --- before it is launched --------------------------------------------------------------------------------------------


class Flaw(NamedTuple):
    """What is wrong with the question at `position`; None: with the survey as a whole."""

    position: int | None
    sentence: str


def flaws(script: Script, *, stop_words: str = "") -> list[Flaw]:
    """Why this survey cannot be held by text. Empty if it can. `stop_words` are the organisation's own."""
    found = []
    if not any(question.kind.is_asked for question in script.questions):
        found.append(Flaw(None, _("The survey has no question that can be answered by text. Add one.")))
    for position, question in enumerate(script.questions):
        found += [Flaw(position, sentence) for sentence in question_flaws(question, stop_words=stop_words)]
    return found


def question_flaws(question: Question, *, stop_words: str = "") -> list[str]:
    """A sentence for each thing that would confuse people, or us. `stop_words` are the organisation's own."""
    return [sentence for _field, sentence in question_problems(question, stop_words=stop_words)]


def question_problems(question: Question, *, stop_words: str = "") -> Iterator[tuple[str, str]]:
    """The flaws of a question, each with the name of the field that is to be changed."""
    yield from question.kind.problems(question, stop_words)

"""A survey by text, played without an account, a phone or a cost: every reply is read as a person's would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from contacts.stop_words import Role, command, is_near_miss, mentions_stopping
from surveys import conversation
from surveys.conversation import Script

MOST = 60  # replies
LONGEST = 1_000  # characters of one


@dataclass(frozen=True, slots=True)
class Line:
    """Something that is said. `note` stands beside it: what a reply was read as, or what happens."""

    text: str
    is_ours: bool = False
    note: str = ""  # in the language of whoever looks


@dataclass(frozen=True, slots=True)
class Played:
    lines: Sequence[Line]
    is_over: bool


def play(script: Script, replies: Sequence[str], *, stop_words: str = "") -> Played:
    """The whole conversation after these replies. `stop_words` are the organisation's own."""
    begun = conversation.opening(script)
    lines, position, misses = [Line(begun.text, is_ours=True)], begun.position, 0
    for reply in replies[:MOST]:
        if position is None:
            break
        question = script.questions[position]
        heard = _beside(question, reply, stop_words)
        if heard is not None:
            lines.append(Line(reply, note=heard[0]))
            if heard[1]:
                return Played(lines, is_over=True)
            continue
        step = conversation.step(script, position, reply, misses=misses)
        lines.append(Line(reply, note=_read_as(question, step.answer)))
        if step.reply:
            lines.append(Line(step.reply, is_ours=True))
        position, misses = step.position, step.misses
    return Played(lines, is_over=position is None)


def _beside(question: conversation.Question, reply: str, stop_words: str) -> tuple[str, bool] | None:
    """What a reply says about texts at all, and whether that ends the survey; None if it is for the question."""
    match command(reply, stop_words):
        case Role.STOP:
            return _("Opted out: nothing more is sent to this person."), True
        case Role.START:
            return _("They already get our texts and are told so; the question waits."), False
        case Role.HELP:
            return _("Asks for help: it is answered, and the question waits."), False
    if conversation.is_exactly_an_answer(question, reply):
        return None
    mentioned = mentions_stopping(reply, stop_words) and not conversation.is_answer(question, reply)
    if not mentioned and not is_near_miss(reply, stop_words):
        return None
    return _("May want no more texts: the survey waits until somebody decides on the home page."), True


def _read_as(question: conversation.Question, answer: str | None) -> str:
    if answer is None:
        return _("No answer")
    return _("Answer: %(answer)s") % {"answer": question.kind.shown(question, answer)}

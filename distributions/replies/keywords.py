"""What a person's text means besides being an answer."""

from __future__ import annotations

from contacts.stop_words import START_UNLESS_ANSWER, Role, bare, command
from distributions.models.inbound import InboundMessage

Meaning = InboundMessage.Meaning

_MEANINGS = {Role.STOP: Meaning.OPT_OUT, Role.START: Meaning.OPT_IN, Role.HELP: Meaning.HELP}


def meaning(text: str, *, opted_out: bool, more_stop_words: str = "") -> Meaning:
    """What a text means. Only one that is nothing but the words counts; courtesy, punctuation and emoji aside.

    "Yes" opts in only somebody who has opted out (`opted_out`); from everybody else it is an answer. `more_stop_words`
    are the organisation's own, separated by commas.
    """
    if opted_out and bare(text) in START_UNLESS_ANSWER:
        return Meaning.OPT_IN
    role = command(text, more_stop_words)
    return _MEANINGS[role] if role is not None else Meaning.REPLY

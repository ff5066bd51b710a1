"""What a person's text means besides being an answer."""

from __future__ import annotations

from contacts.stop_words import HELP, START, START_UNLESS_ANSWER, STOP, bare, own_words
from distributions.models.inbound import InboundMessage

Meaning = InboundMessage.Meaning


def meaning(text: str, *, opted_out: bool, more_stop_words: str = "") -> Meaning:
    """What a text means. Only a message that is nothing but one of the words counts, punctuation and emoji aside.

    "Yes" opts in only somebody who has opted out (`opted_out`); from everybody else it is an answer. `more_stop_words`
    are the organisation's own, separated by commas.
    """
    word = bare(text)
    if word in STOP or word in own_words(more_stop_words):
        return Meaning.OPT_OUT
    if word in START and (opted_out or word not in START_UNLESS_ANSWER):
        return Meaning.OPT_IN
    if word in HELP:
        return Meaning.HELP
    return Meaning.REPLY

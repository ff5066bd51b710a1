"""What providers say is made to fit the columns it ends in, in characters.

Everything that leaves a provider is made to fit where it is made, and storable at that, so that nobody who keeps it has
to think of it.
"""

from __future__ import annotations

from django.utils.functional import Promise

from intake.sentences import Sentence, stored
from intake.text import fitted, fitted_id

ID_LENGTHS = {  # two that differ still do when they are cut
    "message_id": 80,
    "in_reply_to": 80,
    "part": 80,
    "reference": 40,
    "sender": 40,
    "recipient": 40,
    "concat_ref": 40,
}
WORDS_LENGTHS = {"error": 255, "detail": 500, "reason": 200}
LONGEST_SENTENCE = 1_000  # of a reason that is a sentence of ours, as it is stored: an index holds no more than 2,700
MOST_PARTS = 255  # of one text: their number is an octet
MOST_SEGMENTS = 32_767
SHORT_WORDS = 40  # characters of a unit or a name in what a provider lists


def words(detail: str | Promise) -> str:
    """A provider's words, made to fit; a sentence of ours stays one, to be worded when it is shown."""
    said = str(detail)
    return said if isinstance(said, Sentence) else fitted(said, WORDS_LENGTHS["detail"])


def reason_of(reason: str | Promise) -> str:
    """A sentence of ours stays whole, to be worded when it is shown; other words are made to fit."""
    said = str(reason)
    if isinstance(said, Sentence) and len(stored(said)) <= LONGEST_SENTENCE:
        return said
    return fitted(said, WORDS_LENGTHS["reason"])


def fit(said: object, *names: str) -> None:
    """Make the named fields of what a provider said storable, and short enough for their columns."""
    for name in names:
        value = getattr(said, name)
        length = ID_LENGTHS.get(name)
        kept = fitted_id(value, length) if length else fitted(value, WORDS_LENGTHS[name])
        if kept != value:
            object.__setattr__(said, name, kept)

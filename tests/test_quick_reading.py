"""However long a text is, and whatever it is made of, it is read: no reader takes its square (RELIABILITY: input).

Each gets texts of a hundred thousand characters. One that goes back and forth in them, as some regular expressions do,
needs minutes for a single one and is stopped here; the others are done before anybody notices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contacts import exports, numbers, stop_words
from contacts.importing import texts
from contacts.numbers import InvalidNumber
from distributions import piping
from distributions.replies import reactions
from extensions import strength
from intake import masking, pasted
from surveys import reading

LONG = 100_000  # characters
PIECES = (
    *("a", "0", " ", "\t", "\n", "-", ".", "a ", "0 ", "1 ", "0-", "1,", "+", "(", "&", "> ", "é", "😀", "\u200b", "“"),
    *("1 and ", "stop ", "st0p", "a\n", "yes no ", "ja,", "a=", "a:", "${", "${m://", "%41", "0.", "=", "'"),
)
LABELS = reading.Labels(["Short", "Fine", "Too long"])


def number(text: str) -> object:
    try:
        return numbers.read(text, "GB")
    except InvalidNumber as error:
        return error


READERS: dict[str, Callable[[str], Any]] = {
    "a phone number": number,
    "the sample of a file": texts.sample_of,
    "what was pasted": lambda text: list(pasted.candidates(text)),
    "what was pasted with its label": lambda text: pasted.labelled(text, ("Auth token", "Key")),
    "a stop word": stop_words.command,
    "what is nearly a stop word": stop_words.is_near_miss,
    "what mentions stopping": stop_words.mentions_stopping,
    "a reaction": lambda text: reactions.is_reaction(text, ["Hello there"]),
    "a number as an answer": reading.number,
    "yes or no": reading.yes_or_no,
    "several choices": lambda text: reading.several(LABELS, reading.tidy(text)),
    "placeholders": lambda text: piping.Template(text).problems,
    "a secret that is chosen": strength.weakness,
    "numbers in a log": masking.mask_numbers,
    "a cell that a spreadsheet opens": exports.safe_cell,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("end", ["", "x"], ids=["", "and a letter"])
@pytest.mark.parametrize("reader", READERS)
def test_a_long_text_of_any_kind_is_read(reader: str, end: str) -> None:
    for piece in PIECES:
        READERS[reader](piece * (LONG // len(piece)) + end)

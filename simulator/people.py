"""What a simulated person writes back to a text that asks something."""

from __future__ import annotations

import re

_CHOICE = re.compile(r"^\s*(\d{1,3}) - \S", re.MULTILINE)
_SCALE = re.compile(r"\b0\s*(?:to|bis|-|–)\s*10\b|\b0 = [^\n]*\b10 = ")

WORDS = "More seats in the waiting room."
NO_ANSWER = "maybe"


def answer(text: str) -> str:
    """An answer to the question a text ends with; "" if it asks nothing, such as a thank-you."""
    if codes := _CHOICE.findall(text):
        return str(codes[len(text) % len(codes)])  # not everybody the same, and the same every time
    if _SCALE.search(text):
        return str(6 + len(text) % 5)
    return WORDS if text.rstrip().endswith("?") else ""

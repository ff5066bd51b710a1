"""Keeps phone numbers out of the logs. Texts and secrets are never logged in the first place."""

from __future__ import annotations

import logging
import re

_NUMBER = re.compile(r"(?<![\w.:/-])\+?(\d{2})\d{5,9}(\d{4})(?![\w.:-])")


def mask_number(number: str) -> str:
    """+447700900123 -> +44•••0123: enough to recognise, too little to call."""
    digits = number.lstrip("+")
    if len(digits) < 7:
        return number
    return f"{'+' if number.startswith('+') else ''}{digits[:2]}•••{digits[-4:]}"


class Redact(logging.Filter):
    """Masks what looks like a phone number in the finished log line."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = _NUMBER.sub(r"+\1•••\2", message)
        if masked != message:
            record.msg, record.args = masked, None
        return True

"""Keeps phone numbers out of the logs. Texts and secrets are never logged in the first place."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

from intake.masking import mask_numbers


class MaskingFormatter(logging.Formatter):
    """The finished text of a log record, traceback and stack included, with phone numbers masked."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return mask_numbers(super().format(record))


def mask_uncaught() -> None:
    """Mask what Python writes by itself: warnings, and what nobody has caught at the end of a command or thread."""
    logging.captureWarnings(True)
    sys.excepthook = _write_uncaught
    threading.excepthook = lambda args: _write_uncaught(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )


def mask_handlers(name: str) -> None:
    """Have the handlers that a library has given to its logger `name` write as ours do."""
    for handler in logging.getLogger(name).handlers:
        handler.setFormatter(MaskingFormatter())


def _write_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stderr.write(mask_numbers("".join(traceback.format_exception(kind, error, trace))))

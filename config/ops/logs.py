"""How logs are written: without phone numbers, as lines or as JSON. Texts and secrets are never logged at all."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType

from django.conf import settings

from intake.masking import mask_numbers
from organizations import tracing

PING = "watching.tasks.ping"  # comes every few seconds, and says nothing


class MaskingFormatter(logging.Formatter):
    """The finished text of a log record, traceback and stack included, with phone numbers masked."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        trace = tracing.current.get()
        if not trace:
            return super().formatMessage(record)
        return f"{record.asctime} {record.levelname} {record.name} [{trace}] {record.message}"

    def format(self, record: logging.LogRecord) -> str:
        return mask_numbers(super().format(record))


class MaskingJsonFormatter(logging.Formatter):
    """The same as one JSON object a line, for programs: time, level, logger, message, and trace and error if any.

    What is masked is each text before it becomes JSON, so that a line is always valid.
    """

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": mask_numbers(record.getMessage()),
            "process": record.process,
        }
        if trace := tracing.current.get():
            told["trace"] = trace
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            told["error"] = mask_numbers(record.exc_text)
        if record.stack_info:
            told["stack"] = mask_numbers(self.formatStack(record.stack_info))
        return json.dumps(told, ensure_ascii=False)


class WithoutPings(logging.Filter):
    """Leaves out what Celery says of each ping."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.args
        return PING not in (said.values() if isinstance(said, dict) else said or ())


def formatter() -> logging.Formatter:
    """The one that LOG_FORMAT names."""
    return MaskingJsonFormatter() if settings.LOG_FORMAT == "json" else MaskingFormatter()


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
        handler.setFormatter(formatter())


def _write_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        sys.__excepthook__(kind, error, trace)
    else:
        if settings.LOG_FORMAT == "json":
            record = logging.LogRecord("uncaught", logging.CRITICAL, "", 0, kind.__name__, (), (kind, error, trace))
            sys.stderr.write(f"{MaskingJsonFormatter().format(record)}\n")
        else:
            sys.stderr.write(mask_numbers("".join(traceback.format_exception(kind, error, trace))))

"""No log has a whole phone number in it, wherever it stands; what an operator needs to read stays readable."""

import json
import logging
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from config.ops.logs import MaskingFormatter
from intake.masking import mask_numbers
from organizations.ids import new_id, new_organization_id
from tests.processes import ROOT, environment

BETWEEN = re.compile(r"[ ()\-\u00a0\u202f\u2011]|\\\\+(?:xa0|u202f|u2011)")


def formatter():
    return MaskingFormatter()


def record(message, *args, **kwargs):
    exc_info = kwargs.pop("exc_info", None)
    return logging.LogRecord("distributions.engine.pump", logging.ERROR, __file__, 1, message, args, exc_info, **kwargs)


@st.composite
def numbers(draw):
    """A phone number and one of the ways in which it is written."""
    number = draw(st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True))
    before = draw(st.sampled_from(["", "+", "00"]))
    between = draw(st.sampled_from(["", " ", "-", "\u00a0", "\u202f", "\u2011", ") ", " - "]))
    written, left = "", number
    while left:
        size = draw(st.integers(1, 6))
        written, left = f"{written}{between if written else ''}{left[:size]}", left[size:]
    return number, before + written


AROUND = st.one_of(
    st.text(max_size=8).filter(lambda text: not any(map(str.isdigit, text))),
    st.sampled_from([*".,:;!?…/\\=()['\"-–_@#*x\n\ufeff\x00", "\\n", "%2B", "tel:", "to="]),
)


def together(output):
    """Without what may stand between the groups of a number."""
    return BETWEEN.sub("", output)


@given(numbers(), AROUND, AROUND)
def test_no_number_is_whole_whatever_stands_around_it(written, before, after):
    number, text = written

    output = mask_numbers(f"{before}{text}{after}")

    assert number not in together(output)
    assert text not in output


class Odd(Exception):
    def __repr__(self):
        return f"Odd<{self.args[0]}>"


@given(numbers(), AROUND, AROUND)
def test_no_part_of_a_record_has_a_whole_number(written, before, after):
    number, text = written
    said = f"{before}{text}{after}"
    try:
        raise Odd(said) from ValueError({"to": said})
    except Odd:
        raised = sys.exc_info()
    records = [
        record("to %s", said),
        record("to %r", said),
        record("sent %(to)s", {"to": said}),
        record(said),
        record("%s", {"recipients": [said], "n": (said,)}),
        record("%s", json.dumps({"to": said})),
        record("%s", Odd(said)),
        record("broken", exc_info=raised),
        record("deep", sinfo=f"Stack (most recent call last):\n  to = {said!r}"),
    ]
    earlier = record("formatted by another handler before", exc_info=raised)
    logging.Formatter().format(earlier)  # leaves exc_text

    for one in [*records, earlier]:
        output = formatter().format(one)
        message = output.split(" ", 4)[-1]  # behind time, level and name
        assert text not in message
        assert number not in together(message)


@given(st.integers(10_000_000, 10**15))
def test_a_number_that_is_an_integer_is_masked_too(number):
    assert str(number) not in formatter().format(record("to %d", number))
    assert str(number) not in formatter().format(record("to %s", [number]))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)), st.integers(1, 4_194_304), st.data())
def test_what_an_operator_reads_stays_readable(moment, pid, data):
    aware = moment.replace(tzinfo=UTC)
    for said in (
        str(moment),
        moment.isoformat(),
        aware.isoformat(),
        moment.strftime("%Y-%m-%d %H:%M:%S,123"),
        moment.date().isoformat(),
        str(timedelta(seconds=data.draw(st.integers(0, 10**6)), microseconds=moment.microsecond)),
        f"pid {pid}",
        f"pid:{pid}",
        f"{data.draw(st.floats(0, 10**5)):.12f}s",
        f"{data.draw(st.integers(0, 999_999))} ms",
        str(uuid.UUID(int=data.draw(st.integers(0, 2**128 - 1)))),
        str(data.draw(st.ip_addresses(v=4))),
        f"{data.draw(st.ip_addresses(v=4))}:{data.draw(st.integers(1, 65535))}",
        str(data.draw(st.ip_addresses(v=6))),
        new_organization_id(),
        new_id(data.draw(st.sampled_from(["UR_", "SMSD_", "ACC_", "CG_", "CID_", "SV_", "R_"]))),
    ):
        assert mask_numbers(f"before {said} after") == f"before {said} after"
        assert mask_numbers(f"({said}).") == f"({said})."


def test_the_time_of_a_line_and_what_is_left_of_a_number_can_be_read():
    output = formatter().format(record("to %s, 3 attempts in 20 ms", "+447700900123."))

    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ERROR distributions\.engine\.pump ", output)
    assert output.endswith("to +44•••0123., 3 attempts in 20 ms")


# --- Who writes logs --------------------------------------------------------------------------------------------------

RAISES = "raise ValueError('Key (phone)=(+447700900123) already exists.')"


def output_of(*command):
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def test_the_console_masks(settings):
    assert settings.LOGGING["handlers"]["console"]["formatter"] == "masked"
    assert settings.LOGGING["formatters"]["masked"]["()"] == "config.ops.logs.formatter"


def test_a_command_masks_what_is_logged_warned_of_and_raised(db):
    code = (
        "import django, logging, threading, warnings\n"
        "django.setup()\n"
        f"def run(): {RAISES}\n"
        "try: run()\n"
        "except ValueError: logging.getLogger('a.b').exception('logged')\n"
        "warnings.warn('warned of +447700900123.')\n"
        "thread = threading.Thread(target=run, name='in a thread')\n"
        "thread.start()\n"
        "thread.join()\n"
        "print('and at last uncaught:')\n"
        f"{RAISES}\n"
    )
    output = output_of(sys.executable, "-c", code)

    assert "447700900123" not in output
    assert "warned of +44•••0123." in output
    assert output.count("Key (phone)=(+44•••0123) already exists.") == 3  # logged, in a thread, uncaught


def test_celery_leaves_no_handler_of_its_own(db):
    """Whatever logger writes: Celery's, a task's, the pool's."""
    code = (
        "import logging\n"
        "from config.celery import app\n"
        "from celery.utils.log import get_task_logger\n"
        "from billiard.util import get_logger\n"
        "app.log.setup(loglevel='INFO', redirect_stdouts=True)\n"
        f"try: {RAISES}\n"
        "except ValueError:\n"
        "    for logger in (logging.getLogger('celery.app.trace'), get_task_logger('t'), get_logger()):\n"
        "        logger.critical('broken for %s.', '+447700900123', exc_info=True)\n"
        "print('to +447700900123.')\n"
    )
    output = output_of(sys.executable, "-c", code)

    assert "447700900123" not in output
    assert output.count("broken for +44•••0123.") == 3


def test_the_web_servers_own_logger_masks(db):
    """It writes the traceback of what breaks while an answer is being streamed."""
    code = (
        "from granian.log import LogLevels, configure_logging, logger\n"
        "configure_logging(LogLevels.error)\n"
        "import config.wsgi\n"
        f"try: {RAISES}\n"
        "except ValueError: logger.error('Application callable raised an exception', exc_info=True)\n"
    )
    output = output_of(sys.executable, "-c", code)

    assert "447700900123" not in output
    assert "+44•••0123" in output

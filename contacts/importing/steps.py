"""Reading a kept file to its end, step by step, and comparing it with its list."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from itertools import islice

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.columns import NAMING, PHONE
from contacts.importing import choices, limits, merging, portions, rows, taking, texts
from contacts.importing.limits import UnreadableFile
from contacts.importing.portions import Kind
from contacts.importing.rows import Problem
from contacts.importing.texts import Record
from contacts.matching import Values
from contacts.models import Contact, ContactImport, new_contact_ids
from intake import figures
from organizations.permissions import MissingRight

State = ContactImport.State
STEP = 2_000  # rows that are read at once
HOUSEHOLDS = 1_000_000_000  # the number of the portion with what is odd about households, after those of the steps
_READ, _COMPARED = 900, 1_000  # thousandths of the progress bar


@dataclass(slots=True)
class _Open:
    """A file that this process is reading: it goes on where it is, instead of from the beginning."""

    step: int
    found: Iterator[Record]
    reader: rows.Reader
    part: Callable[[], float]  # how much of the file has been read, 0 to 1
    files: ExitStack


_open: OrderedDict[int, _Open] = OrderedDict()  # by key of the import; each holds a piece of its file
_MOST_OPEN = 2


class _TakenOver(Exception):
    """Somebody has cancelled the import, or another worker has come further with it."""


def step(checked: ContactImport) -> bool:
    """Come one step further with a file in state READING; True if there is more to do.

    What is found is committed together with how far the file is read, if nobody else has done that step: after a kill
    it goes on exactly where it was, and two at once write no step twice.
    """
    try:
        chosen = choices.of(checked)
        if not chosen.headings:
            _say_at_work(checked)
            _look_at_last(checked)
            return True
        if chosen.flaw:
            raise UnreadableFile(chosen.flaw)
        return _read(checked) or _finish(checked)
    except (UnreadableFile, MissingRight) as refusal:
        _close(checked.pk)
        refused = _at_this_step(checked).update(state=State.REFUSED, reason=str(refusal), worked_at=timezone.now())
        if refused:
            portions.forget(checked, Kind.ROWS, Kind.PROBLEMS, Kind.DOUBTS)
        return False
    except _TakenOver:
        return False


def _at_this_step(checked: ContactImport) -> QuerySet[ContactImport]:
    return ContactImport.objects.filter(pk=checked.pk, state=State.READING, step=checked.step)


def _look_at_last(checked: ContactImport) -> None:
    """A large workbook is unpacked here, and not while its user waits.

    Nothing is locked meanwhile: whoever cancels it, uploads another file or deletes the list does not wait either. That
    somebody is at work is said on the way, so that no other worker begins it, too.
    """
    chosen = choices.of(checked)
    with taking.unpacked(checked, chosen, lambda: _say_at_work(checked)) as sheet, transaction.atomic():
        if _at_this_step(checked).update(step=checked.step + 1, worked_at=timezone.now()):
            checked.step += 1
            taking.look(checked, chosen, choices.remembered(checked.contact_list), sheet)
            checked.save(update_fields=["choices", "columns", "preview"])


def _say_at_work(checked: ContactImport) -> None:
    """Raises _TakenOver."""
    if not _at_this_step(checked).update(worked_at=timezone.now()):
        raise _TakenOver


def _resume(checked: ContactImport) -> _Open:
    here = _open.pop(checked.pk, None)
    if here is not None and here.step == checked.step:
        return here
    if here is not None:
        here.files.close()
    chosen = choices.of(checked)
    files = ExitStack()
    kind, encoding = (Kind.SHEET, "utf-8") if chosen.is_workbook else (Kind.FILE, chosen.encoding)
    file, raw = portions.opened(checked, kind)
    text = files.enter_context(texts.opened(file, encoding))
    found = texts.without_count(texts.records(text, chosen.layout))
    after = max(checked.cursor, chosen.heading_row)
    return _Open(
        step=checked.step,
        found=(record for record in found if record[0] > after),
        reader=rows.Reader(
            rows.columns_of(chosen.headings, chosen.targets),
            len(chosen.headings),
            chosen.delimiter,
            chosen.region,
            chosen.with_country_code,
        ),
        part=lambda: min(1.0, raw.taken / max(checked.size, 1)),
        files=files,
    )


def _close(pk: int) -> None:
    here = _open.pop(pk, None)
    if here is not None:
        here.files.close()


def _read(checked: ContactImport) -> bool:
    """Read the next rows and keep what they say; False where there are none. Raises UnreadableFile."""
    here = _resume(checked)
    reader = here.reader
    good: list[merging.Row] = []
    cells_of: dict[int, list[str]] = {}
    bad: set[int] = set()
    row = 0
    for row, cells in islice(here.found, STEP):
        if row > limits.MAX_LINES:
            raise UnreadableFile(_too_many_rows())
        if rows.is_blank(cells):
            continue
        cells_of[row] = cells
        values = reader.read(row, cells)
        if values is None:
            bad.add(row)
        else:
            good.append((row, values))
    if checked.total + len(cells_of) > limits.MAX_ROWS:
        raise UnreadableFile(_too_many_rows())
    if not row:
        here.files.close()
        return False
    if choices.of(checked).existing == merging.REFUSE:
        there = _on_list(checked.contact_list_id, good)
        good = [(number, values) for number, values in good if number not in there]
        reader.problems += [Problem(number, "", "already_there") for number in there]
        bad |= there
    problems: dict[int, list[Problem]] = {}
    for problem in reader.problems:
        problems.setdefault(problem.row, []).append(problem)
    with transaction.atomic():
        came_further = _at_this_step(checked).update(
            step=checked.step + 1,
            cursor=row,
            total=F("total") + len(cells_of),
            bad_rows=F("bad_rows") + len(bad),
            problem_count=F("problem_count") + len(reader.problems),
            doubt_count=F("doubt_count") + len(reader.doubts),
            foreign_count=F("foreign_count") + reader.foreign,
            progress=int(_READ * here.part()),
            worked_at=timezone.now(),
        )
        if came_further:
            given_back = [
                (number, cells_of[number], [astuple(problem)[1:] for problem in problems[number]])
                for number in sorted(bad)
            ]
            if good:
                kept = merging.lines(good, new_contact_ids(len(good)))
                portions.keep(checked, Kind.ROWS, checked.step, kept.encode())
            portions.keep_values(checked, Kind.PROBLEMS, checked.step, given_back)
            portions.keep_values(checked, Kind.DOUBTS, checked.step, [astuple(doubt) for doubt in reader.doubts])
    reader.problems, reader.doubts, reader.foreign = [], [], 0
    here.step = checked.step + 1
    _open[checked.pk] = here
    while len(_open) > _MOST_OPEN:
        _open.popitem(last=False)[1].files.close()
    return True


def _too_many_rows() -> str:
    return _("The file has more than %(limit)s rows. Split it into several files.") % {
        "limit": figures.whole(limits.MAX_ROWS)
    }


def _on_list(contact_list_id: int, good: Sequence[merging.Row]) -> set[int]:
    """Rows about somebody who is on the list: by number, or without one by everything that names people."""
    contacts = Contact.objects.filter(contact_list_id=contact_list_id)
    phones = {values[PHONE.attribute] for _row, values in good if PHONE.attribute in values}
    there = set(contacts.filter(phone__in=phones).values_list("phone", flat=True))
    unnumbered = [_naming(values) for _row, values in good if PHONE.attribute not in values]
    named: set[tuple[str, ...]] = set()
    if unnumbered:
        last_names = {naming[0] for naming in unnumbered}
        same = contacts.filter(phone="", **{f"{NAMING[0]}__in": last_names})
        named = set(same.values_list(*NAMING))
    return {
        row
        for row, values in good
        if (values[PHONE.attribute] in there if PHONE.attribute in values else _naming(values) in named)
    }


def _naming(values: Values) -> tuple[str, ...]:
    return tuple(values.get(attribute, "") for attribute in NAMING)


def _finish(checked: ContactImport) -> bool:
    """Everything is read: say what an import would do. Returns False: there is no more. Raises UnreadableFile."""
    if not checked.total:
        raise UnreadableFile(_("The file has headings but no rows below them."))
    found = compare(checked)
    with transaction.atomic():
        finished = _at_this_step(checked).update(
            state=State.CHECKED,
            step=checked.step + 1,
            new=found.new,
            updated=found.updated,
            skipped=found.skipped,
            without_phone=found.without_phone,
            opted_out=found.opted_out,
            doubt_count=F("doubt_count") + found.doubt_count,
            progress=_COMPARED,
            worked_at=timezone.now(),
        )
        if finished:
            doubts = [astuple(doubt) for doubt in found.doubts]
            portions.keep_values(checked, Kind.DOUBTS, HOUSEHOLDS, doubts)
    return False


def compare(
    checked: ContactImport,
    progress: merging.Progress = lambda part: None,
    before: Callable[[], None] = lambda: None,
    then: Callable[[merging.Incoming, merging.Figures], None] = lambda table, found: None,
) -> merging.Figures:
    """What the good rows mean for the list. Raises UnreadableFile.

    `progress` is told how many of them are in the database, `before` and `then` are called around the comparison, in
    its transaction.
    """
    filled = 0
    with merging.incoming(checked.contact_list, choices.of(checked).existing) as table:
        for piece in portions.pieces(checked, Kind.ROWS):
            table.fill(piece.decode())
            filled += piece.count(b"\n")
            progress(filled / max(checked.good_rows, 1))
        with transaction.atomic():
            before()
            try:
                found = table.compare()
            except merging.Crowd as crowd:
                raise UnreadableFile(
                    _("%(phone)s appears in %(count)s rows. At most %(limit)s people in a file can share a number.")
                    % {
                        "phone": crowd.phone,
                        "count": figures.whole(crowd.count),
                        "limit": figures.whole(limits.MAX_HOUSEHOLD),
                    }
                ) from crowd
            then(table, found)
    return found

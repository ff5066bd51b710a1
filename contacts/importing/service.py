"""An import from its upload to its end: what pages and workers call.

A file is kept and looked at (taking.py), read step by step and compared with its list (steps.py), shown, and on
somebody's word written (merging.py). Small files take all of that while their user waits, large ones wake a worker
(`go_on`); the periodic check wakes one for what a dead worker has left (`resume`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from heapq import merge
from typing import IO, Any

from celery import current_app
from django.db import IntegrityError, connection, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext
from kombu.exceptions import OperationalError as BrokerError

from contacts.importing import choices, portions, steps, taking
from contacts.importing.limits import ImportRefused, UnreadableFile
from contacts.importing.merging import Figures, Incoming
from contacts.importing.portions import Kind
from contacts.importing.rows import Problem
from contacts.importing.texts import Record
from contacts.models import ContactImport, ContactList
from intake import figures
from organizations import audit, clock, commitments
from organizations.models import User
from organizations.permissions import MissingRight

logger = logging.getLogger(__name__)

State = ContactImport.State
GO_ON = "contacts.tasks.go_on"
AT_WORK = (State.READING, State.WRITING)
TURN = 1.0  # seconds that one file is read before another
STALE = timedelta(days=1)
FORGOTTEN = timedelta(seconds=20)  # without a step forward another worker looks; harmless if the first was only slow
FILLED = 0.4  # of the progress bar, when the rows are in the database and not yet on the list
_OVERLAP = 200  # characters of the portion before: what is looked for may begin there
IMPORTED = gettext_noop("imported contacts")  # in the audit trail


class _NoLonger(Exception):
    """It was cancelled, or somebody else has done it."""


# --- checking ---------------------------------------------------------------------------------------------------------


def check(contact_list: ContactList, file: IO[bytes], file_name: str, user: User, **wishes: Any) -> ContactImport:
    """Keep a file and read all of it at once, whatever its size. Raises UnreadableFile where there is nothing to show.

    `wishes` are those of importing/choices.py, such as with_country_code=True.
    """
    checked = read_to_the_end(taking.upload(contact_list, file, file_name, user, **wishes))
    if checked.state == State.REFUSED and not choices.of(checked).flaw and choices.of(checked).encoding_is_sure:
        reason = checked.reason
        checked.delete()
        raise UnreadableFile(reason)
    return checked


def read_to_the_end(checked: ContactImport) -> ContactImport:
    """Read a file while its user waits."""
    while steps.step(checked):
        checked.refresh_from_db()
    checked.refresh_from_db()
    return checked


def check_again(checked: ContactImport, **wishes: Any) -> ContactImport:
    """Read a kept file once more, otherwise: at once if it is small, else by a worker.

    Raises UnreadableFile, and ImportRefused where it is no longer kept.
    """
    changed = taking.change(checked, **wishes)
    if taking.is_small(changed, choices.of(changed)):
        return read_to_the_end(changed)
    wake(changed.pk)
    return changed


def problems_of(checked: ContactImport) -> Iterator[Problem]:
    """What is wrong with a checked file, row by row; if nothing is wrong, what is worth a look."""
    return wrong(checked) if checked.problem_count else doubts(checked)


def wrong(checked: ContactImport) -> Iterator[Problem]:
    for portion in portions.values(checked, Kind.PROBLEMS):
        for row, _cells, problems in portion:
            yield from (Problem(row, *problem) for problem in problems)


def doubts(checked: ContactImport) -> Iterator[Problem]:
    """What is imported as it is, but worth a look."""
    found = checked.portions.filter(kind=Kind.DOUBTS)
    of_households = found.filter(number=steps.HOUSEHOLDS).values_list("content", flat=True)
    others = (portion for portion in portions.values(checked, Kind.DOUBTS, below=steps.HOUSEHOLDS))
    streams = [
        (Problem(*doubt) for portion in others for doubt in portion),
        (Problem(*doubt) for sealed in of_households for doubt in portions.read(portions.unseal(sealed))),
    ]
    return merge(*streams, key=lambda doubt: doubt.row)


def given_back(checked: ContactImport) -> Iterator[Record]:
    """The rows that are not imported, as they are in the file, each followed by its row and what is wrong with it."""
    width = len(choices.of(checked).headings)
    for portion in portions.values(checked, Kind.PROBLEMS):
        for row, cells, problems in portion:
            sentences = []
            for problem in (Problem(row, *found) for found in problems):
                named = {"column": problem.column, "sentence": problem.sentence}
                sentences.append(_("%(column)s: %(sentence)s") % named if problem.column else problem.sentence)
            shown = (cells + [""] * width)[:width]
            shown[-1] = " ".join([shown[-1], *cells[width:]])  # what is beyond the headings is not lost
            yield row, [*shown, " ".join(sentences)]


def mentions(checked: ContactImport, is_in: Callable[[str], bool]) -> bool:
    """Whether `is_in` holds for anything that is kept of a file; also where that cannot be told, as of a workbook."""
    before = ""
    try:
        for kind in Kind.values:
            chosen = choices.of(checked)
            if kind == Kind.FILE and chosen.is_workbook:
                if portions.has(checked, Kind.FILE) and not portions.has(checked, Kind.SHEET):
                    return True
                continue
            encoding = chosen.encoding if kind == Kind.FILE else "utf-8"
            for piece in portions.pieces(checked, kind):
                text = before[-_OVERLAP:] + piece.decode(encoding, "replace")
                if is_in(text):
                    return True
                before = text
    except portions.NOT_READABLE:
        return True
    return False


# --- writing ----------------------------------------------------------------------------------------------------------


def start(checked: ContactImport, user: User) -> ContactImport:
    """Have the good rows written, in the name of `user`. Raises ImportRefused, MissingRight."""
    commitments.require_free(checked.contact_list, user)
    fresh = ContactImport.objects.filter(pk=checked.pk).first()
    if fresh is None or (fresh.state not in (State.CHECKED, State.WRITING, State.DONE)):
        raise ImportRefused(_("This file is no longer stored. Upload it again."))
    if fresh.state == State.CHECKED and not fresh.good_rows:
        raise ImportRefused(_("No row of this file can be imported. Correct them and upload it again."))
    started = ContactImport.objects.filter(pk=checked.pk, state=State.CHECKED).update(
        state=State.WRITING, created_by=user, progress=0, worked_at=timezone.now()
    )
    if started and not taking.is_small(fresh, choices.of(fresh)):
        wake(checked.pk)
    fresh.refresh_from_db()
    return fresh


def run(checked: ContactImport, user: User) -> ContactImport:
    """Write a checked file to its list while its user waits: all good rows or none. Raises ImportRefused, MissingRight.

    Cells of the file win, empty cells leave what is there. A second click changes nothing.
    """
    checked = start(checked, user)
    if checked.state == State.WRITING:
        _write(checked)
        checked.refresh_from_db()
    if checked.state == State.REFUSED:
        raise ImportRefused(checked.reason)
    return checked


def _write(checked: ContactImport, *, in_background: bool = False) -> None:
    """Write what is to be written; nothing where that was cancelled or done. The state then says what became of it."""
    said = _Said(checked.pk) if in_background else None
    try:
        steps.compare(
            checked,
            said.filled if said else lambda part: None,
            lambda: _require_right(checked),
            lambda table, found: _write_compared(checked, table, found),
        )
    except _NoLonger:
        return
    except (ImportRefused, MissingRight, UnreadableFile) as refusal:
        _refuse(checked, str(refusal))
        if isinstance(refusal, MissingRight) and not in_background:
            raise
        return
    except IntegrityError:
        _refuse(checked, _("The list was changed while the file was being imported. Import it again."))
        return
    finally:
        if said:
            said.close()


class _Said:
    """Tells from within the transaction how far it is: over a connection of its own, where there can be one."""

    def __init__(self, pk: int) -> None:
        self._pk = pk
        self._connection = connection.copy() if connection.vendor == "postgresql" else None
        table = ContactImport._meta.db_table
        self._sql = f"UPDATE {table} SET progress = %s, worked_at = %s WHERE id = %s AND state = %s"  # noqa: S608

    def filled(self, part: float) -> None:
        """Raises _NoLonger where it was cancelled meanwhile."""
        if not ContactImport.objects.filter(pk=self._pk, state=State.WRITING).exists():
            raise _NoLonger
        if self._connection is not None:
            with self._connection.cursor() as cursor:
                cursor.execute(self._sql, [int(1_000 * FILLED * part), timezone.now(), self._pk, State.WRITING])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _refuse(checked: ContactImport, reason: str) -> None:
    ContactImport.objects.filter(pk=checked.pk, state=State.WRITING).update(state=State.REFUSED, reason=reason)


def _require_right(checked: ContactImport) -> None:
    """Lock the list: one import at a time, and none into a list that is being deleted. Ask what may have changed."""
    contact_list = ContactList.objects.select_for_update(no_key=True).filter(pk=checked.contact_list_id).first()
    if contact_list is None:
        raise _NoLonger
    user = _starter(checked)
    if user is None or not user.is_active or user.organization_id != contact_list.organization_id:
        raise ImportRefused(_("Whoever started this import may not do so any more. Start it again."))
    commitments.require_free(contact_list, user)


def _write_compared(checked: ContactImport, table: Incoming, found: Figures) -> None:
    table.write()
    finished = ContactImport.objects.filter(pk=checked.pk, state=State.WRITING).update(
        state=State.DONE,
        new=found.new,
        updated=found.updated,
        skipped=found.skipped,
        imported_at=timezone.now(),
        preview=[],
        progress=1_000,
    )
    if not finished:
        raise _NoLonger
    portions.forget(checked, Kind.FILE, Kind.SHEET, Kind.ROWS)
    others = {"skipped": found.skipped, "left_out": checked.bad_rows}
    audit.record(
        IMPORTED,
        organization=checked.contact_list.organization,
        actor=_starter(checked),
        target=checked.contact_list,
        new=found.new,
        updated=found.updated,
        **{name: number for name, number in others.items() if number},  # type: ignore[arg-type]  # none is a keyword
    )


def _starter(checked: ContactImport) -> User | None:
    """Whoever pressed the button, as they are now."""
    return User.objects.get(pk=checked.created_by_id) if checked.created_by_id is not None else None


def cancel(checked: ContactImport) -> bool:
    """Stop what is going on and forget the file; False where it was finished before."""
    cancelled = (
        ContactImport.objects.filter(pk=checked.pk)
        .exclude(state__in=(State.DONE, State.CANCELLED))
        .update(state=State.CANCELLED, preview=[], worked_at=timezone.now())
    )
    if cancelled:
        portions.forget(checked)
    return bool(cancelled)


def summary(checked: ContactImport) -> str:
    """What an import did, in a sentence."""
    added = ngettext("%(count)s person was added", "%(count)s people were added", checked.new) % {
        "count": _grouped(checked.new)
    }
    changed = ngettext("%(count)s was updated", "%(count)s were updated", checked.updated) % {
        "count": _grouped(checked.updated)
    }
    parts = [added, changed]
    if checked.skipped:
        parts.append(
            ngettext("%(count)s was already on the list", "%(count)s were already on the list", checked.skipped)
            % {"count": _grouped(checked.skipped)}
        )
    said = ", ".join(parts)
    if checked.bad_rows:
        parts_back = ngettext("%(count)s row was left out", "%(count)s rows were left out", checked.bad_rows)
        return _("%(done)s. %(left)s.") % {"done": said, "left": parts_back % {"count": _grouped(checked.bad_rows)}}
    return _("%(done)s.") % {"done": said}


def _grouped(number: int) -> str:
    return figures.whole(number)


# --- workers ----------------------------------------------------------------------------------------------------------


def wake(pk: int) -> None:
    """Have a worker go on with an import once this transaction is committed; the periodic check finds what is lost."""
    transaction.on_commit(lambda: _send(pk))


def _send(pk: int) -> None:
    try:
        current_app.send_task(GO_ON, (pk,), ignore_result=True)
    except (BrokerError, OSError) as error:
        logger.warning("The broker is away (%s); the periodic check will find it.", type(error).__name__)


def go_on(pk: int) -> None:
    """Come further with an import for a moment, then let another have its turn. Harmless however often it is called."""
    turn_ends_at = time.monotonic() + TURN
    while (checked := _at_work(pk)) is not None:
        with translation.override(checked.created_by.language if checked.created_by else None):
            if checked.state == State.WRITING:
                _write(checked, in_background=True)
                _tell_plans(checked)
                return
            more = steps.step(checked)
        if not more:
            return
        if time.monotonic() > turn_ends_at:
            wake(pk)
            return


def _at_work(pk: int) -> ContactImport | None:
    found = ContactImport.objects.filter(pk=pk, state__in=AT_WORK)
    return found.select_related("contact_list__organization", "created_by").first()


def _tell_plans(checked: ContactImport) -> None:
    """What was planned for the list may not go as it was planned any more."""
    if ContactImport.objects.filter(pk=checked.pk, state=State.DONE).exists():
        commitments.changed(checked.organization_id)


def resume(now: datetime | None = None) -> None:
    """The periodic check: wake a worker for what nobody has come further with for a while."""
    idle = ContactImport.objects.filter(state__in=AT_WORK, worked_at__lt=(now or clock.now()) - FORGOTTEN)
    for pk in idle.values_list("pk", flat=True)[:100]:
        wake(pk)


def purge(now: datetime | None = None) -> None:
    """Forget files that nobody imported, and what was wrong with the others, after a day."""
    old = ContactImport.objects.filter(created_at__lt=(now or clock.now()) - STALE)
    old.filter(imported_at=None).exclude(state=State.WRITING).delete()
    portions.forget_all(old.exclude(imported_at=None))

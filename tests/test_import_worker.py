"""Large imports, by workers: resumed exactly after a kill, cancelled, and stopped where a right is gone meanwhile."""

import io
import subprocess
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from config import wakes
from config.celery import app
from contacts import importing, tasks
from contacts.importing import merging, service, steps, taking, workbooks
from contacts.models import Contact, ContactImport, ImportPortion
from tests import factories
from tests.processes import Worker
from tests.workbooks import xlsx

ROWS = 30_000


@pytest.fixture
def clinic(transactional_db):
    return factories.organization(default_region="DE")


@pytest.fixture
def ada(clinic):
    return factories.administrator(clinic)


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic)


def file(rows, *, bad=()):
    lines = ("abc" if index in bad else f"0151{index:08d}" for index in range(rows))
    text = "".join(f"{phone},Ada{index},{'x' * 30}\n" for index, phone in enumerate(lines))
    return io.BytesIO(f"Phone,FirstName,Note\n{text}".encode())


def uploaded(patients, ada, rows=ROWS, **kind):
    return importing.upload(patients, file(rows, **kind), "many.csv", ada)


def fresh(checked):
    return ContactImport.objects.get(pk=checked.pk)


def wait_for(condition, seconds=60, meanwhile=lambda: None):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        meanwhile()
        time.sleep(0.02)


def wait_with_the_periodic_check(checked, state):
    """As beat does, it looks again and again, but does not wait until the dead worker counts as forgotten.

    Once is not enough: a wake-up that the dead worker had in its hands is lost with it, and until its key in the broker
    expires (config/wakes.py) another one is taken for it and left out.
    """
    ContactImport.objects.filter(pk=checked.pk).update(worked_at=timezone.now() - 2 * service.FORGOTTEN)
    wait_for(lambda: fresh(checked).state == state, seconds=240, meanwhile=importing.resume)


def test_a_wake_up_that_is_lost_with_its_worker_is_sent_again(start, patients, ada, monkeypatch):
    monkeypatch.setattr(wakes, "LIFE", 1)
    checked = uploaded(patients, ada, 10)
    app.send_task(service.GO_ON, (checked.pk,), queue="of a worker that is dead")

    start(Worker, "second")
    wait_with_the_periodic_check(checked, "checked")

    assert fresh(checked).new == 10


@pytest.mark.chaos
@pytest.mark.parametrize("after", [1, 9])
def test_a_worker_that_is_killed_while_reading_loses_no_row_and_doubles_none(start, patients, ada, after):
    checked = uploaded(patients, ada, bad={7, ROWS - 1})
    first = start(Worker, "first")
    importing.wake(checked.pk)
    wait_for(lambda: fresh(checked).step >= after, seconds=120)
    first.kill()

    start(Worker, "second")
    wait_with_the_periodic_check(checked, "checked")

    found = fresh(checked)
    assert (found.total, found.bad_rows, found.new) == (ROWS, 2, ROWS - 2)
    rows = [row for piece in service.portions.pieces(found, "rows") for row in merging.rows_in(piece.decode())]
    assert rows == [row for row in range(2, ROWS + 2) if row not in (9, ROWS + 1)]


@pytest.mark.chaos
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_a_worker_that_is_killed_while_writing_leaves_nothing_and_the_next_writes_all(start, patients, ada, pause):
    checked = importing.read_to_the_end(uploaded(patients, ada))
    first = start(Worker, "first")
    importing.start(checked, ada)
    wait_for(lambda: fresh(checked).progress > 0 or fresh(checked).state == "done")
    time.sleep(pause)
    first.kill()
    assert patients.contacts.count() in (0, ROWS)  # all rows or none

    start(Worker, "second")
    wait_with_the_periodic_check(checked, "done")

    assert patients.contacts.count() == ROWS
    assert patients.contacts.values("phone").distinct().count() == ROWS
    assert not ImportPortion.objects.exists()  # forgotten with the last row, so that no kill comes between


def test_steps_that_are_done_twice_or_by_two_are_written_once(patients, ada, monkeypatch):
    monkeypatch.setattr(steps, "STEP", 10)
    checked = uploaded(patients, ada, 35)
    stale = fresh(checked)
    assert steps.step(fresh(checked))
    steps._open.clear()  # another process
    steps.step(stale)  # which has not heard of the first step
    steps._open.clear()
    importing.read_to_the_end(fresh(checked))

    assert (fresh(checked).total, fresh(checked).new) == (35, 35)


def test_the_task_reads_in_turns_and_writes(patients, ada, monkeypatch):
    sent = []
    monkeypatch.setattr(service, "TURN", 0.0)
    monkeypatch.setattr(service, "_send", sent.append)
    checked = uploaded(patients, ada, 5_000)
    sent.append(checked.pk)
    while sent:
        tasks.go_on(sent.pop())
    assert fresh(checked).state == "checked"

    ContactImport.objects.filter(pk=checked.pk).update(state="writing")
    tasks.go_on(checked.pk)

    assert fresh(checked).state == "done"
    assert patients.contacts.count() == 5_000


def test_the_periodic_check_wakes_only_what_nobody_works_on(patients, ada, monkeypatch):
    sent = []
    monkeypatch.setattr(service, "_send", sent.append)
    checked = uploaded(patients, ada, 10)

    tasks.resume()
    assert sent == []
    importing.resume(timezone.now() + service.FORGOTTEN + timedelta(seconds=1))

    assert sent == [checked.pk]


@pytest.fixture
def opening(patients, ada, monkeypatch):
    """A workbook that a worker is opening: its process takes two seconds before it says a word."""
    real = subprocess.Popen
    monkeypatch.setattr(
        workbooks.subprocess, "Popen", lambda args, **kw: real(["sh", "-c", 'sleep 2; exec "$@"', "sh", *args], **kw)
    )
    monkeypatch.setattr(workbooks, "BEAT", 0.2)
    monkeypatch.setattr(taking, "SMALL", 0)
    checked = importing.upload(patients, io.BytesIO(xlsx([["Phone"], ["015112345678"]])), "large.xlsx", ada)
    began = timezone.now()

    def work():
        tasks.go_on(checked.pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    wait_for(lambda: fresh(checked).worked_at > began)
    yield checked
    worker.join(30)
    assert not worker.is_alive()


def test_a_workbook_that_takes_long_to_open_is_one_workers_work(opening, monkeypatch):
    """Others would stand behind it, and with them everybody's imports, exports and reviews."""
    sent = []
    monkeypatch.setattr(service, "FORGOTTEN", timedelta(seconds=0.9))
    monkeypatch.setattr(service, "wake", sent.append)
    for _moment in range(12):
        importing.resume()
        time.sleep(0.1)
    assert sent == []

    wait_for(lambda: fresh(opening).step)
    tasks.go_on(opening.pk)
    assert (fresh(opening).state, fresh(opening).total) == ("checked", 1)


@pytest.mark.parametrize("how", ["cancelled", "another file", "list deleted", "user removed"])
def test_nobody_waits_for_a_workbook_that_is_being_opened(opening, patients, ada, how):
    began = time.monotonic()
    if how == "cancelled":
        assert importing.cancel(opening)
    elif how == "another file":
        importing.upload(patients, file(3), "another.csv", ada)
    elif how == "list deleted":
        patients.delete()
    else:
        ContactImport.objects.filter(created_by=ada).update(created_by=None)

    assert time.monotonic() - began < 1.0
    if how != "user removed":
        wait_for(lambda: not ImportPortion.objects.filter(contact_import=opening).exists())


@pytest.mark.parametrize("loss", ["cancelled", "list deleted", "switched off", "moved"])
def test_what_is_taken_back_while_it_is_written_is_not_on_the_list(clinic, patients, ada, loss, monkeypatch):
    member = factories.user(clinic)
    checked = importing.read_to_the_end(uploaded(patients, member, 100))
    ContactImport.objects.filter(pk=checked.pk).update(state="writing")
    if loss == "cancelled":
        importing.cancel(checked)
    elif loss == "list deleted":
        patients.delete()
    elif loss == "switched off":
        type(member).objects.filter(pk=member.pk).update(is_active=False)
    else:
        type(member).objects.filter(pk=member.pk).update(organization=factories.organization("Other"))

    tasks.go_on(checked.pk)

    assert not Contact.objects.exists()
    left = ContactImport.objects.filter(pk=checked.pk).first()
    assert left is None or left.state in ("cancelled", "refused")


def test_who_loses_the_right_to_change_a_planned_list_imports_nothing_into_it(clinic, patients):
    member = factories.user(clinic, use_sms_distributions="disabled")
    checked = importing.read_to_the_end(uploaded(patients, member, 100))
    ContactImport.objects.filter(pk=checked.pk).update(state="writing")
    factories.distribution(clinic, contact_list=patients, state="scheduled", send_at=timezone.now() + timedelta(days=1))

    tasks.go_on(checked.pk)

    assert fresh(checked).state == "refused"
    assert "planned or has been launched" in fresh(checked).reason
    assert not Contact.objects.exists()


def test_two_imports_into_one_list_make_everybody_once(patients, clinic, ada):
    first = importing.read_to_the_end(uploaded(patients, ada, 100))
    second = importing.read_to_the_end(uploaded(patients, factories.administrator(clinic), 150))

    importing.run(first, ada)
    importing.run(second, ada)

    assert patients.contacts.count() == 150
    assert (fresh(second).new, fresh(second).updated) == (50, 100)


@pytest.mark.postgresql
def test_the_rows_go_through_one_temporary_table_that_is_gone_afterwards(patients, ada):
    importing.run(importing.read_to_the_end(uploaded(patients, ada, 100)), ada)

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname = 'contacts_incoming'")
        assert cursor.fetchone() == (0,)

"""An upgrade while texts are being sent: the release before this one, its database, this one's migrations.

The old code is taken out of the repository's history and run with its own processes. A release whose schema the code
before it cannot work with fails here; docs/upgrading.md says what a release may change.
"""

import json
import os
import subprocess
import sys
import time

import pytest
from django.db import connection

from tests import previous_release
from tests.chaos.judge import call, wait_for
from tests.processes import ROOT, Process, environment, free_port

RECIPIENTS, PACE = 900, 30.0  # people; segments per second: they last longer than the migrations
FEW, FAST = 200, 100.0

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


class Program(Process):
    """A program of one of the two releases; `folder` says which."""

    def __init__(self, log, name, folder, *command, **variables):
        super().__init__(name, ["env", f"--chdir={folder}", sys.executable, *command], log, **variables)


@pytest.fixture(scope="module")
def previous(tmp_path_factory):
    """The folder of the release before this one."""
    folder = tmp_path_factory.mktemp("previous")
    if not previous_release.unpack(folder):
        pytest.skip("the history does not go back to the release before this one: git fetch --unshallow")
    return folder


@pytest.fixture
def database(transactional_db):
    """The address of an empty database of its own; another process of the tests may have one, too."""
    name = f"upgraded_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield environment()["DATABASE_URL"].rpartition("/")[0] + f"/{name}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def variables(database, simulator, settings):
    settings.SEND_TIMEOUT, settings.LOOKUP_AFTER, settings.SWEEP_EVERY = 10, 5, 1
    return {"DATABASE_URL": database, "PUBLIC_URL": f"http://127.0.0.1:{free_port()}"}


def run(folder, variables, *command):
    outcome = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment() | variables, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def ask(folder, variables, code):
    """What a line of Python prints in one of the releases, read as JSON."""
    return json.loads(run(folder, variables, "manage.py", "shell", "-v", "0", "-c", code).splitlines()[-1])


@pytest.fixture
def installation(start, variables):
    """Starts a release's programs: `installation(folder)`. Returns them by name."""

    def begin(folder, tag):
        port = variables["PUBLIC_URL"].rpartition(":")[2]
        worker = ["-m", "celery", "-A", "config", "worker", "-c", "2", "-l", "INFO", "-n", f"{tag}@upgrade"]
        beat = ["-m", "celery", "-A", "config", "beat", "--pidfile=", "-s", f"{folder}/var/beat-{tag}"]
        web = ["-m", "granian", "--interface", "wsgi", "--no-ws", "--host", "127.0.0.1", "--port", port]
        (folder / "var").mkdir(exist_ok=True)
        return {
            "web": start(Program, f"web-{tag}", folder, *web, "--workers", "1", "config.wsgi:application", **variables),
            "worker": start(Program, f"worker-{tag}", folder, *worker, **variables),
            "beat": start(Program, f"beat-{tag}", folder, *beat, **variables),
        }

    return begin


LAUNCH = """
import json, os
from config.ops import demo_organization
made = demo_organization.make({recipients}, os.environ["SIMULATOR"], messages_per_second={pace})
demo_organization.launch(made)
print(json.dumps(made.distribution.pk))
"""
WAITING = """
import json
from distributions.models import Message
from distributions.states import FINAL
print(json.dumps({recipients} - Message.objects.filter(distribution_id={key}, status__in=FINAL).count()))
"""
JUDGE = """
import json, os
from config.ops import demo_verdict
from distributions.models import Distribution
verdict = demo_verdict.judge(Distribution.objects.get(pk={key}), demo_verdict.ledger(os.environ["SIMULATOR"]))
print(json.dumps([verdict.recipients, verdict.lost, verdict.duplicated, verdict.unknown]))
"""


def test_an_upgrade_in_the_middle_of_a_distribution_loses_and_doubles_nothing(
    previous, simulator, variables, installation
):
    """Old programs run on while the database is migrated, then are replaced one after the other, as one does it."""
    variables["SIMULATOR"] = simulator.url
    began = time.monotonic()
    run(previous, variables, "manage.py", "migrate", "--no-input")
    recipients = max(RECIPIENTS, int(PACE * 4 * (time.monotonic() - began)))  # also where a migration takes its time
    old = installation(previous, "old")
    key = ask(previous, variables, LAUNCH.format(recipients=recipients, pace=PACE))
    wait_for(lambda: taken(simulator) > 50, 60, "the old release to send")

    run(ROOT, variables, "manage.py", "migrate", "--no-input")
    before = taken(simulator)
    assert before + 100 < recipients  # or it would show nothing
    wait_for(lambda: taken(simulator) > before + 50, 60, "the old release to send on the new schema")
    old["beat"].stop()  # Celery's own may come upon the schedule that it has just closed: its status says nothing
    for name in ("worker", "web"):
        assert old[name].stop() in (0, -15), old[name].output()
    installation(ROOT, "new")

    waiting = WAITING.format(key=key, recipients=recipients)
    wait_for(lambda: ask(ROOT, variables, waiting) == 0, 90, "the new release to send the rest")
    assert ask(ROOT, variables, JUDGE.format(key=key)) == [recipients, 0, 0, 0]


def test_the_release_before_this_one_works_on_its_schema(previous, simulator, variables, installation):
    """Both run side by side for a while: the old one launches, sends and receives as if nothing had changed."""
    variables["SIMULATOR"] = simulator.url
    run(ROOT, variables, "manage.py", "migrate", "--no-input")
    installation(previous, "old")
    key = ask(previous, variables, LAUNCH.format(recipients=FEW, pace=FAST))

    waiting = WAITING.format(key=key, recipients=FEW)
    wait_for(lambda: ask(previous, variables, waiting) == 0, 90, "the old release to send")
    assert ask(previous, variables, JUDGE.format(key=key)) == [FEW, 0, 0, 0]


UNWRITABLE = """
import json
from django.apps import apps
from django.db import connection
with connection.cursor() as cursor:
    needed = "is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'"
    source = "information_schema.columns WHERE table_schema = 'public'"
    cursor.execute(f"SELECT table_name, column_name, {needed} FROM {source}")
    columns = {}
    for table, column, is_needed in cursor.fetchall():
        columns.setdefault(table, {})[column] = is_needed
found = []
for model in apps.get_models(include_auto_created=True):
    known = {field.column for field in model._meta.local_concrete_fields}
    there = columns.get(model._meta.db_table, {})
    found += [f"{model._meta.label}.{name} is gone" for name in known - set(there)]
    found += [f"{model._meta.label}: {name} is needed" for name in set(there) - known if there[name]]
print(json.dumps(found))
"""


def test_the_release_before_this_one_reads_and_writes_every_table(previous, variables):
    """Each column that it knows is there, and each that it does not know may be left out."""
    run(ROOT, variables, "manage.py", "migrate", "--no-input")

    assert ask(previous, variables, UNWRITABLE) == []


def taken(simulator):
    return len(call(simulator, "GET", "ledger")["entries"])

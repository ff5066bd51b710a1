"""Fixtures for every test: real processes, the browser, and the search of all logs for secrets."""

from __future__ import annotations

import gc
import logging
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection
from django.utils import translation
from hypothesis import HealthCheck, settings

from config import wakes
from config.celery import app
from extensions.models import ProviderAccount
from organizations.models import Organization, User
from simulator import process as simulator_process
from simulator.process import SimulatorProcess
from tests import factories, secrets, simulated
from tests.processes import PGBOUNCER, Beat, PgBouncer, Process, Web, Worker

# The first one has no window to keep, which is a third of the work.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A busy machine makes no test wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# Hashing a password takes a quarter of a second where people log in; tests make thousands of users. The processes they
# start keep the real cost: it stands in the hash.
Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 8, 1
ON_SQLITE = os.environ.get("TEST_DATABASE") == "sqlite"

_processes = pytest.StashKey[list[Process]]()
_searched = pytest.StashKey["SecretSearch"]()
_left_out = pytest.StashKey[list[str]]()


# --- Which tests run -------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if CHROMIUM is None and not ON_SQLITE and os.environ.get("CI") == "true":
        raise pytest.UsageError("In CI the browser tests must run, and there is no `chromium`: install that package.")
    if PGBOUNCER is None and not ON_SQLITE and os.environ.get("CI") == "true":
        raise pytest.UsageError("In CI the tests with PgBouncer must run, and there is none: install that package.")
    if NGINX is None and not ON_SQLITE and os.environ.get("CI") == "true":
        raise pytest.UsageError("In CI the shipped proxy must be tried, and there is no `nginx`: install nginx-light.")
    django_settings.WHITENOISE_AUTOREFRESH = True  # or each Client() reads the folders of static files anew
    search = config.stash[_searched] = SecretSearch()
    logging.getLogger().addHandler(search)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here, and say so; put the browser last.

    Playwright's event loop stays for the rest of the process, and asyncio.run() fails beside it.
    """
    said = config.stash.setdefault(_left_out, [])
    if ON_SQLITE:
        _leave_out(config, items, lambda item: not _on_sqlite(item), "on SQLite, only the database part runs")
    else:
        _leave_out(config, items, lambda item: item.get_closest_marker("sqlite"), "they are about SQLite alone")
    if CHROMIUM is None:
        _leave_out(config, items, lambda item: item.get_closest_marker("browser"), "there is no `chromium` here")
    if PGBOUNCER is None:
        _leave_out(config, items, lambda item: "pgbouncer" in item.fixturenames, "there is no `pgbouncer` here")
    if NGINX is None:
        _leave_out(config, items, lambda item: item.get_closest_marker("nginx"), "there is no `nginx` here")
    items.sort(key=lambda item: (bool(item.get_closest_marker("browser")), bool(item.get_closest_marker("chaos"))))
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = said


def pytest_collection_finish() -> None:
    """What has been imported and collected stays: looking for garbage in it costs a tenth of the whole time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _on_sqlite(item: pytest.Item) -> bool:
    """Whether a test belongs to the database part: what holds on PostgreSQL must hold on SQLite too."""
    if any(item.get_closest_marker(name) for name in ("browser", "chaos", "nginx", "once", "postgresql")):
        return False
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return item.get_closest_marker("django_db") is not None or bool({"db", "transactional_db"}.intersection(fixtures))


def _leave_out(
    config: pytest.Config, items: list[pytest.Item], wanted: Callable[[pytest.Item], Any], reason: str
) -> None:
    out = [item for item in items if wanted(item)]
    if out:
        items[:] = [item for item in items if item not in set(out)]
        config.hook.pytest_deselected(items=out)
        config.stash[_left_out].append(f"left out: {len(out)} tests, since {reason}")


# --- Secrets: no log of the whole run may contain one ----------------------------------------------------------------


class SecretSearch(logging.Handler):
    """Reads every log line of this process, and the logs of the processes it has started, as they end."""

    def __init__(self) -> None:
        super().__init__()
        self._pattern = re.compile("|".join(re.escape(secret) for secret in sorted(secrets.planted())))
        self._formatter = logging.Formatter()
        self.lines = 0
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        if self._pattern.search(self._formatter.format(record)):
            test = os.environ.get("PYTEST_CURRENT_TEST", "outside a test")
            self.found.append(f"{test}: {record.name} {record.pathname}:{record.lineno}")

    def read(self, process: Process, test: str) -> None:
        for line in process.output().splitlines():
            self.lines += 1
            if self._pattern.search(line):
                self.found.append(f"{test}: log of {process.name}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    search = config.stash[_searched]
    logging.getLogger().removeHandler(search)
    if hasattr(config, "workeroutput"):
        config.workeroutput["log_lines"], config.workeroutput["secrets"] = search.lines, search.found
    elif search.found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of pytest-xdist has ended: add what it has seen."""
    search = node.config.stash[_searched]
    output = getattr(node, "workeroutput", {})
    search.lines += output.get("log_lines", 0)
    search.found += output.get("secrets", [])
    node.config.stash[_left_out] = output.get("left_out", [])  # each of them says the same


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    yield
    search = config.stash[_searched]
    for line in config.stash.get(_left_out, []):
        terminalreporter.write_line(line)
    terminalreporter.write_line(f"secrets: {search.lines} log lines searched, {len(search.found)} leaks")
    for place in search.found:
        terminalreporter.write_line(f"SECRET IN A LOG  {place}", red=True)
    terminalreporter.stats.setdefault("error", []).extend(search.found)  # so that the closing line says it too


# --- Language ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """What a request in another language has set for this thread ends with its test."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that does at once what it can in a few seconds does all of it, however busy the machine is."""
    for place in ("keeping.api", "keeping.pages", "distributions.planning.taking_back"):
        monkeypatch.setattr(f"{place}.AT_ONCE", 120.0)


# --- Wake-ups ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_waits(request: pytest.FixtureRequest) -> None:
    """Wake-ups of an earlier test leave out none of this one's: rows of both may have the same keys."""
    if {"db", "transactional_db"}.intersection(request.fixturenames):
        client = app.client()
        if keys := [*client.keys(f"{wakes.PREFIX}*"), *client.keys(f"{wakes.COUNTED}*")]:
            client.delete(*keys)


# --- The database ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """SQLite in a file, beside the one of the settings: threads and child processes share it."""
    database = django_settings.DATABASES["default"]
    if ON_SQLITE:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        path = Path(database["NAME"])
        connection.settings_dict["TEST"]["NAME"] = str(path.with_name(f"test_{worker}_{path.name}"))


# --- An organisation --------------------------------------------------------------------------------------------------
# Where a test needs another one (a name that it looks for, a zone, a provider), its module has its own.


@pytest.fixture
def clinic(db: None) -> Organization:
    """An organisation with a licence for everything, in Britain, in English."""
    return factories.organization(default_region="GB")


@pytest.fixture
def account(clinic: Organization) -> ProviderAccount:
    """The clinic's account, verified and granted."""
    return factories.account(clinic)


@pytest.fixture
def administrator(clinic: Organization) -> User:
    """The clinic's administrator."""
    return factories.administrator(clinic)


@pytest.fixture
def member(clinic: Organization) -> User:
    """Somebody of the clinic who may distribute by SMS."""
    return factories.user(clinic, use_sms_distributions="enabled")


# --- Processes -------------------------------------------------------------------------------------------------------


@contextmanager
def starting(node: pytest.Item | pytest.Collector, folder: Path) -> Iterator[Callable[..., Process]]:
    """A function that starts processes for this test or module; all are stopped at the end, the last one first."""
    running = node.stash.setdefault(_processes, [])
    with app.connection_for_write() as broker:
        broker.default_channel.client.flushdb()  # wake-ups of an earlier test

    def start_one(kind: type[Process], *arguments: Any, **options: Any) -> Process:
        log = folder / f"{kind.__name__.lower()}-{len(running)}.log"
        if issubclass(kind, Worker):
            process = kind(*(arguments or (f"worker{len(running)}",)), log, **options)
        else:
            process = kind(log, *arguments, **options)
        running.append(process)
        return process

    yield start_one

    search = node.config.stash[_searched]
    for process in reversed(running):
        process.stop()
        search.read(process, node.nodeid)


@pytest.fixture
def start(request: pytest.FixtureRequest, transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a process of tests/processes.py: `start(Worker, "w1")`. All are stopped at the end, the last one first."""
    with starting(request.node, tmp_path) as start_one:
        yield start_one


@pytest.fixture
def simulator(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[SimulatorProcess]:
    """The simulator, to which all providers' traffic goes.

    Options: `@pytest.mark.parametrize("simulator", [{"latency_ms": 50}], indirect=True)`.
    """
    options = {
        "latency_ms": 0,
        "report_delay_ms": 20,
        "state_dir": tmp_path / "simulator",
        **getattr(request, "param", {}),
    }
    with simulator_process.start(**options) as running:
        settings.PROVIDER_BASE_URLS = running.base_urls()
        yield running


@pytest.fixture(scope="session")
def sink_process() -> Iterator[SimulatorProcess]:
    with simulator_process.start(reports=False, latency_ms=0) as running:
        yield running


@pytest.fixture
def sink(sink_process: SimulatorProcess, settings: Any) -> Iterator[simulated.Simulator]:
    """A simulator that takes texts and reports nothing, as one test sees it: one process serves all of them."""
    yield from simulated.connected(sink_process, settings)


@pytest.fixture
def web(request: pytest.FixtureRequest, start: Callable[..., Any], settings: Any) -> Web:
    """The web server; PUBLIC_URL is its address."""
    served: Web = start(Web)
    settings.PUBLIC_URL = served.url
    return served


@pytest.fixture
def pgbouncer(start: Callable[..., Any]) -> PgBouncer:
    """Hand its `database_url` on to a process: `start(Web, DATABASE_URL=pgbouncer.database_url)`."""
    started: PgBouncer = start(PgBouncer)
    return started


@pytest.fixture
def worker(request: pytest.FixtureRequest, start: Callable[..., Any]) -> Worker:
    """A Celery worker; it knows the address of `web` and of `simulator` where the test uses them."""
    for other in ("simulator", "web"):
        if other in request.fixturenames:
            request.getfixturevalue(other)
    started: Worker = start(Worker)
    return started


@pytest.fixture
def beat(start: Callable[..., Any], worker: Worker) -> Beat:
    """Starts the periodic check, as in production; comes with a worker."""
    started: Beat = start(Beat)
    return started


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the processes' logs under a failed test."""
    report = yield
    if report.failed:
        for node in item.listchain():
            for process in node.stash.get(_processes, []):
                report.sections.append((f"log of {process.name}", process.output()[-8000:]))
    return report


# --- The browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def base_url() -> None:
    """In place of the plugin's, whose old form pytest warns about. A test goes to `web.url`."""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The system's Chromium: Playwright downloads nothing."""
    return {"executable_path": CHROMIUM, "args": CHROMIUM_FLAGS}


@pytest.fixture(autouse=True)
def _orm_beside_playwright(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's loop makes Django think that the test is asynchronous."""
    if request.node.get_closest_marker("browser"):
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

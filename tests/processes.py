"""The product's own processes, started by tests: a Celery worker, a beat, a web server, on the test database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db import connection

from config.celery import app
from config.ops.supervisor import die_with_parent
from tests.services import NOBODY

ROOT = Path(__file__).resolve().parent.parent
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
READY_WITHIN = 60.0  # seconds; a loaded machine takes 10
STOPPED_WITHIN = 30.0  # seconds

# Settings that a test may change with pytest-django's `settings`: what is started afterwards sees the change too.
HANDED_ON = (
    "CALLBACK_GRACE_DAYS",
    "LOOKUP_AFTER",
    "PUBLIC_URL",
    "SEND_CONCURRENCY",
    "SEND_LEASE",
    "SEND_SLICE",
    "SEND_TIMEOUT",
    "SWEEP_EVERY",
)


def environment() -> dict[str, str]:
    """The environment for a child: this run's services, the test database, the settings as the test has them now."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        url = f"postgres://{database['USER']}@/{database['HOST']}/{database['NAME']}"
    return {
        **os.environ,
        **{name: str(getattr(settings, name)) for name in HANDED_ON},
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PROVIDER_BASE_URLS": json.dumps(settings.PROVIDER_BASE_URLS),
        "EXAMPLE_ACCOUNTS": json.dumps(settings.EXAMPLE_ACCOUNTS),
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A child whose output goes to `log`; killed with the test run, whatever happens to it."""

    who: ClassVar[dict[str, Any]] = {}  # the user and group to run as; empty: our own

    def __init__(self, name: str, command: list[str], log: Path, **variables: str) -> None:
        self.name, self.log = name, log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment() | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM),
                **self.who,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Raises AssertionError with the log if the process ends or takes too long."""
        deadline = time.monotonic() + READY_WITHIN
        while not ready():
            if not self.is_running or time.monotonic() > deadline:
                status = self.stop()
                raise AssertionError(f"{self.name} did not get ready (exit status {status}):\n{self.output()}")
            time.sleep(0.05)

    def stop(self) -> int:
        """Ask it to finish what it is doing; kill it where it does not. Returns its exit status."""
        if self.is_running:
            self._popen.terminate()
            try:
                self._popen.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.returncode

    def kill(self) -> None:
        """As the machine would: the process and everything it has started end at once."""
        os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


class Worker(Process):
    """A Celery worker with two processes, as in production; of these queues, or of all."""

    def __init__(
        self,
        name: str,
        log: Path,
        *,
        concurrency: int = 2,
        host: str = "tests",
        queues: str = "",
        **variables: str,
    ) -> None:
        self.host = f"{name}@{host}"
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", str(concurrency)]
        command += ["-n", self.host, "--without-gossip", "--without-mingle", "-l", "INFO"]
        command += ["-Q", queues] if queues else []
        super().__init__(name, command, log, **variables)
        self.wait_until(self.answers)

    def answers(self) -> bool:
        return bool(app.control.ping(destination=[self.host], timeout=0.5))


class Beat(Process):
    def __init__(self, log: Path, **variables: str) -> None:
        command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--pidfile=", "-l", "INFO"]
        command += ["-s", str(log.with_suffix(".db"))]
        super().__init__("beat", command, log, **variables)
        self.wait_until(lambda: "beat: Starting" in self.output())


class Web(Process):
    """The web server on a free port of the loopback interface."""

    THREADS = 8

    def __init__(
        self, log: Path, *, port: int | None = None, workers: int = 1, threads: int = THREADS, **variables: str
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", str(workers), "--blocking-threads", str(threads)]
        command += ["config.wsgi:application"]
        super().__init__("web", command, log, **{"PUBLIC_URL": self.url, **variables})
        self.wait_until(self.answers)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/admin/login/", timeout=5) as response:
                return response.status == 200
        except urllib.error.HTTPError as error:
            error.close()
            return True  # it speaks HTTP; what it says is the test's business
        except OSError:
            return False


class PgBouncer(Process):
    """PgBouncer in transaction mode before the test database: few connections, another one for each transaction."""

    CONNECTIONS = 4
    who: ClassVar[dict[str, Any]] = (
        {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}  # it refuses to be root
    )

    def __init__(self, log: Path, **variables: str) -> None:
        database = connection.settings_dict
        self.port = free_port()
        self.database_url = f"postgres://{database['USER']}@127.0.0.1:{self.port}/{database['NAME']}"
        self._folder = tempfile.TemporaryDirectory(prefix="switchboard-pgbouncer-", dir="/tmp")
        settings_file = Path(self._folder.name) / "pgbouncer.ini"
        settings_file.write_text(
            f"""
            [databases]
            * = host={database["HOST"]} user={database["USER"]}
            [pgbouncer]
            pool_mode = transaction
            default_pool_size = {self.CONNECTIONS}
            max_client_conn = 200
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = any
            """.replace("    ", "")
        )
        Path(self._folder.name).chmod(0o755)  # it runs as another user
        settings_file.chmod(0o644)
        super().__init__("pgbouncer", [PGBOUNCER or "pgbouncer", str(settings_file)], log, **variables)
        self.wait_until(self.answers)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> int:
        status = super().stop()
        self._folder.cleanup()
        return status

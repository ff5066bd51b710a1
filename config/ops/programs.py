"""The processes of an installation, as `manage.py up` and the demo run them; the Procfile says the same."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from config.ops import broker
from config.ops.supervisor import Program

# Seconds to end, in the order of the stop; each ends sooner if it has nothing to do.
WEB_GRACE = BEAT_GRACE = 1.0
WRITE_DOWN = 10.0  # for the worker's last results, after the last answer has come
SIMULATOR_GRACE = 0.5
BROKER_GRACE = 1.0


def embedded_broker(socket: Path) -> Program:
    """Raises BrokerMissing where there is no server to run."""
    socket.parent.mkdir(parents=True, exist_ok=True)
    command = [broker.find_server(), *broker.arguments(socket, socket.parent)]
    return Program("broker", command, stage=3, grace=BROKER_GRACE, ready=lambda: broker.answers(socket))


def web(url: str) -> Program:
    """`url` says where to listen, such as http://127.0.0.1:8000."""
    address = urlsplit(url)
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--workers", "2"]
    command += [
        "--host",
        address.hostname or "127.0.0.1",
        "--port",
        str(address.port or 80),
        "--blocking-threads",
        "16",
    ]
    command += ["--respawn-failed-workers", "--workers-kill-timeout", "1", "--log-level", "error"]
    command += ["config.wsgi:application"]
    return Program("web", command, stage=0, grace=WEB_GRACE, ready=lambda: answers(f"{url}/admin/login/"))


def simulator(url: str, folder: Path) -> Program:
    """The simulated providers at `url`, with their book in `folder`."""
    command = [sys.executable, "-m", "simulator", "--port", str(urlsplit(url).port), "--state-dir", str(folder)]
    command += ["--latency-ms", "100", "--report-delay-ms", "500"]
    return Program("simulator", command, stage=2, grace=SIMULATOR_GRACE, ready=lambda: answers(f"{url}/_/"))


def worker_grace() -> float:
    """Seconds that the worker may need: nothing new is sent, but the answer to every request under way is awaited."""
    return float(settings.SEND_TIMEOUT + WRITE_DOWN)


def worker(concurrency: int, *, name: str = "worker", queues: Sequence[str] = ()) -> Program:
    """A worker of these queues; without any, of all."""
    command = [sys.executable, "-m", "celery", "-q", "-A", "config", "worker", "-c", str(concurrency), "-l", "INFO"]
    command += ["-n", f"{name}@%h", "--without-gossip", "--without-mingle"]
    command += ["-Q", ",".join(queues)] if queues else []
    return Program(name, command, stage=1, grace=worker_grace())


def workers(senders: int) -> list[Program]:
    """One for each kind of work; `senders` is the number of processes that send."""
    return [
        worker(senders, name="sender", queues=["send"]),
        worker(1, name="receiver", queues=["receive"]),
        worker(1, name="preparer", queues=["prepare"]),
        worker(1, name="worker", queues=["launch", "default"]),
    ]


def beat(folder: Path) -> Program:
    command = [sys.executable, "-m", "celery", "-q", "-A", "config", "beat", "--pidfile=", "-s", str(folder / "beat")]
    return Program("beat", command, stage=0, grace=BEAT_GRACE)


def environment(**variables: str) -> dict[str, str]:
    """For the children: output at once, and `variables` over everything else."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **variables}


def answers(url: str) -> bool:
    """Whether a web server speaks HTTP at this address."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 — an address of our own
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False

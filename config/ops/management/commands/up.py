from __future__ import annotations

import socket
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from config.ops import private, programs, translations
from config.ops.broker import BrokerMissing
from config.ops.supervisor import AlreadyRunning, NotReady, Supervisor, take_lock


class Command(BaseCommand):
    help = "Runs the whole installation: web server, worker, beat and, without REDIS_URL, an embedded broker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        public = urlsplit(settings.PUBLIC_URL)
        local_port = public.port if public.scheme == "http" and public.port else 8000
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=local_port, help="port to listen on (default: %(default)s)")
        parser.add_argument("--processes", type=int, default=2, help="processes that send (default: %(default)s)")

    def handle(self, *args: Any, host: str, port: int, processes: int, **options: Any) -> None:
        private.narrow()
        try:
            lock = take_lock(settings.VAR_DIR)
        except AlreadyRunning as problem:
            raise CommandError(str(problem)) from problem
        require_free_port(host, port)
        translations.compile_stale()
        try:
            with Supervisor(environment=programs.environment(), folder=settings.BASE_DIR) as supervisor:
                if not settings.REDIS_URL:
                    supervisor.start(programs.embedded_broker(settings.BROKER_SOCKET))
                prepare_database()
                for worker in programs.workers(processes):
                    supervisor.start(worker)
                supervisor.start(programs.beat(settings.VAR_DIR))
                supervisor.start(programs.web(f"http://{host}:{port}"))
                supervisor.say(f"ready: {settings.PUBLIC_URL}/admin/ (Ctrl-C stops everything)")
                while True:
                    supervisor.watch()
        except (NotReady, BrokerMissing) as problem:
            raise CommandError(str(problem)) from problem
        finally:
            lock.close()
        self.stdout.write("stopped")


def prepare_database() -> None:
    """Migrate SQLite, which nobody else uses. Raises CommandError where a server's database lacks migrations.

    There other machines may be running on it, and whoever upgrades decides when (docs/upgrading.md).
    """
    if connection.vendor == "sqlite":
        call_command("migrate", interactive=False, verbosity=0)
        return
    try:
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except OperationalError as error:
        raise CommandError(f"DATABASE_URL: the database does not answer ({str(error).strip()}).") from error
    if is_behind:
        raise CommandError(
            "The database lacks migrations of this version. docs/upgrading.md says what they do to a running "
            f"installation; then: {Path(sys.executable).name} manage.py migrate"
        )


def require_free_port(host: str, port: int) -> None:
    """Raises CommandError with what to do if nobody can listen there."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise CommandError(
            f"Port {port} on {host} cannot be used ({error.strerror}): choose another by --port."
        ) from error

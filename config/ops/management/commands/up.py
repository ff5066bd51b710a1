from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

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
                call_command("migrate", interactive=False, verbosity=0)
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

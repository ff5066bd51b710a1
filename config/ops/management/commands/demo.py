from __future__ import annotations

import json
import logging
import os
import re
import shutil
import socket
import sys
import time
from argparse import ArgumentParser
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.ops import demo_organization, demo_verdict, first_run, private, programs, translations
from config.ops.broker import BrokerMissing
from config.ops.supervisor import AlreadyRunning, NotReady, Supervisor, take_lock
from distributions.models import Message, Tally
from distributions.states import FINAL
from extensions import registry

FOLDER = settings.BASE_DIR / "var" / "demo"  # of its own: a real installation is never touched
RECIPIENTS, RECIPIENTS_ONCE = 600, 200
PACE_ONCE = 100.0  # segments per second; without it the sender's own 10 apply
FINAL_WITHIN = 75.0  # seconds
PORT = 8000


def who_is_simulated(known: Collection[str]) -> str:
    """Where an account can be tried; a provider whose key is not `known` has no simulator, and nothing leaves to it."""
    others = [provider.name for provider in registry.all() if provider.key not in known]
    which = f"every provider but {', '.join(others)}" if others else "every provider"
    return f"{which} is simulated: add an account at any of them with “Fill in sample values”"


class Command(BaseCommand):
    help = "Runs the whole system with sample data and a simulated provider; nothing reaches a real phone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="send to 200 contacts, compare the books, end")
        parser.add_argument("--port", type=int, help=f"of the web server (default: {PORT}, or a free one)")

    def handle(self, *args: Any, once: bool, port: int | None, **options: Any) -> None:
        if settings.VAR_DIR != FOLDER:
            try:
                self._begin(port)
            except AlreadyRunning as problem:
                raise CommandError(str(problem)) from problem
        private.narrow()
        lock = take_lock(FOLDER)
        translations.compile_stale()
        log = FOLDER / "demo.log"
        simulator_url = settings.PROVIDER_BASE_URLS[demo_organization.PROVIDER].rpartition("/")[0]
        clean = True
        try:
            with log.open("w") as output:
                _log_to(output)
                environment = programs.environment()
                with Supervisor(environment=environment, folder=settings.BASE_DIR, output=output) as supervisor:
                    self._say(f"starting web, worker, beat, broker and simulator; their output is in {_shown(log)}")
                    self._start(supervisor, simulator_url, environment)
                    if once:
                        clean = self._run_once(supervisor, simulator_url)
                    else:
                        self._run(supervisor, simulator_url)
        except (NotReady, BrokerMissing) as problem:
            raise CommandError(str(problem)) from problem
        finally:
            lock.close()
        if not once:
            self._say("stopped")
        if not clean:
            sys.exit(1)

    def _begin(self, port: int | None) -> None:
        """Start over in an empty folder, with settings that owe nothing to those of a real installation."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        lock = take_lock(FOLDER)
        for path in FOLDER.iterdir():
            if path.name != Path(lock.name).name:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        lock.close()
        first_run.ensure_env_file(FOLDER / ".env")
        own = set(re.findall(r"^#?([A-Z_]+)=", (settings.BASE_DIR / ".env.example").read_text(), flags=re.MULTILINE))
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        simulator_url = f"http://127.0.0.1:{_free_port()}"
        environment = inherited | {
            "ENV_FILE": str(FOLDER / ".env"),
            "VAR_DIR": str(FOLDER),
            "PUBLIC_URL": f"http://127.0.0.1:{port or _free_port(PORT)}",
            "PROVIDER_BASE_URLS": json.dumps(
                {provider.key: f"{simulator_url}/{provider.key}" for provider in registry.all()}
            ),
            "SEND_TIMEOUT": "10",
            "LOOKUP_AFTER": "5",
            "SWEEP_EVERY": "1",
        }
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606 (this very command again)

    def _start(self, supervisor: Supervisor, simulator_url: str, environment: dict[str, str]) -> None:
        supervisor.start(programs.embedded_broker(settings.BROKER_SOCKET))
        supervisor.start(programs.simulator(simulator_url, FOLDER / "simulator"))
        examples = demo_organization.example_accounts(simulator_url)
        environment["EXAMPLE_ACCOUNTS"] = json.dumps(examples)  # of all that start now
        call_command("migrate", interactive=False, verbosity=0)
        for worker in programs.workers(2):
            supervisor.start(worker)
        supervisor.start(programs.beat(FOLDER))
        supervisor.start(programs.web(settings.PUBLIC_URL))

    def _run(self, supervisor: Supervisor, simulator_url: str) -> None:
        made = demo_organization.make(RECIPIENTS, simulator_url)
        demo_organization.launch_conversation(made)
        demo_organization.launch(made)
        self._say(f"ready: {settings.PUBLIC_URL}/admin/")
        for who, email, password in made.log_ins:
            self._say(f"  {who:<18} {email:<24} {password}")
        self._say(f"“{made.distribution.name}” is being sent to {RECIPIENTS} contacts while you look")
        self._say(f"“{made.conversation.name}” is a survey by text: simulated people are answering it")
        self._say(who_is_simulated(demo_organization.example_accounts(simulator_url)))
        self._say("Ctrl-C stops everything; the next start begins anew")
        known: set[int] = set()
        while True:
            supervisor.watch()
            known |= demo_organization.enter_addresses(simulator_url, known)

    def _run_once(self, supervisor: Supervisor, simulator_url: str) -> bool:
        made = demo_organization.make(RECIPIENTS_ONCE, simulator_url, messages_per_second=PACE_ONCE)
        demo_organization.launch(made)
        began = time.monotonic()
        self._say(f"launched to {RECIPIENTS_ONCE} contacts")
        messages = Message.objects.filter(distribution=made.distribution)
        final = 0
        while final < RECIPIENTS_ONCE and time.monotonic() < began + FINAL_WITHIN:
            supervisor.watch()
            final = messages.filter(status__in=FINAL).count()
        self._say(f"{final} of {RECIPIENTS_ONCE} in a final state after {time.monotonic() - began:.0f} s")
        verdict = demo_verdict.judge(made.distribution, demo_verdict.ledger(simulator_url))
        for status in Tally.COLUMNS:
            if verdict.states.get(status):
                self.stdout.write(f"  {status:<12} {verdict.states[status]:>5}")
        if verdict.unknown:
            self._say(f"{verdict.unknown} texts went out that no message stands for")
        self._say(str(verdict))
        return verdict.is_clean

    def _say(self, line: str) -> None:
        self.stdout.write(f"demo: {line}")
        self.stdout.flush()


def _log_to(output: IO[str]) -> None:
    """This process's own log lines go where the others' go: the terminal is for what the demo has to say."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(output)


def _free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _shown(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))

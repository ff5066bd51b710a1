"""Sending: the product, a bare client, and one Celery task per message, against the same simulator in one run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from bench.counting import total
from bench.naive import send_one
from bench.rig import Measured, measure, row, service_pids, verdict, wait_for
from config.celery import app
from distributions import tasks
from distributions.models import Chunk, Distribution, Message
from distributions.planning import starting
from distributions.states import Status
from extensions.models import AccountState, ProviderAccount, WorkerSlot
from simulator import process
from tests import factories
from tests.processes import Process

IN_FLIGHT = 128
LATENCY_MS = 100
PHONES = "+447{:07d}00"  # endings that the simulator delivers


def run(messages: int = 20_000, naive_messages: int = 1_500) -> bool:
    print(f"\nSending {messages:,} messages at {LATENCY_MS} ms, {IN_FLIGHT} in flight")
    with (
        tempfile.TemporaryDirectory() as folder,
        process.start(reports=False, latency_ms=LATENCY_MS, state_dir=Path(folder) / "simulator") as simulator,
    ):
        settings.PROVIDER_BASE_URLS = simulator.base_urls()
        bare = _bare(simulator.base_urls()["twilio"], messages)
        product, statements = _product(messages, Path(folder))
        naive = _naive(naive_messages, Path(folder))
    row("", "messages/s", "CPU ms each", "statements")
    row("(a) bare pooled client, no database, 2 processes", f"{bare.rate:,.0f}", f"{bare.cpu_ms:.3f}", "-")
    row("(b) one Celery task per message, kept connections", f"{naive.rate:,.0f}", f"{naive.cpu_ms:.3f}", "")
    row("(c) Switchboard, everything recorded", f"{product.rate:,.0f}", f"{product.cpu_ms:.3f}", f"{statements:.4f}")
    return all(
        [
            verdict("rate against (a)", product.rate / bare.rate, 0.85, aim=1.05),
            verdict("rate against (b)", product.rate / naive.rate, 5),
            verdict("CPU per message against (b)", product.cpu_ms / naive.cpu_ms, 0.1, at_most=True),
            verdict("CPU per message against (a)", product.cpu_ms / bare.cpu_ms, 2, at_most=True),
            verdict("database statements per message", statements, 0.05, at_most=True, aim=0.044),
        ]
    )


def _bare(url: str, messages: int) -> Measured:
    command = [sys.executable, "-m", "bench.bare", url, str(messages // 2), str(IN_FLIGHT // 2)]
    with measure(messages, [os.getpid()]) as measured:
        clients = [subprocess.Popen(command) for _number in range(2)]
        for client in clients:
            if client.wait():
                raise RuntimeError("the bare client failed")
    return measured


def launched(messages: int) -> Distribution:
    clinic = factories.organization()
    account = factories.account(clinic, "twilio")
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=100_000, max_in_flight=IN_FLIGHT)
    made = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, messages, phone=PHONES),
        message_text="Hello, please answer.",
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while starting.expand(made.pk):
        pass
    return Distribution.objects.get(pk=made.pk)


def _product(messages: int, folder: Path) -> tuple[Measured, float]:
    made = launched(messages)
    counts = folder / "statements"
    counts.mkdir()
    worker = start_worker("product", folder, 2, "bench.counting", BENCH_STATEMENTS=str(counts))
    open_chunks = Chunk.objects.filter(distribution=made, state=Chunk.State.OPEN)
    try:
        with measure(messages, [worker.pid, *service_pids()]) as measured:
            for number in (1, 2):
                tasks.pump.delay(made.account_id or 0)
                wait_for(lambda: WorkerSlot.objects.exclude(holder="").count() >= number, 30, "a pump")  # noqa: B023
            wait_for(lambda: not open_chunks.exists(), 300, "the product's sending")
        accepted = made.messages.filter(status=Status.ACCEPTED).count()
        if accepted != messages:
            raise RuntimeError(f"{accepted} of {messages} accepted\n{worker.output()[-2000:]}")
        return measured, total(counts) / messages
    finally:
        worker.stop()


def start_worker(name: str, folder: Path, processes: int, module: str, **variables: str) -> Process:
    """A Celery worker that has imported `module` as well."""
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", str(processes), "-n", f"{name}@bench"]
    command += ["-I", module, "--without-gossip", "--without-mingle", "-l", "WARNING"]
    worker = Process(name, command, folder / f"{name}.log", **variables)
    worker.wait_until(lambda: bool(app.control.ping(destination=[f"{name}@bench"], timeout=0.5)))
    return worker


def _naive(messages: int, folder: Path) -> Measured:
    made = launched(messages)
    Message.objects.filter(distribution=made).update(account=ProviderAccount.objects.latest("pk"))
    worker = start_worker("naive", folder, 16, "bench.naive")
    queued = Message.objects.filter(distribution=made, status=Status.QUEUED)
    try:
        with measure(messages, [worker.pid, os.getpid(), *service_pids()]) as measured:
            for pk in queued.values_list("pk", flat=True):
                send_one.delay(pk)
            wait_for(lambda: not queued.exists(), 300, "one task per message")
        return measured
    finally:
        worker.stop()

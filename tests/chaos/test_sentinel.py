"""The broker behind Sentinel: its master dies in the middle of a send, another one takes over, and no text is lost."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from django.utils import timezone

from config.ops import broker
from distributions.models import Distribution, Message
from distributions.states import Status
from extensions.models import AccountState
from tests import factories
from tests.chaos.judge import wait_for
from tests.chaos.test_chaos import assert_all_arrived, at_50_ms, fast_recovery, sent, settled  # noqa: F401 (a fixture)
from tests.processes import Beat, Process, Web, Worker, free_port
from tests.test_watching import told_by

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

MASTER = "texts"  # what the sentinel calls it
RECIPIENTS = 1_500


def asked(port, *words):
    """What a server answers to a command, as text."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(command.encode())
            return connection.recv(65_536).decode()
    except OSError:
        return ""


class Valkey(Process):
    """A server on a port of its own; `options` as in its configuration file."""

    def __init__(self, log: Path, **options: str) -> None:
        self.port = free_port()
        folder = log.with_suffix("")
        folder.mkdir()
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "save": '""',
            "repl-diskless-sync-delay": "0",
            **options,
        }
        (folder / "valkey.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        super().__init__("valkey", [broker.bundled_server(), str(folder / "valkey.conf"), *self.mode], log)
        self.wait_until(lambda: "PONG" in asked(self.port, "PING"))

    mode: tuple[str, ...] = ()


class Sentinel(Valkey):
    """Watches a master, and puts its replica in its place a second after it has died."""

    mode = ("--sentinel",)

    def __init__(self, log: Path, master: int) -> None:
        super().__init__(
            log,
            sentinel=f"monitor {MASTER} 127.0.0.1 {master} 1\n"
            f"sentinel down-after-milliseconds {MASTER} 1000\n"
            f"sentinel failover-timeout {MASTER} 10000",
        )

    def master(self) -> int:
        """The port of whoever is the master at present."""
        words = asked(self.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER).split("\r\n")
        return int(words[4]) if len(words) > 4 else 0


class OtherBroker(Worker):
    """A worker that this test's own broker does not reach."""

    def answers(self) -> bool:
        return " ready." in self.output()


@at_50_ms
def test_a_failover_in_mid_send_loses_nothing_and_sends_nothing_twice(simulator, start, settings, fast_recovery):  # noqa: F811
    first = start(Valkey)
    second = start(Valkey, replicaof=f"127.0.0.1 {first.port}")
    sentinel = start(Sentinel, first.port)
    wait_for(lambda: "master_link_status:up" in asked(second.port, "INFO", "replication"), 30, "the replica")
    wait_for(lambda: f"{second.port}" in asked(sentinel.port, "SENTINEL", "REPLICAS", MASTER), 30, "the sentinel")
    there = {"REDIS_URL": f"sentinel://127.0.0.1:{sentinel.port}/0", "REDIS_SENTINEL_MASTER": MASTER}
    web = start(Web, **there)
    settings.PUBLIC_URL = web.url
    account = factories.account(factories.organization(), "twilio")
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=5000, max_in_flight=32)
    made = factories.distribution(
        account.organization,
        contact_list=factories.contact_list(account.organization, RECIPIENTS, phone="+44770{:07d}"),
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    for name in ("one", "two"):
        start(OtherBroker, name, **there)
    start(Beat, **there)
    wait_for(lambda: sent(made) >= 300, 90, "300 messages")

    first.kill()
    wait_for(lambda: sentinel.master() == second.port, 60, "the failover")
    left = Message.objects.filter(distribution=made, status=Status.QUEUED).count()
    wait_for(lambda: settled(made), 120, "the end")

    assert left > 0, "it was in the middle"
    assert_all_arrived(simulator, made, RECIPIENTS)
    began = time.monotonic()
    while not told_by(web)[1]["checks"]["broker"]["ok"] or not told_by(web)[1]["checks"]["periodic_check"]["ok"]:
        assert time.monotonic() - began < 60, told_by(web)
        time.sleep(0.5)

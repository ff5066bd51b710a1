"""Many tenants: what each gets of its own rate while others send, reply and launch, and what a throttled one gets.

The Procfile's own processes against the simulator, plain HTTP on loopback. Rates are measured from the launch on.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from bench.rig import row, verdict, wait_for
from config.celery import app
from config.ops import programs
from contacts.models import OptOut
from distributions import tasks
from distributions.models import Distribution, Message
from distributions.planning import starting
from distributions.states import Status
from extensions.models import AccountState, ProviderAccount
from simulator import process
from simulator.process import SimulatorProcess
from tests import factories
from tests.processes import Process
from webhooks.models import Callback

TENANTS = 12
RATE = 10.0  # texts per second of each
TEXTS = 250  # of each
CROWD = 100_000  # people on another tenant's list
ADMITTED = 50.0  # texts per second that the throttling provider takes
LATENCY_MS = 100


def run(texts: int = TEXTS, crowd: int = CROWD, throttled: int = 1_500, by_chance: int = 2_000) -> bool:
    print(f"\n{TENANTS} organisations at {RATE:g} texts/s each, the processes of the Procfile")
    settings.SWEEP_EVERY = 5.0
    with (
        tempfile.TemporaryDirectory() as folder,
        process.start(reports=False, latency_ms=LATENCY_MS, state_dir=Path(folder) / "simulator") as simulator,
    ):
        settings.PROVIDER_BASE_URLS = simulator.base_urls()
        with _installation(Path(folder)):
            shares, opted_out_after = _side_by_side(texts)
            first_after = _beside_a_crowd(crowd)
            admitted = _throttled(simulator, throttled)
            undisturbed, disturbed = (_by_chance(simulator, by_chance, share) for share in (0.0, 0.02))
    row("", "measured")
    row("texts/s of the slowest organisation", f"{min(shares) * RATE:.2f}")
    row("a STOP meanwhile, stored to in force (s)", f"{opted_out_after:.2f}")
    row(f"first text beside two launches to {crowd:,} (s)", f"{first_after:.2f}")
    row(f"texts/s where {ADMITTED:g} are taken and 429 is answered above", f"{admitted:.1f}")
    row(f"{by_chance:,} texts (s)", f"{undisturbed:.2f}")
    row("the same with 2 % of requests answered 429 (s)", f"{disturbed:.2f}")
    return all(
        [
            verdict("share of its own rate that the slowest of 12 gets", min(shares), 0.9, aim=0.95),
            verdict("seconds until a STOP is in force meanwhile", opted_out_after, 2, at_most=True, aim=0.5),
            verdict("seconds until another tenant's first text", first_after, 3, at_most=True, aim=1),
            verdict("share of what a throttling provider takes", admitted / ADMITTED, 0.8, aim=0.9),
            verdict("time with 2 % answered 429 against without", disturbed / undisturbed, 3, at_most=True, aim=1.5),
        ]
    )


@contextmanager
def _installation(folder: Path) -> Iterator[None]:
    """The workers and the beat of an installation."""
    wanted = [*programs.workers(2), programs.beat(folder)]
    running = [Process(program.name, list(program.command), folder / f"{program.name}.log") for program in wanted]
    try:
        wait_for(lambda: len(app.control.ping(timeout=1) or []) == len(wanted) - 1, 60, "the workers' start")
        yield
    finally:
        for started in reversed(running):
            started.stop()


def _made(texts: int, number: int, *, rate: float) -> Distribution:
    """Ready to be expanded; each organisation has its own account and people (`number` has two digits)."""
    clinic = factories.organization()
    account = factories.account(clinic, "twilio", credentials=_credentials(number))
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=rate)
    made: Distribution = factories.distribution(
        clinic,
        contact_list=factories.contact_list(clinic, texts, phone=f"+447{number:02d}{{:05d}}00"),
        message_text="Hello, please answer.",
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    return made


def _credentials(number: int) -> dict[str, str]:
    """An account of its own at the provider."""
    known = factories.CREDENTIALS["twilio"]
    return known | {"account_sid": f"AC{number:032x}"}


def _expand(*distributions: Distribution) -> float:
    """Write all messages first, then wake the workers for all; returns the time."""
    for distribution in distributions:
        while starting.expand(distribution.pk):
            pass
    began = time.time()
    for distribution in distributions:
        tasks.pump.delay(distribution.account_id or 0)
    return began


def _wait_until_taken(*distributions: Distribution, seconds: float = 300) -> None:
    left = Message.objects.filter(distribution__in=distributions).exclude(status=Status.ACCEPTED)
    wait_for(lambda: not left.exists(), seconds, "sending")


def _last(distribution: Distribution) -> float:
    """When the last text was taken, in seconds since 1970."""
    at: datetime = distribution.messages.aggregate(at=Max("accepted_at"))["at"]
    return at.timestamp()


def _side_by_side(texts: int) -> tuple[list[float], float]:
    """Each organisation's share of its rate, and how long a reply took meanwhile."""
    made = [_made(texts, 10 + number, rate=RATE) for number in range(TENANTS)]
    began = _expand(*made)
    time.sleep(5)
    some = made[0].messages.latest("pk")
    account = ProviderAccount.objects.get(pk=made[0].account_id or 0)
    reply = {"From": some.to, "To": f"+{account.sender}", "Body": "STOP", "MessageSid": "SM1"}
    stored_at = time.monotonic()
    Callback.objects.create(
        account=account,
        kind="message",
        method="POST",
        url=f"{settings.PUBLIC_URL}/distribution-providers/v1/receive/distribution/message/twilio-sms/x",
        content_type="application/x-www-form-urlencoded",
        body=urlencode(reply).encode(),
        dedupe_key="bench",
    )
    app.send_task("webhooks.tasks.apply", ignore_result=True)
    wait_for(lambda: OptOut.objects.filter(phone=some.to).exists(), 120, "the STOP")
    opted_out_after = time.monotonic() - stored_at
    left = Message.objects.filter(distribution__in=made, status__in=(Status.QUEUED, Status.SENDING))
    wait_for(lambda: not left.exists(), 400, "side by side")
    return [texts / (_last(distribution) - began) / RATE for distribution in made], opted_out_after


def _beside_a_crowd(crowd: int) -> float:
    """Seconds from a small launch to its first text, just after another organisation's two to a crowd."""
    large = _made(crowd, 30, rate=1_000)
    second = factories.distribution(
        large.organization,
        contact_list=large.contact_list,
        account=large.account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    small = _made(10, 31, rate=RATE)
    for distribution in (large, second):
        tasks.expand.delay(distribution.pk)
    time.sleep(1)
    began = time.monotonic()
    tasks.expand.delay(small.pk)
    wait_for(lambda: small.messages.filter(status=Status.ACCEPTED).exists(), 300, "the first text")
    took = time.monotonic() - began
    for distribution in (large, second):
        Distribution.objects.filter(pk=distribution.pk).update(state=Distribution.State.CANCELLED)
    time.sleep(3)
    return took


def _throttled(simulator: SimulatorProcess, texts: int) -> float:
    made = _made(texts, 32, rate=100)
    _set(simulator, "accounts", provider="twilio", credentials=_credentials(32), rate=ADMITTED)
    began = _expand(made)
    _wait_until_taken(made)
    return texts / (_last(made) - began)


def _by_chance(simulator: SimulatorProcess, texts: int, share: float) -> float:
    made = _made(texts, 33 + bool(share), rate=10_000)
    if share:
        _set(simulator, "faults", kind="429", rate=share, provider="twilio", retry_after=1)
    began = _expand(made)
    _wait_until_taken(made)
    return _last(made) - began


def _set(simulator: SimulatorProcess, what: str, **values: object) -> None:
    request = urllib.request.Request(f"{simulator.url}/_/{what}", json.dumps(values).encode(), method="POST")
    urllib.request.urlopen(request, timeout=10).close()

"""What the simulator can be told when it starts."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path


@dataclasses.dataclass(slots=True)
class Options:
    """Times are in the unit their name ends with."""

    host: str = "127.0.0.1"
    port: int = 9100
    state_dir: Path | None = None
    seed: int = 1
    strict: bool = False
    latency_ms: float = 50
    slow_ms: float = 2000
    reports: bool = True
    report_delay_ms: float = 200
    report_copies: int = 1
    report_order: str = "right"
    callback_connections: int = 20
    retry_scale: float = 0.02
    retry_for_s: float = 0
    until_stdin_closes: bool = False

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Options:
        return cls(**{name: getattr(arguments, name) for name in cls.names()})


REPORT_ORDERS = ("right", "reversed", "shuffled")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one argument per option; also used by the management command."""
    default = Options()
    add = parser.add_argument
    add("--host", default=default.host, help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=default.port, help="port to listen on, 0 = any free one (default: %(default)s)")
    add("--state-dir", type=Path, help="where ledger, accounts and keys survive a restart (default: a new directory)")
    add("--seed", type=int, default=default.seed, help="of ids and disorder (default: %(default)s)")
    add("--strict", action="store_true", help="only registered accounts; else any well-formed one is remembered")
    add("--latency-ms", type=float, default=default.latency_ms, help="before each answer (default: %(default)s)")
    add("--slow-ms", type=float, default=default.slow_ms, help="more for a slow number (default: %(default)s)")
    add("--no-reports", dest="reports", action="store_false", help="send no delivery reports and no replies")
    add("--report-delay-ms", type=float, default=default.report_delay_ms, help="between events (default: %(default)s)")
    add("--report-copies", type=int, default=default.report_copies, help="times each report is sent (default: 1)")
    add("--report-order", choices=REPORT_ORDERS, default=default.report_order, help="(default: %(default)s)")
    add("--callback-connections", type=int, default=default.callback_connections, help="at once (default: %(default)s)")
    add("--retry-scale", type=float, default=default.retry_scale, help="times the provider's pauses (default: 0.02)")
    add(
        "--retry-for-s",
        type=float,
        default=default.retry_for_s,
        help="repeat callbacks at least this long (default: 0)",
    )
    add("--until-stdin-closes", action="store_true", help="stop when standard input ends: no orphan of a killed parent")

"""Prints how many cases each provider has under each heading, at the end of a run of the provider tests."""

from __future__ import annotations

import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent / "providers"
COLUMNS = {
    "page": ("page",),
    "form": ("form", "sender_case"),
    "send": ("send", "batch"),
    "token": ("token",),
    "check": ("check",),
    "look-up": ("lookup",),
    "account": ("numbers", "balance", "webhooks"),
    "status": ("report",),
    "inbound": ("inbound",),
    "opt-out": ("opt_out",),
    "signature": ("signature",),
    "answer": ("response",),
}


def table() -> list[str]:
    lines = [f"{'provider':<16}" + "".join(f"{name:>10}" for name in COLUMNS) + f"{'errors':>10}{'all':>8}"]
    for path in sorted(FOLDER.glob("*.toml")):
        with path.open("rb") as file:
            data = tomllib.load(file)
        counts = [sum(len(data.get(heading, [])) for heading in headings) for headings in COLUMNS.values()]
        errors = sum(
            "error" in case
            for heading in ("send", "batch", "token", "lookup", "numbers", "balance", "webhooks")
            for case in data.get(heading, [])
        )
        cells = "".join(f"{count:>10}" for count in counts)
        lines.append(f"{data['key']:<16}{cells}{errors:>10}{sum(counts):>8}")
    return lines


def pytest_terminal_summary(terminalreporter):
    reports = (report for group in terminalreporter.stats.values() for report in group)
    if any("test_providers.py" in getattr(report, "nodeid", "") for report in reports):
        terminalreporter.section("provider cases")
        for line in table():
            terminalreporter.write_line(line)
        terminalreporter.write_line("errors: those among the cases before it that end in a refusal or a failure.")

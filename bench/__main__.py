"""`python -m bench [--quick] [sending] [launching] …`: runs them and says which targets were met."""

from __future__ import annotations

import argparse
import importlib
import os
import platform

from bench import rig

NAMES = ("sending", "receiving", "launching", "importing", "tenants", "growth", "keeping", "upgrading")
QUICK: dict[str, dict[str, int]] = {  # some minutes in all, for daily use
    "sending": {"messages": 2_000, "naive_messages": 200},
    "receiving": {"callbacks": 1_500},
    "launching": {"contacts": 20_000},
    "importing": {"rows": 20_000},
    "tenants": {"texts": 40, "crowd": 8_000, "throttled": 300, "by_chance": 500},
    "growth": {"messages": 15_000},
    "keeping": {"texts": 60_000, "sent": 1_500},
    "upgrading": {"messages": 20_000},
}


def main() -> int:
    """Exit status: 0 if every target was met, 1 if one was missed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="which to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer texts of everything; no target is judged by it")
    parser.add_argument("--messages", type=int, help="how many messages growth fills the database with")
    given = parser.parse_args()
    names = given.names or NAMES
    rig.start_services()
    rig.set_up_django()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; everything shares them, the load included")
    rig.is_quick = given.quick
    sizes = {name: dict(QUICK[name]) if given.quick else {} for name in names}
    if given.messages and "growth" in sizes:
        sizes["growth"]["messages"] = given.messages
    results = [importlib.import_module(f"bench.{name}").run(**sizes[name]) for name in names]
    rig.summary()
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())

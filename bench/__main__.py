"""`python -m bench [sending] [receiving] [launching] [tenants]`: runs them and says which targets were met."""

from __future__ import annotations

import argparse
import importlib
import os
import platform

from bench import rig

NAMES = ("sending", "receiving", "launching", "tenants")


def main() -> int:
    """Exit status: 0 if every target was met, 1 if one was missed."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="which to run (default: all)")
    names = parser.parse_args().names or NAMES
    rig.start_services()
    rig.set_up_django()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; everything shares them, the load included")
    results = [importlib.import_module(f"bench.{name}").run() for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())

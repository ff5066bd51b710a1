"""`make audit`: whether an advisory is known for any locked package, as https://osv.dev tells it.

Where that cannot be asked it says so, and is no failure unless with --must-ask: a machine without a way out builds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASK = "https://api.osv.dev/v1/querybatch"
PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def pinned(folder: Path = ROOT) -> dict[tuple[str, str], list[str]]:
    """(package, version) -> the lock files that name it."""
    found: dict[tuple[str, str], list[str]] = {}
    for file in sorted(folder.glob("requirements*.txt")):
        for name, version in PINNED.findall(file.read_text()):
            found.setdefault((name.lower(), version), []).append(file.name)
    return found


def ask(packages: list[tuple[str, str]], url: str = ASK) -> list[list[str]]:
    """For each package the names of the advisories about it. Raises OSError or ValueError."""
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages]
    body = json.dumps({"queries": queries}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        results = json.load(answer)["results"]
    if len(results) != len(packages):
        raise ValueError(f"{len(results)} answers to {len(packages)} questions")
    return [[advisory["id"] for advisory in one.get("vulns") or []] for one in results]


def main(arguments: list[str], url: str = ASK) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--must-ask", action="store_true", help="fail where nobody can be asked")
    must_ask = parser.parse_args(arguments).must_ask
    packages = pinned()
    try:
        found = dict(zip(packages, ask(list(packages), url), strict=True))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stdout.write(f"NOT ASKED whether advisories are known for {len(packages)} packages: {error}\n")
        return 2 if must_ask else 0
    for (name, version), advisories in found.items():
        for advisory in advisories:
            files = ", ".join(packages[name, version])
            sys.stdout.write(f"{name} {version} ({files}): https://osv.dev/vulnerability/{advisory}\n")
    number = sum(map(len, found.values()))
    sys.stdout.write(f"{len(packages)} locked packages were asked for: {number} advisories.\n")
    return 1 if number else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

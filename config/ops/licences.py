"""Under which licences the packages stand that an installation runs on, read from what is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

LOCKED = Path(__file__).resolve().parents[2] / "requirements.txt"

# Whoever runs, changes or hands on Switchboard under the MIT licence may use packages under these. LGPL and MPL ask for
# something only of whoever changes those packages themselves: they are used as they are published.
ALLOWED = frozenset({
    "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
})  # fmt: skip

# How packages write them that give no SPDX expression.
SAID = {
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd license": "BSD",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "new bsd": "BSD-3-Clause",
    "python software foundation license": "PSF-2.0",
}
_KNOWN = {**{name.lower(): name for name in ALLOWED}, **SAID}


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    licence: str  # "" if the package says nothing that is understood

    @property
    def is_allowed(self) -> bool:
        return is_allowed(self.licence)


def locked(file: Path = LOCKED) -> Iterator[Requirement]:
    """The packages of a lock file that this machine needs."""
    for line in file.read_text().splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def packages(file: Path = LOCKED) -> list[Package]:
    """Those packages and their licences. Raises PackageNotFoundError for one that is not installed."""
    return [
        Package(found.name, metadata.version(found.name), licence_of(metadata.metadata(found.name)))
        for found in locked(file)
    ]


def licence_of(told: Any) -> str:  # as importlib.metadata has it, whose stubs know no `get`
    """As an SPDX expression; what classifiers say only where nothing else is understood."""
    if expression := told.get("License-Expression"):
        return str(expression)
    words = str(told.get("License") or "")
    parts = [_KNOWN.get(word.strip().lower(), "") for word in words.split(" OR ")]
    if all(parts):
        return " OR ".join(parts)
    classified = [line.split(" :: ")[-1] for line in told.get_all("Classifier") or [] if line.startswith("License ::")]
    return " OR ".join(filter(None, (_KNOWN.get(line.lower(), "") for line in classified)))


def is_allowed(expression: str) -> bool:
    """Whether one of its alternatives asks for nothing that is not in ALLOWED."""
    choices = [[word.strip(" ()") for word in choice.split(" AND ")] for choice in expression.split(" OR ")]
    return any(set(words) <= ALLOWED for words in choices)

"""Static files are asked for once, not at each page, and anew as soon as a release has changed them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


@cache
def version_of(name: str) -> str:
    """Eight letters that change with the file's content; "" if there is no such file."""
    found = finders.find(name)
    return hashlib.sha256(Path(found).read_bytes()).hexdigest()[:8] if found else ""


class VersionedFiles(StaticFilesStorage):
    """`{% static %}` names the file with its version, so that what a browser has kept is known to be the right one.

    Files are served from where they are, so their own names stay: no step has to collect them. They may be kept for an
    hour (WHITENOISE_MAX_AGE), not for a year: while an upgrade reaches one machine after the other, one that still has
    the former file may be asked for the new one.
    """

    def url(self, name: str | None) -> str:
        address = super().url(name)
        version = version_of(name) if name else ""
        return f"{address}?v={version}" if version else address

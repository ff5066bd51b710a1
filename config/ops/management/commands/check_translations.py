from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polib
from django.core.management.base import BaseCommand, CommandError

from config.ops import translations

LEFT_OUT = (".*", "var", "tests", "bench", "docs", "test-results", "node_modules", "__pycache__", "*.mo")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


class Command(BaseCommand):
    help = "Fails unless every sentence of the product is translated; needs the gettext tools (Debian: gettext)."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("languages", nargs="*", default=["de"], help="(default: de)")

    def handle(self, *args: Any, languages: list[str], **options: Any) -> None:
        if shutil.which("xgettext") is None:
            raise CommandError("xgettext is missing: install the gettext tools (Debian: apt install gettext).")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            shutil.copytree(translations.ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
            faults = [fault for language in languages for fault in check(copy, language)]
        if faults:
            raise CommandError("\n".join([*faults, f"{len(faults)} faults in the translations"]))
        self.stdout.write(f"translations complete: {', '.join(languages)}")


def check(copy: Path, language: str) -> Iterator[str]:
    """Every fault of a language's catalogue against the sentences that are in the code now."""
    kept = translations.ROOT / "locale" / language / "LC_MESSAGES" / "django.po"
    if not kept.exists():
        yield f"{language}: there is no {kept.relative_to(translations.ROOT)}"
        return
    for entry in collect(copy, language):
        where = f"{language}: {', '.join(f'{file}:{line}' for file, line in entry.occurrences[:2])}: {entry.msgid!r}"
        texts = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        if entry.obsolete:
            yield f"{language}: {entry.msgid!r} is in the catalogue but not in the product"
        elif entry.fuzzy:
            yield f"{where} has a translation that nobody has confirmed (fuzzy)"
        elif not all(texts):
            yield f"{where} is not translated"
        else:
            wanted = set(PLACEHOLDER.findall(entry.msgid)) | set(PLACEHOLDER.findall(entry.msgid_plural or ""))
            for text in texts:
                if not set(PLACEHOLDER.findall(text)) <= wanted or (
                    len(texts) == 1 and wanted - set(PLACEHOLDER.findall(text))
                ):
                    yield f"{where} has other placeholders than its translation"


def collect(copy: Path, language: str) -> polib.POFile:
    """The catalogue as makemessages would write it now, made in a copy of the product."""
    made = subprocess.run(  # noqa: S603 — our own program
        [sys.executable, "manage.py", "makemessages", "--locale", language, "--no-wrap", "--add-location", "full"],
        cwd=copy,
        env={**os.environ, "ENV_FILE": os.devnull, "SECRET_KEY": "none", "FERNET_KEYS": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CommandError(f"makemessages failed:\n{made.stdout}{made.stderr}")
    return polib.pofile(str(copy / "locale" / language / "LC_MESSAGES" / "django.po"))

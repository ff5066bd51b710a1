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

from config.ops import translations, wording

LEFT_OUT = (".*", "var", "tests", "bench", "docs", "test-results", "node_modules", "__pycache__", "*.mo")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


class Command(BaseCommand):
    help = "Fails unless every sentence is translated and well worded; needs the gettext tools (Debian: gettext)."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("languages", nargs="*", default=translations.languages(), help="(default: %(default)s)")

    def handle(self, *args: Any, languages: list[str], **options: Any) -> None:
        if shutil.which("xgettext") is None:
            raise CommandError("xgettext is missing: install the gettext tools (Debian: apt install gettext).")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            shutil.copytree(translations.ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
            faults = [fault for language in languages for fault in check(copy, language)]
        if catalogue("en").exists():
            faults += worded_badly(catalogue("en"), "en")
        faults += wording.of_tree(translations.ROOT)
        faults = list(dict.fromkeys(faults))  # each language has found the English once more
        if faults:
            raise CommandError("\n".join([*faults, f"{len(faults)} faults in the translations and in the wording"]))
        self.stdout.write(f"translations complete, and nothing that is worded badly: {', '.join(languages)}")


def check(copy: Path, language: str) -> Iterator[str]:
    """Every fault of a language's catalogue against the sentences that are in the code now."""
    kept = catalogue(language)
    if not kept.exists():
        yield f"{language}: there is no {kept.relative_to(translations.ROOT)}"
        return
    yield from worded_badly(kept, language)
    english = {entry.msgid: entry for entry in polib.pofile(str(catalogue("en")))} if catalogue("en").exists() else {}
    for entry in collect(copy, language):
        if entry.msgid not in english:  # else somebody else's words, or a code that is stored: ours are there
            place = ":".join(map(str, entry.occurrences[0])) if entry.occurrences else entry.msgid
            for sentence in (entry.msgid, entry.msgid_plural):
                yield from wording.of_sentence(sentence, "en", place)
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


def catalogue(language: str) -> Path:
    return translations.ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def worded_badly(kept: Path, language: str) -> Iterator[str]:
    """What a native editor would not sign in a catalogue, by its line."""
    for entry in polib.pofile(str(kept)):
        for sentence in (entry.msgstr, *entry.msgstr_plural.values()):
            yield from wording.of_sentence(sentence, language, f"{kept.relative_to(translations.ROOT)}:{entry.linenum}")


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

"""Compiled translations: `.mo` files are made from the `.po` files where the product runs, and not kept in Git."""

from __future__ import annotations

from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parents[2]


def catalogues() -> list[Path]:
    return sorted(ROOT.glob("locale/*/LC_MESSAGES/*.po"))


def languages() -> list[str]:
    """The folders in locale/, but for English: the code is written in it, and its folder has what others word."""
    return sorted({catalogue.parents[1].name for catalogue in catalogues()} - {"en"})


def compile_stale() -> list[Path]:
    """Compile every catalogue that is newer than its compiled form. Returns what was compiled."""
    compiled = []
    for source in catalogues():
        target = source.with_suffix(".mo")
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            unfinished = target.with_suffix(".mo.new")  # a process that is starting must not read half a file
            polib.pofile(str(source)).save_as_mofile(str(unfinished))
            unfinished.chmod(0o644)  # no secret, and whoever installs need not be who runs it (config/ops/private.py)
            unfinished.replace(target)
            compiled.append(source)
    return compiled

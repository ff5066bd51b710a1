"""What this installation writes is for its own user only: decided here, for every process, whatever the umask was."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)

OTHERS = stat.S_IRWXG | stat.S_IRWXO  # what nobody but the owner needs


def keep_private() -> None:
    """From now on this process and its children make files of mode 0600 and folders of mode 0700."""
    os.umask(OTHERS)


def private_paths() -> Iterator[Path]:
    """The files and folders that hold secrets or people's data, as far as they exist: .env, var/, a SQLite database."""
    paths = [Path(settings.ENV_FILE), settings.VAR_DIR]
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        paths += [Path(f"{database['NAME']}{ending}") for ending in ("", "-wal", "-shm", "-journal")]
    for path in dict.fromkeys(paths):
        if path.is_file() or path.is_dir():
            yield path


def is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & OTHERS)


def narrow() -> None:
    """Take from others what they may do with what was there before; what cannot be changed is named in the log."""
    settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in private_paths():
        if is_open_to_others(path):
            try:
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
            except OSError as error:
                logger.warning("Others may read %s, and its mode cannot be changed (%s).", path, error.strerror)
            else:
                logger.warning("Others could read %s; now only its owner can.", path)

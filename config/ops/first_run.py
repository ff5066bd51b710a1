"""`python -m config.ops.first_run`: fresh secrets for a new installation, in `.env`, and never again."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parents[2] / ".env"


def ensure_env_file(path: Path = ENV_FILE) -> bool:
    """Write new secrets to `path`, readable by its owner only, unless there is such a file. Returns whether it did."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(
            "# Made at the first start. Keep it: without FERNET_KEYS no stored credential can be read again.\n"
            f"SECRET_KEY={secrets.token_urlsafe(48)}\n"
            f"FERNET_KEYS={secrets.token_urlsafe(32)}\n"
        )
    return True


if __name__ == "__main__" and ensure_env_file():
    sys.stdout.write(f"{ENV_FILE.name}: made, with fresh secrets\n")

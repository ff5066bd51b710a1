"""What must never be seen again: tests type these in, and the end of every run looks for them in all logs."""

from __future__ import annotations

import tomllib
from pathlib import Path

from extensions import registry
from extensions.contract import SecretField
from tests import services

# For tests that type a secret into a form or a setting. Tests may print none of these.
PLANTED = (
    "planted-auth-token-5f1c9a7e",
    "planted-api-key-0b7d44e1",
    "planted-password-93aa6c02",
    services.SECRET_KEY,
    services.FERNET_KEY,
)
SHORTEST = 12  # characters; anything shorter turns up in a log by chance


def planted() -> set[str]:
    """The list above, and every secret in the providers' example credentials."""
    found = set(PLANTED)
    for path in (Path(__file__).parent / "providers").glob("*.toml"):
        example = tomllib.loads(path.read_text())
        provider = registry.find(example["key"])
        if provider is None:
            continue
        fields = provider.Credentials.base_fields
        found.update(
            value
            for name, value in example.get("credentials", {}).items()
            if isinstance(fields.get(name), SecretField) and len(value) >= SHORTEST
        )
    return found

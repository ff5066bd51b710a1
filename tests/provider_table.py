"""The table of providers in README.md, from the registry: `python -m tests.provider_table` writes it anew."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # the registry needs Django, and no installation's settings
    os.environ.update(ENV_FILE=os.devnull, SECRET_KEY="-", FERNET_KEYS="-", DJANGO_SETTINGS_MODULE="config.settings")
    import django

    django.setup()

from extensions import registry
from extensions.contract import Provider, WebhookCheck

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).resolve().parent.parent / "README.md"
HEADING = "| provider | in its address | batch | webhooks are verified by | an unclear send is settled by |"
CHECKS = {
    WebhookCheck.SIGNATURE: "signature",
    WebhookCheck.BASIC: "Basic authentication",
    WebhookCheck.SECRET_URL: "secret in the address",
}


def row(provider: type[Provider]) -> str:
    """The provider's line."""
    paths = [f"`{path}`" for path in (provider.slug, *provider.aliases)]
    batch = str(provider.batch_size) if provider.batch_size > 1 else "–"
    if provider.refuses_repeats:
        settled = "repeating it: the provider refuses duplicates"
    elif provider.build_lookup is not Provider.build_lookup:
        settled = "look-up, report"
    else:
        settled = "its report"
    name = provider.name.replace("|", r"\|")
    return f"| {name} | {', '.join(paths)} | {batch} | {CHECKS[provider.webhook_check]} | {settled} |"


def rows() -> dict[str, str]:
    """The lines that the README has: name -> line."""
    _before, table = README.read_text().split(f"{HEADING}\n")
    lines = table.partition("\n\n")[0].splitlines()[1:]
    return {re.split(r"(?<!\\) \| ", line.removeprefix("| "))[0].replace(r"\|", "|"): line for line in lines}


def names() -> set[str]:
    """The providers that are listed: those this release brings along."""
    return set(rows())


def table() -> Iterator[str]:
    yield HEADING
    yield "| --- " * 5 + "|"
    yield from map(row, registry.all())


def main() -> None:
    before, rest = README.read_text().split(f"{HEADING}\n")
    _former, _end, after = rest.partition("\n\n")
    README.write_text(before + "\n".join(table()) + "\n\n" + after)


if __name__ == "__main__":
    main()

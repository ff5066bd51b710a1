"""The words of one provider stay with that provider: elsewhere there is no name, header, host or state of any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from extensions import registry
from extensions.strength import OBVIOUS

ROOT = Path(__file__).resolve().parent.parent
# Where providers may be called by their names; hidden folders and what an installation writes are no source text.
THEIR_PLACE = (
    "extensions/providers/",
    "simulator/",
    "tests/",
    "bench/",
    "locale/",
    "site/",
    "var/",
    "requirements-sdk.",
)
BINARY = {".gz", ".ico", ".jpg", ".mo", ".png", ".pyc", ".woff", ".woff2"}
# The demo has to demonstrate one of them. This line names it, and nothing else does.
DEMONSTRATED = {"config/ops/demo_organization.py": 'PROVIDER = "twilio"'}

# What is easy to guess is a list of words that somebody may call a provider.
GUESSED = ("extensions/strength.py", [f'"{word}",' for word in OBVIOUS])

EVERYDAY = {"sms", "short code", "messaging service"}  # what people search for, and no provider's own
OTHER_WORDS = (
    # Fields, states and errors that are no everyday words.
    *("MessageSid", "StatusCallback", "TwiML", "deliveryReportGates", "resultCode", "bulkId", "err-code"),
    *("DELIVRD", "EVENT_DELIVERY", "MESSAGE_DELIVERY", "MESSAGE_INBOUND", "QUEUED_ON_CHANNEL"),
    *("DELIVERED_TO_HANDSET", "PENDING_ENROUTE", "RECEIVED_SMS", "delivery_failed", "statusErrorCode", "AccessKey"),
)


def words() -> set[str]:
    """All that gives a provider away: its names, addresses and headers."""
    found = set(OTHER_WORDS)
    for provider in registry.all():
        found |= {provider.key, provider.name, provider.slug, *provider.aliases, *provider.keywords}
        for pattern in provider.host_patterns:  # r"api\.example\.com" -> example, r"example\.co\.uk" -> example
            found |= {*re.findall(r"([a-z0-9-]{4,})(?:\\\.[a-z]{2,3})?\\\.[a-z]{2,}$", pattern)[-1:]} - {"rest", "auth"}
        source = (ROOT / "extensions" / "providers" / f"{provider.key}.py").read_text()
        found |= set(re.findall(r'"((?:X-|[\w-]+-(?=Signature))[\w-]+)"', source, re.IGNORECASE))  # headers
    return {word for word in found if word.lower() not in EVERYDAY}


def files() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        hidden = any(part.startswith(".") for part in path.parts[len(ROOT.parts) :]) and not name.startswith(".ci/")
        if hidden or name.startswith(THEIR_PLACE) or "/migrations/" in name or path.suffix in {".md", *BINARY}:
            continue
        if path.is_file():
            yield name, path


def test_the_list_has_what_gives_a_provider_away() -> None:
    assert {"Twilio", "link_mobility", "nexmo", "sp247", "sinch-sms", "Netsize", "x-sinch-webhook-signature"} <= words()


def test_no_word_of_a_provider_is_outside_its_place() -> None:
    """R3: the rest of the code knows no provider, so adding one edits none of it."""
    # A short word may be part of another one ("bird" of "birdsong"), a long one is always meant.
    parts = (re.escape(word) if len(word) > 4 else rf"\b{re.escape(word)}\b" for word in words())
    pattern = re.compile("|".join(sorted(parts, key=len, reverse=True)), re.IGNORECASE)

    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, path in files()
        for number, line in enumerate([name, *path.read_text().splitlines()])
        if pattern.search(line) and DEMONSTRATED.get(name) != line
        if not (name == GUESSED[0] and line.strip() in GUESSED[1])
    ]

    assert found == []

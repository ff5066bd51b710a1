"""What the README says of the providers is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from extensions import registry
from extensions.contract import Provider, WebhookCheck

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def rows():
    """The provider table: name -> (batch, check, settled by)."""
    found = re.findall(r"^\| ([^|]+?) \| (\S+) \| ([^|]+?) \| ([^|]+?) \|$", README, re.MULTILINE)
    return {name: rest for name, *rest in found if name not in ("provider", "---")}


def test_the_readmes_table_of_providers_agrees_with_the_registry():
    table = rows()

    assert list(table) == [provider.name for provider in registry.all()]
    for provider in registry.all():
        batch, check, settled_by = table[provider.name]
        assert batch == (str(provider.batch_size) if provider.batch_size > 1 else "–"), provider.name
        assert check.startswith("signature" if provider.webhook_check is WebhookCheck.SIGNATURE else "Basic")
        assert settled_by.startswith("repeating") is provider.refuses_repeats, provider.name
        looks_up = provider.build_lookup is not Provider.build_lookup and not provider.refuses_repeats
        assert ("look-up" in settled_by) is looks_up, provider.name


def test_exactly_seven_providers_are_offered():
    """R15."""
    assert len(registry.all()) == 7


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/asvs.md"])
def test_what_is_promised_names_files_that_exist(page):
    text = (ROOT / page).read_text()

    folders = (
        "config|contacts|deploy|distributions|docs|extensions|intake|organizations|static|templates|tests|webhooks"
    )
    named = re.findall(rf"`((?:{folders})/[^`*]*)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_checklist_says_yes_no_or_not_applicable_and_where():
    text = (ROOT / "docs/asvs.md").read_text()
    rows = re.findall(r"^\| (V\d+[\d.*]+) \| (.*?) \| (.*?) ?\| (.*?) ?\|$", text, re.MULTILINE)

    assert len(rows) > 170
    assert {answer for _requirement, answer, *_rest in rows} == {"yes", "no", "n/a"}
    assert [requirement for requirement, answer, _what, where in rows if answer != "n/a" and not where] == []

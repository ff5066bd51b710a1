"""What the README says of the providers is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from extensions import registry
from tests import provider_table

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("provider", registry.all(), ids=lambda provider: provider.key)
def test_the_readme_says_of_a_provider_what_the_registry_says(provider):
    """R15, R47, R65, R66, R81: addresses are public, they never change."""
    row = provider_table.rows().get(provider.name)
    if row is None:
        pytest.skip(f"skipped: {provider.key} is not in README.md yet: python -m tests.provider_table")

    assert row == provider_table.row(provider)


def test_the_readme_lists_no_provider_that_is_not_offered_and_favours_none():
    """R15: each that this release brings along is there, by name."""
    offered = [provider.name for provider in registry.all()]

    assert [name for name in offered if name in provider_table.names()] == list(provider_table.rows())


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

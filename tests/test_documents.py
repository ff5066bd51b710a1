"""What the README says of the providers is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

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

    folders = "config|contacts|deploy|distributions|docs|extensions|intake|organizations|static|surveys|templates|tests"
    folders += "|keeping|watching|webhooks"
    named = re.findall(rf"`((?:{folders})/[^`*]*)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_checklist_says_yes_no_or_not_applicable_and_where():
    text = (ROOT / "docs/asvs.md").read_text()
    rows = re.findall(r"^\| (V\d+[\d.*]+) \| (.*?) \| (.*?) ?\| (.*?) ?\|$", text, re.MULTILINE)

    assert len(rows) > 170
    assert {answer for _requirement, answer, *_rest in rows} == {"yes", "no", "n/a"}
    assert [requirement for requirement, answer, _what, where in rows if answer != "n/a" and not where] == []


# --- for whoever watches ----------------------------------------------------------------------------------------------


def test_every_alarm_has_its_rule_its_figure_and_what_to_do():
    rules = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"][0]["rules"]
    told = (ROOT / "docs/watching.md").read_text()
    headings = set(re.findall(r"^### (\w+)$", told, re.MULTILINE))
    figures = set(re.findall(r"`(switchboard_\w+)`", told))

    assert len(rules) > 5
    assert {rule["alert"] for rule in rules} <= headings
    named = {name for rule in rules for name in re.findall(r"switchboard_\w+", rule["expr"])}
    assert named <= figures
    assert {"database", "clock", "restored", "broker", "periodic_check", "queue", "sending", "callbacks"} <= headings


# --- for whoever joins ------------------------------------------------------------------------------------------------


def described(name):
    return yaml.safe_load((ROOT / ".github" / name).read_text())


def test_the_workflow_runs_what_everybody_runs_on_the_oldest_python_and_on_newer_ones():
    job = described("workflows/ci.yml")["jobs"]["everything"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")

    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert job["strategy"]["matrix"]["python"][0] == oldest
    assert len(job["strategy"]["matrix"]["python"]) > 1


@pytest.mark.parametrize("form", sorted(path.name for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")))
def test_a_form_asks_something_that_must_be_answered_once_each(form):
    asked = [part for part in described(f"ISSUE_TEMPLATE/{form}")["body"] if part["type"] != "markdown"]

    assert any(part.get("validations", {}).get("required") for part in asked)
    assert len({part["id"] for part in asked}) == len({part["attributes"]["label"] for part in asked}) == len(asked)

"""A provider is two new files (CONTRIBUTING): added to a copy of the tree, all that knows providers passes there.

`tests/levels/` has a made-up provider of each level that is not whole; the whole ones are copies of providers that ship
with Switchboard, under names of their own.
"""

from __future__ import annotations

import re

import pytest

from extensions.contract import Provider
from tests import newcomers, provider_table
from tests.newcomers import Newcomer
from tests.scratch import ROOT, Scratch
from tests.test_providers import CASES_OF_ALL, HEADINGS

RECIPE = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Adding a provider\n")[2].partition("\n## ")[0]
MOST_LINES = 95
TWO = {"extensions/providers/acme.py", "tests/providers/acme.toml"}
A_THIRD = "simulator/providers/acme.py"

# First and last in the catalogue, with what HTML and a search have to mind; one has no simulator.
COPIES = (
    Newcomer("twilio", "acme", "Acme SMS", "acme-sms"),
    Newcomer("infobip", "zz_sms", "Ärzte & Söhne SMS", "zz-sms", is_simulated=True),
)
LEVELS = ("parrot", "magpie")
KEYS = (*(copy.key for copy in COPIES), *LEVELS)
# Where tests are made of every provider, and those that look at all of them at once.
KNOWS_PROVIDERS = re.compile(r"provider_cases|registry\.all\(\)|factories\.CREDENTIALS\)")
OF_ALL = ("test_vocabulary", "test_documents", "finds", "changes_nothing", "delivers_a_reply", "has_a_file_of_cases")


# --- The recipe ------------------------------------------------------------------------------------------------------


def test_the_recipe_is_short_and_names_two_files_until_the_provider_is_simulated():
    before, simulated, after = RECIPE.partition("\n### It is simulated\n")

    def named(text):
        return set(re.findall(r"`([\w/]+/acme\.\w+)`", text))

    assert len(RECIPE.splitlines()) <= MOST_LINES
    assert named(before) == TWO
    assert simulated
    assert named(after) == {A_THIRD}


def rows() -> list[tuple[set[str], set[str]]]:
    """Of each level: what the provider's file has, and which cases."""
    found = re.findall(r"^\| it (?:sends|reports|receives) \| (.+?) \| (.+?) \|$", RECIPE, re.MULTILINE)
    return [(set(re.findall(r"`(\w+)`", has)), set(re.findall(r"\[\[(\w+)\]\]", cases))) for has, cases in found]


def test_the_levels_of_the_recipe_are_those_that_tests_ask_for():
    assert [cases for _has, cases in rows()] == list(HEADINGS)
    assert f"{CASES_OF_ALL} cases in all" in RECIPE


@pytest.mark.parametrize("level", range(2))
def test_the_example_of_a_level_has_no_more_than_the_recipe_says(level):
    wanted = set().union(*(has for has, _cases in rows()[: level + 1]))
    files = newcomers.level(LEVELS[level])
    (source,) = (text for path, text in files.items() if path.endswith(".py"))

    defined = set(re.findall(r"^    (?:def|class) ([a-zA-Z]\w+)", source, re.MULTILINE))
    assert defined <= wanted <= set(dir(Provider))
    assert set(re.findall(r"^\[\[(\w+)\]\]", "\n".join(files.values()), re.MULTILINE)) == set().union(
        *(cases for _has, cases in rows()[: level + 1])
    )


# --- The proof -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_newcomers_pass_all_that_is_about_providers_and_no_third_file_is_touched(tmp_path):
    tree = Scratch(tmp_path)
    for files in (*(copy.files() for copy in COPIES), *map(newcomers.level, LEVELS)):
        for path, content in files.items():
            tree.add(path, content)
    modules = [path.name for path in (ROOT / "tests").glob("test_*.py") if KNOWS_PROVIDERS.search(path.read_text())]
    modules.remove("test_newcomers.py")

    said = tree.test("-k", " or ".join((*KEYS, *OF_ALL)), *(f"tests/{name}" for name in sorted(modules)))

    assert len(tree.touched) == 2 * len(KEYS) + 1
    left_out = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", said, re.MULTILINE)
    assert "skipped: acme has no simulator" in left_out
    assert not [reason for reason in left_out if "zz_sms has no simulator" in reason]
    assert "skipped: parrot reports no delivery" in left_out
    assert "skipped: magpie takes no replies" in left_out
    assert [reason for reason in left_out if not reason.startswith("skipped: ")] == [], "nothing else is left out"
    passed = re.search(r"(\d+) passed, (\d+) skipped", said)
    assert passed, said
    assert int(passed[1]) > 20 * int(passed[2])


def test_what_a_table_says_of_a_newcomer_is_written_by_its_command(tmp_path):
    """README knows who ships; a line more is one command, and the same table is written from the same providers."""
    tree = Scratch(tmp_path)
    for path, content in COPIES[1].files().items():
        tree.add(path, content)

    before = (tree.root / "README.md").read_text()
    tree.write_table()
    after = (tree.root / "README.md").read_text()

    (line,) = set(after.splitlines()) - set(before.splitlines())
    assert line.startswith("| Ärzte & Söhne SMS | `zz-sms` | 100 | Basic authentication |")
    assert set(before.splitlines()) <= set(after.splitlines())
    assert provider_table.README.read_text() == before

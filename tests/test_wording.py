"""How sentences are worded: kinds that no native editor would sign are found, wherever they stand."""

from __future__ import annotations

import pytest

from config.ops import wording

FILE = "README.md"
NAMES = [f"{kind.language}: {kind.wrong}" for kind in wording.KINDS]


@pytest.mark.parametrize("kind", wording.KINDS, ids=NAMES)
def test_a_pattern_finds_its_wrong_example_and_leaves_the_right_one_alone(kind):
    assert kind.found(kind.wrong)
    assert not kind.found(kind.right)


@pytest.mark.parametrize("kind", wording.KINDS, ids=NAMES)
def test_what_is_found_is_told_with_its_place_and_what_would_be_better(kind):
    told = list(wording.of_sentence(f"  {kind.wrong}\n", kind.language, "contacts/models.py:12"))

    assert any(sentence.startswith("contacts/models.py:12: “") and kind.right in sentence for sentence in told)
    assert any(f"better: {kind.better}" in sentence for sentence in told)


def test_the_two_languages_are_told_apart():
    assert not list(wording.of_sentence("Das Token ist in Gebrauch.", "en", "x"))
    assert not list(wording.of_sentence("This is no host.", "de", "x"))


@pytest.mark.parametrize(
    ("name", "source", "line"),
    [
        ("README.md", "# Questions\n\nA reply that is\nno answer is asked again.\n", 3),
        ("README.md", "> It is told that this is\n> no address.\n", 1),
        ("a.py", 'def f():\n    return _(\n        "The value is no "\n        "host name."\n    )\n', 3),
        ("a.py", "x = 1\n# what is\n# no number\n", 2),
        ("page.html", "<p>\n  This is no\n  number.</p>\n", 2),
    ],
)
def test_it_is_found_over_the_ends_of_lines_literals_and_comments(name, source, line):
    (told,) = wording.of_file(source, name, "en")

    assert told.startswith(f"{name}:{line}: “is no ")


def test_what_is_only_read_on_pages_is_not_looked_for_in_comments():
    assert not list(wording.of_file("# the rest is taken back\n", "a.py", "en"))
    assert list(wording.of_file("The rest is taken back.\n", "README.md", "en"))


def test_only_our_own_texts_are_read(tmp_path):
    english, german = "docs", "docs/site/de"
    for folder in (english, german, ".venv", "tests", "var", "site"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / FILE).write_text("This is no host. Das Konto ist in Gebrauch.\n")

    told = sorted(sentence.split(";")[0] for sentence in wording.of_tree(tmp_path))

    assert told == [f"{english}/{FILE}:1: “is no host”", f"{german}/{FILE}:1: “in Gebrauch”"]

"""What texts of this tree refer to is in it: documents, requirements, scenarios, and the files that these name."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from extensions import registry
from extensions.contract import Category, Delivery

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = (ROOT / "docs/requirements.md").read_text()
# What an installation writes, what others have written, pictures and the catalogues, whose sentences are the code's.
ELSEWHERE = {"locale", "node_modules", "screenshots", "var", "__pycache__"}
KINDS = {".py", ".toml", ".md", ".html", ".css", ".js", ".conf", ".example", ""}

# Words that point to something nobody can open. The last one: DESIGN section 3, SPEECH measured.
NOWHERE = re.compile(
    r"\bfact sheets?\b|\b(?:see|in|as|like|by) the (?:manual|handbook|spec|specification|brief|ticket|issue)\b"
    r"|\b[Ii]ssue (?:#?\d|and\b)|\bthe issue's\b|\bpart [A-Z]\b|\bpoint \d+\b"
    r"|\b[A-Z][A-Z-]{4,}(?:\.md)? (?:measured|section|part)\b"
)
DOCUMENT = re.compile(r"[\w./-]*\w\.md\b")
# Not what looks like one within a longer word, a signature or a line of a JSON body.
CITED = re.compile(
    r"(?:(?<=\"\"\")|(?<![\w+/=.%\"'-]))([RW])(\d{1,3})(?:(?: to |–|-)\1?(\d{1,3}))?(?![\w+/=]|[\"'](?!\"\")|:\w)"
)
# A number of a list that is none of ours: where a docstring, a comment or a bracket begins with it.
OF_ANOTHER_LIST = re.compile(r"(?:\"\"\"|\(|# )((?![RW])[A-Z]\d{1,2})(?=[,;:)–]|\.(?!\d)| to | and )")
SCENARIOS = re.compile(r"\b[Ss]cenarios? ((?:\d+(?:, | and |/)?)+)")


@cache
def texts() -> list[tuple[str, str]]:
    """Every text that people write: its path and its content."""
    return list(_read())


def _read() -> Iterator[tuple[str, str]]:
    for folder, folders, names in os.walk(ROOT):
        if Path(folder) == ROOT and "site" in folders:
            folders.remove("site")  # the finished documentation, if it was built here
        folders[:] = [name for name in folders if name not in ELSEWHERE and (name[0] != "." or name == ".ci")]
        for name in names:
            path = Path(folder, name)
            if path.suffix in KINDS and path.resolve() != Path(__file__).resolve() and not name.startswith(".cov"):
                yield path.relative_to(ROOT).as_posix(), path.read_text(errors="replace")


def cited(text: str) -> set[str]:
    """The requirements that a text names: "R3", "R3, R5", "R3–R5", "R3 to R5"."""
    found = set()
    for letter, first, last in CITED.findall(text):
        found |= {f"{letter}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


def numbers_of(text: str) -> set[int]:
    return {int(number) for found in SCENARIOS.findall(text) for number in re.findall(r"\d+", found)}


def rows() -> dict[str, tuple[str, str]]:
    """The lines of docs/requirements.md: id -> what is required, where."""
    found = re.findall(r"^\| ((?:Scenario )?[RW]?\d+) \| (.+?) \| (.+?) \|$", REQUIREMENTS, re.MULTILINE)
    assert len({key for key, *_rest in found}) == len(found), "a number stands for one requirement"
    return {key: (required, where) for key, required, where in found}


def files_named(text: str) -> list[str]:
    return re.findall(r"`([\w./-]+\.(?:py|toml|html|md|conf))`", text)


def exists(name: str) -> bool:
    return (ROOT / name).exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("R3", {"R3"}),
        ("(R51–R53, W2)", {"R51", "R52", "R53", "W2"}),
        ("R17 to R19, R21", {"R17", "R18", "R19", "R21"}),
        ("R45-R50.", {f"R{number}" for number in range(45, 51)}),
        ('sig = "ab/R12+c=", "R7", xR8, SR9, R_10, switchboard.W001', set()),
    ],
)
def test_a_citation_is_told_from_what_looks_like_one(text, found):
    assert cited(text) == found


ABOUT_THE_SITE = ("config/ops/management/commands/build_docs.py", "tests/test_documentation.py")


def test_no_text_names_a_document_that_is_not_here():
    """Also without its ending, or as “the manual”: whoever reads it has to be able to look."""
    dangling = []
    for name, text in texts():
        if name.startswith("docs/site/") or name in ABOUT_THE_SITE:
            continue  # places of the site, which is not built with a dead link
        plain = re.sub(r"https?://\S+", "", text)
        here = (ROOT / name).parent
        dangling += [
            (name, word) for word in DOCUMENT.findall(plain) if not ((ROOT / word).exists() or (here / word).exists())
        ]
        dangling += [(name, match.group()) for match in NOWHERE.finditer(plain)]

    assert dangling == []


def test_every_path_that_a_text_names_is_here():
    """After a move, what still points to the old place points to nothing. `acme` is the example of the recipe."""
    apps = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
    path = re.compile(rf"(?<![\w/.-])(?:{apps})/[\w./-]*\w\.(?:py|toml|html|css|js|conf|png)\b")
    module = re.compile(rf"`({apps})\.(\w+)[\w.]*`")
    lost = []
    for name, text in texts():
        lost += [(name, word) for word in path.findall(text) if "/acme." not in word and not is_a_path(word)]
        if name.endswith((".py", ".html")):
            lost += [(name, f"{app}.{of_it}") for app, of_it in module.findall(text) if not is_a_module(app, of_it)]

    assert lost == []


def is_a_path(word: str) -> bool:
    """From the root, or as Django names templates and static files."""
    return any((ROOT / folder / word).exists() for folder in ("", "templates", "static"))


def is_a_module(app: str, name: str) -> bool:
    return (ROOT / app / f"{name}.py").exists() or (ROOT / app / name).is_dir()


@pytest.mark.parametrize(
    "words",
    [
        "see the manual",
        "our fact sheets",
        "PERFORMANCE measured why",
        "part F",
        "Issue 7, point 24",
        "DESIGN section 2",
    ],
)
def test_a_reference_to_nowhere_is_seen(words):
    assert NOWHERE.search(words)


def test_every_number_that_is_cited_is_in_the_list():
    known = set(rows())

    unknown = {name: sorted(cited(text) - known) for name, text in texts() if cited(text) - known}
    others = {name: OF_ANOTHER_LIST.findall(text) for name, text in texts() if name.endswith((".py", ".html", ".toml"))}
    strange = {name: numbers_of(text) for name, text in texts() if not numbers_of(text) <= set(range(1, 11))}

    assert unknown == {}
    assert {name: found for name, found in others.items() if found} == {}
    assert strange == {}
    assert {f"R{number}" for number in range(1, 101)} <= known
    assert {f"Scenario {number}" for number in range(1, 11)} <= known


def test_every_requirement_says_where_it_is_decided_and_proved():
    """The files are there, and the tests among them say that this is what they prove."""
    wrong = []
    for key, (_required, where) in rows().items():
        named = files_named(where)
        tests = [name for name in named if name.startswith("tests/")]
        wrong += [(key, name) for name in named if not exists(name)]
        wrong += [(key, "no test")] if not tests else []
        if not key.startswith("Scenario"):
            wrong += [(key, name) for name in tests if exists(name) and key not in cited((ROOT / name).read_text())]

    assert wrong == []


def test_the_requirements_stand_in_the_order_of_their_numbers():
    numbers = [int(key[1:]) for key in rows() if key.startswith("R")]

    assert all(one < other for one, other in pairwise(numbers))


# --- documents -------------------------------------------------------------------------------------------------------


def test_every_word_of_the_glossary_says_where_it_lives():
    text = (ROOT / "docs/glossary.md").read_text()
    words = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    words = [row for row in words if row[0] not in ("word", "---")]

    assert {"outbox", "pump", "chunk", "claim", "lease", "tally", "uncertain", "doubt"} <= {word for word, *_ in words}
    assert [word for word, _meaning, where in words if not files_named(where)] == []
    assert [(word, name) for word, _, where in words for name in files_named(where) if not exists(name)] == []
    assert len({word for word, *_ in words}) == len(words), "one word means one thing"


def test_words_that_the_glossary_replaced_are_gone():
    """A wake-up, a worker slot and the periodic check had names of this house's own once."""
    given_up = re.compile(r"\bbells?\b|\bsweepers?\b|\bpump seats?\b", re.IGNORECASE)

    assert [(name, word) for name, text in texts() for word in given_up.findall(text)] == []


def test_every_link_between_documents_leads_somewhere():
    lost = []
    for name, text in texts():
        if not name.endswith(".md") or name.startswith("docs/site/"):
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _hash, part = target.partition("#")
            if "://" in path or path.startswith("mailto:"):
                continue
            page = (ROOT / name).parent / path if path else ROOT / name
            lost += [(name, target)] if not page.exists() or (part and part not in anchors(page.read_text())) else []

    assert lost == []


def anchors(text: str) -> set[str]:
    """The headings of a page as addresses, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = sorted((ROOT / "docs/providers").glob("*.md"))
PARTS = [
    "Sending",
    "Errors",
    "Delivery reports",
    "Inbound messages",
    "Proof of origin",
    "Limits",
    "Senders and opt-outs",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_known_of_a_provider_has_its_source(page):
    """A provider needs no page; one that is there is about a provider, whole, and every fact in it can be traced."""
    text = page.read_text()
    body, _heading, sources = text.partition("\n## Sources\n")
    listed = set(re.findall(r"^\| (\d+) \|", sources, re.MULTILINE))

    assert page.stem in {provider.key for provider in registry.all()}
    assert [part for part in PARTS if f"\n## {part}\n" not in body] == []
    assert set(re.findall(r"\[(\d+)\](?!\()", body)) <= listed
    assert f"extensions/providers/{page.stem}.py" in body
    assert [name for name in files_named(text) if not exists(name)] == []


def known_words(key):
    """What a provider's file has a meaning for: the keys of its tables of states and errors."""
    module = importlib.import_module(f"extensions.providers.{key}")
    for table in vars(module).values():
        if not isinstance(table, dict) or not table:
            continue
        meanings = [meaning[0] if isinstance(meaning, tuple) and meaning else meaning for meaning in table.values()]
        if all(isinstance(meaning, Category | Delivery) for meaning in meanings):
            yield from map(str, table)


def test_what_the_code_knows_of_a_provider_is_on_its_page():
    """Every state and every error code, alone or within a range: 21701–21705."""
    seen, missing = 0, []
    for page in PAGES:
        body = page.read_text().partition("\n## Sources\n")[0]
        ranges = [range(int(first), int(last) + 1) for first, last in re.findall(r"\b(\d{1,6})–(\d{1,6})\b", body)]
        for word in known_words(page.stem):
            seen += 1
            alone = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", body, re.IGNORECASE)
            if not alone and not (word.isdigit() and any(int(word) in codes for codes in ranges)):
                missing.append((page.stem, word))

    assert missing == []
    assert seen > 300


def test_the_index_lists_every_document():
    index = (ROOT / "docs/README.md").read_text()

    assert [
        path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md" and f"({path.name})" not in index
    ] == []

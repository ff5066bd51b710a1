"""Finds phrasings that no native editor would sign: in sentences of the pages, in documents and comments.

The phrasings are in wording.toml, each with what is better; `check_translations` tells where they are.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_suffix(".toml")
# Tests quote what is wrong; what is installed, built or written by the product is not ours to word.
LEFT_OUT = ("tests", "var", "migrations", "site-packages", "test-results", "node_modules", "__pycache__")
READ = (".md", ".py", ".html", ".js", ".css", ".yaml", ".yml")
GERMAN = ("docs", "site", "de")  # every other document is English

# A line's end between two literals, two lines of a comment or of a quotation; and every other gap.
GAP = re.compile(r"[ \t]*[\"']?[ \t]*\n[ \t]*(?:f?[\"']|#|>|//|\*)?[ \t]*|[ \t]+")


class Kind(NamedTuple):
    language: str
    pattern: str
    better: str
    wrong: str
    right: str
    everywhere: bool = False

    def found(self, text: str) -> list[re.Match[str]]:
        """Where it is in a text whose gaps are single spaces."""
        return list(re.finditer(self.pattern, text))

    def told(self, place: str, words: str) -> str:
        return f"{place}: “{words.strip()}”; better: {self.better} (“{self.right}”, not “{self.wrong}”)"


KINDS = [Kind(**row) for row in tomllib.loads(TABLE.read_text(encoding="utf-8"))["kind"]]


def of_sentence(sentence: str, language: str, place: str) -> Iterator[str]:
    """What could be better in a sentence of the pages, which stands at `place`."""
    text = " ".join(sentence.split())
    for kind in KINDS:
        if kind.language == language:
            yield from (kind.told(place, found[0]) for found in kind.found(text))


def of_tree(root: Path) -> Iterator[str]:
    """What could be better in the documents, and in what the files of code say beside their sentences."""
    for file in sorted(root.rglob("*")):
        parts = file.relative_to(root).parts
        left_out = parts[0] == "site" or any(part in LEFT_OUT or part.startswith(".") for part in parts)
        if file.suffix in READ and not left_out and file.is_file():
            language = "de" if parts[: len(GERMAN)] == GERMAN else "en"
            yield from of_file(file.read_text(encoding="utf-8"), "/".join(parts), language)


def of_file(source: str, name: str, language: str) -> Iterator[str]:
    text, begins, lines = _flat(source)
    for kind in KINDS:
        if kind.language == language and (kind.everywhere or name.endswith(".md")):
            for found in kind.found(text):
                line = lines[bisect_right(begins, found.start()) - 1]
                yield kind.told(f"{name}:{line}", found[0])


def _flat(source: str) -> tuple[str, list[int], list[int]]:
    """The text in one line, where in it each line of the source begins, and which line that is."""
    pieces: list[str] = []
    begins, lines = [0], [1]
    length, position, line = 0, 0, 1
    for gap in GAP.finditer(source):
        pieces += [source[position : gap.start()], " "]
        length += gap.start() - position + 1
        position = gap.end()
        if "\n" in gap[0]:
            line += 1
            begins.append(length)
            lines.append(line)
    return "".join([*pieces, source[position:]]), begins, lines

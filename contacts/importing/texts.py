"""Text files as rows of cells: which characters they are written in, what separates their cells, where a row ends.

Pure: no network, no settings, no query. What cannot be read at all raises UnreadableFile with a sentence.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import IO, NamedTuple

import charset_normalizer
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contacts.columns import NAMES, bare
from contacts.exports import is_count
from contacts.importing import limits
from contacts.importing.limits import UnreadableFile, WrongEncoding
from intake import figures

Record = tuple[int, list[str]]  # the row as a spreadsheet counts it, and its cells

# What somebody can choose from, the likely ones first. The keys are Python's names.
ENCODINGS = {
    "utf-8": gettext_lazy("UTF-8"),
    "cp1252": gettext_lazy("Western European (Windows)"),
    "mac_roman": gettext_lazy("Western European (Macintosh)"),
    "cp850": gettext_lazy("Western European (DOS)"),
    "iso8859_15": gettext_lazy("Western European (ISO 8859-15)"),
    "cp1250": gettext_lazy("Central European (Windows)"),
    "cp1251": gettext_lazy("Cyrillic (Windows)"),
    "koi8_r": gettext_lazy("Cyrillic (KOI8-R)"),
    "cp1253": gettext_lazy("Greek (Windows)"),
    "cp1254": gettext_lazy("Turkish (Windows)"),
    "cp1255": gettext_lazy("Hebrew (Windows)"),
    "cp1256": gettext_lazy("Arabic (Windows)"),
    "cp1257": gettext_lazy("Baltic (Windows)"),
    "cp1258": gettext_lazy("Vietnamese (Windows)"),
    "cp874": gettext_lazy("Thai (Windows)"),
    "cp932": gettext_lazy("Japanese (Shift-JIS)"),
    "euc_jp": gettext_lazy("Japanese (EUC)"),
    "gb18030": gettext_lazy("Chinese (GB 18030)"),
    "big5": gettext_lazy("Chinese (Big5)"),
    "cp949": gettext_lazy("Korean"),
    "utf-16-le": gettext_lazy("UTF-16 (little-endian)"),
    "utf-16-be": gettext_lazy("UTF-16 (big-endian)"),
    "utf-32-le": gettext_lazy("UTF-32 (little-endian)"),
    "utf-32-be": gettext_lazy("UTF-32 (big-endian)"),
}
DELIMITERS = (",", ";", "\t")
SEEN = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")  # by a person

_MARKS = (  # the longer ones first: that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 64 * 1024  # bytes that are looked at to guess an encoding
_FIRST = 10  # rows among which the headings are, if empty ones stand before them
_UNREADABLE = "\udcff"  # stands for bytes that are nothing in the encoding; no file can hold it
# What Western Europeans write beyond ASCII, and what their programs put in.
_WESTERN = frozenset("äöüÄÖÜßéèêëàâáãåæçìíîïñòóôõøœùúûýÿÀÂÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØŒÙÚÛÝ€§°´’‘“”„–—«»…·\xa0")
_WORD = re.compile(r"[\w'’.\-\x80-\U0010ffff]{2,}")
_BETWEEN_LETTERS = re.compile(r"[^\W\d_][^\x00-\x7f]|[^\x00-\x7f][^\W\d_]")


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _UNREADABLE, error.end


csv.field_size_limit(limits.MAX_ROW)  # a longer cell than is allowed is named with its row, not taken for a broken file
codecs.register_error("contacts.unreadable", _stand_in)


class Guess(NamedTuple):
    """An encoding. It is `sure` where the bytes can be nothing else; otherwise somebody should look at a sample."""

    encoding: str
    sure: bool


class Bytes:
    """Looks at a file's bytes as they come by, whatever their number, to say how they are meant."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True
        self._head = b""
        self._odd = b""  # pieces with bytes beyond ASCII

    def feed(self, piece: bytes) -> None:
        if len(self._head) < _SAMPLE:
            self._head += piece[: _SAMPLE - len(self._head)]
        if self._is_utf8:
            try:
                self._utf8.decode(piece)
            except UnicodeDecodeError:
                self._is_utf8 = False
        if len(self._odd) < _SAMPLE and not piece.isascii():
            self._odd += _lines_beyond_ascii(piece, _SAMPLE - len(self._odd))

    def guess(self) -> Guess:
        """What the file is written in, after all of it has been fed."""
        for mark, encoding in _MARKS:
            if self._head.startswith(mark):
                return Guess(encoding, sure=True)
        if wide := _wide(self._head):
            return Guess(wide, sure=True)
        if self._is_utf8:
            try:
                self._utf8.decode(b"", final=True)
            except UnicodeDecodeError:
                pass
            else:
                return Guess("utf-8", sure=True)
        return Guess(_one_byte(self._odd or self._head), sure=False)


def _lines_beyond_ascii(piece: bytes, most: int) -> bytes:
    found: list[bytes] = []
    length = 0
    for line in re.split(rb"[\r\n]+", piece):
        if not line.isascii():
            found.append(line[: most - length])
            length += len(found[-1]) + 1
            if length >= most:
                break
    return b"\n".join(found) + b"\n"


def _wide(head: bytes) -> str:
    """UTF-16 without its mark: every second byte of what is mostly ASCII is a NUL."""
    pairs = len(head) // 2
    if pairs < 4:
        return ""
    first, second = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if second > 0.4 * pairs and first < 0.05 * pairs:
        return "utf-16-le"
    return "utf-16-be" if first > 0.4 * pairs and second < 0.05 * pairs else ""


def _one_byte(sample: bytes) -> str:
    """The encoding of text that is not UTF-8: as Western Europeans write it if that gives words, else as measured."""
    for encoding in ("cp1252", "mac_roman", "cp850"):
        text = sample.decode(encoding, "contacts.unreadable")
        beyond = [character for character in text if character > "\x7f"]
        mixed = any(first.islower() and second > "\x7f" and second.isupper() for first, second in pairwise(text))
        if beyond and set(beyond) <= _WESTERN and _BETWEEN_LETTERS.search(text) and not mixed:
            return encoding
    names = [name for name in ENCODINGS if not name.startswith("utf")]
    best = charset_normalizer.from_bytes(sample, cp_isolation=names).best()
    found = (best.encoding if best else "").replace("iso8859_1", "cp1252") if best else ""
    return found if found in ENCODINGS else "cp1252"


def sample_of(text: str, length: int = 40) -> str:
    """The first words with letters beyond ASCII, for somebody to say whether they are right; "" if there are none."""
    word = next((word for word in _WORD.finditer(text) if not word[0].isascii()), None)
    if word is None:
        return ""
    beyond = next(place for place, character in enumerate(word[0]) if not character.isascii())
    begins = word.start() + max(0, beyond - length // 2)
    cell = re.split(r"[;,\t\r\n\"]", text[max(0, begins - length) : begins])[-1]
    rest = re.split(r"[;,\t\r\n\"]", text[begins : begins + length])[0]
    return (cell + rest).replace(_UNREADABLE, "�").strip()[: 2 * length]


# --- rows -------------------------------------------------------------------------------------------------------------


class Layout(NamedTuple):
    """What separates the cells, and how many records precede the headings (“sep=;” names the delimiter for Excel)."""

    delimiter: str
    skip: int = 0


def opened(file: IO[bytes], encoding: str) -> IO[str]:
    """The text of a file; what is nothing in this encoding becomes a mark that `records` refuses."""
    return io.TextIOWrapper(file, encoding=encoding, errors="contacts.unreadable", newline="")


def layout_of(text: IO[str]) -> Layout:
    """Reads the first lines of `text`."""
    first = ""
    for _line in range(_FIRST):  # there may be empty ones, and titles
        line = text.readline(limits.MAX_ROW).replace("\ufeff", "")
        if not SEEN.search(first):
            first = line
        if any(_familiar(line, delimiter) > 1 for delimiter in DELIMITERS):
            first = first if first.lower().startswith("sep=") else line
            break
        if _is_more_than_a_title(line):
            break
    named = re.fullmatch(r"sep=([,;\t|])\s*", first, re.IGNORECASE)
    if named and named[1] in DELIMITERS:
        return Layout(named[1], 1)
    unquoted = re.sub(r'"[^"]*"', "", first)
    # The one that makes most of our columns appear; then the one that makes most; a single column is read with commas.
    return Layout(max(DELIMITERS, key=lambda delimiter: (_familiar(first, delimiter), unquoted.count(delimiter))))


def _is_more_than_a_title(line: str) -> bool:
    return any(sum(map(bool, map(SEEN.search, line.split(delimiter, 4)))) > 2 for delimiter in DELIMITERS)


def _familiar(line: str, delimiter: str) -> int:
    """How many of a line's cells are names of our columns. Each is looked at once."""
    most = limits.MAX_COLUMNS
    return sum(bare(cell.strip(' \t\r\n"')[: limits.MAX_NAME]) in NAMES for cell in line.split(delimiter, most)[:most])


def records(text: IO[str], layout: Layout) -> Iterator[Record]:
    """The rows, none of them longer than MAX_ROW. Marks of byte order, which joined files have inside, are dropped.

    Raises UnreadableFile where the file breaks off.
    """
    length = line_number = 0

    def lines() -> Iterator[str]:
        nonlocal length, line_number
        while line := text.readline(limits.MAX_ROW):
            length += len(line)
            line_number += 1
            if length > limits.MAX_ROW:
                raise UnreadableFile(
                    _("Row %(row)s is longer than %(limit)s characters. Is a quotation mark missing?")
                    % {"row": row, "limit": figures.whole(limits.MAX_ROW)}
                )
            if "\0" in line:
                raise UnreadableFile(
                    _("Line %(line)s contains a NUL character, so this is not a text file. Save it as “CSV UTF-8”.")
                    % {"line": line_number}
                )
            if line.isascii():
                yield line
                continue
            if _UNREADABLE in line:
                raise WrongEncoding(
                    _("Line %(line)s cannot be read in this encoding (it begins “%(text)s”). Choose another one.")
                    % {"line": line_number, "text": line[: line.index(_UNREADABLE)][-20:] + "…"}
                )
            yield line.replace("\ufeff", "")

    reader = csv.reader(lines(), delimiter=layout.delimiter, strict=True)
    row = 0
    while True:
        row, length = row + 1, 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UnreadableFile(
                _(
                    "Row %(row)s cannot be read: a quotation mark is not closed, or is in the middle of a value. "
                    'Values with quotation marks are written like "12"" screen".'
                )
                % {"row": row}
            ) from error
        if row > layout.skip:
            yield row, cells


def without_count(found: Iterable[Record]) -> Iterator[Record]:
    """Our own downloads end with their number of rows, which is nobody. A row like it in the middle is a row."""
    held: Record | None = None
    for record in found:
        if held:
            yield held
            held = None
        if is_count(record[1]):
            held = record
        else:
            yield record

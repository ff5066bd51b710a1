"""What a text says about getting texts at all: stop, start and help words are commands to us, never answers."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from contacts.vocabulary import LANGUAGES

LONGEST_RUN = 40  # letters of words without blanks between them that are looked at
SHORT = 6  # words: a text this long with a stop word in it may be meant as one


# --- words ------------------------------------------------------------------------------------------------------------

# What NFKD leaves apart although people type one for the other.
_ALIKE = str.maketrans({"ı": "i", "ł": "l", "đ": "d", "ø": "o", "æ": "ae", "œ": "oe", "ى": "ي", "ة": "ه", "ٱ": "ا"})
# Letters in a dark frame, and small capitals; NFKC knows the other ways in which phones draw them.
_DRAWN = str.maketrans(
    {chr(first + place): chr(ord("a") + place) for first in (0x1F150, 0x1F170) for place in range(26)}
    | dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True))
)
_NO_SIGNS = dict.fromkeys(map(ord, "'’‘ʼʹ`´ˈ＇\u0640\u02bb\u2032"))  # apostrophes; the stroke that lengthens Arabic
_INVISIBLE = frozenset({"Mn", "Me", "Cf"})  # accents, keycaps, marks of direction and of no width
_WORD = re.compile(r"[^\W_]+")
_DRAWN_OUT = re.compile(r"(.)\1{2,}")  # "stoooop"
_DISGUISED = re.compile(r"(?=.*[0-9])(?=.*[a-z])[0-9a-z]+")  # "st0p"
_DIGITS_FOR_LETTERS = str.maketrans("013457", "oieast")
_STOP_SIGNS = frozenset("🛑⛔🚫🔕")
# Cyrillic and Greek letters that look like Latin ones, for where a keyboard was switched within a word.
_LOOKS_LIKE = str.maketrans("авекмнорстухіѕјαβεκμνορστυχι", "abekmhopctyxisjabekmnopstyxi")
_LATIN = re.compile("[a-z]")


def folded(text: str) -> str:
    """Text in lower case without accents, apostrophes and invisible signs: what spelling leaves of a word."""
    if text.isascii():
        return text.translate(_NO_SIGNS).casefold()
    plain = unicodedata.normalize("NFKC", text).translate(_DRAWN).translate(_NO_SIGNS).casefold()
    kept = (sign for sign in unicodedata.normalize("NFKD", plain) if unicodedata.category(sign) not in _INVISIBLE)
    return "".join(kept).translate(_ALIKE)


def words(text: str) -> list[str]:
    """The words of a text, as `folded` leaves them; signs and emoji are none."""
    return _WORD.findall(folded(text))


def bare(text: str) -> str:
    """The text in lower case without anything but letters and digits: " Stop!! 👋" -> "stop"."""
    return "".join(words(text))


# --- what they mean ---------------------------------------------------------------------------------------------------


class Role(enum.Enum):
    """What a word, or several that belong together, does in a text."""

    STOP = enum.auto()
    EVERYDAY = enum.auto()  # a stop word that honest answers hold too
    START = enum.auto()
    HELP = enum.auto()
    COURTESY = enum.auto()
    FILLER = enum.auto()
    PHRASE = enum.auto()
    ALONE = enum.auto()
    HARMLESS = enum.auto()


R = TypeVar("R")


class Lexicon(Generic[R]):
    """Phrases by what they do, found at any place of a text in one look-up for each length."""

    def __init__(self, phrases: Iterable[tuple[str, R]]) -> None:
        self.roles: dict[tuple[str, ...], R] = {}
        for phrase, role in phrases:
            if key := tuple(words(phrase)):
                self.roles.setdefault(key, role)
        self.longest = max(map(len, self.roles), default=0)

    def at(self, said: Sequence[str], position: int) -> tuple[R, int] | None:
        """What begins at `position`, the longest first, and how many words it has."""
        for length in range(min(self.longest, len(said) - position), 0, -1):
            role = self.roles.get(tuple(said[position : position + length]))
            if role is not None:
                return role, length
        return None


def _listed(role: Role, name: str) -> Iterator[tuple[str, Role]]:
    return ((phrase, role) for language in LANGUAGES.values() for phrase in getattr(language, name))


_STOP = [*_listed(Role.STOP, "stop"), *_listed(Role.EVERYDAY, "everyday")]
_COMMANDS = Lexicon([*_STOP, *_listed(Role.START, "start"), *_listed(Role.HELP, "help")])
POLITE = Lexicon(_listed(Role.COURTESY, "courtesy"))
_DOUBTFUL = Lexicon([*_listed(Role.HARMLESS, "harmless"), *_listed(Role.PHRASE, "phrases"), *_STOP])
_ALONE = Lexicon(_listed(Role.ALONE, "alone"))
_FILLER = Lexicon(_listed(Role.FILLER, "filler"))

_SINGLE = [(key[0], role) for key, role in _COMMANDS.roles.items() if len(key) == 1]
_BY_LOOKS = {word.translate(_LOOKS_LIKE): word for word, role in _SINGLE if role in (Role.STOP, Role.EVERYDAY)}
_stops = "|".join(re.escape(word) for word, role in _SINGLE if role is Role.STOP)
_around = "|".join([_stops, *(re.escape(key[0]) for key in POLITE.roles if len(key) == 1)])
_RUN_TOGETHER = re.compile(f"(?:{_around})+(?:{_stops})|(?:{_stops})(?:{_around})+")

STOP = frozenset(map(bare, (phrase for phrase, _role in _STOP)))
START = frozenset(map(bare, (phrase for phrase, _role in _listed(Role.START, "start"))))
START_UNLESS_ANSWER = frozenset({"yes"})  # opts in only somebody who has opted out; from everybody else an answer
HELP = frozenset(map(bare, (phrase for phrase, _role in _listed(Role.HELP, "help"))))


@lru_cache(maxsize=256)
def _own(stop_words: str) -> Lexicon[Role]:
    """An organisation's own stop words, which it writes with commas between them."""
    return Lexicon((word, Role.STOP) for word in stop_words.split(","))


def own_words(stop_words: str) -> frozenset[str]:
    """An organisation's own stop words, without spaces."""
    return frozenset(map(bare, stop_words.split(","))) - {""}


def command(text: str, stop_words: str = "") -> Role | None:
    """Whether a text is nothing but stop words, start words or words for help: STOP, START or HELP.

    Courtesy around it changes nothing, nor does saying it twice. `stop_words` are the organisation's own.
    """
    said = words(text)
    whole = "".join(said)  # "S T O P", "opt-out"
    if whole in STOP or whole in own_words(stop_words):
        return Role.STOP
    if whole in HELP:
        return Role.HELP
    if whole in START - START_UNLESS_ANSWER:
        return Role.START
    found = {
        Role.STOP if role is Role.EVERYDAY else role for role in roles(said, (_own(stop_words), _COMMANDS, POLITE))
    }
    found.discard(Role.COURTESY)
    role = found.pop() if len(found) == 1 else None
    return None if role is Role.START and START_UNLESS_ANSWER & set(said) else role


def roles(said: Sequence[str], lexicons: Iterable[Lexicon[Role]]) -> Iterator[Role | None]:
    """What each word or phrase does, read from the left; None for one that is in no lexicon, and then no more."""
    position = 0
    while position < len(said):
        found = at(said, position, lexicons)
        if found is None:
            yield None
            return
        yield found[0]
        position += found[1]


def at(said: Sequence[str], position: int, lexicons: Iterable[Lexicon[R]]) -> tuple[R, int] | None:
    found = [one for one in (lexicon.at(said, position) for lexicon in lexicons) if one is not None]
    return max(found, key=lambda one: one[1]) if found else None  # of those that are as long, the first


def is_taken(text: str, stop_words: str = "") -> bool:
    """Whether a text that is nothing but this would be a command, so that it can never be an answer."""
    return command(text, stop_words) is not None


# --- doubts -----------------------------------------------------------------------------------------------------------


def is_near_miss(text: str, stop_words: str = "") -> bool:
    """Whether a short text may mean that the person wants no more texts, although it is not a command.

    At most SHORT words with a stop word among them, or with a phrase such as "remove me"; or a sign that says so. Of a
    longer one, the first line alone may say it: below it are a signature or what was answered.
    """
    said = words(text)[: 10 * SHORT]
    if len(said) > SHORT:
        return _has_a_line_of_its_own(text, stop_words)
    if is_taken(text, stop_words):
        return False
    if _is_alone(said) or not _STOP_SIGNS.isdisjoint(text) or _is_run_together(said):
        return True
    said = [_lookalike(_meant(_DRAWN_OUT.sub(r"\1", word))) for word in said]
    found = list(_doubts(said, stop_words))
    return Role.STOP in found or Role.PHRASE in found or (Role.EVERYDAY in found and _leads(said))


def mentions_stopping(text: str, stop_words: str = "") -> bool:
    """Whether a text of any length has a stop word or such a phrase in it: an answer that deserves a second look."""
    found = set(_doubts(words(text), stop_words))
    return bool(found & {Role.STOP, Role.PHRASE})


def _doubts(said: Sequence[str], stop_words: str) -> Iterator[Role]:
    """Every stop word and phrase in a text, whatever is between them."""
    lexicons = (_DOUBTFUL, _own(stop_words))
    position = 0
    while position < len(said):
        found = at(said, position, lexicons)
        if found is not None:
            yield found[0]
        position += found[1] if found else 1


def _meant(word: str) -> str:
    """A word with the letters that digits stand for: "st0p" -> "stop"."""
    return word.translate(_DIGITS_FOR_LETTERS) if _DISGUISED.fullmatch(word) else word


def _lookalike(word: str) -> str:
    """A word of two scripts as it looks, if that is a stop word: a Latin C in "Cтоп", a Cyrillic О in "STОP".

    Nobody writes such a word on purpose.
    """
    if word.isascii() or not _LATIN.search(word):
        return word
    return _BY_LOOKS.get(word.translate(_LOOKS_LIKE), word)


def _has_a_line_of_its_own(text: str, stop_words: str) -> bool:
    """Whether the first of several lines is a stop word."""
    first, *below = text.strip().splitlines()
    return bool(below) and not is_taken(text, stop_words) and command(first, stop_words) is Role.STOP


def _is_run_together(said: Sequence[str]) -> bool:
    """Whether the only word is made of a stop word and others: "STOPSTOP", "pleasestop"."""
    return len(said) == 1 and len(said[0]) <= LONGEST_RUN and _RUN_TOGETHER.fullmatch(said[0]) is not None


def _is_alone(said: Sequence[str]) -> bool:
    found = set(roles(said, (_ALONE, POLITE)))
    return Role.ALONE in found and None not in found


def _leads(said: Sequence[str]) -> bool:
    """Whether an everyday stop word is meant as one: it comes first, courtesy aside, or nothing of weight is beside it.

    "Cancel my appointment texts", "how do I cancel this"; not "they had to cancel twice".
    """
    found = list(roles(said, (_DOUBTFUL, POLITE, _FILLER)))
    first = next((role for role in found if role is not Role.COURTESY), None)
    return first is Role.EVERYDAY or None not in found

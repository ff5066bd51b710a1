"""Reading what a person wrote: a number, a yes or a no, one of several labels. Pure, and the same in every language.

Whoever is not understood is asked again, which costs a text; whoever is misunderstood is counted wrongly for good. So
what could mean two things means nothing here.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from contacts.stop_words import Lexicon, folded
from contacts.stop_words import words as words_of
from contacts.vocabulary import LANGUAGES
from surveys import words

# --- signs ------------------------------------------------------------------------------------------------------------

# Phones write a minus as one of several dashes; Arabic has marks of its own.
_SIGNS = {
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-"),
    **str.maketrans({"٫": ".", "،": ",", "؛": ";", "؟": "?", "٪": "%", "🔟": " 10 ", "\u20e3": " "}),
}
_KEPT_APART = ("<super>", "<sub>", "<fraction>")  # 9² is not 92, and 9½ is not 91/2
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_TO_NUMBER = re.compile(r"[-+]?[0-9]+")


def tidy(text: str) -> str:
    """Full-width letters, digits of other scripts and dashes become the plain ones; what is invisible goes."""
    plain = text if text.isascii() else "".join(map(_plain, text)).translate(_SIGNS)
    return unicodedata.normalize("NFC", plain).strip()


def _plain(sign: str) -> str:
    category = unicodedata.category(sign)
    if category == "Cf" or sign in "\ufe0e\ufe0f":
        return ""
    if category == "No":  # ①③ are two numbers
        apart = unicodedata.decomposition(sign).startswith(_KEPT_APART)
        return sign if apart else f" {unicodedata.normalize('NFKC', sign)} "
    if sign.isascii() or category == "Mn":
        return sign
    plain = unicodedata.normalize("NFKC", sign)
    return "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in plain)


def bare(text: str) -> str:
    """Lower case, without anything but letters (their accents included) and digits; one space between words."""
    if text.isascii():
        return " ".join(_ASCII_WORD.findall(text.casefold()))
    kept = [" "]
    for sign in text.casefold():
        is_accent = kept[-1] != " " and unicodedata.category(sign) in ("Mn", "Mc")
        kept.append(sign if sign.isalnum() or is_accent else " ")
    return " ".join("".join(kept).split())


def unwrapped(text: str) -> str:
    """Without the signs around it: "(1)", "1.", "#1" and "1)" are 1. A minus stays: -1 is not 1."""
    end = next((place for place in range(len(text), 0, -1) if text[place - 1].isalnum()), 0)
    return re.sub(r"\A[^\w+<>≤≥-]+", "", text[:end])


def name(text: str) -> str:
    """What a reply and a label are compared by: a number with its minus, or words without signs."""
    core = unwrapped(text)
    return core if _TO_NUMBER.fullmatch(core) else bare(text)


def spelt(text: str) -> str:
    """What is left of a name by whoever leaves out accents and apostrophes."""
    return " ".join(words_of(text))


# --- words ------------------------------------------------------------------------------------------------------------


class Role(enum.Enum):
    """What a word does in an answer."""

    YES = enum.auto()
    NO = enum.auto()
    ASSENT = enum.auto()
    UNSURE = enum.auto()
    REASON = enum.auto()
    BEFORE = enum.auto()
    BEHIND = enum.auto()
    OUT_OF = enum.auto()
    MINUS = enum.auto()
    POINT = enum.auto()
    COURTESY = enum.auto()


def _lexicon(role: Role, table: Mapping[str, Sequence[str]] | Sequence[str]) -> Lexicon[Role]:
    phrases = chain.from_iterable(table.values()) if isinstance(table, Mapping) else table
    return Lexicon((phrase, role) for phrase in phrases)


_YES, _NO = _lexicon(Role.YES, words.YES), _lexicon(Role.NO, words.NO)
_ASSENT, _UNSURE = _lexicon(Role.ASSENT, words.ASSENT), _lexicon(Role.UNSURE, words.UNSURE)
_REASON, _OUT_OF = _lexicon(Role.REASON, words.REASON), _lexicon(Role.OUT_OF, words.OUT_OF)
_BEFORE, _BEHIND = _lexicon(Role.BEFORE, words.BEFORE), _lexicon(Role.BEHIND, words.BEHIND)
_MINUS, _POINT = _lexicon(Role.MINUS, words.MINUS), _lexicon(Role.POINT, words.POINT)
_COURTESY = _lexicon(Role.COURTESY, {key: language.courtesy for key, language in LANGUAGES.items()})
_NUMBERS = {spelt(word): number for word, number in words.NUMBERS.items()}

_TOKEN = re.compile(r"[-+]?[0-9]+(?:[.,][0-9]+)*|[^\W\d_]+|\n|[^\w\s]|\S")
MANY = 60  # tokens: what a text begins with decides


def _tokens(text: str) -> list[str]:
    """Numbers with their signs, words as `folded` leaves them, and every other sign by itself."""
    apart = "".join("¤" if unicodedata.category(sign) == "No" else sign for sign in text)
    return _TOKEN.findall(folded(apart))


def _is_word(token: str) -> bool:
    return token[0].isalpha()


def _is_sign(token: str) -> bool:
    return not token[-1].isalnum()


def _skip(said: Sequence[str], position: int, *lexicons: Lexicon[Role]) -> int:
    """The first place from `position` on where nothing of these begins."""
    while position < len(said):
        lengths = [found[1] for lexicon in lexicons if (found := lexicon.at(said, position)) is not None]
        if not lengths:
            break
        position += max(lengths)
    return position


# --- numbers ----------------------------------------------------------------------------------------------------------

# Up to two decimals: "1,000" is a thousand to some and one to others, so it is asked about again.
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,12}(?:[.,][0-9]{1,2})?|0[.,][0-9]{1,6})")
_OPENS = frozenset("([{\"“”„«»'*#~=:!.,…")  # may stand before a number and changes nothing
_OUT_OF_BEFORE = spelt(words.OUT_OF_BEFORE)
_ENDS = frozenset('.,;:!?()[]"“”„«»*…\n|-')  # what a reason may begin with


def number(text: str, *, most: int | None = None) -> str | None:
    """The one number a tidied reply gives, such as "8" or "-36,6"; None if it gives none, or more than one.

    "I'd say 8", "8!!", "eight", "8 because the wait was long"; where `most` is 10, "8/10" and "8 out of 10" too.
    """
    core = unwrapped(text)
    if _NUMBER.fullmatch(core):
        share = "%" in text
        return None if share and most not in (None, 100) else core
    said = _tokens(text)[:MANY]
    begin = 0
    while begin < len(said) and said[begin] in _OPENS:
        begin += 1
    found = _number_at(said, begin, most)
    if found is None:  # "un" is a number, and stands before one
        position = _skip(said, begin, _BEFORE, _COURTESY)
        while position < len(said) and said[position] in _OPENS:
            position = _skip(said, position + 1, _BEFORE, _COURTESY)
        found = _number_at(said, position, most) if position > begin else None
    return found


def _number_at(said: Sequence[str], position: int, most: int | None) -> str | None:
    """The number that begins here, if nothing behind it says otherwise."""
    after_minus = _skip(said, position, _MINUS)
    minus = "-" if after_minus > position else ""
    value, behind = _value(said, after_minus)
    if value is None or (minus and value[0] in "+-"):
        return None
    after_point = _skip(said, behind, _POINT)
    if after_point > behind:
        decimals, behind = _value(said, after_point)
        if decimals is None or not decimals.isdecimal():
            return None
        value = f"{value}.{decimals}"
    rest = said[behind:]
    if rest and rest[0] == _OUT_OF_BEFORE:
        return _number_at(said, behind + 1, None) if value == str(most) else None
    if rest and (rest[0] == "/" or _OUT_OF.at(rest, 0)):
        total, length = _value(rest, 1 if rest[0] == "/" else _skip(rest, 0, _OUT_OF))
        if total is not None:
            if most is None or total != str(most):
                return None
            rest = rest[length:]
        elif rest[0] == "/":
            return None
    if rest and rest[0] == "%":
        if most not in (None, 100):
            return None
        rest = rest[1:]
    return f"{minus}{value}" if _NUMBER.fullmatch(value) and _adds_nothing(rest) else None


def _value(said: Sequence[str], position: int) -> tuple[str | None, int]:
    """A number in digits or as a word, and the place behind it."""
    if position < len(said):
        token = said[position]
        if token[-1].isdecimal():
            return token, position + 1
        if token in _NUMBERS:
            return str(_NUMBERS[token]), position + 1
    return None, position


def _adds_nothing(rest: Sequence[str]) -> bool:
    """Whether what stands behind a number is a reason, courtesy or nothing: no unit, and no second number."""
    if rest and _REASON.at(rest, 0):
        return True
    behind = 0
    while behind < len(rest) and (after := _skip(rest, behind, _BEHIND, _COURTESY)) > behind:
        behind = after
    rest = rest[behind:]
    if not rest or _REASON.at(rest, 0):
        return True
    if behind and all(_is_sign(sign) and sign not in "-+/%<>" for sign in rest):
        return True
    if not _is_sign(rest[0]) or (rest[0] not in _ENDS and rest[0] in "-+/%<>=¤&*^"):
        return False
    said = [token for token in rest if not _is_sign(token)]
    near = said[:2] + said[-1:]
    return not any(_value([token], 0)[0] is not None for token in near) and not (said and said[0] in _OR)


_OR = frozenset(map(spelt, words.OR))


# --- yes and no -------------------------------------------------------------------------------------------------------

_NO_MATTER = re.compile("[¡¿\U0001f3fb-\U0001f3ff]")  # Spanish signs, and the colour of a hand


def yes_or_no(text: str) -> bool | None:
    """What a tidied reply says to a question for yes or no; None if it says neither, or both.

    "Yes please", "of course", "👍", "no, never again"; not "yes and no", "no idea" or "si hay tiempo".
    """
    said = _tokens(_NO_MATTER.sub("", text))[:MANY]
    head = next((place for place, token in enumerate(said) if _parts(said, place)), len(said))
    verdict = _verdict(said[:head])
    if verdict is None or head == len(said):
        return verdict
    rest = set(_roles_in(said[head:]))
    doubt = Role.UNSURE in (rest if verdict else set(_roles_in(said[head : head + 6])))  # "no, we could not" is a no
    return None if doubt or (Role.NO if verdict else Role.YES) in rest else verdict


def _parts(said: Sequence[str], place: int) -> bool:
    """Whether a sentence ends or a reason begins here."""
    token = said[place]
    if token in words.YES_SIGNS or token in words.NO_SIGNS:
        return False
    if _is_sign(token):
        return token in _ENDS
    begins = place == 1 and said[0] in words.WITH_SENTENCE and token in words.SENTENCE
    return begins or (place > 0 and _REASON.at(said, place) is not None)


def _verdict(said: Sequence[str]) -> bool | None:
    """Yes or no if all words say the same or nothing at all."""
    roles = set(_roles_in(said))
    if None in roles or Role.UNSURE in roles:
        return None
    if Role.NO in roles:
        return None if Role.YES in roles else False
    return True if roles & {Role.YES, Role.ASSENT} else None


def _roles_in(said: Sequence[str]) -> Iterator[Role | None]:
    """What each word or phrase says about yes and no; None for one that says nothing we know."""
    position = 0
    while position < len(said):
        token = said[position]
        found = [
            one
            for lexicon in (_YES, _NO, _UNSURE, _ASSENT, _COURTESY)
            if (one := lexicon.at(said, position)) is not None
        ]
        if found:
            role, length = max(found, key=lambda one: one[1])
            yield role
            position += length
            continue
        if token in words.YES_SIGNS:
            yield Role.YES
        elif token in words.NO_SIGNS:
            yield Role.NO
        elif not _is_sign(token):
            yield None
        position += 1


def has_signs(text: str) -> bool:
    """Whether a thumb or another sign for yes or no is in it."""
    return not (words.YES_SIGNS | words.NO_SIGNS).isdisjoint(text)


def is_yes_or_no(said: str) -> bool:
    """Whether this is nothing but one word for yes or no, in any language: it is never short for something else."""
    key = tuple(words_of(said))
    return any(key in lexicon.roles for lexicon in (_YES, _NO, _ASSENT))


def is_courtesy(text: str) -> bool:
    said = words_of(text)
    return bool(said) and _skip(said, 0, _COURTESY) == len(said)


# --- labels -----------------------------------------------------------------------------------------------------------

_CLAUSE = re.compile(r"[,;:.!?(\n]| - ")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


class Labels:
    """The labels people choose from; their codes count from 1. Made once for a reply, however many parts it has."""

    def __init__(self, labels: Sequence[str]) -> None:
        tidied = [tidy(label) for label in labels]
        plain = [bare(label) for label in tidied]
        self.number = len(labels)
        self.names = _first((name(label), code) for code, label in enumerate(tidied, 1))
        self.with_codes = {f"{code} {label}": code for code, label in enumerate(plain, 1)}
        self.spelt = _unique(
            (form, code)
            for code, label in enumerate(tidied, 1)
            for form in (spelt(label), *([] if label.isascii() else [spelt(label.casefold().translate(_UMLAUTS))]))
        )
        self.sorted = sorted((label, code) for code, label in enumerate(plain, 1) if label)
        self.sorted_spelt = sorted((form, code) for form, code in self.spelt.items() if form)
        self.clauses = _unique((bare(_CLAUSE.split(label, 1)[0]), code) for code, label in enumerate(tidied, 1))
        self.answers = _unique(
            (verdict, code) for code, label in enumerate(tidied, 1) if (verdict := _said_by(label)) is not None
        )

    def code(self, text: str) -> int | None:
        """The code a tidied reply names: as a number, as the label, as both, or as a beginning only one label has."""
        said = name(text)
        if not said:
            return None
        is_digits = _TO_NUMBER.fullmatch(said) is not None
        whole = _whole(text)
        is_code = whole is not None and 1 <= whole <= self.number
        if is_digits and is_code:
            return whole
        exact = self.exact(text)
        if exact is not None:
            return exact
        if not is_digits and is_yes_or_no(said):
            return self.clauses.get(said)  # "no" may be short for "No, never", but not for "Not sure yet"
        beginning = f"{said} " if is_digits else said  # 24 is the beginning of "24 hours", 2 is not
        begun = self._begun(self.sorted, beginning)
        if not begun and not is_digits:
            begun = self._begun(self.sorted_spelt, spelt(text))
        if len(begun) == 1:
            return begun.pop()
        return whole if is_code else None

    def exact(self, text: str) -> int | None:
        """The code of the label this is, whatever its case, accents and the signs around it."""
        said = name(text)
        found = self.names.get(said) or self.with_codes.get(said)
        return found if found or _TO_NUMBER.fullmatch(said) else self.spelt.get(spelt(text))

    def explained(self, text: str) -> int | None:
        """The code that a reply names with something around it: "I'd say 2", "Fine, thanks", "yep" for "Yes"."""
        core = number(text)
        if core is not None:
            return self.numbered(text)
        verdict = yes_or_no(text)
        if verdict is not None:
            return self.answers.get(verdict)
        first, *rest = _CLAUSE.split(text, maxsplit=1)
        code = self.exact(first) if rest and not is_yes_or_no(first) else None
        return code if code and not self._others(rest[0], code) else None

    def numbered(self, text: str) -> int | None:
        """The code that a reply names by a number with something around it."""
        core = number(text)
        code = self.code(core) if core is not None and core.isdecimal() else None
        return code if code and not self._others(text, code) else None

    def _others(self, text: str, code: int) -> bool:
        """Whether a text names a label with another code somewhere."""
        said = f" {bare(text)} "
        return any(other != code and f" {label} " in said for label, other in self.sorted)

    @staticmethod
    def _begun(labels: list[tuple[str, int]], beginning: str) -> set[int]:
        """The codes of the labels with this beginning; two are as good as all."""
        if not beginning:
            return set()
        first = bisect_left(labels, (beginning, 0))
        return {code for label, code in labels[first : first + 2] if label.startswith(beginning)}


def _whole(text: str) -> int | None:
    """The whole number in a reply that is nothing else: digits or a number word."""
    core = unwrapped(text)
    return int(core) if re.fullmatch(r"[0-9]{1,3}", core) else _NUMBERS.get(spelt(core))


def whole(text: str) -> int | None:
    """The whole number that a label is, in digits or as a word."""
    return _whole(tidy(text))


def _said_by(label: str) -> bool | None:
    """What a label says if it is nothing but a yes or a no."""
    key = tuple(words_of(label))
    return True if key in _YES.roles else False if key in _NO.roles else None


def _first(pairs: Iterator[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, code in pairs:
        found.setdefault(key, code)
    return found


def _unique(pairs: Iterator[tuple[object, int]]) -> dict:
    """What only one label is."""
    found: dict = {}
    for key, code in pairs:
        found[key] = code if found.get(key, code) == code else 0
    return {key: code for key, code in found.items() if code and key != ""}


def several(labels: Labels, text: str) -> list[int] | None:
    """The codes in a tidied reply that names several labels; None if one part of it names none.

    Numbers with nothing but signs or "and" between them; or numbers and labels, separated the same way. A part is
    divided further only if it names nothing: "Tea and cake, toys & books". More parts than labels are not an answer.
    """
    codes = [int(digits) for digits in re.findall(r"[0-9]+", text)] if _CODES.fullmatch(text) else []
    if codes and all(1 <= code <= labels.number for code in codes):
        return codes
    single = labels.code(text)
    if single:
        return [single]
    found: list[int] = []
    for part in _divided(labels, text):
        if len(found) == labels.number:
            return None
        code = part if isinstance(part, int) else labels.code(part) or labels.explained(part)
        if code is None:
            return None
        found.append(code)
    return found or None


def _divided(labels: Labels, text: str) -> Iterator[str | int]:
    """The parts of a reply: those that are labels as their codes, the others as they are."""
    for part in re.split(r"[,;\n]", text):
        if not bare(part):
            continue
        if code := labels.code(part):
            yield code
        elif not is_courtesy(part):
            yield from (piece for piece in _AND_SPLIT.split(part) if bare(piece))


_ANDS = "|".join(sorted(map(re.escape, words.AND), key=len, reverse=True))
_AND_SPLIT = re.compile(rf"[&+/]|\s(?:{_ANDS})\s|\s+(?=\W?[0-9])", re.IGNORECASE)
_CODES = re.compile(rf"[^\w+-]*[0-9]{{1,3}}(?:(?:[\s,;.&+/()]+|\s*(?:{_ANDS})\s*)[0-9]{{1,3}})*[\W_]*", re.IGNORECASE)

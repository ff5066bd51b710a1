"""Sentences that are kept and shown later: each is said anew in the language of whoever reads it.

A sentence is a string in the language of the moment that remembers what it was made of. What is stored is that: its
English, which the catalogue of every language has, and its values. Modules whose sentences may be stored write
`from intake.sentences import said as _` where others import gettext.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.functional import Promise, lazy
from django.utils.translation import gettext, ngettext

from intake import figures
from intake.text import fitted

# What sentences of earlier versions are called today: rows that hold them are read as well. Whoever rewords a sentence
# that may be stored adds a line here.
FORMER: dict[str, str] = json.loads(
    Path(__file__).parents[1].joinpath("locale", "former.json").read_text(encoding="utf-8")
)
_MARK = "\N{INFORMATION SEPARATOR ONE}"  # begins what is stored; strangers' words have lost it (intake/text.py)


class Sentence(str):
    """A sentence in the language of the moment. `%` fills it in, as it does any string."""

    __slots__ = ("parts",)
    parts: dict[str, Any]

    @classmethod
    def of(cls, parts: dict[str, Any]) -> Sentence:
        """The sentence that is made of these, in the language of the moment."""
        made = cls(_say(parts))
        made.parts = parts
        return made

    def __str__(self) -> Sentence:
        return self  # an exception's text stays what it is

    def __mod__(self, values: Any) -> Sentence:
        if not isinstance(values, Mapping):
            raise TypeError("A sentence that may be stored is filled in by names.")
        return Sentence.of({**self.parts, "values": {name: _kept(value) for name, value in values.items()}})


def said(english: str) -> Sentence:
    """As gettext, for a sentence that may be stored."""
    return Sentence.of({"say": english})


said_lazy = lazy(said, str)  # as gettext_lazy, for what is written when a module is read


def nsaid(one: str, many: str, number: int) -> Sentence:
    """As ngettext, for a sentence that may be stored."""
    return Sentence.of({"say": one, "many": many, "number": number})


def moment(at: datetime, zone: str = "") -> Sentence:
    """A time as part of a sentence, by the clocks of `zone`, which is named; by the reader's where it is left out."""
    return Sentence.of({"at": at.isoformat(), "zone": zone})


def amount(value: float | str, unit: str = "") -> Sentence:
    """Money, or what else a provider counts in, as part of a sentence."""
    return Sentence.of({"amount": str(value), "unit": unit})


def joined(sentences: Iterable[str | Promise]) -> Sentence:
    """Several sentences, one after the other."""
    return Sentence.of({"all": [_kept(one) for one in sentences]})


def stored(sentence: str | Promise) -> str:
    """What to keep of a sentence, so that `worded` can say it in another language; any other text as it is."""
    sentence = str(sentence)
    if isinstance(sentence, Sentence):
        return _MARK + json.dumps(sentence.parts, ensure_ascii=False, sort_keys=True)
    return sentence.replace(_MARK, "")


def stored_within(sentence: str | Promise, length: int) -> str:
    """As `stored`, in so many characters: of a sentence that is longer its longest words of others' are cut."""
    sentence = str(sentence)
    if not isinstance(sentence, Sentence):
        return fitted(sentence.replace(_MARK, ""), length)
    kept = stored(sentence)
    while len(kept) > length:
        values = sentence.parts.get("values") or {}
        longest = max((name for name in values if isinstance(values[name], str)), key=lambda name: len(values[name]))
        if not values[longest]:
            break
        shorter = values[longest][: -min(len(kept) - length, len(values[longest]))]
        sentence = sentence % {**values, longest: shorter}
        kept = stored(sentence)
    return kept


def worded(kept: str) -> str:
    """What `stored` has kept, in the language of the moment; any other text as it is."""
    if not kept.startswith(_MARK):
        return kept
    parts: Any = None
    try:
        parts = json.loads(kept[len(_MARK) :])
        return Sentence.of(parts)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # a translation that asks for other values, or no sentence
        return str(parts["say"]) if isinstance(parts, dict) and "say" in parts else ""


def in_english(sentence: str | Promise) -> str:
    """A sentence for machines and their makers, whatever the language of the moment; any other text as it is."""
    sentence = str(sentence)
    if not isinstance(sentence, Sentence):
        return sentence
    with translation.override("en"):
        return Sentence.of(sentence.parts)


def _kept(value: Any) -> Any:
    if isinstance(value, Promise | Exception):
        value = str(value)
    if isinstance(value, Sentence):
        return {"sentence": value.parts}
    if isinstance(value, int | float):
        return value
    return str(value)


class _Whole(int):
    """A number that a sentence counts by, and shows as the reader's language writes it."""

    def __str__(self) -> str:
        return figures.whole(self)


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return _say(value["sentence"])
    return _Whole(value) if isinstance(value, int) else value


def _say(parts: Mapping[str, Any]) -> str:
    if "all" in parts:
        return " ".join(filter(None, (str(_shown(part)) for part in parts["all"])))
    if "at" in parts:
        return _time(datetime.fromisoformat(parts["at"]), parts["zone"])
    if "amount" in parts:
        return figures.amount(parts["amount"], parts["unit"])
    english = FORMER.get(parts["say"], parts["say"])
    text = ngettext(english, parts["many"], parts["number"]) if "many" in parts else english and gettext(english)
    values = parts.get("values")
    return text if values is None else text % {name: _shown(value) for name, value in values.items()}


def _time(at: datetime, zone: str) -> str:
    there = date_format(at.astimezone(ZoneInfo(zone)) if zone else timezone.localtime(at), "DATETIME_FORMAT")
    return f"{there} ({zone})" if zone and zone != timezone.get_current_timezone_name() else there

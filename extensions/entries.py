"""What was typed or pasted into a form, as it is meant: what can be told for certain is put right, the rest is not.

A number loses its plus and spaces, an address its https://, a pasted line its label and quotation marks. Where two
values stand in each other's field, each looks like the other's and not like its own: `misplaced` finds them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils import translation

from extensions.contract import Provider, SecretField
from intake import pasted

SENDER = "sender"  # beside the credentials, one more field that the provider itself reads
Clean = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """A field's value: as it was typed, without what stood around it, and as it counts."""

    typed: str
    value: str

    @property
    def is_put_right(self) -> bool:
        return self.value != self.typed


def rules_of(provider: type[Provider]) -> dict[str, Clean]:
    """Field -> what raises ValidationError for a value that is not right: the sender's, and the credentials'."""
    fields = provider.Credentials.base_fields
    return {SENDER: provider.clean_sender, **{name: field.clean for name, field in fields.items()}}


def read(provider: type[Provider], typed: Mapping[str, str]) -> dict[str, Entry]:
    """Each field of `provider` that `typed` has, put right where there is one certain way."""
    fields, rules = provider.Credentials.base_fields, rules_of(provider)
    found = {}
    for name in filter(typed.__contains__, rules):
        field, text = fields.get(name), str(typed[name] or "")
        if isinstance(field, SecretField):
            value = _secret(field, text, _names(name, field))
        elif isinstance(field, forms.ChoiceField):
            value = _choice(field, text)
        else:
            value = _plain(rules[name], text, _names(name, field))
        found[name] = Entry(text.strip(), value)
    return found


def fits(clean: Clean, value: str) -> bool:
    try:
        clean(value)
    except ValidationError:
        return False
    return True


def _names(name: str, field: forms.Field | None) -> tuple[str, ...]:
    """What people may copy together with a value: the field's label, with and without what it says in brackets.

    As our page has it, and in English, as providers' consoles do.
    """
    if not field or not field.label:
        return (name,)
    with translation.override("en"):
        english = str(field.label)
    labels = dict.fromkeys((str(field.label), english))
    return (name, *labels, *(part for label in labels for part in re.split(r"[()]", label)))


def _plain(clean: Clean, text: str, names: tuple[str, ...]) -> str:
    """The first of the candidates that is right, or that has one certain correction; else the text as it is seen."""
    found = list(pasted.candidates(text))
    for candidate in dict.fromkeys((*found, *(pasted.labelled(each, names) for each in found))):
        for spelled in dict.fromkeys((candidate, pasted.typed_as_ascii(candidate))):
            try:
                clean(spelled)
            except ValidationError as error:
                params = error.error_list[0].params or {}
                suggestion = str(params.get("suggestion", ""))
                is_certain = params.get("certain") or _is_same_number(spelled, suggestion)
                if suggestion and is_certain and fits(clean, suggestion):
                    return suggestion
            else:
                return spelled
    return pasted.seen(text)


def _is_same_number(typed: str, suggestion: str) -> bool:
    """Whether both are the same digits, whatever plus, zeros or signs a number is written with."""
    if not re.fullmatch(r"[0-9\s().+/-]+", typed):
        return False
    digits = re.sub("[^0-9]", "", typed).removeprefix("00")
    return not digits.startswith("0") and digits == suggestion.removeprefix("+")


def _secret(field: SecretField, text: str, names: tuple[str, ...]) -> str:
    """Without what is never part of a secret: of how it looks nothing is known but what its own field says."""
    seen = pasted.seen(text)
    if field.verbatim:
        return seen
    bare = seen
    for _layer in range(pasted.MOST_LAYERS):
        inner = pasted.unquoted(pasted.labelled(bare, names).rstrip(",;"))
        if inner == bare:
            break
        bare = inner
    if bare != seen.rstrip(",;"):
        seen = bare
    if fits(field.clean, seen):
        return seen
    return next((candidate for candidate in pasted.candidates(seen) if fits(field.clean, candidate)), seen)


def _choice(field: forms.ChoiceField, text: str) -> str:
    """By its value or by its label, whatever the capitals."""
    wanted = pasted.seen(text)
    choices = cast("list[tuple[str, object]]", field.choices)
    for value, label in choices:
        if wanted.casefold() in (str(value).casefold(), str(label).casefold()):
            return str(value)
    return wanted


def misplaced(provider: type[Provider], typed: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of fields whose values are in each other's place, by what the provider says is typical of them.

    `typed` are values of `rules_of`. One of two may be empty. None where more than one exchange would do.
    """
    rules = rules_of(provider)
    known = [name for name in rules if name in typed]

    @cache
    def value(name: str, source: str) -> str:
        """What was typed into `source`, as it would count in the field `name`."""
        return read(provider, {name: typed[source]})[name].value

    def is_like(name: str, source: str) -> bool:
        pattern = provider.typical.get(name)
        return bool(pattern and re.fullmatch(pattern, value(name, source)) and fits(rules[name], value(name, source)))

    def takes(name: str, source: str) -> bool:
        return is_like(name, source) if name in provider.typical else fits(rules[name], value(name, source))

    def belongs(here: str, there: str) -> bool:
        """Whether what stands in `there` is what `here` lacks, and what stands in `here` may be had for it."""
        if not is_like(here, there) or is_like(there, there):
            return False
        return takes(there, here) if typed[here] else not fits(rules[there], value(there, there))

    pairs: list[tuple[str, str]] = []
    for here in known:
        if here not in provider.typical or takes(here, here):
            continue
        found = [there for there in known if there != here and typed[there] and belongs(here, there)]
        if len(found) == 1 and not any({here, found[0]}.intersection(pair) for pair in pairs):
            pairs.append((here, found[0]))
    return pairs


def exchanged(provider: type[Provider], typed: Mapping[str, str], pairs: list[tuple[str, str]]) -> dict[str, str]:
    """What was typed, with each pair in each other's place, as it counts there."""
    moved = {**dict(pairs), **{there: here for here, there in pairs}}
    placed = {name: typed[moved.get(name, name)] for name in typed}
    return {name: entry.value for name, entry in read(provider, placed).items()}


def betrayed(provider: type[Provider], name: str, value: str) -> str:
    """The secret's field of which `value`, typed into a field that is shown, looks to be; "" for none."""
    fields = provider.Credentials.base_fields
    for other, pattern in provider.typical.items():
        if other != name and value and isinstance(fields.get(other), SecretField) and re.fullmatch(pattern, value):
            return other
    return ""

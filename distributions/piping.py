"""Piped text: placeholders in a message, in the syntax of the commercial product.

| placeholder | becomes |
|---|---|
| `${m://FirstName}` | a fact about the contact; contacts/columns.py has them all |
| `${e://Field/City}` | another column of the contact list (embedded data) |
| `${m://FirstName|there}` | the same, with what stands there if it is empty |
| `${l://SurveyURL}`, `${l://SurveyLink}` | the person's own link to the survey |
| `${l://OptOutLink}` | the person's own link to opt out |

Names are not case-sensitive. A link may say `?d=text` as in e-mails; an SMS shows the bare link.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol

from contacts.columns import IN_TEXTS
from intake.sentences import said as _

CONTACT_FIELDS = tuple(column.name for column in IN_TEXTS)
EMBEDDED = "Field/"  # before the name of other columns, in placeholders and among the values

_ATTRIBUTES = tuple((column.name, column.attribute) for column in IN_TEXTS)
_CONTACT_FIELDS = {name.casefold(): name for name in CONTACT_FIELDS}
_SURVEY_LINKS = frozenset({"surveyurl", "surveylink"})
_OPT_OUT_LINKS = frozenset({"optoutlink"})
_PLACEHOLDER = re.compile(r"\$\{([^{}\n]*)\}")
_INSIDE = re.compile(r"\s*([a-z]+)://([^|]*)(?:\|(.*))?", re.IGNORECASE)


class _Hole(NamedTuple):
    """A placeholder: `key` names its value, `source` is the placeholder as it was written."""

    key: str
    fallback: str
    source: str
    is_known: bool


class Template:
    """A message text taken apart once, so that it can be filled in for a hundred thousand people."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.has_survey_link = False
        self.has_opt_out_link = False
        self._malformed: list[str] = []
        self._parts: list[str | _Hole] = []
        position = 0
        for match in _PLACEHOLDER.finditer(text):
            self._add_literal(text[position : match.start()])
            self._add(match.group(), match.group(1))
            position = match.end()
        self._add_literal(text[position:])
        self._holes = [part for part in self._parts if isinstance(part, _Hole)]

    def _add_literal(self, text: str) -> None:
        if text:
            self._parts.append(text)
        for piece in text.split("${")[1:]:
            self._malformed.append("${" + piece.split(maxsplit=1)[0] if piece.strip() else "${")

    def _add(self, source: str, inside: str) -> None:
        match = _INSIDE.fullmatch(inside)
        scheme, name = (match[1].lower(), match[2].strip()) if match else ("", "")
        fallback = match[3] if match else None
        link = name.split("?", 1)[0].strip().casefold()
        is_embedded = scheme == "e" and name.casefold().startswith(EMBEDDED.casefold())
        if is_embedded and name[len(EMBEDDED) :].strip():
            self._parts.append(_Hole(_embedded_key(name[len(EMBEDDED) :]), fallback or "", source, is_known=True))
        elif scheme == "m" and name:
            canonical = _CONTACT_FIELDS.get(name.casefold())
            self._parts.append(_Hole(canonical or name, fallback or "", source, is_known=canonical is not None))
        elif scheme == "l" and link in _SURVEY_LINKS and fallback is None:
            self.has_survey_link = True
            self._parts.append(_Hole("l://survey", "", source, is_known=True))
        elif scheme == "l" and link in _OPT_OUT_LINKS and fallback is None:
            self.has_opt_out_link = True
            self._parts.append(_Hole("l://opt-out", "", source, is_known=True))
        else:
            self._malformed.append(source)
            self._parts.append(source)

    @property
    def fields(self) -> list[str]:
        """The names used, once each, without the links: `FirstName`, `Field/city` (other columns in lower case)."""
        return list(dict.fromkeys(hole.key for hole in self._holes if not hole.key.startswith("l://")))

    @property
    def problems(self) -> list[str]:
        """A sentence for each placeholder that cannot be read."""
        return [
            _("“%(placeholder)s” is not a placeholder; write it like ${m://FirstName} or ${e://Field/City}.")
            % {"placeholder": source}
            for source in dict.fromkeys(self._malformed)
        ]

    def unknown(self, known_embedded: Collection[str]) -> list[str]:
        """The placeholders that name no fact about a contact and none of these other columns."""
        known = {_embedded_key(name) for name in known_embedded}
        return list(
            dict.fromkeys(
                hole.source
                for hole in self._holes
                if not hole.is_known or (hole.key.startswith(EMBEDDED) and hole.key not in known)
            )
        )

    def render(self, values: Mapping[str, str], *, survey_link: str, opt_out_link: str) -> str:
        """The text for one person, in one pass: a placeholder inside a value stays as it is.

        `values` is what `values_of` gives; what is missing or empty there becomes the fallback.
        """
        pieces = []
        for part in self._parts:
            if isinstance(part, str):
                pieces.append(part)
            elif part.key == "l://survey":
                pieces.append(survey_link)
            elif part.key == "l://opt-out":
                pieces.append(opt_out_link)
            else:
                pieces.append(values.get(part.key) or part.fallback)
        return "".join(pieces)


class Person(Protocol):
    """What placeholders can name: a contact, or a row with its columns (contacts/columns.py)."""

    @property
    def fields(self) -> dict[str, Any]: ...


def values_of(contact: Person) -> dict[str, str]:
    """What the placeholders become for this contact."""
    values = {name: getattr(contact, attribute) for name, attribute in _ATTRIBUTES}
    for name, value in contact.fields.items():
        values[_embedded_key(name)] = str(value)
    return values


def _embedded_key(name: str) -> str:
    return EMBEDDED + name.strip().casefold()

"""What became of a distribution in numbers: the same sums on the home page, in the list, on its page, in files and in
the API.

The tally is the only thing that is added up, here and nowhere else; engine/outbox.py keeps it equal to the messages,
and tests/test_sums.py compares all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import QuerySet, Sum
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from distributions.models import Message, Tally
from distributions.states import COLUMNS, STATES, TAKEN

SEGMENTS: tuple[tuple[str, str | Promise], ...] = (
    ("sent", _("segments sent")),
    ("uncertain", _("segments uncertain")),
    ("waiting", _("segments waiting")),
    ("failed", _("segments failed")),
    ("skipped", _("segments skipped")),
    ("cancelled", _("segments cancelled")),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One state of a distribution's messages: `percent` is of all of them."""

    key: str
    label: str
    number: int
    percent: float

    @property
    def fill(self) -> str:
        """The CSS class of its part of the bar."""
        return f"sb-fill-{self.key}"


@dataclass(frozen=True, slots=True)
class Length:
    """The segments of a distribution's texts that had one fate."""

    key: str
    label: str
    number: int


@dataclass(frozen=True, slots=True)
class Sums:
    """People's first texts by state, and the segments of all texts, those of conversations included, by their fate.

    Segments *sent* are those of texts that a provider has taken. Skipped and cancelled ones have never left.
    """

    states: Mapping[str, int]
    segments: Mapping[str, int]

    @classmethod
    def of(cls, tally: Tally | None) -> Sums:
        """One distribution's; nothing has been counted for a draft."""
        return cls._read(vars(tally or Tally()))

    @classmethod
    def all_of(cls, tallies: QuerySet[Tally]) -> Sums:
        """Those of several distributions together, in one query."""
        columns = (*Tally.COLUMNS, *Tally.SEGMENTS)
        return cls._read(tallies.aggregate(**{name: Sum(name, default=0) for name in columns}))

    @classmethod
    def _read(cls, numbers: Mapping[str, int]) -> Sums:
        sent = numbers["segments"] - numbers["segments_waiting"] - numbers["segments_uncertain"]
        apart = {key: numbers[f"segments_{key}"] for key, _label in SEGMENTS[1:]}
        return cls(
            # Counters are written a moment after each other: never less than nothing.
            states={name: max(numbers[name], 0) for name in Tally.COLUMNS},
            segments={key: max(number, 0) for key, number in {"sent": sent, **apart}.items()},
        )

    @property
    def total(self) -> int:
        """Everybody on the list, those who were skipped included."""
        return sum(self.states.values())

    @property
    def reached(self) -> int:
        return self._of(is_reached=True)

    @property
    def not_reached(self) -> int:
        return self._of(is_reached=False)

    def _of(self, *, is_reached: bool) -> int:
        return sum(
            self.states[name] for name in {row.counted for row in STATES.values() if row.is_reached is is_reached}
        )

    @property
    def figures(self) -> list[Figure]:
        """All states, in the order of the bar."""
        total = self.total
        return [
            Figure(key, str(label), self.states[key], 100 * self.states[key] / total if total else 0.0)
            for key, label in COLUMNS.items()
        ]

    @property
    def bar(self) -> list[Figure]:
        """The states that there are."""
        return [figure for figure in self.figures if figure.number]

    @property
    def lengths(self) -> list[Length]:
        """The segments sent, and the others if there are any."""
        found = (Length(key, str(label), self.segments[key]) for key, label in SEGMENTS)
        return [length for length in found if length.number or length.key == "sent"]


def segments_sent(found: Iterable[Message]) -> dict[int, int]:
    """How many segments were sent to each of these people, by the key of their first text: with what followed it."""
    sent = {message.pk: message.segments if message.status in TAKEN else 0 for message in found}
    turns = Message.objects.filter(conversation__message__in=list(sent), status__in=TAKEN).order_by()
    for first, number in turns.values_list("conversation__message").annotate(number=Sum("segments")):
        sent[first] += number
    return sent

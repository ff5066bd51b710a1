"""What became of a distribution in numbers: the same sums on the home page, in the list, on its page, in files and in
the API.

The tally is the only thing that is added up, here and nowhere else; engine/outbox.py keeps it equal to the messages,
and tests/test_sums.py compares all of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import phonenumbers
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Substr
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from distributions.models import Chunk, Message, Tally
from distributions.states import COLUMNS, NOT_LEFT, STATES, TAKEN
from extensions.models import ProviderAccount
from extensions.traffic import Countries, Country

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


# --- by country -------------------------------------------------------------------------------------------------------

COUNTRY_DAYS = 7
MOST_TEXTS = 20_000  # that are counted for one account, the newest
MOST_CHUNKS = 400  # in which they are looked for


def _fate(status: str) -> str:
    """Whether a text that has left, or may have, has reached its phone: "open" while nothing final is known."""
    row = STATES[status]
    if row.is_final and row.is_reached is not None:
        return "delivered" if row.is_reached else "failed"
    return "open"


def by_country(account: ProviderAccount) -> Countries:
    """What became of the account's newest texts of COUNTRY_DAYS days, by the country of their numbers.

    Bounded by keys, however many messages there are: the account's newest chunks name the ranges.
    """
    ranges, is_partial = _newest_ranges(account)
    if not ranges:
        return Countries(rows=[], is_partial=False)
    within = Q()
    for first, last in ranges:
        within |= Q(pk__gte=first, pk__lte=last)
    since = timezone.now() - timedelta(days=COUNTRY_DAYS)
    texts = Message.objects.filter(within, account=account, attempted_at__gte=since).exclude(status__in=NOT_LEFT)
    told = texts.order_by().annotate(prefix=Substr("to", 1, 4)).values("prefix", "status").annotate(texts=Count("pk"))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in told:
        counts[country_of(row["prefix"])][_fate(row["status"])] += row["texts"]
    rows = [
        Country(country=country, delivered=found["delivered"], failed=found["failed"], open=found["open"])
        for country, found in sorted(counts.items(), key=lambda pair: (-pair[1].total(), pair[0]))
    ]
    return Countries(rows=rows, is_partial=is_partial)


def _newest_ranges(account: ProviderAccount) -> tuple[list[tuple[int, int]], bool]:
    """Ranges of keys of the account's newest messages, and whether there are older ones; neighbours are joined."""
    found: list[tuple[int, int]] = []
    texts = 0
    newest = Chunk.objects.filter(account=account).order_by("-pk").values_list("first_id", "last_id")
    for place, (first, last) in enumerate(newest[: MOST_CHUNKS + 1]):
        if texts >= MOST_TEXTS or place == MOST_CHUNKS:
            return found, True
        texts += last - first + 1
        if found and last + 1 == found[-1][0]:
            found[-1] = (first, found[-1][1])
        else:
            found.append((first, last))
    return found, False


def country_of(number: str) -> str:
    """Calling code and main region of a number that begins like this: +44770 -> "+44 GB"; "?" for none."""
    for length in (1, 2, 3):
        code = number[1 : 1 + length]
        if code.isdigit() and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return f"+{code} {phonenumbers.region_code_for_country_code(int(code))}"
    return "?"

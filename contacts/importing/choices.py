"""How a file is read: what was found out about it, and what somebody chose instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.utils.translation import gettext, gettext_noop, override

from contacts.columns import PHONE
from contacts.importing import rows, texts
from contacts.importing.merging import UPDATE
from contacts.models import ContactImport, ContactList

GIVEN_BACK = (gettext_noop("Row in the file"), gettext_noop("What is wrong"))  # what a file given back has besides


@dataclass(slots=True)
class Choices:
    """`headings` is empty until the file has been looked at; `targets` says what becomes of each of them."""

    region: str = ""
    existing: str = UPDATE
    with_country_code: bool = False
    is_workbook: bool = False
    sheets: list[str] = field(default_factory=list)  # of a workbook
    sheet: str = ""
    encoding: str = "utf-8"
    encoding_is_sure: bool = True
    sample: str = ""  # words that look wrong in a wrong encoding
    delimiter: str = ","
    skip: int = 0  # records before the first row that counts
    heading_row: int = 0
    headings: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    @property
    def layout(self) -> texts.Layout:
        return texts.Layout(self.delimiter, self.skip)

    @property
    def flaw(self) -> str:
        """What has to be chosen before the file can be read; "" if nothing."""
        return rows.flaw_of(self.targets) if self.headings else ""

    def stored(self) -> dict[str, Any]:
        return asdict(self)


def of(checked: ContactImport) -> Choices:
    return Choices(**checked.choices)


def remembered(contact_list: ContactList) -> Choices:
    """What was chosen for the last file of this list that was read; for the first, what the organisation says."""
    latest = contact_list.imports.exclude(choices={}).values_list("choices", "columns").first()
    found = Choices(region=contact_list.organization.default_region)
    if latest is not None:
        last = Choices(**latest[0])
        found.region = last.region or found.region
        found.existing, found.with_country_code = last.existing, last.with_country_code
        found.headings, found.targets = last.headings, last.targets
    return found


def guessed(headings: Sequence[str], last: Choices) -> list[str]:
    """What becomes of each column: as it was chosen for the list before, else as its heading says."""
    before = dict(zip(last.headings, last.targets, strict=True))
    found = rows.recognised(headings, before, _given_back())
    if PHONE.name not in found:  # what was left out or kept once does not hide the number of another file
        found = rows.recognised(headings, {}, _given_back())
    return found


def _given_back() -> list[str]:
    """The headings of a file that we gave back, in every language."""
    found = []
    for language, _name in settings.LANGUAGES:
        with override(language):
            found += [gettext(heading) for heading in GIVEN_BACK]
    return found

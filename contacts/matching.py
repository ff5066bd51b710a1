"""Which people of a list the rows of a file are about, so that importing a file twice changes nothing.

A number is somebody; where several rows of one file have the same number they are a household, told apart by their
names. People without a number are compared in the database (importing/merging.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from contacts.models import Contact, ContactList

Values = dict[str, Any]  # a contact's attributes, `fields` among them; empty ones left out


def name_of(values: Values) -> tuple[str, str]:
    """The first and last name by which people with the same number are told apart; empty for somebody without."""
    first, last = (" ".join(values.get(name, "").casefold().split()) for name in ("first_name", "last_name"))
    return first, last


def households(rows: Iterable[Values]) -> set[str]:
    """The numbers that several rows of a file have."""
    numbers = Counter(values["phone"] for values in rows if "phone" in values)
    return {phone for phone, count in numbers.items() if count > 1}


class Register:
    """The people of a list who have some numbers, those included who come from the rows before."""

    def __init__(self, contact_list: ContactList, shared: set[str]) -> None:
        """`shared` are the numbers that several rows of the file have (`households`)."""
        self._list = contact_list
        self._shared = shared

    def people(self, rows: list[Values]) -> Iterator[tuple[Contact, bool]]:
        """For each row, which has a number, the contact it is about, and whether it is new."""
        homes: dict[str, list[Contact]] = {}
        phones = {values["phone"] for values in rows}
        for contact in self._list.contacts.filter(phone__in=phones).order_by("shares_number", "pk"):
            homes.setdefault(contact.phone, []).append(contact)
        named: dict[tuple[str, tuple[str, str]], Contact] = {}
        for home in homes.values():
            for contact in home:
                named.setdefault((contact.phone, _name(contact)), contact)
        for values in rows:
            phone, name = values["phone"], name_of(values)
            home = homes.setdefault(phone, [])
            found = named.get((phone, name))
            if found is None and home and not (any(name) and phone in self._shared):
                found = home[0]  # a row without a name, or the only one: the person may have a new name
            contact = found or self._moved_in(values, home)
            named.setdefault((phone, name), contact)
            yield contact, found is None

    def _moved_in(self, values: Values, home: list[Contact]) -> Contact:
        contact = Contact(
            organization_id=self._list.organization_id,
            contact_list=self._list,
            phone=values["phone"],
            shares_number=bool(home),
        )
        home.append(contact)
        return contact


def _name(contact: Contact) -> tuple[str, str]:
    return name_of({"first_name": contact.first_name, "last_name": contact.last_name})

"""Which people of a list the rows of a file are about, so that importing a file twice changes nothing.

A number is somebody; where several rows of one file have the same number they are a household, told apart by their
names. Without a number, people are told apart by everything else that names them; of those alike, the second row is
about the second person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from contacts.columns import NAMING
from contacts.models import Contact, ContactList
from organizations.reading import pages

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
    """The people of a list, those included who come from the rows before. Loads what each group of rows needs."""

    def __init__(self, contact_list: ContactList, shared: set[str]) -> None:
        self._list = contact_list
        self._shared = shared
        self._homes: dict[str, list[Contact]] = {}  # who has a shared number, kept from group to group
        self._rows_alike: Counter[tuple[str, ...]] = Counter()

    def people(self, group: list[Values]) -> Iterator[tuple[Contact, bool]]:
        """For each row its contact, with what the row says, and whether it is new. Empty cells leave what is there."""
        known: dict[str, list[Contact]] = {}
        phones = [values["phone"] for values in group if "phone" in values]
        for contact in self._list.contacts.filter(phone__in=phones).order_by("shares_number", "pk"):
            known.setdefault(contact.phone, []).append(contact)
        alike = self._alike(group)
        for number, values in enumerate(group):
            phone = values.get("phone", "")
            home = (
                self._homes.setdefault(phone, known.get(phone, [])) if phone in self._shared else known.get(phone, [])
            )
            found = self._at_home(values, home) if phone else alike.get(number)
            contact = found or self._moved_in(phone, home)
            for name, value in values.items():
                setattr(contact, name, {**contact.fields, **value} if name == "fields" else value)
            yield contact, found is None

    def _at_home(self, values: Values, home: list[Contact]) -> Contact | None:
        """Who of those with this number the row is about; None if nobody."""
        name = name_of(values)
        found = next((contact for contact in home if _name(contact) == name), None)
        if found is None and not (any(name) and values["phone"] in self._shared):
            found = next(iter(home), None)  # a row without a name, or the only one: the person may have a new name
        return found

    def _moved_in(self, phone: str, home: list[Contact]) -> Contact:
        contact = Contact(
            organization_id=self._list.organization_id, contact_list=self._list, shares_number=bool(phone and home)
        )
        if phone:
            home.append(contact)
        return contact

    def _alike(self, group: list[Values]) -> dict[int, Contact]:
        """For rows without a number, by their place in the group: the contact, if there is one."""
        places: dict[int, int] = {}
        for number, values in enumerate(group):
            if "phone" not in values:
                naming = tuple(values.get(name, "") for name in NAMING)
                existing = self._without_number.get(naming, [])
                if self._rows_alike[naming] < len(existing):
                    places[number] = existing[self._rows_alike[naming]]
                self._rows_alike[naming] += 1
        contacts = Contact.objects.in_bulk(set(places.values())) if places else {}
        return {number: contacts[pk] for number, pk in places.items() if pk in contacts}

    @cached_property
    def _without_number(self) -> dict[tuple[str, ...], list[int]]:
        """Who is on the list without a number, before the first of the file is added: keys by what names them."""
        found: dict[tuple[str, ...], list[int]] = {}
        for page in pages(self._list.contacts.filter(phone=""), "pk", *NAMING):
            for pk, *naming in page:
                found.setdefault(tuple(naming), []).append(pk)
        return found


def _name(contact: Contact) -> tuple[str, str]:
    return name_of({"first_name": contact.first_name, "last_name": contact.last_name})

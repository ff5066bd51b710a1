"""What is known of a person: each column of a contact is one row here, and everything else reads it from here.

Files that are imported, their example and their errors, exports, placeholders in texts, the pages of contacts and what
tells people apart go by this table. Pure. CONTRIBUTING.md has what a new column takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

MORE = 10  # places in the form from here on are under “More”


def bare(heading: str) -> str:
    """What a heading is recognised by."""
    return re.sub(r"[\s\-_./]", "", heading.casefold())


@dataclass(frozen=True, slots=True)
class ContactColumn:
    """A column of a contact.

    `name` heads it in files and is its placeholder, `attribute` is where the contact has it, `limit` how many
    characters a cell may have. `others` are further headings that people use for it, as `bare` leaves them: English
    and German ones.
    """

    name: str
    attribute: str
    limit: int
    example: str
    others: frozenset[str] = frozenset()
    place: int = 99  # in the form, and in the list
    listed: bool = False  # in the list of contacts
    lookup: str = ""  # how the list's search compares it, "" for not at all; what is said about it is SEARCHED
    naming: bool = False  # people without a number are told apart by it
    exported: bool = True
    pipeable: bool = True


COLUMNS: tuple[ContactColumn, ...] = (
    ContactColumn(
        "FirstName",
        "first_name",
        limit=200,
        example="Ada",
        others=frozenset({"first", "vorname", "givenname", "forename"}),
        place=1,
        lookup="istartswith",
        naming=True,
    ),
    ContactColumn(
        "LastName",
        "last_name",
        limit=200,
        example="Lovelace",
        others=frozenset({"last", "nachname", "surname", "familyname", "familienname"}),
        place=2,
        lookup="istartswith",
        naming=True,
    ),
    ContactColumn(
        "Email",
        "email",
        limit=254,
        example="ada@example.org",
        others=frozenset({"emailaddress", "mail", "emailadresse"}),
        place=MORE,
        listed=True,
        naming=True,
    ),
    ContactColumn(
        "Phone",
        "phone",
        limit=40,  # as it is written: it becomes E.164
        example="+4915112345678",
        others=frozenset(
            {"phonenumber", "mobile", "mobilephone", "mobilenumber", "cell", "cellphone", "cellnumber", "telephone"}
            | {"telephonenumber", "tel", "telefon", "telefonnummer", "handy", "handynummer", "mobil", "mobilnummer"}
            | {"mobiltelefon", "rufnummer", "msisdn"}
        ),
        place=3,
        listed=True,
        lookup="startswith",
    ),
    ContactColumn(
        "ExternalDataReference",
        "external_reference",
        limit=200,
        example="A-1",
        others=frozenset({"externalreference", "externaldataref", "extref", "externalid", "externereferenz"}),
        place=MORE + 2,
        lookup="iexact",
        naming=True,
    ),
    ContactColumn(
        "Language",
        "language",
        limit=10,
        example="en",
        others=frozenset({"sprache", "lang", "locale"}),
        place=MORE + 1,
    ),
)
SEARCHED = _("Beginning of a number (+…) or a name, or a whole external reference")

BY_NAME = {column.name: column for column in COLUMNS}
NAMES = frozenset().union(*({bare(column.name)} | column.others for column in COLUMNS))  # as `bare` leaves them
PHONE = next(column for column in COLUMNS if column.attribute == "phone")
IN_EXPORTS = tuple(column for column in COLUMNS if column.exported)
IN_TEXTS = tuple(column for column in COLUMNS if column.pipeable)
IN_FORM = tuple(sorted(COLUMNS, key=lambda column: column.place))
NAMING = tuple(column.attribute for column in COLUMNS if column.naming)

# Of our exports: since when somebody has opted out. An import reads it, and nobody else fills it in.
OPTED_OUT, OPTED_OUT_AT = "OptedOut", "opted_out_at"
OWN_FIELD = ("City", "London")  # what an example has besides: a column of the organisation's own

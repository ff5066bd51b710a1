"""Importing: a file of people against a bare COPY of the same rows into the same table, and its memory."""

from __future__ import annotations

import io
import resource
import time

from django.db import connection

from bench.rig import row, verdict
from contacts import importing
from contacts.importing import steps
from contacts.models import ContactImport, new_contact_ids
from tests import factories

GROUP = 2_000  # rows that are copied at once


def _lines(rows: int) -> str:
    return "".join(f"+49151{index:08d},Ada{index},Lovelace,a{index}@example.org,Bonn\n" for index in range(rows))


def _copied(organization_id: int, list_id: int, rows: int) -> float:
    """Seconds of a bare COPY, committed once."""
    columns = "public_id, organization_id, contact_list_id, phone, first_name, last_name, email, external_reference, "
    columns += "language, fields, shares_number, created_at"
    began = time.monotonic()
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY contacts_contact ({columns}) FROM STDIN") as copy,
    ):
        for start in range(0, rows, GROUP):
            ids = new_contact_ids(GROUP)
            copy.write(
                "".join(
                    f"{ids[index - start]}\t{organization_id}\t{list_id}\t+49151{index:08d}\tAda{index}\tLovelace\t"
                    f'a{index}@example.org\t\t\t{{"City": "Bonn"}}\tf\t2026-11-27\n'
                    for index in range(start, min(start + GROUP, rows))
                )
            )
    return time.monotonic() - began


def run(rows: int = 1_000_000) -> bool:
    print(f"\nImporting {rows:,} people")
    clinic = factories.organization(default_region="DE")
    ada = factories.administrator(clinic)
    bare = _copied(clinic.pk, factories.contact_list(clinic).pk, rows)

    people = factories.contact_list(clinic)
    file = io.BytesIO(f"Phone,FirstName,LastName,Email,City\n{_lines(rows)}".encode())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    checked = importing.upload(people, file, "people.csv", ada)
    kept = time.monotonic() - began
    began = time.monotonic()
    more = True
    while more:
        more = steps.step(ContactImport.objects.get(pk=checked.pk))
    read = time.monotonic() - began
    began = time.monotonic()
    done = importing.run(ContactImport.objects.get(pk=checked.pk), ada)
    written = time.monotonic() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    whole = kept + read + written
    row("", "seconds", "us a row")
    for name, seconds in (
        ("a bare COPY into the table", bare),
        ("keeping the file, encrypted", kept),
        ("reading, checking and comparing it", read),
        ("writing it to the list", written),
        ("all of it", whole),
    ):
        row(name, f"{seconds:.1f}", f"{1e6 * seconds / rows:.0f}")
    return all(
        [
            verdict("rows that are on the list", done.new / rows, 1),
            verdict("speed of writing against a bare COPY", bare / written, 0.3),
            verdict("speed of all of it against a bare COPY", bare / whole, 0.3),
            verdict("memory it adds (MB)", grown, 100, at_most=True),
        ]
    )

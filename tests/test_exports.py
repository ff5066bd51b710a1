"""Downloads: whole or not there, safe in every spreadsheet, in the reader's own form, and readable by our import."""

import ast
import csv
import io
import re
import threading
from pathlib import Path

import pytest
from django.db import OperationalError, connection, connections
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts import importing
from contacts import pages as contact_pages
from contacts.exports import download, is_count, safe_cell, unsafe_cell
from contacts.models import Contact
from distributions.models import Distribution
from organizations import reading
from tests import factories

LISTS = "/admin/contacts/contactlist"
ROOT = Path(__file__).resolve().parent.parent
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
TRICKY = st.text(st.sampled_from("=+-@＝＋－＠,;|\t\r\n\u2028\u0085 '\"\ufeffaö5") | st.characters(codec="utf-8"))


@pytest.fixture
def site(client, clinic):
    client.force_login(factories.administrator(clinic))
    return client


def content_of(response):
    return b"".join(response.streaming_content)


def lines_of(response):
    return content_of(response).decode("utf-8-sig").splitlines()


# --- cells ------------------------------------------------------------------------------------------------------------


@given(TRICKY)
def test_no_spreadsheet_finds_a_formula_in_a_cell_wherever_it_ends_one(text):
    for part in re.split(r"[,;|\t\r\n\v\f\u0085\u2028\u2029]", safe_cell(text)):
        assert not part.lstrip('"\ufeff' + "".join(map(chr, range(33))) + "\xa0\u2003\u3000").startswith(FORMULA)


@given(TRICKY)
def test_a_marked_cell_is_read_back_as_it_was(text):
    assert unsafe_cell(safe_cell(text)) == text


@pytest.mark.parametrize("text", ["fine", "9-5", "Meyer-Schmidt", "ada@example.org", "a = b", "it's", "well, yes; no"])
def test_honest_text_is_left_as_it_is(text):
    assert safe_cell(text) == text


def test_a_number_stays_a_number_and_follows_the_readers_country():
    rows = [["a", "b", "c"], [-5, 2.5, "-5"]]

    assert lines_of(download("x.csv", rows)) == ["a,b,c", "-5,2.5,'-5", "# 1 row,,"]
    with translation.override("de"):
        assert lines_of(download("x.csv", rows)) == ["a;b;c", "-5;2,5;'-5", "# 1 Zeile;;"]


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_the_last_line_tells_the_number_of_rows_and_the_length_is_announced(site, clinic):
    patients = factories.contact_list(clinic, 3)

    response = site.get(f"{LISTS}/{patients.pk}/export/")
    content = content_of(response)
    *rows, last = csv.reader(io.StringIO(content.decode("utf-8-sig")))

    assert last[0] == "# 3 rows"
    assert is_count(last)
    assert len(last) == len(rows[0])  # for strict readers
    assert response["Content-Length"] == str(len(content))


def test_an_empty_export_says_so(site, clinic):
    patients = factories.contact_list(clinic)

    assert lines_of(site.get(f"{LISTS}/{patients.pk}/export/"))[-1].startswith("# 0 rows")


def test_an_export_that_cannot_be_read_to_the_end_is_no_file():
    def rows():
        yield ["a"]
        yield ["b"]
        raise OperationalError("the connection is gone")

    with pytest.raises(OperationalError):
        download("x.csv", rows())


def test_pages_hold_every_row_once_whatever_comes_and_goes_meanwhile(clinic):
    patients = factories.contact_list(clinic, 25)
    keys = list(patients.contacts.values_list("pk", flat=True))
    seen = []

    for number, found in enumerate(reading.pages(patients.contacts.all(), "pk", size=4)):
        seen += [key for (key,) in found]
        if number == 1:
            Contact.objects.filter(pk__in=[keys[0], keys[20]]).delete()
            Contact.objects.create(organization=clinic, contact_list=patients, phone="+447700900999")
        Contact.objects.filter(pk=keys[10]).update(first_name="changed")

    assert seen == [key for key in keys if key != keys[20]]


def test_pages_of_a_history_follow_the_contacts(clinic):
    made = factories.distribution(clinic, recipients=7)

    found = [message for page in reading.pages(made.messages.all(), key="contact_id", size=3) for message in page]

    assert [message.contact_id for message in found] == sorted(message.contact_id for message in found)
    assert len(found) == 7


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_page_whose_connection_is_lost_is_read_again():
    clinic = factories.organization()
    patients = factories.contact_list(clinic, 10)
    seen = []

    for found in reading.pages(patients.contacts.all(), "phone", size=3):
        seen += found
        if len(seen) < 10:
            cut_the_connection()

    assert len(seen) == len(set(seen)) == 10


def cut_the_connection():
    """As a restart of PgBouncer or PostgreSQL does: from the other side."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]

    def kill():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        connections.close_all()

    thread = threading.Thread(target=kill)
    thread.start()
    thread.join()


def test_a_database_that_stays_away_is_an_error(monkeypatch, db):
    monkeypatch.setattr(reading, "PAUSES", (0.0, 0.0))
    asked = []

    def read():
        asked.append(1)
        raise OperationalError("the connection is gone")

    with pytest.raises(OperationalError):
        reading.again(read)
    assert len(asked) == 1  # inside a transaction: what it has read before is gone with the connection


def test_no_page_of_ours_reads_by_a_cursor_of_the_server():
    """A cursor lives on one connection, and PgBouncer gives another one to each transaction."""
    if connection.vendor == "postgresql":
        assert connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]
    for path in ROOT.glob("[a-z]*/**/*.py"):
        if path.relative_to(ROOT).parts[0] in ("tests", "bench", "simulator") or "management" in path.parts:
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = [call.func.attr for call in calls if isinstance(call.func, ast.Attribute)]
        assert "iterator" not in names, path


# --- the round trip ---------------------------------------------------------------------------------------------------

WORDS = st.text(
    st.sampled_from("=+-@＝;,|' \"aöß#5") | st.characters(codec="utf-8", categories=["L", "N"]), max_size=12
).map(str.strip)
PEOPLE = st.lists(st.tuples(WORDS, WORDS, st.dictionaries(st.sampled_from(["City", "=A", "a;b,c,d,e,f,g"]), WORDS)))


def people_of(contact_list):
    return [
        (row.first_name, row.last_name, row.email, row.phone, row.external_reference, row.language, row.fields)
        for row in contact_list.contacts.order_by("pk")
    ]


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_exported_list_imported_again_gives_the_same_people(clinic, rf, language):
    ada = factories.administrator(clinic)
    request = rf.get("/")
    request.user = ada

    @settings(deadline=None, max_examples=20)
    @given(PEOPLE.filter(len))
    def round_trip(people):
        patients, other = factories.contact_list(clinic), factories.contact_list(clinic)
        Contact.objects.bulk_create(
            Contact(
                organization=clinic,
                contact_list=patients,
                first_name=first,
                last_name=last,
                phone=f"+4477009{number:05d}",
                fields={name: text for name, text in fields.items() if text},
            )
            for number, (first, last, fields) in enumerate(people)
        )
        with translation.override(language):
            content = content_of(contact_pages.export(request, patients))

        importing.run(importing.check(other, io.BytesIO(content), "p.csv", ada), ada)

        assert people_of(other) == people_of(patients)

    round_trip()


SPELLINGS = ["City", "city", " CITY ", "Phone", "phone", "first  name", "ward", "Ward"]


def test_columns_that_differ_in_spelling_alone_are_one_and_the_file_is_taken_again(clinic, rf):
    """From the API and the form, columns come in any spelling; in a file each stands once, and no value is lost."""
    request = rf.get("/")
    request.user = ada = factories.administrator(clinic)

    def columns(people):
        return [
            {" ".join(name.split()).casefold().removesuffix(" (2)"): value for name, value in contact.fields.items()}
            for contact in people.contacts.order_by("phone")
        ]

    @settings(deadline=None, max_examples=15)
    @given(
        st.lists(st.dictionaries(st.sampled_from(SPELLINGS), st.sampled_from(["Wien", "Bonn"]), min_size=1), min_size=1)
    )
    def round_trip(people):
        patients, other = factories.contact_list(clinic), factories.contact_list(clinic)
        Contact.objects.bulk_create(
            Contact(organization=clinic, contact_list=patients, phone=f"+4477009{number:05d}", fields=fields)
            for number, fields in enumerate(people)
        )

        content = content_of(contact_pages.export(request, patients))
        importing.run(importing.check(other, io.BytesIO(content), "p.csv", ada), ada)

        assert columns(other) == columns(patients)

    round_trip()


def test_every_export_ends_with_its_number_of_rows(site, clinic):
    made = factories.distribution(clinic, recipients=2, state=Distribution.State.DRAFT)
    base = f"/admin/distributions/distribution/{made.pk}"

    for address, number in (
        (f"{base}/messages.csv", 2),
        (f"{base}/answers.csv", 0),
        (f"{base}/skipped.csv", 0),
        (f"{LISTS}/{made.contact_list_id}/export/", 2),
        ("/admin/contacts/optout/export/", 0),
    ):
        last = lines_of(site.get(address))[-1]
        assert re.match(rf"# {number} rows,*$", last), (address, last)

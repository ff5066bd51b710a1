"""Contacts from a file: everything is checked first, then all good rows are written, or none."""

import io
import sys
import tracemalloc
from typing import NamedTuple
from unittest.mock import patch

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts import importing, numbers, opt_outs, tasks
from contacts.exports import safe_cell, unsafe_cell
from contacts.importing import ImportRefused, UnreadableFile, choices, limits, merging, steps
from contacts.importing.choices import Choices
from contacts.models import Contact, ContactImport, ImportPortion
from distributions.planning import starting
from distributions.planning.review import recipients
from organizations import audit
from tests import factories


@pytest.fixture
def clinic(db):
    return factories.organization(default_region="DE")


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic)


@pytest.fixture
def ada(clinic):
    return factories.administrator(clinic)


def check(patients, ada, content):
    data = content if isinstance(content, bytes) else content.encode()
    return importing.check(patients, io.BytesIO(data), "patients.csv", ada)


def problems(checked):
    return [(problem.row, problem.column, problem.sentence) for problem in importing.problems_of(checked)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end_of_line", ["\n", "\r\n", "\r"])
def test_a_file_is_read_whatever_its_delimiter_mark_and_line_ends(patients, ada, delimiter, mark, end_of_line):
    lines = [
        ["FirstName", "LastName", "Email", "Phone", "ExternalDataReference", "Language", "City"],
        ["Ada", "Lovelace", "ada@example.org", "015112345678", "A-1", "en", "Köln"],
        ["Grace", "Hopper", "", "+14015555555", "", "", ""],
    ]
    data = mark + end_of_line.join(delimiter.join(cells) for cells in lines).encode()

    importing.run(check(patients, ada, data), ada)

    first, second = patients.contacts.all()
    assert (first.first_name, first.last_name, first.email) == ("Ada", "Lovelace", "ada@example.org")
    assert (first.phone, first.external_reference, first.language) == ("+4915112345678", "A-1", "en")
    assert first.fields == {"City": "Köln"}
    assert (second.first_name, second.phone, second.fields) == ("Grace", "+14015555555", {})


@pytest.mark.parametrize(
    "headings",
    [
        "Vorname;Nachname;E-Mail;Handynummer",
        "first name;Last_Name;e-mail;Phone number",
        "FIRSTNAME;surname;mail;MOBILE",
    ],
)
def test_common_headings_are_recognised(patients, ada, headings):
    importing.run(check(patients, ada, headings + "\nAda;Lovelace;a@example.org;015112345678\n"), ada)

    contact = patients.contacts.get()
    assert (contact.first_name, contact.last_name, contact.email) == ("Ada", "Lovelace", "a@example.org")
    assert contact.fields == {}


def test_a_heading_that_is_exactly_ours_wins_over_other_words_for_it(patients, ada):
    importing.run(check(patients, ada, "Phone,Mobile\n015112345678,0170 1234567\n"), ada)

    assert patients.contacts.get().fields == {"Mobile": "0170 1234567"}


def test_the_line_that_names_the_delimiter_for_excel_is_understood(patients, ada):
    checked = check(patients, ada, "sep=;\nPhone;City\n0151;Köln, Deutz\n")

    assert [row for row, _column, _sentence in problems(checked)] == [3]  # as the spreadsheet counts


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04whatever", "not a spreadsheet that can be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not a spreadsheet that can be read"),
        (b"%PDF-1.7 whatever", "neither a text file nor a spreadsheet"),
        (b"<html xmlns:x='urn:schemas-microsoft-com:office:excel'><table>", "neither a text file nor a spreadsheet"),
        (b'\xef\xbb\xbf\r\n<?xml version="1.0"?>\n<Workbook>', "neither a text file nor a spreadsheet"),
        (b"BEGIN:VCARD\nTEL:+4915112345678\n", "neither a text file nor a spreadsheet"),
        (b"Phone\n0151\x0012345678", "Line 2 contains a NUL"),
        (b"\n\n", "no headings"),
        (b"Phone,City\n", "no rows"),
        (b"Phone,City\n,\n\n", "no rows"),
        (b"FirstName\nAda", "no column “Phone”. The first row names these columns: “FirstName”."),
        (b"Ada|London\n", "separated by commas, semicolons or tabs"),
        (b"015112345678,Ada\n015112345679,Bob", "The first row holds a phone number"),
        (b'Phone,City\n015112345678,"Bonn', "Row 2 cannot be read"),
        (b'Phone,City\n015112345678,"Bonn" am Rhein', "Row 2 cannot be read"),
        (b"Phone," + b"x" * 201 + b"\n1,2", "longer than 200 characters"),
        (b"Phone," + b",".join(b"c%d" % number for number in range(200)) + b"\n1", "201 columns; at most 200"),
    ],
)
def test_an_unreadable_file_is_refused_with_a_sentence(patients, ada, content, words):
    with pytest.raises(UnreadableFile) as refusal:
        check(patients, ada, content)

    assert words in str(refusal.value)
    assert not ContactImport.objects.exists()


def test_a_file_that_is_too_long_or_too_large_is_refused(patients, ada, monkeypatch):
    monkeypatch.setattr(limits, "MAX_ROWS", 2)
    with pytest.raises(UnreadableFile, match="more than 2 rows"):
        check(patients, ada, "Phone\n015112345671\n015112345672\n015112345673\n")
    monkeypatch.setattr(limits, "MAX_BYTES", 10)
    with pytest.raises(UnreadableFile, match="larger than"):
        check(patients, ada, "Phone\n015112345671\n")


def test_every_wrong_row_is_named_and_the_others_can_be_imported(patients, ada):
    checked = check(
        patients,
        ada,
        "Phone,FirstName,City\n"
        "015112345678,Ada,Bonn\n"
        "abc,Grace,Bonn\n"
        "0151 12345678/79,Adele,Bonn\n"
        f"015112345679,Edith,{'x' * 1025}\n"
        "4.91512E+12,Mary,Bonn\n"
        f"015112345680,{'y' * 201},Bonn,more\n"
        "\n"
        "110,Police,Bonn\n",
    )

    found = problems(checked)
    assert [(row, column) for row, column, _sentence in found] == [
        (3, "Phone"),
        (4, "Phone"),
        (5, "City"),
        (6, "Phone"),
        (7, ""),
        (7, "FirstName"),
        (9, "Phone"),
    ]
    assert "“abc” is not a phone number; write it with the country code" in found[0][2]
    assert "looks like several numbers" in found[1][2]
    assert "1025 characters; at most 1024" in found[2][2]
    assert "shortened by a spreadsheet" in found[3][2]
    assert "4 cells, but there are 3 headings" in found[4][2]
    assert checked.problem_count == 7
    assert (checked.total, checked.bad_rows) == (7, 6)
    importing.run(checked, ada)
    assert [contact.first_name for contact in patients.contacts.all()] == ["Ada"]


def test_a_file_without_a_good_row_is_not_imported(patients, ada):
    checked = check(patients, ada, "Phone,FirstName\nabc,Ada\n")

    with pytest.raises(ImportRefused, match="No row of this file can be imported"):
        importing.run(checked, ada)
    assert not Contact.objects.exists()


def test_a_number_in_no_known_range_is_pointed_out_but_taken(patients, ada):
    checked = check(patients, ada, "Phone\n+447700900123\n")

    assert checked.problem_count == 0
    assert checked.doubt_count == 1
    assert "Is it right?" in problems(checked)[0][2]
    importing.run(checked, ada)
    assert patients.contacts.get().phone == "+447700900123"


def test_a_row_without_a_number_is_imported_and_counted(patients, ada):
    checked = check(patients, ada, "FirstName,Phone\nAda,\n")

    assert (checked.total, checked.new, checked.without_phone) == (1, 1, 1)
    importing.run(checked, ada)
    assert patients.contacts.get().phone == ""


def test_a_number_on_the_list_is_updated_and_empty_cells_change_nothing(clinic, patients, ada):
    Contact.objects.create(
        organization=clinic,
        contact_list=patients,
        phone="+4915112345678",
        first_name="Adah",
        last_name="Lovelace",
        fields={"City": "London", "Plan": "A"},
    )

    checked = check(patients, ada, "Phone,FirstName,LastName,City\n0151 12345678,Ada,,Bonn\n015112345679,Grace,,\n")
    importing.run(checked, ada)

    assert (checked.new, checked.updated) == (1, 1)
    contact = patients.contacts.get(phone="+4915112345678")
    assert (contact.first_name, contact.last_name, contact.fields) == ("Ada", "Lovelace", {"City": "Bonn", "Plan": "A"})


def test_importing_a_file_twice_changes_nothing_the_second_time(patients, ada):
    content = "Phone,FirstName,City\n015112345678,Ada,Bonn\n,Grace,\n"
    first = check(patients, ada, content)
    importing.run(first, ada)
    importing.run(first, ada)  # a double click
    second = importing.run(check(patients, ada, content), ada)

    assert (second.new, second.updated) == (0, 2)
    assert patients.contacts.count() == 2


def test_somebody_who_opted_out_stays_opted_out(clinic, patients, ada):
    opt_outs.opt_out(clinic, "+4915112345678", "keyword")

    checked = check(patients, ada, "Phone\n015112345678\n015112345679\n")
    importing.run(checked, ada)

    assert checked.opted_out == 1
    assert patients.contacts.get(phone="+4915112345678").opted_out_at is not None
    assert patients.contacts.get(phone="+4915112345679").opted_out_at is None


def test_nothing_is_half_imported(patients, ada, monkeypatch):
    monkeypatch.setattr(steps, "STEP", 10)
    lines = "".join(f"01511234{number:04d}\n" for number in range(50))
    checked = check(patients, ada, "Phone\n" + lines)

    def breaks(*_arguments, **_values):
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken:
        broken.setattr(audit, "record", breaks)
        with pytest.raises(RuntimeError):
            importing.run(checked, ada)
    assert not Contact.objects.exists()

    importing.run(checked, ada)
    assert patients.contacts.count() == 50


def test_a_checked_file_that_was_replaced_is_no_longer_there(patients, ada):
    first = check(patients, ada, "Phone\n015112345678\n")
    check(patients, ada, "Phone\n015112345679\n")

    with pytest.raises(ImportRefused, match="no longer stored"):
        importing.run(first, ada)


def test_a_large_file_is_written_in_few_statements(patients, ada, django_assert_max_num_queries):
    lines = "".join(f"0151{number:08d},Ada{number},Bonn\n" for number in range(3_000))
    checked = check(patients, ada, "Phone,FirstName,City\n" + lines)

    with django_assert_max_num_queries(100):
        importing.run(checked, ada)

    assert patients.contacts.count() == 3_000


# --- who is who -------------------------------------------------------------------------------------------------------


def names_of(contact_list):
    return [f"{row.first_name} {row.last_name} {row.phone}".strip() for row in contact_list.contacts.order_by("pk")]


NAMES = st.sampled_from(["", "Ada", "Bob", "Cy"])
PHONES = st.sampled_from(["", "015112345671", "015112345672"])
ROWS = st.lists(st.tuples(PHONES, NAMES, NAMES), min_size=1, max_size=8)


@pytest.mark.django_db(transaction=True)
@given(ROWS, st.integers(1, 3))
@settings(deadline=None, max_examples=15)
def test_importing_any_file_again_changes_nothing(rows, size):
    """People alike without a number, households, the same person twice, in groups of any size."""
    clinic = factories.organization(default_region="DE")
    patients, ada = factories.contact_list(clinic), factories.administrator(clinic)
    content = "Phone,FirstName,LastName\n" + "".join(",".join(row) + ",\n" for row in rows if any(row))
    if content.count("\n") == 1:
        return
    with patch.object(steps, "STEP", size), patch.object(merging, "_GROUP", 10 * size):
        first = importing.run(check(patients, ada, content), ada)
        before = names_of(patients)
        second = importing.run(check(patients, ada, content), ada)

    assert (second.new, second.updated) == (0, first.new + first.updated)
    assert names_of(patients) == before
    named = {(phone, first, last) for phone, first, last in rows if phone and (first or last)}
    assert len(before) >= len(named)


def test_a_household_is_imported_and_its_number_is_kept_for_one_text(patients, ada):
    checked = check(patients, ada, "Phone,FirstName\n015112345678,Ada\n0151 12345678,Bob\n015112345678,Ada\n")
    importing.run(checked, ada)

    assert checked.problem_count == 0
    assert [sentence for _row, _column, sentence in problems(checked)] == [
        "The same number as in row 2: +4915112345678. Both are imported; the number gets one text.",
        "The same person as in row 2: one contact, one text.",
    ]
    assert [(row.first_name, row.shares_number) for row in patients.contacts.all()] == [("Ada", False), ("Bob", True)]


def test_whoever_has_a_number_to_themselves_may_get_a_new_name_but_nobody_of_a_household_gets_anothers(patients, ada):
    importing.run(check(patients, ada, "Phone,FirstName\n015112345678,Ada\n"), ada)

    importing.run(check(patients, ada, "Phone,FirstName\n015112345678,Bob\n015112345678,Ada\n"), ada)
    importing.run(check(patients, ada, "Phone,FirstName,City\n015112345678,Bob,Bonn\n"), ada)

    assert [(row.first_name, row.fields) for row in patients.contacts.all()] == [("Ada", {}), ("Bob", {"City": "Bonn"})]


def test_more_people_than_a_household_has_cannot_share_a_number(patients, ada, monkeypatch):
    monkeypatch.setattr(merging, "MAX_HOUSEHOLD", 2)
    file = "Phone,FirstName\n015112345678,Ada\n015112345678,Bob\n"
    assert check(patients, ada, file).new == 2

    with pytest.raises(UnreadableFile, match=r"\+4915112345678 appears in 3 rows"):
        check(patients, ada, file + "0151 1234-5678,Cy\n")


def test_what_is_doubtful_of_several_households_is_told_in_the_order_of_the_file(patients, ada):
    checked = check(
        patients, ada, "Phone,FirstName\n015112345679,Ada\n015112345678,Bob\n015112345678,Cy\n015112345679,Di\n"
    )

    assert [row for row, _column, _sentence in problems(checked)] == [4, 5]


def test_a_list_remembers_how_its_last_file_was_read(clinic, patients):
    assert choices.remembered(patients).region == "DE"
    for region, existing in (("CH", "skip"), ("AT", "update"), ("", "skip")):
        ContactImport.objects.create(
            organization=clinic,
            contact_list=patients,
            choices=Choices(region=region, existing=existing).stored() if region else {},  # it could not be read
        )
    other = ContactImport.objects.create(
        organization=clinic, contact_list=factories.contact_list(clinic), choices=Choices(region="FR").stored()
    )

    last = choices.remembered(patients)
    assert (last.region, last.existing) == ("AT", "update")
    assert choices.remembered(other.contact_list).region == "FR"


def test_one_text_goes_to_one_number_whoever_of_the_household_is_still_there(clinic, patients, ada):
    importing.run(check(patients, ada, "Phone,FirstName\n015112345678,Ada\n015112345678,Bob\n015112345678,Cy\n"), ada)

    assert [reason for _contact, reason in recipients(draft(clinic, patients))] == ["", "duplicate", "duplicate"]
    patients.contacts.filter(first_name="Ada").delete()
    made = draft(clinic, patients, state="launching")
    while starting.expand(made.pk):
        pass

    assert [(row.status, row.reason) for row in made.messages.order_by("pk")] == [
        ("queued", ""),
        ("skipped", "duplicate"),
    ]


def draft(clinic, patients, **fields):
    return factories.distribution(clinic, contact_list=patients, account=factories.account(clinic), **fields)


def test_whoever_is_exported_as_opted_out_comes_back_so(patients, ada):
    moment = "2026-11-01T10:00:00+00:00"
    checked = check(patients, ada, f"Phone,OptedOut\n015112345678,{moment}\n015112345679,\n015112345670,no\n")
    importing.run(checked, ada)

    out, within, other = patients.contacts.all()
    assert (out.opted_out_at.isoformat(), out.fields) == (moment, {})
    assert (within.opted_out_at, other.opted_out_at, other.fields) == (None, None, {"OptedOut": "no"})


# --- what hides in files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf\xef\xbb\xbfPhone,City\n015112345678,Bonn\n",
        b"\xef\xbb\xbfPhone,City\n\xef\xbb\xbf015112345678,Bonn\n",
        b'\xef\xbb\xbf\xef\xbb\xbf"Phone","City"\n"015112345678","Bonn"\n',
        b"\n\r\n,\nPhone,City\n015112345678,Bonn\n",
        b"Phone,City\n015112345678,Bonn\n\x1a",
        b"Phone,City\n015112345678,Bonn\n\x1a\x1a,\x07\n\xc2\xa0,\xe2\x80\x8b\n",
        b"\xe2\x80\x8bPhone,City\n015112345678,Bonn\xc2\x85\n",
        b"sep=,\nPhone,City\n015112345678,Bonn\n",
        b'"Phone";"City"\n"015112345678";"Bonn"\n# 1 Zeile;\n',
        b"Phone;City;a,b,c,d,e\n015112345678;Bonn;\n",
    ],
)
def test_marks_and_control_characters_hide_nothing_and_are_nobody(patients, ada, content):
    importing.run(check(patients, ada, content), ada)

    assert [(row.phone, row.fields) for row in patients.contacts.all()] == [("+4915112345678", {"City": "Bonn"})]


MANY = 5_000


@pytest.mark.once
@pytest.mark.parametrize(
    "content",
    [
        lambda size: b"Phone" + b"," * size + b"\n" + b"015112345678\n" * 50,
        lambda size: b"," * size + b"\nPhone\n015112345678\n",
        lambda size: b"Phone,City\n" + b"015112345678" + b"," * size + b"\n",
        lambda size: b"Phone,City\n" + (b"," * 500 + b"\n") * (size // 500),
        lambda size: b'Phone,City\n"' + b"\n" * size,
        lambda size: b"Phone,City\n" + b'"\n",' * (size // 4),
        lambda size: b'"' * size,
        lambda size: b'Phone,"' + b'""' * (size // 2) + b'"\n1\n',
        lambda size: b"\n" * size,
        lambda size: b"Phone\n" + b"9" * size + b"\n",
        lambda size: b"Phone\n" + b"1/" * size + b"\n",
        lambda size: b"Phone,City\n" + b"1," + b"=," * size + b"\n",
        lambda size: b"Phone,City\n" + b'1,"' + b", '" * (size // 3) + b'="\n',
        lambda size: b"Phone\n" + b"abc\n" * (size // 4),
        lambda size: b"Phone,FirstName\n" + b"015112345678,Ada\n" * (size // 20),
        lambda size: b"Phone,ExternalDataReference\n" + b",A\n" * (size // 20),
        lambda size: b"sep=" + b";" * size,
        lambda size: ("Phone," + "\u2028" * size + "\n1,2\n").encode(),
    ],
)
def test_reading_a_hostile_file_takes_steps_and_memory_in_proportion_to_its_size(patients, ada, content):
    once, twice = (cost(patients, ada, content(size)) for size in (MANY, 2 * MANY))

    assert twice.calls <= 2.5 * once.calls + 5_000
    assert twice.peak <= 2.5 * once.peak + 1_000_000
    assert once.calls <= 20_000 + 100 * MANY
    assert once.peak <= 2_000_000 + 1_000 * MANY


class Cost(NamedTuple):
    calls: int
    peak: int  # bytes


def cost(patients, ada, content):
    calls = 0

    def count(*_arguments):
        nonlocal calls
        calls += 1

    tracemalloc.start()
    sys.setprofile(count)
    try:
        importing.run(check(patients, ada, content), ada)
    except (UnreadableFile, ImportRefused):
        pass  # refusing is fine, as long as it is cheap
    finally:
        sys.setprofile(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return Cost(calls, peak)


def test_all_columns_count_empty_ones_too(patients, ada):
    with pytest.raises(UnreadableFile, match="300,001 columns; at most 200"):
        check(patients, ada, b"Phone" + b"," * 300_000 + b"\n015112345678\n")


# --- numbers with their country code ----------------------------------------------------------------------------------

WITH_CODE = "Phone,FirstName\n015112345678,Ada\n14015555555,Grace\n447911123456,Bob\n"


def test_digits_of_other_countries_are_taken_after_one_choice_for_the_file(client, clinic, patients, ada):
    client.force_login(ada)
    upload = f"/admin/contacts/contactlist/{patients.pk}/import/"
    assert "country code</label>" not in client.get(upload).text  # nothing has asked for it yet

    checked = client.post(upload, {"file": SimpleUploadedFile("p.csv", WITH_CODE.encode())})
    page = client.get(checked.url).text
    assert "another country (United States)" in page
    assert "Do the numbers in this file carry their country code?" in page
    assert not patients.contacts.exists()

    chosen = client.post(checked.url, {"with_country_code": "on"})
    assert "read with their country code, as you said" in client.get(chosen.url).text
    client.post(chosen.url)
    assert names_of(patients) == ["Ada  +4915112345678", "Grace  +14015555555", "Bob  +447911123456"]
    assert "Numbers carry their country code" in client.get(upload).text  # remembered


def test_a_file_that_needs_no_choice_is_asked_for_none(client, patients, ada):
    client.force_login(ada)
    upload = f"/admin/contacts/contactlist/{patients.pk}/import/"

    checked = client.post(upload, {"file": SimpleUploadedFile("p.csv", b"Phone\n015112345678\n+14015555555\n")})

    assert "carry their country code?" not in client.get(checked.url).text


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_files_that_nobody_imported_are_forgotten(clinic, patients, ada):
    old = check(patients, ada, WITH_CODE)
    other = check(factories.contact_list(clinic), ada, "Phone\n015112345678\n")
    done = importing.run(check(factories.contact_list(clinic), ada, "Phone\n+447700900123\n"), ada)
    ContactImport.objects.exclude(pk=other.pk).update(created_at=timezone.now() - importing.STALE * 1.1)

    tasks.purge()

    assert set(ContactImport.objects.values_list("pk", flat=True)) == {other.pk, done.pk}
    done.refresh_from_db()
    assert not ImportPortion.objects.exclude(contact_import=other).exists()
    assert old.choices["headings"]
    assert any(entry["task"] == "contacts.tasks.purge" for entry in django_settings.CELERY_BEAT_SCHEDULE.values())


def test_files_go_with_their_list(client, patients, ada):
    check(patients, ada, WITH_CODE)
    client.force_login(ada)

    client.post(f"/admin/contacts/contactlist/{patients.pk}/delete/", {"post": "yes"})

    assert not ContactImport.objects.exists()


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("+4915112345678", "US", "+4915112345678"),
        ("0151 1234-5678", "DE", "+4915112345678"),
        ("(0151) 12345678", "DE", "+4915112345678"),
        ("15112345678", "DE", "+4915112345678"),
        ("4915112345678", "DE", "+4915112345678"),
        ("004915112345678", "US", "+4915112345678"),
        ("14015555555", "US", "+14015555555"),
        ("4015555555", "US", "+14015555555"),
        ("011 49 151 12345678", "US", "+4915112345678"),
        ("+1 401-555-5555", "DE", "+14015555555"),
        ("393 1234567", "IT", "+393931234567"),
    ],
)
def test_a_number_is_read_as_people_write_it(text, region, e164):
    assert numbers.read(text, region).e164 == e164


@pytest.mark.parametrize(
    "text", ["", "abc", "12", "110", "+", "+49", "0151 1234 5678 ext. 9", "0151 1234 O678", "1" * 30, "+49151１²", "--"]
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(numbers.InvalidNumber):
        numbers.read(text, "DE")


def test_a_number_that_works_only_within_a_town_is_refused():
    with pytest.raises(numbers.InvalidNumber):
        numbers.read("0170 12", "GB")


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_number_or_refused(text):
    try:
        number = numbers.read(text, "DE")
    except numbers.InvalidNumber:
        return
    assert numbers.read(number.e164, "US").e164 == number.e164


@given(st.text())
def test_an_exported_cell_runs_no_formula_and_can_be_read_back(text):
    cell = safe_cell(text)

    assert not cell.startswith(("=", "+", "-", "@"))
    if not text.startswith("'"):
        assert unsafe_cell(cell) == text

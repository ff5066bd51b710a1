"""Contacts from a file: everything is checked first, and either all rows are written or none."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts import importing, numbers, opt_outs
from contacts.exports import safe_cell, unsafe_cell
from contacts.importing import ImportRefused, UnreadableFile
from contacts.models import Contact, ContactImport
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
        (b"PK\x03\x04whatever", "not a text file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not a text file"),
        ("Phone\n015112345678".encode("utf-16"), "UTF-16"),
        ("Phone,Name\n015112345678,Jörg".encode("cp1252"), "Line 2 is not in UTF-8 (it begins “015112345678,J…”)"),
        (b"Phone\n0151\x0012345678", "Line 2 holds a NUL"),
        (b"\n\n", "no headings"),
        (b"Phone,City\n", "no rows"),
        (b"Phone,City\n,\n\n", "no rows"),
        (b"FirstName,City\nAda,London", "no column “Phone”. The first row names these columns: “FirstName”, “City”."),
        (b"Ada|London\n", "separated by commas, semicolons or tabs"),
        (b"Phone,City,city\n1,2,3", "two columns with the heading “city”"),
        (b"Mobile,Handy\n1,2", "Both “Mobile” and “Handy” could be the column Phone"),
        (b"Phone,,City\n015112345678,x,Bonn", "Column 2 has values (first in row 2) but no heading"),
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
    monkeypatch.setattr(importing, "MAX_ROWS", 2)
    with pytest.raises(UnreadableFile, match="more than 2 rows"):
        check(patients, ada, "Phone\n015112345671\n015112345672\n015112345673\n")
    monkeypatch.setattr(importing, "MAX_BYTES", 10)
    with pytest.raises(UnreadableFile, match="larger than"):
        check(patients, ada, "Phone\n015112345671\n")


def test_every_wrong_row_is_named_and_nothing_is_imported(patients, ada):
    checked = check(
        patients,
        ada,
        "Phone,FirstName,City\n"
        "015112345678,Ada,Bonn\n"
        "abc,Grace,Bonn\n"
        "+49 151 1234 5678,Adele,Bonn\n"
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
    assert "same number as in row 2: +4915112345678" in found[1][2]
    assert "1025 characters; at most 1024" in found[2][2]
    assert "shortened by a spreadsheet" in found[3][2]
    assert "4 cells, but there are 3 headings" in found[4][2]
    assert checked.problem_count == 7
    assert bytes(checked.rows) == b""
    with pytest.raises(ImportRefused, match="has errors"):
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
    monkeypatch.setattr(importing, "BATCH", 10)
    lines = "".join(f"01511234{number:04d}\n" for number in range(50))
    checked = check(patients, ada, "Phone\n" + lines)
    written = importing._write
    calls = []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("power cut")
        return written(*arguments)

    monkeypatch.setattr(importing, "_write", breaks)
    monkeypatch.setattr(importing.batches, "__defaults__", (10,))
    with pytest.raises(RuntimeError):
        importing.run(checked, ada)

    assert not Contact.objects.exists()


def test_a_checked_file_that_was_replaced_is_no_longer_there(patients, ada):
    first = check(patients, ada, "Phone\n015112345678\n")
    check(patients, ada, "Phone\n015112345679\n")

    with pytest.raises(ImportRefused, match="no longer kept"):
        importing.run(first, ada)


def test_a_large_file_is_written_in_few_statements(patients, ada, django_assert_max_num_queries):
    lines = "".join(f"0151{number:08d},Ada{number},Bonn\n" for number in range(3_000))
    checked = check(patients, ada, "Phone,FirstName,City\n" + lines)

    with django_assert_max_num_queries(100):
        importing.run(checked, ada)

    assert patients.contacts.count() == 3_000


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

"""Files as people have them: any encoding, spreadsheets, columns under any name, and whatever else hides in them."""

import io
import struct

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given, settings
from hypothesis import strategies as st

from contacts import importing
from contacts.importing import ImportRefused, UnreadableFile, choices, texts
from contacts.models import Contact, ContactImport, ImportPortion
from tests import factories
from tests.workbooks import ods, sheet_of, xlsx, zipped

GERMAN = "Vorname;Nachname;Handy;Stadt\nJürgen;Müller;0151 12345678;Köln\nZoë;Weiß;0151 12345679;Łódź\n"


@pytest.fixture
def clinic(db):
    return factories.organization(default_region="DE")


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic)


@pytest.fixture
def ada(clinic):
    return factories.administrator(clinic)


@pytest.fixture
def pages(client, ada, patients):
    """Uploads a file, and gives the client, the address of what was found, and its page."""
    client.force_login(ada)

    def upload(content, name="patients.csv"):
        address = f"/admin/contacts/contactlist/{patients.pk}/import/"
        answer = client.post(address, {"file": SimpleUploadedFile(name, content)})
        return client, answer.url, client.get(answer.url).text

    return upload


def check(patients, ada, content, **wishes):
    return importing.check(patients, io.BytesIO(content), "patients.csv", ada, **wishes)


def people(patients):
    return [(row.first_name, row.last_name, row.phone) for row in patients.contacts.order_by("pk")]


# --- encodings --------------------------------------------------------------------------------------------------------

WESTERN = GERMAN.replace("Łódź", "Bonn").replace("Zoë", "Zoé")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "mac_roman", "cp850", "utf-16", "utf-16-be", "utf-32"]
)
def test_a_file_is_read_in_the_encoding_it_was_saved_in(patients, ada, encoding):
    importing.run(check(patients, ada, WESTERN.encode(encoding)), ada)

    assert people(patients) == [("Jürgen", "Müller", "+4915112345678"), ("Zoé", "Weiß", "+4915112345679")]


def test_a_wrong_guess_is_put_right_by_whoever_knows_the_names(patients, ada):
    """Somebody sees a sample and may choose another encoding."""
    content = "Phone;Name\n0151 12345678;Žižek\n".encode("cp1250")
    checked = check(patients, ada, content)
    assert choices.of(checked).sample

    importing.run(importing.check_again(checked, encoding="cp1250"), ada)

    assert patients.contacts.get().fields == {"Name": "Žižek"}


def test_bytes_that_are_nothing_in_an_encoding_are_refused_and_another_can_be_chosen(patients, ada):
    content = b"Phone;Name\n0151 12345678;Ada " + b"\x81\n"
    checked = importing.check_again(check(patients, ada, content), encoding="cp1252")

    assert checked.state == "refused"
    assert "Line 2 cannot be read in this encoding" in checked.reason
    assert importing.check_again(checked, encoding="cp850").state == "checked"


def test_the_page_asks_whether_a_sample_is_right(pages):
    _client, _address, page = pages(WESTERN.encode("cp1252"))

    assert "Is <em>Jürgen</em> right?" in page
    assert 'name="encoding"' in page


# --- spreadsheets -----------------------------------------------------------------------------------------------------


def test_a_workbook_is_read_as_it_looks(patients, ada):
    """Numbers are no quantities, days are days, a formula is its result, merged and empty cells are empty."""
    rows = [
        ["FirstName", "Phone", "Born", "Member", "Sum", "Note"],
        ["Jürgen", 4915112345678.0, ("date", 45000), True, ("=1+2", 3), None],
        [],
        ["Ada", "0151 12345679", None, False, ("=AB", "x"), "=cmd()"],
    ]
    importing.run(check(patients, ada, xlsx(rows)), ada)

    first, second = patients.contacts.order_by("pk")
    assert (first.phone, first.fields) == ("+4915112345678", {"Born": "2023-03-15", "Member": "TRUE", "Sum": "3"})
    assert (second.phone, second.fields) == ("+4915112345679", {"Member": "FALSE", "Sum": "x", "Note": "=cmd()"})


def test_rows_of_a_workbook_are_counted_as_it_counts_them(patients, ada):
    checked = check(patients, ada, xlsx({"A": sheet_of([["Phone"], ["0151 12345678"], [], ["abc"]], first=4)}))

    assert [problem.row for problem in importing.problems_of(checked)] == [7]


def test_an_open_document_is_read(patients, ada):
    importing.run(check(patients, ada, ods([["Handy", "Vorname"], [4915112345678, "Jürgen"]])), ada)

    assert people(patients) == [("Jürgen", "", "+4915112345678")]


def test_of_several_sheets_one_is_chosen(patients, ada):
    book = xlsx(
        {"Notes": [["Hello", "there"]], "People": [["Phone"], ["015112345678"]], "Old": [["Phone"]]}, hidden=["Old"]
    )
    checked = check(patients, ada, book)
    assert choices.of(checked).sheets == ["Notes", "People", "Old"]
    assert checked.state == "refused"
    assert "Which column holds the phone numbers?" in checked.reason

    importing.run(importing.check_again(checked, sheet="People"), ada)

    assert patients.contacts.get().phone == "+4915112345678"


FAR = (
    '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    "</sheetData></worksheet>"
)


@pytest.mark.parametrize(
    "content",
    [
        "Patients of ward 7\n\nVorname;Handy\nAda;0151 12345678\n",
        "Patients, ward 7;\nAs of;1 March\nVorname;Nachname;Handy\nAda;;0151 12345678\n",
        "sep=;\nWard 7;;\nVorname;Nachname;Handy\nAda;;0151 12345678\n",
        xlsx([["Patients of ward 7"], [], ["Vorname", "Handy"], ["Ada", "0151 12345678"]]),
        ods([["Ward 7"], ["Vorname", "Handy"], ["Ada", "0151 12345678"]]),
        "Vorname;Notiz;Handy\nAda;Handy;0151 12345678\n".encode("utf-16"),
        'Vorname;"Handy\n(privat)";Handy\r\nAda;"zwei\r\nZeilen";0151 12345678\r\n',
        "Vorname\tTel.\nAda\t0049 (0)151/123-456 78\n",
        f"Vorname;Handy{';x' * 58}\nAda;'+49 (0) 151 12345678\n",
    ],
    ids=["title", "two", "sep", "workbook", "document", "word of ours", "lines in cells", "tabs", "60 columns"],
)
def test_titles_and_other_habits_are_no_hindrance(patients, ada, content):
    importing.run(check(patients, ada, content.encode() if isinstance(content, str) else content), ada)

    assert people(patients) == [("Ada", "", "+4915112345678")]


def test_a_row_of_data_is_never_taken_for_headings(patients, ada):
    checked = check(patients, ada, b"Nr;Wer\n0151 12345678;Handy\n")

    assert (choices.of(checked).headings, checked.state) == (["Nr", "Wer"], "refused")
    assert "Which column holds the phone numbers?" in checked.reason


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: xlsx({"A": FAR}), "too large to be read"),
        (lambda: xlsx({"A": "<x>" + " " * 210_000_000}), "unpacks to more than 200 MB"),
        (
            lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "protected by a password",
        ),
        (lambda: zipped({"readme.txt": "hello"}), "not a spreadsheet that can be read"),
        (lambda: xlsx([]), "empty"),
        (lambda: xlsx([["Phone"]]), "no rows"),
        (lambda: b"%PDF-1.7 renamed to .xlsx", "neither a text file nor a spreadsheet"),
        (lambda: xlsx([[f"c{index}" for index in range(10_000)]]), "10,000 columns; at most 200"),
    ],
    ids=["far cell", "bomb", "password", "zip", "empty", "headings", "pdf", "columns"],
)
def test_a_workbook_that_cannot_be_read_is_refused_with_a_sentence(patients, ada, content, words):
    with pytest.raises(UnreadableFile, match=words):
        check(patients, ada, content())

    assert not ImportPortion.objects.exists()


# --- columns ----------------------------------------------------------------------------------------------------------


def test_a_column_under_any_name_is_chosen_and_remembered_for_the_list(pages, patients, ada):
    client, address, page = pages(b"Nr;Wer\n0151 12345678;Ada\n")
    assert "Which column holds the phone numbers?" in page

    client.post(address, {"do": "read", "column_0": "Phone", "column_1": "FirstName", "numbers": "on"})
    client.post(address, {"do": "import", "column_0": "Phone", "column_1": "FirstName", "numbers": "on"})
    assert people(patients) == [("Ada", "", "+4915112345678")]

    _client, _address, again = pages(b"Nr;Wer\n0151 12345679;Bob\n")
    assert "Import 1 row" in again


def test_what_is_chosen_otherwise_is_looked_at_before_it_is_imported(pages, patients):
    client, address, _page = pages(b"Phone;Name\n0151 12345678;Ada\n")

    page = client.post(address, {"do": "import", "column_1": "-", "numbers": "on"}, follow=True).text
    assert "The file was read again, as you have chosen." in page
    assert not patients.contacts.exists()

    client.post(address, {"do": "import", "column_1": "-", "numbers": "on"})
    assert patients.contacts.get().fields == {}


def test_two_columns_are_never_one_of_ours(pages):
    client, address, _page = pages(b"Phone;Name\n0151 12345678;Ada\n")

    page = client.post(address, {"do": "read", "column_1": "Phone", "numbers": "on"}, follow=True).text

    assert "Two columns are read as Phone." in page


def test_columns_with_one_heading_or_none_are_kept_under_names_that_differ(patients, ada):
    importing.run(check(patients, ada, b"Phone,City,city,\n0151 12345678,Bonn,Berlin,x\n"), ada)

    assert patients.contacts.get().fields == {"City": "Bonn", "city (2)": "Berlin", "Column 4": "x"}


def test_the_country_is_the_files_and_named_in_what_is_said(patients, ada):
    checked = check(patients, ada, b"Phone\n07700 900123\n12\n", region="GB")

    (problem,) = [problem for problem in importing.problems_of(checked) if problem.row == 3]
    assert "(Country of the file: United Kingdom.)" in problem.sentence
    importing.run(checked, ada)
    assert patients.contacts.get().phone == "+447700900123"


# --- people who are there already -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("existing", "name", "figures"),
    [("update", "Bob", (1, 1, 0, 0)), ("skip", "Ada", (1, 0, 1, 0)), ("refuse", "Ada", (1, 0, 0, 1))],
)
def test_people_who_are_there_are_updated_skipped_or_given_back(patients, ada, existing, name, figures):
    importing.run(check(patients, ada, b"Phone,FirstName\n0151 12345678,Ada\n"), ada)

    checked = check(patients, ada, b"Phone,FirstName\n0151 12345678,Bob\n0151 12345679,Cy\n", existing=existing)
    assert (checked.new, checked.updated, checked.skipped, checked.bad_rows) == figures
    importing.run(checked, ada)

    assert (checked.new, checked.updated, checked.skipped, checked.bad_rows) == figures
    assert [first for first, _last, _phone in people(patients)] == [name, "Cy"]


# --- what is given back -----------------------------------------------------------------------------------------------


def test_good_rows_are_imported_and_the_others_given_back_to_be_corrected(pages, patients):
    rows = "".join(f"0151{index:08d};Ada{index};=SUM(AB)\n" for index in range(96))
    bad = "abc;Bob;+1\n4,91712E+11;Cy;-2\n0151 12345678/79;Di;@x\n;;\n12;Ed;\n"
    client, address, page = pages(f"Phone;FirstName;Note\n{rows}{bad}".encode())
    assert "Import 96 good rows, give me 4 back" in page

    client.post(address, {"do": "import"})
    assert patients.contacts.count() == 96
    file = client.get(f"{address}rows.csv").getvalue().decode("utf-8-sig")

    lines = file.splitlines()
    assert lines[0] == "Phone,FirstName,Note,Row in the file,What is wrong"
    assert lines[1].startswith("abc,Bob,'+1,98,")
    assert "shortened by a spreadsheet" in lines[2]
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines[1:] for cell in line.split(","))

    _client, corrected, again = pages(file.replace("abc", "0171 1234567").encode())
    assert "Import 1 good row, give me 3 back" in again
    client.post(corrected, {"do": "import"})
    assert patients.contacts.get(first_name="Bob").fields == {"Note": "+1"}  # and not what was wrong with it


# --- whatever hides in files ------------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.sampled_from(
        ["Phone", "Handy", "City", "0151 12345678", "+4915112345679", "", '"', "\0", "\ufeff", "=1+1", "4,9E+11"]
    ),
    st.text(max_size=12),
)
FILES = st.one_of(
    st.binary(max_size=200),
    st.tuples(
        st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=5),
        st.sampled_from([",", ";", "\t", "|"]),
        st.sampled_from(["\n", "\r\n", "\r", "\n\r"]),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-32", "gb18030"]),
    ).map(lambda made: made[2].join(made[1].join(row) for row in made[0]).encode(made[3], "replace")),
    st.lists(st.lists(CELLS, max_size=4), max_size=4).map(
        lambda rows: xlsx([[cell.translate(dict.fromkeys(range(32))) for cell in row] for row in rows])
    ),
    st.binary(max_size=60).map(lambda tail: b"PK\x03\x04" + tail),
    st.binary(max_size=600).map(lambda tail: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + tail),
)


@pytest.mark.django_db(transaction=True)
@given(FILES)
@settings(deadline=None, max_examples=60)
def test_whatever_is_uploaded_is_imported_or_refused_with_a_sentence(content):
    clinic = factories.organization(default_region="DE")
    patients, ada = factories.contact_list(clinic), factories.administrator(clinic)
    try:
        checked = check(patients, ada, content)
        if checked.state == "checked":
            importing.run(checked, ada)
    except (UnreadableFile, ImportRefused) as refusal:
        said = str(refusal)
    else:
        said = checked.reason or "fine"
    assert said
    checked = ContactImport.objects.filter(contact_list=patients).first()
    if checked is None or checked.state == "checked":
        assert not patients.contacts.exists()
    elif checked.state == "refused":
        assert checked.reason
    else:
        assert patients.contacts.count() == ContactImport.objects.get(pk=checked.pk).new


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.integers(1, 7))
def test_text_in_utf_8_is_never_taken_for_anything_else(text, size):
    data = b"a," + text.encode()
    looked = texts.Bytes()
    for start in range(0, len(data), size):
        looked.feed(data[start : start + size])

    assert looked.guess() == ("utf-8", True)


# --- what is kept, and for whom ---------------------------------------------------------------------------------------


def test_what_is_kept_of_a_file_is_encrypted_and_goes_with_the_import(patients, ada):
    checked = check(patients, ada, b"Phone,FirstName\n0151 12345678,Ada Lovelace\n")

    kept = b"".join(bytes(portion.content) for portion in ImportPortion.objects.all())
    assert kept
    assert b"Lovelace" not in kept
    assert b"12345678" not in kept
    importing.run(checked, ada)
    assert not ImportPortion.objects.exists()


def test_a_cancelled_import_leaves_nothing_behind(pages, patients):
    client, address, _page = pages(b"Phone,FirstName\n0151 12345678,Ada\n")

    page = client.post(f"{address}cancel/", follow=True).text

    assert "The import was cancelled" in page
    assert not ImportPortion.objects.exists()
    assert client.post(address, {"do": "import"}, follow=True).status_code == 200
    assert not patients.contacts.exists()


def test_a_cell_of_a_megabyte_is_refused_where_it_stands(patients, ada):
    checked = check(patients, ada, b"Phone,Note\n0151 12345678," + b"x" * 900_000 + b"\n0151 12345679,y\n")

    assert [problem.code for problem in importing.problems_of(checked)] == ["too_long"]
    assert len(str(checked.preview)) < 1_000


def test_an_old_workbook_is_read_or_refused_but_never_an_error(patients, ada):
    """.xls: a container of sectors; what is in it here is nothing."""
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    with pytest.raises(UnreadableFile, match=r"not a spreadsheet that can be read|damaged"):
        check(patients, ada, header.ljust(2048, b"\0"))
    assert not Contact.objects.exists()

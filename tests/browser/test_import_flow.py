"""Files as people have them, imported by clicking: German Excel's own, a messy one, a large one that is cancelled.

Counted clicks are printed: `pytest tests/browser/test_import_flow.py -s`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from contacts.models import Contact, ContactImport, ContactList
from organizations.models import Organization
from tests import factories
from tests.browser.test_compose_and_launch import Person
from tests.processes import Web, Worker
from tests.workbooks import xlsx

pytestmark = pytest.mark.browser

MOST_CLICKS = 5
GERMAN_EXCEL = "Vorname;Nachname;Handy;Größe\r\nJürgen;Müller;0151 12345678;1,80\r\nZoé;Weiß;0151/12345679;1,70\r\n"
WORKBOOK = [["Vorname", "Nachname", "Handy", "Geboren"], ["Jürgen", "Müller", 4915112345678.0, ("date", 45000)]]
MESSY = "Phone,FirstName\n0151 12345678,Ada\nnone yet,Bob\n4.91512E+12,Cy\n0151 12345679,Di\n"
LARGE = "Phone,FirstName,Note\n" + "".join(f"0151{index:08d},Ada{index},{'x' * 40}\n" for index in range(60_000))


@pytest.fixture
def clinic(transactional_db: None) -> Organization:
    return factories.organization("Klinik", default_region="DE", time_zone="Europe/Berlin")


class Importer:
    """Somebody who imports files into a list, whose clicks are counted: those in the dialog for files too."""

    def __init__(self, person: Person) -> None:
        self.person, self.page, self.clicks = person, person.page, 0

    def click(self, name: str | re.Pattern[str]) -> None:
        self.page.get_by_role("button", name=name).or_(self.page.get_by_role("link", name=name)).first.click()
        self.clicks += 1

    def upload(self, contact_list: ContactList, name: str, content: bytes) -> None:
        """From the page of the list to what was found."""
        self.person.go(f"/admin/contacts/contactlist/{contact_list.pk}/change/")
        self.clicks = 0
        self.click("Import a file")
        with self.page.expect_file_chooser() as dialog:
            self.page.locator("#id_file").click()
        dialog.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})
        self.clicks += 2
        self.click("Upload and check")


def people(contact_list: ContactList) -> list[tuple[str, str, dict[str, str]]]:
    return [(contact.first_name, contact.phone, contact.fields) for contact in contact_list.contacts.order_by("pk")]


def test_files_as_people_have_them(web: Web, worker: Worker, page: Page, clinic: Organization, tmp_path: Path) -> None:
    page.set_default_timeout(30_000)
    person = Person(page, web)
    person.log_in(factories.administrator(clinic))
    ada = Importer(person)

    from_excel = factories.contact_list(clinic, name="From Excel")
    ada.upload(from_excel, "Mappe1.csv", GERMAN_EXCEL.encode("cp1252"))
    expect(page.get_by_text("Is Größe right?")).to_be_visible()
    person.looks_right()
    ada.click("Import 2 rows")
    expect(page.get_by_text("2 people were added")).to_be_visible()
    assert people(from_excel) == [
        ("Jürgen", "+4915112345678", {"Größe": "1,80"}),
        ("Zoé", "+4915112345679", {"Größe": "1,70"}),
    ]
    print(f"German Excel's CSV, from the list's page to the list: {ada.clicks} clicks")  # noqa: T201 — what was asked for
    assert ada.clicks <= MOST_CLICKS

    from_workbook = factories.contact_list(clinic, name="From a workbook")
    ada.upload(from_workbook, "Mappe1.xlsx", xlsx(WORKBOOK))
    ada.click("Import 1 row")
    expect(page.get_by_text("1 person was added")).to_be_visible()
    assert people(from_workbook) == [("Jürgen", "+4915112345678", {"Geboren": "2023-03-15"})]
    print(f"a workbook, from the list's page to the list: {ada.clicks} clicks")  # noqa: T201 — what was asked for
    assert ada.clicks <= MOST_CLICKS

    gives_back(ada, factories.contact_list(clinic, name="Messy"), tmp_path)
    is_cancelled(ada, factories.contact_list(clinic, name="Large"))
    assert person.problems == []


def gives_back(ada: Importer, contact_list: ContactList, folder: Path) -> None:
    """The bad rows come back as a file that can be corrected and imported."""
    page = ada.page
    ada.upload(contact_list, "messy.csv", MESSY.encode())
    expect(page.get_by_text("shortened by a spreadsheet")).to_be_visible()
    ada.click("Import 2 good rows, give me 2 back")
    with page.expect_download() as download:
        ada.click("Give me 2 rows back")
    ada.person.looks_right()
    assert contact_list.contacts.count() == 2

    back = folder / "back.csv"
    download.value.save_as(back)
    corrected = back.read_bytes().replace(b"none yet", b"0151 12345680").replace(b"4.91512E+12", b"0151 12345681")
    ada.upload(contact_list, "back.csv", corrected)
    ada.click("Import 2 rows")
    expect(page.get_by_text("2 people were added")).to_be_visible()
    assert [phone for _name, phone, fields in people(contact_list) if fields == {}] == [
        "+4915112345678",
        "+4915112345679",
        "+4915112345680",
        "+4915112345681",
    ]


def is_cancelled(ada: Importer, contact_list: ContactList) -> None:
    """A worker reads a large file; its progress is shown, and a click ends it."""
    page = ada.page
    ada.upload(contact_list, "large.csv", LARGE.encode())
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_text(re.compile(r"[1-9][0-9,]* rows so far"))).to_be_visible()
    ada.click("Cancel the import")
    expect(page.get_by_text("The list is as it was.")).to_be_visible()
    assert not contact_list.contacts.exists()
    assert ContactImport.objects.get(contact_list=contact_list).state == "cancelled"
    assert not Contact.objects.filter(contact_list=contact_list).exists()

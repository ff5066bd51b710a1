"""The number that a page gives as an example is one of the reader's own country."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from intake import examples
from tests import factories

pytestmark = pytest.mark.django_db
COUNTRIES = {"GB": "+447", "AT": "+436", "US": "+1"}


@pytest.mark.parametrize(("country", "begins"), COUNTRIES.items())
def test_a_page_that_asks_for_a_number_shows_one_of_the_organisations_country(client, country, begins):
    clinic = factories.organization(default_region=country)
    client.force_login(factories.administrator(clinic))
    example = examples.number(country)

    assert example.startswith(begins)
    for path in ("contacts/contact/add/", "contacts/optout/add/", "keeping/forgetting/add/", "profile/"):
        page = client.get(f"/admin/{path}", follow=True).content.decode()
        assert example in page, path
        assert "+4915112345678" not in page, path


def test_a_refused_number_is_explained_with_one_of_the_country_chosen_for_the_file(client):
    clinic = factories.organization(default_region="DE")
    people = factories.contact_list(clinic)
    client.force_login(factories.administrator(clinic))
    file = SimpleUploadedFile("p.csv", b"Phone\nabc\n")
    upload = f"/admin/contacts/contactlist/{people.pk}/import/"

    page = client.get(client.post(upload, {"file": file, "region": "GB"}).url).content.decode()
    sample = client.get(f"{upload}contacts.csv").getvalue().decode()
    typed = client.post("/admin/contacts/contact/add/", {"contact_list": people.pk, "phone": "abc"}).content.decode()

    assert f"for example {examples.number('GB')}" in page
    assert "+4915" not in page
    assert examples.number("GB") in sample
    assert f"for example {examples.number('DE')}" in typed


def test_the_preview_for_an_empty_list_shows_one_of_the_organisations_country(client):
    clinic = factories.organization(default_region="CH")
    client.force_login(factories.administrator(clinic))
    written = {"message_text": "Is ${m://Phone} still right?"}

    page = client.post("/admin/distributions/distribution/preview/", written).content.decode()

    assert f"Is {examples.number('CH')} still right?" in page


def test_a_country_without_mobile_numbers_has_an_example_all_the_same():
    assert examples.number("AQ") == examples.number("") == "+4915112345678"

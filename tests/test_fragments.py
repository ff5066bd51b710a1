"""Parts of pages that are asked for after the session has ended: the log-in page comes instead of the whole page."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from tests import factories

pytestmark = pytest.mark.django_db

ADDRESSES = sorted(
    {
        (method, name)
        for template in Path("templates").rglob("*.html")
        for method, name in re.findall(r"hx-(get|post)=\"\{% url '([^']+)'", template.read_text())
    }
)
PAGE = "/admin/distributions/distribution/7/change/?tab=1"
HTMX = {"hx-request": "true", "hx-current-url": f"http://testserver{PAGE}"}


def address(name):
    for args in ([], [1], ["PA_abcdefgh"], [1, 1]):
        try:
            return reverse(name, args=args)
        except Exception:
            continue
    raise AssertionError(name)


def test_the_templates_have_fragments_to_try():
    assert ("get", "admin:distributions_distribution_progress") in ADDRESSES
    assert len(ADDRESSES) >= 4


@pytest.mark.parametrize(("method", "name"), ADDRESSES)
def test_every_fragment_leads_to_the_log_in_page_and_back(method, name):
    answer = getattr(Client(), method)(address(name), headers=HTMX)

    assert answer.content == b""
    target = urlsplit(answer.headers["HX-Redirect"])
    assert target.path == reverse("admin:login")
    assert parse_qs(target.query)["next"] == [PAGE]


def test_a_session_that_ends_while_a_page_is_looked_at(client):
    clinic = factories.organization()
    client.force_login(factories.user(clinic))
    running = factories.distribution(clinic, recipients=1, state="sending")
    fragment = reverse("admin:distributions_distribution_progress", args=[running.pk])
    assert client.get(fragment, headers=HTMX).status_code == 200
    Session.objects.all().delete()

    answer = client.get(fragment, headers=HTMX)

    assert "HX-Redirect" in answer.headers
    assert b"password" not in answer.content
    assert client.get(fragment).status_code == 302  # a browser that asks by itself is led as ever


def test_a_part_that_a_browser_opens_by_itself_leads_to_its_page(client):
    clinic = factories.organization()
    client.force_login(factories.administrator(clinic))
    sent = factories.distribution(clinic, recipients=1, state="sending")
    opened = {"sec-fetch-dest": "document"}
    page = reverse("admin:distributions_distribution_change", args=[sent.pk])

    for part in ("progress", "reasons", "carriers"):
        address = reverse(f"admin:distributions_distribution_{part}", args=[sent.pk])
        assert client.get(address, headers=opened).url == page
        assert client.get(address, headers=HTMX | {"sec-fetch-dest": "empty"}).status_code == 200
    contact = sent.contact_list.contacts.get()
    texts = reverse("admin:distributions_of_contact", args=[contact.pk])
    assert client.get(texts, headers=opened).url == reverse("admin:contacts_contact_change", args=[contact.pk])
    import_part = reverse("admin:contacts_contactlist_progress", args=[sent.contact_list_id, 1])
    import_page = reverse("admin:contacts_contactlist_checked", args=[sent.contact_list_id, 1])
    assert client.get(import_part, headers=opened).url == import_page


def test_a_part_of_what_is_another_organisations_does_not_exist(client):
    client.force_login(factories.administrator(factories.organization()))
    strange = factories.distribution(factories.organization(), recipients=1, state="sending")

    address = reverse("admin:distributions_distribution_progress", args=[strange.pk])

    assert client.get(address, headers={"sec-fetch-dest": "document"}).status_code == 404


def test_asking_again_and_again_keeps_no_session_alive(client):
    """A page that is left open must not be a log-in for ever."""
    clinic = factories.organization()
    client.force_login(factories.user(clinic))
    running = factories.distribution(clinic, recipients=1, state="sending")
    before = Session.objects.get().expire_date

    answer = client.get(reverse("admin:distributions_distribution_progress", args=[running.pk]), headers=HTMX)

    assert Session.objects.get().expire_date == before
    assert settings.SESSION_COOKIE_NAME not in answer.cookies


@pytest.mark.parametrize("elsewhere", ["https://evil.example/x", "https://evil.example//evil.example/admin/", "", "%"])
def test_the_way_back_is_always_a_page_of_ours(elsewhere):
    name = ADDRESSES[0][1]

    answer = Client().get(address(name), headers={"hx-request": "true", "hx-current-url": elsewhere})

    (following,) = parse_qs(urlsplit(answer.headers["HX-Redirect"]).query)["next"]
    assert following == reverse("admin:index")


def test_a_form_that_was_opened_before_logging_in_anew_shows_the_page_again():
    client = Client(enforce_csrf_checks=True)
    preview = reverse("admin:distributions_distribution_preview")
    answer = client.post(preview, headers=HTMX)
    assert answer.headers["HX-Redirect"].startswith(reverse("admin:login"))

    client.force_login(factories.user(factories.organization(), use_sms_distributions="enabled"))
    answer = client.post(preview, headers=HTMX)
    assert (answer.headers["HX-Refresh"], answer.content) == ("true", b"")
    assert client.post(preview).status_code == 403

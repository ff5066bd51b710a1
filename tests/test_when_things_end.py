"""When a session, a cookie, a method or the server fails: pages of ours, in the reader's language, say what to do."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.template.loader import render_to_string
from django.test import Client, override_settings
from django.urls import path

from config import urls
from config.portal import errors
from organizations import sealing, tokens, tracing
from organizations.models import ApiToken, User
from organizations.pages import SHOWN
from tests import factories

pytestmark = pytest.mark.django_db
COMPOSE = "/admin/distributions/distribution/add/"
FROM_COMPOSE = {"referer": f"http://testserver{COMPOSE}?method=invite"}


@pytest.fixture(params=["en", "de"])
def ada(request: Any) -> User:
    return factories.administrator(factories.organization(language="de"), language=request.param)


def client_of(user: User, **options: Any) -> Client:
    client = Client(headers={"accept-language": "en"}, **options)
    client.force_login(user)
    return client


def said(user: User, english: str, german: str) -> str:
    return german if user.language == "de" else english


def explode(request: Any) -> Any:
    raise RuntimeError("on purpose")


def lose_the_database(request: Any) -> Any:
    raise OperationalError("the connection is closed")


class Addresses:
    urlpatterns = [
        path("admin/explode/", explode),
        path("explode/", explode),
        path("admin/lost/", lose_the_database),
        *urls.urlpatterns,
    ]
    handler400, handler403, handler404 = urls.handler400, urls.handler403, urls.handler404
    handler500 = urls.handler500


@override_settings(ROOT_URLCONF=Addresses)
def test_an_error_of_the_server_is_told_in_the_readers_language(ada: User) -> None:
    client = client_of(ada, raise_request_exception=False)

    answer = client.get("/admin/explode/")

    assert answer.status_code == 500
    assert said(ada, "Something went wrong", "Etwas ist schiefgegangen") in answer.content.decode()
    assert "on purpose" not in answer.content.decode()
    assert f"<code>{answer[tracing.HEADER]}</code>" in answer.content.decode()  # what the log calls it
    assert '<a class="sb-go" href="/admin/explode/">' in answer.content.decode()  # to try again


@override_settings(ROOT_URLCONF=Addresses)
def test_without_a_database_a_page_says_when_to_try_again_and_leads_back_to_what_was_written(ada: User) -> None:
    client = client_of(ada, raise_request_exception=False)

    answer = client.post("/admin/lost/", {"name": "Spring"}, headers=FROM_COMPOSE)

    page = answer.content.decode()
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert said(ada, "The database does not answer.", "Die Datenbank antwortet nicht.") in page
    assert f'<a class="sb-go" href="{COMPOSE}?method=invite">' in page
    assert "keeping.js" in page
    assert "the connection is closed" not in page


@override_settings(ROOT_URLCONF=Addresses)
def test_a_stranger_reads_nothing_about_logs() -> None:
    page = Client(raise_request_exception=False).get("/explode/")

    assert page[tracing.HEADER] not in page.content.decode()


@override_settings(ROOT_URLCONF=Addresses)
def test_a_stranger_is_told_in_the_language_of_the_browser() -> None:
    client = Client(headers={"accept-language": "de"}, raise_request_exception=False)

    assert "Etwas ist schiefgegangen" in client.get("/explode/").content.decode()


@override_settings(ROOT_URLCONF=Addresses)
def test_where_even_the_page_cannot_be_made_there_is_a_file(monkeypatch: pytest.MonkeyPatch, ada: User) -> None:
    def fail(*_arguments: Any) -> str:
        raise OSError("no templates")

    monkeypatch.setattr(errors, "render_to_string", fail)

    answer = client_of(ada, raise_request_exception=False).get("/admin/explode/")

    assert answer.status_code == 500
    assert "Bitte versuchen Sie es" in answer.content.decode()


def test_what_is_sent_after_the_session_has_ended_leads_back_to_its_page() -> None:
    for address in (COMPOSE, "/admin/distributions/distribution/7/launch/"):
        answer = Client().post(address, {"name": "Spring"}, headers=FROM_COMPOSE)

        assert urlsplit(answer.url).path == "/admin/login/"
        assert parse_qs(urlsplit(answer.url).query)["next"] == [f"{COMPOSE}?method=invite"]


@pytest.mark.parametrize("elsewhere", ["https://evil.example/admin/x/", "http://testserver/s/abc", ""])
def test_the_way_back_is_a_page_of_ours(elsewhere: str) -> None:
    answer = Client().post(COMPOSE, headers={"referer": elsewhere})

    (following,) = parse_qs(urlsplit(answer.url).query)["next"]
    assert following in ("/admin/", COMPOSE, "/admin/x/")  # a path of ours, whatever its host was
    assert following.startswith("/admin/")


def test_a_form_without_our_cookie_is_refused_with_what_to_do(ada: User) -> None:
    client = client_of(ada, enforce_csrf_checks=True)

    answer = client.post(COMPOSE, {"name": "Spring"}, headers=FROM_COMPOSE)

    page = answer.content.decode()
    assert answer.status_code == 403
    assert said(ada, "Allow cookies for it", "Lassen Sie Cookies") in page
    assert f'href="{COMPOSE}?method=invite"' in page
    assert 'class="sb-button' in page  # in the frame


def test_a_form_that_is_older_than_the_log_in_says_so(ada: User) -> None:
    client = client_of(ada, enforce_csrf_checks=True)
    client.get(COMPOSE)
    client.cookies["csrftoken"] = "b" * 32

    page = client.post(COMPOSE, {"csrfmiddlewaretoken": "a" * 32}, headers=FROM_COMPOSE)

    assert page.status_code == 403
    assert said(ada, "older than your log-in", "älter als Ihre Anmeldung") in page.content.decode()


def test_a_stranger_without_cookies_is_told_too() -> None:
    answer = Client(enforce_csrf_checks=True, headers={"accept-language": "de"}).post(
        "/admin/login/", {"username": "a"}
    )

    assert answer.status_code == 403
    assert "Cookies" in answer.content.decode()
    assert "Django" not in answer.content.decode()


@pytest.mark.parametrize("address", ["launch", "pause", "cancel"])
def test_opening_what_only_a_button_sends_says_so(ada: User, address: str) -> None:
    draft = factories.distribution(ada.organization)

    answer = client_of(ada).get(f"/admin/distributions/distribution/{draft.pk}/{address}/", headers=FROM_COMPOSE)

    assert answer.status_code == 405
    assert answer["Allow"] == "POST"
    assert said(ada, "use the button there", "die Schaltfläche dort") in answer.content.decode()


def test_what_is_too_large_is_told_in_the_readers_language_with_a_way_back(ada: User) -> None:
    large = b"x" * 6 * 1024 * 1024

    answer = client_of(ada).generic("POST", COMPOSE, large, headers=FROM_COMPOSE)

    page = answer.content.decode()
    assert answer.status_code == 413
    assert said(ada, "The request is too large", "Die Anfrage ist zu groß") in page
    assert COMPOSE in page


# --- pages that are shown once ----------------------------------------------------------------------------------------


def test_the_page_of_a_token_survives_being_loaded_anew(ada: User) -> None:
    client = client_of(ada)

    first = client.post("/admin/profile/token/", follow=True).context["new_token"]
    again = client.get("/admin/profile/token/").context["new_token"]

    assert first == again
    assert tokens.find(first)
    assert ApiToken.objects.filter(user=ada).count() == 1
    assert first not in str(Session.objects.values())
    session = Session.objects.get()
    assert first not in str(session.get_decoded())  # sealed there, too


def test_a_token_is_not_shown_for_ever_and_to_nobody_else(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(ada)
    client.post("/admin/profile/token/")
    other = client_of(factories.administrator(ada.organization))
    session = other.session
    session[SHOWN] = client.session[SHOWN]
    session.save()

    assert other.get("/admin/profile/token/").status_code == 302
    client.post("/admin/profile/token/end/")
    assert client.get("/admin/profile/token/").status_code == 302
    client.post("/admin/profile/token/")
    monkeypatch.setattr(sealing, "LIFE", -1)
    assert client.get("/admin/profile/token/").status_code == 302


def test_a_link_to_set_a_password_survives_being_loaded_anew(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    grace = factories.user(ada.organization)
    client = client_of(ada)
    shown = client.post(f"/admin/organizations/user/{grace.pk}/link/", follow=True)
    page = f"/admin/organizations/user/{grace.pk}/invitation/"

    assert "/admin/invitation/" in shown.context["link"]
    assert "/admin/invitation/" in client.get(page).context["link"]
    monkeypatch.setattr("organizations.invitations.SHOWN_FOR", -1)
    assert client.get(page).status_code == 302


def test_without_javascript_a_page_says_what_is_missing(ada: User) -> None:
    assert "<noscript>" in client_of(ada).get("/admin/").content.decode()
    assert "<noscript>" in Client().get("/admin/login/").content.decode()
    assert render_to_string("500.html")

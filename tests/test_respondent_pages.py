"""What people see who open a link in a text: no log-in, no script, no cookie."""

import pytest
from django.test import Client
from django.utils import timezone

from contacts.models import Contact, OptOut
from distributions.engine.references import link_token, opt_out_token, reference
from distributions.models import Message, Tally
from distributions.respondents import is_robot
from tests import factories

PERSON = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"


@pytest.fixture
def clinic(db):
    return factories.organization("Klinik & Söhne", language="de")


@pytest.fixture
def message(clinic):
    survey = factories.survey(clinic, url="https://forms.example.org/s/42?lang=en&ref=old#top")
    return factories.distribution(clinic, recipients=1, survey=survey).messages.get()


@pytest.fixture
def person():
    return Client(headers={"user-agent": PERSON, "accept-language": "en"}, enforce_csrf_checks=True)


def clicked(message):
    return Tally.objects.get(pk=message.distribution_id).clicked


def test_the_link_leads_to_the_survey_with_the_persons_reference(person, message):
    response = person.get(f"/s/{link_token(message.pk)}")

    assert response.status_code == 302
    assert response["Location"] == f"https://forms.example.org/s/42?lang=en&ref={reference(message.pk)}#top"
    assert response["Cache-Control"] == "no-store, private"
    assert response["Referrer-Policy"] == "no-referrer"
    assert not response.cookies


def test_the_first_click_is_counted_and_no_other(person, message):
    person.get(f"/s/{link_token(message.pk)}")
    first = Message.objects.get().clicked_at
    person.get(f"/s/{link_token(message.pk)}")

    assert first is not None
    assert Message.objects.get().clicked_at == first
    assert clicked(message) == 1


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "WhatsApp/2.23.20.0",
        "TelegramBot (like TwitterBot)",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Slackbot-LinkExpanding 1.0",
        "SkypeUriPreview Preview/0.5",
        "curl/8.1",
        "python-requests/2.31",
    ],
)
def test_a_program_that_looks_for_a_preview_is_no_click(message, agent):
    response = Client(headers={"user-agent": agent}).get(f"/s/{link_token(message.pk)}")

    assert response.status_code == 302
    assert clicked(message) == 0


def test_asking_for_the_head_or_fetching_ahead_is_no_click(person, message):
    assert person.head(f"/s/{link_token(message.pk)}").status_code == 302
    assert person.get(f"/s/{link_token(message.pk)}", headers={"sec-purpose": "prefetch"}).status_code == 302

    assert clicked(message) == 0


@pytest.mark.parametrize(
    "agent",
    [
        PERSON,
        "Mozilla/5.0 (Linux; Android 14; CUBOT X50) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
        "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 SamsungBrowser/23.0 Mobile Safari/537.36",
    ],
)
def test_a_phone_is_no_program(rf, agent):
    assert not is_robot(rf.get("/", headers={"user-agent": agent}))


def test_an_expired_link_says_so_in_a_friendly_way(person, message):
    message.distribution.link_expires_at = timezone.now()
    message.distribution.save()

    response = person.get(f"/s/{link_token(message.pk)}")

    assert response.status_code == 410
    assert "This survey has ended" in response.text
    assert clicked(message) == 0


@pytest.mark.parametrize("kind", ["s", "o"])
@pytest.mark.parametrize("token", ["x", "1AAAAAAAAAAA", "9" * 60, "äöü", "%00", "1aaaaaaaaaaa"])
def test_a_made_up_link_finds_nothing(person, message, kind, token):
    response = person.get(f"/{kind}/{token}")

    assert response.status_code == 404
    assert "This link does not work" in response.text


def test_the_link_of_one_purpose_is_none_of_the_other(person, message):
    assert person.get(f"/s/{opt_out_token(message.pk)}").status_code == 404
    assert person.get(f"/o/{link_token(message.pk)}").status_code == 404


def test_opting_out_takes_a_press_of_the_button(person, clinic, message):
    address = f"/o/{opt_out_token(message.pk)}"

    asked = person.get(address)
    assert "Klinik &amp; Söhne" in asked.text
    assert not OptOut.objects.exists()

    done = person.post(address)  # without a cookie, and so without a CSRF token
    assert "You have opted out" in done.text
    row = OptOut.objects.get()
    assert (row.organization, row.phone, row.source) == (clinic, message.to, "link")
    assert row.evidence == message.distribution.public_id
    assert Contact.objects.get(phone=message.to).opted_out_at is not None

    assert person.post(address).status_code == 200
    assert OptOut.objects.count() == 1


def test_opting_out_works_after_the_link_to_the_survey_has_expired_and_the_contact_is_gone(person, message):
    message.distribution.link_expires_at = timezone.now()
    message.distribution.save()
    Contact.objects.all().delete()

    person.post(f"/o/{opt_out_token(message.pk)}")

    assert OptOut.objects.get().phone == message.to


@pytest.mark.parametrize(
    ("header", "language"),
    [("de-AT,en;q=0.5", "de"), ("en-GB", "en"), ("fr,en;q=0.3", "en"), ("fr", "de"), ("", "de"), ("x;q=;;", "de")],
)
def test_the_page_speaks_the_readers_language_else_the_organisations(message, header, language):
    response = Client(headers={"accept-language": header}).get(f"/o/{opt_out_token(message.pk)}")

    assert f'<html lang="{language}">' in response.text


def test_the_pages_hold_nothing_that_a_strict_policy_forbids(person, message):
    response = person.get(f"/o/{opt_out_token(message.pk)}")

    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    for forbidden in ("<script", "style=", "onclick", "http://"):
        assert forbidden not in response.text
    assert response["X-Robots-Tag"] == "noindex, nofollow"


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_survey_link_is_only_read(person, message, method):
    assert getattr(person, method)(f"/s/{link_token(message.pk)}").status_code == 403
    assert clicked(message) == 0

"""The phones of the simulated people: in the demonstration alone, each organisation's own (W3)."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from extensions import registry
from extensions.webhook_urls import webhook_url
from organizations.models import Organization, User
from simulator.process import SimulatorProcess
from tests import factories

pytestmark = pytest.mark.django_db
CREDENTIALS = {"account_sid": "AC" + "1" * 32, "auth_token": "2" * 32}
ADA, ABSENT, UNREPORTED = "+447700900100", "+447700909901", "+447700909907"


@pytest.fixture
def phones(settings: Any, simulator: SimulatorProcess) -> SimulatorProcess:
    settings.PROVIDER_BASE_URLS = simulator.base_urls()
    return simulator


def ask(phones: SimulatorProcess, path: str, values: dict[str, Any]) -> None:
    with urllib.request.urlopen(f"{phones.url}/_/{path}", json.dumps(values).encode(), timeout=10):
        pass


def text_from(phones: SimulatorProcess, organization: Organization, number: str, text: str, **changes: str) -> None:
    """`organization` texts `number` through its account at the simulated provider."""
    credentials = {**CREDENTIALS, **changes}
    url = webhook_url("message", registry.get("twilio"), organization)
    ask(phones, "accounts", {"provider": "twilio", "credentials": credentials, "inbound_url": url})
    provider = registry.get("twilio")(credentials, sender="15005550006")
    from extensions import client
    from extensions.contract import OutboundSms

    client.call(provider, provider.build_send(OutboundSms(number, text, reference="r1", sender="15005550006")))


def look(user: User, **query: str) -> str:
    client = Client()
    client.force_login(user)
    return re.sub(r"\s+", " ", client.get(reverse("admin:phones"), query).content.decode())


def wait_for(user: User, text: str) -> str:
    """The page once `text` is on it: the report that it was delivered comes a moment later."""
    import time

    deadline = time.monotonic() + 10
    while text not in (page := look(user)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert text in page
    return page


@pytest.mark.parametrize(
    "bases", [{}, {"twilio": "https://sms.example.org/twilio"}, {"twilio": "http://10.0.0.1:9/twilio"}]
)
def test_there_are_no_phones_outside_the_demonstration(
    settings: Any, administrator: User, bases: dict[str, str]
) -> None:
    settings.PROVIDER_BASE_URLS = bases
    client = Client()
    client.force_login(administrator)

    assert client.get(reverse("admin:phones")).status_code == 404
    assert client.post(reverse("admin:phones"), {"text": "Yes"}).status_code == 404
    assert "Show the phones" not in client.get("/admin/").content.decode()


def test_a_phone_shows_what_has_arrived_and_nothing_else(phones: SimulatorProcess, administrator: User) -> None:
    organization = administrator.organization
    assert organization is not None
    text_from(phones, organization, ABSENT, "Not for an absent phone")
    text_from(phones, organization, UNREPORTED, "Nobody reports this one")
    text_from(phones, organization, ADA, "Hello <Ada>, see https://surveys.example.org/s/1")

    page = wait_for(administrator, "Hello &lt;Ada&gt;")

    assert "Nobody reports this one" in page
    assert "Not for an absent phone" not in page
    assert page.index(ADA) < page.index(UNREPORTED), "the newest first"
    assert 'href="https://surveys.example.org/s/1"' in page
    assert ADA not in look(administrator, q="999")
    assert "Nothing has arrived on a phone with such a number." in look(administrator, q="999")


def test_an_answer_is_on_the_phone_from_which_it_was_sent(phones: SimulatorProcess, administrator: User) -> None:
    organization = administrator.organization
    assert organization is not None
    text_from(phones, organization, ADA, "How was it?")
    wait_for(administrator, "How was it?")
    client = Client()
    client.force_login(administrator)
    phone = {"provider": "twilio", "account": CREDENTIALS["account_sid"], "number": ADA}

    empty = client.post(reverse("admin:phones"), {**phone, "text": "  "}, follow=True)
    sent = client.post(reverse("admin:phones"), {**phone, "text": "Very good 👍"})

    assert "Write something first" in empty.content.decode()
    assert sent.url.endswith("#phone-twilio-447700900100")
    assert "Very good 👍" in look(administrator)


def test_each_organisation_has_its_own_phones(phones: SimulatorProcess, administrator: User) -> None:
    other = factories.administrator(factories.organization("Other"))
    mine = administrator.organization
    assert mine is not None
    text_from(phones, mine, ADA, "How was it at ours?", account_sid="AC" + "3" * 32)
    wait_for(administrator, "How was it at ours?")
    client = Client()
    client.force_login(other)

    answer = {"provider": "twilio", "account": "AC" + "3" * 32, "number": ADA, "text": "Stop"}

    assert "Nothing has arrived on any phone yet." in look(other)
    assert client.post(reverse("admin:phones"), answer).status_code == 404


def test_whoever_may_not_see_recipients_sees_no_phones(phones: SimulatorProcess, administrator: User) -> None:
    blind = factories.user(administrator.organization, User.Role.MEMBER)
    for someone, status in ((blind, 403), (factories.operator(), 404), (administrator, 200)):
        client = Client()
        client.force_login(someone)
        assert client.get(reverse("admin:phones")).status_code == status
        assert ("Show the phones" in client.get("/admin/").content.decode()) is (status == 200)


def test_a_simulator_that_has_ended_is_said(settings: Any, administrator: User) -> None:
    settings.PROVIDER_BASE_URLS = {"twilio": "http://127.0.0.1:9/twilio"}

    assert "The simulated providers do not answer." in look(administrator)

"""The scenarios that prove the portal, clicked as a person would.

Real browser, web server, worker and beat; the provider is the simulator. Found elsewhere: the eight clicks from log-in
to a granted account (test_extensions_flow.py), composing and importing (test_compose_and_launch.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone, translation
from django.utils.translation import gettext
from playwright.sync_api import Page, expect

from distributions.models import Distribution, InboundMessage, Message
from distributions.references import reference
from distributions.states import Status
from extensions import registry, routing
from extensions.models import ProviderAccount
from extensions.urls_public import webhook_url
from organizations import tokens
from organizations.models import Organization
from simulator.process import SimulatorProcess
from tests import factories
from tests.browser.test_compose_and_launch import Person
from tests.processes import Web

pytestmark = pytest.mark.browser

OLD_TOKEN = factories.CREDENTIALS["twilio"]["auth_token"]
NEW_TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # also in tests/providers, so every log is searched for it
SILENT = "+4477{:02d}009914"  # ends with 9914: accepted, but no report of its own
LIST = "/admin/distributions/distribution/"
WITHIN = 60_000  # ms, until a text has been sent or reported


@pytest.fixture
def clinic(transactional_db: None) -> Organization:
    return factories.organization("City Clinic", default_region="GB", support_contact="Ada, ada@example.org")


@pytest.fixture
def person(simulator: SimulatorProcess, web: Web, page: Page) -> Iterator[Person]:
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    page.set_viewport_size({"width": 1280, "height": 900})
    somebody = Person(page, web)
    yield somebody
    assert somebody.problems == []


def fill_in(page: Page, provider: str, name: str, **changes: str) -> None:
    """The provider's own form, with the example of tests/providers."""
    values = {**factories.CREDENTIALS[provider], "name": name, "sender": factories.SENDERS[provider], **changes}
    for field, value in values.items():
        page.locator(f"#account-form [name={field}]").fill(value)


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label, exact=True).click()


def verify(page: Page) -> None:
    page.locator("#verify-button").click()
    expect(page.locator(".ext-check", has=page.locator("#verify-button"))).to_have_class("ext-check is-done")


def send(person: Person, draft: Distribution) -> None:
    """From the review to the last answer."""
    person.go(f"{LIST}{draft.pk}/review/")
    person.page.get_by_role("button", name="Send").click()
    expect(person.page.locator("#controls")).to_contain_text("finished", timeout=WITHIN)


def carriers(person: Person, draft: Distribution) -> set[str]:
    """The accounts that the history names."""
    person.go(f"{LIST}{draft.pk}/messages/")
    return set(person.page.locator("table.sb-table tbody td[data-label=Account]").all_inner_texts())


# --- 1: find, add, verify, grant, in use -----------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("de", 1280), ("de", 375)])
def test_an_administrator_finds_infobip_and_brings_it_into_use(
    person: Person, clinic: Organization, language: str, width: int
) -> None:
    """R1, R17 to R19, R21, R29, in the person's own language."""
    page = person.page
    page.set_viewport_size({"width": width, "height": 900})
    administrator = factories.administrator(clinic, language=language)
    person.log_in(administrator)
    expect(page.locator("html")).to_have_attribute("lang", language)

    with translation.override(language):
        add, verified, granted, in_use = map(
            gettext, ("Add account", "Verify now", "Grant access to all users", "In use")
        )
        assert (add == "Add account") is (language == "en"), "the German words are missing"
        person.go("/admin/")
        if width < 1000:
            page.locator("[x-on\\:click*=sidebarMobileOpen]").locator("visible=true").first.click()
        page.locator("#nav-sidebar a[href='/admin/extensions/']").click()
        expect(page.locator(".ext-card")).to_have_count(7)
        person.looks_right()
        page.get_by_role("searchbox").press_sequentially("infob")
        expect(page.locator(".ext-card")).to_have_count(1)
        page.get_by_role("link", name="Infobip", exact=True).click()
        organization_id = page.get_by_text(clinic.public_id).first
        expect(organization_id).to_be_visible()  # in the addresses, before there is any account
        person.looks_right()
        page.get_by_role("link", name=add).first.click()
        press(page, add)
        expect(page.get_by_role("alert")).to_be_visible()
        person.looks_right()
        fill_in(page, "infobip", "Hauptleitung")
        press(page, add)
        page.wait_for_url("**/admin/extensions/account/**")
        press(page, verified)
        expect(page.locator(".ext-check", has=page.locator("#verify-button"))).to_have_class("ext-check is-done")
        press(page, granted)
        expect(page.locator("#check-list .sb-badge").first).to_have_text(in_use)
        person.looks_right()

        person.go("/admin/extensions/")
        card = page.locator(".ext-card", has=page.get_by_role("link", name="Infobip", exact=True))
        expect(card.locator(".sb-badge").first).to_have_text(in_use)
    account = ProviderAccount.objects.get()
    assert account.check_ok
    assert routing.account_in_use(clinic) == account


# --- 2: one account at a time ----------------------------------------------------------------------------------------


def test_a_second_account_waits_until_the_first_is_deleted(person: Person, clinic: Organization, beat: Any) -> None:
    """R21 to R23: across extensions; what was sent keeps naming the account that carried it."""
    first = factories.account(clinic, "twilio", name="First line")
    before, after = (factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2)) for _ in range(2))
    person.log_in(factories.administrator(clinic))
    page = person.page
    person.go("/admin/extensions/infobip/add/")
    fill_in(page, "infobip", "Second line")
    press(page, "Add account")
    page.wait_for_url("**/admin/extensions/account/**")
    verify(page)
    press(page, "Grant access to all users")
    standing = page.locator("#check-list header")
    expect(standing).to_contain_text("Waiting")
    expect(standing).to_contain_text("“First line” comes first in the list")

    send(person, before)
    assert carriers(person, before) == {"First line (Twilio)"}

    person.go(f"/admin/extensions/account/{first.public_id}/delete/")
    expect(page.locator("form.ext-delete")).to_contain_text("“Second line” at Infobip is next in the list")
    press(page, "Delete account")
    person.go("/admin/extensions/")
    card = page.locator(".ext-card", has=page.get_by_role("link", name="Infobip", exact=True))
    expect(card.locator(".sb-badge").first).to_have_text("In use")

    person.go(f"{LIST}{after.pk}/review/")
    expect(page.get_by_text("Second line")).to_be_visible()
    page.get_by_role("button", name="Send 2 texts now").click()
    expect(page.locator("#progress")).to_be_visible()
    expect(page.locator("#progress tr", has_text="accepted").first).to_contain_text("2", timeout=WITHIN)
    assert carriers(person, after) == {"Second line (Infobip)"}
    assert carriers(person, before) == {"First line (Twilio), since deleted"}


# --- 3: the permission -----------------------------------------------------------------------------------------------


def ask_api(web: Web, path: str, token: str, values: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{web.url}/API/v3/{path}",
        json.dumps(values).encode() if values is not None else None,
        {"X-API-TOKEN": token, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_who_lacks_the_permission_is_refused_until_it_is_given(person: Person, clinic: Organization, beat: Any) -> None:
    """R31, R32: an account in use is not enough, in the interface and the API; the refusal says whom to ask."""
    factories.account(clinic, "twilio")
    member = factories.user(clinic, name="Grace Hopper")
    token = tokens.regenerate(member)
    people = factories.contact_list(clinic, 2)
    draft = factories.distribution(clinic, contact_list=people)
    values = {
        "surveyId": draft.survey.public_id,
        "name": "Spring",
        "sendDate": timezone.now().isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": people.public_id},
        "message": {"messageText": "Hello ${l://SurveyURL}"},
    }
    person.log_in(member)
    page = person.page

    person.go(LIST)
    expect(page.locator("main")).to_contain_text("Use SMS distributions")
    expect(page.locator("main")).to_contain_text("ada@example.org")
    expect(page.get_by_role("link", name="Add distribution")).to_have_count(0)
    person.go(f"{LIST}{draft.pk}/review/")
    expect(page.get_by_role("alert")).to_contain_text("Use SMS distributions")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    person.looks_right()
    status, answer = ask_api(person.web, "distributions/sms", token, values)
    assert status == 403
    assert "Use SMS distributions" in answer["meta"]["error"]["errorMessage"]
    assert "ada@example.org" in answer["meta"]["error"]["errorMessage"]
    assert not Message.objects.exists()

    page.context.clear_cookies()
    person.log_in(factories.administrator(clinic))
    person.go(f"/admin/organizations/user/{member.pk}/change/")
    expect(page.locator("#decision")).to_contain_text("not")
    page.get_by_role("radio", name="Enabled").check()
    expect(page.locator("#decision")).to_contain_text("Enabled")
    press(page, "Save")

    page.context.clear_cookies()
    person.log_in(member)
    send(person, draft)
    status, answer = ask_api(person.web, "distributions/sms", token, values)
    assert status == 200, answer


# --- 7: a sender that nobody can answer ------------------------------------------------------------------------------


def test_an_alphanumeric_sender_is_warned_of_when_saved_and_when_launched(
    person: Person, clinic: Organization, beat: Any
) -> None:
    """R51 to R53."""
    draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    person.log_in(factories.administrator(clinic))
    page = person.page
    person.go("/admin/extensions/twilio/add/")
    fill_in(page, "twilio", "Named line", sender="CityClinic")
    expect(page.locator("#sender-preview")).to_contain_text("Nobody can answer this sender")
    person.looks_right()
    press(page, "Add account")

    expect(page.get_by_role("alert")).to_contain_text("Nothing has been saved")
    expect(page.locator("#account-form")).to_contain_text("Tick this box")
    assert not ProviderAccount.objects.exists()
    fill_in(page, "twilio", "Named line", sender="CityClinic")
    expect(page.locator("#sender-preview")).to_contain_text("Nobody can answer this sender")
    page.get_by_label("I have read this").check()
    press(page, "Add account")
    expect(page.locator("main")).to_contain_text("Nobody can answer this sender")
    verify(page)
    press(page, "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")

    person.go(f"{LIST}{draft.pk}/review/")
    expect(page.locator(".sb-notice.is-warning").first).to_contain_text("nobody can answer a name")
    expect(page.locator("main")).to_contain_text("nobody can answer this sender")
    person.looks_right()
    send(person, draft)
    assert set(Message.objects.values_list("account__sender_kind", flat=True)) == {"alphanumeric"}


# --- 8: a set-up that is not finished --------------------------------------------------------------------------------


@pytest.fixture
def default_provider(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """For the processes, which read the environment, and for this one."""
    settings.DEFAULT_PROVIDER = {
        "provider": "twilio",
        "sender": "447700900999",
        "credentials": {"account_sid": f"AC{'9' * 32}", "auth_token": NEW_TOKEN},
    }
    monkeypatch.setenv("DEFAULT_PROVIDER", json.dumps(settings.DEFAULT_PROVIDER))


def test_while_set_up_is_unfinished_the_installations_route_is_used_and_recorded(
    default_provider: None, person: Person, clinic: Organization, beat: Any
) -> None:
    """R8, R9."""
    factories.account(clinic, "infobip", name="Half done", granted=False, verified=False)
    draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    person.log_in(factories.administrator(clinic))

    person.go(f"{LIST}{draft.pk}/review/")
    expect(person.page.locator("main")).to_contain_text("the default provider of this installation")
    person.looks_right()
    send(person, draft)

    assert not Message.objects.filter(account=None).exists()
    assert set(Message.objects.values_list("account__organization", flat=True)) == {None}
    (carrier,) = carriers(person, draft)
    assert "Half done" not in carrier
    assert "Twilio" in carrier
    person.looks_right()


def test_without_a_route_the_launch_is_refused_and_the_unfinished_step_is_named(
    person: Person, clinic: Organization
) -> None:
    """R10, R34: step by step."""
    account = factories.account(clinic, "twilio", name="Half done", granted=False, verified=False)
    draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    person.log_in(factories.administrator(clinic))
    page = person.page

    person.go(f"{LIST}{draft.pk}/review/")
    expect(page.get_by_role("alert")).to_contain_text(
        "“Half done” (Twilio) is not finished. Next: verify the credentials"
    )
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    person.looks_right()
    person.go(f"/admin/extensions/account/{account.public_id}/")
    verify(page)
    person.go(f"{LIST}{draft.pk}/review/")
    expect(page.get_by_role("alert")).to_contain_text("Next: grant access to all users.")
    person.go(f"/admin/extensions/account/{account.public_id}/")
    press(page, "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")
    person.go(f"{LIST}{draft.pk}/review/")
    expect(page.get_by_role("button", name="Send 2 texts now")).to_be_enabled()


# --- 10: a new secret ------------------------------------------------------------------------------------------------


@pytest.fixture
def twilio_calls(web: Web, clinic: Organization) -> Callable[..., int]:
    """Calls our public address as Twilio does; `token` signs. Returns the status of our answer."""

    def call(kind: Any, parameters: dict[str, str], *, token: str, query: str = "") -> int:
        url = webhook_url(kind, registry.get("twilio"), clinic) + (f"?{query}" if query else "")
        signed = url + "".join(f"{name}{parameters[name]}" for name in sorted(parameters))
        signature = base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()
        request = urllib.request.Request(url, urlencode(parameters).encode(), {"X-Twilio-Signature": signature})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    return call


def test_a_new_secret_interrupts_no_conversation(
    person: Person,
    simulator: SimulatorProcess,
    clinic: Organization,
    twilio_calls: Callable[..., int],
    beat: Any,
) -> None:
    """R24, W10: replaced in one flow; both secrets are believed; history keeps naming the account that sent."""
    credentials = factories.CREDENTIALS["twilio"]
    register = {"provider": "twilio", "credentials": credentials, "settings": {"secondary_auth_token": NEW_TOKEN}}
    body = json.dumps(register).encode()
    urllib.request.urlopen(f"{simulator.url}/_/accounts", body, timeout=10).close()
    old = factories.account(clinic, "twilio", name="Old line")
    people = factories.contact_list(clinic, phones=[SILENT.format(number) for number in (1, 2)])
    draft = factories.distribution(clinic, contact_list=people)
    person.log_in(factories.administrator(clinic))
    page = person.page
    person.go(f"{LIST}{draft.pk}/review/")
    page.get_by_role("button", name="Send 2 texts now").click()
    expect(page.locator("#progress tr", has_text="accepted").first).to_contain_text("2", timeout=WITHIN)

    person.go(f"/admin/extensions/account/{old.public_id}/")
    page.get_by_role("link", name="Create new and replace").click()
    expect(page.locator("#account-form")).to_contain_text("14 days")
    expect(page.locator("[name=auth_token]")).to_have_value("")
    fill_in(page, "twilio", "New line", auth_token=NEW_TOKEN)
    person.looks_right()
    press(page, "Save and go on")
    expect(page.locator("#check-list")).to_contain_text("This account is to replace “Old line”")
    assert routing.account_in_use(clinic) == old, "nothing is interrupted before the new secret is confirmed"
    verify(page)
    if page.locator("#grant-button").count():
        page.locator("#grant-button").click()
    expect(page.locator("#check-list")).to_contain_text("In use")
    new = ProviderAccount.objects.alive().get()
    assert (new.name, routing.account_in_use(clinic)) == ("New line", new)
    old.refresh_from_db()
    assert old.deleted_at is not None

    sent = list(Message.objects.order_by("pk"))
    for message, token in zip(sent, (OLD_TOKEN, NEW_TOKEN), strict=True):
        report = {
            "MessageSid": message.provider_message_id,
            "MessageStatus": "delivered",
            "To": message.to,
            "From": f"+{old.sender}",
            "AccountSid": credentials["account_sid"],
        }
        reply = {
            "MessageSid": f"SM{message.pk:032d}",
            "SmsStatus": "received",
            "From": message.to,
            "To": f"+{old.sender}",
            "Body": "Very good",
            "AccountSid": credentials["account_sid"],
        }
        query = f"mid={reference(message.pk)}"
        assert twilio_calls("status", report, token="e" * 32, query=query) == 401
        assert twilio_calls("status", report, token=token, query=query) in (200, 204)
        assert twilio_calls("message", reply, token=token) in (200, 204)

    person.go(f"{LIST}{draft.pk}/change/")
    expect(page.locator("#progress tr", has_text="delivered").first).to_contain_text("2", timeout=WITHIN)
    page.wait_for_timeout(1500)  # the replies come in the same round or the next
    assert set(Message.objects.values_list("status", flat=True)) == {Status.DELIVERED}
    assert {inbound.message_id for inbound in InboundMessage.objects.all()} == {message.pk for message in sent}
    assert carriers(person, draft) == {"Old line (Twilio), since deleted"}
    person.looks_right()

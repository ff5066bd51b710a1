"""Scenarios 1, 2, 3, 7, 8 and 10 of docs/requirements.md, clicked as a person would, on a desk and on a phone.

Real browser, web server, worker and beat; the provider is the simulator. Found elsewhere: the eight clicks from log-in
to a granted account (test_extensions_flow.py), composing and importing (test_compose_and_launch.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import override_settings
from django.utils import timezone, translation
from django.utils.translation import gettext
from playwright.sync_api import Page, expect

from distributions.engine.references import reference
from distributions.models import Distribution, InboundMessage, Message
from distributions.states import Status
from extensions import registry, routing
from extensions.models import ProviderAccount
from extensions.webhook_urls import webhook_url
from organizations import tokens
from organizations.models import Organization, User
from simulator import process as simulator_process
from simulator.process import SimulatorProcess
from tests import factories
from tests.browser.installation import open_database
from tests.browser.test_compose_and_launch import Person
from tests.conftest import starting
from tests.processes import Beat, Web, Worker

pytestmark = pytest.mark.browser

OLD_TOKEN = factories.CREDENTIALS["twilio"]["auth_token"]
NEW_TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # also in tests/providers, so every log is searched for it
SILENT = "+4477{:02d}009914"  # ends with 9914: accepted, but no report of its own
EXTENSIONS, DISTRIBUTIONS, USERS = (
    f"/admin/{path}/" for path in ("extensions", "distributions/distribution", "organizations/user")
)
WITHIN = 60_000  # ms, until a text has been sent or reported
WIDTHS = {"desk": 1280, "phone": 375}
DEFAULT_PROVIDER = json.dumps(
    {
        "provider": "twilio",
        "sender": "447700900999",
        "credentials": {"account_sid": f"AC{'9' * 32}", "auth_token": NEW_TOKEN},
    }
)


# --- One installation for all: each test is an organisation of its own ------------------------------------------------


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with open_database(django_db_blocker):
        yield


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: Any) -> Iterator[SimulatorProcess]:
    options = {"latency_ms": 0, "report_delay_ms": 20, "state_dir": tmp_path_factory.mktemp("simulator")}
    with simulator_process.start(**options) as running, override_settings(PROVIDER_BASE_URLS=running.base_urls()):
        yield running


@pytest.fixture(scope="module")
def start(request: Any, db: None, simulator: SimulatorProcess, tmp_path_factory: Any) -> Iterator[Callable[..., Any]]:
    quick = override_settings(SWEEP_EVERY=1)  # seconds, until the periodic check sees that a distribution is finished
    with quick, starting(request.node, tmp_path_factory.mktemp("processes")) as start_one:
        yield start_one


@pytest.fixture(scope="module")
def web(start: Callable[..., Any]) -> Iterator[Web]:
    """The web server, together with a worker and the beat. The installation has a default provider."""
    served = start(Web, DEFAULT_PROVIDER=DEFAULT_PROVIDER)
    with override_settings(PUBLIC_URL=served.url):
        start(Worker, DEFAULT_PROVIDER=DEFAULT_PROVIDER)
        start(Beat, DEFAULT_PROVIDER=DEFAULT_PROVIDER)
        yield served


@pytest.fixture
def clinic(web: Web) -> Organization:
    return factories.organization("City Clinic", default_region="GB", support_contact="Ada, ada@example.org")


@pytest.fixture(params=WIDTHS)
def person(request: pytest.FixtureRequest, web: Web, page: Page) -> Iterator[Person]:
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    page.set_viewport_size({"width": WIDTHS[request.param], "height": 900})
    somebody = Person(page, web)
    yield somebody
    assert somebody.problems == []


# --- What a person does again and again -------------------------------------------------------------------------------


def choose(person: Person, path: str) -> None:
    """In the menu, which is closed on a phone."""
    page = person.page
    entry = page.locator(f"#nav-sidebar a[href='{path}']")
    if page.evaluate("window.innerWidth") == WIDTHS["phone"]:
        expect(entry).to_be_hidden()
        page.locator("button[aria-controls=nav-sidebar]").locator("visible=true").click()
    entry.click()
    page.wait_for_url(f"**{path}")


def open_extension(person: Person, name: str) -> None:
    choose(person, EXTENSIONS)
    person.page.get_by_role("link", name=name, exact=True).click()


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


def open_distribution(person: Person, distribution: Distribution) -> None:
    choose(person, DISTRIBUTIONS)
    person.page.locator("#result_list").get_by_role("link", name=distribution.name, exact=True).click()


def review(person: Person, draft: Distribution) -> None:
    open_distribution(person, draft)
    person.page.wait_for_url("**/edit/")
    person.page.wait_for_load_state("networkidle")  # the preview comes by itself, and moves the button on a phone
    press(person.page, "Continue to review")
    person.page.wait_for_url("**/review/")


def launch(person: Person, draft: Distribution) -> None:
    review(person, draft)
    press(person.page, "Send 2 texts now")
    expect(person.page.locator("#progress")).to_be_visible()


def send(person: Person, draft: Distribution) -> None:
    """From the list to the last answer."""
    launch(person, draft)
    expect(person.page.locator("#controls")).to_contain_text("finished", timeout=WITHIN)


def carriers(person: Person, distribution: Distribution) -> set[str]:
    """The accounts that the history names."""
    open_distribution(person, distribution)
    person.page.get_by_role("link", name="Recipients").first.click()
    person.page.wait_for_url("**/messages/")
    return set(person.page.locator("table.sb-table tbody td[data-label=Account]").all_inner_texts())


def change_to(person: Person, user: User) -> None:
    """At the same browser, somebody else."""
    person.page.context.clear_cookies()
    person.log_in(user)


# --- 1: find, add, verify, grant, in use -----------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_administrator_finds_infobip_and_brings_it_into_use(
    person: Person, clinic: Organization, language: str
) -> None:
    """R1, R17 to R19, R21, R29, in the person's own language."""
    page = person.page
    administrator = factories.administrator(clinic, language=language)
    person.log_in(administrator)
    expect(page.locator("html")).to_have_attribute("lang", language)

    with translation.override(language):
        add, granted, in_use = map(gettext, ("Add account", "Grant access to all users", "In use"))
        assert (add == "Add account") is (language == "en"), "the German words are missing"
        choose(person, EXTENSIONS)
        expect(page.locator(".ext-card")).to_have_count(7)
        person.looks_right()
        page.get_by_role("searchbox").press_sequentially("infob")
        expect(page.locator(".ext-card")).to_have_count(1)
        page.get_by_role("link", name="Infobip", exact=True).click()
        expect(page.get_by_text(clinic.public_id).first).to_be_visible()  # before there is any account
        person.looks_right()
        page.get_by_role("link", name=add).first.click()
        press(page, add)
        expect(page.get_by_role("alert")).to_be_visible()
        person.looks_right()
        fill_in(page, "infobip", "Hauptleitung")
        press(page, add)
        page.wait_for_url("**/admin/extensions/account/**")
        expect(page.locator(".ext-check", has=page.locator("#verify-button"))).to_have_class("ext-check is-done")
        press(page, granted)
        expect(page.locator("#check-list .sb-badge").first).to_have_text(in_use)
        person.looks_right()

        choose(person, EXTENSIONS)
        card = page.locator(".ext-card", has=page.get_by_role("link", name="Infobip", exact=True))
        expect(card.locator(".sb-badge").first).to_have_text(in_use)
    account = clinic.provider_accounts.get()
    assert account.check_ok
    assert routing.account_in_use(clinic) == account


# --- 2: one account at a time ----------------------------------------------------------------------------------------


def test_a_second_account_waits_until_the_first_is_deleted(person: Person, clinic: Organization) -> None:
    """R21 to R23: across extensions; what was sent keeps naming the account that carried it."""
    factories.account(clinic, "twilio", name="First line")
    before, after = (factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2)) for _ in range(2))
    person.log_in(factories.administrator(clinic))
    page = person.page
    open_extension(person, "Infobip")
    page.get_by_role("link", name="Add account").click()
    fill_in(page, "infobip", "Second line")
    press(page, "Add account")
    page.wait_for_url("**/admin/extensions/account/**")
    verify(page)
    press(page, "Grant access to all users")
    standing = page.locator("#check-list header")
    expect(standing).to_contain_text("Waiting")
    expect(standing).to_contain_text("“First line” comes before it in the list")
    person.looks_right()

    send(person, before)
    assert carriers(person, before) == {"First line (Twilio)"}

    open_extension(person, "Twilio")
    page.get_by_role("link", name="First line", exact=True).click()
    page.get_by_role("link", name="Delete", exact=True).click()
    expect(page.locator("form.ext-delete")).to_contain_text("“Second line” (Infobip) is next in the list")
    person.looks_right()
    press(page, "Delete account")
    expect(page.get_by_text("“First line” has been deleted.")).to_be_visible()
    choose(person, EXTENSIONS)
    card = page.locator(".ext-card", has=page.get_by_role("link", name="Infobip", exact=True))
    expect(card.locator(".sb-badge").first).to_have_text("In use")

    review(person, after)
    expect(page.get_by_text("Second line")).to_be_visible()
    press(page, "Send 2 texts now")
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


def test_who_lacks_the_permission_is_refused_until_it_is_given(person: Person, clinic: Organization) -> None:
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

    choose(person, DISTRIBUTIONS)
    expect(page.locator("main")).to_contain_text("Use SMS distributions")
    expect(page.locator("main")).to_contain_text("ada@example.org")
    expect(page.get_by_role("link", name="Add distribution")).to_have_count(0)
    person.looks_right()
    open_distribution(person, draft)
    expect(page.get_by_role("alert")).to_contain_text("Use SMS distributions")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    person.looks_right()
    status, answer = ask_api(person.web, "distributions/sms", token, values)
    assert status == 403
    assert "Use SMS distributions" in answer["meta"]["error"]["errorMessage"]
    assert "ada@example.org" in answer["meta"]["error"]["errorMessage"]
    assert not Message.objects.filter(organization=clinic).exists()

    change_to(person, factories.administrator(clinic))
    choose(person, USERS)
    page.locator("#result_list").get_by_role("link", name="Grace Hopper").click()
    expect(page.locator("#decision")).to_contain_text("not")
    page.locator("[name=use_sms_distributions][value=enabled]").check()
    expect(page.locator("#decision")).to_contain_text("Enabled")
    person.looks_right()
    press(page, "Save")
    page.wait_for_url(f"**{USERS}")

    change_to(person, member)
    send(person, draft)
    status, answer = ask_api(person.web, "distributions/sms", token, values)
    assert status == 200, answer


# --- 7: a sender that nobody can answer ------------------------------------------------------------------------------


def test_an_alphanumeric_sender_is_warned_of_when_saved_and_when_launched(person: Person, clinic: Organization) -> None:
    """R51 to R53; what must be answered is not sent from it at all (R69)."""
    draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    by_text = factories.interactive(clinic)
    person.log_in(factories.administrator(clinic))
    page = person.page
    open_extension(person, "Twilio")
    page.get_by_role("link", name="Add account").click()
    fill_in(page, "twilio", "Named line", sender="CityClinic")
    expect(page.locator("#sender-preview")).to_contain_text("Nobody can reply to this sender")
    person.looks_right()
    press(page, "Add account")

    expect(page.get_by_role("alert")).to_contain_text("Nothing has been saved")
    expect(page.locator("#account-form")).to_contain_text("Tick this box")
    assert not clinic.provider_accounts.exists()
    fill_in(page, "twilio", "Named line", sender="CityClinic")
    expect(page.locator("#sender-preview")).to_contain_text("Nobody can reply to this sender")
    page.get_by_label("I have read this").check()
    press(page, "Add account")
    expect(page.locator("main")).to_contain_text("Nobody can reply to this sender")
    verify(page)
    press(page, "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")

    review(person, by_text)
    expect(page.get_by_role("alert")).to_contain_text("nobody can reply to a name")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    review(person, draft)
    expect(page.locator(".sb-notice.is-warning").first).to_contain_text("nobody can reply to a name")
    expect(page.locator("main")).to_contain_text("nobody can reply to this sender")
    person.looks_right()
    press(page, "Send 2 texts now")
    expect(page.locator("#controls")).to_contain_text("finished", timeout=WITHIN)
    sent = Message.objects.filter(organization=clinic)
    assert list(sent.values_list("account__sender_kind", flat=True)) == ["alphanumeric"] * 2


# --- 8: a set-up that is not finished --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def web_without_default(start: Callable[..., Any], web: Web) -> Web:
    """A second web server on the same database, whose settings name no default provider."""
    served: Web = start(Web)
    return served


def test_while_set_up_is_unfinished_the_installations_route_is_used_and_recorded(
    person: Person, clinic: Organization
) -> None:
    """R8, R9."""
    factories.account(clinic, "infobip", name="Half done", granted=False, verified=False)
    draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    person.log_in(factories.administrator(clinic))

    review(person, draft)
    expect(person.page.locator("main")).to_contain_text("the default provider of this installation")
    person.looks_right()
    press(person.page, "Send 2 texts now")
    expect(person.page.locator("#controls")).to_contain_text("finished", timeout=WITHIN)

    carrying = ProviderAccount.objects.filter(pk__in=draft.messages.values("account"))
    assert [account.organization for account in carrying] == [None]
    (carrier,) = carriers(person, draft)
    assert "Half done" not in carrier
    assert "Twilio" in carrier
    person.looks_right()


def test_without_a_route_the_launch_is_refused_and_the_unfinished_step_is_named(
    person: Person, clinic: Organization, web_without_default: Web
) -> None:
    """R10, R34: step by step."""
    factories.account(clinic, "twilio", name="Half done", granted=False, verified=False)
    draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    person.web = web_without_default
    person.log_in(factories.administrator(clinic))
    page = person.page

    review(person, draft)
    expect(page.get_by_role("alert")).to_contain_text(
        "“Half done” (Twilio) is not finished. Next: verify the credentials"
    )
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    person.looks_right()
    open_extension(person, "Twilio")
    page.get_by_role("link", name="Half done", exact=True).click()
    verify(page)
    review(person, draft)
    expect(page.get_by_role("alert")).to_contain_text("Next: grant access to all users.")
    open_extension(person, "Twilio")
    page.get_by_role("link", name="Half done", exact=True).click()
    press(page, "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")
    review(person, draft)
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


def answered(clinic: Organization, number: int) -> set[int | None]:
    """The texts that replies were found to answer, once there are so many replies."""
    replies = InboundMessage.objects.filter(organization=clinic)
    deadline = time.monotonic() + WITHIN / 1000
    while replies.count() < number and time.monotonic() < deadline:
        time.sleep(0.1)
    return set(replies.values_list("message", flat=True))


def test_a_new_secret_interrupts_no_conversation(
    person: Person,
    simulator: SimulatorProcess,
    clinic: Organization,
    twilio_calls: Callable[..., int],
) -> None:
    """R24, W2: replaced in one flow; both secrets are believed; history keeps naming the account that sent."""
    credentials = factories.CREDENTIALS["twilio"]
    register = {"provider": "twilio", "credentials": credentials, "settings": {"secondary_auth_token": NEW_TOKEN}}
    body = json.dumps(register).encode()
    urllib.request.urlopen(f"{simulator.url}/_/accounts", body, timeout=10).close()
    old = factories.account(clinic, "twilio", name="Old line")
    people = factories.contact_list(clinic, phones=[SILENT.format(number) for number in (1, 2)])
    draft = factories.distribution(clinic, contact_list=people)
    person.log_in(factories.administrator(clinic))
    page = person.page
    launch(person, draft)
    expect(page.locator("#progress tr", has_text="accepted").first).to_contain_text("2", timeout=WITHIN)

    open_extension(person, "Twilio")
    page.get_by_role("link", name="Old line", exact=True).click()
    page.get_by_role("link", name="Create new and replace").click()
    expect(page.locator("#account-form")).to_contain_text("14 days")
    expect(page.locator("[name=auth_token]")).to_have_value("")
    fill_in(page, "twilio", "New line", auth_token=NEW_TOKEN)
    person.looks_right()
    press(page, "Save and continue")
    expect(page.locator("#check-list")).to_contain_text("This account is to replace “Old line”")
    expect(page.locator(".ext-check", has=page.locator("#verify-button"))).to_have_class("ext-check is-done")
    assert routing.account_in_use(clinic) == old, "nothing is interrupted before the new account takes over"
    person.looks_right()
    page.get_by_role("link", name="Take over now").click()
    expect(page.locator("form.ext-delete")).to_contain_text("The number stays")
    person.looks_right()
    press(page, "Take over now")
    expect(page.locator("#check-list")).to_contain_text("In use")
    new = clinic.provider_accounts.alive().get()
    assert (new.name, routing.account_in_use(clinic)) == ("New line", new)
    old.refresh_from_db()
    assert old.deleted_at is not None

    sent = list(draft.messages.order_by("pk"))
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

    open_distribution(person, draft)
    expect(page.locator("#progress tr", has_text="delivered").first).to_contain_text("2", timeout=WITHIN)
    assert set(draft.messages.values_list("status", flat=True)) == {Status.DELIVERED}
    assert answered(clinic, 2) == {message.pk for message in sent}
    assert carriers(person, draft) == {"Old line (Twilio), since deleted"}
    person.looks_right()

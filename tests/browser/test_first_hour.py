"""The first hour, from an installation with nobody but its operator to the first answer; and what ends meanwhile.

Counted clicks are printed: `pytest tests/browser/test_first_hour.py -s`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import RequestFactory
from playwright.sync_api import Browser, Page, expect

from config.portal import errors
from distributions.models import Message
from extensions import registry
from extensions.webhook_urls import webhook_url
from organizations.models import Organization, User
from surveys.models import Answer
from tests import factories
from tests.browser.test_compose_and_launch import Person
from tests.browser.test_extensions_flow import SID, TOKEN
from tests.browser.test_two_way_flow import ANSWERS, tell
from tests.processes import Web

pytestmark = pytest.mark.browser
MOST_CLICKS = 40
PASSWORD = "a quiet heron stands"


class Clicker(Person):
    """Counts what they click."""

    clicks = 0

    def click(self, role: Any, name: str, **more: Any) -> None:
        self.clicks += 1
        self.page.get_by_role(role, name=name, exact=True, **more).first.click()

    def next_step(self) -> None:
        """The one button of the guide, from the home page."""
        self.clicks += 2
        self.go("/admin/")  # the menu's first entry
        self.looks_right()
        self.page.locator(".sb-guide .is-primary").click()


@pytest.fixture(params=[1280, 375], ids=["desk", "phone"])
def operator(
    request: pytest.FixtureRequest, transactional_db: None, simulator: Any, web: Web, page: Page
) -> Iterator[Clicker]:
    page.set_default_timeout(20_000)
    page.set_viewport_size({"width": request.param, "height": 900})
    somebody = Clicker(page, web)
    somebody.log_in(factories.operator(name="Olga Operator"))
    yield somebody
    assert somebody.problems == []


def test_from_nothing_to_the_first_answer(operator: Clicker, simulator: Any, browser: Browser, beat: Any) -> None:
    """R11-R14, R17-R19, R29: an organisation, its administrator, an account, people, a survey by text, an answer."""
    page = operator.page
    operator.click("link", "New organisation")
    page.get_by_label("Name").fill("City Clinic")
    page.get_by_label("Add an administrator").fill("ada@example.org")
    page.locator("#id_default_region").select_option("GB", force=True)
    operator.clicks += 2  # of the select: open, choose
    page.locator("#id_licence-0-sms").check(force=True)
    page.get_by_label("Twilio").check()
    operator.clicks += 2
    operator.looks_right()
    operator.click("button", "Save")
    link = page.locator("#link").inner_text()
    clinic = Organization.objects.get()
    tell(
        simulator,
        "accounts",
        {
            "provider": "twilio",
            "credentials": {"account_sid": SID, "auth_token": TOKEN},
            "inbound_url": webhook_url("message", registry.get("twilio"), clinic),
        },
    )

    size = page.viewport_size
    context = browser.new_context(viewport=size, locale="en-GB")
    ada = Clicker(context.new_page(), operator.web)
    page = ada.page
    page.set_default_timeout(20_000)
    page.goto(link)
    page.locator("[name=new_password1]").fill(PASSWORD)
    page.locator("[name=new_password2]").fill(PASSWORD)
    ada.click("button", "Set the password")
    expect(page.get_by_text("you are logged in")).to_be_visible()

    ada.next_step()
    ada.click("link", "Twilio")
    ada.click("link", "Add account")
    page.get_by_label("Name").fill("Main")
    page.get_by_label("Account SID").fill(SID)
    page.get_by_label("Auth Token").fill(TOKEN)
    page.get_by_label("Phone number, sender ID").fill("13531234567")
    expect(page.locator("#sender-preview")).to_contain_text("is a phone number")
    ada.click("button", "Add account")
    expect(page.locator(".ext-check", has_text="Credentials verified")).to_have_class("ext-check is-done")
    ada.click("button", "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")
    ada.next_step()
    page.get_by_label("Your phone number").fill("07700 909900")
    ada.click("button", "Send test message")
    delivered = page.locator(".ext-check", has_text="Test message delivered")
    expect(delivered).to_have_class("ext-check is-done", timeout=30_000)

    ada.next_step()
    page.locator("#id_name").fill("Ward 7")
    ada.click("button", "Save")
    file = f"Phone,FirstName\n{ANSWERS},Grace\n".encode()
    page.locator("#id_file").set_input_files({"name": "ward7.csv", "mimeType": "text/csv", "buffer": file})
    ada.clicks += 1
    ada.click("button", "Upload and check")
    ada.clicks += 1
    page.get_by_role("button", name="Import").first.click()
    expect(page.get_by_text("was added").or_(page.get_by_text("were added"))).to_be_visible(timeout=30_000)

    ada.next_step()
    page.locator("#id_name").fill("Your visit")
    page.locator("#id_questions-0-text").fill("How likely are you to recommend us?")
    ada.click("button", "Begin")
    expect(page.locator("#try")).to_contain_text("0 = not at all likely, 10 = extremely likely")
    page.locator("#my_reply").fill("9 because you were kind")
    page.locator("#my_reply").press("Enter")
    expect(page.locator("#try")).to_contain_text("Answer: 9")
    ada.click("button", "Save")
    page.wait_for_url("**/admin/surveys/survey/")

    ada.next_step()
    ada.clicks += 3
    page.get_by_text("Survey by text (two-way)").click()
    page.locator("#id_contact_list").select_option("Ward 7")
    page.locator("#id_survey").select_option("Your visit")
    page.locator("#id_name").fill("First survey")
    page.locator("#id_message_text").fill("Hello ${m://FirstName}! Reply STOP to opt out.")
    expect(page.locator("#preview")).to_contain_text("Hello Grace!")
    ada.looks_right()
    ada.click("button", "Continue to review")
    expect(page.locator("main")).to_contain_text("We could not read your answer.")
    ada.looks_right()
    ada.click("button", "Send 1 text now")
    expect(page.locator("#completed")).to_have_text("1", timeout=60_000)

    ada.go("/admin/")
    expect(page.locator(".sb-guide")).to_have_count(0)  # it is over
    message = Message.objects.filter(conversation=None).get()
    ada.clicks += 2  # recipients, the person
    ada.go(f"/admin/distributions/distribution/{message.distribution_id}/messages/{message.pk}/")
    expect(page.locator("main")).to_contain_text(Answer.objects.get().text)
    ada.looks_right()

    assert ada.problems == []
    assert operator.clicks + ada.clicks <= MOST_CLICKS
    width = size["width"] if size else 0
    sys.stdout.write(f"\n{width} px: {operator.clicks} clicks of the operator, {ada.clicks} of the administrator\n")
    context.close()


# --- what ends in the middle ------------------------------------------------------------------------------------------


@pytest.fixture
def writer(transactional_db: None, simulator: Any, web: Web, page: Page) -> Iterator[Person]:
    page.set_default_timeout(15_000)
    clinic = factories.organization("Clinic", default_region="GB")
    factories.account(clinic)
    factories.contact_list(clinic, 1, name="Ward 7")
    factories.survey(clinic, name="Your visit")
    somebody = Person(page, web)
    somebody.log_in(factories.administrator(clinic, email="ada@example.org", language="en"))
    yield somebody
    assert somebody.problems == []


TEXT = "Hello ${m://FirstName}, a text that took an hour to write: ${l://SurveyURL}"


def write(page: Page) -> None:
    page.locator("#id_name").fill("Spring survey")
    page.locator("#id_contact_list").select_option("Ward 7")
    page.locator("#id_survey").select_option("Your visit")
    page.locator("#id_message_text").fill(TEXT)
    expect(page.locator("#preview")).to_contain_text("a text that took an hour")


def log_in_again(page: Page) -> None:
    page.wait_for_url("**/admin/login/**")
    page.locator("[name=username]").fill("ada@example.org")
    page.locator("[name=password]").fill(factories.PASSWORD)
    page.locator("[name=password]").press("Enter")


def is_as_it_was_left(page: Page) -> None:
    expect(page.locator("#id_message_text")).to_have_value(TEXT)
    expect(page.locator("#id_name")).to_have_value("Spring survey")
    expect(page.locator("#id_contact_list option:checked")).to_have_text("Ward 7")
    expect(page.locator("#sb-kept")).to_be_visible()


@pytest.mark.parametrize("how", ["the preview asks", "it is sent", "all cookies are gone"])
def test_what_was_written_outlives_the_session(writer: Person, how: str) -> None:
    page = writer.page
    writer.go("/admin/distributions/distribution/add/?method=invite")
    write(page)
    Session.objects.all().delete()
    if how == "all cookies are gone":
        page.context.clear_cookies()
    if how == "the preview asks":
        page.locator("#id_survey").dispatch_event("change")
    else:
        page.get_by_role("button", name="Continue to review").click()
    if how == "all cookies are gone":
        expect(page.locator("main")).to_contain_text("cookie")
        page.get_by_role("link", name="Back to the page").click()

    log_in_again(page)

    is_as_it_was_left(page)
    page.get_by_role("button", name="Continue to review").click()
    page.wait_for_url("**/review/")
    writer.go("/admin/distributions/distribution/add/")
    expect(page.locator("#id_message_text")).to_have_value("")  # it is kept for that once


def test_what_was_written_outlives_an_error_of_the_server(writer: Person) -> None:
    page = writer.page
    writer.go("/admin/distributions/distribution/add/?method=invite")
    write(page)
    request = RequestFactory(SERVER_NAME=writer.web.url.removeprefix("http://")).post(
        "/admin/distributions/distribution/add/", headers={"referer": page.url}
    )
    broken = errors.server_error(request).content
    page.route(
        "**/distribution/add/**",
        lambda route: route.fulfill(status=500, body=broken, content_type="text/html"),
        times=1,
    )
    page.get_by_role("button", name="Continue to review").click()
    writer.looks_right()
    page.get_by_role("link", name="Back to the page").click()

    is_as_it_was_left(page)
    page.get_by_role("button", name="Continue to review").click()
    page.wait_for_url("**/review/")


def test_somebody_else_who_logs_in_does_not_see_what_was_written(writer: Person) -> None:
    page = writer.page
    ada = User.objects.get(email="ada@example.org")
    factories.administrator(ada.organization, email="grace@example.org", language="en")
    writer.go("/admin/distributions/distribution/add/")
    write(page)
    Session.objects.all().delete()
    page.get_by_role("button", name="Continue to review").click()
    page.wait_for_url("**/admin/login/**")

    page.locator("[name=username]").fill("grace@example.org")
    page.locator("[name=password]").fill(factories.PASSWORD)
    page.locator("[name=password]").press("Enter")

    page.wait_for_url("**/add/**")
    expect(page.locator("#id_message_text")).to_have_value("")


def test_on_paper_there_is_no_menu(writer: Person) -> None:
    page = writer.page
    writer.go("/admin/")
    page.emulate_media(media="print")

    expect(page.locator("#nav-sidebar")).to_be_hidden()
    expect(page.get_by_role("button", name="Menu").first).to_be_hidden()
    expect(page.locator("main h2").first).to_be_visible()


def test_the_guide_works_by_keyboard(writer: Person) -> None:
    page = writer.page
    writer.go("/admin/")
    button = page.locator(".sb-guide .is-primary")
    for _press in range(60):
        if button.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.wait_for_url("**/admin/extensions/account/**")

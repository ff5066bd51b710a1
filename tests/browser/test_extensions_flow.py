"""Admin → Extensions → search → open → Add account, in a real browser against the simulated provider."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from extensions import routing
from extensions.models import ProviderAccount
from organizations.models import User
from tests import factories, secrets
from tests.processes import Web

pytestmark = pytest.mark.browser
SID = "AC00000000000000000000000000000042"
TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # also in tests/providers, so every log is searched for it
WIDTHS = [1280, 375]
MOST_CLICKS = 8  # beyond typing the fields


class Person:
    """Somebody at the browser, whose clicks are counted and whose pages must never scroll sideways."""

    def __init__(self, page: Page, web: Web) -> None:
        self.page, self.web, self.clicks = page, web, 0
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if "Content Security" in said.text else None)

    def click(self, role: Any, name: str, *, exact: bool = False) -> None:
        self.clicks += 1
        self.page.get_by_role(role, name=name, exact=exact).click()
        self.fits()

    def fits(self) -> None:
        self.page.wait_for_load_state()
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), self.page.url

    def log_in(self, user: User) -> None:
        self.page.goto(f"{self.web.url}/admin/login/")
        self.page.locator("[name=username]").fill(user.email)
        self.page.locator("[name=password]").fill(factories.PASSWORD)
        self.page.locator("[name=password]").press("Enter")
        self.page.wait_for_url(f"{self.web.url}/admin/")


@pytest.fixture
def person(simulator: Any, web: Web, page: Page) -> Any:
    page.set_default_timeout(15_000)
    somebody = Person(page, web)
    yield somebody
    assert somebody.problems == []


@pytest.mark.parametrize("width", WIDTHS)
def test_from_the_menu_to_an_account_in_use_in_eight_clicks(
    person: Person, simulator: Any, worker: Any, width: int
) -> None:
    """R17, R18, R19, R29; a wrong field first, as it happens."""
    assert TOKEN in secrets.planted()
    user = factories.administrator(factories.organization("Clinic", default_region="GB"))
    page = person.page
    page.set_viewport_size({"width": width, "height": 900})
    person.log_in(user)

    if width < 1000:
        page.locator("[x-on\\:click*=sidebarMobileOpen]").locator("visible=true").first.click()
        person.clicks += 1
    person.clicks += 1
    page.locator("#nav-sidebar a[href='/admin/extensions/']").click()
    page.get_by_role("searchbox").press_sequentially("twi")
    expect(page.locator(".ext-card")).to_have_count(1)
    person.click("link", "Twilio")
    person.click("link", "Add account")
    page.get_by_label("Name").fill("Main")
    page.get_by_label("Account SID").fill(SID)
    page.get_by_label("Auth Token").fill(TOKEN)
    page.get_by_label("Phone number, sender ID").press_sequentially("+1 353 123 4567")
    expect(page.locator("#sender-preview")).to_contain_text("13531234567")
    person.click("button", "Add account")

    expect(page.get_by_role("alert")).to_contain_text("1 field needs your attention")
    expect(page.get_by_label("Auth Token")).to_have_value("")
    assert page.evaluate("document.activeElement.name") == "sender"
    page.get_by_label("Auth Token").fill(TOKEN)
    page.get_by_label("Phone number, sender ID").fill("13531234567")
    expect(page.locator("#sender-preview")).to_contain_text("is a phone number")
    person.click("button", "Add account")
    expect(page.get_by_text("“Main” has been added.")).to_be_visible()

    person.click("button", "Verify now")
    expect(page.locator(".ext-check", has_text="Credentials verified")).to_have_class("ext-check is-done")
    person.click("button", "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")

    assert person.clicks <= MOST_CLICKS + (width < 1000), "opening the menu on a phone is one more"
    account = ProviderAccount.objects.get()
    assert routing.account_in_use(user.organization) == account
    assert account.check_ok

    page.get_by_label("Your phone number").fill("07700 909900")
    page.get_by_role("button", name="Send test message").click()
    page.evaluate("document.activeElement.blur()")
    delivered = page.locator(".ext-check", has_text="Test message delivered")
    expect(delivered).to_have_class("ext-check is-done", timeout=20_000)
    expect(page.locator(".ext-sightings")).to_contain_text("last seen")
    person.fits()


def test_credentials_the_provider_refuses_are_answered_with_its_own_words(person: Person, simulator: Any) -> None:
    organization = factories.organization("Clinic")
    credentials = {"account_sid": SID, "auth_token": TOKEN}
    good = factories.account(organization, "twilio", credentials=credentials, verified=False, name="Good")
    bad = factories.account(
        organization, "twilio", credentials={**credentials, "auth_token": "f" * 32}, verified=False, name="Bad"
    )
    person.log_in(factories.administrator(organization))

    for account, mark in ((good, "is-done"), (bad, "is-failed")):
        person.page.goto(f"{person.web.url}/admin/extensions/account/{account.public_id}/")
        person.click("button", "Verify now")
        step = person.page.locator(".ext-check", has_text="Credentials verified")
        expect(step).to_have_class(f"ext-check {mark}")
    expect(step).to_contain_text("20003")


def test_deleting_asks_first_and_moves_on_to_the_next_account(person: Person) -> None:
    """R22, R23."""
    organization = factories.organization("Clinic")
    first, second = (factories.account(organization, "twilio", name=name) for name in ("First", "Second"))
    person.log_in(factories.administrator(organization))

    person.page.goto(f"{person.web.url}/admin/extensions/account/{second.public_id}/")
    expect(person.page.locator("#check-list")).to_contain_text("“First” comes first in the list")
    person.page.goto(f"{person.web.url}/admin/extensions/account/{first.public_id}/")
    person.click("link", "Delete")
    expect(person.page.locator("form.ext-delete")).to_contain_text("“Second” at Twilio is next in the list")
    person.click("button", "Delete account")

    expect(person.page.get_by_text("“First” has been deleted.")).to_be_visible()
    assert routing.account_in_use(organization) == second


def test_the_keyboard_alone_adds_an_account(person: Person) -> None:
    person.log_in(factories.administrator(factories.organization("Clinic")))
    page = person.page
    page.goto(f"{person.web.url}/admin/extensions/twilio/add/")
    page.get_by_label("Name").focus()

    for value in ("Main", SID, TOKEN, "Clinic"):
        page.keyboard.type(value)
        if value != "Clinic":
            page.keyboard.press("Tab")
    expect(page.locator("#sender-preview")).to_contain_text("Nobody can answer this sender")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")

    expect(page.get_by_text("“Main” has been added.")).to_be_visible()
    assert ProviderAccount.objects.get().sender_kind == "alphanumeric"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_finding(person: Person, scheme: Any) -> None:
    organization = factories.organization("Clinic")
    account = factories.account(organization, "twilio", name="Main")
    factories.account(organization, "vonage", name="Other", granted=False, verified=False)
    person.log_in(factories.administrator(organization))
    person.page.emulate_media(color_scheme=scheme)

    for path in ("", "twilio/", "twilio/add/", f"account/{account.public_id}/", f"account/{account.public_id}/delete/"):
        person.page.goto(f"{person.web.url}/admin/extensions/{path}")
        if path == "twilio/add/":
            person.page.locator("[name=sender]").fill("Clinic")
            expect(person.page.locator("#sender-preview")).to_contain_text("Nobody can answer")
        found = Axe().run(person.page).response["violations"]
        serious = [
            (finding["id"], [node["html"][:200] for node in finding["nodes"]])
            for finding in found
            if finding["impact"] in ("serious", "critical")
        ]
        assert serious == [], path

"""Admin → Extensions → search → open → Add account, in a real browser against the simulated provider."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from extensions import routing
from extensions.models import AccountState, EnabledExtension, ProviderAccount
from tests import factories, secrets
from tests.browser import test_compose_and_launch
from tests.processes import Web
from webhooks.models import RefusedCallback

pytestmark = pytest.mark.browser
SID = "AC00000000000000000000000000000042"
TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # also in tests/providers, so every log is searched for it
WIDTHS = [1280, 375]
MOST_CLICKS = 8  # beyond typing the fields
MOST_TABS = 80  # from the top of a page to anything on it


class Person(test_compose_and_launch.Person):
    """Somebody at the browser, whose clicks are counted."""

    def __init__(self, page: Page, web: Web) -> None:
        super().__init__(page, web)
        self.clicks = 0

    def click(self, role: Any, name: str, *, exact: bool = False) -> None:
        self.clicks += 1
        self.page.get_by_role(role, name=name, exact=exact).click()
        self.fits()

    def fits(self) -> None:
        self.page.wait_for_load_state()
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), self.page.url

    def tab_to(self, target: Locator) -> None:
        """Go there by the keyboard alone."""
        expect(target).to_be_visible()
        for _press in range(MOST_TABS):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{target} is not reached by the keyboard")


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
    page.get_by_label("Name").fill("")
    person.click("button", "Add account")

    expect(page.get_by_role("alert")).to_contain_text("1 field needs your attention")
    expect(page.get_by_label("Auth Token")).to_have_value("")  # it is kept, and not in the page
    assert page.evaluate("document.activeElement.name") == "name"
    page.get_by_label("Name").fill("Main")
    expect(page.get_by_label("Phone number, sender ID")).to_have_value("13531234567")
    person.click("button", "Add account")
    expect(page.get_by_text("“Main” has been added.")).to_be_visible()

    expect(page.locator(".ext-check", has_text="Credentials verified")).to_have_class("ext-check is-done")
    person.click("button", "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")

    assert person.clicks <= MOST_CLICKS + (width < 1000), "opening the menu on a phone is one more"
    account = ProviderAccount.objects.get()
    assert routing.account_in_use(user.organization) == account
    assert account.check_ok

    number = page.get_by_label("Your phone number")
    number.fill("07700 909900")
    if width < 1000:
        number.press("Enter")
    else:
        page.get_by_role("button", name="Send test message").click()
    delivered = page.locator(".ext-check", has_text="Test message delivered")
    expect(delivered).to_have_class("ext-check is-done", timeout=20_000)
    expect(page.locator(".ext-sightings")).to_contain_text("last seen")
    person.fits()


def test_an_answer_that_comes_late_hides_nothing_that_was_done_after_it(person: Person, simulator: Any) -> None:
    """R29: whoever verifies once more and grants at once sees that it is granted."""
    page = person.page
    credentials = {"account_sid": SID, "auth_token": TOKEN}
    clinic = factories.organization("Clinic")
    account = factories.account(clinic, "twilio", credentials=credentials, granted=False)
    person.log_in(factories.administrator(clinic))
    page.goto(f"{person.web.url}/admin/extensions/account/{account.public_id}/")
    late: list[tuple[Route, APIResponse]] = []
    page.route("**/verify/", lambda route: late.append((route, route.fetch())))

    person.click("button", "Verify again")
    while not late:
        page.wait_for_timeout(50)
    person.click("button", "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")
    [(route, answer)] = late
    route.fulfill(response=answer)
    page.wait_for_timeout(500)  # nothing comes: it is not waited for any more

    expect(page.locator("#check-list")).to_contain_text("In use")


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
    expect(person.page.locator("#check-list")).to_contain_text("“First” comes before it in the list")
    person.page.goto(f"{person.web.url}/admin/extensions/account/{first.public_id}/")
    person.page.get_by_role("link", name="Delete", exact=True).click()
    expect(person.page.locator("form.ext-delete")).to_contain_text("“Second” (Twilio) is next in the list")
    person.click("button", "Delete account")

    expect(person.page.get_by_text("“First” has been deleted.")).to_be_visible()
    assert routing.account_in_use(organization) == second


def test_the_keyboard_alone_adds_an_account(person: Person) -> None:
    """From the home page until it is in use, on a desk."""
    page = person.page
    page.set_viewport_size({"width": 1280, "height": 900})
    person.log_in(factories.administrator(factories.organization("Clinic")))

    for link in (
        page.locator("#nav-sidebar a[href='/admin/extensions/']"),
        page.get_by_role("link", name="Twilio", exact=True),
        page.get_by_role("link", name="Add account"),
    ):
        person.tab_to(link)
        with page.expect_navigation():
            page.keyboard.press("Enter")
    for field, value in (("name", "Main"), ("account_sid", SID), ("auth_token", TOKEN), ("sender", "Clinic")):
        person.tab_to(page.locator(f"#account-form [name={field}]"))
        page.keyboard.type(value)
    expect(page.locator("#sender-preview")).to_contain_text("Nobody can reply to this sender")
    person.tab_to(page.locator("#account-form [type=checkbox]"))
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_text("“Main” has been added.")).to_be_visible()
    # The list is exchanged each time; the focus stays where it was, or at its head where the button has gone.
    for button, done, then in (
        ("#verify-button", "Credentials verified", "#verify-button"),  # once more
        ("#grant-button", "Access granted", "#set-up"),
    ):
        person.tab_to(page.locator(button))
        page.keyboard.press("Enter")
        expect(page.locator(".ext-check", has_text=done)).to_have_class("ext-check is-done")
        expect(page.locator(then)).to_be_focused()

    expect(page.locator("#check-list")).to_contain_text("In use")
    assert ProviderAccount.objects.get().sender_kind == "alphanumeric"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_every_page_fits_and_shuts_nobody_out(person: Person, scheme: Any, width: int) -> None:
    """Each as full as it can be."""
    page = person.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    organization = factories.organization("Clinic", support_contact="Ada Lovelace, ada@example.org")
    EnabledExtension.objects.filter(organization=organization, provider="sinch").delete()
    account = factories.account(organization, "twilio", name="Main")
    stopped = factories.account(
        organization, "vonage", name="O" * 100, granted=False, sender="Clinic", sender_kind="alphanumeric"
    )
    ProviderAccount.objects.filter(pk=stopped.pk).update(check_ok=False, check_detail="z" * 200)
    AccountState.objects.filter(account=stopped).update(stopped_reason="y" * 200, stopped_at=timezone.now())
    for provider in ("twilio-sms", "vonage"):
        RefusedCallback.objects.create(
            organization=organization,
            slug=provider,
            kind="status",
            reason="signed for another address: https://sms.example.org instead of https://surveys.example.org",
            fault="address",
            day=timezone.now().date(),
            count=1234,
        )
    person.log_in(factories.administrator(organization))

    for path in (
        "",
        "?q=nothing+of+the+kind",
        "twilio/",
        "sinch/",
        "vonage/",
        f"account/{account.public_id}/",
        f"account/{stopped.public_id}/",
        f"account/{account.public_id}/replace/",
        f"account/{account.public_id}/delete/",
    ):
        person.go(f"/admin/extensions/{path}")
        person.looks_right()
    person.go("/admin/extensions/twilio/add/")
    person.looks_right()
    page.locator("[name=sender]").fill("Clinic")
    expect(page.locator("#sender-preview")).to_contain_text("Nobody can reply to")
    person.looks_right()
    page.get_by_role("button", name="Add account").click()
    expect(page.get_by_role("alert")).to_contain_text("fields need your attention")
    person.looks_right()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_who_may_not_come_in_is_told_why(person: Person, scheme: Any, width: int) -> None:
    page = person.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    without = factories.organization("Clinic", sms=False, support_contact="Ada Lovelace")

    for user, reason in (
        (factories.administrator(without), "licence"),
        (factories.user(factories.organization()), "Only administrators of an organisation"),
        (factories.operator(), "Only administrators of an organisation"),
    ):
        page.context.clear_cookies()
        person.log_in(user)
        person.go("/admin/extensions/")
        expect(page.locator("main")).to_contain_text(reason)
        person.looks_right()

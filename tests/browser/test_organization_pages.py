"""Log-in, home, people, organisation and audit trail as people see them: on a desk and a phone, light and dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect

from contacts.models import OptOut
from distributions.models import Tally
from organizations import audit
from organizations.models import AuditEvent, Organization, User, UserGroup, UserType
from tests import factories
from tests.browser import looks
from tests.processes import Web
from webhooks.models import RefusedCallback

pytestmark = pytest.mark.browser

# Each page is opened at the first width, where axe looks at it too, and then its window is made as wide as the second.
WIDTHS = {"light": (1280, 375), "dark": (375, 1280)}


@pytest.fixture
def clinic(transactional_db: None) -> Organization:
    """An organisation with something on every page, and 200 people."""
    clinic = factories.organization("Riverside Clinic Group", support_contact="Ada Lovelace, ada@example.org")
    basic = UserType.objects.create(organization=clinic, name="Basic", use_sms_distributions="disabled")
    team = UserGroup.objects.create(organization=clinic, name="Cardiology study team", use_sms_distributions="enabled")
    people = User.objects.bulk_create(
        User(email=f"person{number}@example.org", name=f"Person {number}", organization=clinic, user_type=basic)
        for number in range(200)
    )
    team.users.add(*people[::3])
    factories.account(clinic, name="Main line")
    factories.account(clinic, "infobip", name="Spare", granted=False, verified=False)
    sent = factories.distribution(clinic, name="Spring follow-up", state="sending", launched_at=timezone.now())
    Tally.objects.filter(distribution=sent).update(waiting=40, sent=3, delivered=230, failed=4, skipped=7)
    factories.distribution(clinic, name="A draft whose name is long enough to need two lines on every phone")
    day = timezone.now().date()
    RefusedCallback.objects.create(
        organization=clinic,
        slug="twilio-sms",
        kind="status",
        reason="wrong signature",
        fault="secret",
        day=day,
        count=14,
    )
    OptOut.objects.create(organization=clinic, phone="+447700900001", source="keyword")
    audit.record("changed", organization=clinic, target=clinic, changes={"time_zone": ["UTC", "Europe/Berlin"]})
    return clinic


@pytest.fixture(params=["light", "dark"])
def browsing(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """A browser of somebody who likes it light or dark."""
    context = browser.new_context(color_scheme=request.param, locale="en-GB")
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield context
    context.close()


class Visitor:
    """Looks at pages, and complains about what nobody should meet on one."""

    def __init__(self, context: BrowserContext, web: Web, scheme: str) -> None:
        self.widths = WIDTHS[scheme]
        self.page: Page = context.new_page()
        self.url = web.url
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        self.page.on(
            "console",
            lambda said: (
                self.complaints.append(f"{self.page.url}: {said.text}")
                if said.type in ("error", "warning") and "Failed to load resource" not in said.text
                else None
            ),
        )

    def log_in(self, user: User) -> None:
        self.page.goto(f"{self.url}/admin/login/")
        self.page.get_by_label("E-mail").fill(user.email)
        self.page.get_by_label("Password").fill(factories.PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.url}/admin/")

    def look_at(self, path: str, status: int = 200) -> None:
        """The page at both widths: its status, no sideways scrolling, nothing axe calls serious."""
        here, there = self.widths
        self.page.set_viewport_size({"width": here, "height": 900})
        response = self.page.goto(self.url + path)
        assert response is not None
        assert response.status == status, path
        self.check(f"{path} at {here}")
        self.page.set_viewport_size({"width": there, "height": 900})
        self.check_width(f"{path} at {there}")

    def check(self, where: str) -> None:
        self.check_width(where)
        self.complaints += [f"{where}: {obstacle}" for obstacle in looks.obstacles(self.page)]

    def check_width(self, where: str) -> None:
        looks.settle(self.page)
        if wide := looks.too_wide(self.page):
            self.complaints.append(f"{where} is {wide} px too wide")


@pytest.fixture
def visitor(request: pytest.FixtureRequest, browsing: BrowserContext, web: Web) -> Iterator[Visitor]:
    visitor = Visitor(browsing, web, request.node.callspec.params["browsing"])
    yield visitor
    assert visitor.complaints == []


def test_the_pages_before_logging_in(visitor: Visitor) -> None:
    visitor.look_at("/admin/login/")
    visitor.look_at("/admin/invitation/MQ/none/")
    visitor.look_at("/no-such-page/", 404)
    visitor.page.goto(f"{visitor.url}/admin/login/")
    visitor.page.get_by_label("E-mail").fill("nobody@example.org")
    visitor.page.get_by_label("Password").fill("wrong")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_role("alert")).to_contain_text("Wrong e-mail or password")
    visitor.check("the refused log-in")


def test_the_pages_of_an_administrator(visitor: Visitor, clinic: Organization) -> None:
    ada = factories.administrator(clinic, name="Ada Lovelace")
    person = User.objects.get(email="person0@example.org")
    visitor.log_in(ada)

    for path in (
        "/admin/",
        "/admin/organizations/user/",
        f"/admin/organizations/user/{person.pk}/change/",
        f"/admin/organizations/user/{person.pk}/delete/",
        "/admin/organizations/user/add/",
        "/admin/organizations/usergroup/",
        f"/admin/organizations/usergroup/{UserGroup.objects.get().pk}/change/",
        "/admin/organizations/usertype/",
        f"/admin/organizations/usertype/{UserType.objects.get().pk}/change/",
        "/admin/organizations/usertype/add/",
        "/admin/organisation/",
        "/admin/organizations/auditevent/",
        f"/admin/organizations/auditevent/{AuditEvent.objects.earliest('pk').pk}/change/",
        "/admin/profile/",
        "/admin/password_change/",
    ):
        visitor.look_at(path)
    visitor.look_at("/admin/no-such-page/", 404)
    visitor.look_at("/admin/organizations/organization/", 403)


def test_the_pages_of_a_member(visitor: Visitor, clinic: Organization) -> None:
    visitor.log_in(factories.user(clinic, user_type=UserType.objects.get()))

    visitor.look_at("/admin/")
    expect(visitor.page.locator("main")).to_contain_text("Disabled by user type “Basic”. Please ask Ada Lovelace")
    visitor.look_at("/admin/organisation/", 403)
    expect(visitor.page.locator("main")).to_contain_text("This needs the role Administrator")


def test_the_pages_of_an_operator(visitor: Visitor, clinic: Organization) -> None:
    visitor.log_in(factories.operator(name="Olga Operator"))

    for path in (
        "/admin/",
        "/admin/organizations/organization/",
        "/admin/organizations/organization/add/",
        f"/admin/organizations/organization/{clinic.pk}/change/",
        "/admin/extensions/enabledextension/",
        "/admin/extensions/enabledextension/add/",
        "/admin/organizations/user/",
        "/admin/organizations/user/add/",
        "/admin/organizations/auditevent/",
    ):
        visitor.look_at(path)


@pytest.mark.parametrize("browsing", ["light"], indirect=True)
def test_the_user_menu_works_by_keyboard(visitor: Visitor, clinic: Organization) -> None:
    """Language, colours and log-out without a mouse."""
    visitor.log_in(factories.administrator(clinic, name="Ada Lovelace"))
    page = visitor.page
    opener = page.get_by_role("button", name="Ada Lovelace")
    opener.focus()
    page.keyboard.press("Enter")
    expect(opener).to_have_attribute("aria-expanded", "true")
    visitor.check("the open user menu")
    page.get_by_role("button", name="Dark").press("Enter")
    expect(page.locator("html")).to_have_class("dark")
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")

    page.get_by_role("button", name="Deutsch").press("Enter")

    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("html")).to_have_class("dark")
    assert User.objects.get(name="Ada Lovelace").language == "de"


@pytest.mark.parametrize("browsing", ["light"], indirect=True)
def test_a_new_colleague_is_invited_and_logs_in(visitor: Visitor, clinic: Organization, browser: Browser) -> None:
    visitor.log_in(factories.administrator(clinic, name="Ada Lovelace"))
    page = visitor.page
    page.goto(f"{visitor.url}/admin/organizations/user/add/")
    page.get_by_label("E-mail").fill("grace@example.org")
    page.get_by_label("Name", exact=True).fill("Grace Hopper")
    page.get_by_label("User type").select_option(label="Basic")
    decision = page.locator("#decision")
    expect(decision).to_contain_text("Disabled by user type “Basic”.")
    page.get_by_label("Cardiology study team").check()
    expect(decision).to_contain_text("Enabled by group “Cardiology study team”.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("A link for Grace Hopper")
    visitor.check("the invitation")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")

    grace = browser.new_page()
    grace.goto(link)
    grace.locator("[name=new_password1]").fill("a quiet heron stands")
    grace.locator("[name=new_password2]").fill("a quiet heron stands")
    grace.get_by_role("button", name="Set the password").click()

    expect(grace.get_by_role("link", name="Contact lists")).to_be_visible()
    expect(grace.get_by_role("link", name="Users")).to_have_count(0)
    grace.close()


@pytest.mark.parametrize("browsing", ["light"], indirect=True)
def test_the_organisation_page_finds_a_time_zone_and_names_a_missing_end(
    visitor: Visitor, clinic: Organization
) -> None:
    visitor.log_in(factories.administrator(clinic))
    page = visitor.page
    page.goto(f"{visitor.url}/admin/organisation/")
    page.locator("#select2-id_time_zone-container").click()
    page.get_by_role("searchbox").last.fill("auckl")
    page.keyboard.press("Enter")
    page.get_by_label("Quiet from").fill("21:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    expect(page.locator("form.sb-card")).to_contain_text("Quiet hours need a beginning and an end")
    visitor.check("the refused organisation page")

    page.get_by_label("Quiet until").fill("08:00")
    page.get_by_role("button", name="Save").click()

    expect(page.locator("main")).to_contain_text("The organisation is saved.")
    clinic.refresh_from_db()
    assert (clinic.time_zone, str(clinic.quiet_from)) == ("Pacific/Auckland", "21:00:00")

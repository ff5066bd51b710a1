"""Takes the pictures in docs/screenshots: `make screenshots`.

Not collected with the tests (its name does not begin with "test_"), but it uses their services: a real server, worker
and browser, and the simulator, to which the sample distribution really goes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import time as clock
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F, Value
from django.db.models.functions import Replace
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from config.ops import demo_organization
from contacts.models import ContactList
from distributions.engine.references import opt_out_token
from distributions.models import Conversation, Message, Tally
from distributions.states import FINAL, Status
from extensions.models import ProviderAccount
from intake.sentences import said
from organizations.models import Organization, User, UserGroup, UserType
from tests import factories
from tests.browser import png
from tests.processes import Web
from webhooks.models import RefusedCallback

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

FOLDER = Path(django_settings.BASE_DIR) / "docs" / "screenshots"
PUBLIC_URL = "https://surveys.example.org"
MOST_BYTES = 150_000  # per picture: the repository keeps every version
WIDTH, PHONE = 1280, 375
HEIGHTS = {WIDTH: (640, 1560), PHONE: (812, 1600)}  # px, least and most; a longer page is cut
RECIPIENTS = 200
PACE = 25.0  # segments per second: quick, but slow enough to be seen under way
WITHIN = 90.0  # seconds
ANSWERED = 15  # of the twenty people who are asked by text
WRONG_FILE = """Phone,First name,Last name,Language,City
+447700900101,Ada,Lovelace,en,London
07700 9OO1O2,Grace,Hopper,en,Arlington
4.47701E+11,Alan,Turing,en,Wilmslow
+447700900101,Ada,King,en,London
,Hedy,Lamarr,de,Wien
+447700900106,Radia,Perlman,en,Boston
"""


@pytest.fixture
def quick(settings: Any) -> None:
    settings.SEND_TIMEOUT, settings.LOOKUP_AFTER, settings.SWEEP_EVERY = 5, 3, 1


@pytest.fixture
def made(quick: None, simulator: Any, web: Web, beat: Any) -> demo_organization.Demo:
    """The demo's organisation, with people, a history, and a second account that waits."""
    made = demo_organization.make(RECIPIENTS, simulator.url, messages_per_second=PACE)
    clinic, ada = made.organization, made.administrator
    Organization.objects.filter(pk=clinic.pk).update(time_zone="Europe/London", default_region="GB")
    User.objects.filter(pk=ada.pk).update(name="Ada Lovelace", phone="+447700900123")
    basic = UserType.objects.get(organization=clinic, name="Basic")
    basic.use_sms_distributions = "disabled"
    basic.save()
    team = UserGroup.objects.create(organization=clinic, name="Cardiology team", use_sms_distributions="enabled")
    User.objects.filter(email="member@demo.example").update(name="Grace Hopper", email="grace@demo.example")
    for name in ("Alan Turing", "Barbara Liskov", "Edsger Dijkstra", "Hedy Lamarr", "Radia Perlman"):
        email = f"{name.split()[0].lower()}@demo.example"
        person = User.objects.create_user(email, name=name, organization=clinic, user_type=basic)
        if name != "Edsger Dijkstra":
            team.users.add(person)
    factories.account(clinic, "infobip", name="Spare line", granted=False, verified=False)
    for name, days, columns in (
        ("Waiting times, autumn", 31, {"delivered": 412, "undelivered": 9, "failed": 3, "skipped": 21, "clicked": 188}),
        ("Physiotherapy follow-up", 12, {"delivered": 96, "failed": 1, "skipped": 4, "clicked": 51}),
    ):
        when = timezone.now() - timedelta(days=days)
        account = ProviderAccount.objects.get(organization=clinic, provider=demo_organization.PROVIDER)
        old = factories.distribution(
            clinic,
            name=name,
            state="finished",
            account=account,
            survey=made.distribution.survey,
            contact_list=made.distribution.contact_list,
            created_by=ada,
            launched_by=ada,
            created_at=when,
            launched_at=when,
            finished_at=when + timedelta(minutes=4),
        )
        Tally.objects.filter(distribution=old).update(**columns, segments=sum(columns.values()) - columns["clicked"])
    ContactList.objects.create(organization=clinic, name="New patients")
    RefusedCallback.objects.create(
        organization=clinic,
        slug="twilio-sms",
        kind="status",
        reason=said("wrong signature"),
        fault="secret",
        day=timezone.now().date(),
        count=3,
    )
    return made


class Camera:
    """Takes pictures as a reader would see the page at the installation's public address, over https."""

    def __init__(self, browser: Browser, web: Web, user: User | None) -> None:
        self._browser, self._web, self._user = browser, web, user
        self._contexts: list[BrowserContext] = []
        self._sessions: dict[int, str] = {}
        self.taken: dict[str, int] = {}

    def open(self, path: str, *, width: int = WIDTH, dark: bool = False, user: User | None = None) -> Page:
        """The page at `path`, seen by the administrator, by `user`, or by anybody if it is outside the admin site."""
        context = self._browser.new_context(
            viewport={"width": width, "height": HEIGHTS[width][0]},
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            timezone_id="Europe/London",
            reduced_motion="reduce",
        )
        self._contexts.append(context)
        context.set_default_timeout(30_000)
        context.route(f"{PUBLIC_URL}/**", self._serve)
        who = user or self._user
        if who and path != "/admin/login/":
            context.add_cookies(
                [{"name": django_settings.SESSION_COOKIE_NAME, "value": self._session(who), "url": PUBLIC_URL}]
            )
        page = context.new_page()
        page.goto(PUBLIC_URL + path)
        return page

    def _session(self, user: User) -> str:
        """Logged in once, so that the audit trail has better things to show."""
        if user.pk not in self._sessions:
            client = Client(REMOTE_ADDR="192.0.2.17")
            client.force_login(user)
            self._sessions[user.pk] = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        return self._sessions[user.pk]

    def _serve(self, route: Route) -> None:
        """What a proxy in front of the server does."""
        url = route.request.url.replace(PUBLIC_URL, self._web.url, 1)
        headers = {**route.request.headers, "host": PUBLIC_URL.removeprefix("https://"), "x-forwarded-proto": "https"}
        route.fulfill(response=route.fetch(url=url, headers=headers, max_redirects=0))

    def take(self, name: str, page: Page) -> None:
        page.wait_for_load_state("networkidle")
        demonstration = page.locator(".sb-simulated")  # it is one, but not where people see what the picture shows
        demonstration.evaluate_all("found => found.forEach((one) => one.remove())")
        width = page.viewport_size["width"] if page.viewport_size else WIDTH
        least, most = HEIGHTS[width]
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(max(height, least), most)})
        page.evaluate("document.activeElement?.blur(); window.scrollTo(0, 0); document.fonts.ready")
        picture = png.with_palette(self._browser, page.screenshot(animations="disabled"))
        (FOLDER / f"{name}.png").write_bytes(picture)
        self.taken[name] = len(picture)

    def shoot(self, name: str, path: str, **options: Any) -> None:
        page = self.open(path, **options)
        self.take(name, page)
        page.context.close()

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def camera(made: demo_organization.Demo, start: Any, browser: Browser) -> Iterator[Camera]:
    outside = start(Web, PUBLIC_URL=PUBLIC_URL, BEHIND_TLS_PROXY="true")
    camera = Camera(browser, outside, made.administrator)
    yield camera
    camera.close()


def wait_for(messages: Any, count: int) -> None:
    """Until so many of `messages` are final."""
    deadline = time.monotonic() + WITHIN
    while messages.filter(status__in=FINAL).count() < count and time.monotonic() < deadline:
        time.sleep(0.1)


@pytest.mark.parametrize("simulator", [{"report_delay_ms": 900}], indirect=True)
def test_take_the_pictures(made: demo_organization.Demo, camera: Camera, web: Web) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    clinic, ada, distribution = made.organization, made.administrator, made.distribution
    account = ProviderAccount.objects.get(organization=clinic, provider=demo_organization.PROVIDER)
    list_, one = "/admin/distributions/distribution/", f"/admin/distributions/distribution/{distribution.pk}/"

    compose = camera.open(f"{one}edit/")
    expect(compose.locator("#preview")).to_contain_text("Hello")
    camera.take("compose", compose)
    camera.shoot("review", f"{one}review/")
    page = camera.open(f"{one}review/")
    page.get_by_role("button", name="texts now").click()
    expect(page.locator("#progress")).to_be_visible(timeout=60_000)
    messages = Message.objects.filter(distribution=distribution)
    wait_for(messages, RECIPIENTS // 2)
    camera.take("progress", page)
    wait_for(messages, RECIPIENTS - 1)
    messages.update(text=Replace(F("text"), Value(web.url), Value(PUBLIC_URL)))
    two_way(made, camera)
    # From here on nothing needs to be sent: pictures are taken at night too.
    Organization.objects.filter(pk=clinic.pk).update(quiet_from=clock(21), quiet_until=clock(8))

    page = camera.open(f"/admin/extensions/account/{account.public_id}/")
    page.get_by_role("button", name="Verify").first.click()
    page.wait_for_load_state("networkidle")
    camera.take("account", page)

    camera.shoot("login", "/admin/login/")
    camera.shoot("home", "/admin/")
    camera.shoot("home-dark", "/admin/", dark=True)
    camera.shoot("home-phone", "/admin/", width=PHONE)
    camera.shoot("catalogue", "/admin/extensions/")
    camera.shoot("catalogue-dark", "/admin/extensions/", dark=True)
    camera.shoot("catalogue-phone", "/admin/extensions/", width=PHONE)
    camera.shoot("extension", "/admin/extensions/twilio/")
    page = camera.open("/admin/extensions/vonage/add/")
    page.get_by_label("Name", exact=True).fill("Main line")
    page.get_by_label("Phone number, sender ID").fill("+44 7700 900123")
    page.get_by_role("button", name="Add account").click()
    expect(page.get_by_role("alert")).to_be_visible()
    camera.take("add-account", page)
    camera.shoot("replace-account", f"/admin/extensions/twilio/add/?replaces={account.public_id}")
    camera.shoot("delete-account", f"/admin/extensions/account/{account.public_id}/delete/")
    camera.shoot("users", "/admin/organizations/user/")
    alan = User.objects.get(email="alan@demo.example")
    camera.shoot("user", f"/admin/organizations/user/{alan.pk}/change/")
    for name, model in (("group", "usergroup"), ("user-type", "usertype")):
        camera.shoot(f"{name}s", f"/admin/organizations/{model}/")
        camera.shoot(name, f"/admin/organizations/{model}/1/change/")
    camera.shoot("profile", "/admin/profile/")
    camera.shoot("organisation", "/admin/organisation/")
    camera.shoot("audit-trail", "/admin/organizations/auditevent/")
    camera.shoot("import", checked_import(ada, ContactList.objects.get(name="New patients")))
    camera.shoot("contact-lists", "/admin/contacts/contactlist/")
    camera.shoot("contact-list", f"/admin/contacts/contactlist/{distribution.contact_list_id}/change/")
    camera.shoot("opt-outs", "/admin/contacts/optout/")
    camera.shoot("inbound", "/admin/distributions/inboundmessage/")
    camera.shoot("distributions", list_)
    camera.shoot("progress-phone", f"{one}change/", width=PHONE)
    camera.shoot("history", f"{one}messages/")
    delivered = messages.filter(status=Status.DELIVERED).earliest("pk")
    camera.shoot("message", f"{one}messages/{delivered.pk}/")
    camera.shoot("opt-out-phone", f"/o/{opt_out_token(delivered.pk)}", width=PHONE)
    camera.shoot("api", "/API/v3/docs")
    operator = User.objects.get(role=User.Role.OPERATOR)
    camera.shoot("operator-home", "/admin/", user=operator)
    camera.shoot("operator-organisations", "/admin/organizations/organization/", user=operator)
    camera.shoot("operator-organisation", f"/admin/organizations/organization/{clinic.pk}/change/", user=operator)

    User.objects.filter(pk=ada.pk).update(language="de")
    camera.shoot("catalogue-german", "/admin/extensions/")
    camera.shoot("home-german", "/admin/", dark=True)
    camera.shoot("extension-german", "/admin/extensions/infobip/", width=PHONE, dark=True)
    camera.shoot("conversation-german", f"{list_}{made.conversation.pk}/messages/")
    camera.shoot("account-german", f"/admin/extensions/account/{account.public_id}/")
    camera.shoot("progress-german", f"{one}change/")

    assert {name: size for name, size in camera.taken.items() if size > MOST_BYTES} == {}


def two_way(made: demo_organization.Demo, camera: Camera) -> None:
    """A survey by text, from its questions to the transcript of a conversation."""
    asked = made.conversation
    one = f"/admin/distributions/distribution/{asked.pk}/"
    camera.shoot("surveys", "/admin/surveys/survey/")
    camera.shoot("survey", f"/admin/surveys/survey/{asked.survey_id}/change/")
    camera.shoot("survey-phone", f"/admin/surveys/survey/{asked.survey_id}/change/", width=PHONE)
    compose = camera.open(f"{one}edit/")
    expect(compose.locator("#preview")).to_contain_text("recommend")
    camera.take("compose-two-way", compose)
    page = camera.open(f"{one}review/")
    camera.take("review-two-way", page)
    page.get_by_role("button", name="texts now").click()
    expect(page.locator("#progress")).to_be_visible(timeout=60_000)
    completed = Conversation.objects.filter(distribution=asked, state=Conversation.State.COMPLETED)
    deadline = time.monotonic() + WITHIN
    while completed.count() < ANSWERED and time.monotonic() < deadline:
        time.sleep(0.1)
    camera.shoot("progress-two-way", f"{one}change/")
    camera.shoot("history-two-way", f"{one}messages/")
    hesitant = completed.filter(phone__endswith="9931").earliest("pk")
    camera.shoot("conversation", f"{one}messages/{hesitant.message_id}/")
    camera.shoot("conversation-phone", f"{one}messages/{hesitant.message_id}/", width=PHONE, dark=True)


def checked_import(user: User, contact_list: ContactList) -> str:
    """Uploads a file with mistakes; the address of the page that lists them."""
    client = Client(REMOTE_ADDR="192.0.2.17")
    client.force_login(user)
    file = SimpleUploadedFile("new-patients.csv", WRONG_FILE.encode(), "text/csv")
    answer = client.post(f"/admin/contacts/contactlist/{contact_list.pk}/import/", {"file": file})
    assert answer.status_code == 302, answer.content.decode()[:2000]
    return str(answer["Location"])

"""“Test the webhooks” on an account's page: a real browser, and web servers that know where they are or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from extensions.models import ProviderAccount
from organizations.models import AuditEvent, Organization
from tests import factories
from tests.browser.installation import open_database
from tests.browser.test_compose_and_launch import Person
from tests.conftest import starting
from tests.processes import Web, free_port
from webhooks.models import Callback, RefusedCallback

pytestmark = pytest.mark.browser

WIDTHS = {"desk": 1280, "phone": 375}
ROUTES = ("Delivery reports", "Inbound messages")


# --- Three web servers on one database; they differ in their PUBLIC_URL alone -----------------------------------------


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with open_database(django_db_blocker):
        yield


@pytest.fixture(scope="module")
def start(request: Any, db: None, tmp_path_factory: Any) -> Iterator[Callable[..., Any]]:
    with starting(request.node, tmp_path_factory.mktemp("processes")) as start_one:
        yield start_one


@pytest.fixture(scope="module")
def web(start: Callable[..., Any]) -> Web:
    served: Web = start(Web)
    return served


@pytest.fixture(scope="module")
def wrong_port(start: Callable[..., Any]) -> Web:
    """Its PUBLIC_URL leads to a port that nobody listens on."""
    served: Web = start(Web, PUBLIC_URL=f"http://127.0.0.1:{free_port()}")
    return served


@pytest.fixture(scope="module")
def wrong_path(start: Callable[..., Any], web: Web) -> Web:
    """Its PUBLIC_URL leads to a Switchboard, but below a path that is not there."""
    served: Web = start(Web, PUBLIC_URL=f"{web.url}/sms")
    return served


@pytest.fixture(scope="module")
def open_door(start: Callable[..., Any]) -> Web:
    """Its PUBLIC_URL leads to a server that believes its proxy, and no proxy drops forged headers before it."""
    believing = start(Web, BEHIND_TLS_PROXY="true")
    served: Web = start(Web, PUBLIC_URL=believing.url)
    return served


@pytest.fixture
def clinic(web: Web) -> Organization:
    return factories.organization("City Clinic")


@pytest.fixture(params=WIDTHS)
def person(request: pytest.FixtureRequest, web: Web, page: Page) -> Iterator[Person]:
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    page.set_viewport_size({"width": WIDTHS[request.param], "height": 900})
    somebody = Person(page, web)
    yield somebody
    assert somebody.problems == []


def try_webhooks(person: Person, account: ProviderAccount, *, web: Web, more: int = 0) -> Locator:
    """Press the button on the account's page; what then stands under it, a notice for each route and `more`."""
    person.web = web
    person.log_in(factories.administrator(account.organization))
    person.go(f"/admin/extensions/account/{account.public_id}/")
    step = person.page.locator(".ext-check", has=person.page.locator("#webhooks-button"))
    step.get_by_role("button", name="Test the webhooks").click()
    found = step.get_by_role("status").locator(".sb-notice")
    expect(found).to_have_count((2 if account.capabilities.two_way else 1) + more)
    person.looks_right()
    return found


# --- What a person reads ----------------------------------------------------------------------------------------------


def test_both_routes_answer(person: Person, clinic: Organization, web: Web) -> None:
    account = factories.account(clinic, "twilio")

    found = try_webhooks(person, account, web=web)

    for notice, route in zip(found.all(), ROUTES, strict=True):
        expect(notice).to_contain_text(f"{route}: good. The address works")
        expect(notice).to_contain_text("HTTP 20")
        expect(notice).to_have_class("sb-notice is-good")
    assert set(Callback.objects.filter(account=account).values_list("kind", flat=True)) == {"status", "message"}
    event = AuditEvent.objects.get(organization=clinic, action="tested the webhooks of")
    assert event.detail["result"] == "status: good, message: good"


def test_nobody_listens_at_the_public_url(person: Person, clinic: Organization, wrong_port: Web) -> None:
    account = factories.account(clinic, "twilio")

    found = try_webhooks(person, account, web=wrong_port)

    for notice, route in zip(found.all(), ROUTES, strict=True):
        expect(notice).to_contain_text(f"{route}: a problem. Nothing is listening at 127.0.0.1:")
        expect(notice).to_contain_text("PUBLIC_URL has the wrong host or port")
        expect(notice.locator(".ext-came-back")).to_contain_text("no connection")
        expect(notice).to_have_class("sb-notice is-bad")
    event = AuditEvent.objects.get(organization=clinic, action="tested the webhooks of")
    assert event.detail["result"] == "status: not good, message: not good"


def test_the_public_url_has_a_path_too_many(person: Person, clinic: Organization, wrong_path: Web) -> None:
    account = factories.account(clinic, "twilio")

    found = try_webhooks(person, account, web=wrong_path)

    for notice, route in zip(found.all(), ROUTES, strict=True):
        expect(notice).to_contain_text(f"{route}: a problem. The path is not known where the call arrived (HTTP 404)")
        expect(notice).to_contain_text("must be passed on unchanged")
        expect(notice.locator(".ext-came-back")).to_contain_text("HTTP 404")
    assert not Callback.objects.filter(account=account).exists()
    assert not RefusedCallback.objects.filter(organization=clinic).exists(), "our own call is no stranger's"


def test_a_forged_header_arrives(person: Person, clinic: Organization, open_door: Web) -> None:
    found = try_webhooks(person, factories.account(clinic, "twilio"), web=open_door, more=1)

    *good, warning = found.all()
    for notice, route in zip(good, ROUTES, strict=True):
        expect(notice).to_contain_text(f"{route}: good.")
    expect(warning).to_contain_text("Not safe: A header that this test forged has arrived")
    expect(warning).to_contain_text("underscores_in_headers off")
    expect(warning).to_have_class("sb-notice is-bad")


def test_a_sender_that_nobody_can_answer_has_one_route(person: Person, clinic: Organization, web: Web) -> None:
    account = factories.account(clinic, "twilio", sender="CityClinic", sender_kind="alphanumeric")

    found = try_webhooks(person, account, web=web)

    expect(found).to_contain_text("Delivery reports: good.")

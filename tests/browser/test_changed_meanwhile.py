"""What changes between two looks, in a real browser: the review that is not what goes, and the plan that is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from contacts.models import Contact
from distributions import services
from distributions.models import Distribution, Message
from extensions import services as accounts
from extensions.models import ProviderAccount
from organizations.models import Organization, User
from tests import factories
from tests.browser.test_compose_and_launch import LIST, Person
from tests.processes import Web

pytestmark = pytest.mark.browser

State = Distribution.State
WIDTHS = [1280, 375]
MANY = 400


@pytest.fixture
def clinic(transactional_db: None) -> Organization:
    return factories.organization("Clinic", default_region="GB", time_zone="Europe/London")


@pytest.fixture
def boss(clinic: Organization) -> User:
    return factories.administrator(clinic, name="Ada Lovelace")


@pytest.fixture
def account(clinic: Organization) -> ProviderAccount:
    return factories.account(clinic, name="Main account", sender="+447700900500")


@pytest.fixture
def person(web: Web, page: Page, boss: User, account: ProviderAccount, width: int) -> Iterator[Person]:
    page.set_default_timeout(15_000)
    page.set_viewport_size({"width": width, "height": 812})
    somebody = Person(page, web)
    somebody.log_in(boss)
    yield somebody
    assert somebody.problems == []


@pytest.mark.parametrize("width", WIDTHS)
def test_what_has_changed_since_the_review_is_shown_and_sent_with_another_click(
    simulator: Any, person: Person, clinic: Organization, account: ProviderAccount, boss: User, worker: Any
) -> None:
    people = factories.contact_list(clinic, 4)
    draft = factories.distribution(clinic, name="Spring", contact_list=people)
    page = person.page
    person.go(f"{LIST}{draft.pk}/review/")
    expect(page.locator("#sendable")).to_have_text("4")

    Contact.objects.bulk_create(
        Contact(organization=clinic, contact_list=people, first_name="Ada", phone=f"+4477008{index:05d}")
        for index in range(MANY)
    )
    factories.account(clinic, name="New account", sender="+447700900600")
    accounts.delete(account, boss)
    page.get_by_role("button", name="Send 4 texts now").click()

    changed = page.locator("#changed")
    expect(changed).to_contain_text("Nothing has been sent")
    expect(changed).to_contain_text("4 → 404")
    expect(changed).to_contain_text("Main account (Twilio) → New account (Twilio)")
    expect(changed).to_contain_text("+447700900500 → +447700900600")
    expect(changed).to_be_focused()
    person.looks_right()
    draft.refresh_from_db()
    assert draft.state == State.DRAFT
    assert not Message.objects.exists()

    page.get_by_role("button", name="Send 404 texts now").click()

    expect(page.locator("#total")).to_have_text("404", timeout=20_000)
    assert set(Message.objects.values_list("account__name", flat=True)) <= {"New account", None}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_is_changed_left_half_way_and_planned_again(person: Person, clinic: Organization, boss: User) -> None:
    draft = factories.distribution(
        clinic,
        name="Spring",
        contact_list=factories.contact_list(clinic, 4),
        message_text="Hello ${m://FirstName|there}, please answer: ${l://SurveyURL}. Reply STOP to opt out.",
    )
    page, one = person.page, f"{LIST}{draft.pk}/"
    person.go(f"{one}edit/")
    page.get_by_label("at a time").check()
    page.locator("#id_send_at").fill("2035-07-02T23:30")
    expect(page.locator("#night")).to_contain_text("it is night for 4 people: 23:30 in Europe/London")
    page.locator("#id_send_at").fill("2035-07-02T10:30")
    expect(page.locator("#night")).to_be_empty()
    page.get_by_role("button", name="Continue to review").click()
    page.get_by_role("button", name="Schedule 4 texts").click()
    expect(page.locator("#controls")).to_contain_text("It begins on 2 Jul 2035, 10:30.")

    page.get_by_role("button", name="Change…").click()
    page.locator("#id_message_text").fill("Given up ${l://SurveyURL}")
    person.looks_right()
    person.go("/admin/")  # left half-way: nothing is lost, and nothing is sent
    alarm = page.get_by_text("“Spring”, planned for 2 Jul 2035, 10:30, is being changed by Ada Lovelace.")
    expect(alarm).to_be_visible()
    person.looks_right()
    person.go(LIST)
    expect(page.get_by_text("being changed")).to_be_visible()
    person.looks_right()

    person.go(f"{one}change/")
    page.get_by_role("button", name="Back to the plan as it was").first.click()
    expect(page.locator("#controls")).to_contain_text("It begins on 2 Jul 2035, 10:30.")
    draft.refresh_from_db()
    assert (draft.state, draft.message_text[:5]) == (State.SCHEDULED, "Hello")

    page.get_by_role("button", name="Change…").click()
    page.locator("#id_message_text").fill(
        "Good morning ${m://FirstName|there}: ${l://SurveyURL}. Reply STOP to opt out."
    )
    page.locator("#id_send_at").fill("2035-07-03T11:00")
    page.get_by_role("button", name="Continue to review").click()
    expect(page.get_by_text("Its plan is suspended: nothing is sent until you plan it again.")).to_be_visible()
    expect(page.get_by_text("Good morning Ada0")).to_be_visible()
    person.looks_right()
    page.get_by_role("button", name="Schedule 4 texts").click()

    expect(page.locator("#controls")).to_contain_text("It begins on 3 Jul 2035, 11:00.")
    draft.refresh_from_db()
    assert (draft.state, draft.plan, draft.message_text[:12]) == (State.SCHEDULED, None, "Good morning")
    services.cancel(draft, boss)

"""Surveys by text, clicked as a person would: written, launched, answered, stopped, and carried on by a new account.

Scenarios 5, 6, 7 and 10 of docs/requirements.md. Real browser, web server, worker and beat; the provider is the
simulator, whose people answer as their numbers say (simulator/README.md).
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from distributions.models import Conversation, Distribution, Message
from extensions import registry
from extensions.contract import SenderKind
from extensions.models import ProviderAccount
from extensions.webhook_urls import webhook_url
from organizations.models import Organization
from simulator.process import SimulatorProcess
from surveys.models import Answer
from tests import factories
from tests.browser.test_compose_and_launch import Person
from tests.processes import Web

pytestmark = pytest.mark.browser

LIST = "/admin/distributions/distribution/"
NEW_TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # also in tests/providers, so every log is searched for it
WITHIN = 60_000  # ms
ANSWERS, HESITATES, STOPS, SILENT = "+447700009930", "+447701009931", "+447702009911", "+447703009900"


@pytest.fixture
def clinic(transactional_db: None) -> Organization:
    return factories.organization("Clinic", default_region="GB", time_zone="Europe/London")


@pytest.fixture
def account(clinic: Organization) -> ProviderAccount:
    return factories.account(clinic, "twilio", name="Old line")


@pytest.fixture
def console(simulator: SimulatorProcess, web: Web, clinic: Organization) -> None:
    """What an administrator types into the provider's own console: where replies go, and a second token."""
    tell(
        simulator,
        "accounts",
        {
            "provider": "twilio",
            "credentials": factories.CREDENTIALS["twilio"],
            "settings": {"secondary_auth_token": NEW_TOKEN},
            "inbound_url": webhook_url("message", registry.get("twilio"), clinic),
        },
    )


def tell(simulator: SimulatorProcess, path: str, values: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{simulator.url}/_/{path}", json.dumps(values).encode())
    urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture(params=[1280, 375], ids=["desk", "phone"])
def person(
    request: pytest.FixtureRequest, simulator: SimulatorProcess, web: Web, page: Page, clinic: Organization
) -> Iterator[Person]:
    """The simulator comes first: the web server has to know its address."""
    page.set_default_timeout(20_000)
    page.set_viewport_size({"width": request.param, "height": 900})
    somebody = Person(page, web)
    somebody.log_in(factories.administrator(clinic))
    yield somebody
    assert somebody.problems == []


def write_question(page: Page, number: int, kind: str, text: str, choices: str = "") -> None:
    if number:
        page.get_by_role("link", name="Add another Question").click()
    page.locator(f"#id_questions-{number}-kind").select_option(kind)
    page.locator(f"#id_questions-{number}-text").fill(text)
    if choices:
        page.locator(f"#id_questions-{number}-choices").fill(choices)


def test_a_survey_is_written_sent_and_answered_by_text(
    person: Person, clinic: Organization, account: ProviderAccount, console: None, beat: Any
) -> None:
    """Scenarios 5 and 6: recommendation, choice and words; one hesitates, one opts out, one never answers."""
    factories.contact_list(clinic, name="Ward 7", phones=(ANSWERS, HESITATES, STOPS, SILENT))
    page = person.page

    person.go("/admin/surveys/survey/add/")
    page.locator("#id_name").fill("Your visit")
    page.locator("#id_thank_you").fill("Thank you!")
    write_question(page, 0, "nps", "How likely are you to recommend us, from 0 to 10?")
    write_question(page, 1, "choice", "How was the wait?", "Short\nFine\nToo long")
    write_question(page, 2, "text", "What should we do better?")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/surveys/survey/")

    person.go(f"{LIST}add/")
    page.get_by_text("Survey by text (two-way)").click()
    page.locator("#id_name").fill("Spring survey")
    page.locator("#id_contact_list").select_option("Ward 7")
    page.locator("#id_survey").select_option("Your visit")
    page.locator("#id_message_text").fill("Hello ${m://FirstName}, three questions. Reply STOP to opt out.")
    expect(page.locator("#preview")).to_contain_text("Hello Ada0, three questions.")
    expect(page.locator("#preview")).to_contain_text("How likely are you to recommend us")
    person.looks_right()
    page.get_by_role("button", name="Continue to review").click()
    expect(page.locator("main")).to_contain_text("3 - Too long")
    person.looks_right()
    page.get_by_role("button", name="Send 4 texts now").click()

    expect(page.locator("#started")).to_have_text("2", timeout=WITHIN)
    expect(page.locator("#completed")).to_have_text("2", timeout=WITHIN)
    person.looks_right()
    page.locator("#controls").get_by_role("link", name="Recipients").click()
    expect(page.get_by_role("row", name="Ada1")).to_contain_text("completed")
    expect(page.get_by_role("row", name="Ada3")).to_contain_text("no reply yet")
    person.looks_right()
    page.get_by_role("link", name="Ada1 Lovelace").click()
    said = page.get_by_role("listitem").filter(has_text="maybe")
    expect(said).to_contain_text("not understood")
    expect(page.locator("main")).to_contain_text("Please reply with a number from 0 to 10.")
    expect(page.locator("main")).to_contain_text("More seats in the waiting room.")
    expect(page.locator("main")).to_contain_text("Thank you!")
    person.looks_right()
    assert Answer.objects.count() == 6
    assert not Conversation.objects.filter(phone__in=(STOPS, SILENT)).exists()

    person.go("/admin/surveys/survey/")
    page.get_by_role("link", name="Your visit").click()
    expect(page.get_by_role("button", name="Copy survey")).to_be_visible()  # its questions are in use
    person.looks_right()


def test_a_survey_by_text_is_refused_with_a_sender_that_nobody_can_answer(person: Person, clinic: Organization) -> None:
    """Scenario 7, R69: said while composing, said in the review, and not launched."""
    factories.account(clinic, "twilio", name="Named line", sender="CityClinic", sender_kind=SenderKind.ALPHANUMERIC)
    draft = factories.interactive(clinic)
    page = person.page

    person.go(f"{LIST}{draft.pk}/edit/")
    expect(page.locator("#method")).to_contain_text("“Named line” is a name, and nobody can reply to a name")
    person.looks_right()
    page.get_by_role("button", name="Continue to review").click()
    expect(page.get_by_role("alert")).to_contain_text("nobody can reply to a name")
    expect(page.get_by_role("button", name="Launch")).to_be_disabled()
    person.looks_right()
    crafted = page.evaluate(
        """path => fetch(path, {method: "POST", headers: {"X-CSRFToken":
            document.querySelector("[name=csrfmiddlewaretoken]").value}}).then(answer => answer.url)""",
        f"{LIST}{draft.pk}/launch/",
    )
    assert crafted.endswith("/review/")

    draft.refresh_from_db()
    assert draft.state == Distribution.State.DRAFT
    assert not Message.objects.exists()


def test_a_new_secret_interrupts_nobody_in_the_middle_of_a_survey(
    person: Person,
    simulator: SimulatorProcess,
    clinic: Organization,
    account: ProviderAccount,
    console: None,
    beat: Any,
) -> None:
    """Scenario 10, W2: the new account on the same number asks the next question."""
    draft = factories.interactive(clinic, contact_list=factories.contact_list(clinic, phones=[SILENT]), recipients=0)
    page = person.page
    person.go(f"{LIST}{draft.pk}/review/")
    page.get_by_role("button", name="Send 1 text now").click()
    expect(page.locator("#progress tr", has_text="delivered").first).to_contain_text("1", timeout=WITHIN)

    def write(text: str) -> None:
        tell(simulator, "inbound", {"provider": "twilio", "from": SILENT, "to": f"+{account.sender}", "text": text})

    write("9")
    expect(page.locator("#started")).to_have_text("1", timeout=WITHIN)

    person.go(f"/admin/extensions/account/{account.public_id}/")
    page.get_by_role("link", name="Create new and replace").click()
    expect(page.locator("#account-form")).to_contain_text("1 person is in the middle of a survey by text")
    for field, value in (factories.CREDENTIALS["twilio"] | {"name": "New line", "auth_token": NEW_TOKEN}).items():
        page.locator(f"#account-form [name={field}]").fill(value)
    person.looks_right()
    page.get_by_role("button", name="Save and continue").click()
    page.get_by_role("link", name="Take over now").click()
    expect(page.locator("form.ext-delete")).to_contain_text("1 person is in the middle of a survey by text")
    page.get_by_role("button", name="Take over now").click()
    expect(page.locator("#check-list")).to_contain_text("In use")
    new = ProviderAccount.objects.alive().get()
    write("Fine")  # the provider still signs with the old secret
    person.go(f"{LIST}{draft.pk}/messages/{draft.messages.get(conversation=None).pk}/")

    def looks(text: str) -> None:
        for _look in range(60):
            if page.locator("main").get_by_text(text).count():
                return
            page.wait_for_timeout(500)
            page.reload()
        raise AssertionError(f"{text!r} was never said")

    looks("What should we do better?")
    write("More tea.")
    looks("More tea.")
    expect(page.locator("main")).to_contain_text("completed")
    person.looks_right()
    turns = Message.objects.filter(conversation__isnull=False).order_by("pk")
    looks("Thank you!")
    page.wait_for_timeout(1_000)
    assert [turn.account_id for turn in turns] == [account.pk, new.pk, new.pk]
    assert Conversation.objects.get().account == new

"""From a file of contacts to texts that arrive, in a real browser against the simulated provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from contacts.models import Contact, OptOut
from distributions.engine.references import link_token, opt_out_token
from distributions.models import Distribution, Message
from extensions.models import ProviderAccount
from organizations.models import Organization, User
from tests import factories
from tests.browser import looks
from tests.processes import Web

pytestmark = pytest.mark.browser
LIST = "/admin/distributions/distribution/"


@pytest.fixture
def clinic(transactional_db: None) -> Organization:
    return factories.organization("Clinic", default_region="GB", time_zone="Europe/London")


@pytest.fixture
def account(clinic: Organization) -> ProviderAccount:
    return factories.account(clinic, name="Main account")


@pytest.fixture
def person(web: Web, page: Page, clinic: Organization) -> Iterator[Person]:
    page.set_default_timeout(15_000)
    somebody = Person(page, web)
    somebody.log_in(factories.administrator(clinic))
    yield somebody
    assert somebody.problems == []


class Person:
    """Somebody at the browser, whose pages must never scroll sideways, complain, or shut anybody out."""

    def __init__(self, page: Page, web: Web) -> None:
        self.page, self.web = page, web
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self.problems.append(said.text) if "Content Security" in said.text else None)

    def log_in(self, user: User) -> None:
        self.go("/admin/login/")
        self.page.locator("[name=username]").fill(user.email)
        self.page.locator("[name=password]").fill(factories.PASSWORD)
        self.page.locator("[name=password]").press("Enter")
        self.page.wait_for_url(f"{self.web.url}/admin/")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.web.url}{path}")

    def looks_right(self) -> None:
        """Fits its window, and axe-core finds nothing serious."""
        looks.settle(self.page)
        assert looks.too_wide(self.page) == 0, self.page.url
        assert looks.obstacles(self.page) == [], self.page.url


def test_from_a_file_to_texts_that_arrive(
    simulator: Any, person: Person, clinic: Organization, account: ProviderAccount, beat: Any
) -> None:
    factories.survey(clinic, name="Satisfaction")
    page = person.page

    person.go("/admin/contacts/contactlist/add/")
    page.locator("#id_name").fill("Ward 7")
    page.get_by_role("button", name="Save", exact=True).click()
    rows = "".join(f"+4477009001{number:02d},Ada{number},Bonn\n" for number in range(20))
    page.locator("#id_file").set_input_files(
        {"name": "ward7.csv", "mimeType": "text/csv", "buffer": f"Phone,FirstName,City\n{rows},Grace,\n".encode()}
    )
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("without a number", exact=True)).to_be_visible()
    person.looks_right()
    page.get_by_role("button", name="Import 21 rows").click()
    expect(page.get_by_text("21 people were added")).to_be_visible()
    person.looks_right()

    person.go(f"{LIST}add/")
    page.locator("#id_name").fill("Spring survey")
    page.locator("#id_contact_list").select_option("Ward 7")
    page.locator("#id_survey").select_option("Satisfaction")
    text = page.locator("#id_message_text")
    text.fill("Hello ")
    text.press("End")
    page.get_by_role("button", name="First name").click()
    page.keyboard.type("there")
    assert text.input_value() == "Hello ${m://FirstName|there}"
    text.press("End")
    page.keyboard.type(" – how was ")
    page.get_by_role("button", name="City", exact=True).click()
    page.keyboard.type("? ")
    page.get_by_role("button", name="Survey link").click()
    expect(page.locator("#preview")).to_contain_text("Hello Ada0 – how was Bonn? http")
    expect(page.locator("#preview")).to_contain_text("UCS-2")
    page.get_by_role("button", name="Replace quotes and dashes with plain ones").click()
    expect(page.locator("#preview")).to_contain_text("GSM-7")
    expect(page.locator("#preview")).to_contain_text("does not say how to opt out")
    text.press("Control+End")
    page.keyboard.type(" Stop: ")
    page.get_by_role("button", name="Opt-out link").click()
    expect(page.locator("#preview .is-warning")).to_have_count(0)
    expect(page.locator("#id_send_at")).to_be_hidden()
    page.get_by_label("at a time").check()
    expect(page.locator("#id_send_at")).to_be_visible()
    page.get_by_label("as soon as it is launched").check()
    person.looks_right()
    page.get_by_role("button", name="Continue to review").click()

    expect(page.locator("#sendable")).to_have_text("20")
    expect(page.get_by_text("Main account")).to_be_visible()
    person.looks_right()
    page.get_by_role("button", name="Send 20 texts now").dblclick()

    expect(page.locator("#total")).to_have_text("21", timeout=30_000)
    expect(page.locator("#progress tr", has_text="delivered").first).to_contain_text("95.2", timeout=30_000)
    expect(page.locator("#controls")).to_contain_text("finished", timeout=30_000)
    person.looks_right()
    assert Distribution.objects.count() == 1
    assert Message.objects.filter(status="delivered").count() == 20

    page.locator("#controls").get_by_role("link", name="Recipients").click()
    expect(page.get_by_role("row")).to_have_count(22)
    expect(page.get_by_text("There is no phone number for this person.")).to_be_visible()
    person.looks_right()
    page.get_by_role("link", name="Ada3", exact=True).click()
    expect(page.get_by_text("Confirmed by the phone.")).to_be_visible()
    person.looks_right()


@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 375, "de")])
def test_every_page_fits_its_window(
    person: Person, clinic: Organization, account: ProviderAccount, scheme: Any, width: int, language: str
) -> None:
    """R34; German words are long, and 320 px is a desk at four times the size (WCAG 1.4.10)."""
    name = "Patients of the outpatient department for cardiology and internal medicine, spring term of this year"
    people = factories.contact_list(clinic, 60, name=name[:100])
    draft = factories.distribution(clinic, contact_list=people, message_text="x" * 600 + " ${l://SurveyURL} €’")
    running = factories.distribution(clinic, recipients=60, contact_list=people, state="sending", account=account)
    Distribution.objects.filter(pk=running.pk).update(problem="The provider refused the credentials: 20003. " * 4)
    message = running.messages.first()
    Message.objects.filter(pk=message.pk).update(text="y" * 700, error="z" * 200, status="uncertain")
    User.objects.update(language=language)
    survey = factories.survey(clinic, name="Umfrage", questions=factories.THREE_QUESTIONS)
    person.page.set_viewport_size({"width": width, "height": 812})
    person.page.emulate_media(color_scheme=scheme)

    for path in (
        LIST,
        f"{LIST}add/",
        f"{LIST}{draft.pk}/edit/",
        f"{LIST}{draft.pk}/review/",
        f"{LIST}{running.pk}/change/",
        f"{LIST}{running.pk}/messages/",
        f"{LIST}{running.pk}/messages/{message.pk}/",
        "/admin/contacts/contactlist/",
        f"/admin/contacts/contactlist/{people.pk}/change/",
        f"/admin/contacts/contactlist/{people.pk}/import/",
        f"/admin/contacts/contact/{message.contact_id}/change/",
        "/admin/contacts/optout/",
        "/admin/surveys/survey/",
        "/admin/surveys/survey/add/",
        f"/admin/surveys/survey/{survey.pk}/change/",
        f"/admin/surveys/survey/{survey.pk}/try/",
        "/admin/distributions/inboundmessage/",
        "/admin/distributions/doubt/",
        "/admin/extensions/",
        "/admin/extensions/twilio/",
        "/admin/extensions/vonage/add/",
        f"/admin/extensions/account/{account.public_id}/",
        f"/admin/extensions/account/{account.public_id}/calls/",
        f"/admin/extensions/account/{account.public_id}/delete/",
        "/admin/keeping/periods/",
        "/admin/keeping/forgetting/",
        "/admin/keeping/forgetting/add/",
        "/admin/profile/notices/",
    ):
        person.go(path)
        person.looks_right()
        if width < 1000:
            person.page.set_viewport_size({"width": 320, "height": 812})
            assert looks.too_wide(person.page) == 0, f"{path} at 320"
            person.page.set_viewport_size({"width": width, "height": 812})


def test_a_respondent_opts_out_without_scripts_and_cookies(
    web: Web, browser: Browser, clinic: Organization, account: ProviderAccount
) -> None:
    message = factories.distribution(clinic, recipients=1, state="sending", account=account).messages.get()
    context = browser.new_context(java_script_enabled=False, viewport={"width": 375, "height": 700}, locale="en-GB")
    page = context.new_page()

    page.goto(f"{web.url}/o/{opt_out_token(message.pk)}")
    page.get_by_role("button", name="Stop text messages").click()

    expect(page.get_by_role("heading", name="You have opted out")).to_be_visible()
    assert context.cookies() == []
    assert OptOut.objects.get().phone == message.to
    assert Contact.objects.get(phone=message.to).opted_out_at is not None
    context.close()


def test_the_pages_for_respondents_shut_nobody_out(
    web: Web, page: Page, clinic: Organization, account: ProviderAccount
) -> None:
    message = factories.distribution(clinic, recipients=1, state="sending", account=account).messages.get()
    person = Person(page, web)
    page.set_viewport_size({"width": 375, "height": 700})

    for path in (f"/o/{opt_out_token(message.pk)}", f"/s/{link_token(message.pk)[:-1]}", "/o/x"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            person.go(path)
            person.looks_right()

    assert person.problems == []

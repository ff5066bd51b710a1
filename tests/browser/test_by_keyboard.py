"""From the log-in to texts that arrive by the keyboard alone, with everything that has the focus in sight."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from contacts.models import Contact
from distributions.models import Message
from organizations.models import Organization
from surveys.models import Question
from tests import factories
from tests.browser.test_extensions_flow import SID, TOKEN, Person
from tests.processes import Web

pytestmark = pytest.mark.browser

# What has the focus: can it be seen as itself (a ring, a border, a shadow), in the window, and under nothing else?
FOCUSED = """() => {
  const element = document.activeElement
  if (!element || element === document.body) return null
  const style = getComputedStyle(element), box = element.getBoundingClientRect()
  const marked = (one) => {
    const its = getComputedStyle(one)
    return (its.outlineStyle !== 'none' && parseFloat(its.outlineWidth) > 0) || its.boxShadow !== 'none'
  }
  let around = element, shown = false
  for (let level = 0; around && level < 3 && !shown; level++, around = around.parentElement) shown = marked(around)
  const x = box.left + Math.min(box.width / 2, 40), y = box.top + Math.min(box.height / 2, 20)
  const above = document.elementFromPoint(x, y)
  const label = element.labels?.[0]
  const covered = !(above && (element.contains(above) || above.contains(element) || label?.contains(above)))
  return {what: element.outerHTML.slice(0, 160), shown, covered, name: element.getAttribute('aria-hidden') !== 'true'}
}"""


class Typist(Person):
    """Somebody without a mouse. `passed` is everything that had the focus on a page, in its order."""

    passed: list[str]

    def tab_to(self, target: Locator, most: int = 80) -> None:
        """Goes on from where the focus is, and looks at each stop."""
        expect(target).to_be_visible()
        self.passed = []
        for _press in range(most):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if focused is None:
                continue  # the browser's own controls
            self.passed.append(focused["what"])
            if not focused["shown"] or focused["covered"] or not focused["name"]:
                self.problems.append(f"{self.page.url}: {focused}")
            if target.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"{target} is not reached by the keyboard: {self.passed}")

    def press(self, role: Any, name: str, key: str = "Enter") -> None:
        self.tab_to(self.page.get_by_role(role, name=name, exact=True).first)
        self.page.keyboard.press(key)

    def choose(self, select: str, choice: str) -> None:
        """In a list that can be searched: open, type, take the first."""
        self.tab_to(self.page.locator(f"{select} + .select2 .select2-selection"))
        self.page.keyboard.press("Enter")
        self.page.keyboard.type(choice)
        self.page.keyboard.press("Enter")

    def type(self, label: str, text: str) -> None:
        self.tab_to(self.page.get_by_label(label).first)
        self.page.keyboard.type(text)


def test_from_the_log_in_to_texts_that_arrive(simulator: Any, web: Web, beat: Any, page: Page) -> None:
    """R34 and WCAG 2.1.1, 2.1.2, 2.4.1, 2.4.3, 2.4.7, 2.4.11."""
    page.set_default_timeout(20_000)
    clinic = factories.organization("Clinic", default_region="GB", time_zone="Europe/London")
    ada = factories.administrator(clinic, email="ada@example.org")
    factories.contact_list(clinic, 3, name="Ward 7")
    factories.survey(clinic, name="Satisfaction")
    typist = Typist(page, web)

    typist.go("/admin/login/")
    typist.type("E-mail", ada.email)
    typist.type("Password", factories.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web.url}/admin/")

    typist.press("link", "Skip to the content")
    typist.tab_to(page.locator(".sb-guide .is-primary"), most=6)  # the menu is behind
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/extensions/")
    typist.press("link", "Skip to the content")
    typist.tab_to(page.get_by_role("searchbox"), most=6)
    page.keyboard.type("twil")
    expect(page.locator(".ext-card")).to_have_count(1)
    typist.press("link", "Twilio")
    typist.press("link", "Add account")
    typist.type("Name", "Main")
    typist.type("Account SID", SID)
    typist.type("Auth Token", TOKEN)
    typist.type("Phone number, sender ID", "13531234567")
    page.keyboard.press("Enter")
    expect(page.locator(".ext-check", has_text="Credentials verified")).to_have_class("ext-check is-done")
    typist.press("button", "Grant access to all users")
    expect(page.locator("#check-list")).to_contain_text("In use")

    typist.go("/admin/distributions/distribution/add/")
    typist.press("link", "Skip to the content")
    typist.type("Name", "Spring survey")
    for label, choice in (("Contact list", "Ward 7"), ("Survey", "Satisfaction")):
        typist.tab_to(page.get_by_label(label, exact=True))
        page.keyboard.type(choice)
    typist.tab_to(page.locator("#id_message_text"))
    page.keyboard.type("Hello ")
    typist.press("button", "First name")
    expect(page.locator("#id_message_text")).to_be_focused()
    page.keyboard.type("you")
    page.keyboard.press("End")
    page.keyboard.type(": ")
    typist.press("button", "Survey link", "Space")
    expect(page.locator("#id_message_text")).to_have_value("Hello ${m://FirstName|you}: ${l://SurveyURL}")
    expect(page.locator("#preview")).to_contain_text("Hello Ada0: http")
    typist.press("button", "Continue to review")
    page.wait_for_url("**/review/*")
    typist.press("button", "Send 3 texts now")
    assert typist.problems == []

    expect(page.locator("#controls")).to_contain_text("finished", timeout=60_000)
    assert Message.objects.filter(status="delivered").count() == 3


def test_from_a_new_organisation_to_its_people_and_questions(
    web: Web, worker: Any, page: Page, browser: Browser
) -> None:
    """What comes before that, R34: organisation, invitation, contact list, import, survey by text."""
    page.set_default_timeout(20_000)
    operator = Typist(page, web)
    operator.log_in(factories.operator(name="Olga Operator"))
    operator.press("link", "Skip to the content")
    operator.press("link", "New organisation")
    operator.press("link", "Skip to the content")
    operator.type("Name", "City Clinic")
    operator.type("Add an administrator", "ada@example.org")
    operator.choose("#id_default_region", "United Kingdom")
    for box in (page.locator("#id_licence-0-sms"), page.get_by_label("Twilio")):
        operator.tab_to(box)
        page.keyboard.press("Space")
    operator.press("button", "Save")
    link = page.locator("#link").inner_text()
    clinic = Organization.objects.get()
    assert (clinic.default_region, clinic.licence.sms, clinic.enabled_extensions.get().provider) == (
        "GB",
        True,
        "twilio",
    )

    context = browser.new_context(viewport=page.viewport_size, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(20_000)
    ada = Typist(page, web)
    page.goto(link)
    for name in ("new_password1", "new_password2"):
        ada.tab_to(page.locator(f"[name={name}]"))
        page.keyboard.type("a quiet heron stands")
    page.keyboard.press("Enter")
    expect(page.get_by_text("you are logged in")).to_be_visible()

    ada.go("/admin/contacts/contactlist/add/")
    ada.press("link", "Skip to the content")
    ada.type("Name", "Ward 7")
    page.keyboard.press("Enter")
    ada.tab_to(page.locator("#id_file"))
    with page.expect_file_chooser() as dialog:
        page.keyboard.press("Space")
    file = b"Phone,FirstName\n07700 900123,Grace\n"
    dialog.value.set_files({"name": "ward7.csv", "mimeType": "text/csv", "buffer": file})
    ada.press("button", "Upload and check")
    ada.tab_to(page.get_by_role("button", name="Import 1 row"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 person was added")).to_be_visible()

    ada.go("/admin/surveys/survey/add/")
    ada.press("link", "Skip to the content")
    ada.type("Name", "Your visit")
    ada.tab_to(page.locator("#id_questions-0-text"))
    page.keyboard.type("How likely are you to recommend us?")
    ada.press("button", "Begin")
    expect(page.locator("#try")).to_contain_text("0 = not at all likely, 10 = extremely likely")
    ada.tab_to(page.locator("#my_reply"))
    page.keyboard.type("9 because you were kind")
    page.keyboard.press("Enter")
    expect(page.locator("#try")).to_contain_text("Answer: 9")
    ada.press("button", "Save")
    page.wait_for_url("**/admin/surveys/survey/")

    assert operator.problems == ada.problems == []
    assert Question.objects.get().text == "How likely are you to recommend us?"
    assert Contact.objects.get().phone == "+447700900123"
    context.close()


def test_what_opens_closes_with_escape_and_gives_the_focus_back(web: Web, page: Page, transactional_db: None) -> None:
    """The menu of a phone, the menu of a person, the filters of a list."""
    page.set_default_timeout(20_000)
    clinic = factories.organization("Clinic", default_region="GB")
    typist = Typist(page, web)
    typist.log_in(factories.administrator(clinic, name="Ada Lovelace"))
    page.set_viewport_size({"width": 390, "height": 800})
    typist.go("/admin/organizations/user/")

    for opener, shows in (
        (page.get_by_role("button", name="Menu"), page.locator("#nav-sidebar")),
        (page.get_by_role("button", name="Filters"), page.locator("#changelist-filter")),
    ):
        opener.locator("visible=true").first.focus()
        page.keyboard.press("Enter")
        expect(shows).to_be_visible()
        page.keyboard.press("Escape")
        expect(shows).to_be_hidden()
        expect(opener.locator("visible=true").first).to_be_focused()

"""The form of a survey with scripts: what a type has is shown, the rest is neither shown nor sent; questions move."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from organizations.models import Organization
from surveys.models import Survey
from tests import factories
from tests.browser import looks
from tests.processes import Web

pytestmark = pytest.mark.browser

OPTIONAL = ("choices", "minimum", "maximum", "required", "error_text")
DEPENDING = {
    "nps": {"required", "error_text"},
    "choice": {"choices", "required", "error_text"},
    "choices": {"choices", "required", "error_text"},
    "yes_no": {"required", "error_text"},
    "number": {"minimum", "maximum", "required", "error_text"},
    "text": {"required", "error_text"},
    "statement": set(),
}


@pytest.fixture
def clinic(transactional_db: None) -> Organization:
    return factories.organization("Riverside Clinic Group", language="en")


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, web: Web, clinic: Organization) -> Iterator[Page]:
    """A logged-in administrator's page at the width of a desk, or of a phone in the dark."""
    size = {"width": 1280, "height": 1600} if request.param == "light" else {"width": 375, "height": 1600}
    context = browser.new_context(base_url=web.url, color_scheme=request.param, locale="en-GB", viewport=size)
    context.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.goto("/admin/login/")
    page.get_by_label("E-mail").fill(factories.administrator(clinic).email)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")
    yield page
    context.close()
    assert complaints == []


def check(page: Page) -> None:
    """No sideways scrolling, and nothing that axe calls serious."""
    looks.settle(page)
    assert looks.too_wide(page) == 0
    assert looks.obstacles(page) == []


def save(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Save and continue editing").click()


def titles(page: Page) -> list[str]:
    return page.locator("#questions-data .form-group.original h3 strong").all_inner_texts()


def test_a_survey_is_written_question_by_question(page: Page) -> None:
    page.goto("/admin/surveys/survey/add/")
    check(page)
    for kind, fields in DEPENDING.items():
        page.locator("#id_questions-0-kind").select_option(kind)
        assert {name for name in OPTIONAL if page.locator(f"#id_questions-0-{name}").is_visible()} == fields, kind

    page.locator("#id_name").fill("After the visit")
    page.locator("#id_questions-0-kind").select_option("choice")
    page.locator("#id_questions-0-text").fill("How was the wait?")
    page.locator("#id_questions-0-choices").fill("Short\nLong\nStop")
    page.get_by_text("Add another Question").click()
    page.locator("#id_questions-1-kind").select_option("choice")
    page.locator("#id_questions-1-choices").fill("written, then thought better of")
    page.locator("#id_questions-1-kind").select_option("number")
    page.locator("#id_questions-1-text").fill("How many minutes?")
    save(page)
    expect(page.locator("#id_questions-0-choices").locator("xpath=..")).to_contain_text("“Stop” cannot be a choice")
    check(page)
    page.locator("#id_questions-0-choices").fill("Short\nLong")
    save(page)

    assert titles(page) == ["How was the wait?", "How many minutes?"]
    check(page)
    stored = Survey.objects.get().questions.values_list("kind", "choices")
    assert list(stored) == [("choice", "Short\nLong"), ("number", "")]


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_a_question_is_dragged_to_its_place(page: Page, clinic: Organization) -> None:
    survey = factories.survey(clinic, questions=[{"kind": "text", "text": text} for text in "abc"])
    page.set_viewport_size({"width": 1280, "height": 2400})
    page.goto(f"/admin/surveys/survey/{survey.pk}/change/")
    handles = page.locator("#questions-data .form-group.original h3 .cursor-move")
    last, first = handles.nth(2).bounding_box(), handles.nth(0).bounding_box()
    assert last is not None
    assert first is not None

    page.mouse.move(last["x"] + 15, last["y"] + 15)
    page.mouse.down()
    page.mouse.move(last["x"] + 15, last["y"] - 30, steps=10)
    page.mouse.move(first["x"] + 15, first["y"] + 5, steps=40)
    page.wait_for_timeout(400)
    page.mouse.up()

    expect(page.locator("#id_questions-2-place")).to_have_value("1")
    expect(page.locator("#id_questions-1-place")).to_have_value("3")
    save(page)
    assert titles(page) == ["c", "a", "b"]


def test_questions_in_use_are_looked_at_and_copied(page: Page, clinic: Organization) -> None:
    used = factories.survey(
        clinic, name="Used", questions=factories.THREE_QUESTIONS, questions_locked_at=timezone.now()
    )
    page.goto(f"/admin/surveys/survey/{used.pk}/change/")
    check(page)
    assert page.locator("#questions-group").get_by_role("textbox").count() == 0

    with page.expect_navigation():
        page.get_by_role("button", name="Copy survey").click()

    expect(page.locator("#id_name")).to_have_value("Copy of Used")
    assert titles(page) == [question["text"] for question in factories.THREE_QUESTIONS]
    page.goto("/admin/surveys/survey/")
    check(page)

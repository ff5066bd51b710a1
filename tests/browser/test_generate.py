"""A click makes up the secrets that we choose, in a browser."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from extensions import registry
from extensions.models import ProviderAccount
from organizations.models import User
from tests import factories
from tests.processes import Web

pytestmark = pytest.mark.browser


@pytest.fixture
def ada(web: Web) -> User:
    return factories.administrator(factories.organization("City Clinic"))


def visit(page: Page, web: Web, user: User, path: str) -> None:
    client = Client()
    client.force_login(user)
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": web.url}])
    page.goto(f"{web.url}{path}")


CHOSEN = {
    provider.key: names
    for provider in registry.all()
    if (names := tuple(name for name, field in provider.Credentials.base_fields.items() if hasattr(field, "generates")))
}


@pytest.mark.parametrize(("provider", "names"), CHOSEN.items())
def test_generate_fills_in_what_the_form_takes(
    page: Page, web: Web, ada: User, provider: str, names: tuple[str, ...]
) -> None:
    visit(page, web, ada, f"/admin/extensions/{provider}/add/")
    for name, value in factories.CREDENTIALS[provider].items():
        field = page.locator(f"[name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        elif name not in names:
            field.fill(value)
    page.fill("[name=name]", "Main line")
    page.fill("[name=sender]", factories.SENDERS[provider])
    expect(page.get_by_role("button", name="Generate")).to_have_count(len(names))

    made = []
    for place in range(len(names)):
        page.get_by_role("button", name="Generate").nth(place).click()
        made.append(page.locator(f"[name={names[place]}]").input_value())
        expect(page.locator(f"[name={names[place]}]")).to_be_visible()
    expect(page.get_by_text("Copy it now and give it to the provider")).to_have_count(len(names))
    page.get_by_role("button", name="Add account", exact=True).click()
    expect(page.get_by_text("“Main line” has been added.")).to_be_visible()

    stored = ProviderAccount.objects.get(name="Main line").secrets()
    assert [stored[name] for name in names] == made
    assert all(re.fullmatch("[A-Za-z0-9]{20}", value) for value in made)
    assert len(set(made)) == len(made)
    for value in made:
        assert value not in page.content()

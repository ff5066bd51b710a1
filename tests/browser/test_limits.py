"""Pages at their limits, on a phone: the longest names, in letters of all kinds, and lists of very many rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import pytest
from django.conf import settings as django_settings
from django.db import models
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from contacts.models import ContactList
from extensions.fields import EncryptedJSONField
from organizations.models import User
from tests import addresses, factories
from tests.processes import Web
from tests.tenants import MARKER, NAMES, Tenant

pytestmark = pytest.mark.browser

WORDS = ("<i>" + "Donaudampfschifffahrt" * 3 + "</i>مرحبا-بكم👩‍⚕️") * 20
ELSEWHERE = ("admin/logout/", "admin/login/", "admin/jsi18n/", "admin/autocomplete/")

# What somebody with a phone cannot reach: the page is wider than the window, or a link, a button or a field is
# cut off at its side. The menu waits outside, and the path above a page ends in an ellipsis.
OUT_OF_SIGHT = """() => {
  const width = document.documentElement.clientWidth, found = []
  if (document.scrollingElement.scrollWidth > width) found.push(`${document.scrollingElement.scrollWidth} px wide`)
  for (const one of document.querySelectorAll("a, button, input, select, textarea, summary, label")) {
    const box = one.getBoundingClientRect()
    const isShown = one.checkVisibility({visibilityProperty: true, opacityProperty: true}) && box.width > 1
    if (isShown && !one.closest("#nav-sidebar, .sb-crumbs") && (box.right > width + 1 || box.left < -1))
      found.push(one.outerHTML.slice(0, 120))
  }
  return found
}"""


@pytest.fixture
def phone(page: Page, web: Web) -> Iterator[Page]:
    page.set_default_timeout(15_000)
    page.set_viewport_size({"width": 375, "height": 812})
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    yield page
    assert said == []


def log_in(page: Page, web: Web, user: User) -> Client:
    """The browser goes on with the session of the client, which looks at addresses without drawing them."""
    client = Client()
    client.force_login(user)
    session = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": session, "url": web.url}])
    return client


def stretch(tenant: Tenant) -> None:
    """All texts of the organisation's rows become as long as they may be."""
    for model, rows in tenant.rows.items():
        for row in rows:
            longest = {
                field.name: WORDS[: field.max_length or 1_000]
                for field in model._meta.concrete_fields
                if isinstance(field, models.CharField | models.TextField)
                and not (field.choices or field.unique or isinstance(field, EncryptedJSONField))
                and any(word in str(getattr(row, field.attname)) for word in (MARKER, NAMES))
            }
            model._base_manager.filter(pk=row.pk).update(**longest)


def pages_of(tenant: Tenant) -> Iterator[str]:
    for route in addresses.ROUTES:
        if route.is_plain and route.path.startswith("admin/") and not route.path.startswith(ELSEWHERE):
            yield from islice(addresses.addresses(route, tenant), 1)


def test_no_name_hides_a_button_or_widens_a_page_on_a_phone(phone: Page, web: Web, transactional_db: None) -> None:
    """Every page of an administrator is looked at, so a new one is looked at without a line here."""
    tenant = Tenant()
    stretch(tenant)
    administrator = tenant.rows[User][0]
    assert isinstance(administrator, User)
    client = log_in(phone, web, administrator)
    seen, wrong = 0, {}

    for path in dict.fromkeys(pages_of(tenant)):
        answer = client.get(path)
        if answer.status_code != 200 or b"<main" not in answer.getvalue():
            continue  # for others, by a button alone, a file, or a part of a page
        phone.goto(f"{web.url}{path}", wait_until="domcontentloaded")
        seen += 1
        if found := phone.evaluate(OUT_OF_SIGHT):
            wrong[path] = found[:3]

    assert wrong == {}
    assert seen > 50


def test_the_pages_of_a_long_list_are_in_reach_of_a_thumb(phone: Page, web: Web, transactional_db: None) -> None:
    clinic = factories.organization("Clinic", default_region="GB")
    people = factories.contact_list(clinic, 1_000, name="Everybody")
    log_in(phone, web, factories.administrator(clinic))

    phone.goto(f"{web.url}/admin/contacts/contact/?contact_list__id__exact={people.pk}&p=10")
    expect(phone).to_have_title(re.compile("^ *Contacts [|] Switchboard"))
    pages = phone.get_by_role("navigation", name="Pages")
    expect(pages.locator("[aria-current=page]")).to_have_text("10")
    expect(phone.get_by_text("1,000 contacts")).to_be_visible()
    assert phone.evaluate(OUT_OF_SIGHT) == []
    assert min(box["height"] for link in pages.get_by_role("link").all() if (box := link.bounding_box())) >= 24
    pages.get_by_role("link", name="Next").click()

    expect(pages.locator("[aria-current=page]")).to_have_text("11")
    expect(phone.locator("#result_list .field-name").first).to_contain_text("Ada500")
    pages.get_by_role("link", name="20", exact=True).click()
    expect(pages.get_by_role("link", name="Next")).to_have_count(0)
    expect(pages.get_by_role("link", name="Back")).to_be_visible()

    phone.goto(f"{web.url}/admin/contacts/contactlist/")  # labels of cells begin as the headings of a desk do
    label = phone.locator("#result_list .field-reachable")
    assert label.get_attribute("data-label") == "Can be texted"
    assert label.evaluate("(cell) => getComputedStyle(cell, '::before').textTransform") == "none"


def test_without_scripts_a_page_is_there_and_says_what_is_missing(browser: Browser, web: Web) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 375, "height": 812})
    page = context.new_page()
    boss = factories.administrator(factories.organization("Clinic"))

    page.goto(f"{web.url}/admin/login/")
    expect(page.locator("noscript p")).to_be_visible()
    page.locator("[name=username]").fill(boss.email)
    page.locator("[name=password]").fill(factories.PASSWORD)
    page.locator("[name=password]").press("Enter")
    page.goto(f"{web.url}/admin/contacts/contactlist/add/")
    expect(page.locator("noscript p")).to_be_visible()
    page.locator("#id_name").fill("Ward 7")
    page.get_by_role("button", name="Save", exact=True).click()

    page.goto(f"{web.url}/admin/contacts/contact/")
    expect(page.locator("#changelist-search")).to_be_visible()
    expect(page.locator("#changelist-filter")).to_be_hidden()  # nothing would close it
    assert ContactList.objects.get().name == "Ward 7"
    context.close()


def test_no_field_is_so_small_that_a_phone_enlarges_the_page(browser: Browser, web: Web) -> None:
    context = browser.new_context(is_mobile=True, has_touch=True, viewport={"width": 375, "height": 812})
    page = context.new_page()
    log_in(page, web, factories.administrator(factories.organization("Clinic")))

    for path in ("extensions/vonage/add/", "surveys/survey/add/", "profile/"):
        page.goto(f"{web.url}/admin/{path}")
        fields = page.locator("main :is(input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea)")
        sizes = fields.evaluate_all("(all) => all.map((one) => parseFloat(getComputedStyle(one).fontSize))")
        assert min(sizes) >= 16, path
        assert page.evaluate(OUT_OF_SIGHT) == [], path
    context.close()


@pytest.mark.parametrize("width", [640, 900, 1024])  # 640: a desk's window at 200 %
def test_the_recipients_of_a_distribution_stay_in_their_frame(phone: Page, web: Web, width: int) -> None:
    clinic = factories.organization("Clinic", default_region="GB")
    sent = factories.distribution(clinic, recipients=2, account=factories.account(clinic), state="finished")
    log_in(phone, web, factories.administrator(clinic))

    phone.set_viewport_size({"width": width, "height": 800})
    phone.goto(f"{web.url}/admin/distributions/distribution/{sent.pk}/messages/")

    table, frame = phone.locator(".sb-table").bounding_box(), phone.locator(".sb-card", has=phone.locator("table"))
    around = frame.bounding_box()
    assert table is not None
    assert around is not None
    assert table["x"] + table["width"] <= around["x"] + around["width"]
    assert phone.evaluate(OUT_OF_SIGHT) == []


def test_what_is_dark_on_the_screen_is_light_on_paper(browser: Browser, web: Web) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    log_in(page, web, factories.administrator(factories.organization("Clinic")))
    page.goto(f"{web.url}/admin/")
    root = page.locator("html")
    expect(root).to_have_class(re.compile(r"\bdark\b"))

    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(root).not_to_have_class(re.compile(r"\bdark\b"))
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")

    expect(root).to_have_class(re.compile(r"\bdark\b"))
    context.close()

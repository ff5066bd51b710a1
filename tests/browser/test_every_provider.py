"""Each provider from the empty form to the last answer, as its administrator sees it.

Real browser, web server, worker, beat and PostgreSQL; the provider is the simulator, over real HTTP. The steps are the
same for all (R7): what differs stands in the provider's file of cases, under `[simulated]`.

Counted clicks are printed: `pytest tests/browser/test_every_provider.py -k sample -s`.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from django.utils import translation
from playwright.sync_api import Page, expect

from config.ops import demo_organization
from distributions.models import InboundMessage, Message
from distributions.states import FINAL, Status
from distributions.wording import explain
from extensions import registry
from extensions.contract import Category, Provider, SecretField
from extensions.models import ProviderAccount
from organizations.models import Organization, User
from simulator import process as simulator_process
from simulator.process import SimulatorProcess
from tests import factories, provider_cases
from tests.browser.installation import open_database
from tests.conftest import starting
from tests.processes import Beat, Web, Worker

pytestmark = pytest.mark.browser

EXAMPLES = provider_cases.all_data()
NUMBER = "+44770090{:04d}"
CONTACTS = 50
WITHIN = 30.0  # seconds, from the launch to the last callback
MOST_CLICKS = 10
# Two tests lead through the same pages: each provider is seen in both languages on both widths, once.
at_the_desk_in_german = pytest.mark.parametrize(("language", "width"), [("de", 1280), ("en", 375)])
on_the_phone_in_german = pytest.mark.parametrize(("language", "width"), [("en", 1280), ("de", 375)])

# Endings of a number that decide what becomes of its text (simulator/README.md); every other text is delivered.
ABSENT, FAILS, EXPIRES, INVALID, LANDLINE, YES, STOP = 9901, 9902, 9903, 9904, 9906, 9910, 9911
# The state and the reason that the history shows, unless the provider's own words mean something else.
FATES = {
    ABSENT: (Status.UNDELIVERED, Category.TRANSIENT),
    FAILS: (Status.FAILED, Category.UNKNOWN),
    EXPIRES: (Status.EXPIRED, Category.TRANSIENT),
    INVALID: (Status.FAILED, Category.INVALID_RECIPIENT),
    LANDLINE: (Status.UNDELIVERED, Category.INVALID_RECIPIENT),
    YES: (Status.DELIVERED, Category.NONE),
    STOP: (Status.DELIVERED, Category.NONE),
}


# One installation serves all these tests, each as an organisation of its own: starting it takes longer than a test.


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with open_database(django_db_blocker):
        yield


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: Any) -> Iterator[SimulatorProcess]:
    options = {"latency_ms": 0, "report_delay_ms": 20, "state_dir": tmp_path_factory.mktemp("simulator")}
    with simulator_process.start(**options) as running:
        examples = demo_organization.example_accounts(running.url)
        with override_settings(PROVIDER_BASE_URLS=running.base_urls(), EXAMPLE_ACCOUNTS=examples):
            yield running


@pytest.fixture(scope="module")
def web(request: Any, db: None, simulator: SimulatorProcess, tmp_path_factory: Any) -> Iterator[Web]:
    """The web server, together with a worker and the beat."""
    with starting(request.node, tmp_path_factory.mktemp("processes")) as start:
        served = start(Web)
        with override_settings(PUBLIC_URL=served.url):
            start(Worker)
            start(Beat)
            yield served


@pytest.fixture
def language() -> str:
    return "en"


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any], language: str) -> dict[str, Any]:
    return {**browser_context_args, "locale": {"en": "en-GB", "de": "de-DE"}[language]}


@pytest.fixture
def stranger(web: Web, page: Page, language: str) -> User:
    """An administrator who has opened the installation's address, and has not logged in yet."""
    page.set_default_timeout(20_000)
    page.goto(f"{web.url}/admin/")
    return factories.administrator(factories.organization("City Clinic", default_region="GB"), language=language)


@pytest.fixture
def administrator(stranger: User, web: Web, page: Page, language: str) -> User:
    log_in(page, stranger, language)
    page.wait_for_url(f"{web.url}/admin/")
    return stranger


def log_in(page: Page, user: User, language: str) -> None:
    page.locator("[name=username]").fill(user.email)
    page.locator("[name=password]").fill(factories.PASSWORD)
    page.get_by_role("button", name=said(language, "Log in")).click()


def said(language: str, sentence: str) -> str:
    """As the page says it to a reader of `language`."""
    with translation.override(language):
        return translation.gettext(sentence)


def ask(simulator: SimulatorProcess, path: str, values: dict[str, Any] | None = None) -> Any:
    body = json.dumps(values).encode() if values is not None else None
    with urllib.request.urlopen(f"{simulator.url}/_/{path}", body, timeout=10) as answer:
        return json.load(answer)


def add_account(page: Page, web: Web, simulator: SimulatorProcess, key: str) -> None:
    """Admin → Extensions → the form, filled in with the example; then the addresses go into the provider's console."""
    provider, example = registry.get(key), EXAMPLES[key]
    # A key that the provider publishes is the simulator's own.
    published = {f"webhook_{name}": value for name, value in ask(simulator, "")["providers"][key].items()}
    values = {name: published.get(name, value) for name, value in example["credentials"].items()}
    page.goto(f"{web.url}/admin/extensions/")
    page.get_by_role("link", name=provider.name, exact=True).click()
    page.get_by_role("link", name="Add account").first.click()
    page.get_by_label("Name", exact=True).fill("Main account")
    for name, value in {**values, "sender": example["sender"]}.items():
        field = page.locator(f"#account-form [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    expect(page.locator("#sender-preview")).to_contain_text("is a phone number")
    page.get_by_role("button", name="Add account").click()
    expect(page.get_by_text("“Main account” has been added.")).to_be_visible()

    console = {
        "reports_url": page.locator("#reports-url").inner_text().strip(),
        "inbound_url": page.locator("#inbound-url").inner_text().strip(),
    }
    ask(simulator, "accounts", {"provider": key, "credentials": values, **console})


def verify_and_grant(page: Page, language: str = "en") -> None:
    verified = page.locator(".ext-check", has_text=said(language, "Credentials verified"))
    expect(verified).to_have_class("ext-check is-done")
    page.get_by_role("button", name=said(language, "Grant access to all users")).click()
    expect(page.locator("#check-list")).to_contain_text(said(language, "In use"))


def compose_and_launch(page: Page, web: Web) -> None:
    """The same fields and buttons whatever provider carries it (R7)."""
    page.goto(f"{web.url}/admin/distributions/distribution/add/")
    page.get_by_label("Name", exact=True).fill("Visit feedback")
    page.get_by_label("Contact list").select_option(label="Patients")
    page.get_by_label("Survey", exact=True).select_option(label="Visit")
    page.get_by_role("textbox", name="Text", exact=True).fill("Hello ${m://FirstName}, how was it? ${l://SurveyURL}")
    page.get_by_role("button", name="Continue to review").click()
    expect(page.locator("#sendable")).to_have_text(str(CONTACTS))
    page.get_by_role("button", name=f"Send {CONTACTS} texts now").click()
    expect(page.locator("#progress")).to_be_visible()


def wait_for_the_last_callback(organization: Organization) -> None:
    """Until nothing more is to come; if that takes too long, the history shows what is missing."""
    deadline = time.monotonic() + WITHIN
    unsettled = Message.objects.filter(organization=organization).exclude(status__in=FINAL)
    replies = InboundMessage.objects.filter(organization=organization)
    while (unsettled.exists() or replies.count() < 2) and time.monotonic() < deadline:
        time.sleep(0.1)


def history(page: Page) -> dict[str, tuple[str, str, str]]:
    """Number -> state, what happened, and the account, as the page shows them."""
    page.get_by_role("link", name="Recipients").first.click()
    page.wait_for_url("**/messages/")
    rows = page.locator("table.sb-table tbody tr").evaluate_all(
        "rows => rows.map(row => Array.from(row.cells, cell => cell.innerText.trim()))"
    )
    return {number: (state, what, account) for _person, number, state, what, account, *_rest in rows}


def expect_reply(page: Page, number: str, text: str, meaning: str) -> None:
    """The text's own page shows what the person answered, and how it was understood."""
    page.locator("table.sb-table tbody tr", has_text=number).get_by_role("link").click()
    expect(page.locator(".snd-bubble.is-theirs")).to_have_text(text)
    expect(page.locator(".snd-phones", has_text=text)).to_contain_text(meaning)
    page.go_back()


@pytest.mark.parametrize("key", provider_cases.each("status", "message", simulated=True))
def test_from_the_empty_form_to_the_last_answer(
    administrator: User, page: Page, web: Web, simulator: SimulatorProcess, key: str
) -> None:
    """R7, R20, R29, R54: one test for each provider, through everything that is real but the provider itself."""
    organization = administrator.organization
    numbers = {ending: NUMBER.format(ending) for ending in (*FATES, *range(CONTACTS - len(FATES)))}
    factories.contact_list(organization, name="Patients", phones=list(numbers.values()))
    factories.survey(organization, name="Visit")

    add_account(page, web, simulator, key)
    verify_and_grant(page)
    compose_and_launch(page, web)
    wait_for_the_last_callback(organization)
    seen = history(page)

    assert seen.keys() == set(numbers.values())
    own = {int(ending): said for ending, said in EXAMPLES[key].get("simulated", {}).items()}
    fates = FATES | {ending: (Status(status), Category(why)) for ending, (status, why, *_taken) in own.items()}
    for ending, number in numbers.items():
        status, reason = fates.get(ending, (Status.DELIVERED, Category.NONE))
        state, what_happened, account = seen[number]
        assert (state, account) == (status.label, f"Main account ({registry.get(key).name})"), number
        assert what_happened.startswith(explain(status, reason)), number
    expect_reply(page, numbers[YES], "Yes", "reply")
    expect_reply(page, numbers[STOP], "STOP", "opt-out")
    page.goto(f"{web.url}/admin/contacts/optout/")
    expect(page.locator("#result_list")).to_contain_text(numbers[STOP])

    taken = Counter(entry["to"] for entry in ask(simulator, "ledger")["entries"] if entry["provider"] == key)
    refused = set() if "taken" in own.get(INVALID, ()) else {numbers[INVALID]}
    assert taken == dict.fromkeys(set(numbers.values()) - refused, 1), "every text once, and none that was refused"


def as_people_paste(key: str, values: dict[str, str]) -> dict[str, str]:
    """The values with what stands around them where they were copied, and two of them in each other's field."""
    provider = registry.get(key)
    fields, pasted = provider.Credentials.base_fields, dict(values)
    for name, field in fields.items():
        is_chosen = getattr(field, "verbatim", False) or getattr(field, "generates", 0) or hasattr(field, "choices")
        if name in values and not is_chosen and name in provider.typical:
            host = f"https://{values[name]}/" if hasattr(field, "patterns") else ""
            pasted[name] = host or f'  {field.label}: "{values[name]}", '
    typical = [name for name in provider.typical if name in values]
    here, there = next(
        (one, other)
        for one in typical
        for other in typical
        if one != other
        and not re.fullmatch(provider.typical[one], values[other])
        and not re.fullmatch(provider.typical[other], values[one])
        and "\n" not in values[one] + values[other]  # a field of one line takes no more
    )
    pasted[here], pasted[there] = pasted[there], pasted[here]
    number = values["sender"].lstrip("+")
    return {**pasted, "sender": f" +{number[:2]} ({number[2:5]}) {number[5:]}"}


@at_the_desk_in_german
@pytest.mark.parametrize("key", provider_cases.each(simulated=True))
def test_with_the_typical_mistakes_no_secret_is_typed_twice(
    administrator: User, page: Page, web: Web, simulator: SimulatorProcess, key: str, language: str, width: int
) -> None:
    """R20: pasted lines, plus, spaces, https://, swapped fields, and a forgotten name: each field is filled in once."""
    page.set_viewport_size({"width": width, "height": 900})
    provider = registry.get(key)
    published = {
        f"webhook_{name}": v for name, v in ask(simulator, "")["providers"][key].items() if name == "public_key"
    }
    values = demo_organization.example_accounts(simulator.url)[key] | published
    page.goto(f"{web.url}/admin/extensions/{key}/add/")
    for name, value in as_people_paste(key, values).items():
        field = page.locator(f"#account-form [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    expect(page.locator("#sender-preview")).to_contain_text(said(language, "a phone number"))
    add = page.get_by_role("button", name=said(language, "Add account"))
    add.click()  # the name was forgotten, two fields are swapped
    expect(page.locator("#exchanged")).to_be_visible()
    expect(page.locator("#form-errors")).to_contain_text(re.compile(r"\b1\b"))
    secrets = [value for name, value in values.items() if isinstance(fields_of(provider).get(name), SecretField)]
    html = re.sub(r'<script id="example-account".*?</script>', "", page.content(), flags=re.DOTALL)
    assert not any(secret in html for secret in secrets if len(secret) > 7)

    page.locator("#account-form [name=name]").fill("Main account")
    add.click()

    expect(page.get_by_text(said(language, "“%(name)s” has been added.") % {"name": "Main account"})).to_be_visible()
    verify_and_grant(page, language)
    stored = ProviderAccount.objects.get(organization=administrator.organization).secrets()
    meant = provider.Credentials(values)
    assert meant.is_valid()
    assert stored == {name: str(value) for name, value in meant.cleaned_data.items()}


def fields_of(provider: type[Provider]) -> dict[str, Any]:
    return dict(provider.Credentials.base_fields)


@on_the_phone_in_german
@pytest.mark.parametrize("key", provider_cases.each(simulated=True))
def test_sample_values_lead_to_an_account_in_use(
    stranger: User, page: Page, web: Web, key: str, language: str, width: int
) -> None:
    """R17, R20, R29: from the address that `make demo` prints: nothing is typed but the log-in."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("window.name = '1'")  # the printed address has been clicked
    page.context.add_init_script(
        "addEventListener('click', (click) => { if (click.isTrusted) window.name = Number(window.name) + 1 }, true)"
    )
    page.reload()
    log_in(page, stranger, language)
    expect(page.get_by_role("link", name=said(language, "Show the phones"))).to_be_visible()
    if width < 1000:
        page.get_by_role("button", name=said(language, "Menu")).click()
    page.get_by_role("link", name=said(language, "Extensions")).first.click()
    page.get_by_role("link", name=registry.get(key).name, exact=True).click()
    page.get_by_role("link", name=said(language, "Add account")).first.click()
    page.get_by_role("button", name=said(language, "Fill in sample values")).click()
    expect(page.locator("#sender-preview")).to_contain_text(said(language, "a phone number"))
    page.get_by_role("button", name=said(language, "Add account")).click()
    verify_and_grant(page, language)

    clicks = int(page.evaluate("window.name"))
    sys.stdout.write(
        f"\n{key}, {width} px, {language}: {clicks} clicks from the printed address to an account in use\n"
    )
    assert 2 < clicks <= MOST_CLICKS

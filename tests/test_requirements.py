"""The requirements R1 to R100 of docs/requirements.md that no other file proves."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from config.ops import checks
from extensions import registry, routing
from extensions.catalogue import matches, search
from extensions.contract import SenderKind
from extensions.forms import AccountForm
from extensions.webhook_urls import webhook_url
from tests import factories, provider_cases, provider_table

KEYS = [provider.key for provider in registry.all()]


def test_every_requirement_is_cited_by_a_test():
    files = [
        path for kind in ("*.py", "*.toml") for path in Path("tests").rglob(kind)
    ]  # the cases of the providers too
    tests = "\n".join(path.read_text() for path in files)
    cited = {int(number) for number in re.findall(r"\bR(\d+)\b", tests)}

    assert set(range(1, 101)) <= cited


@pytest.mark.parametrize("key", KEYS)
def test_the_form_asks_in_the_order_of_the_source_page(key):
    """Each file of cases has it, as `asks`; what we ask for beside that comes last."""
    rows = list(AccountForm(registry.get(key)).rows())

    assert [row.field.label for row in rows] == provider_cases.asks(key)
    assert len({row.field.name for row in rows}) == len(rows) == len(registry.get(key).Credentials.base_fields) + 2


@pytest.mark.django_db
@pytest.mark.parametrize("key", KEYS)
def test_the_page_shows_the_fields_in_that_order(key):
    """R20."""
    clinic = factories.organization()
    client = Client()
    client.force_login(factories.administrator(clinic))

    page = client.get(reverse("admin:extensions_add_account", args=[key])).content.decode()

    places = [page.index(f'name="{row.field.name}"') for row in AccountForm(registry.get(key)).rows()]
    assert places == sorted(places)


# What this release brings along: a provider that somebody adds may be called like one of them.
SHIPPED = [provider for provider in registry.all() if provider.name in provider_table.names()]


def spellings(provider):
    """How people may write what the provider is called."""
    for name in (provider.name, *provider.keywords):
        yield from (name, name.upper(), name.lower(), name.replace(" ", "-"), unicodedata.normalize("NFD", name))
        yield f"Text messages (SMS) via {name}"


@pytest.mark.parametrize("key", KEYS)
def test_every_spelling_of_a_name_finds_its_provider(key):
    """R18."""
    for spelling in spellings(registry.get(key)):
        assert registry.get(key) in search(registry.all(), spelling), spelling


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("Twilio", "twilio"),
        ("Link Mobility", "link_mobility"),
        ("LINK-Mobility", "link_mobility"),
        ("Mobilität verknüpfen", "link_mobility"),
        ("MOBILITÄT VERKNÜPFEN", "link_mobility"),
        ("Mobilita\u0308t verknu\u0308pfen", "link_mobility"),
        ("Sinch LiveLink", "sinch"),
        ("sinch livelink", "sinch"),
        ("LiveLink", "sinch"),
        ("Infobip", "infobip"),
        ("InfoBi", "infobip"),
        ("InfoBIP", "infobip"),
        ("MessageMedia", "messagemedia"),
        ("Nachrichtenmedien", "messagemedia"),
        ("Vonage", "vonage"),
        ("MessageBird", "messagebird"),
        ("Message Bird", "messagebird"),
        ("Text messages (SMS) via Sinch LiveLink", "sinch"),
        ("Text messages (SMS) via Infobip", "infobip"),
    ],
)
def test_a_provider_is_found_by_every_name_of_it(query, key):
    """R18."""
    found = [provider.key for provider in SHIPPED if matches(provider, query)]

    assert found == [key]


@pytest.mark.parametrize(
    ("query", "key"),
    [
        *(("twillio", "twilio"), ("Twlio", "twilio"), ("infobib", "infobip"), ("info bip", "infobip")),
        *(
            ("vonnage", "vonage"),
            ("nexmoo", "vonage"),
            ("mesage media", "messagemedia"),
            ("massage bird", "messagebird"),
        ),
        *(("Link Mobilty", "link_mobility"), ("linkmobilty", "link_mobility"), ("Linc Mobility", "link_mobility")),
        *(("Mobilitaet verknuepfen", "link_mobility"), ("Nachrichtenmedium", "messagemedia"), ("live link", "sinch")),
    ],
)
def test_a_slip_of_the_pen_finds_a_provider_too(query, key):
    """R18."""
    assert [provider.key for provider in search(SHIPPED, query)] == [key]


@pytest.mark.parametrize("query", ["voice", "email", "whatsapp", "zzz", "Twilio Infobip", "tw", "12345", "🙂🙂"])
def test_what_is_like_no_name_finds_nothing_but_what_has_no_words(query):
    assert bool(search(SHIPPED, query)) is (query == "🙂🙂" or query == "tw")


@pytest.mark.parametrize("query", ["2-Wege", "two-way", "Zwei-Wege", "SMS", "text messages"])
def test_what_they_can_do_finds_all_that_can(query):
    able = [provider for provider in registry.all() if provider.capabilities(SenderKind.NUMBER).two_way]

    assert search(registry.all(), query) == (registry.all() if query in ("SMS", "text messages") else able)


def test_what_is_no_name_of_a_provider_finds_none():
    for query in ("Unterschriftengeheimnis", "nobody", "Twilio Infobip"):
        assert not [provider for provider in SHIPPED if matches(provider, query)]


@pytest.mark.django_db
def test_an_installation_s_own_account_is_at_twilio_unless_it_says_otherwise(settings):
    """R2, R8, R35: an organisation uses the preconfigured account, or its own once that is set up."""
    clinic = factories.organization()
    settings.DEFAULT_PROVIDER = {"sender": "+15005550006", "credentials": factories.CREDENTIALS["twilio"]}

    preconfigured = routing.route_for(clinic)
    own = factories.account(clinic, "infobip")

    assert (preconfigured.is_default, preconfigured.account.provider) == (True, "twilio")
    assert (routing.route_for(clinic).is_default, routing.route_for(clinic).account) == (False, own)


@pytest.mark.django_db
@pytest.mark.parametrize("key", KEYS)
def test_the_addresses_are_shown_filled_in_and_are_those_that_are_answered(key, settings):
    """R46, R47, R96: data centre, route, provider and organisation."""
    settings.PUBLIC_URL, settings.DATACENTER_ID = "https://eu1.surveys.example.org", "eu1"
    clinic = factories.organization(public_id="ORG42")
    provider = registry.get(key)
    client = Client()
    client.force_login(factories.administrator(clinic))

    page = client.get(reverse("admin:extensions_extension", args=[key])).content.decode()

    for kind in ("status", "message"):
        url = webhook_url(kind, provider, clinic)
        assert (url in page) is (kind in provider.calls())
        path = f"/distribution-providers/v1/receive/distribution/{kind}/{provider.slug}/ORG42"
        assert url == f"https://eu1.surveys.example.org{path}"
    assert checks.data_centre(None) == []


@pytest.mark.parametrize(
    ("datacenter", "url", "complains"),
    [
        ("eu1", "https://eu1.surveys.example.org", False),
        ("EU1", "https://eu1.surveys.example.org:8443", False),
        ("eu1", "https://EU1.surveys.example.org/", False),
        ("local", "https://surveys.example.org", False),  # none is set
        ("", "https://surveys.example.org", False),
        ("eu1", "https://surveys.example.org", True),
        ("eu1", "https://eu11.surveys.example.org", True),
        ("eu1", "https://surveys.eu1.example.org", True),
    ],
)
def test_the_deploy_check_compares_the_data_centre_with_the_address(settings, datacenter, url, complains):
    """R96."""
    settings.DATACENTER_ID, settings.PUBLIC_URL = datacenter, url

    found = checks.data_centre(None)

    assert bool(found) == complains
    assert all(datacenter in message.msg and url in message.msg for message in found)

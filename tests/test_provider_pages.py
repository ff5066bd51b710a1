"""What the pages say of each of the providers: the fields, the errors, the consequences, the set-up."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from contacts.models import Contact
from extensions import registry
from extensions.catalogue import takes_alphanumeric
from extensions.contract import Provider, SenderKind, WebhookRequest
from extensions.forms import AccountForm
from extensions.models import ProviderAccount
from extensions.webhook_urls import webhook_url
from organizations.models import Organization
from tests import factories, provider_cases

EXAMPLES = provider_cases.all_data()
KEYS = sorted(EXAMPLES)


def page_of(name: str, *args: Any) -> str:
    return reverse(f"admin:extensions_{name}", args=args)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", html.unescape(response.content.decode()))


def filled(key: str, **changes: str) -> dict[str, str]:
    """The form as the example fills it in."""
    example = EXAMPLES[key]
    return {"name": "Main", **example["credentials"], "sender": example["sender"], "confirm_one_way": "on", **changes}


def wrong_entries(key: str) -> list[dict[str, str]]:
    """Every entry of the example's cases that the form refuses, as changes to the filled-in form."""
    entries = [case["values"] for case in EXAMPLES[key]["form"] if case.get("errors")]
    entries += [{"sender": case["value"]} for case in EXAMPLES[key]["sender_case"] if "error" in case]
    return entries


@pytest.fixture
def clinic(db: None) -> Organization:
    return factories.organization("Clinic")


@pytest.fixture
def portal(clinic: Organization) -> Client:
    browser = Client()
    browser.force_login(factories.administrator(clinic))
    return browser


@pytest.fixture(params=KEYS)
def provider(request: pytest.FixtureRequest) -> type[Provider]:
    return registry.get(request.param)


def test_the_form_has_the_fields_of_the_source_page_each_with_a_place_to_find_its_value(provider, portal):
    """R20: in its order; what we ask for beside them comes last."""
    response = portal.get(page_of("add_account", provider))

    labels = re.findall(r'<label class="sb-title" for="[^"]+">(.*?)</label>', text_of(response))
    labels = [re.sub(r"<span.*", "", label).strip() for label in labels]
    assert labels == provider_cases.asks(provider.key)
    assert len(re.findall(r'id="id_\w+_helptext"', response.content.decode())) == len(labels)


@pytest.mark.parametrize("key", KEYS)
def test_a_corrected_value_that_is_offered_is_right(key):
    """R43, R56, R58, R76, R77, R87, R91: whoever presses the button beside an error is not refused again.

    What is certain is put right without a button.
    """
    offered = 0
    for entry in wrong_entries(key):
        form = AccountForm(registry.get(key), filled(key, **entry))
        if form.is_valid():
            offered += 1
            continue
        suggestions = {row.field.name: row.suggestion for row in form.rows() if row.suggestion}

        corrected = AccountForm(registry.get(key), filled(key, **{**entry, **suggestions}))

        corrected.is_valid()
        assert not set(suggestions) & set(corrected.errors), (entry, suggestions, corrected.errors)
        offered += len(suggestions)
    assert offered >= 1 or "message" not in registry.get(key).calls(), "nothing is offered"


def test_every_wrong_entry_is_answered_with_one_error_at_its_field_and_saves_nothing(provider, portal):
    """But for those that are put right, and those that stand in each other's field (tests/test_account_form.py)."""
    entries = wrong_entries(provider.key)

    for entry in entries:
        form = AccountForm(provider, filled(provider.key, **entry))
        if form.is_valid() or form.misplaced:
            continue
        response = portal.post(page_of("add_account", provider), filled(provider.key, **entry))

        assert response.status_code == 422, entry
        errors = re.findall(r'<p class="sb-error" id="id_(\w+)_error">', response.content.decode())
        assert len(errors) == len(set(errors)), entry
        assert set(errors) == set(response.context["form"].errors) <= set(entry), entry
    assert len(entries) >= provider_cases.at_least(provider.key, 5)
    assert not ProviderAccount.objects.exists()


def test_the_consequences_of_a_number_and_of_a_word_are_shown_before_saving(provider, portal):
    """R44, R51, R69, R80, R85, R89, R94: two-way, stop words, delivery reports."""
    preview = page_of("sender", provider)

    number = text_of(portal.post(preview, {"sender": EXAMPLES[provider.key]["sender"]}))
    word = text_of(portal.post(preview, {"sender": "Clinic"}))

    two_way = "message" in provider.calls()
    assert "is a phone number" in number
    assert ("Two-way SMS: people can reply" in number) is two_way
    assert ("Stop words reach us" in number) is two_way
    assert ("Replies to this sender do not reach us." in number) is not two_way
    assert ("is an alphanumeric sender ID" in word) is takes_alphanumeric(provider)
    shown = [(SenderKind.NUMBER, number)]
    if takes_alphanumeric(provider):
        shown.append((SenderKind.ALPHANUMERIC, word))
        assert "One-way: people cannot reply" in word
        assert "Stop words do not reach us" in word
        assert "Nobody can reply to this sender." in word
    for kind, said in shown:
        reports = provider.capabilities(kind).delivery_reports
        assert ("Delivery reports say what happened to each message" in said) is reports


def test_the_accounts_page_says_how_strong_the_check_is_and_what_to_enter_where(provider, clinic, portal):
    """R45-R50, R65-R68, R71, R81, R93-R96: with the organisation's own addresses, ready to be copied."""
    account = factories.account(clinic, provider.key)

    response = portal.get(page_of("account", account.public_id))

    shown = text_of(response)
    assert str(provider.webhook_check_note) in shown
    urls = [webhook_url(kind, provider, clinic) for kind in provider.calls()]
    copied = [html.unescape(value) for value in re.findall(r'data-copy="([^"]*)"', response.content.decode())]
    assert set(urls) <= set(copied)
    (set_up,) = [text for text in copied if text not in urls]
    assert all(url in set_up for url in urls[1:])
    assert not re.search(r"\{\w+\}", set_up)


def test_every_spelling_of_an_address_leads_to_its_provider(provider):
    """R47, R65, R66, R81; the one that the source page gives to two is its owner's where no header says otherwise."""
    call = WebhookRequest("POST", "https://surveys.example.com/")
    owners = {other.slug: other for other in registry.all()}

    for slug in (provider.slug, *provider.aliases):
        assert registry.by_slug(slug, call) is owners.get(slug, provider)


@pytest.mark.parametrize("key", KEYS)
def test_the_review_shows_a_text_as_this_provider_carries_it(key, clinic, portal):
    """An emoji that cannot be carried is replaced, and the review says so before anything is sent."""
    factories.account(clinic, key)
    draft = factories.distribution(clinic, message_text="How was it? 😀 ${l://SurveyURL} ${l://OptOutLink}")
    Contact.objects.create(
        organization=clinic, contact_list=draft.contact_list, first_name="Ada", phone="+447700900001"
    )

    shown = text_of(portal.get(reverse("admin:distributions_distribution_review", args=[draft.pk])))

    carried = registry.get(key).carried_text("😀")
    assert f"How was it? {carried} https://" in shown
    assert ("the provider cannot carry every character" in shown) is (carried != "😀")

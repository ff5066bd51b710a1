"""What the provider is asked from the form and from the account's page: numbers, balance, webhooks (R29, R54)."""

from __future__ import annotations

import json
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from extensions import asking, registry
from extensions.contract import Provider
from extensions.models import AccountState, KeptSecret, ProviderAccount
from organizations.models import AuditEvent, User
from simulator.process import SimulatorProcess
from tests import factories, provider_cases

pytestmark = pytest.mark.django_db
EXAMPLES = provider_cases.all_data()


def offering(build: Any) -> list[Any]:
    """Every provider that offers it, as parameters."""
    return provider_cases.each(simulated=True, keys=[one.key for one in registry.all() if one.offers(build)])


@pytest.fixture
def portal(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


def ask(simulator: SimulatorProcess, path: str, values: dict[str, Any] | None = None) -> Any:
    body = json.dumps(values).encode() if values is not None else None
    with urllib.request.urlopen(f"{simulator.url}/_/{path}", body, timeout=10) as answer:
        return json.load(answer)


def numbers(portal: Client, key: str, **changes: str) -> str:
    values = {**EXAMPLES[key]["credentials"], **changes}
    return portal.post(reverse("admin:extensions_numbers", args=[key]), values).content.decode()


def account_of(user: User, key: str) -> ProviderAccount:
    example = EXAMPLES[key]
    form = registry.get(key).Credentials(example["credentials"])
    assert form.is_valid()
    credentials = {name: str(value) for name, value in form.cleaned_data.items()}
    return factories.account(user.organization, key, sender=example["sender"], credentials=credentials)


@pytest.mark.parametrize("key", offering(Provider.build_numbers))
def test_the_numbers_of_an_account_are_offered_before_it_is_saved(
    portal: Client, simulator: SimulatorProcess, key: str
) -> None:
    page = numbers(portal, key)

    own = ask(simulator, "")["providers"][key]["example"]["sender"]
    assert f'data-use="{own}" data-for="id_sender"' in page
    assert not ProviderAccount.objects.exists()
    assert not KeptSecret.objects.exists()


def test_what_is_missing_or_wrong_is_said(portal: Client, simulator: SimulatorProcess) -> None:
    numbers(portal, "twilio")  # from now on the simulated provider knows the token

    assert "Fill in these fields first: Account SID, Auth Token." in numbers(
        portal, "twilio", account_sid="", auth_token=""
    )
    assert "The provider refused to list them: 20003" in numbers(portal, "twilio", auth_token="f" * 32)
    assert "lists no numbers" in numbers(portal, "sinch")


def test_a_provider_that_does_not_answer_is_said(portal: Client, settings: Any) -> None:
    settings.PROVIDER_BASE_URLS = {"twilio": "http://127.0.0.1:9/twilio"}

    assert "The provider could not be asked" in numbers(portal, "twilio")


@pytest.mark.parametrize("key", offering(Provider.build_balance))
def test_the_balance_is_asked_for_with_a_button_and_kept(
    portal: Client, administrator: User, simulator: SimulatorProcess, key: str
) -> None:
    account = account_of(administrator, key)

    portal.post(reverse("admin:extensions_balance", args=[account.public_id]))

    state = AccountState.objects.get(pk=account.pk)
    assert state.balance == 100
    assert state.balance_at is not None


def test_the_periodic_check_asks_for_old_balances_alone(administrator: User, simulator: SimulatorProcess) -> None:
    account, fresh = account_of(administrator, "twilio"), account_of(administrator, "vonage")
    silent = account_of(administrator, "sinch")
    AccountState.objects.filter(pk=fresh.pk).update(balance=7, balance_at=timezone.now() - timedelta(hours=1))

    assert asking.ask_balances() == 1
    assert asking.ask_balances() == 0

    told = dict(AccountState.objects.values_list("pk", "balance"))
    assert (told[account.pk], told[fresh.pk], told[silent.pk]) == (100, 7, None)


@pytest.mark.parametrize("key", offering(Provider.build_webhooks))
def test_webhooks_are_set_by_a_button_that_says_what_changes(
    portal: Client, administrator: User, simulator: SimulatorProcess, key: str
) -> None:
    account = account_of(administrator, key)
    url = reverse("admin:extensions_set_webhooks", args=[account.public_id])
    shown = portal.get(url).content.decode()
    before = ask(simulator, "accounts")["accounts"]

    first, second = portal.post(url, follow=True), portal.post(url, follow=True)

    assert "This is what will be changed there." in shown
    assert not any(one["inbound_url"] for one in before), "looking changes nothing"
    assert "set." in first.content.decode()
    assert "Both addresses are already set" in second.content.decode()
    assert "Both addresses are already set" in portal.get(url).content.decode()
    (saved,) = [one for one in ask(simulator, "accounts")["accounts"] if one["inbound_url"]]
    assert saved["inbound_url"].endswith(f"/{administrator.organization.public_id}")  # type: ignore[union-attr]
    assert AuditEvent.objects.filter(action="set the webhooks of").count() == 2


def test_a_provider_whose_webhooks_are_set_by_hand_has_no_such_page(portal: Client, administrator: User) -> None:
    account = account_of(administrator, "twilio")
    page = portal.get(reverse("admin:extensions_set_webhooks", args=[account.public_id]), follow=True)

    assert "Twilio does not offer this through its API." in page.content.decode()
    assert (
        "Set the webhooks"
        not in portal.get(reverse("admin:extensions_account", args=[account.public_id])).content.decode()
    )


@pytest.mark.parametrize("name", ["set_webhooks", "balance"])
def test_nobody_asks_about_an_account_of_another_organisation(administrator: User, name: str) -> None:
    account = account_of(administrator, "sinch")
    stranger = Client()
    stranger.force_login(factories.administrator(factories.organization("Other")))

    assert stranger.post(reverse(f"admin:extensions_{name}", args=[account.public_id])).status_code == 404

"""The demo's judge: it must see what is lost, doubled or sent to nobody, or its last line is worth nothing."""

import json
import os

import pytest

from config.ops import demo_organization, demo_verdict
from config.ops.management.commands import demo
from distributions.engine.references import reference
from distributions.models import Message
from distributions.states import FINAL, Status
from extensions import registry, services
from extensions.forms import AccountForm
from extensions.models import ProviderAccount
from tests import factories, provider_cases
from tests.chaos.judge import call


@pytest.fixture
def distribution(db):
    """Four recipients: delivered, failed at once, skipped, and one more that is delivered."""
    made = factories.distribution(factories.organization(), recipients=4)
    states = (Status.DELIVERED, Status.FAILED, Status.SKIPPED, Status.DELIVERED)
    for message, status in zip(Message.objects.order_by("pk"), states, strict=True):
        Message.objects.filter(pk=message.pk).update(status=status)
    return made


@pytest.fixture
def book(distribution):
    """What the provider has accepted: the two that were delivered."""
    delivered = Message.objects.filter(status=Status.DELIVERED).order_by("pk")
    return [{"reference": reference(message.pk)} for message in delivered]


def test_when_the_books_agree_nothing_is_lost_or_duplicated(distribution, book):
    verdict = demo_verdict.judge(distribution, book)

    assert str(verdict) == "4 recipients, 2 delivered, 1 failed, 1 skipped, 0 lost, 0 duplicated"
    assert verdict.is_clean


def test_a_text_that_the_provider_has_twice_is_duplicated(distribution, book):
    verdict = demo_verdict.judge(distribution, [*book, book[0], book[0]])

    assert verdict.duplicated == 2
    assert not verdict.is_clean


def test_a_delivered_text_that_the_provider_never_had_is_lost(distribution, book):
    verdict = demo_verdict.judge(distribution, book[1:])

    assert verdict.lost == 1
    assert not verdict.is_clean


@pytest.mark.parametrize("status", sorted(set(Status) - FINAL))
def test_a_message_without_an_end_is_lost(distribution, book, status):
    Message.objects.filter(status=Status.FAILED).update(status=status)

    assert demo_verdict.judge(distribution, book).lost == 1


def test_a_recipient_without_a_message_is_lost(distribution, book):
    Message.objects.filter(status=Status.SKIPPED).delete()

    assert demo_verdict.judge(distribution, book).lost == 1


def test_a_text_that_should_never_have_gone_out_is_seen(distribution, book):
    skipped = Message.objects.get(status=Status.SKIPPED)

    verdict = demo_verdict.judge(distribution, [*book, {"reference": reference(skipped.pk)}, {"reference": "nobody's"}])

    assert verdict.unknown == 2
    assert not verdict.is_clean


def test_the_sample_contacts_meet_every_fate_in_its_share(db):
    people = demo_organization._contacts(factories.organization(), 200)

    phones = list(people.contacts.values_list("phone", flat=True))
    assert len(phones) == 200
    assert phones.count("") == demo_organization.SPECIAL[demo_organization.NO_NUMBER]
    assert sum(phone.endswith("9904") for phone in phones) == demo_organization.SPECIAL["9904"]
    assert people.contacts.exclude(opted_out_at=None).count() == demo_organization.SPECIAL[demo_organization.OPTED_OUT]
    assert all(phone.startswith("+1555") for phone in phones if phone)  # no such area code: nobody's number


def test_the_demo_never_touches_a_real_installation(monkeypatch, tmp_path):
    """Whatever this machine's environment and .env say, the demo has its own folder, database, broker and secrets."""
    seen = {}
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "demo")
    monkeypatch.setattr(os, "execve", lambda program, arguments, environment: seen.update(environment))
    monkeypatch.setenv("DATABASE_URL", "postgres://app@production/switchboard")
    monkeypatch.setenv("REDIS_URL", "redis://production")
    monkeypatch.setenv("FERNET_KEYS", "production")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "switchboard.sqlite3").write_text("of the last demo")

    demo.Command()._begin(port=None)

    assert not {"DATABASE_URL", "REDIS_URL", "FERNET_KEYS", "SECRET_KEY"} & seen.keys()
    assert seen["VAR_DIR"] == str(tmp_path / "demo")
    assert seen["ENV_FILE"] == str(tmp_path / "demo" / ".env")
    assert seen["PUBLIC_URL"].startswith("http://127.0.0.1:")
    assert json.loads(seen["PROVIDER_BASE_URLS"]).keys() == {provider.key for provider in registry.all()}
    assert "production" not in (tmp_path / "demo" / ".env").read_text()
    assert not (tmp_path / "demo" / "switchboard.sqlite3").exists()


def test_it_says_which_providers_are_not_simulated():
    first, second = registry.all()[:2]
    known = {provider.key for provider in registry.all()}

    assert demo.who_is_simulated(known).startswith("every provider is simulated: ")
    said = demo.who_is_simulated(known - {first.key, second.key})
    assert said.startswith(f"every provider but {first.name}, {second.name} is simulated: ")


# --- every provider is simulated --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", provider_cases.each(simulated=True))
def test_the_sample_values_of_each_provider_are_an_account_that_works(db, simulator, key):
    """As the page's button fills them in; then its addresses are known there, as if somebody had entered them."""
    clinic, provider = factories.organization(), registry.get(key)
    example = demo_organization.example_accounts(simulator.url)[key]
    form = AccountForm(provider, {"name": "Simulated", **example})
    assert form.is_valid(), form.errors

    account = services.add_account(
        clinic,
        factories.administrator(clinic),
        provider,
        name=form.name,
        sender=form.sender,
        sender_kind=form.sender_kind,
        values=form.values,
    )
    check = services.verify(account, None)
    told = demo_organization.enter_addresses(simulator.url, set())

    assert check.ok is not False, check
    assert told == {account.pk}
    assert demo_organization.enter_addresses(simulator.url, told) == set()
    known = [one for one in call(simulator, "GET", "accounts")["accounts"] if one["provider"] == provider.key]
    assert [clinic.public_id in one["inbound_url"] for one in known] == [True]


def test_credentials_that_no_provider_gives_out_do_not_end_the_demo(db, simulator):
    clinic = factories.organization()
    factories.account(clinic, "twilio", credentials={"account_sid": "tok", "auth_token": ""})
    good = factories.account(clinic, "infobip")

    assert demo_organization.enter_addresses(simulator.url, set()) == set(
        ProviderAccount.objects.values_list("pk", flat=True)
    )
    assert good.pk in demo_organization.enter_addresses(simulator.url, set())

"""Forgetting a person through the API: what the page does, for administrators alone, and nothing is left of them."""

from __future__ import annotations

import json
import logging

import pytest
from django.test import Client
from django.utils import timezone

from contacts.models import Contact, OptOut
from distributions.models import KnownDatabase
from extensions.models import ProviderAccount
from keeping import forgetting
from keeping.models import Forgetting
from organizations import tokens
from organizations.models import AuditEvent
from tests import factories
from tests.tenants import Tenant
from tests.test_applying import apply_all, kept, reply_from
from tests.test_forgetting import NATIONAL, PHONE, TEXT, places_of, plant, talk

ADDRESS = "/API/v3/forgettings"

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic(db):
    return factories.organization(default_region="DE")


@pytest.fixture
def ada(clinic):
    return factories.administrator(clinic)


def ask(user, **body):
    client = Client(headers={"x-api-token": tokens.regenerate(user)})
    return client.post(ADDRESS, json.dumps(body), content_type="application/json")


def result(answer):
    assert answer.status_code == 200, answer.content
    return answer.json()["result"]


def error(answer, status):
    assert answer.status_code == status, answer.content
    return answer.json()["meta"]["error"]["errorMessage"]


def listed(user):
    return result(Client(headers={"x-api-token": tokens.regenerate(user)}).get(ADDRESS))["elements"]


def test_number_and_words_are_in_no_table_and_no_log_afterwards(clinic, ada, caplog, capfd):
    """The acceptance: all columns of all tables walked."""
    caplog.set_level(logging.DEBUG)
    talked = talk(clinic)
    kept(talked.account, reply_from(PHONE, TEXT, message_id="late"), kind="message")
    apply_all()
    assert places_of(TEXT)

    told = result(ask(ada, phone="0151 1234-5678"))

    assert told["state"] == "done"
    assert (told["found"]["contacts"], told["found"]["waitingTexts"]) == (1, 1)
    assert places_of(TEXT, "planted@") == set()
    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == {PHONE}, "entered again, nobody is texted"
    event = AuditEvent.objects.get(action="forgot a person")
    assert event.actor == ada
    shown = caplog.text + "".join(capfd.readouterr())
    assert NATIONAL not in "".join(filter(str.isalnum, shown))
    assert TEXT not in shown


def test_the_number_is_taken_out_of_every_column_with_words_of_every_table():
    tenant = Tenant()
    KnownDatabase.objects.all().delete()  # of another database: it would hold what callbacks lead to
    ada = factories.administrator(tenant.organization)
    assert plant(tenant) > 60
    ProviderAccount.objects.filter(organization=tenant.organization).update(deleted_at=timezone.now())

    assert result(ask(ada, phone=PHONE))["state"] == "done"

    assert places_of() == set()


def test_a_search_changes_nothing_and_says_what_would_go(clinic, ada):
    talk(clinic)
    before = places_of(TEXT)

    told = result(ask(ada, phone=PHONE, searchOnly=True))

    assert told["state"] is None
    assert told["found"]["contacts"] == 1
    assert places_of(TEXT) == before
    assert not Forgetting.objects.exists()


def test_what_takes_longer_than_a_request_is_under_way_and_the_list_says_so(clinic, ada, monkeypatch):
    talk(clinic)
    go_on = forgetting.go_on
    monkeypatch.setattr(forgetting, "go_on", lambda row, until: go_on(row, until=0))

    assert result(ask(ada, phone=PHONE))["state"] == "underWay"
    assert not Contact.objects.filter(phone=PHONE).exists(), "what is found by the number is gone at once"
    [line] = listed(ada)
    assert (line["state"], line["finishedDate"], line["requestedBy"]) == ("underWay", None, ada.public_id)

    monkeypatch.undo()
    forgetting.go_on_with_all(until=float("inf"))
    [line] = listed(ada)
    assert line["state"] == "done"
    assert line["records"] > 0
    assert NATIONAL not in str(line)


def test_asked_twice_is_forgotten_once_and_the_second_finds_nothing(clinic, ada):
    talk(clinic)
    ask(ada, phone=PHONE)

    told = result(ask(ada, phone=PHONE))

    assert told["state"] == "done"
    assert set(told["found"].values()) == {0}
    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == {PHONE}


def test_administrators_alone_may_and_for_their_own_organisation(clinic, ada):
    talk(clinic)
    member = factories.user(clinic, use_sms_distributions="enabled")
    theirs = factories.administrator(factories.organization(default_region="DE"))

    assert "Only administrators" in error(ask(member, phone=PHONE), 403)
    assert result(ask(theirs, phone=PHONE))["found"]["contacts"] == 0

    assert Contact.objects.filter(phone=PHONE).exists()
    assert listed(ada) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "phone:"),
        ({"phone": ""}, "phone:"),
        ({"phone": "nobody"}, "phone:"),
        ({"phone": "0151 1234-5678, 0151 1234-5679"}, "phone:"),
        ({"phone": "1" * 500}, "phone:"),
        ({"phone": PHONE, "searchOnly": "perhaps"}, "searchOnly:"),
        ({"phone": PHONE, "number": "x"}, "number: There is no such field here."),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_forgotten(clinic, ada, body, said):
    assert said in error(ask(ada, **body), 400)
    assert not Forgetting.objects.exists()


def test_a_number_that_the_organisation_sends_from_is_a_conflict(clinic, ada):
    account = factories.account(clinic, sender=PHONE[1:])

    assert account.name in error(ask(ada, phone=PHONE), 409)
    assert not Forgetting.objects.exists()

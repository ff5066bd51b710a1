"""Callbacks that were set aside: administrators see why, operators have them tried again, nobody sees what they say."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from organizations.models import AuditEvent
from tests import factories
from webhooks import applying, quarantine
from webhooks.faults import REASONS
from webhooks.models import Callback

pytestmark = pytest.mark.django_db

PHONE = "+447700900123"
REASON = REASONS[2][1]


@pytest.fixture
def account():
    return factories.account(factories.organization(public_id="ORG42"), "infobip")


@pytest.fixture
def aside(account):
    body = b'{"results": [{"messageId": "in-1", "from": "447700900123", "to": "447700900000", "text": "STOP"}]}'
    return Callback.objects.create(
        account=account, kind="message", method="POST", url="https://x/ORG42", body=body, dedupe_key="a",
        state=Callback.State.UNREADABLE, error=REASON,
    )  # fmt: skip


def portal(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("page", ["/admin/extensions/infobip/", "/admin/extensions/account/{}/"])
def test_an_administrator_sees_the_reason_and_nothing_of_what_was_said(account, aside, page):
    shown = portal(factories.administrator(account.organization)).get(page.format(account.public_id)).content.decode()

    assert "could not be applied" in shown
    assert REASON in shown
    assert "447700900123" not in shown
    assert "STOP" not in shown


def test_another_organizations_administrator_sees_nothing_of_it(aside):
    other = factories.account(factories.organization(), "infobip")

    shown = portal(factories.administrator(other.organization)).get("/admin/extensions/infobip/").content.decode()

    assert "could not be applied" not in shown


def test_an_operator_has_it_tried_again_and_the_organization_can_read_that(account, aside):
    operator = factories.operator()
    page = portal(operator).get("/admin/webhooks/callback/").content.decode()
    assert REASON in page
    assert "447700900123" not in page

    answer = portal(operator).post(
        "/admin/webhooks/callback/", {"action": "try_again", "_selected_action": aside.pk}, follow=True
    )

    assert "1 callback is being tried again." in answer.content.decode()
    aside.refresh_from_db()
    assert (aside.state, aside.tries, aside.error) == (Callback.State.NEW, 0, "")
    event = AuditEvent.objects.get(action=quarantine.TRIED_AGAIN)
    assert (event.organization, event.actor, event.detail) == (account.organization, operator, {"count": 1})
    assert applying.apply_due() == 1
    assert Callback.objects.get().state == Callback.State.APPLIED


def test_what_is_not_set_aside_is_neither_listed_nor_touched(account, aside):
    Callback.objects.update(state=Callback.State.APPLIED, error="")

    page = portal(factories.operator()).get("/admin/webhooks/callback/").content.decode()
    assert "No callbacks are set aside" in page
    assert quarantine.try_again(Callback.objects.all()) == 0
    assert Callback.objects.get().state == Callback.State.APPLIED


def test_the_command_lists_them_and_has_them_tried_again(aside):
    listed, again = StringIO(), StringIO()

    call_command("retry_callbacks", stdout=listed)
    assert "ORG42  infobip  message  1" in listed.getvalue()
    assert Callback.objects.get().state == Callback.State.UNREADABLE
    with pytest.raises(CommandError, match="no organisation"):
        call_command("retry_callbacks", organization="NOBODY")

    call_command("retry_callbacks", organization="ORG42", again=True, stdout=again)
    assert "1 callbacks are being tried again." in again.getvalue()
    assert Callback.objects.get().state == Callback.State.NEW

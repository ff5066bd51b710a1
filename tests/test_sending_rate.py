"""How fast an account sends: a setting of the engine, never above what the provider is known to take of it (R24)."""

from __future__ import annotations

import contextlib
import html

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributions.engine import worker_process
from distributions.engine.pump import Pump
from distributions.planning import review
from extensions import rates
from extensions.models import AccountState
from organizations.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


def text_of(response):
    """What a person reads."""
    return " ".join(html.unescape(strip_tags(response.content.decode())).split())


DOCUMENTED = 10.0  # of a number at the provider of `account`


@pytest.fixture
def site(administrator):
    client = Client()
    client.force_login(administrator)
    return client


def page(account):
    return reverse("admin:extensions_rate", args=[account.public_id])


def rate_of(account):
    return AccountState.objects.get(pk=account.pk).messages_per_second


@pytest.mark.parametrize(
    ("typed", "kept"), [("2.5", 2.5), ("2,5", 2.5), (" 1 ", 1.0), ("10", 10.0), ("0.1", 0.1), ("", None)]
)
def test_a_rate_is_kept_used_and_audited(account, administrator, site, typed, kept):
    AccountState.objects.update(messages_per_second=7)

    answer = site.post(page(account), {"rate": typed}, follow=True)

    assert "segments per second" in text_of(answer)
    assert rate_of(account) == kept
    event = AuditEvent.objects.get(action=rates.PACED)
    assert (event.actor, event.object_id) == (administrator, account.public_id)
    assert float(event.detail["rate"]) == (kept or DOCUMENTED)
    assert review.rate_of(account) == (kept or DOCUMENTED)


@pytest.mark.parametrize(
    "typed", ["10.01", "1e9", "0", "0.05", "-3", "fast", "nan", "inf", "1,2,3", "1.000,5", "٣٠", "\x00"]
)
def test_what_is_no_rate_is_refused_with_what_would_be_right_and_nothing_changes(account, site, typed):
    AccountState.objects.update(messages_per_second=7)

    answer = site.post(page(account), {"rate": typed})

    assert answer.status_code in (400, 422)
    if answer.status_code == 422:
        assert "Enter a number" in text_of(answer)
    assert rate_of(account) == 7
    assert not AuditEvent.objects.filter(action=rates.PACED).exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rate=st.floats())
def test_no_number_whatsoever_sets_a_rate_above_the_documented_one(account, administrator, rate):
    with contextlib.suppress(ValueError):
        rates.set_rate(account, administrator, rate)
    kept = rate_of(account)
    assert kept is None or rates.SLOWEST <= kept <= DOCUMENTED


def test_saving_what_is_set_already_says_nothing_in_the_trail(account, site):
    for _twice in range(2):
        site.post(page(account), {"rate": "3"})

    assert AuditEvent.objects.filter(action=rates.PACED).count() == 1


def test_the_account_page_shows_the_rate_and_what_the_provider_takes_at_present(account, site):
    AccountState.objects.update(messages_per_second=4.5, throttled_rate=2.0)

    shown = text_of(site.get(reverse("admin:extensions_account", args=[account.public_id])))

    assert "at most 4.5 segments per second" in shown
    assert "currently accepts about 2 segments per second" in shown
    assert "currently accepts about 2 segments per second" in text_of(site.get(page(account)))


def test_a_pump_sends_at_the_rate_that_was_set(account, site):
    site.post(page(account), {"rate": "0.5"})

    pump = Pump(account.pk, worker_process.current())
    assert pump.open()
    assert pump.pace.rate == 0.5
    pump.close()


def test_nobody_sets_the_rate_of_another_organisations_account_nor_a_member_of_ones_own(account, member, site):
    other = factories.account(factories.organization())
    assert site.post(page(other), {"rate": "1"}).status_code == 404
    colleague = Client()
    colleague.force_login(member)
    assert colleague.post(page(account), {"rate": "1"}).status_code == 403
    assert site.post(page(factories.account(None)), {"rate": "1"}).status_code == 404, "the installation's own"

    assert set(AccountState.objects.values_list("messages_per_second", flat=True)) == {None}

"""Providers that take many messages in one request: what is wrong with one of them holds up no other."""

from __future__ import annotations

from collections import Counter

import pytest
from django.utils import timezone

from distributions import launching, sending
from distributions.models import Distribution
from distributions.references import reference
from distributions.states import Status
from extensions import registry
from extensions.models import AccountState
from tests import factories
from tests.provider_cases import FOLDER, load
from tests.test_sending import running, simulator

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["running", "simulator"]  # fixtures

RECIPIENTS = 300
INVALID = "9904"  # the last digits of a number that the simulator refuses


def launched(provider, bad):
    """A distribution to many, with an invalid number at each of these places."""
    data = load(FOLDER / f"{provider}.toml")
    form = registry.get(provider).Credentials(data["credentials"])
    assert form.is_valid()
    clinic = factories.organization()
    account = factories.account(clinic, provider, sender=data["sender"], credentials=form.cleaned_data)
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=5000)
    patients = factories.contact_list(clinic, RECIPIENTS, phone="+3538{:07d}")
    for place, contact in enumerate(patients.contacts.order_by("pk")):
        if place in bad:
            patients.contacts.filter(pk=contact.pk).update(phone=f"+35385{place:04d}{INVALID}")
    made = factories.distribution(
        clinic,
        contact_list=patients,
        account=account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while launching.expand(made.pk):
        pass
    return made


def test_a_bad_number_holds_up_no_other_message_of_its_request(simulator):
    """The whole request is refused, with the bad message named: the others go again at once, and once only."""
    made = launched("messagemedia", bad={5, 17, 130, 299})

    runs = 1
    while sending.run(made.account_id):  # the bell is rung anew, at once
        runs += 1

    found = Counter(made.messages.values_list("status", "reason"))
    assert found == {(Status.ACCEPTED, ""): 296, (Status.FAILED, "invalid_recipient"): 4}
    assert len(simulator.ledger) == 296
    assert runs == 2
    state = AccountState.objects.get(pk=made.account_id)
    assert (state.failures, state.open_until, state.stopped_at) == (0, None, None)


def test_a_request_in_which_nothing_is_wrong_is_sent_once(simulator):
    made = launched("link_mobility", bad=set())

    sending.run(made.account_id)

    assert set(made.messages.values_list("status", flat=True)) == {Status.ACCEPTED}
    assert sorted(entry["reference"] for entry in simulator.ledger) == sorted(
        reference(pk) for pk in made.messages.values_list("pk", flat=True)
    )

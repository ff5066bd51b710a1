"""Long replies that come in parts: each text is joined from its own parts, however many others arrive meanwhile."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from distributions.models import InboundMessage, InboundPart
from distributions.replies import inbound
from extensions.contract import InboundSms
from extensions.models import ProviderAccount
from tests import factories

pytestmark = pytest.mark.django_db

PHONE = "+447700900077"
_ids = count(1)


@pytest.fixture
def account():
    return factories.account(factories.organization(), sender="447700900000")


@pytest.fixture
def other():
    """Another organisation's: another account at the provider, which has the same number."""
    clinic = factories.organization()
    own = {**factories.CREDENTIALS["twilio"], "account_sid": "AC" + "b" * 32, "auth_token": "b" * 32}
    made = factories.account(clinic, sender="447700900000", credentials=own)
    assert made.provider_identity != ProviderAccount.objects.exclude(pk=made.pk).get().provider_identity
    return made


def part(account, number, text, *, sender=PHONE, ref="7", total=2, **options):
    sms = InboundSms(
        f"SM{next(_ids)}", sender, f"+{account.sender}", text, concat_ref=ref, concat_part=number, concat_total=total
    )
    return inbound.apply_inbound(account, account.organization, sms, **options)


def texts():
    return sorted(InboundMessage.objects.values_list("organization", "sender", "text"))


def test_parts_of_several_texts_are_not_mixed(account, other):
    """Of another person, of the same person's other text, and of another organisation's account."""
    assert part(account, 1, "a") is None
    assert part(account, 1, "c", sender="+447700900078") is None
    assert part(account, 1, "e", ref="8") is None
    assert part(other, 1, "g") is None
    assert texts() == []

    assert part(account, 2, "b") is not None
    assert texts() == [(account.organization_id, PHONE, "ab")]
    assert InboundPart.objects.count() == 3

    part(account, 2, "d", sender="+447700900078")
    part(account, 2, "f", ref="8")
    part(other, 2, "h")
    assert texts() == sorted(
        [
            (account.organization_id, PHONE, "ab"),
            (account.organization_id, "+447700900078", "cd"),
            (account.organization_id, PHONE, "ef"),
            (other.organization_id, PHONE, "gh"),
        ]
    )
    assert not InboundPart.objects.exists()


def test_parts_of_texts_of_different_lengths_are_not_mixed(account):
    """The provider's number is the same again after 255 texts of all its customers."""
    part(account, 1, "a ", total=3)
    part(account, 2, "lost ", total=3)
    part(account, 2, "b", total=2)
    assert texts() == []
    part(account, 1, "a", total=2)
    assert texts() == [(account.organization_id, PHONE, "ab")]

    InboundPart.objects.update(received_at=timezone.now() - inbound.PARTS_WAIT - timedelta(seconds=5))
    part(account, 1, "late", total=2, received_at=timezone.now() - inbound.PARTS_WAIT - timedelta(seconds=5))
    inbound.join_forgotten_parts()
    assert texts() == sorted((account.organization_id, PHONE, text) for text in ("ab", "a lost ", "late"))


def test_parts_are_joined_in_their_order_and_arrive_with_the_last(account):
    first, last = timezone.now() - timedelta(minutes=3), timezone.now() - timedelta(minutes=1)
    part(account, 3, "c", total=3, received_at=first)
    part(account, 1, "a", total=3, received_at=last)
    part(account, 2, "b", total=3, received_at=first)

    kept = InboundMessage.objects.get()
    assert (kept.text, kept.received_at) == ("abc", last)


def test_a_part_of_long_ago_with_the_same_number_is_another_texts(account):
    """The provider's number is small, and used again."""
    part(account, 1, "old ", received_at=timezone.now() - inbound.PARTS_WAIT - timedelta(seconds=5))
    assert part(account, 2, "b") is None
    assert part(account, 1, "a") is not None

    assert texts() == [(account.organization_id, PHONE, "ab")]


def test_only_what_has_waited_long_enough_is_kept_without_its_missing_parts(account, other):
    late = timezone.now() - inbound.PARTS_WAIT - timedelta(seconds=5)
    part(account, 2, "late", received_at=late)
    part(other, 1, "fresh")

    inbound.join_forgotten_parts()

    assert texts() == [(account.organization_id, PHONE, "late")]
    assert [one.organization_id for one in InboundPart.objects.all()] == [other.organization_id]

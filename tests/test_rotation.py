"""While a secret is being changed, calls signed with the old one and with the new one are both believed.

A changed secret is a new account, since no detail can be edited (R24). The former is deleted, and goes on verifying.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone

from extensions import registry
from extensions.contract import InvalidSignature, WebhookRequest
from extensions.models import ProviderAccount
from tests import factories, provider_cases
from webhooks import inbox
from webhooks.models import Callback, RefusedCallback

pytestmark = pytest.mark.django_db
EXAMPLES = provider_cases.all_data()


@dataclass
class Signed:
    """A provider's genuine delivery report, the credentials that prove it, and the same with another secret."""

    key: str
    call: WebhookRequest
    now: datetime
    right: dict[str, str]
    wrong: dict[str, str]

    def receive(self) -> inbox.Kept:
        return inbox.keep(provider_cases.ORGANIZATION, registry.get(self.key).slug, "status", self.call, now=self.now)


@pytest.fixture(params=provider_cases.each("status"))
def signed(request):
    key, example = request.param, EXAMPLES[request.param]
    cases = (case for case in example["signature"] if case["valid"] and case.get("kind", "status") == "status")
    case = next(cases)
    right = factories.CREDENTIALS[key] | case.get("credentials", {})
    wrong = {
        name: _another(value) if name in registry.get(key).webhook_secrets else value for name, value in right.items()
    }
    call = provider_cases.callback_of(example, case, "status")
    return Signed(key, call, case.get("now", example.get("now", provider_cases.NOW)), right, wrong)


def _another(secret: str) -> str:
    if not secret.startswith("-----BEGIN PUBLIC KEY-----"):
        return secret[1:] + secret[0]
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()


@pytest.fixture
def clinic():
    inbox.forget_accounts()
    yield factories.organization(public_id=provider_cases.ORGANIZATION)
    inbox.forget_accounts()


def delete(account: ProviderAccount, **ago: int) -> None:
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now() - timedelta(**ago))


def test_a_call_signed_with_the_old_secret_is_believed_while_the_deleted_account_verifies(signed, clinic):
    """R26: what is under way when a secret is changed is not lost, and belongs to the account that sent it."""
    old = factories.account(clinic, signed.key, credentials=signed.right)
    factories.account(clinic, signed.key, credentials=signed.wrong)
    delete(old, minutes=1)

    assert signed.receive().account_id == old.pk
    assert Callback.objects.get().account == old


def test_a_call_signed_with_the_new_secret_is_believed_beside_the_old_one(signed, clinic):
    old = factories.account(clinic, signed.key, credentials=signed.wrong)
    new = factories.account(clinic, signed.key, credentials=signed.right)
    delete(old, minutes=1)

    assert signed.receive().account_id == new.pk


def test_an_account_that_waits_in_the_list_verifies_too(signed, clinic):
    """R22: the provider may sign with the new secret before the new account is the first in the list."""
    factories.account(clinic, signed.key, credentials=signed.wrong)
    waiting = factories.account(clinic, signed.key, credentials=signed.right, granted=False, verified=False)

    assert signed.receive().account_id == waiting.pk


def test_the_old_secret_is_refused_once_the_time_is_over(signed, clinic, settings):
    old = factories.account(clinic, signed.key, credentials=signed.right)
    factories.account(clinic, signed.key, credentials=signed.wrong)
    delete(old, days=settings.CALLBACK_GRACE_DAYS, minutes=1)

    with pytest.raises(InvalidSignature):
        signed.receive()

    assert Callback.objects.count() == 0
    assert RefusedCallback.objects.get().count == 1


def test_another_organisations_secret_is_never_believed(signed, clinic):
    factories.account(factories.organization(), signed.key, credentials=signed.right)
    factories.account(clinic, signed.key, credentials=signed.wrong)

    with pytest.raises(InvalidSignature):
        signed.receive()

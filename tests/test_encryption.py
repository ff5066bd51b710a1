"""Stored secrets: ciphertext in the column, readable with our keys only, bound to their organisation, never changed."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.apps import apps
from django.core.exceptions import FieldError, ImproperlyConfigured, PermissionDenied
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import F, Value
from django.utils import timezone

from extensions.fields import EncryptedJSONField, Unreadable
from extensions.models import AccessToken, ProviderAccount
from organizations.encrypted import SealedField
from tests import factories

pytestmark = pytest.mark.django_db
PLANTED = "planted-sandbox-secret-☺"
VALUES = [
    {"token": PLANTED},
    [1, 2, {"x": None}],
    "text",
    "",
    "null",
    '{"looks": "like JSON"}',
    0,
    1.5,
    True,
    False,
    {},
    [],
    {"quotes": "\"'\\", "lines": "a\nb", "nul": "\u0000"},
]


@pytest.fixture
def clinic():
    return factories.organization("City Clinic")


@pytest.fixture
def account(clinic):
    return factories.account(clinic, credentials={"account_sid": "AC1", "auth_token": PLANTED})


@pytest.fixture
def keys(settings):
    """keys("new", "old") sets FERNET_KEYS as after a restart."""
    fields = [AccessToken._meta.get_field("value"), ProviderAccount._meta.get_field("credentials")]
    cached = ("keys", "fernet_keys", "fernet")

    def forget():
        for field in fields:
            for name in cached:
                field.__dict__.pop(name, None)

    def use(*names):
        settings.FERNET_KEYS = list(names)
        forget()

    yield use
    forget()


def raw(table, column, row):
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {column} FROM {table} WHERE {'account_id' if 'token' in table else 'id'} = %s", [row.pk]
        )
        return bytes(cursor.fetchone()[0])


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was(account, value):
    token = AccessToken.objects.create(account=account, value=value)

    token.refresh_from_db()

    assert token.value == value
    assert type(token.value) is type(value)


def test_nothing_stays_nothing(account):
    AccessToken.objects.create(account=account, value=None)

    assert AccessToken.objects.filter(value__isnull=True).get().value is None


def test_the_column_holds_ciphertext_that_differs_each_time(clinic, account):
    twin = factories.account(clinic, credentials={"account_sid": "AC1", "auth_token": PLANTED})

    stored = [raw("extensions_provideraccount", "credentials", row) for row in (account, twin)]

    assert all(value.startswith(b"gAAAAA") for value in stored)
    assert not any(PLANTED.encode() in value or b"auth_token" in value for value in stored)
    assert stored[0] != stored[1]


def test_every_way_of_creating_encrypts(clinic):
    sealed = ProviderAccount.seal(clinic, {"auth_token": PLANTED})
    plain = {
        "organization": clinic,
        "provider": "twilio",
        "sender": "1",
        "sender_kind": "number",
        "credentials": sealed,
    }

    ProviderAccount.objects.bulk_create([ProviderAccount(name=name, **plain) for name in "ab"])
    ProviderAccount.objects.get_or_create(name="c", defaults=plain)

    for account in ProviderAccount.objects.all():
        assert account.secrets() == {"auth_token": PLANTED}
        assert raw("extensions_provideraccount", "credentials", account).startswith(b"gAAAAA")


def test_keys_rotate_without_losing_a_secret(account, keys):
    keys("old key")
    token = AccessToken.objects.create(account=account, value={"token": PLANTED})

    keys("new key", "old key")
    token = AccessToken.objects.get()
    assert token.value == {"token": PLANTED}
    token.save()

    keys("new key")
    assert AccessToken.objects.get().value == {"token": PLANTED}


def test_a_wrong_key_opens_nothing_and_what_it_does_not_open_is_never_written_back(account, keys):
    token = AccessToken.objects.create(account=account, value={"token": PLANTED})
    before = raw("extensions_accesstoken", "value", token)

    keys("another key")
    token = AccessToken.objects.get()

    assert token.value == Unreadable()
    with pytest.raises(FieldError, match="FERNET_KEYS"), transaction.atomic():
        token.save()
    assert raw("extensions_accesstoken", "value", token) == before


def test_a_changed_ciphertext_opens_nothing(account):
    token = AccessToken.objects.create(account=account, value={"token": PLANTED})
    stored = raw("extensions_accesstoken", "value", account)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE extensions_accesstoken SET value = %s", [stored[:-8] + b"AAAAAAA="])

    token.refresh_from_db()
    assert isinstance(token.value, Unreadable)


@pytest.mark.parametrize("lookup", ["exact", "iexact", "contains", "in", "gt", "regex", "startswith"])
def test_a_secret_cannot_be_searched_for(account, lookup):
    with pytest.raises(FieldError):
        list(AccessToken.objects.filter(**{f"value__{lookup}": ["a"] if lookup == "in" else "a"}))


@pytest.mark.parametrize("option", ["unique", "db_index", "primary_key"])
def test_a_secret_cannot_be_indexed(option):
    with pytest.raises(ImproperlyConfigured):
        EncryptedJSONField(**{option: True})


def test_bulk_update_and_expressions_are_refused_and_leave_the_secret_alone(account):
    """The library would store the encryption of the SQL expression, and so destroy the secret without a word."""
    token = AccessToken.objects.create(account=account, value={"token": PLANTED})
    token.value = {"token": "other"}

    with pytest.raises(FieldError, match="encrypted"), transaction.atomic():
        AccessToken.objects.bulk_update([token], ["value"])
    with pytest.raises(FieldError, match="encrypted"), transaction.atomic():
        AccessToken.objects.update(value=F("value"))
    with pytest.raises(FieldError, match="encrypted"), transaction.atomic():
        AccessToken.objects.update(value=Value("x"))

    assert AccessToken.objects.get().value == {"token": PLANTED}


def test_dumpdata_prints_no_secret(account):
    AccessToken.objects.create(account=account, value={"token": PLANTED})
    output = StringIO()

    call_command("dumpdata", "extensions", stdout=output)

    dumped = {entry["model"]: entry["fields"] for entry in json.loads(output.getvalue())}
    assert PLANTED not in output.getvalue()
    assert "AC1" not in output.getvalue()
    assert json.loads(dumped["extensions.provideraccount"]["credentials"]) is None


def test_no_secret_is_in_an_accounts_words(account):
    assert PLANTED not in f"{account} {account!r} {account.open()!r}"


# --- whose credentials they are, and that they stay as they are ------------------------------------------------------


def test_credentials_copied_into_another_organisations_row_open_nothing(account):
    """A Fernet token has no associated data: the organisation is inside, and checked."""
    stranger = factories.account(factories.organization("Other Clinic"))
    stored = raw("extensions_provideraccount", "credentials", account)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE extensions_provideraccount SET credentials = %s WHERE id = %s", [stored, stranger.pk])
    stranger.refresh_from_db()

    with pytest.raises(PermissionDenied):
        stranger.secrets()
    with pytest.raises(PermissionDenied):
        stranger.open()
    assert account.secrets()["auth_token"] == PLANTED


def test_the_installations_own_account_opens_only_as_such(account):
    own = factories.account(None, credentials={"auth_token": PLANTED})
    assert own.secrets() == {"auth_token": PLANTED}

    account.organization = None

    with pytest.raises(PermissionDenied):
        account.secrets()


@pytest.mark.parametrize("field", sorted(ProviderAccount.IMMUTABLE - {"organization_id"}))
def test_no_detail_of_an_account_can_be_changed(account, field):
    """(R24, R25)"""
    old = getattr(ProviderAccount.objects.get(), field)
    new = factories.organization() if field == "organization" else {} if field == "credentials" else "other"
    changed = ProviderAccount.objects.get()
    setattr(changed, field, new)

    with pytest.raises(FieldError):
        changed.save()
    with pytest.raises(FieldError):
        changed.save(update_fields=[field])
    with pytest.raises(FieldError):
        ProviderAccount.objects.filter(pk=account.pk).update(**{field: new})
    with pytest.raises(FieldError), transaction.atomic():
        ProviderAccount.objects.bulk_update([changed], [field])
    with pytest.raises(FieldError), transaction.atomic():
        ProviderAccount.objects.update_or_create(pk=account.pk, defaults={field: new})

    assert getattr(ProviderAccount.objects.get(pk=account.pk), field) == old


def test_what_set_up_finds_out_about_an_account_can_be_written_down(account):
    account.granted_at = timezone.now()
    account.save(update_fields=["granted_at"])
    ProviderAccount.objects.filter(pk=account.pk).update(check_ok=True)

    account.refresh_from_db()
    assert account.granted_at
    assert account.check_ok


def test_every_secret_column_is_of_the_guarded_kind():
    """The library's own fields lack the guard, so none of them may be used directly."""
    homes = ("fernet_fields", "organizations.encrypted")
    kinds = {
        type(field)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.Field) and type(field).__module__.startswith(homes)
    }
    assert kinds == {EncryptedJSONField, SealedField}  # the second is bytes that were sealed before

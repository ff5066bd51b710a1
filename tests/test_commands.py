"""What an operator does on the command line: create an organisation, rotate keys, check translations."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from config.ops.management.commands import check_translations
from extensions.models import AccessToken, EnabledExtension, ProviderAccount
from organizations.models import Organization, User, UserType
from tests import factories, secrets

pytestmark = pytest.mark.django_db


def run(*arguments, **options):
    output = StringIO()
    call_command(*arguments, **options, stdout=output)
    return output.getvalue()


def create(**changes):
    options = {
        "id": "CLINIC",
        "name": "Clinic",
        "admin_email": "Ada@Example.org",
        "extensions": "twilio",
        "region": "GB",
    } | changes
    return run("create_organization", **options)


# --- create_organization ---------------------------------------------------------------------------------------------


def test_an_organization_is_created_ready_to_use():
    """R12, R14, R29, R30."""
    output = create()

    organization = Organization.objects.get(public_id="CLINIC")
    administrator = User.objects.get(email="ada@example.org")
    password = re.search(r"password +(\S+)", output).group(1)
    assert organization.licence.sms
    assert list(EnabledExtension.objects.values_list("organization__public_id", "provider")) == [("CLINIC", "twilio")]
    assert dict(UserType.objects.values_list("name", "use_sms_distributions")) == {
        "Administrator": "enabled",
        "Basic": "inherit",
    }
    assert administrator.is_administrator
    assert administrator.sms_permission().allowed
    assert administrator.check_password(password)


def test_every_new_password_is_another():
    passwords = {
        re.search(r"password +(\S+)", create(id=f"CLINIC{number}", admin_email=f"{number}@example.org")).group(1)
        for number in range(3)
    }

    assert len(passwords) == 3


def test_an_organization_needs_no_id_and_no_extensions():
    output = create(id=None, extensions="")

    organization = Organization.objects.get()
    assert re.fullmatch(r"ORG_\w{10}", organization.public_id)
    assert organization.public_id in output
    assert not EnabledExtension.objects.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": "no spaces"}, "--id no spaces: Use 4 to 32 letters, digits, hyphens or underscores."),
        ({"id": "x" * 33}, "--id"),
        ({"admin_email": "ada"}, "--admin-email ada: Enter an e-mail address"),
        ({"name": ""}, "--name : This is required: fill it in."),
        ({"time_zone": "Berlin"}, "--time-zone Berlin: “Berlin” is not a time zone"),
        ({"region": "Germany"}, "--region Germany: "),
        ({"extensions": "twilio,carrier_pigeon"}, "--extensions: there is no provider “carrier_pigeon”. There are: "),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_created(changes, sentence):
    with pytest.raises(CommandError) as refusal:
        create(**changes)

    assert sentence in str(refusal.value)
    assert not Organization.objects.exists()
    assert not User.objects.exists()


def test_an_id_or_a_log_in_that_is_taken_is_refused():
    create()

    with pytest.raises(CommandError, match="--id CLINIC: This is already taken: Organisation ID"):
        create(admin_email="grace@example.org")
    with pytest.raises(
        CommandError, match=r"--admin-email Ada@Example.org: There is already a user with this e-mail address"
    ):
        create(id="OTHER")
    assert Organization.objects.count() == 1


# --- rotate_keys -----------------------------------------------------------------------------------------------------


@pytest.fixture
def use_keys(settings):
    """Changes FERNET_KEYS as a restart with other keys would: the field keeps them otherwise."""
    fields = [model._meta.get_field(name) for model, name in ((ProviderAccount, "credentials"), (AccessToken, "value"))]

    def forget():
        for field in fields:
            for cached in ("keys", "fernet_keys", "fernet"):
                field.__dict__.pop(cached, None)

    def use(*keys):
        settings.FERNET_KEYS = list(keys)
        forget()

    yield use
    forget()


def stored(model, field):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {field} FROM {model._meta.db_table}")
        return bytes(cursor.fetchone()[0])


@pytest.fixture
def account(use_keys):
    use_keys("old-key-of-the-test")
    account = factories.account(factories.organization())
    AccessToken.objects.create(account=account, value={"token": secrets.PLANTED[0]})
    return account


def test_after_a_rotation_the_old_key_is_not_needed(account, use_keys):
    before = account.secrets()
    written = stored(ProviderAccount, "credentials")

    use_keys("new-key-of-the-test", "old-key-of-the-test")
    output = run("rotate_keys")
    use_keys("new-key-of-the-test")

    assert "extensions.ProviderAccount.credentials: 1 encrypted anew" in output
    assert "extensions.AccessToken.value: 1 encrypted anew" in output
    assert stored(ProviderAccount, "credentials") != written
    assert ProviderAccount.objects.get().secrets() == before
    assert AccessToken.objects.get().value == {"token": secrets.PLANTED[0]}


def test_a_rotation_without_the_old_key_names_the_rows_and_changes_nothing(account, use_keys):
    written = stored(ProviderAccount, "credentials")
    use_keys("new-key-of-the-test")

    with pytest.raises(CommandError, match=rf"opens extensions.ProviderAccount {account.pk}"):
        run("rotate_keys")

    assert stored(ProviderAccount, "credentials") == written


def test_a_token_that_is_not_there_is_left_alone(account, use_keys):
    AccessToken.objects.all().delete()
    AccessToken.objects.create(account=account, value=None)

    assert "extensions.AccessToken.value: 0 encrypted anew" in run("rotate_keys")


# --- translations ----------------------------------------------------------------------------------------------------


CATALOGUE = """\
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

#: a.py:1
msgid "Organisation"
msgstr "Organisation"
"""


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ('msgid "Sender"\nmsgstr ""\n', "'Sender' is not translated"),
        ('#, fuzzy\nmsgid "Sender"\nmsgstr "Absender"\n', "fuzzy"),
        ('#~ msgid "Sender"\n#~ msgstr "Absender"\n', "'Sender' is in the catalogue but not in the product"),
        ('msgid "Hi %(name)s"\nmsgstr "Hallo %(nam)s"\n', "has other placeholders than its translation"),
        ('msgid "Hi %(name)s"\nmsgstr "Hallo"\n', "has other placeholders than its translation"),
        ('msgid "Hi %(name)s"\nmsgstr "Hallo %(name)s"\n', None),
        ('msgid "one"\nmsgid_plural "%d texts"\nmsgstr[0] "ein Text"\nmsgstr[1] "%d Texte"\n', None),
        ('msgid "one"\nmsgid_plural "%d texts"\nmsgstr[0] "ein Text"\nmsgstr[1] ""\n', "'one' is not translated"),
    ],
)
def test_a_gap_in_the_translation_is_found(entry, fault, tmp_path, monkeypatch):
    path = tmp_path / "locale" / "de" / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    path.write_text(f"{CATALOGUE}\n{entry}")
    monkeypatch.setattr(check_translations.translations, "ROOT", tmp_path)
    monkeypatch.setattr(
        check_translations, "collect", lambda copy, language: check_translations.polib.pofile(str(path))
    )

    found = list(check_translations.check(tmp_path, "de"))

    assert len(found) == (1 if fault else 0)
    assert all(fault in message for message in found)


def test_a_language_without_a_catalogue_is_named(tmp_path):
    found = list(check_translations.check(tmp_path, "xx"))

    assert found == ["xx: there is no locale/xx/LC_MESSAGES/django.po"]

"""The secrets by which callbacks are believed: made up by us, guessed by strangers, and ended when they are known."""

import secrets
import string
import time
import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from extensions import registry, services
from extensions.contract import ChosenSecretField, SecretField, WebhookCheck, basic_authorization, basic_credentials
from extensions.models import ProviderAccount
from extensions.strength import weakness
from organizations.models import AuditEvent
from tests import factories, provider_cases
from tests.processes import Web
from webhooks import inbox
from webhooks.guesses import LIMIT, WINDOW
from webhooks.models import Callback

BASIC = [provider.key for provider in registry.all() if provider.webhook_check is WebhookCheck.BASIC]
CHOSEN = [
    (provider.key, name)
    for provider in registry.all()
    for name, field in provider.Credentials.base_fields.items()
    if isinstance(field, ChosenSecretField)
]
GENERATED = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


@pytest.fixture(autouse=True)
def _fresh():
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()


def path_of(account):
    slug = account.provider_class.slug
    return f"/distribution-providers/v1/receive/distribution/status/{slug}/{account.organization.public_id}"


REPORT = '{"results": [{"messageId": "%s", "status": {"groupId": 3, "id": 5}}]}'


def log_in(account):
    """The user and the password of the provider's callbacks."""
    sample = account.open().sample_callback("status", "https://surveys.example.com/", now=timezone.now())
    return basic_credentials(sample).decode().split(":", 1)


def call(account, password=None, *, address="192.0.2.1", body=REPORT % "m-1"):
    """A callback with that password, or with the right one."""
    user, right = log_in(account)
    authorization = basic_authorization(user, right if password is None else password)
    return Client().post(
        path_of(account),
        body,
        content_type="application/json",
        HTTP_AUTHORIZATION=authorization,
        REMOTE_ADDR=address,
    )


def is_believed(response):
    """The log-in was right, whatever was thought of the content."""
    return response.status_code not in (401, 429)


# --- Guesses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", BASIC)
def test_after_twenty_wrong_passwords_nothing_is_compared(clinic, monkeypatch, key):
    account = factories.account(clinic, provider=key)
    compared = []
    verify = account.provider_class.verify
    monkeypatch.setattr(
        account.provider_class, "verify", lambda self, *args, **kw: (compared.append(1), verify(self, *args, **kw))[1]
    )

    said = [call(account, f"guess {number}").status_code for number in range(LIMIT + 15)]

    assert said == [401] * LIMIT + [429] * 15
    assert len(compared) == LIMIT
    refused = call(account, "guess")
    assert 0 < int(refused["Retry-After"]) <= 60
    assert is_believed(call(account, address="192.0.2.2"))


def test_the_right_one_is_a_guess_too_where_it_was_never_right_before(clinic, monkeypatch):
    """Else the twenty would protect nothing. After a minute whoever has it is heard."""
    account = factories.account(clinic, provider="infobip")
    for number in range(LIMIT):
        call(account, f"guess {number}")

    assert call(account).status_code == 429
    later = timezone.now() + WINDOW + timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert is_believed(call(account))


def test_a_provider_is_heard_whatever_strangers_do_behind_its_address(clinic):
    account = factories.account(clinic, provider="infobip")
    assert is_believed(call(account))
    for number in range(LIMIT + 5):
        call(account, f"guess {number}")

    assert all(is_believed(call(account)) for _time in range(5))
    assert call(account, "guess").status_code == 429


def test_right_log_ins_never_count(clinic):
    account = factories.account(clinic, provider="infobip")

    assert all(is_believed(call(account, address=f"192.0.2.{number}")) for number in range(3))
    assert all(is_believed(call(account)) for _time in range(LIMIT * 3))


def test_all_addresses_of_an_ipv6_network_guess_together(clinic):
    account = factories.account(clinic, provider="infobip")
    said = [call(account, f"guess {n}", address=f"2001:db8::{n + 1:x}").status_code for n in range(LIMIT + 1)]

    assert said == [401] * LIMIT + [429]


def test_nothing_sleeps(clinic, monkeypatch):
    account = factories.account(clinic, provider="infobip")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("a request slept"))

    for number in range(LIMIT + 5):
        call(account, f"guess {number}")


# --- What is typed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "password",
        "Password1!",
        "P@ssw0rd123",
        "aaaaaaaaaaaaaaaaaaaa",
        "12345678901234567890",
        "abcdefghijklmnop",
        "passwordpassword",
        "infobip2024",
        "sinchsinch",
        "mypassword99",
        "qwertyuiop",
        "letmein!!",
        "secretsecret",
        "changeme-changeme",
        "Passwort123",
        "kjdhfgkw",
        "webhooksecret",
        "ababababababababab",
    ],
)
@pytest.mark.parametrize(("key", "name"), CHOSEN)
def test_what_is_easy_to_guess_is_not_taken(key, name, typed):
    form = registry.get(key).Credentials({**factories.CREDENTIALS[key], name: typed})

    assert "easy to guess" in str(form.errors[name])


@given(st.text(alphabet=GENERATED, min_size=20, max_size=20).filter(lambda text: len(set(text)) > 8))
def test_what_the_form_generates_is_taken(secret):
    form = registry.get("infobip").Credentials(
        {**factories.CREDENTIALS["infobip"], "webhook_username": secret, "webhook_password": secret}
    )

    assert form.is_valid() or "common word" in str(form.errors)


def test_no_random_secret_is_weak():
    for _time in range(2000):
        for alphabet, length in ((GENERATED, 20), (string.hexdigits, 32), (string.ascii_letters + string.digits, 16)):
            assert weakness("".join(secrets.choice(alphabet) for _place in range(length))) == ""


@pytest.mark.parametrize(
    "typed", ["webhook-secret-for-tests", "correct horse battery staple", "x7Kq92mP", "Größe-und-Maß-88"]
)
def test_an_honest_choice_is_taken(typed):
    assert weakness(typed) == ""


@pytest.mark.parametrize("key", sorted(factories.CREDENTIALS))
def test_what_a_provider_gives_out_is_never_judged(key):
    """What we choose proves its callbacks and is used for nothing else; every other secret is whatever it is."""
    provider, known = registry.get(key), factories.CREDENTIALS[key]
    chosen = {name for other, name in CHOSEN if other == key}
    given = {
        name for name, field in provider.Credentials.base_fields.items() if isinstance(field, SecretField)
    } - chosen

    form = provider.Credentials({**known, **dict.fromkeys(given, "passwordpassword")})
    opened = provider(known, sender=factories.SENDERS[key])
    calls = [opened.build_send(provider_cases.sms_of(opened, {})), opened.build_check()]

    assert "easy to guess" not in str(form.errors)
    assert chosen <= set(provider.webhook_secrets)
    for name in chosen:
        assert not any(known[name] in f"{one.url} {one.auth} {one.headers} {one.json} {one.form}" for one in calls)


def test_an_account_with_an_old_weak_secret_goes_on_working(clinic):
    account = factories.account(
        clinic, provider="infobip", credentials=factories.CREDENTIALS["infobip"] | {"webhook_password": "demo"}
    )

    assert is_believed(call(account))


# --- End at once -----------------------------------------------------------------------------------------------------


@pytest.fixture
def as_ada(clinic):
    client = Client()
    client.force_login(factories.administrator(clinic))
    return client


def test_deleting_goes_on_believing_for_a_while(clinic, as_ada):
    account = factories.account(clinic, provider="infobip")

    as_ada.post(f"/admin/extensions/account/{account.public_id}/delete/")
    inbox.forget_accounts()

    assert is_believed(call(account))


def test_deleting_at_once_ends_the_secrets(clinic, as_ada):
    account = factories.account(clinic, provider="infobip")
    page = as_ada.get(f"/admin/extensions/account/{account.public_id}/delete/").content.decode()
    assert "Revoke its secrets at once" in page
    assert is_believed(call(account))  # and is in this process's memory now

    answer = as_ada.post(f"/admin/extensions/account/{account.public_id}/delete/", {"at_once": "1"}, follow=True)

    assert "has been deleted, and its secrets have been revoked." in answer.content.decode()
    before = Callback.objects.count()
    assert call(account, body=REPORT % "m-2").status_code == 401
    assert Callback.objects.count() == before
    assert AuditEvent.objects.get(action="deleted").detail["secrets"] == "ended at once"


def test_another_account_with_the_same_secrets_is_asked_then(clinic):
    ada = factories.administrator(clinic)
    account, twin = (factories.account(clinic, provider="infobip") for _time in range(2))
    assert is_believed(call(account))
    believed = ProviderAccount.objects.get(pk=Callback.objects.latest("pk").account_id)

    services.delete(believed, ada, at_once=True)

    assert is_believed(call(account, body=REPORT % "m-2"))
    assert Callback.objects.latest("pk").account_id == ({account.pk, twin.pk} - {believed.pk}).pop()


def test_every_web_process_refuses_at_once(start):
    """Both have the account in their memory when it ends."""
    clinic = factories.organization()
    account, ada = factories.account(clinic, provider="infobip"), factories.administrator(clinic)
    user, password = log_in(account)
    webs = [start(Web), start(Web)]

    def post(web, n):
        body = (REPORT % n).encode()
        headers = {"Authorization": basic_authorization(user, password), "Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(web.url + path_of(account), body, headers)) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert [post(web, 1) for web in webs] == [200, 200]
    services.delete(account, ada, at_once=True)

    assert [post(web, 2) for web in webs] == [401, 401]


def test_a_replacement_can_end_the_former_secrets(clinic, as_ada):
    former = factories.account(clinic, provider="infobip")
    values = {**factories.CREDENTIALS["infobip"], "webhook_password": "x7Kq92mPw4Tz8RbVn3Lc"}
    page = as_ada.get(f"/admin/extensions/infobip/add/?replaces={former.public_id}").content.decode()
    assert "Revoke the secrets of the former account as soon as it is replaced" in page

    as_ada.post(
        f"/admin/extensions/infobip/add/?replaces={former.public_id}",
        {**values, "name": "New", "sender": factories.SENDERS["infobip"], "end_former": "on"},
    )

    new = ProviderAccount.objects.get(replaces=former)
    assert new.ends_former
    assert ProviderAccount.objects.verifying().filter(pk=former.pk).exists()  # nothing is interrupted before
    services.take_over(new, factories.administrator(clinic))
    former.refresh_from_db()
    assert former.ended_at is not None
    assert not ProviderAccount.objects.verifying().filter(pk=former.pk).exists()
    assert call(former).status_code == 401

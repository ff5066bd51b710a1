"""The form of an account loses no secret, and puts right what people paste into it (R20, R24, R28)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from extensions import client, entries, kept, registry
from extensions.contract import SecretField, Unclear
from extensions.models import KeptSecret, ProviderAccount
from intake import pasted
from organizations.models import Organization, User
from tests import factories, provider_cases, secrets
from tests.acme import answers

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SID = "AC00000000000000000000000000000001"
FIELDS = {"name": "Main", "account_sid": SID, "auth_token": SECRET, "sender": "15005550006"}
# Those that say how their credentials look, which a provider of one's own need not.
EXAMPLES = {key: data for key, data in provider_cases.all_data().items() if registry.get(key).typical}


@pytest.fixture
def clinic() -> Organization:
    return factories.organization("Clinic", default_region="GB")


@pytest.fixture
def portal(administrator: User) -> Client:
    return logged_in(administrator)


def logged_in(user: User) -> Client:
    portal = Client()
    portal.force_login(user)
    return portal


def form_url(provider: str = "twilio") -> str:
    return reverse("admin:extensions_add_account", args=[provider])


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def add(portal: Client, **changes: str) -> Any:
    return portal.post(form_url(), {**FIELDS, **changes})


def leave(portal: Client, field: str, provider: str = "twilio", **values: str) -> str:
    """What the page is told when somebody leaves `field`."""
    url = reverse("admin:extensions_check_field", args=[provider])
    return text_of(portal.post(url, {**values, "field": field}, headers={"HX-Request": "true"}))


def handle_in(page: str, field: str = "auth_token") -> str:
    found = re.search(rf'name="kept-{field}" value="([^"]+)"', page)
    return found[1] if found else ""


# --- a secret is typed once ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_secret_survives_an_error_a_reload_and_a_second_tab(portal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """R28: it is never in the page, and each tab goes on with what was typed there."""
    monkeypatch.setattr(client, "call", answers(Unclear("HTTP 500")))
    left = leave(portal, "auth_token", auth_token=SECRET)
    reloaded, second_tab = text_of(portal.get(form_url())), text_of(portal.get(form_url()))
    wrong = text_of(add(portal, auth_token="", name="", **{"kept-auth_token": handle_in(reloaded)}))
    other = leave(portal, "auth_token", auth_token="f" * 32)  # in the second tab

    saved = add(portal, auth_token="", **{"kept-auth_token": handle_in(wrong)})

    assert all(SECRET not in page for page in (left, reloaded, second_tab, wrong, other))
    assert len({handle_in(page) for page in (left, reloaded, second_tab, wrong)} - {""}) == 1
    assert handle_in(other) not in ("", handle_in(left))
    assert saved.status_code == 302
    assert ProviderAccount.objects.get().secrets()["auth_token"] == SECRET
    assert not KeptSecret.objects.exists(), "it is cleared where it has been saved"


@pytest.mark.django_db
def test_a_secret_that_the_provider_refused_need_not_be_typed_again(
    portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "call", answers(401))
    add(portal)

    page = text_of(portal.get(form_url(), {"replaces": ProviderAccount.objects.get().public_id}))

    assert handle_in(page)
    assert SECRET not in page
    assert f'value="{SID}"' in page, "everything but secrets is filled in"


@pytest.mark.django_db
def test_what_is_typed_counts_more_than_what_is_kept(portal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "call", answers(Unclear("HTTP 500")))
    handle = handle_in(leave(portal, "auth_token", auth_token=SECRET))

    add(portal, auth_token="e" * 32, **{"kept-auth_token": handle})

    assert ProviderAccount.objects.get().secrets()["auth_token"] == "e" * 32


def _another_user(portal: Client, clinic: Organization) -> Client:
    return logged_in(factories.administrator(clinic))


def _another_organization(portal: Client, clinic: Organization) -> Client:
    return logged_in(factories.administrator(factories.organization("Other")))


def _another_session(portal: Client, clinic: Organization) -> Client:
    return logged_in(User.objects.get(organization=clinic))


def _moved_to_another_user(portal: Client, clinic: Organization) -> Client:
    other = factories.administrator(clinic)
    theirs = logged_in(other)
    theirs.get(form_url())
    KeptSecret.objects.update(session=kept._session(_Request(theirs)))
    return theirs


def _another_field(portal: Client, clinic: Organization) -> Client:
    KeptSecret.objects.update(field="account_sid")
    return portal


def _renamed(portal: Client, clinic: Organization) -> Client:
    row = KeptSecret.objects.get()
    KeptSecret.objects.filter(pk=row.pk).update(field="auth_token")
    row.value = {**row.value, "field": "api_key"}
    row.save(update_fields=["value"])
    return portal


def _tampered(portal: Client, clinic: Organization) -> Client:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM extensions_keptsecret")
        value = bytes(cursor.fetchone()[0])
        cursor.execute("UPDATE extensions_keptsecret SET value = %s", [value[:-8] + b"AAAAAAA="])
    return portal


def _expired(portal: Client, clinic: Organization) -> Client:
    KeptSecret.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    return portal


def _logged_out(portal: Client, clinic: Organization) -> Client:
    portal.post(reverse("admin:logout"))
    assert not KeptSecret.objects.exists()
    return logged_in(User.objects.get(organization=clinic))


class _Request:
    def __init__(self, portal: Client) -> None:
        self.session = portal.session


@pytest.mark.django_db
@pytest.mark.parametrize(
    "turn",
    [
        _another_user,
        _another_organization,
        _another_session,
        _moved_to_another_user,
        _another_field,
        _renamed,
        _tampered,
        _expired,
        _logged_out,
    ],
    ids=lambda turn: turn.__name__.strip("_"),
)
def test_a_kept_secret_opens_for_nothing_else(portal: Client, clinic: Organization, turn: Any) -> None:
    """R28: another person, organisation, session or field, a changed row, and after its time."""
    handle = handle_in(leave(portal, "auth_token", auth_token=SECRET))
    theirs = turn(portal, clinic)

    page = add(theirs, auth_token="", **{"kept-auth_token": handle})

    assert page.status_code == 422
    assert "Please type this once more: it was kept for 15 minutes only." in text_of(page)
    assert not ProviderAccount.objects.exists()


@pytest.mark.django_db
def test_a_kept_secret_opens_in_no_other_providers_form(portal: Client) -> None:
    handle = handle_in(leave(portal, "auth_token", auth_token=SECRET))

    page = portal.post(form_url("vonage"), {"kept-auth_token": handle, "name": "x"})

    assert page.status_code == 422
    assert not handle_in(text_of(page))
    assert not handle_in(text_of(portal.get(form_url("vonage"))))


@pytest.mark.django_db
def test_a_session_in_a_cookie_does_not_grow_with_what_is_kept(
    settings: Any, administrator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "call", answers(Unclear("HTTP 500")))
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    portal = logged_in(administrator)
    portal.get(form_url())
    for number in range(50):
        page = leave(portal, "auth_token", auth_token=f"{number:x}".zfill(4000))

    assert len(portal.cookies[settings.SESSION_COOKIE_NAME].value) < 1000
    assert KeptSecret.objects.count() == kept.MOST, "the oldest went"
    add(portal, auth_token="", **{"kept-auth_token": handle_in(page)})
    assert ProviderAccount.objects.get().secrets()["auth_token"] == f"{49:x}".zfill(4000)


@pytest.mark.django_db
def test_what_is_wrong_is_not_kept(portal: Client) -> None:
    page = leave(portal, "auth_token", account_sid=SID, auth_token=SID)

    assert "This is a SID." in page
    assert not KeptSecret.objects.exists()


@pytest.mark.django_db
def test_what_has_run_out_is_deleted(portal: Client) -> None:
    leave(portal, "auth_token", auth_token=SECRET)
    KeptSecret.objects.update(expires_at=timezone.now())

    assert kept.purge() == 1
    assert not KeptSecret.objects.exists()


@pytest.mark.django_db
def test_a_kept_secret_is_not_in_the_table_as_it_is(portal: Client) -> None:
    from django.db import connection

    leave(portal, "auth_token", auth_token=secrets.PLANTED[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM extensions_keptsecret")
        row = cursor.fetchone()
    assert row is not None
    assert all(
        secrets.PLANTED[0] not in (bytes(v).decode(errors="replace") if isinstance(v, bytes | memoryview) else str(v))
        for v in row
    )


# --- what is typed is put right --------------------------------------------------------------------------------------

INVISIBLE = "\u200b\ufeff\u00ad\u202a"


def _ways(value: str, label: str) -> list[str]:
    """How people paste one value."""
    return [
        f"  {value}\t",
        f"\u00a0{INVISIBLE}{value}{INVISIBLE}",
        f'"{value}"',
        f"“{value}”",
        f"`{value}`",
        f"{label}: {value}",
        f"{label}={value}",
        f'  "{label}": "{value}",',
        f"export ACME_{label.upper().replace(' ', '_')}='{value}';",
        f"{label}\t{value}",
        f"{label}\n{value}\n",
        f"{label} {value}",
    ]


def _fields_that_are_pasted() -> list[tuple[str, str]]:
    found = []
    for key, example in EXAMPLES.items():
        for name, field in registry.get(key).Credentials.base_fields.items():
            is_chosen = getattr(field, "verbatim", False) or hasattr(field, "choices") or getattr(field, "generates", 0)
            if name in example["credentials"] and not is_chosen:
                found.append((key, name))
    return found


@pytest.mark.parametrize(("key", "name"), _fields_that_are_pasted())
def test_every_field_of_every_provider_takes_what_people_paste(key: str, name: str) -> None:
    provider, value = registry.get(key), EXAMPLES[key]["credentials"][name].strip()
    label = str(provider.Credentials.base_fields[name].label).split(" (")[0]
    if name == "username" and key == "link_mobility":
        return  # a person's own name: nothing is known of how it looks

    for typed in _ways(value, label):
        entry = entries.read(provider, {name: typed})[name]
        assert entry.value == value, typed


@pytest.mark.parametrize("key", EXAMPLES)
def test_the_sender_of_every_provider_takes_a_number_as_people_write_it(key: str) -> None:
    provider, value = registry.get(key), EXAMPLES[key]["sender"]
    digits = value.lstrip("+")

    for typed in (
        f"+{digits}",
        f"00{digits}",
        f"+{digits[:2]} ({digits[2:5]}) {digits[5:8]}-{digits[8:]}",
        f"+{digits[:2]}/{digits[2:]}",
        "+" + "".join(chr(ord("０") + int(d)) for d in digits),
        "+" + "".join(chr(ord("٠") + int(d)) for d in digits),
        f"\u202a+{digits[:3]}\u00a0{digits[3:]}\u202c",
        f"'{digits}'",
        f"Sender: +{digits}",
        f"tel:+{digits}",
    ):
        entry = entries.read(provider, {"sender": typed})["sender"]
        assert provider.clean_sender(entry.value)[0].lstrip("+") == digits, typed


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (key, name)
        for key in EXAMPLES
        for name, f in registry.get(key).Credentials.base_fields.items()
        if hasattr(f, "patterns")
    ],
)
def test_a_host_is_found_in_an_address(key: str, name: str) -> None:
    provider, host = registry.get(key), EXAMPLES[key]["credentials"][name]

    for typed in (
        f"https://{host}",
        f"https://{host}/",
        f"HTTPS://{host.upper()}/sms/2?x=1",
        f"{host}/",
        f'"https://{host}/"',
    ):
        assert entries.read(provider, {name: typed})[name].value == host, typed


@pytest.mark.parametrize("typed", ["Café Müller", "0353 123", "+0 353 1234567", "AC12", "clinic-42!"])
def test_what_is_not_certain_is_offered_and_not_put_in(typed: str) -> None:
    assert entries.read(registry.get("twilio"), {"sender": typed})["sender"].value == typed


@pytest.mark.parametrize("label", ["Password (API secret)", "Kennwort (API-Geheimnis)"])
def test_a_line_from_a_console_in_english_is_understood_on_a_german_page(label: str) -> None:
    provider = registry.get("messagemedia")
    with translation.override("de"):
        assert str(provider.Credentials.base_fields["password"].label) != "Password (API secret)"
        entry = entries.read(provider, {"password": f'  {label}: "{SECRET}", '})["password"]

    assert entry.value == SECRET


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("Café Müller", "Cafe Muller"),
        ("Straße", "Strasse"),
        ("Łódź", "Lodz"),
        ("Smørrebrød", "Smorrebrod"),
        ("Æther", "AEther"),
        ("Þórður", "Thordur"),
        ("İstanbul", "Istanbul"),
        ("Praxis Dr. Weiß-Öztürk", "Praxis Dr W"),
    ],
)
@pytest.mark.parametrize("key", EXAMPLES)
def test_a_name_keeps_its_letters_in_the_sender_that_is_offered(key: str, name: str, offered: str) -> None:
    from django.core.exceptions import ValidationError

    provider = registry.get(key)
    with pytest.raises(ValidationError) as refused:
        provider.clean_sender(name)

    suggestion = refused.value.error_list[0].params["suggestion"]
    plain = re.sub("[^A-Za-z]", "", pasted.plain_letters(name))
    assert re.sub("[^A-Za-z]", "", suggestion) == plain[: len(re.sub("[^A-Za-z]", "", suggestion))]
    assert 3 <= len(suggestion) <= 11
    assert provider.clean_sender(suggestion)[0] == suggestion
    if key == "twilio":
        assert suggestion == offered


@given(st.text(max_size=60))
def test_reading_is_done_once(text: str) -> None:
    """What counts is read as itself, whatever was typed; and a name's plain letters are plain."""
    for name in ("account_sid", "auth_token", "sender"):
        value = entries.read(registry.get("twilio"), {name: text})[name].value
        assert entries.read(registry.get("twilio"), {name: value})[name].value == value
    assert pasted.plain_letters(pasted.plain_letters(text)) == pasted.plain_letters(text)


@given(st.text(max_size=40))
def test_a_secret_that_a_person_has_chosen_stays_as_it_is(text: str) -> None:
    visible = pasted.seen(text)
    assert entries.read(registry.get("link_mobility"), {"password": visible})["password"].value == visible


@pytest.mark.django_db
def test_what_was_put_right_is_said_and_saved(portal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without JavaScript too: the submit does what leaving a field does."""
    monkeypatch.setattr(client, "call", answers(Unclear("HTTP 500")))
    said = leave(portal, "account_sid", account_sid=f"Account SID: {SID.lower()}")
    quoted = leave(portal, "auth_token", auth_token=f'"{SECRET}"')

    response = add(portal, account_sid=f" '{SID}' ", auth_token=f"Auth Token: {SECRET}", sender="+1 (500) 555-0006")

    assert f'data-put-right="{SID}"' in said
    assert "Kept without what was around it" in quoted
    assert SECRET not in quoted
    account = ProviderAccount.objects.get()
    assert (account.sender, account.secrets()) == ("15005550006", {"account_sid": SID, "auth_token": SECRET})
    shown = text_of(portal.get(response.url))
    assert "kept as 15005550006" in shown
    assert SECRET not in shown


# --- two values in each other's field --------------------------------------------------------------------------------


def _pairs_that_can_be_told() -> list[tuple[str, str, str]]:
    """Every two fields of a provider that say how they look, unless they look alike."""
    found = []
    for key, example in EXAMPLES.items():
        typical, values = registry.get(key).typical, example["credentials"]
        names = [name for name in typical if name in values]
        for place, here in enumerate(names):
            for there in names[place + 1 :]:
                if not re.fullmatch(typical[here], values[there]) and not re.fullmatch(typical[there], values[here]):
                    found.append((key, here, there))
    return found


@pytest.mark.parametrize(("key", "here", "there"), _pairs_that_can_be_told())
def test_values_in_each_others_field_are_recognised(key: str, here: str, there: str) -> None:
    values = {**EXAMPLES[key]["credentials"], "sender": EXAMPLES[key]["sender"]}
    swapped = {**values, here: values[there], there: values[here]}

    assert entries.misplaced(registry.get(key), values) == []
    pairs = entries.misplaced(registry.get(key), swapped)
    assert [set(pair) for pair in pairs] == [{here, there}]
    assert {k: v.strip() for k, v in entries.exchanged(registry.get(key), swapped, pairs).items()} == {
        k: v.strip() for k, v in values.items()
    }


@pytest.mark.parametrize("key", EXAMPLES)
def test_every_provider_can_tell_something_that_is_misplaced(key: str) -> None:
    assert any(found[0] == key for found in _pairs_that_can_be_told())


@pytest.mark.django_db
@pytest.mark.parametrize("button", ["", "swap"])
def test_misplaced_values_are_exchanged_before_anything_is_saved(
    portal: Client, monkeypatch: pytest.MonkeyPatch, button: str
) -> None:
    """The secret that was typed into a field that is shown does not come back in the page (R28)."""
    monkeypatch.setattr(client, "call", answers(Unclear("HTTP 500")))
    said = leave(portal, "auth_token", account_sid=SECRET, auth_token=SID)
    page = add(portal, account_sid=SECRET, auth_token=SID, **({button: "1"} if button else {}))
    shown = text_of(page)
    assert "seem to be in each other’s field" in said
    assert "They have been exchanged." in shown
    assert SECRET not in shown
    assert f'value="{SID}"' in shown
    assert not ProviderAccount.objects.exists()

    add(portal, auth_token="", **{"kept-auth_token": handle_in(shown)})

    assert ProviderAccount.objects.get().secrets() == {"account_sid": SID, "auth_token": SECRET}


@pytest.mark.django_db
def test_whoever_means_it_keeps_it_as_it_was_typed(portal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "call", answers(Unclear("HTTP 500")))
    typed = {"signing_key": "s" * 25, "access_token": "t" * 32, "name": "Main", "sender": "13531234567"}
    page = text_of(portal.post(form_url("messagebird"), typed))
    assert "They have been exchanged." in page
    found = re.search(r'name="as_typed" value="([^"]+)"', page)
    assert found is not None
    handles = {f"kept-{name}": handle_in(page, name) for name in ("signing_key", "access_token")}

    portal.post(
        form_url("messagebird"), {**typed, "signing_key": "", "access_token": "", **handles, "as_typed": found[1]}
    )

    stored = ProviderAccount.objects.get().secrets()
    assert (stored["signing_key"], stored["access_token"]) == ("s" * 25, "t" * 32)


@pytest.mark.django_db
def test_a_secret_in_a_field_that_is_shown_does_not_come_back(portal: Client) -> None:
    shown = text_of(add(portal, account_sid=SECRET, auth_token="f" * 32))

    assert SECRET not in shown
    assert "This looks like the value for “Auth Token”. Enter it there." in shown


def test_every_secret_says_whether_a_person_has_chosen_it() -> None:
    for key in EXAMPLES:
        for name, field in registry.get(key).Credentials.base_fields.items():
            if isinstance(field, SecretField):
                assert field.verbatim is bool(
                    getattr(field, "generates", 0) or (key, name) == ("link_mobility", "password")
                )


@pytest.mark.django_db
@pytest.mark.parametrize("key", [provider.key for provider in registry.all()])
def test_no_browser_fills_in_or_changes_what_is_typed_into_a_providers_form(key: str, portal: Client) -> None:
    """A password manager offers the administrator's own log-in, a phone's keyboard begins with a capital."""
    page = portal.get(form_url(key)).content.decode()
    form = page[page.index('id="account-form"') :]
    form = form[: form.index("</form>")]
    typed = [tag for tag in re.findall(r"<(?:input|textarea)[^>]*>", form) if not re.search('"(hidden|checkbox)"', tag)]

    assert len(typed) >= 3
    for tag in typed:
        name = re.search(r'name="(\w+)"', tag)
        assert name is not None, tag
        wanted = "new-password" if 'type="password"' in tag else "off"
        assert f'autocomplete="{wanted}"' in tag, tag
        if name[1] != "name":
            assert 'autocapitalize="none"' in tag, tag
            assert 'spellcheck="false"' in tag, tag

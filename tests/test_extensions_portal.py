"""Admin → Extensions: who sees it, what it says, and what it takes (R3–R34, R51–R54, R71, R93, R96)."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from extensions import catalogue, client, registry, routing, services, traffic
from extensions.contract import Category, Delivery, DeliveryReport, NotTaken, Refused, Unclear
from extensions.models import AccountState, EnabledExtension, ProviderAccount, TestMessage, WorkerSlot
from organizations.models import AuditEvent, Licence, Organization, User
from tests import factories, secrets
from tests.acme import Acme, Plain, answers

pytestmark = pytest.mark.django_db
SECRET = secrets.PLANTED[1]
FIELDS = {"name": "Main", "account": "AC123456", "api_key": SECRET, "region": "eu", "sender": "13531234567"}


@pytest.fixture(autouse=True)
def _two_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_providers", lambda: {"acme": Acme, "plain": Plain})
    monkeypatch.setattr(traffic, "_sources", [])


@pytest.fixture
def clinic() -> Organization:
    return factories.organization("Clinic", support_contact="Ada Lovelace, ada@example.org", default_region="GB")


@pytest.fixture
def portal(administrator: User) -> Client:
    return logged_in(administrator)


def logged_in(user: User) -> Client:
    portal = Client(enforce_csrf_checks=False)
    portal.force_login(user)
    return portal


def account_of(clinic: Organization, **fields: Any) -> ProviderAccount:
    fields.setdefault("credentials", {"account": "AC123456", "api_key": SECRET, "region": "eu"})
    return factories.account(clinic, fields.pop("provider", "acme"), **fields)


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:extensions_{name}", args=args)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def add(portal: Client, provider: str = "acme", **changes: str) -> Any:
    return portal.post(url("add_account", provider), {**FIELDS, **changes})


# --- the demonstration -----------------------------------------------------------------------------------------------

EXAMPLE = {"account": "AC123456", "api_key": "sandbox-key</script>", "sender": "13531234567"}


@pytest.mark.parametrize(
    ("simulated", "known", "offered"),
    [("acme", "acme", True), ("acme", "plain", False), ("plain", "acme", False), (None, "acme", False)],
)
def test_sample_values_are_offered_only_where_the_provider_is_simulated(
    portal: Client, settings: Any, simulated: str | None, known: str, offered: bool
) -> None:
    settings.PROVIDER_BASE_URLS = {simulated: "http://127.0.0.1:9"} if simulated else {}
    settings.EXAMPLE_ACCOUNTS = {known: EXAMPLE}

    page = text_of(portal.get(url("add_account", "acme")))

    assert ("Fill in sample values" in page) is offered
    assert ("sandbox-key" in page) is offered
    assert "sandbox-key</script>" not in page


@pytest.mark.parametrize("simulated", [True, False])
def test_every_page_says_when_no_text_reaches_a_phone(portal: Client, settings: Any, simulated: bool) -> None:
    settings.PROVIDER_BASE_URLS = {"acme": "http://127.0.0.1:9"} if simulated else {}

    for path in ("/admin/", url("add_account", "acme"), "/admin/contacts/contactlist/"):
        assert ("Demonstration: the providers are simulated." in text_of(portal.get(path))) is simulated, path


# --- who comes in ----------------------------------------------------------------------------------------------------


def every_page(account: ProviderAccount) -> list[tuple[str, str]]:
    one = account.public_id
    return [
        ("get", url("catalogue")),
        ("get", url("extension", "acme")),
        ("get", url("add_account", "acme")),
        ("post", url("add_account", "acme")),
        ("post", url("sender", "acme")),
        ("get", url("account", one)),
        ("post", url("verify", one)),
        ("post", url("grant", one)),
        ("post", url("test", one)),
        ("post", url("webhooks", one)),
        ("get", url("replace", one)),
        ("get", url("take_over", one)),
        ("post", url("take_over", one)),
        ("get", url("withdraw", one)),
        ("post", url("withdraw", one)),
        ("post", url("top", one)),
        ("get", url("delete", one)),
        ("post", url("delete", one)),
    ]


def test_a_member_is_refused_every_page_and_sees_no_menu_entry(clinic: Organization) -> None:
    """R11."""
    account = account_of(clinic)
    portal = logged_in(factories.user(clinic))

    for method, address in every_page(account):
        assert getattr(portal, method)(address).status_code == 403, address
    assert "/admin/extensions/" not in text_of(portal.get("/admin/"))


def test_an_administrator_finds_the_page_in_the_menu(portal: Client) -> None:
    """R17."""
    assert 'href="/admin/extensions/"' in text_of(portal.get("/admin/"))


def test_an_operator_of_the_platform_sets_up_nobodys_account(clinic: Organization) -> None:
    account = account_of(clinic)
    portal = logged_in(factories.operator())

    for method, address in every_page(account):
        assert getattr(portal, method)(address).status_code == 403, address


def test_somebody_who_is_not_logged_in_is_sent_to_the_login_page(clinic: Organization) -> None:
    for method, address in every_page(account_of(clinic)):
        response = getattr(Client(), method)(address)
        assert response.status_code == 302
        assert response.url.startswith("/admin/login/")


def test_without_the_add_on_every_page_says_whom_to_ask(clinic: Organization, portal: Client) -> None:
    """R12, R13."""
    account = account_of(clinic, granted=False)
    Licence.objects.filter(organization=clinic).update(sms=False)

    for method, address in every_page(account):
        response = getattr(portal, method)(address, FIELDS)
        assert response.status_code == 403, address
        assert "SMS is an add-on" in text_of(response)
        assert "Ada Lovelace, ada@example.org" in text_of(response)
    assert ProviderAccount.objects.alive().filter(granted_at=None).count() == 1


def test_another_organisations_account_does_not_exist(portal: Client) -> None:
    account = account_of(factories.organization("Elsewhere"), granted=False)

    for method, address in every_page(account):
        if account.public_id in address:
            assert getattr(portal, method)(address, FIELDS).status_code == 404, address
    response = portal.get(url("add_account", "acme") + f"?replaces={account.public_id}")
    assert response.status_code == 404
    account.refresh_from_db()
    assert account.granted_at is None
    assert account.deleted_at is None


def test_a_deleted_account_has_no_page(clinic: Organization, portal: Client) -> None:
    account = account_of(clinic, deleted_at=timezone.now())

    assert portal.get(url("account", account.public_id)).status_code == 404


def test_an_unknown_provider_is_not_found(portal: Client) -> None:
    assert portal.get("/admin/extensions/nobody/").status_code == 404
    assert portal.get("/admin/extensions/nobody/add/").status_code == 404


# --- catalogue -------------------------------------------------------------------------------------------------------


def test_the_catalogue_is_neutral_and_says_that_coverage_varies(portal: Client) -> None:
    """R3, R4, R16."""
    shown = text_of(portal.get(url("catalogue")))

    assert shown.index("Acme SMS") < shown.index("Plain Text")
    assert "2 extensions, in alphabetical order" in shown
    assert "Coverage and functions vary by region and country" in shown
    assert "we do not recommend one over another" in shown
    assert "To have your preferred provider added, ask Ada Lovelace, ada@example.org." in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("acme", 1),
        ("ACME sms", 1),
        ("roadrunner", 1),
        ("japan", 1),
        ("  plain ", 1),
        ("zz", 0),
        ("", 2),
        ("acme plain", 0),
    ],
)
def test_the_search_finds_names_and_keywords(portal: Client, query: str, found: int) -> None:
    """R18."""
    response = portal.get(url("catalogue"), {"q": query})

    assert len(response.context["cards"]) == found


def test_the_search_answers_htmx_with_the_cards_alone(portal: Client) -> None:
    response = portal.get(
        url("catalogue"), {"q": "<zz>"}, headers={"HX-Request": "true", "HX-Target": "extension-cards"}
    )

    assert "<html" not in text_of(response)
    assert "No extension matches “&lt;zz&gt;”." in text_of(response)
    assert "Ada Lovelace" in text_of(response)


def test_badges_tell_what_a_provider_can_do(portal: Client) -> None:
    acme, plain = portal.get(url("catalogue")).context["cards"]

    assert [badge.text for badge in acme.badges] == [
        "Two-way",
        "Alphanumeric sender",
        "Delivery reports",
        "Batches of 100",
        "Webhooks signed",
    ]
    assert [badge.text for badge in plain.badges] == ["Webhooks with secret address"]


def test_a_card_says_where_the_organisation_stands(clinic: Organization, portal: Client) -> None:
    """R14, R21."""

    def state() -> tuple[str, str]:
        card = portal.get(url("catalogue"), {"q": "acme"}).context["cards"][0]
        return card.state.text, card.detail

    assert state() == ("No account", "")
    account = account_of(clinic, granted=False, verified=False, name="Main")
    assert state()[0] == "Set-up unfinished"
    assert "verify the credentials" in state()[1]
    ProviderAccount.objects.filter(pk=account.pk).update(check_ok=True)
    assert "grant access to all users" in state()[1]
    other = account_of(clinic, provider="plain", name="Other", listed_at=timezone.now() - timedelta(days=1))
    ProviderAccount.objects.filter(pk=account.pk).update(granted_at=timezone.now())
    assert state()[0] == "Waiting"
    assert "“Other” comes before it" in state()[1]
    ProviderAccount.objects.filter(pk=other.pk).update(deleted_at=timezone.now())
    assert state()[0] == "In use"
    EnabledExtension.objects.filter(organization=clinic, provider="acme").delete()
    assert state()[0] == "Not enabled"


def test_an_extension_that_is_not_enabled_says_whom_to_ask_and_takes_no_account(
    clinic: Organization, portal: Client
) -> None:
    """R14."""
    EnabledExtension.objects.filter(organization=clinic, provider="acme").delete()

    shown = text_of(portal.get(url("extension", "acme")))

    assert "To have it enabled, ask Ada Lovelace" in shown
    assert url("add_account", "acme") not in shown
    assert portal.get(url("add_account", "acme")).status_code == 403
    assert add(portal).status_code == 403
    assert not ProviderAccount.objects.exists()


# --- extension -------------------------------------------------------------------------------------------------------


def test_the_addresses_are_shown_before_an_account_exists(clinic: Organization, portal: Client) -> None:
    """R71, R93, R96."""
    shown = text_of(portal.get(url("extension", "acme")))

    base = f"{settings.PUBLIC_URL}/distribution-providers/v1/receive/distribution"
    for kind in ("status", "message"):
        address = f"{base}/{kind}/acme-sms/{clinic.public_id}"
        assert f'data-copy="{address}"' in shown
        assert f'<code class="ext-address">{address}</code>' in shown  # filled into the steps
    assert f'<span class="sb-code">{clinic.public_id}</span>' in shown
    assert f'<span class="sb-code">{settings.DATACENTER_ID}</span>' in shown
    assert "Add account" in shown  # R19


def test_every_page_of_an_account_carries_the_note_on_cost(clinic: Organization, portal: Client) -> None:
    """R5, R6."""
    account = account_of(clinic)

    for address in (url("extension", "acme"), url("add_account", "acme"), url("account", account.public_id)):
        shown = text_of(portal.get(address))
        assert "zero cost" in shown
        assert "Ask your provider for prices" in shown


def test_accounts_are_listed_in_order_with_the_one_in_use_marked(clinic: Organization, portal: Client) -> None:
    """R21, R22."""
    account_of(clinic, name="First", granted=False)
    account_of(clinic, name="Second")
    account_of(clinic, name="Third")

    places = portal.get(url("extension", "acme")).context["places"]

    assert [(place.account.name, place.standing.value) for place in places] == [
        ("First", "unfinished"),
        ("Second", "in_use"),
        ("Third", "waiting"),
    ]
    assert "“Second” comes before it in the list" in places[2].reason


# --- add an account --------------------------------------------------------------------------------------------------


def test_an_account_is_added_with_the_rows_the_send_engine_needs(
    clinic: Organization, administrator: User, portal: Client
) -> None:
    """R19, R20, R27, R34."""
    response = add(portal, name="  Surveys, Dept. 7 ✉ ")

    account = ProviderAccount.objects.get()
    assert response.url == url("account", account.public_id)
    assert account.name == "Surveys, Dept. 7 ✉"
    assert (account.provider, account.sender, account.sender_kind) == ("acme", "13531234567", "number")
    assert account.secrets() == {"account": "AC123456", "api_key": SECRET, "region": "eu"}
    assert account.created_by == administrator
    assert account.granted_at is None
    assert AccountState.objects.get().account == account
    assert sorted(WorkerSlot.objects.values_list("number", flat=True)) == [0, 1]
    event = AuditEvent.objects.get(action="added")
    assert (event.action, event.object_id, event.actor) == ("added", account.public_id, administrator)
    assert routing.account_in_use(clinic) is None


def test_all_errors_come_at_once_and_each_offers_what_is_right(portal: Client) -> None:
    response = add(portal, name="", account="12", api_key="", region="mars", sender="+0353123456")

    shown = text_of(response)
    assert response.status_code == 422
    assert "Nothing has been saved: 5 fields need your attention." in shown
    assert "An account number is AC and six digits, for example AC123456." in shown
    assert "Leave out the + or 00: 353123456." in shown
    assert len(re.findall('class="sb-error"', shown)) == 5
    assert not ProviderAccount.objects.exists()


def test_after_an_error_a_secret_is_kept_and_not_sent_back(portal: Client) -> None:
    """R28."""
    shown = text_of(add(portal, account="12"))

    assert SECRET not in shown
    assert "Kept: you need not type it again." in shown
    assert 'value="Main"' in shown  # what is no secret stays


def test_a_word_as_sender_is_saved_only_with_the_warning_confirmed(portal: Client) -> None:
    """R51, R52, R53."""
    refused = text_of(add(portal, sender="Clinic"))
    assert not ProviderAccount.objects.exists()
    assert "Tick this box to confirm" in refused
    assert "put a way to opt out into the survey itself" in refused
    assert "does not work inside a survey" in refused

    add(portal, sender="Clinic", confirm_one_way="on")

    account = ProviderAccount.objects.get()
    assert account.sender_kind == "alphanumeric"
    assert "Nobody can reply to this sender" in text_of(portal.get(url("account", account.public_id)))


@pytest.mark.parametrize(
    ("sender", "said", "unsaid"),
    [
        ("13531234567", "is a phone number", "confirm_one_way"),
        ("Clinic", "confirm_one_way", "Stop words reach us"),
        ("+1353", "Leave out the +", "Two-way"),
        ("", "", "ext-preview"),
    ],
)
def test_the_consequences_of_a_sender_are_shown_before_it_is_saved(
    portal: Client, sender: str, said: str, unsaid: str
) -> None:
    shown = text_of(portal.post(url("sender", "acme"), {"sender": sender}))

    assert said in shown
    assert unsaid not in shown


def test_the_preview_posts_the_sender_and_never_a_secret(portal: Client) -> None:
    field = re.search(r"<input[^>]*name=\"sender\"[^>]*>", text_of(portal.get(url("add_account", "acme"))))

    assert field is not None
    assert 'hx-params="sender"' in field[0]


def test_a_typed_secret_is_found_nowhere_afterwards(
    portal: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R28."""
    monkeypatch.setattr(client, "call", answers(401, Unclear("HTTP 500"), 200, 202))
    with caplog.at_level(logging.DEBUG):
        pages = [add(portal, account="12"), add(portal)]
        account = ProviderAccount.objects.get()
        for step in ("verify", "verify", "verify", "grant", "test"):
            pages.append(portal.post(url(step, account.public_id), {"to": "+447700900123"}))
            pages.append(portal.get(url("account", account.public_id)))
        pages += [
            portal.get(url("replace", account.public_id), follow=True),
            portal.get(url("extension", "acme")),
            portal.get(url("catalogue")),
            portal.get(url("delete", account.public_id)),
            portal.get(reverse("admin:organizations_auditevent_changelist")),
        ]

    assert all(SECRET not in page.content.decode() for page in pages)
    assert SECRET not in caplog.text
    assert "447700900123" not in caplog.text
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert SECRET not in str(cursor.fetchall()), table


# --- nothing is editable ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_crafted_change_is_refused_and_changes_nothing(clinic: Organization, portal: Client, method: str) -> None:
    """R24, R25."""
    account = account_of(clinic, name="Main", granted=False)
    before = ProviderAccount.objects.filter(pk=account.pk).values().get()
    row = f"/admin/extensions/provideraccount/{account.pk}"

    for address in (
        url("account", account.public_id),
        f"{row}/change/",
        f"{row}/delete/",
        f"{row}/history/",
        "/admin/extensions/provideraccount/",
        "/admin/extensions/provideraccount/add/",
    ):
        assert getattr(portal, method)(address, FIELDS).status_code == 405, address
    assert ProviderAccount.objects.filter(pk=account.pk).values().get() == before
    assert ProviderAccount.objects.count() == 1


def test_the_admins_own_addresses_lead_to_the_pages(clinic: Organization, portal: Client) -> None:
    account = account_of(clinic)

    one = portal.get(reverse("admin:extensions_provideraccount_change", args=[account.pk]))
    all_of_them = portal.get(reverse("admin:extensions_provideraccount_changelist"))

    assert one.url == url("account", account.public_id)
    assert all_of_them.url == url("catalogue")
    foreign = account_of(factories.organization())
    assert portal.get(reverse("admin:extensions_provideraccount_change", args=[foreign.pk])).status_code == 404


def test_a_form_posted_to_an_accounts_page_edits_nothing_through_its_buttons(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R25: extra fields in a permitted POST are ignored."""
    monkeypatch.setattr(client, "call", answers(200))
    account = account_of(clinic, name="Main", granted=False)

    for step in ("verify", "grant"):
        portal.post(url(step, account.public_id), {**FIELDS, "name": "Other", "sender": "999", "organization": "1"})

    after = ProviderAccount.objects.get()
    assert (after.name, after.sender, after.secrets()["api_key"]) == ("Main", account.sender, SECRET)


def test_the_queryset_refuses_to_change_an_account(clinic: Organization) -> None:
    """R24: not even by a slip in our own code."""
    account_of(clinic)

    with pytest.raises(FieldError):
        ProviderAccount.objects.update(sender="1")


# --- verify, grant, test ---------------------------------------------------------------------------------------------


def steps_of(portal: Client, account: ProviderAccount) -> dict[str, Any]:
    return {step.key: step for step in portal.get(url("account", account.public_id)).context["steps"]}


def test_verifying_shows_the_providers_own_words(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "call", answers(401, 200))
    account = account_of(clinic, granted=False, verified=False)
    assert steps_of(portal, account)["verify"].mark.value == "open"

    refused = portal.post(url("verify", account.public_id), headers={"HX-Target": "check-list"})

    assert "Acme says: “Key unknown” (401)." in text_of(refused)
    assert "<html" not in text_of(refused)
    assert steps_of(portal, account)["verify"].mark.value == "failed"
    portal.post(url("verify", account.public_id))
    assert steps_of(portal, account)["verify"].mark.value == "done"
    assert [event.detail["result"] for event in AuditEvent.objects.filter(action="verified").order_by("id")] == [
        "refused",
        "good",
    ]


@pytest.mark.parametrize(
    ("answer", "ok", "said"),
    [
        (NotTaken("api.acme.example: the name cannot be resolved"), None, "the name cannot be resolved"),
        (Unclear("HTTP 500"), None, "HTTP 500"),
        (Refused(Category.AUTH_FAILED, "20003: Authenticate"), False, "20003: Authenticate"),
    ],
)
def test_a_check_that_fails_says_why_and_blames_only_what_it_knows(
    clinic: Organization,
    portal: Client,
    monkeypatch: pytest.MonkeyPatch,
    answer: Exception,
    ok: bool | None,
    said: str,
) -> None:
    monkeypatch.setattr(client, "call", answers(answer))
    account = account_of(clinic, verified=False)

    response = portal.post(url("verify", account.public_id), follow=True)

    account.refresh_from_db()
    assert account.check_ok is ok
    assert said in text_of(response)


def test_verifying_lets_a_stopped_account_send_again(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "call", answers(200))
    account = account_of(clinic)
    AccountState.objects.update(stopped_at=timezone.now(), stopped_reason="20003: Authenticate")
    assert "20003: Authenticate" in text_of(portal.get(url("account", account.public_id)))

    portal.post(url("verify", account.public_id))

    assert AccountState.objects.get().stopped_at is None


def test_granting_access_is_the_last_step_and_puts_the_account_in_use(
    clinic: Organization, administrator: User, portal: Client
) -> None:
    """R29, R34."""
    account = account_of(clinic, granted=False)
    assert routing.account_in_use(clinic) is None

    for _twice in range(2):
        portal.post(url("grant", account.public_id))

    account.refresh_from_db()
    assert account.granted_by == administrator
    assert routing.account_in_use(clinic) == account
    assert AuditEvent.objects.filter(action="granted access to").count() == 1


def test_access_is_not_granted_to_an_extension_that_is_not_enabled(clinic: Organization, portal: Client) -> None:
    """R14."""
    account = account_of(clinic, granted=False)
    EnabledExtension.objects.all().delete()

    assert portal.post(url("grant", account.public_id)).status_code == 403
    account.refresh_from_db()
    assert account.granted_at is None


def test_a_test_message_is_followed_until_it_is_delivered(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "call", answers(202))
    account = account_of(clinic, granted=False)

    portal.post(url("test", account.public_id), {"to": "07700 900123"})

    test = TestMessage.objects.get()
    assert re.fullmatch(r"t[A-Za-z0-9]{15}", test.reference)
    assert (test.to, test.status, test.provider_message_id) == ("+44•••0123", "queued", "acme-1")
    assert steps_of(portal, account)["test"].mark.value == "under_way"
    delivered, failed = (DeliveryReport("", test.reference, state) for state in (Delivery.DELIVERED, Delivery.FAILED))
    strange = DeliveryReport("", "unknown", Delivery.FAILED)
    assert services.record_test_reports(account, [delivered, strange]) == [True, False]
    assert services.record_test_reports(account_of(clinic), [failed]) == [False]
    assert services.record_test_reports(account, [failed]) == [True]  # late: changes nothing
    assert steps_of(portal, account)["test"].mark.value == "done"


def test_a_report_is_matched_by_the_providers_id_where_it_echoes_no_reference(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "call", answers(202))
    account = account_of(clinic)
    portal.post(url("test", account.public_id), {"to": "+447700900123"})

    said = DeliveryReport("acme-1", "", Delivery.UNDELIVERED, error="30003")
    assert services.record_test_reports(account, [said]) == [True]

    step = steps_of(portal, account)["test"]
    assert step.mark.value == "failed"
    assert "30003" in step.detail


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (400, "failed", "21: no such number"),
        (NotTaken("HTTP 429"), "failed", "HTTP 429"),
        (Unclear("HTTP 500"), "unknown", "HTTP 500"),
    ],
)
def test_a_test_message_that_is_not_taken_says_why(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch, answer: Any, status: str, said: str
) -> None:
    monkeypatch.setattr(client, "call", answers(answer))
    account = account_of(clinic)

    response = portal.post(url("test", account.public_id), {"to": "+447700900123"}, follow=True)

    assert TestMessage.objects.get().status == status
    assert said in text_of(response)


@pytest.mark.parametrize("to", ["", "abc", "900123", "+44", "<b>1</b>"])
def test_a_wrong_number_is_answered_with_an_example(clinic: Organization, portal: Client, to: str) -> None:
    account = account_of(clinic)

    response = portal.post(url("test", account.public_id), {"to": to}, headers={"HX-Target": "check-list"})

    assert response.status_code == 422
    assert "sb-error" in text_of(response)
    assert not TestMessage.objects.exists()


def test_webhooks_seen_and_refused_are_shown_with_the_reason(clinic: Organization, portal: Client) -> None:
    """R100, as far as this page goes."""
    account = account_of(clinic)
    assert steps_of(portal, account)["webhooks"].mark.value == "open"
    AccountState.objects.update(reports_seen_at=timezone.now())
    assert steps_of(portal, account)["webhooks"].mark.value == "under_way"
    AccountState.objects.update(inbound_seen_at=timezone.now())
    assert steps_of(portal, account)["webhooks"].mark.value == "done"

    later = timezone.now() + timedelta(minutes=1)
    traffic.register(
        lambda owner, provider: [
            {"reason": "wrong signature", "fault": "secret", "kind": "status", "count": 3, "last_at": later}
        ]
    )

    assert steps_of(portal, account)["webhooks"].mark.value == "failed"
    assert "wrong signature" in text_of(portal.get(url("account", account.public_id)))


def test_a_one_way_account_waits_for_no_inbound_messages(clinic: Organization, portal: Client) -> None:
    account = account_of(clinic, sender="Clinic", sender_kind="alphanumeric")
    AccountState.objects.update(reports_seen_at=timezone.now())

    step = steps_of(portal, account)["webhooks"]

    assert step.mark.value == "done"
    assert [route.kind for route in step.sightings] == ["status"]


# --- delete and replace ----------------------------------------------------------------------------------------------


def test_deleting_names_the_consequences_and_moves_on_to_the_next(clinic: Organization, portal: Client) -> None:
    """R23, R26."""
    first, second = account_of(clinic, name="First"), account_of(clinic, name="Second")
    asked = text_of(portal.get(url("delete", first.public_id)))
    assert "“Second” (Acme SMS) is next in the list" in asked
    assert f"still accepted for {settings.CALLBACK_GRACE_DAYS} days" in asked
    assert routing.account_in_use(clinic) == first

    portal.post(url("delete", first.public_id))

    assert routing.account_in_use(clinic) == second
    first.refresh_from_db()  # the row stays for history
    assert first.deleted_at is not None
    assert first in ProviderAccount.objects.verifying()
    assert AuditEvent.objects.filter(action="deleted", object_id=first.public_id).count() == 1


def test_deleting_the_last_account_warns_that_nothing_can_be_sent(clinic: Organization, portal: Client) -> None:
    account = account_of(clinic)

    assert "no SMS distribution can be sent" in text_of(portal.get(url("delete", account.public_id)))


def test_replacing_keeps_the_old_account_in_use_until_the_new_one_takes_over(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W2, R24."""
    monkeypatch.setattr(client, "call", answers(401, 401, 200))
    old = account_of(clinic, name="Main", sender="13531234567")
    waiting = account_of(clinic, name="Waiting")

    form = portal.get(url("replace", old.public_id), follow=True)
    shown = text_of(form)
    assert 'value="Main"' in shown
    assert 'value="13531234567"' in shown
    assert 'value="AC123456"' in shown  # everything but secrets
    assert old.secrets()["api_key"] not in shown
    address = form.request["PATH_INFO"] + "?" + form.request["QUERY_STRING"]
    portal.post(address, FIELDS)

    new = ProviderAccount.objects.get(replaces=old)
    assert routing.account_in_use(clinic) == old
    assert portal.post(url("take_over", new.public_id)).status_code == 422
    assert routing.account_in_use(clinic) == old  # refused: nothing is interrupted
    portal.post(url("verify", new.public_id))
    assert routing.account_in_use(clinic) == old  # confirmed, and still nothing happens by itself
    for _twice in range(2):
        portal.post(url("take_over", new.public_id))
    assert routing.account_in_use(clinic) == new  # in its place, before the one that waits
    old.refresh_from_db()
    assert old.deleted_at is not None
    assert old in ProviderAccount.objects.verifying()
    assert [place.account for place in routing.places(clinic)] == [new, waiting]
    assert AuditEvent.objects.filter(action="replaced", object_id=old.public_id).count() == 1


def test_replacing_an_unfinished_account_grants_nothing(
    clinic: Organization, portal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R34."""
    monkeypatch.setattr(client, "call", answers(200))
    old = account_of(clinic, granted=False)
    portal.post(f"{url('add_account', 'acme')}?replaces={old.public_id}", FIELDS)
    new = ProviderAccount.objects.get(replaces=old)

    portal.post(url("take_over", new.public_id))

    old.refresh_from_db()
    new.refresh_from_db()
    assert old.deleted_at is not None
    assert new.granted_at is None


# --- the rule of the route -------------------------------------------------------------------------------------------


def test_without_any_account_the_route_says_so(clinic: Organization) -> None:
    """R10."""
    with pytest.raises(routing.NoRoute, match="No SMS account has been added yet"):
        routing.route_for(clinic)


@pytest.mark.parametrize(
    ("verified", "said"),
    [(False, "verify the credentials, then grant access"), (True, "Next: grant access to all users")],
)
def test_the_route_names_the_unfinished_step(clinic: Organization, verified: bool, said: str) -> None:
    """R10, R34."""
    account_of(clinic, name="Main", granted=False, verified=verified)

    with pytest.raises(routing.NoRoute, match=f"“Main” .Acme SMS. is not finished.*{said}"):
        routing.route_for(clinic)


def test_without_the_add_on_there_is_no_route(clinic: Organization) -> None:
    """R12."""
    account_of(clinic)
    Licence.objects.update(sms=False)

    with pytest.raises(routing.NoRoute, match="SMS is an add-on"):
        routing.route_for(clinic)


def test_an_account_of_a_provider_that_is_no_longer_enabled_is_passed_over(clinic: Organization) -> None:
    """R14."""
    account_of(clinic)
    second = account_of(clinic, provider="plain")
    EnabledExtension.objects.filter(organization=clinic, provider="acme").delete()

    assert routing.route_for(clinic) == routing.Route(second, is_default=False)


DEFAULT = {
    "provider": "acme",
    "sender": "13530000000",
    "credentials": {"account": "AC000001", "api_key": SECRET, "region": "eu"},
}


def test_the_installations_account_carries_what_no_other_does(clinic: Organization, settings: Any) -> None:
    """R8, R9."""
    settings.DEFAULT_PROVIDER = DEFAULT
    account_of(clinic, granted=False)

    route = routing.route_for(clinic)

    assert route.is_default
    assert (route.account.organization, route.account.sender) == (None, "13530000000")
    assert route.account.secrets() == DEFAULT["credentials"]
    assert WorkerSlot.objects.filter(account=route.account).count() == 2
    assert routing.route_for(clinic) == route  # one row, however often it is asked for
    own = account_of(clinic)
    assert routing.route_for(clinic) == routing.Route(own, is_default=False)


def test_the_installations_account_follows_the_setting(settings: Any) -> None:
    settings.DEFAULT_PROVIDER = DEFAULT
    first = routing.installation_account()
    settings.DEFAULT_PROVIDER = {**DEFAULT, "sender": "13530000001"}
    second = routing.installation_account()
    assert first is not None
    assert second is not None
    assert first != second

    first.refresh_from_db()
    assert first.deleted_at is not None  # keeps verifying callbacks, and history names it
    settings.DEFAULT_PROVIDER = DEFAULT
    assert routing.installation_account() == first
    assert ProviderAccount.objects.alive().count() == 1
    settings.DEFAULT_PROVIDER = {}
    assert routing.installation_account() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "nobody"},
        {**DEFAULT, "sender": "+1"},
        {**DEFAULT, "credentials": {"account": "AC000001"}},
        {**DEFAULT, "credentials": None},
        {**DEFAULT, "credentials": "text"},
    ],
)
def test_a_wrong_default_provider_is_logged_without_its_values(
    settings: Any, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    settings.DEFAULT_PROVIDER = wrong

    assert routing.installation_account() is None
    assert "DEFAULT_PROVIDER" in caplog.text
    assert SECRET not in caplog.text


# --- the pages as a whole --------------------------------------------------------------------------------------------


def test_no_page_asks_for_more_when_there_are_more_rows(clinic: Organization, portal: Client) -> None:
    account = account_of(clinic)

    def queries() -> list[int]:
        counts = []
        for address in (
            url("catalogue"),
            url("extension", "acme"),
            url("add_account", "acme"),
            url("account", account.public_id),
            url("delete", account.public_id),
        ):
            with CaptureQueriesContext(
                connection,
            ) as captured:
                assert portal.get(address).status_code == 200
            counts.append(len(captured))
        return counts

    queries()  # the first look at the form makes the session a secret of its own
    few = queries()
    for _more in range(30):
        other = account_of(clinic)
        TestMessage.objects.create(account=other, reference=other.public_id[-15:], to="x", status="queued")
    TestMessage.objects.create(account=account, reference="t1", to="x", status="queued")

    assert queries() == few
    assert max(few) < 15


def test_no_page_has_an_inline_script(clinic: Organization, portal: Client) -> None:
    account = account_of(clinic)

    for method, address in every_page(account):
        if method == "get":
            shown = text_of(portal.get(address, follow=True))
            own = shown[shown.index('id="content"') :]
            assert not re.search(r"<script(?![^>]*src=)", own), address
            assert not re.search(r"\son[a-z]+=", own), address


def test_names_typed_by_people_are_escaped(clinic: Organization, portal: Client) -> None:
    account = account_of(clinic, name="<img src=x onerror=alert(1)>")

    for address in (url("catalogue"), url("extension", "acme"), url("account", account.public_id)):
        assert "<img src=x" not in text_of(portal.get(address))


def test_an_operator_switches_extensions_on_and_others_cannot(clinic: Organization, portal: Client) -> None:
    """R14."""
    EnabledExtension.objects.all().delete()
    address = reverse("admin:extensions_enabledextension_add")
    data = {"organization": clinic.pk, "provider": "acme"}
    assert portal.post(address, data).status_code == 403

    operator = logged_in(factories.operator())
    assert operator.post(address, {**data, "provider": "nobody"}).status_code == 200  # refused, with the form
    operator.post(address, data)

    assert EnabledExtension.objects.get().provider == "acme"


def test_a_set_up_text_is_laid_out_in_lists_and_paragraphs() -> None:
    laid_out = catalogue.blocks(
        "Before:\n1. Open.\n2. Enter https://a\nThen:\n5. Enter https://b/c and save.", ["https://a", "https://b/c"]
    )

    assert [(block.start, block.lines) for block in laid_out] == [
        (None, [["Before:"]]),
        (1, [["Open."], ["Enter ", "https://a", ""]]),
        (None, [["Then:"]]),
        (5, [["Enter ", "https://b/c", " and save."]]),
    ]


def test_the_text_for_the_provider_can_be_copied_with_its_addresses(clinic: Organization, portal: Client) -> None:
    """R81."""
    shown = text_of(portal.get(url("extension", "acme")))

    assert re.search(rf'data-copy="1\. In Acme, [^"]*/status/acme-sms/{clinic.public_id}', shown)


def test_a_suggested_value_can_be_taken_with_a_button(portal: Client) -> None:
    shown = text_of(add(portal, sender="+0353123456"))

    assert 'data-use="353123456"' in shown

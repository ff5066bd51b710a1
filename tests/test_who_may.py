"""Nobody does what is not theirs within one organisation: every address, method and action as everybody.

`tests/who_may.py` is the table of who may. An address that is not in it fails here, with what to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from django.contrib import admin
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path, reverse

from config.portal import documentation
from contacts.models import ContactImport, ImportPortion
from distributions.models import Conversation
from organizations import tokens
from organizations.admin_base import OwnedAdmin, declared
from organizations.models import ApiToken, AuditEvent, User
from tests import addresses, factories, who_may
from tests.addresses import ROUTES, Route
from tests.tenants import Tenant
from webhooks.models import Callback

pytestmark = pytest.mark.django_db

TABLE = who_may.table()
REFUSALS = (401, 403, 404, 405)
FORM = {"post": "yes", "_save": "1", "name": "Taken over", "phone": "+15005550006", "role": "administrator"}


@pytest.fixture
def house() -> Tenant:
    tenant = Tenant()
    ImportPortion.objects.all().delete()
    Conversation.objects.update(state=Conversation.State.ENDED)  # else its contact is locked for whoever may not send
    return tenant


@pytest.fixture(autouse=True)
def nobody_calls_out() -> Iterator[None]:
    with responses.RequestsMock(assert_all_requests_are_fired=False):
        yield


@pytest.fixture(autouse=True)
def built_documentation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("index.html", "objects.inv"):
        (tmp_path / name).touch()
    monkeypatch.setattr(documentation, "SITE", tmp_path)


def person(kind: str, house: Tenant) -> User | None:
    """Somebody of this organisation, an operator, or nobody who is logged in."""
    if kind == "stranger":
        return None
    if kind == "operator":
        return factories.operator()
    role, setting = kind.rstrip("+"), "enabled" if kind.endswith("+") else "disabled"
    return factories.user(house.organization, role, use_sms_distributions=setting)


def client_of(user: User | None) -> Client:
    """Logged in, and with an API token, so that pages and API are tried alike."""
    if user is None:
        return Client()
    client = Client(headers={"x-api-token": tokens.regenerate(user)})
    client.force_login(user)
    return client


def visited(route: Route, house: Tenant) -> list[str]:
    example = TABLE[route.path].example
    if example:
        return [f"/{example}"]
    if not route.is_plain:
        raise AssertionError(f"{route.path} is a pattern: give its row in tests/who_may.py an example.")
    found = list(addresses.addresses(route, house))
    return [found[0], found[-1]] if route.model is User and route.parameters else found[:1]  # administrator and member


def is_refused(response: Any, address: str) -> bool:
    """Not allowed, not there, or led away: to the log-in page, or home (Django's way for a row that is not visible)."""
    if response.status_code == 302 and address not in ("/", "/admin/language/", "/admin/login/"):
        return response.url == "/admin/" or response.url.startswith("/admin/login/")
    return response.status_code in REFUSALS


def is_theirs(kind: str, word: str, route: Route, address: str, house: Tenant) -> bool:
    """Operators see operators and administrators, and what operators did: other people and events do not exist."""
    if kind != "operator" or word == who_may.LOGGED_IN or not route.parameters:
        return True
    members = [user for user in house.rows[User] if user.role == User.Role.MEMBER]
    hidden = {User: members, AuditEvent: house.rows[AuditEvent]}.get(route.model, [])
    return not any(f"/{row.pk}/" in address for row in hidden)


def allowed(kind: str, word: str) -> bool:
    return kind in who_may.WORDS[word][0]


def snapshot(house: Tenant) -> dict[Any, Any]:
    """All stored values of the house, of which a refused request must change nothing."""
    return {
        (model._meta.label, values[model._meta.pk.attname]): values
        for model in house.rows
        if model not in (AuditEvent, ApiToken)
        for values in model._base_manager.values()
    }


def calls(route: Route) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, who may, and what is sent."""
    row = TABLE[route.path]
    yield "get", row.get, {}
    if route.path.startswith("API/"):
        for method, word in (("post", row.post), ("put", who_may.NOBODY), ("patch", who_may.NOBODY)):
            yield method, word, {"data": {}, "content_type": "application/json"}
        yield "delete", row.delete or who_may.NOBODY, {}
    else:
        yield "post", row.post, {"data": FORM}


# --- The table -------------------------------------------------------------------------------------------------------


def test_every_address_is_in_the_table() -> None:
    missing = [route.path for route in ROUTES if route.path not in TABLE]
    lines = "\n".join(f'    "{path}": Row("What it is for", <who may GET>, <who may POST>),' for path in missing)

    assert not missing, f"Say who may, in ROWS of tests/who_may.py:\n{lines}\nThen: python -m tests.who_may > docs/…"


def test_the_table_names_no_address_that_is_gone() -> None:
    assert set(TABLE) - {route.path for route in ROUTES} == set()


def test_every_action_is_in_the_table() -> None:
    found = {
        f"{model._meta.app_label}/{model._meta.model_name}: {name}"
        for model, model_admin in admin.site._registry.items()
        for _function, name, _description in (
            model_admin._get_base_actions() if model_admin.actions is not None else ()
        )
    }

    assert found == set(who_may.ACTIONS), "Say who may, in ACTIONS of tests/who_may.py."


def test_the_document_is_up_to_date() -> None:
    stored = Path("docs/permissions.md").read_text()

    assert stored == who_may.document(), "Run: python -m tests.who_may > docs/permissions.md"


# --- The walk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", who_may.ACTORS)
def test_whoever_may_not_is_refused_and_changes_nothing(house: Tenant, kind: str) -> None:
    client = client_of(person(kind, house))
    before = snapshot(house)
    let_in = []

    for route in ROUTES:
        for address in visited(route, house):
            for method, word, sent in calls(route):
                if not allowed(kind, word) or not is_theirs(kind, word, route, address, house):
                    response = getattr(client, method)(address, **sent)
                    if not is_refused(response, address):
                        let_in.append(f"{method} {address}: {response.status_code}")

    assert not let_in, "\n".join(let_in)
    assert snapshot(house) == before


@pytest.mark.parametrize("kind", who_may.ACTORS)
def test_whoever_may_is_let_in(house: Tenant, kind: str) -> None:
    """The counter-example: the walk refuses nobody who may. What a request does is taken back after it."""
    user = person(kind, house)
    client = client_of(user)
    ContactImport.objects.update(created_by=user)  # who may not see recipients sees own files only
    Callback.objects.update(state=Callback.State.UNREADABLE)  # the others have no page
    shut_out = []

    for route in ROUTES:
        for address in visited(route, house):
            for method, word, sent in calls(route):
                if not allowed(kind, word) or not is_theirs(kind, word, route, address, house):
                    continue
                with transaction.atomic():
                    response = getattr(client, method)(address, **sent)
                    transaction.set_rollback(True)
                put_away(response)
                if is_refused(response, address) and not is_answered(route, method, response):
                    shut_out.append(f"{method} {address}: {response.status_code}")
                if user is not None and SESSION_KEY not in client.session:  # the address ended it
                    client.force_login(user)

    assert not shut_out, "\n".join(shut_out)


def put_away(response: Any) -> None:
    """Close a file that is handed out."""
    for close in response._resource_closers:
        close()


def is_answered(route: Route, method: str, response: Any) -> bool:
    """What looks like a refusal and is none: a personal link that leads to nothing; home afterwards."""
    home = method == "post" and route.path.endswith(("/delete/", "/logout/", "/guide/")) and response.status_code == 302
    return home or (response.status_code == 404 and route.path.startswith(("s/", "o/")))


def test_what_can_be_looked_at_answers_a_question_about_its_head_too(house: Tenant) -> None:
    """Checkers of links and of availability ask so."""
    client = client_of(person("administrator+", house))
    unanswered = []
    for route in ROUTES:
        if not route.path.startswith("API/") and allowed("administrator+", TABLE[route.path].get):
            for address in visited(route, house):
                response = client.head(address)
                put_away(response)
                if response.status_code == 405:
                    unanswered.append(address)

    assert not unanswered, "\n".join(unanswered)


@pytest.mark.parametrize("kind", who_may.ACTORS[:-1])
def test_an_action_is_offered_to_whoever_may_and_refused_to_all_others(house: Tenant, kind: str) -> None:
    user = person(kind, house)
    client = client_of(user)
    before = snapshot(house)

    for model, model_admin in admin.site._registry.items():
        name = f"{model._meta.app_label}/{model._meta.model_name}"
        address = f"/admin/{name}/"
        request = RequestFactory().get(address)
        request.user = user
        offered = model_admin.get_actions(request) if model_admin.has_view_permission(request) else {}
        wanted = {
            action
            for key, word in who_may.ACTIONS.items()
            for action in [key.split(": ")[1]]
            if key.startswith(f"{name}: ") and allowed(kind, word)
        }
        assert set(offered) == wanted, f"{kind}: {name}"
        chosen = [row.pk for row in house.rows.get(model, ())]
        for key in who_may.ACTIONS:
            action = key.split(": ")[1]
            if key.startswith(f"{name}: ") and action not in wanted:
                for across in ("0", "1"):
                    data = {"action": action, "_selected_action": chosen, "select_across": across, "post": "yes"}
                    client.post(address, data)

    assert snapshot(house) == before


# --- The kind itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["member", "member+"])
def test_a_member_cannot_become_administrator_by_a_password_link(house: Tenant, kind: str) -> None:
    administrator = house.row(User)
    client = client_of(person(kind, house))

    made = client.post(f"/admin/organizations/user/{administrator.pk}/link/")
    shown = client.get(f"/admin/organizations/user/{administrator.pk}/invitation/")

    assert made.status_code == shown.status_code == 403
    assert "/admin/invitation/" not in shown.content.decode()


def test_an_administrator_makes_no_link_for_an_operator_and_an_operator_none_for_a_member(house: Tenant) -> None:
    operator = factories.operator()
    member = factories.user(house.organization)

    assert client_of(house.row(User)).post(f"/admin/organizations/user/{operator.pk}/link/").status_code == 404
    assert client_of(operator).post(f"/admin/organizations/user/{member.pk}/link/").status_code == 404


def test_an_administrator_still_makes_links_for_the_people_of_the_organisation(house: Tenant) -> None:
    member = factories.user(house.organization)
    client = client_of(house.row(User))

    made = client.post(f"/admin/organizations/user/{member.pk}/link/", follow=True)

    assert made.status_code == 200
    assert "/admin/invitation/" in made.content.decode()


def test_no_crafted_form_makes_an_operator(house: Tenant) -> None:
    ada, member = house.row(User), factories.user(house.organization)
    data = {
        "email": member.email,
        "name": "",
        "is_active": "on",
        "role": "operator",
        "use_sms_distributions": "inherit",
    }

    answer = client_of(ada).post(f"/admin/organizations/user/{member.pk}/change/", data)

    member.refresh_from_db()
    assert answer.status_code == 200
    assert member.role == User.Role.MEMBER


def test_a_page_that_asks_for_no_right_stops_the_start() -> None:
    with pytest.raises(ImproperlyConfigured, match="declares no right"):
        declared([path("hidden/", lambda request: HttpResponse())])


def test_an_action_that_names_no_right_stops_the_list() -> None:
    class Careless(OwnedAdmin):
        actions = ("wipe",)

        def wipe(self, request: Any, queryset: Any) -> None: ...

    with pytest.raises(ImproperlyConfigured, match="names no right"):
        Careless(User, admin.site)._get_base_actions()


def test_autocomplete_asks_for_the_right_to_see_the_rows(house: Tenant) -> None:
    query = {"app_label": "organizations", "model_name": "auditevent", "field_name": "actor", "term": ""}

    assert client_of(person("member", house)).get(reverse("admin:autocomplete"), query).status_code == 403

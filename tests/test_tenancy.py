"""No organisation sees or changes anything of another: every address, list, choice, action and filter is tried.

Addresses and admins are found by looking at the URLconf and the admin site, so a new page is tried without a line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin import RelatedFieldListFilter
from django.contrib.admin.sites import all_sites
from django.contrib.auth import SESSION_KEY
from django.db.models import Model
from django.forms import ModelChoiceField
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from contacts.models import ContactList
from organizations import tokens
from organizations.admin_base import OwnedAdmin
from organizations.choices import OwnedRelatedFilter
from organizations.models import Organization, User
from surveys.models import Survey
from tests import addresses, factories
from tests.tenants import APPS, MARKER, NAMES, Tenant

# Addresses that anybody may call, each with its own proof of who calls: signatures (tests of webhooks) or unguessable
# personal links (tests of respondents). They answer for the organisation that the address names. The description of the
# API says nothing about an organisation.
PUBLIC = ("distribution-providers/", "docs/", "r/", "s/", "o/", "API/v3/docs", "API/v3/schema")
SKIPPED = ("admin/logout/", "admin/login/", "admin/jsi18n/")
PLATFORM = ("organizations", "extensions.EnabledExtension")  # what operators may change

pytestmark = pytest.mark.django_db


ROUTES = [route for route in addresses.ROUTES if route.is_plain and not route.path.startswith((*PUBLIC, *SKIPPED))]


@pytest.fixture
def theirs() -> Tenant:
    """The organisation whose rows must stay unseen and unchanged."""
    return Tenant()


@pytest.fixture
def mine() -> Organization:
    return factories.organization("Own Surgery")


@pytest.fixture(params=["administrator", "member", "operator"])
def stranger(request: pytest.FixtureRequest, mine: Organization) -> User:
    """Somebody who is not of that organisation."""
    if request.param == "operator":
        return factories.operator()
    return factories.user(mine, request.param, use_sms_distributions="enabled")


def client_of(user: User) -> Client:
    """Logged in, and with an API token, so that pages and API are tried alike."""
    client = Client(headers={"x-api-token": tokens.regenerate(user)})
    client.force_login(user)
    return client


def secrets_for(user: User) -> tuple[str, ...]:
    """The words this user must never read. Operators know organisations and administrators by name."""
    return (MARKER, MARKER.lower()) if user.is_operator else (MARKER, MARKER.lower(), NAMES, NAMES.lower())


def launch_of(theirs: Tenant) -> dict[str, Any]:
    """What a program sends to launch a distribution, with the survey and the list of the other organisation."""
    return {
        "surveyId": theirs.row(Survey).public_id,
        "recipients": {"mailingListId": theirs.row(ContactList).public_id},
        "message": {"messageText": "Hello ${l://SurveyURL}"},
        "method": "Invite",
        "name": "Taken over",
        "sendDate": "2030-01-01T12:00:00Z",
    }


def snapshot(theirs: Tenant, *, without: tuple[str, ...] = ()) -> dict[tuple[str, Any], Any]:
    """The stored values of all their rows."""
    stored = {}
    for model, rows in theirs.rows.items():
        if model._meta.app_label in without or model._meta.label in without:
            continue
        for values in model._base_manager.filter(pk__in=[row.pk for row in rows]).values():
            stored[model._meta.label, values[model._meta.pk.attname]] = values
    return stored


def assert_nothing_told(response: Any, user: User, what: str) -> None:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    text = body.decode(errors="replace")
    for word in secrets_for(user):
        assert word not in text, f"{what} tells {user.role} of another organisation {word!r}"


def registered() -> list[tuple[type[Model], Any]]:
    return sorted(admin.site._registry.items(), key=lambda pair: pair[0]._meta.label)


def request_of(user: User, path: str = "/admin/") -> Any:
    request = RequestFactory().get(path)
    request.user = user
    return request


# --- Every address ---------------------------------------------------------------------------------------------------


def test_the_walk_finds_the_addresses_of_the_house() -> None:
    paths = {route.path for route in ROUTES}

    assert "admin/organizations/user/<path:object_id>/change/" in paths
    assert "admin/extensions/account/<slug:public_id>/" in paths
    assert len(paths) > 50


def test_the_other_organisation_has_a_row_of_every_model(theirs: Tenant) -> None:
    missing = [
        model for label in APPS for model in apps.get_app_config(label).get_models() if not theirs.rows.get(model)
    ]

    assert missing == []


def test_no_address_tells_or_changes_anything_of_another_organisation(theirs: Tenant, stranger: User) -> None:
    """GET and POST on every address, with the other organisation's ids wherever the address takes one."""
    client = client_of(stranger)
    exempt = PLATFORM if stranger.is_operator else ()
    before = snapshot(theirs, without=exempt)

    for route in ROUTES:
        for address in addresses.addresses(route, theirs):
            read = client.get(address)
            assert_nothing_told(read, stranger, f"GET {address}")
            if stranger.is_operator and route.path.startswith("admin/organizations/"):
                continue
            written = client.post(address, {"post": "yes", "_save": "1", "name": "Taken over", "phone": "+15005550006"})
            assert_nothing_told(written, stranger, f"POST {address}")
            if route.path.startswith("API/"):
                launch = client.post(address, launch_of(theirs), content_type="application/json")
                assert launch.status_code >= 400, f"POST {address}"
                assert_nothing_told(launch, stranger, f"POST {address}")
                assert_nothing_told(client.delete(address), stranger, f"DELETE {address}")
            if SESSION_KEY not in client.session:  # the address ended it
                client.force_login(stranger)

    assert snapshot(theirs, without=exempt) == before


def test_a_row_of_another_organisation_does_not_exist_in_the_admin(theirs: Tenant, stranger: User) -> None:
    """Change, delete and history answer as for a row that does not exist; unknown and foreign are the same."""
    client = client_of(stranger)

    for model, _model_admin in registered():
        if stranger.is_operator and model._meta.app_label in ("organizations", "extensions"):
            continue
        for row in theirs.rows.get(model, ()):
            for page in ("change", "delete", "history"):
                address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{row.pk}/{page}/"
                response = client.get(address)
                assert response.status_code in (302, 403, 404), address
                if response.status_code == 302:
                    assert client.get(address, follow=True).status_code in (200, 403, 404)


def test_nobody_gets_in_without_logging_in(theirs: Tenant) -> None:
    client = Client()
    before = snapshot(theirs)

    for route in ROUTES:
        for address in list(addresses.addresses(route, theirs))[:2]:
            for method in (client.get, client.post):
                response = method(address)
                assert response.status_code != 200 or b"login-form" in response.content or "invitation" in address, (
                    address
                )
                text = response.content.decode()
                assert MARKER not in text, address
                assert NAMES not in text, address

    assert snapshot(theirs) == before


# --- Lists, actions, filters, choices --------------------------------------------------------------------------------


def test_no_action_touches_rows_of_another_organisation(theirs: Tenant, stranger: User) -> None:
    client = client_of(stranger)
    before = snapshot(theirs)

    for model, model_admin in registered():
        if stranger.is_operator and model._meta.app_label in ("organizations", "extensions"):
            continue
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        names = model_admin.get_actions(request_of(stranger, address))
        for name, across in product(names, ("0", "1")):
            chosen = [row.pk for row in theirs.rows.get(model, ())]
            data = {"action": name, "_selected_action": chosen, "select_across": across, "post": "yes"}
            assert_nothing_told(client.post(address, data, follow=True), stranger, f"action {name} of {address}")

    assert snapshot(theirs) == before


def test_no_filter_and_no_search_reaches_another_organisation(theirs: Tenant, stranger: User) -> None:
    client = client_of(stranger)

    for model, model_admin in registered():
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        queries = [{"q": MARKER}, {"q": NAMES}]
        for entry in model_admin.get_list_filter(request_of(stranger, address)):
            name = entry[0] if isinstance(entry, tuple) else entry
            field = next((field for field in model._meta.get_fields() if field.name == name), None)
            if field is not None and field.is_relation:
                queries += [{f"{name}__id__exact": row.pk} for row in theirs.rows.get(field.related_model, ())]
        for query in queries:
            if stranger.is_operator and query.get("q") == NAMES:
                continue
            response = client.get(address, query, follow=True)
            words = [word for word in secrets_for(stranger) if word != query.get("q")]
            for word in words:
                assert word not in response.content.decode(), f"{address} with {query}"
            if response.context and response.context.get("cl") and not stranger.is_operator:
                foreign = {row.pk for row in theirs.rows.get(model, ())}
                assert not foreign.intersection(row.pk for row in response.context["cl"].result_list)


def test_no_choice_offers_rows_of_another_organisation(theirs: Tenant, stranger: User) -> None:
    """Form fields and inlines: what is not offered is also refused when it is posted."""
    request = request_of(stranger)

    for model, model_admin in registered():
        if stranger.is_operator and not model_admin.has_view_permission(request):
            continue
        forms = [model_admin.get_form(request)] if model_admin.has_add_permission(request) else []
        forms += [inline.get_formset(request).form for inline in model_admin.get_inline_instances(request)]
        for form in forms:
            for name, field in form.base_fields.items():
                if not isinstance(field, ModelChoiceField) or field.queryset.model is Organization:
                    continue
                foreign = {row.pk for row in theirs.rows.get(field.queryset.model, ())}
                offered = set(field.queryset.values_list("pk", flat=True))
                assert not foreign & offered, f"{model._meta.label}.{name}"


def test_no_autocomplete_offers_rows_of_another_organisation(theirs: Tenant, stranger: User) -> None:
    client = client_of(stranger)

    for model, _model_admin in registered():
        for field in model._meta.get_fields():
            if field.is_relation and field.concrete:
                query = {
                    "app_label": model._meta.app_label,
                    "model_name": model._meta.model_name,
                    "field_name": field.name,
                    "term": "",
                }
                assert_nothing_told(client.get("/admin/autocomplete/", query), stranger, f"autocomplete {query}")


# --- The rule itself -------------------------------------------------------------------------------------------------


def test_every_admin_is_an_owned_admin() -> None:
    strays = [
        model._meta.label
        for site in all_sites
        for model, found in site._registry.items()
        if not isinstance(found, OwnedAdmin)
    ]

    assert strays == []


@pytest.mark.parametrize("role", ["administrator", "member", "operator"])
def test_every_filter_over_a_relation_offers_own_rows_only(role: str) -> None:
    user = factories.operator() if role == "operator" else factories.user(role=role)

    for model, model_admin in registered():
        relations = {field.name for field in model._meta.get_fields() if field.is_relation}
        for entry in model_admin.get_list_filter(request_of(user)):
            name, kind = entry if isinstance(entry, tuple) else (entry, None)
            if isinstance(name, str) and name in relations:
                assert issubclass(kind, OwnedRelatedFilter), f"{model._meta.label}: {name}"
            elif isinstance(name, type):
                assert not issubclass(name, RelatedFieldListFilter), f"{model._meta.label}: {name}"


def test_a_password_cannot_be_guessed_through_a_filter() -> None:
    """Else `?password__startswith=…` would tell a colleague's hash, one character at a time."""
    someone = factories.administrator()
    client = client_of(someone)

    for lookup in ("password", "password__startswith", "api_tokens__digest__startswith"):
        response = client.get("/admin/organizations/user/", {lookup: "argon2"})
        assert response.status_code == 400


def test_a_name_is_taken_only_within_ones_own_organisation() -> None:
    """Two organisations may both have a group “Team”; in one, the second is an error at the field, not a crash."""
    first, second = factories.administrator(), factories.administrator()
    data = {"name": "Team", "use_sms_distributions": "inherit"}

    for someone in (first, second):
        assert client_of(someone).post("/admin/organizations/usergroup/add/", data).status_code == 302
    again = client_of(first).post("/admin/organizations/usergroup/add/", data)

    assert again.status_code == 200
    assert again.context["errors"]


def test_urlconf_has_only_known_public_addresses() -> None:
    """An address outside the admin site and the API is public: whoever adds one adds it to PUBLIC with its reason."""
    known = ("admin/", "API/", *PUBLIC)

    def walk(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
        for entry in resolver.url_patterns:
            path = prefix + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry, path)
            elif isinstance(entry, URLPattern):
                yield path

    strays = [path for path in walk(get_resolver()) if path and not path.lstrip("^").startswith(known)]

    assert strays == []

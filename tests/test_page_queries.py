"""Every page of the admin site asks the database a few times, however many rows there are.

Lists and forms are found by looking at the admin site: a new model is covered without a line here. Pages of our own are
named in the second part, which knows if one is missing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse

from distributions.models import Distribution
from extensions.models import ProviderAccount
from organizations.models import User
from tests import factories
from tests.crowd import Crowd
from tests.tenants import Tenant

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MOST_QUERIES = 18  # fewer than this
FEW, MANY = 10, 250  # more than two of the longest pages
# An account's form is a page of our own; nobody has hundreds of what there is one of per extension.
MODELS = [model for model in admin.site._registry if model._meta.label != "extensions.EnabledExtension"]
TEXTS = (models.CharField, models.TextField)


# --- Lists and forms of models ---------------------------------------------------------------------------------------


def fill(tenant: Tenant, model: type[models.Model], number: int) -> None:
    """Bring the rows of `model` up to `number`, as copies of the first that differ where they must."""
    there = model._default_manager.count()
    template = tenant.row(model)
    rows = []
    for index in range(there, number):
        row = copy.copy(template)
        row.pk = None
        row._state = copy.copy(template._state)
        row._state.adding = True
        for field in unique_fields(model):
            setattr(row, field.attname, distinct(field, index))
        rows.append(row)
    model._default_manager.bulk_create(rows)


def unique_fields(model: type[models.Model]) -> list[Any]:
    """The texts of which no two rows may have the same."""
    names = {name for rule in model._meta.constraints for name in getattr(rule, "fields", ())}
    fields = model._meta.concrete_fields
    return [field for field in fields if isinstance(field, TEXTS) and (field.unique or field.name in names)]


def distinct(field: Any, index: int) -> str:
    if isinstance(field, models.EmailField):
        return f"person{index}@example.org"
    return f"+4477{index:08d}" if field.name == "phone" else f"{field.name[:4]}{index}"


def administrator_of(tenant: Tenant) -> User:
    return User.objects.filter(organization=tenant.organization, role="administrator").earliest("pk")


def count(client: Client, address: str, values: dict[str, Any] | None = None) -> int:
    """How often a page asks the database; with `values` they are posted to it."""
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address) if values is None else client.post(address, values)
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
        if hasattr(answer, "render"):
            answer.render()
    return len(captured)


def pages(client: Client, model: type[models.Model], pk: Any) -> list[str]:
    """The addresses of this model's admin that this person may open."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    addresses = [reverse(f"{name}_changelist"), reverse(f"{name}_add"), reverse(f"{name}_change", args=[pk])]
    return [address for address in addresses if client.get(address).status_code == 200]


@pytest.mark.parametrize("role", ["administrator", "operator"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_no_list_and_no_form_asks_for_more_when_there_are_more_rows(model: type[models.Model], role: str) -> None:
    tenant = Tenant()
    user = factories.operator() if role == "operator" else administrator_of(tenant)
    client = Client()
    client.force_login(user)
    pk = tenant.row(model).pk
    fill(tenant, model, FEW)
    addresses = pages(client, model, pk)
    few = {address: count(client, address) for address in addresses}

    fill(tenant, model, MANY)
    many = {address: count(client, address) for address in addresses}

    assert model._default_manager.count() >= MANY
    assert {address: number for address, number in many.items() if number >= MOST_QUERIES} == {}
    assert {address: (few[address], number) for address, number in many.items() if number > few[address]} == {}


def test_every_list_is_seen_by_somebody() -> None:
    """What the test above skips because nobody may open it would be measured by nobody."""
    tenant = Tenant()
    seen = set()
    for user in (administrator_of(tenant), factories.operator()):
        client = Client()
        client.force_login(user)
        seen |= {model for model in MODELS if pages(client, model, tenant.row(model).pk)}

    assert set(MODELS) - seen == {ProviderAccount}  # its addresses lead to pages of our own


# --- Pages of our own ------------------------------------------------------------------------------------------------

OF_MODELS = ("_changelist", "_add", "_change", "_delete", "_history")
# What is posted to and leads on to a page; files; pages without rows, such as the log-in; what Django brings along.
NO_PAGES = {
    *("phones", *(f"extensions_{name}" for name in ("check_field", "numbers", "balance", "set_webhooks"))),
    *("guide", "surveys_survey_try_new", "distributions_to_myself"),
    *("set_language", "renew_token", "end_token", "logout", "organizations_user_link", "surveys_survey_copy"),
    *(f"extensions_{name}" for name in ("verify", "grant", "test", "webhooks", "sender", "replace", "top")),
    *(f"extensions_{name}" for name in ("check_field", "numbers", "balance", "set_webhooks", "call", "calls")),
    "phones",  # asks the simulator; what it asks of the database is one number of accounts
    *(f"distributions_distribution_{name}" for name in ("launch", "pause", "resume", "cancel", "copy", "send_again")),
    *(f"distributions_distribution_{name}" for name in ("edit_planned", "keep")),
    *(f"distributions_distribution_{name}" for name in ("rest", "take_over", "skipped", "export", "answers")),
    *(f"contacts_contactlist_{name}" for name in ("sample", "problems", "given_back", "progress", "cancel", "export")),
    *("contacts_optout_export", "login", "set_password", "password_change_done", "organizations_user_invitation"),
    *("distributions_doubt_decide", "autocomplete", "jsi18n", "view_on_site", "app_list"),
}


def own_pages(crowd: Crowd, role: str) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """What somebody of this role looks at: the page's name, its address, and what is posted there (None: a GET)."""
    sent, draft = crowd.sent.pk, crowd.draft.pk
    first = crowd.sent.messages.earliest("pk")
    groups = list(crowd.member.groups.values_list("pk", flat=True))
    everybody: dict[str, list[Any]] = {"index": [], "profile": [], "password_change": []}
    members: dict[str, list[Any]] = {
        "distributions_distribution_changelist": [],
        "distributions_distribution_add": [],
        "distributions_distribution_edit": [draft],
        "distributions_distribution_review": [draft],
        "distributions_distribution_change": [sent],
        "distributions_distribution_history": [sent],
        "distributions_distribution_progress": [sent],
        "distributions_distribution_reasons": [sent],
        "distributions_distribution_carriers": [sent],
        "distributions_distribution_messages": [sent],
        "distributions_distribution_message": [sent, first.pk],
        "distributions_distribution_delete": [draft],
        "distributions_of_contact": [first.contact_id],
        "distributions_inboundmessage_changelist": [],
        "distributions_doubts": [],
        "contacts_contactlist_change": [crowd.patients.pk],
        "contacts_contactlist_delete": [crowd.patients.pk],
        "contacts_contactlist_upload": [crowd.patients.pk],
        "contacts_contact_change": [first.contact_id],
        "contacts_optout_changelist": [],
        "surveys_survey_change": [crowd.survey.pk],
        "surveys_survey_try": [crowd.survey.pk],
    }
    administrators: dict[str, list[Any]] = {
        "contacts_contactlist_checked": [crowd.patients.pk, crowd.checked_file().pk],
        "extensions_catalogue": [],
        "extensions_extension": ["twilio"],
        "extensions_add_account": ["twilio"],
        "extensions_account": [crowd.account.public_id],
        "extensions_take_over": [crowd.replacement.public_id],
        "extensions_withdraw": [crowd.account.public_id],
        "extensions_delete": [crowd.account.public_id],
        "extensions_rate": [crowd.account.public_id],
        "organization_settings": [],
        "keeping_periods": [],
        "notices": [],
        "organizations_user_changelist": [],
        "organizations_user_add": [],
        "organizations_user_change": [crowd.member.pk],
        "organizations_user_delete": [crowd.member.pk],
        "organizations_usergroup_change": [groups[0]],
        "organizations_usergroup_delete": [groups[0]],
        "organizations_auditevent_changelist": [],
    }
    operators: dict[str, list[Any]] = {
        "organizations_organization_changelist": [],
        "organizations_organization_change": [crowd.clinic.pk],
        "organizations_user_changelist": [],
        "organizations_auditevent_changelist": [],
        "extensions_enabledextension_changelist": [],
    }
    of_role = {"member": members, "administrator": members | administrators, "operator": operators}[role]
    for name, arguments in (everybody | of_role).items():
        yield name, reverse(f"admin:{name}", args=arguments), None
    if role == "operator":
        return
    planned = Distribution.objects.filter(organization=crowd.clinic, state="scheduled").exclude(problem="")
    if planned:
        alarmed = reverse("admin:distributions_distribution_change", args=[planned.earliest("pk").pk])
        yield "a planned distribution that cannot begin", alarmed, None
    chosen = {"action": "delete_selected", "_selected_action": [first.contact_id]}
    yield "deletion of contacts", reverse("admin:contacts_contact_changelist"), chosen
    by_text = reverse("admin:distributions_distribution_review", args=[crowd.draft_by_text.pk])
    yield "review of a survey by text", by_text, None
    written = {"message_text": "Hello ${m://FirstName}", "contact_list": crowd.patients.pk, "survey": crowd.survey.pk}
    yield "preview of a text", reverse("admin:distributions_distribution_preview"), written
    at_night = {"contact_list": crowd.patients.pk, "send_at": "2035-07-02T23:00"}
    yield "remark on a time", reverse("admin:distributions_distribution_night"), at_night
    if role == "administrator":
        selected = {"action": "delete_selected", "_selected_action": groups[:50]}  # as many as a page of the list shows
        yield "deletion of groups", reverse("admin:organizations_usergroup_changelist"), selected
        chosen = {"groups": groups, "use_sms_distributions": "inherit"}
        yield "explanation of a permission", reverse("admin:organizations_user_permission"), chosen
        replacing = reverse("admin:extensions_add_account", args=["twilio"])
        yield "replacement of an account", f"{replacing}?replaces={crowd.account.public_id}", None


@pytest.mark.parametrize("role", ["administrator", "member", "operator"])
def test_no_page_asks_for_more_when_it_shows_more(role: str) -> None:
    crowd = Crowd()
    client = Client()
    client.force_login(factories.operator() if role == "operator" else getattr(crowd, role))
    crowd.grow(FEW)
    few = {name: count(client, address, values) for name, address, values in own_pages(crowd, role)}

    crowd.grow(MANY)
    many = {name: count(client, address, values) for name, address, values in own_pages(crowd, role)}

    assert {name: number for name, number in many.items() if number >= MOST_QUERIES} == {}
    assert {name: (few[name], number) for name, number in many.items() if number > few[name]} == {}


def test_every_page_of_our_own_is_measured() -> None:
    crowd = Crowd()
    crowd.grow(1)
    measured = {
        resolve(address.partition("?")[0]).url_name
        for role in ("administrator", "member", "operator")
        for _name, address, _values in own_pages(crowd, role)
    }
    patterns = chain.from_iterable(getattr(each, "url_patterns", [each]) for each in admin.site.get_urls())
    names = {pattern.name for pattern in patterns if pattern.name}

    of_models = {name for name in names if name.endswith(OF_MODELS)}
    assert names - of_models - measured == NO_PAGES

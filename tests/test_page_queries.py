"""Every list and every form of the admin site asks the database a few times, however many rows there are.

Pages and rows are found by looking at the admin site: a new model is covered without a line here. Pages of our own with
another address are measured beside their other tests (test_extensions_portal.py, test_distribution_pages.py,
test_permissions.py).
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from extensions.models import ProviderAccount
from organizations.models import User
from tests import factories
from tests.tenants import Tenant

pytestmark = pytest.mark.django_db

MOST_QUERIES = 15  # fewer than this
FEW, MANY = 10, 1000
# An account's form is a page of our own; nobody has a thousand of what there is one of per extension.
MODELS = [model for model in admin.site._registry if model._meta.label != "extensions.EnabledExtension"]
TEXTS = (models.CharField, models.TextField)


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


def count(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
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

"""The filters beside the lists: whatever one offers can be chosen."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import reverse

from organizations.models import User
from tests import factories
from tests.tenants import Tenant

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", ["administrator", "operator"])
@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda model: model._meta.label)
def test_every_choice_of_every_filter_shows_a_list(model: type[models.Model], role: str) -> None:
    tenant = Tenant()
    user = factories.operator() if role == "operator" else tenant.organization.users.filter(role=role).earliest("pk")
    client = Client()
    client.force_login(user)
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    page = client.get(address)
    if page.status_code != 200:
        assert page.status_code in (302, 403)
        return
    offered = {unescape(link) for link in re.findall(r'href="(\?[^"#]+)"', page.content.decode())}
    shown = page.context["cl"]
    for spec in shown.filter_specs:
        offered |= {choice["query_string"] for choice in spec.choices(shown)}

    answers = {query: client.get(f"{address}{query}").status_code for query in offered if query != "?"}

    assert {query: status for query, status in answers.items() if status != 200} == {}


def test_filters_of_our_own_are_among_them() -> None:
    filters = {
        each.parameter_name
        for model_admin in admin.site._registry.values()
        for each in model_admin.list_filter
        if isinstance(each, type)
    }

    assert {"opted_out", "number", "active", "needs", "action"} <= filters
    assert User in admin.site._registry


@pytest.mark.parametrize(("role", "nobody"), [("administrator", "operator"), ("operator", "member")])
def test_the_roles_that_nobody_in_sight_has_are_not_offered(role: str, nobody: str) -> None:
    clinic = factories.organization()
    factories.user(clinic), factories.operator()
    user = factories.operator() if role == "operator" else factories.administrator(clinic)
    client = Client()
    client.force_login(user)

    page = client.get("/admin/organizations/user/").content.decode()

    assert "?role__exact=administrator" in page or role == "operator"
    assert f"?role__exact={role}" in page
    assert f"?role__exact={nobody}" not in page

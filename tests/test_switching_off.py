"""What ends with a password, and with being switched off: API tokens, sessions and password links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from organizations import invitations, tokens
from organizations.models import ApiToken, AuditEvent, Organization, User
from tests import factories
from tests.addresses import path_of

NEW = "a new heron stands still"


@pytest.fixture
def clinic(db: None) -> Organization:
    return factories.organization("Clinic")


@pytest.fixture
def ada(clinic: Organization) -> User:
    return factories.administrator(clinic, name="Ada")


@pytest.fixture
def grace(clinic: Organization) -> User:
    return factories.user(clinic, name="Grace", use_sms_distributions="enabled")


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def works(token: str) -> bool:
    return bool(Client(headers={"x-api-token": token}).get("/API/v3/whoami").status_code == 200)


def through_a_link(user: User) -> tuple[Client, str]:
    client = Client()
    answer = client.get(path_of(invitations.link_for(user)))
    return client, answer.url


def set_by_link(user: User, **more: str) -> Any:
    client, address = through_a_link(user)
    return client.post(address, {"new_password1": NEW, "new_password2": NEW, **more})


def change_own(user: User, **more: str) -> Any:
    data = {"old_password": factories.PASSWORD, "new_password1": NEW, "new_password2": NEW, **more}
    return client_of(user).post("/admin/password_change/", data)


Way = Callable[..., Any]
WAYS = pytest.mark.parametrize("set_password", [set_by_link, change_own])


# --- A new password --------------------------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("ticked", [True, False])
def test_a_new_password_ends_the_api_token_if_that_is_ticked(grace: User, set_password: Way, ticked: bool) -> None:
    token = tokens.regenerate(grace)

    answer = set_password(grace, **({"end_token": "on"} if ticked else {}))

    assert answer.status_code == 302
    assert works(token) is not ticked
    assert AuditEvent.objects.filter(action="ended an API token", actor=grace).exists() is ticked


@WAYS
def test_a_new_password_ends_every_other_session_and_not_the_one_that_set_it(grace: User, set_password: Way) -> None:
    """On a phone that was lost, or in a browser where somebody forgot to log out."""
    elsewhere = client_of(grace)
    assert elsewhere.get("/admin/").status_code == 200

    here = set_password(grace).client

    assert elsewhere.get("/admin/").status_code == 302
    assert elsewhere.get("/admin/").url.startswith("/admin/login/")
    assert here.get("/admin/").status_code == 200


@pytest.mark.parametrize("page", ["link", "own"])
def test_it_is_ticked_unless_somebody_unticks_it(grace: User, page: str) -> None:
    tokens.regenerate(grace)
    client, address = through_a_link(grace) if page == "link" else (client_of(grace), "/admin/password_change/")

    form = client.get(address).context["form"]

    assert form["end_token"].value() is True
    assert "checked" in str(form["end_token"])


@WAYS
def test_somebody_without_a_token_is_not_asked(grace: User, set_password: Way) -> None:
    assert "end_token" not in client_of(grace).get("/admin/password_change/").context["form"].fields
    assert set_password(grace).status_code == 302


@WAYS
def test_a_password_that_is_refused_ends_nothing(grace: User, set_password: Way) -> None:
    token = tokens.regenerate(grace)

    assert set_password(grace, new_password2="different", end_token="on").status_code == 200
    assert works(token)


# --- Switched off ----------------------------------------------------------------------------------------------------


def by_form(ada: User, grace: User, active: bool) -> None:
    data = {"email": grace.email, "name": "Grace", "role": "member", "use_sms_distributions": "enabled"}
    answer = client_of(ada).post(
        f"/admin/organizations/user/{grace.pk}/change/", {**data, **({"is_active": "on"} if active else {})}
    )
    assert answer.status_code == 302


def by_save(ada: User, grace: User, active: bool) -> None:
    user = User.objects.get(pk=grace.pk)
    user.is_active = active
    user.save(update_fields=["is_active"])


def by_update(ada: User, grace: User, active: bool) -> None:
    User.objects.filter(pk=grace.pk).update(is_active=active)


@pytest.mark.parametrize("switch", [by_form, by_save, by_update])
def test_switching_on_again_revives_nothing(ada: User, grace: User, switch: Callable[[User, User, bool], None]) -> None:
    token, session, (link, address) = tokens.regenerate(grace), client_of(grace), through_a_link(grace)

    switch(ada, grace, False)
    assert not works(token)
    switch(ada, grace, True)

    grace.refresh_from_db()
    assert grace.is_active
    assert not works(token)
    assert ApiToken.objects.get().revoked_at is not None
    assert session.get("/admin/").status_code == 302
    assert link.post(address, {"new_password1": NEW, "new_password2": NEW}).status_code == 200
    assert grace.check_password(factories.PASSWORD)


def test_it_is_written_down_and_they_can_begin_anew(ada: User, grace: User) -> None:
    tokens.regenerate(grace)
    by_form(ada, grace, False)
    by_form(ada, grace, True)
    grace.refresh_from_db()

    assert AuditEvent.objects.filter(action="ended an API token", actor=ada, object_id=grace.public_id).count() == 1
    assert works(tokens.regenerate(grace))
    assert client_of(grace).get("/admin/").status_code == 200
    assert set_by_link(grace).status_code == 302


def test_saving_somebody_else_about_a_person_ends_nothing(ada: User, grace: User) -> None:
    token, session = tokens.regenerate(grace), client_of(grace)

    by_form(ada, grace, True)

    assert works(token)
    assert session.get("/admin/").status_code == 200


def test_deleting_somebody_ends_their_token(ada: User, grace: User) -> None:
    token = tokens.regenerate(grace)

    client_of(ada).post(f"/admin/organizations/user/{grace.pk}/delete/", {"post": "yes"})

    assert not works(token)


# --- Links -----------------------------------------------------------------------------------------------------------


def test_a_link_ends_with_a_change_of_role(grace: User) -> None:
    """Else a member's old invitation would set the password of an administrator."""
    client, address = through_a_link(grace)
    User.objects.filter(pk=grace.pk).update(role=User.Role.ADMINISTRATOR)

    client.post(address, {"new_password1": NEW, "new_password2": NEW})

    grace.refresh_from_db()
    assert grace.check_password(factories.PASSWORD)


def test_a_link_works_once(grace: User) -> None:
    assert set_by_link(grace).status_code == 302
    grace.refresh_from_db()
    assert grace.check_password(NEW)

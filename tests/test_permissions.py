"""Who may do what, and how it is explained: rights of three values, roles, licences, audit trail, log-in and tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client
from django.utils import timezone
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIRequestFactory

from extensions import registry
from organizations import audit, invitations, permissions, tokens
from organizations.authentication import ApiTokenAuthentication
from organizations.models import ApiToken, AuditEvent, Organization, User, UserGroup, UserType
from organizations.permissions import MissingRight, Setting, require_role, require_sms, resolve
from tests import factories
from tests.addresses import path_of
from webhooks.models import RefusedCallback

AS, E, D = Setting.INHERIT, Setting.ENABLED, Setting.DISABLED  # as inherited, enabled, disabled

settings_of_a_level = st.sampled_from(list(Setting))


@pytest.fixture
def clinic(db: None) -> Organization:
    return factories.organization(support_contact="Ada Lovelace, ada@example.org")


@pytest.fixture
def ada(clinic: Organization) -> User:
    return factories.administrator(clinic, name="Ada")


@pytest.fixture
def as_ada(ada: User, client: Client) -> Client:
    client.force_login(ada)
    return client


# --- Three values, four levels (R30, R31) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "groups", "user_type", "allowed", "explanation"),
    [
        (E, [], None, True, "Enabled for this user."),
        (D, [], None, False, "Disabled for this user."),
        (E, [("Team", D)], ("Basic", D), True, "Enabled for this user."),
        (D, [("Team", E)], ("Staff", E), False, "Disabled for this user."),
        (AS, [("Team", E)], ("Basic", D), True, "Enabled by group “Team”."),
        (AS, [("Team", D)], ("Staff", E), False, "Disabled by group “Team”."),
        (AS, [("Team", E), ("Interns", D)], None, False, "Disabled by group “Interns”."),
        (AS, [("Team", AS)], ("Staff", E), True, "Enabled by user type “Staff”."),
        (AS, [], ("Basic", D), False, "Disabled by user type “Basic”."),
        (AS, [("Team", AS)], ("Basic", AS), False, "Not enabled for this user, any group or the user type."),
        (AS, [], None, False, "Not enabled for this user, any group or the user type."),
    ],
)
def test_the_nearest_level_that_says_something_decides(
    user: str, groups: list[tuple[str, str]], user_type: tuple[str, str] | None, allowed: bool, explanation: str
) -> None:
    with override("en"):
        decision = resolve(user, groups, user_type)

    assert (decision.allowed, decision.explanation) == (allowed, explanation)


@given(
    user=settings_of_a_level,
    groups=st.lists(st.tuples(st.text(min_size=1, max_size=8), settings_of_a_level), max_size=5),
    user_type=st.none() | st.tuples(st.just("Type"), settings_of_a_level),
)
def test_a_right_is_never_had_unless_some_level_enables_it(
    user: str, groups: list[tuple[str, str]], user_type: tuple[str, str] | None
) -> None:
    levels = [[user], [setting for _name, setting in groups], [user_type[1]] if user_type else []]
    speaking = next((level for level in levels if any(setting != AS for setting in level)), [])

    decision = resolve(user, groups, user_type)

    assert decision.allowed == (E in speaking and D not in speaking)
    assert resolve(user, list(reversed(groups)), user_type).allowed == decision.allowed
    assert decision.explanation


# --- What is refused says what is missing and whom to ask ------------------------------------------------------------


def test_a_member_with_the_permission_may_send(clinic: Organization) -> None:
    """R33: nobody has to be an administrator for it."""
    require_sms(factories.user(clinic, use_sms_distributions=E))


def test_a_member_without_it_is_told_what_is_missing_and_whom_to_ask(clinic: Organization) -> None:
    """R32."""
    basic = UserType.objects.create(organization=clinic, name="Basic", use_sms_distributions=D)

    with override("en"), pytest.raises(MissingRight) as refusal:
        require_sms(factories.user(clinic, user_type=basic))

    assert str(refusal.value) == (
        "You need the permission “Use SMS distributions”. Disabled by user type “Basic”. "
        "Please ask Ada Lovelace, ada@example.org."
    )
    assert isinstance(refusal.value, PermissionDenied)


@pytest.mark.django_db
def test_without_the_sms_add_on_nobody_may_send() -> None:
    """R12: also administrators, whatever their permission says."""
    surgery = factories.organization("Hill Street", sms=False)

    with override("en"), pytest.raises(MissingRight, match="licence of Hill Street does not include SMS"):
        require_sms(factories.administrator(surgery))


@pytest.mark.django_db
def test_an_operator_sends_nothing() -> None:
    with pytest.raises(MissingRight):
        require_sms(factories.operator())


def test_a_role_that_is_missing_is_named(clinic: Organization) -> None:
    with override("en"), pytest.raises(MissingRight, match=r"needs the role Administrator; yours is Member\. .*Ada"):
        require_role(factories.user(clinic), User.Role.ADMINISTRATOR)


def test_a_denied_page_shows_the_sentence(clinic: Organization, client: Client) -> None:
    client.force_login(factories.user(clinic))

    page = client.get("/admin/organisation/")

    assert page.status_code == 403
    assert "This needs the role Administrator; yours is Member. Please ask Ada Lovelace" in page.content.decode()


def test_a_page_that_gives_no_reason_still_says_whom_to_ask(clinic: Organization, client: Client) -> None:
    client.force_login(factories.user(clinic))

    page = client.get("/admin/organizations/user/")

    assert page.status_code == 403
    assert "Your role is Member, which does not allow this. Please ask Ada Lovelace" in page.content.decode()


# --- The menu follows rights -----------------------------------------------------------------------------------------


def test_members_see_no_extensions_menu(clinic: Organization, client: Client) -> None:
    """R11."""
    client.force_login(factories.user(clinic, use_sms_distributions=E))

    home = client.get("/admin/").content.decode()

    assert "/admin/extensions/" not in home
    assert "/admin/organizations/user/" not in home


def test_administrators_reach_extensions_from_the_menu(as_ada: Client) -> None:
    """R17."""
    assert 'href="/admin/extensions/"' in as_ada.get("/admin/").content.decode()


@pytest.mark.django_db
def test_without_the_add_on_the_menu_has_neither_extensions_nor_distributions(client: Client) -> None:
    """R12, and R13: the home page says that the licence has no SMS."""
    client.force_login(factories.administrator(factories.organization(sms=False)))

    home = client.get("/admin/").content.decode()

    assert 'href="/admin/extensions/"' not in home
    assert 'href="/admin/distributions/distribution/"' not in home
    assert "does not include SMS" in home


@pytest.mark.django_db
def test_operators_see_organisations_and_nothing_they_do(client: Client) -> None:
    client.force_login(factories.operator())

    home = client.get("/admin/").content.decode()

    assert "/admin/organizations/organization/" in home
    assert "/admin/contacts/" not in home
    assert "/admin/distributions/" not in home
    assert client.get("/admin/contacts/contactlist/").status_code == 403


# --- People ----------------------------------------------------------------------------------------------------------


def form_of(user: User | None = None, **changes: Any) -> dict[str, Any]:
    data = {
        "email": user.email if user else "new@example.org",
        "name": user.name if user else "New Person",
        "is_active": "on" if user is None or user.is_active else "",
        "role": user.role if user else "member",
        "user_type": "",
        "use_sms_distributions": user.use_sms_distributions if user else "inherit",
    }
    data.update(changes)
    return {name: value for name, value in data.items() if value is not None}


def change(client: Client, user: User, **changes: Any) -> Any:
    return client.post(f"/admin/organizations/user/{user.pk}/change/", form_of(user, **changes))


def test_adding_somebody_shows_a_link_once_by_which_they_set_their_password(
    as_ada: Client, clinic: Organization
) -> None:
    shown = as_ada.post("/admin/organizations/user/add/", form_of(), follow=True)
    added = User.objects.get(email="new@example.org")
    link = shown.context["link"]
    page = f"/admin/organizations/user/{added.pk}/invitation/"
    elsewhere = Client()
    elsewhere.force_login(User.objects.get(pk=as_ada.session["_auth_user_id"]))

    assert added.organization == clinic
    assert not added.has_usable_password()
    again = as_ada.get(page).context["link"]  # a reload, in the window that has shown it; it knows the second
    assert elsewhere.get(page).status_code == 302
    visitor = Client()
    form = visitor.get(path_of(again), follow=True)
    password = {"new_password1": "a quiet heron stands", "new_password2": "a quiet heron stands"}
    assert visitor.post(form.redirect_chain[-1][0], password).status_code == 302
    assert visitor.login(username="NEW@example.org", password="a quiet heron stands")
    assert "has been used" in Client().get(path_of(link)).content.decode()


def test_a_link_of_somebody_who_was_switched_off_opens_nothing(clinic: Organization, client: Client) -> None:
    gone = factories.user(clinic, is_active=False)

    page = client.get(path_of(invitations.link_for(gone)), follow=True)

    assert "has been used, has expired" in page.content.decode()


def test_an_administrator_makes_no_operator(as_ada: Client, clinic: Organization) -> None:
    member = factories.user(clinic)

    for attempt in (
        change(as_ada, member, role="operator"),
        as_ada.post("/admin/organizations/user/add/", form_of(role="operator")),
    ):
        assert attempt.status_code == 200
        assert attempt.context["errors"]
    assert not User.objects.filter(role="operator").exists()


def test_a_user_type_of_another_organisation_is_refused(as_ada: Client, clinic: Organization) -> None:
    foreign = UserType.objects.create(organization=factories.organization(), name="Foreign", use_sms_distributions=E)
    member = factories.user(clinic)

    assert change(as_ada, member, user_type=foreign.pk).status_code == 200

    member.refresh_from_db()
    assert member.user_type is None


@pytest.mark.parametrize("changes", [{"role": "member"}, {"is_active": None}])
def test_the_last_administrator_stays(as_ada: Client, ada: User, changes: dict[str, Any]) -> None:
    attempt = change(as_ada, ada, **changes)

    assert attempt.status_code == 200
    assert "last administrator" in attempt.content.decode()
    ada.refresh_from_db()
    assert ada.is_active
    assert ada.role == "administrator"


def test_all_administrators_of_an_organisation_cannot_be_deleted_together(clinic: Organization, ada: User) -> None:
    """Of each of them it is true that there is another one."""
    chosen = [ada.pk, factories.administrator(clinic).pk]
    client = Client()
    client.force_login(factories.operator())
    action = {"action": "delete_selected", "_selected_action": chosen}

    asked = client.post("/admin/organizations/user/", action)
    done = client.post("/admin/organizations/user/", {**action, "post": "yes"})

    assert asked.context["perms_lacking"]
    assert done.status_code == 403
    assert User.objects.filter(pk__in=chosen).count() == 2

    client.post("/admin/organizations/user/", {**action, "_selected_action": chosen[1:], "post": "yes"})
    assert list(User.objects.filter(pk__in=chosen)) == [ada]


def test_the_last_administrator_and_oneself_cannot_be_deleted(as_ada: Client, ada: User, clinic: Organization) -> None:
    other = factories.administrator(clinic)

    assert as_ada.post(f"/admin/organizations/user/{ada.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [ada.pk, other.pk], "post": "yes"}
    as_ada.post("/admin/organizations/user/", chosen)

    assert User.objects.filter(pk__in=[ada.pk, other.pk], is_active=True).exists()
    assert User.objects.filter(pk=ada.pk).exists()


def test_with_two_administrators_one_may_step_down(as_ada: Client, ada: User, clinic: Organization) -> None:
    factories.administrator(clinic)

    assert change(as_ada, ada, role="member").status_code == 302

    ada.refresh_from_db()
    assert ada.role == "member"


def test_the_user_page_explains_the_permission_and_recomputes_it(as_ada: Client, clinic: Organization) -> None:
    basic = UserType.objects.create(organization=clinic, name="Basic", use_sms_distributions=D)
    team = UserGroup.objects.create(organization=clinic, name="Team", use_sms_distributions=E)
    member = factories.user(clinic, user_type=basic)

    page = as_ada.get(f"/admin/organizations/user/{member.pk}/change/").content.decode()
    preview = as_ada.post(
        "/admin/organizations/user/permission/",
        {"user_type": basic.pk, "groups": [team.pk], "use_sms_distributions": "inherit"},
    ).content.decode()

    assert "Disabled by user type “Basic”." in page
    assert "Enabled by group “Team”." in preview


@pytest.mark.parametrize("rows", [10, 200])
def test_the_list_of_users_takes_the_same_few_queries_however_long(
    as_ada: Client, clinic: Organization, rows: int, django_assert_max_num_queries: Any
) -> None:
    kind = UserType.objects.create(organization=clinic, name="Basic", use_sms_distributions=D)
    team = UserGroup.objects.create(organization=clinic, name="Team", use_sms_distributions=E)
    people = User.objects.bulk_create(
        User(email=f"p{number}@example.org", organization=clinic, user_type=kind) for number in range(rows)
    )
    team.users.add(*people)

    with django_assert_max_num_queries(15):
        assert as_ada.get("/admin/organizations/user/").status_code == 200


# --- The organisation ------------------------------------------------------------------------------------------------


def settings_of(organization: Organization, **changes: Any) -> dict[str, Any]:
    return {
        "name": organization.name,
        "language": "en",
        "time_zone": "Europe/Berlin",
        "default_region": "DE",
        "support_contact": "Ada",
        "quiet_from": "",
        "quiet_until": "",
        "stop_words": "Basta",
        **changes,
    }


def test_the_organisation_page_shows_the_ids_and_never_changes_them(
    as_ada: Client, clinic: Organization, settings: Any
) -> None:
    """R96."""
    settings.DATACENTER_ID = "eu-lab"
    page = as_ada.get("/admin/organisation/").content.decode()
    as_ada.post("/admin/organisation/", settings_of(clinic, public_id="ORG_other", name="Renamed"))

    assert f'data-copy="{clinic.public_id}"' in page
    assert 'data-copy="eu-lab"' in page
    stored = Organization.objects.get(pk=clinic.pk)
    assert (stored.public_id, stored.name, stored.time_zone) == (clinic.public_id, "Renamed", "Europe/Berlin")


@pytest.mark.parametrize(
    ("quiet", "complaint"),
    [
        ({"quiet_from": "21:00"}, "Quiet hours need a beginning and an end"),
        ({"quiet_until": "08:00"}, "Quiet hours need a beginning and an end"),
        ({"quiet_from": "21:00", "quiet_until": "21:00"}, "The end must differ"),
        ({"quiet_from": "9 pm", "quiet_until": "08:00"}, "Enter a time"),
        ({"time_zone": "Middle/Earth"}, "one of the choices"),
        ({"default_region": "de"}, "one of the choices"),
        ({"name": ""}, "required"),
    ],
)
def test_wrong_settings_are_named_at_their_field(
    as_ada: Client, clinic: Organization, quiet: dict[str, str], complaint: str
) -> None:
    page = as_ada.post("/admin/organisation/", settings_of(clinic, **quiet))

    assert page.status_code == 200
    assert complaint in page.content.decode()


def test_an_organisation_gets_its_licence_extensions_and_first_administrator_in_one_step(
    db: None, client: Client
) -> None:
    """R12, R14: what the vendor does."""
    client.force_login(factories.operator())
    data = {
        "name": "New Hospital",
        "public_id": "new-hospital",
        "language": "de",
        "time_zone": "Europe/Berlin",
        "default_region": "DE",
        "administrator_email": "Chief@example.org",
        "extensions": ["twilio"],
        "licence-TOTAL_FORMS": 1,
        "licence-INITIAL_FORMS": 0,
        "licence-MIN_NUM_FORMS": 1,
        "licence-MAX_NUM_FORMS": 1,
        "licence-0-sms": "on",
        "licence-0-two_way": "on",
    }

    shown = client.post("/admin/organizations/organization/add/", data, follow=True)

    hospital = Organization.objects.get(public_id="new-hospital")
    chief = User.objects.get(email="chief@example.org")
    assert hospital.has_sms
    assert list(hospital.enabled_extensions.values_list("provider", flat=True)) == ["twilio"]
    assert (chief.organization, chief.role, chief.sms_permission().allowed) == (hospital, "administrator", True)
    assert "/admin/invitation/" in shown.context["link"]
    trail = AuditEvent.objects.filter(organization=hospital)
    assert trail.filter(action=audit.LICENCE_CHANGED, detail__changes__sms=[False, True]).exists()
    assert trail.filter(action=audit.ADDED, object_type="user").exists()


# --- The audit trail (W14) -------------------------------------------------------------------------------------------


def test_the_audit_trail_only_grows(clinic: Organization) -> None:
    event = audit.record("tried", organization=clinic)

    for attempt in (
        event.save,
        event.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(action="nothing"),
        lambda: AuditEvent.objects.filter(pk=event.pk).delete(),
    ):
        with pytest.raises(ValidationError):
            attempt()
    assert AuditEvent.objects.filter(pk=event.pk, action="tried").exists()


@pytest.mark.parametrize("page", ["add/", "{}/change/", "{}/delete/"])
def test_nobody_writes_in_the_audit_trail(as_ada: Client, clinic: Organization, page: str) -> None:
    event = audit.record("tried", organization=clinic)

    answer = as_ada.post(f"/admin/organizations/auditevent/{page.format(event.pk)}", {"action": "x", "post": "yes"})

    assert answer.status_code == 403
    assert AuditEvent.objects.get(pk=event.pk).action == "tried"


def test_a_changed_right_is_written_down_with_old_and_new(as_ada: Client, ada: User, clinic: Organization) -> None:
    member = factories.user(clinic)

    change(as_ada, member, use_sms_distributions="enabled", email="private@example.org")

    event = AuditEvent.objects.get(action=audit.CHANGED)
    assert event.actor == ada
    assert event.address == "127.0.0.1"
    assert event.detail["changes"] == {"use_sms_distributions": ["inherit", "enabled"], "email": []}
    assert "Use SMS distributions: As inherited → Enabled" in audit.sentence(event)
    page = as_ada.get("/admin/organizations/auditevent/", {"action": "changed", "actor__id__exact": ada.pk})
    assert "As inherited → Enabled" in page.content.decode()


def test_no_secret_gets_into_the_audit_trail(as_ada: Client, ada: User) -> None:
    password = {
        "old_password": factories.PASSWORD,
        "new_password1": "a quiet heron stands",
        "new_password2": "a quiet heron stands",
    }
    as_ada.post("/admin/password_change/", password)
    token = as_ada.post("/admin/profile/token/", follow=True).context["new_token"]

    trail = json.dumps(list(AuditEvent.objects.values("action", "object_name", "object_id", "detail")))

    assert "set a password" in trail
    assert "made an API token" in trail
    for secret in ("heron", factories.PASSWORD, token, token[:8], ApiToken.objects.get().digest):
        assert secret not in trail


# --- Logging in ------------------------------------------------------------------------------------------------------


def log_in(client: Client, email: str, password: str, **extra: Any) -> Any:
    return client.post("/admin/login/", {"username": email, "password": password, "next": "/admin/"}, **extra)


def test_people_log_in_by_e_mail_whatever_its_case(ada: User, client: Client) -> None:
    assert log_in(client, ada.email.upper(), factories.PASSWORD).status_code == 302
    assert AuditEvent.objects.get().action == "logged in"


def test_what_was_typed_as_e_mail_is_not_kept(db: None, client: Client) -> None:
    """It may be a password in the wrong field."""
    log_in(client, "my-secret-password", "x")

    event = AuditEvent.objects.get()
    assert "my-secret-password" not in json.dumps([event.detail, event.object_name, event.actor_email])


def test_somebody_switched_off_is_out_at_once(ada: User, as_ada: Client) -> None:
    User.objects.filter(pk=ada.pk).update(is_active=False)

    assert as_ada.get("/admin/").status_code == 302
    assert "Wrong e-mail or password" in log_in(as_ada, ada.email, factories.PASSWORD).content.decode()


def test_a_password_link_is_of_no_use_to_anybody_else(ada: User, clinic: Organization) -> None:
    other = factories.user(clinic)

    assert not default_token_generator.check_token(other, default_token_generator.make_token(ada))


# --- API tokens ------------------------------------------------------------------------------------------------------


def authenticate(token: str) -> Any:
    return ApiTokenAuthentication().authenticate(APIRequestFactory().get("/", headers={"X-API-TOKEN": token}))


def test_a_token_stands_for_its_user_and_is_kept_only_as_a_digest(ada: User) -> None:
    token = tokens.regenerate(ada)

    user, found = authenticate(token)

    assert user == ada
    assert token not in json.dumps(list(ApiToken.objects.values("digest", "prefix")))
    assert ApiToken.objects.get(pk=found.pk).last_used_at is not None


def test_a_new_token_ends_the_old_one_at_once(ada: User) -> None:
    old = tokens.regenerate(ada)
    new = tokens.regenerate(ada)

    assert authenticate(new)
    with pytest.raises(AuthenticationFailed):
        authenticate(old)


@pytest.mark.parametrize("ending", ["inactive", "ended"])
def test_a_token_dies_with_its_user_or_by_hand(ada: User, ending: str) -> None:
    token = tokens.regenerate(ada)
    if ending == "inactive":
        User.objects.filter(pk=ada.pk).update(is_active=False)
    else:
        tokens.end(ada)

    with pytest.raises(AuthenticationFailed):
        authenticate(token)


def test_without_a_token_others_may_authenticate(db: None) -> None:
    assert ApiTokenAuthentication().authenticate(APIRequestFactory().get("/")) is None


def test_the_token_is_shown_once(as_ada: Client) -> None:
    shown = as_ada.post("/admin/profile/token/", follow=True)

    assert shown.context["new_token"] in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    for page in ("/admin/profile/", "/admin/organisation/"):
        assert shown.context["new_token"] not in as_ada.get(page).content.decode()


# --- Pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("role", ["administrator", "member", "operator"])
def test_the_home_page_takes_few_queries_however_much_there_is(
    db: None, client: Client, role: str, rows: int, django_assert_max_num_queries: Any
) -> None:
    clinic = factories.organization()
    for _number in range(rows):
        factories.distribution(clinic, launched_at=timezone.now())
    for _number in range(min(rows, 8)):
        factories.account(clinic, "twilio")
    client.force_login(factories.operator() if role == "operator" else factories.user(clinic, role))

    with django_assert_max_num_queries(15):
        assert client.get("/admin/").status_code == 200


def test_the_home_page_names_the_provider_whose_address_was_called(as_ada: Client, clinic: Organization) -> None:
    """Another provider may know the same address by an alias; its owner is meant."""
    for provider in registry.all():
        RefusedCallback.objects.create(
            organization=clinic, slug=provider.slug, kind="status", reason="wrong signature", day=timezone.now().date()
        )
        page = as_ada.get("/admin/")
        assert page.context["refused"][0]["provider"] == provider.name
        RefusedCallback.objects.all().delete()


def test_the_admin_site_alone_has_a_relaxed_policy(as_ada: Client) -> None:
    inside = as_ada.get("/admin/")["Content-Security-Policy"]
    outside = as_ada.get("/nothing-here/")["Content-Security-Policy"]

    assert "script-src 'self' 'unsafe-eval'" in inside
    assert "unsafe-inline" not in inside.split("script-src")[1].split(";")[0]
    assert "unsafe" not in outside


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/admin/organisation/", "/admin/organisation/"), ("https://evil.example/", "/admin/"), ("", "/admin/")],
)
def test_the_language_is_remembered_and_leads_nowhere_else(as_ada: Client, ada: User, path: str, expected: str) -> None:
    answer = as_ada.post("/admin/language/", {"language": "de", "next": path})

    ada.refresh_from_db()
    assert ada.language == "de"
    assert answer.url == expected


def test_permissions_module_explains_who_to_ask_without_a_contact(db: None) -> None:
    with override("en"):
        assert permissions.whom_to_ask(factories.organization()) == "Please ask an administrator of your organisation."

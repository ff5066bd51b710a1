"""What something planned depends on: when it goes, the plan says so at once, and as long as nobody has acted."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from contacts import importing
from contacts.models import Contact, ContactList, OptOut
from distributions import services
from distributions.models import Distribution
from distributions.planning import editing, starting
from extensions import services as accounts
from extensions.models import EnabledExtension, ProviderAccount
from organizations.models import Licence, Organization, User, UserGroup, UserType
from surveys.models import Survey
from tests import factories
from tests.test_commitments import survey_form

pytestmark = pytest.mark.django_db

State = Distribution.State
PEOPLE = 4


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def home(user: User) -> str:
    return unescape(client_of(user).get(reverse("admin:index")).content.decode())


class House:
    """An organisation with one planned distribution, a draft and a finished one, all on the same list and survey."""

    def __init__(self, name: str) -> None:
        self.clinic = factories.organization(name, default_region="GB")
        self.administrator = factories.administrator(self.clinic, name=f"Ada of {name}")
        self.planner = factories.user(self.clinic, use_sms_distributions="enabled", name=f"Grace of {name}")
        self.colleague = factories.user(self.clinic, use_sms_distributions="enabled", name=f"Mary of {name}")
        self.account = factories.account(self.clinic)
        self.people = factories.contact_list(self.clinic, PEOPLE)
        self.survey = factories.survey(self.clinic)
        self.planned = self.plan(f"Spring at {name}")
        self.others = [
            factories.distribution(
                self.clinic,
                name=f"{state} at {name}",
                state=state,
                contact_list=self.people,
                survey=self.survey,
                launched_by=self.planner,
                send_at=timezone.now() + timedelta(days=1),
            )
            for state in (State.DRAFT, State.FINISHED, State.CANCELLED)
        ]

    def plan(self, name: str, **fields: Any) -> Distribution:
        draft = factories.distribution(
            self.clinic,
            name=name,
            contact_list=self.people,
            survey=self.survey,
            send_at=timezone.now() + timedelta(days=7),
            **fields,
        )
        return services.launch(draft, self.planner)

    @property
    def client(self) -> Client:
        return client_of(self.administrator)

    def problem(self) -> str:
        self.planned.refresh_from_db()
        return self.planned.problem


@pytest.fixture
def house() -> House:
    return House("Riverside")


@pytest.fixture
def neighbour() -> House:
    return House("Hillside")


# --- ways by which what is needed goes --------------------------------------------------------------------------------


def delete(house: House, model: str, pk: int) -> Any:
    return house.client.post(f"/admin/{model}/{pk}/delete/", {"post": "yes"})


def delete_selected(house: House, model: str, *keys: int) -> Any:
    chosen = {"action": "delete_selected", "post": "yes", "_selected_action": keys}
    return house.client.post(f"/admin/{model}/", chosen)


def save_user(house: House, **changed: Any) -> Any:
    user = house.planner
    form = {
        "email": user.email,
        "name": user.name,
        "is_active": "on",
        "role": "member",
        "use_sms_distributions": "enabled",
        "see_recipients": "inherit",
        **changed,
    }
    sent = {name: value for name, value in form.items() if value is not None}
    return house.client.post(f"/admin/organizations/user/{user.pk}/change/", sent)


def save_organization(house: House, **changed: Any) -> Any:
    clinic = house.clinic
    form = {
        "name": clinic.name,
        "language": "en",
        "time_zone": "UTC",
        "default_region": "GB",
        "support_contact": "",
        "extensions": ["twilio", "infobip"],
        "licence-TOTAL_FORMS": 1,
        "licence-INITIAL_FORMS": 1,
        "licence-0-id": Licence.objects.get(organization=clinic).pk,
        "licence-0-organization": clinic.pk,
        "licence-0-sms": "on",
        "licence-0-two_way": "on",
        **changed,
    }
    sent = {name: value for name, value in form.items() if value is not None}
    return client_of(factories.operator()).post(f"/admin/organizations/organization/{clinic.pk}/change/", sent)


def delete_the_list(house: House) -> Any:
    return delete(house, "contacts/contactlist", house.people.pk)


def delete_lists(house: House) -> Any:
    return delete_selected(house, "contacts/contactlist", house.people.pk)


def delete_everybody(house: House) -> Any:
    return delete_selected(house, "contacts/contact", *house.people.contacts.values_list("pk", flat=True))


def delete_the_last(house: House) -> Any:
    *others, last = house.people.contacts.order_by("pk")
    Contact.objects.filter(pk__in=[contact.pk for contact in others]).delete()
    return delete(house, "contacts/contact", last.pk)


def take_the_last_number(house: House) -> Any:
    *others, last = house.people.contacts.order_by("pk")
    Contact.objects.filter(pk__in=[contact.pk for contact in others]).delete()
    form = {"contact_list": house.people.pk, "phone": "", "first_name": "Ada", "fields": "{}"}
    return house.client.post(f"/admin/contacts/contact/{last.pk}/change/", form)


def opt_out_the_last(house: House) -> Any:
    *others, last = house.people.contacts.order_by("pk")
    Contact.objects.filter(pk__in=[contact.pk for contact in others]).delete()
    return house.client.post("/admin/contacts/optout/add/", {"phone": last.phone, "evidence": "asked"})


def many_more(house: House) -> Any:
    form = {"contact_list": house.people.pk, "first_name": "Ada", "fields": "{}"}
    for index in range(11):
        answer = house.client.post("/admin/contacts/contact/add/", {**form, "phone": f"+4477008{index:05d}"})
    return answer


def no_address(house: House) -> Any:
    form = survey_form(
        house.survey,
        url="",
        **{
            "questions-TOTAL_FORMS": 1,
            "questions-0-kind": "text",
            "questions-0-text": "How was it?",
            "questions-0-id": "",
            "questions-0-survey": house.survey.pk,
        },
    )
    return house.client.post(f"/admin/surveys/survey/{house.survey.pk}/change/", form)


def delete_the_account(house: House) -> Any:
    return house.client.post(f"/admin/extensions/account/{house.account.public_id}/delete/")


def extension_off(house: House) -> Any:
    return save_organization(house, extensions=["infobip"])


def extension_deleted(house: House) -> Any:
    switch = EnabledExtension.objects.get(organization=house.clinic, provider="twilio")
    operator = client_of(factories.operator())
    return operator.post(f"/admin/extensions/enabledextension/{switch.pk}/delete/", {"post": "yes"})


def extensions_deleted(house: House) -> Any:
    switch = EnabledExtension.objects.get(organization=house.clinic, provider="twilio")
    chosen = {"action": "delete_selected", "post": "yes", "_selected_action": [switch.pk]}
    return client_of(factories.operator()).post("/admin/extensions/enabledextension/", chosen)


def licence_ends(house: House) -> Any:
    """The form asks first whether that is meant."""
    without = {"licence-0-sms": None}
    assert "Nothing is saved yet" in save_organization(house, **without).content.decode()
    assert Licence.objects.get(organization=house.clinic).sms
    return save_organization(house, **without, as_it_is="on")


def delete_the_planner(house: House) -> Any:
    return delete(house, "organizations/user", house.planner.pk)


def delete_users(house: House) -> Any:
    return delete_selected(house, "organizations/user", house.planner.pk)


def switch_the_planner_off(house: House) -> Any:
    return save_user(house, is_active=None)


def withdraw_the_right(house: House) -> Any:
    return save_user(house, use_sms_distributions="disabled")


def into_a_group_without(house: House) -> Any:
    group = UserGroup.objects.create(organization=house.clinic, name="Guests", use_sms_distributions="disabled")
    return save_user(house, use_sms_distributions="inherit", groups=[group.pk])


def of_a_type_without(house: House) -> Any:
    kind = UserType.objects.create(organization=house.clinic, name="Basic", use_sms_distributions="disabled")
    return save_user(house, use_sms_distributions="inherit", user_type=kind.pk)


def by_a_group(house: House, name: str = "Senders") -> UserGroup:
    """The planner may send because a group says so."""
    group = UserGroup.objects.create(organization=house.clinic, name=name, use_sms_distributions="enabled")
    User.objects.filter(pk=house.planner.pk).update(use_sms_distributions="inherit")
    house.planner.groups.add(group)
    return group


def withdraw_from_the_group(house: House) -> Any:
    group = by_a_group(house)
    form = {"name": group.name, "use_sms_distributions": "disabled", "see_recipients": "inherit"}
    return house.client.post(f"/admin/organizations/usergroup/{group.pk}/change/", form)


def delete_the_group(house: House) -> Any:
    return delete(house, "organizations/usergroup", by_a_group(house).pk)


def delete_groups(house: House) -> Any:
    return delete_selected(house, "organizations/usergroup", by_a_group(house).pk)


def by_a_type(house: House) -> UserType:
    kind = UserType.objects.create(organization=house.clinic, name="Senders", use_sms_distributions="enabled")
    User.objects.filter(pk=house.planner.pk).update(use_sms_distributions="inherit", user_type=kind)
    return kind


def withdraw_from_the_type(house: House) -> Any:
    kind = by_a_type(house)
    form = {"name": kind.name, "use_sms_distributions": "inherit", "see_recipients": "inherit"}
    return house.client.post(f"/admin/organizations/usertype/{kind.pk}/change/", form)


def delete_the_type(house: House) -> Any:
    return delete(house, "organizations/usertype", by_a_type(house).pk)


OF_THE_LIST = (
    delete_the_list,
    delete_lists,
    delete_everybody,
    delete_the_last,
    take_the_last_number,
    opt_out_the_last,
    many_more,
)
OF_THE_ROUTE = (delete_the_account, extension_off, extension_deleted, extensions_deleted, licence_ends)
OF_THE_PLANNER = (
    delete_the_planner,
    delete_users,
    switch_the_planner_off,
    withdraw_the_right,
    into_a_group_without,
    of_a_type_without,
    withdraw_from_the_group,
    delete_the_group,
    delete_groups,
    withdraw_from_the_type,
    delete_the_type,
)
WAYS: tuple[Callable[[House], Any], ...] = (*OF_THE_LIST, no_address, *OF_THE_ROUTE, *OF_THE_PLANNER)


# --- the alarm --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goes", WAYS, ids=lambda way: way.__name__)
def test_the_home_page_raises_an_alarm_in_that_moment_and_until_somebody_has_acted(
    house: House, neighbour: House, goes: Callable[[House], Any]
) -> None:
    assert "Spring at Riverside" not in home(house.administrator).partition("Recent distributions")[0]

    answer = goes(house)

    assert answer.status_code == 302, answer.content.decode()[:2000]
    problem = house.problem()
    assert problem
    assert (house.planned.state, house.planned.held_at) == (State.SCHEDULED, None)
    for _look in range(2):
        todo = home(house.administrator).partition("Recent distributions")[0]
        assert "“Spring at Riverside”, planned for " in todo
        assert problem[:60] in todo
        assert f"/admin/distributions/distribution/{house.planned.pk}/change/" in todo
    starting.look_ahead()
    assert house.problem() == problem
    assert neighbour.problem() == ""
    assert not Distribution.objects.exclude(pk=house.planned.pk).exclude(problem="").exists()

    services.cancel(house.planned, house.colleague) if goes is not licence_ends else house.planned.delete()
    assert "planned for" not in home(house.administrator).partition("Recent distributions")[0]


# --- what is found a little later, and what goes away again -----------------------------------------------------------


def list_emptied(house: House) -> Callable[[], Any]:
    house.people.contacts.all().delete()
    return lambda: Contact.objects.create(
        organization=house.clinic, contact_list=house.people, phone="+447700900999", first_name="Ada"
    )


def everybody_opted_out(house: House) -> Callable[[], Any]:
    house.people.contacts.update(opted_out_at=timezone.now())
    return lambda: house.people.contacts.update(opted_out_at=None)


def every_number_stopped(house: House) -> Callable[[], Any]:
    for contact in house.people.contacts.all():
        OptOut.objects.create(organization=house.clinic, phone=contact.phone, source="keyword")
    return lambda: OptOut.objects.update(ended_at=timezone.now())


def address_emptied(house: House) -> Callable[[], Any]:
    Survey.objects.filter(pk=house.survey.pk).update(url="")
    return lambda: Survey.objects.filter(pk=house.survey.pk).update(url="https://forms.example.org/s/43")


def planner_off(house: House) -> Callable[[], Any]:
    User.objects.filter(pk=house.planner.pk).update(is_active=False)
    return lambda: User.objects.filter(pk=house.planner.pk).update(is_active=True)


def right_gone(house: House) -> Callable[[], Any]:
    User.objects.filter(pk=house.planner.pk).update(use_sms_distributions="disabled")
    return lambda: User.objects.filter(pk=house.planner.pk).update(use_sms_distributions="enabled")


def grant_gone(house: House) -> Callable[[], Any]:
    ProviderAccount.objects.filter(organization=house.clinic).update(granted_at=None)
    return lambda: ProviderAccount.objects.filter(organization=house.clinic).update(granted_at=timezone.now())


def switch_gone(house: House) -> Callable[[], Any]:
    EnabledExtension.objects.filter(organization=house.clinic).delete()
    return lambda: EnabledExtension.objects.create(organization=house.clinic, provider="twilio")


def licence_gone(house: House) -> Callable[[], Any]:
    Licence.objects.filter(organization=house.clinic).update(sms=False)
    return lambda: Licence.objects.filter(organization=house.clinic).update(sms=True)


def grown(house: House) -> Callable[[], Any]:
    new = (Contact(organization=house.clinic, contact_list=house.people, phone=f"+4477008{n:05d}") for n in range(11))
    rows = Contact.objects.bulk_create(new)
    return lambda: Contact.objects.filter(pk=rows[0].pk).delete()


THERE_AND_BACK = (
    list_emptied,
    everybody_opted_out,
    every_number_stopped,
    address_emptied,
    planner_off,
    right_gone,
    grant_gone,
    switch_gone,
    licence_gone,
    grown,
)


@pytest.mark.parametrize("goes", THERE_AND_BACK, ids=lambda way: way.__name__)
def test_what_nobody_tells_of_is_found_by_the_periodic_check_and_an_alarm_goes_with_its_cause(
    house: House, neighbour: House, goes: Callable[[House], Callable[[], Any]]
) -> None:
    come_back = goes(house)
    starting.look_ahead()
    assert house.problem()
    assert neighbour.problem() == ""

    come_back()
    starting.look_ahead()

    assert house.problem() == ""
    assert house.planned.state == State.SCHEDULED


def test_nobody_is_alarmed_by_what_does_not_matter(house: House) -> None:
    """A few people more or fewer, another account that takes over, a colleague who leaves, another list that goes."""
    Contact.objects.bulk_create(
        Contact(organization=house.clinic, contact_list=house.people, phone=f"+4477008{n:05d}") for n in range(9)
    )
    house.people.contacts.earliest("pk").delete()
    factories.account(house.clinic)
    delete_the_account(house)
    delete(house, "organizations/user", house.colleague.pk)
    delete(house, "contacts/contactlist", factories.contact_list(house.clinic, 2).pk)

    starting.look_ahead()

    assert house.problem() == ""


def test_what_is_paused_is_looked_at_as_well(house: House) -> None:
    services.pause(house.planned, house.planner)
    delete_the_list(house)
    assert "deleted" in house.problem()

    services.resume(house.planned, house.planner)

    assert "deleted" in house.problem()


def test_an_alarm_before_its_time_holds_nothing_for_good(house: House) -> None:
    come_back = planner_off(house)
    starting.look_ahead()
    assert house.problem()
    come_back()

    Distribution.objects.filter(pk=house.planned.pk).update(send_at=timezone.now())
    starting.start_due()

    house.planned.refresh_from_db()
    assert (house.planned.state, house.planned.problem) == (State.LAUNCHING, "")


def test_it_is_held_once_its_time_has_come(house: House) -> None:
    delete_the_planner(house)
    Distribution.objects.filter(pk=house.planned.pk).update(send_at=timezone.now())

    starting.start_due()
    starting.look_ahead()

    house.planned.refresh_from_db()
    assert (house.planned.state, house.planned.standing) == (State.SCHEDULED, "held")
    assert house.planned.problem


def test_the_alarm_is_in_the_language_of_whoever_reads_it(house: House, neighbour: House) -> None:
    """Whatever the language of its organisation, and of the worker that found it."""
    Organization.objects.filter(pk=house.clinic.pk).update(language="de")
    for each in (house, neighbour):
        grant_gone(each)

    starting.look_ahead()

    for each in (house, neighbour):
        assert "grant access" in each.problem()
        with translation.override("de"):
            assert "Zugriff" in each.problem()


def test_looking_takes_a_few_statements_however_many_are_planned() -> None:
    def looked() -> int:
        Distribution.objects.update(looked_at=None)
        with CaptureQueriesContext(connection) as captured:
            starting.look_ahead()
        return len(captured)

    houses = [House(f"House {number}") for number in range(2)]
    for each in houses:
        by_a_group(each, "Group")
    few = looked()
    for each in houses:
        for number in range(20):
            each.people = factories.contact_list(each.clinic, 1, phone=f"+44770081{number:04d}{{:d}}"[:13])
            each.survey = factories.survey(each.clinic)
            Distribution.objects.create(
                organization=each.clinic,
                name=f"Plan {number}",
                survey=each.survey,
                contact_list=each.people,
                message_text="Hello ${l://SurveyURL}",
                state=State.SCHEDULED,
                send_at=timezone.now() + timedelta(days=1),
                launched_by=each.planner,
                planned_people=1,
            )

    assert looked() <= few
    assert not Distribution.objects.exclude(problem="").exists()
    assert few <= 16


def test_one_that_cannot_be_looked_at_does_not_keep_the_others_from_it(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = house.plan("Autumn")
    really = starting.ready

    def broken(distribution: Distribution, *arguments: Any) -> Any:
        if distribution.pk == house.planned.pk:
            raise RuntimeError("broken")
        return really(distribution, *arguments)

    monkeypatch.setattr(starting, "ready", broken)
    delete_the_list(house)

    other.refresh_from_db()
    assert "deleted" in other.problem
    assert house.planned.public_id in caplog.text


# --- who is told, and what they can do --------------------------------------------------------------------------------


def test_whoever_can_act_is_told_and_nobody_else(house: House, neighbour: House) -> None:
    delete_the_planner(house)

    assert "Spring at Riverside" in home(house.colleague).partition("Recent distributions")[0]
    for other in (factories.user(house.clinic), neighbour.administrator, neighbour.planner):
        assert "Spring at Riverside" not in home(other).partition("Recent distributions")[0]


@pytest.mark.parametrize("goes", [*OF_THE_PLANNER, many_more], ids=lambda way: way.__name__)
def test_a_colleague_takes_it_over_before_its_time(house: House, goes: Callable[[House], Any]) -> None:
    goes(house)
    address = reverse("admin:distributions_distribution_take_over", args=[house.planned.pk])
    page = client_of(house.colleague).get(f"/admin/distributions/distribution/{house.planned.pk}/change/")
    assert address in page.content.decode()

    client_of(house.colleague).post(address)

    house.planned.refresh_from_db()
    assert (house.planned.state, house.planned.problem) == (State.SCHEDULED, "")
    assert house.planned.launched_by == house.colleague
    starting.look_ahead()
    assert house.problem() == ""
    assert "“Spring" not in home(house.administrator)


@pytest.mark.parametrize("goes", [delete_the_list, delete_the_account, no_address], ids=lambda way: way.__name__)
def test_taking_over_is_not_offered_where_it_would_not_help(house: House, goes: Callable[[House], Any]) -> None:
    goes(house)
    problem = house.problem()
    client = client_of(house.colleague)

    page = client.get(f"/admin/distributions/distribution/{house.planned.pk}/change/").content.decode()
    client.post(reverse("admin:distributions_distribution_take_over", args=[house.planned.pk]))

    assert "take-over" not in page
    assert problem in unescape(page)
    assert reverse("admin:distributions_distribution_cancel", args=[house.planned.pk]) in page
    assert house.problem() == problem
    assert house.planned.launched_by == house.planner


def test_what_is_paused_stays_so_when_it_is_taken_over(house: House) -> None:
    services.pause(house.planned, house.planner)
    switch_the_planner_off(house)
    house.planned.refresh_from_db()

    services.take_over(house.planned, house.colleague)

    assert house.planned.problem == ""
    assert house.planned.paused_at is not None


def test_many_alarms_are_counted_and_their_list_is_one_click_away(house: House) -> None:
    for number in range(7):
        house.plan(f"Plan {number}")
    delete_the_planner(house)

    page = home(house.administrator).partition("Recent distributions")[0]

    assert page.count("planned for") == 5
    assert "3 more distributions are waiting or cannot begin." in page
    listed = house.client.get("/admin/distributions/distribution/?needs=somebody").content.decode()
    assert listed.count("needs attention</span>") == 8
    assert "draft at Riverside" not in listed


def test_who_imports_many_hears_of_it_at_once(house: House) -> None:
    rows = "".join(f"Ada,+4477008{index:05d}\n" for index in range(11))
    file = io.BytesIO(f"FirstName,Phone\n{rows}".encode())
    checked = importing.check(house.people, file, "new.csv", house.administrator)

    page = house.client.post(f"/admin/contacts/contactlist/{house.people.pk}/import/{checked.pk}/", follow=True)

    assert "grown" in house.problem()
    assert house.problem() in unescape(page.content.decode())


def test_a_stop_word_that_is_an_answer_to_a_planned_survey_by_text_is_remarked_on(house: House) -> None:
    choice = {"kind": "choice", "text": "How was the wait?", "choices": "Basta\nFine"}
    by_text = factories.interactive(house.clinic, survey=factories.survey(house.clinic, questions=[choice]))
    by_text.send_at = timezone.now() + timedelta(days=1)
    by_text.save()
    services.launch(by_text, house.planner)
    form = {"name": house.clinic.name, "language": "en", "time_zone": "UTC", "default_region": "GB"}

    page = house.client.post("/admin/organisation/", {**form, "stop_words": "basta"}, follow=True)

    by_text.refresh_from_db()
    assert by_text.problem
    assert by_text.problem in unescape(page.content.decode())


def test_withdrawing_by_hand_is_seen_too(house: House) -> None:
    accounts.delete(house.account, house.administrator)
    assert "No SMS account" in house.problem()

    other = factories.account(house.clinic, granted=False)
    accounts.grant(other, house.administrator)

    assert house.problem() == ""


# --- the remark before ------------------------------------------------------------------------------------------------


def asked(house: House, model: str, rows: Any, user: User | None = None) -> list[str]:
    """What is said before rows are deleted: on the page of the first, and above the list of all."""
    client = client_of(user or house.administrator)
    keys = list(rows.values_list("pk", flat=True))
    single = client.get(f"/admin/{model}/{keys[0]}/delete/")
    many = client.post(f"/admin/{model}/", {"action": "delete_selected", "_selected_action": keys})
    assert (single.status_code, many.status_code) == (200, 200)
    assert 'name="post" value="yes"' in many.content.decode()  # the question before
    pages = [unescape(answer.content.decode()) for answer in (single, many)]
    return [page.partition('id="depending"')[2].partition("</section>")[0] for page in pages]


def rows_of_the_list(house: House) -> tuple[str, Any]:
    return "contacts/contactlist", ContactList.objects.filter(pk=house.people.pk)


def rows_of_the_planner(house: House) -> tuple[str, Any]:
    return "organizations/user", User.objects.filter(pk=house.planner.pk)


def rows_of_the_group(house: House) -> tuple[str, Any]:
    return "organizations/usergroup", UserGroup.objects.filter(pk=by_a_group(house).pk)


def rows_of_the_type(house: House) -> tuple[str, Any]:
    return "organizations/usertype", UserType.objects.filter(pk=by_a_type(house).pk)


ROWS = (rows_of_the_list, rows_of_the_planner, rows_of_the_group, rows_of_the_type)


@pytest.mark.parametrize("rows_of", ROWS, ids=lambda rows: rows.__name__)
def test_what_depends_is_named_before(
    house: House, neighbour: House, rows_of: Callable[[House], tuple[str, Any]]
) -> None:
    rows_of(neighbour)

    for remark in asked(house, *rows_of(house)):
        assert "1 planned distribution depends on this." in remark
        assert "Spring at Riverside (" in remark
        assert f'href="/admin/distributions/distribution/{house.planned.pk}/change/"' in remark
        assert "will not begin" in remark
        for other in ("draft at", "finished at", "cancelled at", "Hillside"):
            assert other not in remark


@pytest.mark.parametrize("rows_of", ROWS, ids=lambda rows: rows.__name__)
def test_of_many_the_first_to_come_are_named_and_the_others_counted(
    house: House, rows_of: Callable[[House], tuple[str, Any]]
) -> None:
    for number in range(17):
        house.plan(f"Plan {number}")

    for remark in asked(house, *rows_of(house)):
        assert "18 planned distributions depend on this." in remark
        assert remark.count("<li>") == 6
        assert "and 13 more" in remark


@pytest.mark.parametrize("rows_of", ROWS, ids=lambda rows: rows.__name__)
def test_nothing_is_said_where_nothing_depends(house: House, rows_of: Callable[[House], tuple[str, Any]]) -> None:
    services.cancel(house.planned, house.planner)

    assert asked(house, *rows_of(house)) == ["", ""]


def test_the_last_people_of_a_list_are_remarked_on_and_the_others_are_not(house: House, neighbour: House) -> None:
    everybody = Contact.objects.filter(contact_list=house.people).order_by("pk")
    some = Contact.objects.filter(pk__in=list(everybody.values_list("pk", flat=True))[:-1])

    assert asked(house, "contacts/contact", some) == ["", ""]
    one, many = asked(house, "contacts/contact", everybody)
    assert one == ""
    assert "Spring at Riverside" in many
    assert "Nobody is left" in many
    everybody.exclude(pk=everybody[0].pk).update(opted_out_at=timezone.now())
    one, many = asked(house, "contacts/contact", everybody)
    assert "Spring at Riverside" in one


def test_who_may_send_by_another_way_keeps_the_right_and_nothing_is_said(house: House) -> None:
    group, other = by_a_group(house), UserGroup.objects.create(organization=house.clinic, name="Also")
    UserGroup.objects.filter(pk=other.pk).update(use_sms_distributions="enabled")
    house.planner.groups.add(other)

    assert asked(house, "organizations/usergroup", UserGroup.objects.filter(pk=group.pk)) == ["", ""]
    both = UserGroup.objects.filter(pk__in=[group.pk, other.pk])
    assert "Spring at Riverside" in asked(house, "organizations/usergroup", both)[1]


@pytest.mark.parametrize("provider", ["twilio", "infobip"])
def test_an_operator_is_told_how_many_and_no_names(house: House, neighbour: House, provider: str) -> None:
    switches = EnabledExtension.objects.filter(organization=house.clinic, provider=provider)

    remarks = asked(house, "extensions/enabledextension", switches, factories.operator())

    for remark in remarks:
        assert ("1 planned distribution depends on this." in remark) == (provider == "twilio")
        assert "Spring" not in remark


def test_an_operator_who_deletes_an_administrator_reads_no_names_either(house: House) -> None:
    Distribution.objects.filter(pk=house.planned.pk).update(launched_by=house.administrator)
    factories.administrator(house.clinic)
    operator, rows = factories.operator(), User.objects.filter(pk=house.administrator.pk)

    for remark in asked(house, "organizations/user", rows, operator):
        assert "1 planned distribution depends on this." in remark
        assert "It will not begin until somebody who may send texts takes it over." in remark
        assert "Spring" not in remark
    page = client_of(operator).post(
        f"/admin/organizations/user/{house.administrator.pk}/delete/", {"post": "yes"}, follow=True
    )
    said = unescape(page.content.decode())
    assert "1 planned distribution of the organisation cannot begin as things stand." in said
    assert "Spring" not in said
    assert house.problem()


def test_withdrawing_access_names_them_as_deleting_does(house: House) -> None:
    page = unescape(house.client.get(f"/admin/extensions/account/{house.account.public_id}/withdraw/").content.decode())
    assert "Spring at Riverside (" in page.partition('id="depending"')[2]

    house.client.post(f"/admin/extensions/account/{house.account.public_id}/withdraw/")

    assert "grant access" in house.problem()


def test_the_page_of_an_account_names_them_if_it_is_the_one_in_use(house: House) -> None:
    address = f"/admin/extensions/account/{house.account.public_id}/delete/"
    second = factories.account(house.clinic)

    page = unescape(house.client.get(f"/admin/extensions/account/{second.public_id}/delete/").content.decode())
    assert 'id="depending"' not in page
    page = unescape(house.client.get(address).content.decode())
    assert "Spring at Riverside (" in page
    assert second.sender in page.partition('id="depending"')[2]
    ProviderAccount.objects.filter(pk=second.pk).update(granted_at=None)
    page = unescape(house.client.get(address).content.decode()).partition('id="depending"')[2]
    assert "It will not begin until an account is in use." in page


# --- what is being changed may be kept as it was planned --------------------------------------------------------------


def begin_to_change(house: House) -> None:
    """A colleague has chosen another list and another survey, and no time, but has not planned it anew."""
    editing.begin(house.planned, house.colleague)
    other, survey = factories.contact_list(house.clinic, 2, phone="+4477009{:05d}"), factories.survey(house.clinic)
    Distribution.objects.filter(pk=house.planned.pk).update(contact_list=other, survey=survey, send_at=None)
    house.planned.refresh_from_db()


@pytest.mark.parametrize("rows_of", ROWS, ids=lambda rows: rows.__name__)
def test_what_is_being_changed_is_named_before_too(
    house: House, neighbour: House, rows_of: Callable[[House], tuple[str, Any]]
) -> None:
    rows_of(neighbour)
    for each in (house, neighbour):
        begin_to_change(each)
    house.plan("Later")
    Distribution.objects.filter(name="Later").update(send_at=timezone.now() + timedelta(days=8))

    for remark in asked(house, *rows_of(house)):
        assert "2 planned distributions depend on this." in remark
        assert ", being changed)" in remark
        assert remark.index("Spring at Riverside (") < remark.index(", being changed)") < remark.index("Later (")
        assert f'href="/admin/distributions/distribution/{house.planned.pk}/change/"' in remark
        for other in ("draft at", "finished at", "cancelled at", "Hillside"):
            assert other not in remark


def test_the_list_that_is_chosen_for_what_is_being_changed_is_relied_on_as_well(house: House) -> None:
    begin_to_change(house)
    assert house.planned.contact_list is not None

    for remark in asked(house, "contacts/contactlist", ContactList.objects.filter(pk=house.planned.contact_list.pk)):
        assert "Spring at Riverside (" in remark
    others = factories.contact_list(house.clinic, 1)
    assert asked(house, "contacts/contactlist", ContactList.objects.filter(pk=others.pk)) == ["", ""]


def test_the_last_people_of_what_is_being_changed_are_remarked_on(house: House) -> None:
    begin_to_change(house)

    one, many = asked(house, "contacts/contact", Contact.objects.filter(contact_list=house.people).order_by("pk"))

    assert one == ""
    assert "Spring at Riverside (" in many
    assert ", being changed)" in many


def test_the_survey_of_the_plan_is_named_when_another_has_been_chosen_since(house: House) -> None:
    house.survey = factories.survey(house.clinic)
    plan = house.plan("Only one with this survey")
    editing.begin(plan, house.colleague)
    Distribution.objects.filter(pk=plan.pk).update(survey=factories.survey(house.clinic))

    for remark in asked(house, "surveys/survey", Survey.objects.filter(pk=house.survey.pk)):
        assert "Only one with this survey (" in remark
        assert "It can no longer be kept as it was planned." in remark
    said = said_after(house, delete(house, "surveys/survey", house.survey.pk))
    assert "The planned survey has since been deleted." in said


def test_the_pages_of_an_account_and_of_an_extension_name_what_is_being_changed(house: House) -> None:
    begin_to_change(house)
    switches = EnabledExtension.objects.filter(organization=house.clinic, provider="twilio")

    for name in ("delete", "withdraw"):
        page = unescape(house.client.get(f"/admin/extensions/account/{house.account.public_id}/{name}/").text)
        assert ", being changed)" in page.partition('id="depending"')[2]
    for remark in asked(house, "extensions/enabledextension", switches, factories.operator()):
        assert "1 planned distribution depends on this." in remark
        assert "Spring" not in remark


@pytest.mark.parametrize("goes", WAYS, ids=lambda way: way.__name__)
def test_whoever_changes_something_is_told_what_could_not_be_kept_as_it_was(
    house: House, neighbour: House, goes: Callable[[House], Any]
) -> None:
    """And who keeps it so, sees it."""
    begin_to_change(house)

    answer = goes(house)

    if goes in OF_THE_ROUTE:
        by_operator = "1 planned distribution of the organisation cannot begin as things stand."
        said = unescape(answer.client.get("/admin/", follow=True).text)
        assert goes is delete_the_account or by_operator in said
    else:
        said = said_after(house, answer)
        assert "This planned distribution cannot begin as things stand:" in said
        assert ">Spring at Riverside (" in said
        assert ", being changed)" in said
        assert "Hillside" not in said
    house.planned.refresh_from_db()
    assert (house.planned.state, house.planned.problem) == (State.DRAFT, "")
    assert house.planned.plan["problem"]
    if goes is not licence_ends:
        editing.keep(house.planned, house.colleague)
        problem = house.problem()
        assert problem
        assert house.planned.state == State.SCHEDULED
        starting.look_ahead()
        assert house.problem() == problem


@pytest.mark.parametrize("goes", THERE_AND_BACK, ids=lambda way: way.__name__)
def test_what_has_been_put_right_meanwhile_is_no_problem_of_what_is_kept(
    house: House, goes: Callable[[House], Callable[[], Any]]
) -> None:
    begin_to_change(house)
    come_back = goes(house)
    starting.look_ahead(house.clinic.pk)
    house.planned.refresh_from_db()
    assert house.planned.plan["problem"]

    come_back()
    starting.look_ahead(house.clinic.pk)
    editing.keep(house.planned, house.colleague)

    assert house.problem() == ""


def test_why_something_is_held_is_not_forgotten_while_it_is_being_changed(house: House) -> None:
    Distribution.objects.filter(pk=house.planned.pk).update(held_at=timezone.now(), problem="Why.")
    begin_to_change(house)
    delete_the_list(house)

    editing.keep(house.planned, house.colleague)

    assert house.problem() == "Why."


# --- and what is said after a change, for which nobody asks before ----------------------------------------------------


def said_after(house: House, answer: Any, user: User | None = None) -> str:
    """The notices of the next page."""
    client = answer.client
    return unescape(client.get("/admin/").content.decode()).partition("To do")[0]


@pytest.mark.parametrize(
    "goes",
    [
        *(way for way in WAYS if way not in (*OF_THE_ROUTE, opt_out_the_last)),
        opt_out_the_last,
    ],
    ids=lambda way: way.__name__,
)
def test_whoever_changes_something_is_told_what_cannot_begin(
    house: House, neighbour: House, goes: Callable[[House], Any]
) -> None:
    said = said_after(house, goes(house))

    assert "This planned distribution cannot begin as things stand:" in said
    assert f'href="/admin/distributions/distribution/{house.planned.pk}/change/">Spring at Riverside (' in said
    assert house.problem() in said
    assert "Hillside" not in said


@pytest.mark.parametrize(
    "goes", [extension_off, extension_deleted, extensions_deleted, licence_ends], ids=lambda way: way.__name__
)
def test_an_operator_hears_how_many_and_no_names_afterwards(house: House, goes: Callable[[House], Any]) -> None:
    said = unescape(goes(house).client.get("/admin/").content.decode())

    assert "1 planned distribution of the organisation cannot begin as things stand." in said
    assert "Spring" not in said


def test_a_change_that_matters_to_nothing_is_not_remarked_on(house: House) -> None:
    said = said_after(house, save_user(house, name="Grace Hopper"))

    assert "cannot begin" not in said


def test_another_account_in_use_that_nobody_can_answer_is_an_alarm_for_a_survey_by_text(house: House) -> None:
    """The list of accounts decides (R22): moving one to the top is a change like any other."""
    by_text = factories.interactive(house.clinic)
    Distribution.objects.filter(pk=by_text.pk).update(send_at=timezone.now() + timedelta(days=1))
    by_text.refresh_from_db()
    services.launch(by_text, house.planner)
    named = factories.account(house.clinic, sender="CLINIC", sender_kind="alphanumeric")

    accounts.move_to_top(named, house.administrator)

    by_text.refresh_from_db()
    assert "is a name" in by_text.problem
    assert house.problem() == ""


def test_another_list_is_chosen_for_what_has_lost_its_list(house: House) -> None:
    delete_the_list(house)
    client, base = client_of(house.colleague), f"/admin/distributions/distribution/{house.planned.pk}"
    address = reverse("admin:distributions_distribution_edit_planned", args=[house.planned.pk])
    assert address in client.get(f"{base}/change/").content.decode()

    client.post(address)
    Distribution.objects.filter(pk=house.planned.pk).update(contact_list=factories.contact_list(house.clinic, 2))
    review = client.get(f"{base}/review/").content.decode()
    reviewed = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="(\w+)"[^>]*value="([^"]*)"', review))
    client.post(f"{base}/launch/", reviewed)

    assert house.problem() == ""
    assert (house.planned.state, house.planned.launched_by) == (State.SCHEDULED, house.colleague)
    starting.look_ahead()
    assert house.problem() == ""
    assert "“Spring" not in home(house.administrator)

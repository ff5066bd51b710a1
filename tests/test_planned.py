"""A planned distribution looks again when its time comes: it begins as it was meant, or is held and says why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from hypothesis import example, given
from hypothesis import strategies as st

from contacts.models import Contact, OptOut
from distributions import services
from distributions.engine import closing, due
from distributions.models import Chunk, Distribution, Message
from distributions.planning import starting
from extensions.models import ProviderAccount
from organizations import steps
from organizations.models import AuditEvent, UserGroup, UserType
from surveys.models import Survey
from tests import factories
from tests.test_api import Api, result

pytestmark = pytest.mark.django_db

State = Distribution.State
PEOPLE = 40


@pytest.fixture
def planner(clinic):
    return factories.user(clinic, use_sms_distributions="enabled", name="Grace")


@pytest.fixture
def colleague(clinic):
    return factories.user(clinic, use_sms_distributions="enabled", name="Ada")


@pytest.fixture(params=["interface", "api"])
def planned(request, clinic, account, planner):
    """Planned by a person, or by a program."""
    people = factories.contact_list(clinic, PEOPLE)
    later = timezone.now() + timedelta(hours=1)
    if request.param == "interface":
        draft = factories.distribution(clinic, contact_list=people, send_at=later)
        return services.launch(draft, planner)
    body = {
        "surveyId": factories.survey(clinic).public_id,
        "name": "Spring",
        "sendDate": later.isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": people.public_id},
        "message": {"messageText": "Hello ${l://SurveyURL} Reply STOP to opt out"},
    }
    return Distribution.objects.get(public_id=result(Api(planner).post(body))["id"])


def come(distribution, late=timedelta(seconds=1)):
    """Its time has come, and the periodic check and the workers with it."""
    Distribution.objects.filter(pk=distribution.pk).update(send_at=timezone.now() - late)
    starting.start_due()
    for pk in due.launching():
        while starting.expand(pk):
            pass
    closing.close_finished()
    distribution.refresh_from_db()
    return distribution


def add(distribution, number):
    Contact.objects.bulk_create(
        Contact(
            organization=distribution.organization,
            contact_list=distribution.contact_list,
            phone=f"+4477008{index:05d}",
        )
        for index in range(number)
    )


def home(user):
    client = Client()
    client.force_login(user)
    return client.get(reverse("admin:index")).content.decode()


def no_list(row):
    row.contact_list.delete()


def no_people(row):
    row.contact_list.contacts.all().delete()


def no_numbers(row):
    row.contact_list.contacts.update(phone="")


def all_opted_out(row):
    row.contact_list.contacts.update(opted_out_at=timezone.now())


def all_numbers_stopped(row):
    for contact in row.contact_list.contacts.all():
        OptOut.objects.create(organization=row.organization, phone=contact.phone, source="keyword")


def no_address(row):
    Survey.objects.update(url="")


def spoilt_text(row):
    Distribution.objects.update(message_text="Hello ${m://FirstName")


def expired_link(row):
    Distribution.objects.update(link_expires_at=timezone.now() - timedelta(minutes=1))


def no_sms(row):
    row.organization.licence.sms = False
    row.organization.licence.save()


def switched_off(row):
    row.launched_by.is_active = False
    row.launched_by.save()


def deleted(row):
    row.launched_by.delete()


def right_withdrawn(row):
    row.launched_by.use_sms_distributions = "disabled"
    row.launched_by.save()


def right_withdrawn_by_group(row):
    row.launched_by.use_sms_distributions = "inherit"
    row.launched_by.save()
    row.launched_by.groups.add(UserGroup.objects.create(organization=row.organization, name="Guests"))


def right_withdrawn_by_type(row):
    row.launched_by.use_sms_distributions = "inherit"
    row.launched_by.user_type = UserType.objects.create(
        organization=row.organization, name="Basic", use_sms_distributions="disabled"
    )
    row.launched_by.save()


def many_more(row):
    add(row, 11)


OF_THE_CONTENT = (
    no_list,
    no_people,
    no_numbers,
    all_opted_out,
    all_numbers_stopped,
    no_address,
    spoilt_text,
    expired_link,
)
OF_THE_PERSON = (switched_off, deleted, right_withdrawn, right_withdrawn_by_group, right_withdrawn_by_type, many_more)


@pytest.mark.parametrize("happens", [*OF_THE_CONTENT, no_sms, *OF_THE_PERSON])
def test_what_is_no_longer_as_it_was_holds_it(planned, colleague, happens):
    happens(planned)

    held = come(planned)

    assert (held.state, held.standing) == (State.SCHEDULED, "held")
    assert held.held_at is not None
    assert held.problem
    assert not Message.objects.exists()
    assert not Chunk.objects.exists()
    assert AuditEvent.objects.filter(action="held", object_id=held.public_id).count() == 1
    administrator = factories.administrator(held.organization)
    assert held.problem[:60] in home(administrator).replace("&#x27;", "'").replace("&quot;", '"')
    come(planned)  # looked at once, not every few seconds
    assert AuditEvent.objects.filter(action="held").count() == 1


@pytest.mark.parametrize("happens", OF_THE_PERSON)
def test_a_colleague_with_the_right_takes_over_with_one_click(planned, colleague, happens):
    happens(planned)
    come(planned)
    client = Client()
    client.force_login(colleague)
    address = reverse("admin:distributions_distribution_take_over", args=[planned.pk])
    assert address in home(colleague)

    for _click in range(2):
        assert client.post(address).status_code == 302

    planned.refresh_from_db()
    assert (planned.state, planned.launched_by, planned.problem) == (State.LAUNCHING, colleague, "")
    assert AuditEvent.objects.filter(action="took over", actor=colleague, object_id=planned.public_id).count() == 1
    come(planned)
    assert planned.messages.count() == planned.contact_list.contacts.count() >= PEOPLE
    assert planned.problem[:40] not in home(colleague) or not planned.problem


def test_who_lacks_the_right_cannot_take_over(planned, clinic):
    switched_off(planned)
    come(planned)
    member = factories.user(clinic)
    client = Client()
    client.force_login(member)

    refused = client.post(reverse("admin:distributions_distribution_take_over", args=[planned.pk]))

    assert refused.status_code == 403
    assert "take-over" not in home(member)
    planned.refresh_from_db()
    assert (planned.state, planned.standing) == (State.SCHEDULED, "held")


@pytest.mark.parametrize("happens", OF_THE_CONTENT)
def test_taking_over_does_not_send_what_could_not_be_launched(planned, colleague, happens):
    happens(planned)
    come(planned)

    with pytest.raises(services.LaunchRefused) as refusal:
        services.take_over(planned, colleague)

    assert refusal.value.sentence
    planned.refresh_from_db()
    assert planned.standing == "held"


def test_taking_over_is_refused_if_the_list_has_grown_again_since_it_was_looked_at(planned, colleague):
    many_more(planned)
    come(planned)
    Contact.objects.bulk_create(
        Contact(organization=planned.organization, contact_list=planned.contact_list, phone=f"+4477007{index:05d}")
        for index in range(30)
    )

    with pytest.raises(services.LaunchRefused, match="81"):
        services.take_over(planned, colleague, seen=PEOPLE + 11)

    assert services.take_over(planned, colleague, seen=PEOPLE + 41).state == State.LAUNCHING


def test_a_held_one_can_be_cancelled(planned, colleague):
    deleted(planned)
    come(planned)

    services.cancel(planned, colleague)

    planned.refresh_from_db()
    assert (planned.state, planned.problem, planned.held_at) == (State.CANCELLED, "", None)


@pytest.mark.parametrize("late", [timedelta(seconds=1), timedelta(hours=11)])
def test_what_is_as_it_was_begins(planned, late):
    """Nobody honest is asked twice: a few people more, fewer people, some who opted out, a worker that was away."""
    add(planned, 10)
    planned.contact_list.contacts.order_by("pk").first().delete()

    begun = come(planned, late)

    assert begun.state == State.SENDING
    assert begun.messages.count() == PEOPLE + 9


@pytest.mark.parametrize("late", [timedelta(hours=13), timedelta(days=7), timedelta(days=400)])
def test_what_is_long_past_is_asked_about(planned, colleague, late):
    held = come(planned, late)

    assert held.standing == "held"
    assert "should have begun" in held.problem
    assert services.take_over(held, colleague).state == State.LAUNCHING


def test_who_resumes_what_was_paused_past_its_time_has_decided(planned, planner):
    services.pause(planned, planner)
    assert come(planned, timedelta(days=2)).state == State.SCHEDULED
    assert planned.held_at is None

    services.resume(planned, planner)

    assert come(planned, timedelta(days=2)).state == State.SENDING


def test_what_lacks_a_route_goes_on_by_itself(planned):
    ProviderAccount.objects.update(granted_at=None)
    waiting = come(planned)
    assert (waiting.state, waiting.held_at) == (State.SCHEDULED, None)
    assert "grant access" in waiting.problem
    assert "grant access" in home(factories.administrator(planned.organization))

    ProviderAccount.objects.update(granted_at=timezone.now())

    assert come(planned).state == State.SENDING
    assert planned.problem == ""


def test_nothing_is_finished_with_nobody_if_the_list_goes_between_the_launch_and_the_first_text(
    clinic, account, planner
):
    draft = services.launch(factories.distribution(clinic, contact_list=factories.contact_list(clinic, 3)), planner)
    draft.contact_list.delete()

    starting.expand(draft.pk)
    closing.close_finished()

    draft.refresh_from_db()
    assert (draft.state, draft.standing) == (State.SCHEDULED, "held")
    assert "deleted" in draft.problem


def test_one_that_cannot_be_looked_at_does_not_hold_up_the_others(planned, planner, caplog, monkeypatch):
    other = services.launch(
        factories.distribution(
            planned.organization,
            contact_list=factories.contact_list(planned.organization, 1),
            send_at=timezone.now() + timedelta(hours=1),
        ),
        planner,
    )
    Distribution.objects.filter(pk=planned.pk).update(send_at=timezone.now() - timedelta(hours=1))
    really = starting.ready

    def broken(distribution, user):
        if distribution.pk == planned.pk:
            raise RuntimeError("broken")
        return really(distribution, user)

    monkeypatch.setattr(starting, "ready", broken)

    with pytest.raises(steps.SomeFailed):
        come(other)

    other.refresh_from_db()
    assert other.state == State.LAUNCHING
    assert planned.public_id in caplog.text


def test_what_was_planned_before_people_were_counted_begins(planned):
    Distribution.objects.update(planned_people=None)
    add(planned, 500)

    assert come(planned).state == State.SENDING


def test_the_problem_is_said_in_the_language_of_whoever_reads_it(planned):
    """Whatever the organisation's own is: it is worded when it is shown."""
    planned.organization.language = "de"
    planned.organization.save()
    deleted(planned)

    held = come(planned)
    assert "must take it over" in held.problem
    with translation.override("de"):
        held.refresh_from_db()
        assert "übernehmen" in held.problem


@given(planned_people=st.integers(0, 10**6), more=st.integers(-100, 10**5))
@example(planned_people=100, more=10)
@example(planned_people=100, more=11)
@example(planned_people=1000, more=50)
@example(planned_people=1000, more=51)
def test_a_list_has_grown_by_more_than_the_larger_of_five_percent_and_ten(planned_people, more):
    assert starting.has_grown(planned_people, planned_people + more) == (more > max(10, planned_people * 0.05))

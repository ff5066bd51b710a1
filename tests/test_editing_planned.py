"""A planned distribution can be changed: its clock stands until it is planned again, or kept as it was."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from distributions import services
from distributions.models import Distribution, Message
from distributions.planning import editing, starting
from extensions.models import ProviderAccount
from organizations import commitments
from organizations.models import AuditEvent
from organizations.permissions import MissingRight
from tests import factories
from tests.reviewing import BASE, form_of, press, send
from tests.reviewing import review as look_at
from tests.test_api import Api, result

pytestmark = pytest.mark.django_db

State = Distribution.State


@pytest.fixture
def clinic():
    return factories.organization(default_region="GB", time_zone="Europe/Berlin")


@pytest.fixture
def member(clinic):
    return factories.user(clinic, use_sms_distributions="enabled", name="Grace")


@pytest.fixture
def site(client, member):
    client.force_login(member)
    return client


@pytest.fixture
def planned(site, clinic, account):
    """Planned in the browser for half past nine in Berlin."""
    written = {
        "method": "invite",
        "name": "Spring",
        "contact_list": factories.contact_list(clinic, 4).pk,
        "survey": factories.survey(clinic).pk,
        "message_text": "Hello ${l://SurveyURL}",
        "when": "later",
        "send_at": "2035-07-01T09:30",
    }
    site.post(f"{BASE}/add/", written)
    row = Distribution.objects.get()
    send(site, row.pk)
    row.refresh_from_db()
    assert row.state == State.SCHEDULED
    return row


def fields(row, **changes):
    return {
        "method": row.method,
        "name": row.name,
        "contact_list": row.contact_list_id,
        "survey": row.survey_id,
        "message_text": row.message_text,
        "when": "later",
        "send_at": "2035-07-01T09:30",
    } | changes


def begin(site, row):
    """Press *Change…* on its page."""
    address = f"{BASE}/{row.pk}/edit-planned/"
    assert f'action="{address}"' in site.get(f"{BASE}/{row.pk}/change/").text
    answer = site.post(address)
    row.refresh_from_db()
    return answer


def test_changing_one_plan_leaves_every_other_as_it_is(planned, member):
    others = [
        factories.distribution(of, account=factories.account(of), state=State.SCHEDULED, send_at=planned.send_at)
        for of in (planned.organization, factories.organization())
    ]

    editing.begin(planned, member)

    assert Distribution.objects.get(pk=planned.pk).state == State.DRAFT
    for other in others:
        other.refresh_from_db()
        assert (other.state, other.edited_at) == (State.SCHEDULED, None)


def come(row):
    """Its time comes, and the periodic check with it."""
    Distribution.objects.filter(pk=row.pk).update(send_at=timezone.now() - timedelta(seconds=1))
    starting.start_due()
    row.refresh_from_db()
    return row


def home(user):
    client = Client()
    client.force_login(user)
    return client.get(reverse("admin:index")).text


def test_it_is_changed_reviewed_and_planned_again(site, planned):
    answer = begin(site, planned)

    assert answer.url == f"{BASE}/{planned.pk}/edit/"
    assert 'value="2035-07-01T09:30"' in site.get(answer.url).text
    saved = site.post(answer.url, fields(planned, name="Summer", message_text="Hi ${l://SurveyURL}"))
    assert saved.url == f"{BASE}/{planned.pk}/review/"
    reviewed = site.get(saved.url)
    assert "Its plan is suspended" in reviewed.text
    assert "Schedule 4 texts" in reviewed.text
    press(site, planned.pk, form_of(reviewed))
    planned.refresh_from_db()
    assert (planned.state, planned.name, planned.message_text) == (State.SCHEDULED, "Summer", "Hi ${l://SurveyURL}")
    assert (planned.plan, planned.edited_at) == (None, None)
    assert come(planned).state == State.LAUNCHING
    assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))[-2:] == [
        "began to change",
        "launched",
    ]


def test_what_changed_since_the_review_stops_this_launch_too(site, planned):
    begin(site, planned)
    seen = look_at(site, planned.pk)
    site.post(f"{BASE}/{planned.pk}/edit/", fields(planned, send_at="2035-07-02T09:30"))

    refused = press(site, planned.pk, seen)

    assert refused.status_code == 409
    assert "1 Jul 2035" in refused.text
    planned.refresh_from_db()
    assert planned.state == State.DRAFT


def test_while_it_is_changed_nothing_begins(site, planned):
    begin(site, planned)

    come(planned)

    assert (planned.state, planned.standing) == (State.DRAFT, "being changed")
    assert not Message.objects.exists()


def test_everybody_sees_that_its_clock_stands(site, clinic, planned):
    begin(site, planned)

    for page in (
        site.get(f"{BASE}/{planned.pk}/change/", follow=True).text,
        site.get(f"{BASE}/{planned.pk}/review/").text,
    ):
        assert "Its plan is suspended" in page
        assert "Grace began to change it" in page
        assert "planned for 1 Jul 2035, 09:30" in page
        assert f'action="{BASE}/{planned.pk}/keep/"' in page
    assert "being changed" in site.get(f"{BASE}/").text
    for user in (factories.administrator(clinic), factories.user(clinic, use_sms_distributions="enabled")):
        assert "planned for 1 Jul 2035, 09:30, is being changed by Grace" in home(user)
    looking = Client()
    looking.force_login(factories.user(clinic))
    page = looking.get(f"{BASE}/{planned.pk}/change/", follow=True).text
    assert "Its plan is suspended" in page
    assert "/keep/" not in page


def test_it_is_kept_as_it_was(site, clinic, planned):
    before = Distribution.objects.filter(pk=planned.pk).values().get()
    begin(site, planned)
    other = factories.survey(clinic, questions=factories.THREE_QUESTIONS)
    changed = fields(
        planned,
        name="Summer",
        method="interactive",
        survey=other.pk,
        contact_list=factories.contact_list(clinic, 9, phone="+4477008{:05d}").pk,
        message_text="",
        when="now",
    )
    assert site.post(f"{BASE}/{planned.pk}/edit/", changed).status_code == 302

    site.post(f"{BASE}/{planned.pk}/keep/")

    assert Distribution.objects.filter(pk=planned.pk).values().get() == before
    assert "being changed" not in home(factories.administrator(clinic))
    assert come(planned).state == State.LAUNCHING


@pytest.mark.parametrize("halt", ["paused_at", "held_at"])
def test_what_was_paused_or_held_is_so_again(site, member, planned, halt):
    Distribution.objects.filter(pk=planned.pk).update(**{halt: timezone.now(), "problem": "Why."})
    before = Distribution.objects.filter(pk=planned.pk).values().get()

    begin(site, planned)
    assert getattr(planned, halt) is None
    editing.keep(planned, member)

    assert Distribution.objects.filter(pk=planned.pk).values().get() == before


def test_what_should_have_begun_meanwhile_is_asked_about(site, member, planned):
    Distribution.objects.filter(pk=planned.pk).update(send_at=timezone.now() + timedelta(seconds=0.2))
    begin(site, planned)
    threading.Event().wait(0.3)

    site.post(f"{BASE}/{planned.pk}/keep/")

    starting.start_due()
    planned.refresh_from_db()
    assert (planned.state, planned.standing) == (State.SCHEDULED, "held")
    assert "Its time passed while it was being changed" in planned.problem
    assert services.take_over(planned, member).state == State.LAUNCHING


def test_what_has_begun_is_not_changed_any_more(site, planned):
    come(planned)

    answer = site.post(f"{BASE}/{planned.pk}/edit-planned/", follow=True)

    assert "It has begun in the meantime" in answer.text
    planned.refresh_from_db()
    assert (planned.state, planned.plan) == (State.LAUNCHING, None)


def test_who_saves_after_somebody_kept_it_stops_its_clock_once_more(site, member, planned):
    """Nothing that was written is lost, and nothing of it is sent without a review."""
    begin(site, planned)
    editing.keep(planned, member)

    saved = site.post(f"{BASE}/{planned.pk}/edit/", fields(planned, name="Summer"))

    assert saved.url == f"{BASE}/{planned.pk}/review/"
    planned.refresh_from_db()
    assert (planned.state, planned.name, planned.plan["name"]) == (State.DRAFT, "Summer", "Spring")


def test_looking_at_it_does_not_stop_its_clock(site, planned):
    for name in ("change", "edit", "review", "edit-planned", "keep"):
        site.get(f"{BASE}/{planned.pk}/{name}/")

    planned.refresh_from_db()
    assert planned.state == State.SCHEDULED


def test_who_may_not_send_may_not_stop_the_clock(clinic, planned):
    onlooker = factories.user(clinic)
    client = Client()
    client.force_login(onlooker)

    assert client.post(f"{BASE}/{planned.pk}/edit-planned/").status_code == 403
    for service in (editing.begin, editing.keep):
        with pytest.raises(MissingRight):
            service(planned, onlooker)
    assert "edit-planned" not in client.get(f"{BASE}/{planned.pk}/change/").text


def test_it_can_be_cancelled_while_it_is_changed(site, member, planned):
    begin(site, planned)

    services.cancel(planned, member)

    planned.refresh_from_db()
    assert (planned.state, planned.plan, planned.edited_at) == (State.CANCELLED, None, None)


def test_what_a_plan_relies_on_stays_promised_while_it_is_changed(site, clinic, planned):
    """It may be kept as it was, and then nobody looks at it again."""
    contact_list, survey = planned.contact_list, planned.survey
    begin(site, planned)
    other = factories.contact_list(clinic, 2, phone="+4477008{:05d}")
    site.post(f"{BASE}/{planned.pk}/edit/", fields(planned, contact_list=other.pk))

    assert commitments.is_committed(contact_list)
    assert commitments.is_committed(contact_list.contacts.first())
    assert commitments.is_committed(survey)


@pytest.mark.django_db(transaction=True)
def test_its_time_comes_in_the_moment_in_which_somebody_begins_to_change_it(clinic, account, member):
    """Either it has begun, or its clock stands; never both."""
    for _round in range(6):
        row = factories.distribution(
            clinic, contact_list=factories.contact_list(clinic, 2), send_at=timezone.now() + timedelta(hours=1)
        )
        services.launch(row, member)
        Distribution.objects.filter(pk=row.pk).update(send_at=timezone.now() - timedelta(seconds=1))
        barrier, outcome = threading.Barrier(2), []

        def change(row=row, barrier=barrier, outcome=outcome):
            barrier.wait()
            try:
                editing.begin(row, member)
                outcome.append(State.DRAFT)
            except editing.Gone:
                outcome.append(State.LAUNCHING)
            finally:
                connection.close()

        def start(barrier=barrier):
            barrier.wait()
            try:
                starting.start_due()
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for work in (change, start)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        row.refresh_from_db()
        assert [row.state] == outcome
        Distribution.objects.filter(pk=row.pk).update(state=State.CANCELLED)


def test_what_was_planned_anew_for_later_is_not_begun_by_who_looked_at_the_old_plan(member, planned, monkeypatch):
    really = starting.ready

    def planned_anew(*arguments):
        Distribution.objects.filter(pk=planned.pk).update(send_at=timezone.now() + timedelta(days=1))
        return really(*arguments)

    monkeypatch.setattr(starting, "ready", planned_anew)

    assert come(planned).state == State.SCHEDULED


# --- the same time everywhere -----------------------------------------------------------------------------------------


def test_home_list_page_and_review_show_the_same_time_in_the_zone_it_was_planned_in(site, clinic, planned):
    pages = [reverse("admin:index"), f"{BASE}/", f"{BASE}/{planned.pk}/change/"]
    for address in pages:
        page = site.get(address).text
        assert "1 Jul 2035, 09:30" in page, address
        assert "Europe/Berlin" not in page  # the reader's own clocks

    clinic.time_zone = "America/New_York"
    clinic.save()

    for address in pages:
        assert "1 Jul 2035, 09:30 (Europe/Berlin)" in site.get(address).text, address
    begin(site, planned)
    assert "1 Jul 2035, 09:30 (Europe/Berlin)" in site.get(f"{BASE}/{planned.pk}/review/").text


class _Written(HTMLParser):
    """What the form holds as it is shown, which is what a browser sends if nobody touches it."""

    def __init__(self, page):
        super().__init__()
        self.fields, self._select, self._area = {}, None, None
        self.feed(page.partition('id="compose"')[2].partition("</form>")[0])

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        name = found.get("name")
        if tag == "input" and name and (found.get("type") != "radio" or "checked" in found):
            self.fields[name] = found.get("value", "")
        elif tag == "option" and "selected" in found and self._select:
            self.fields[self._select] = found["value"]
        elif tag == "textarea":
            self._area, self.fields[name] = name, ""
        self._select = name if tag == "select" else self._select

    def handle_endtag(self, tag):
        self._area = None if tag == "textarea" else self._area

    def handle_data(self, data):
        if self._area:
            self.fields[self._area] += data.removeprefix("\n") if not self.fields[self._area] else data


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    "moment",
    [
        "2035-07-01T07:30:00+00:00",
        "2035-07-01T07:30:15.250000+00:00",  # by a program, to the second
        "2035-10-28T00:30:00+00:00",  # half past two in Berlin, which comes twice that night
        "2035-11-04T06:30:00+00:00",  # and half past one in New York
    ],
)
def test_who_does_not_touch_the_time_keeps_it_and_its_zone(site, clinic, planned, zone, moment):
    moment = datetime.fromisoformat(moment)
    expires = moment + timedelta(days=364)  # the clocks go back that night too, or not
    Distribution.objects.filter(pk=planned.pk).update(send_at=moment, link_expires_at=expires)
    clinic.time_zone = zone
    clinic.save()
    begin(site, planned)

    for text in ("Hi ${l://SurveyURL}", "Hello again ${l://SurveyURL}"):
        written = _Written(site.get(f"{BASE}/{planned.pk}/edit/").text).fields
        saved = site.post(f"{BASE}/{planned.pk}/edit/", written | {"message_text": text})
        assert saved.status_code == 302, saved.text

    planned.refresh_from_db()
    assert planned.message_text == "Hello again ${l://SurveyURL}"
    assert (planned.send_at, planned.time_zone) == (moment, "Europe/Berlin")
    assert planned.link_expires_at == expires
    send(site, planned.pk)
    planned.refresh_from_db()
    assert (planned.send_at, planned.time_zone, planned.state) == (moment, "Europe/Berlin", State.SCHEDULED)


def test_who_changes_the_time_plans_by_their_own_clocks(site, clinic, planned):
    clinic.time_zone = "America/New_York"
    clinic.save()
    begin(site, planned)
    written = _Written(site.get(f"{BASE}/{planned.pk}/edit/").text).fields
    assert written["send_at"] == "2035-07-01T03:30"

    site.post(f"{BASE}/{planned.pk}/edit/", written | {"send_at": "2035-07-01T03:31"})

    planned.refresh_from_db()
    assert planned.send_at == datetime.fromisoformat("2035-07-01T07:31:00+00:00")
    assert planned.time_zone == "America/New_York"


def test_who_goes_back_to_the_planned_time_goes_back_to_its_zone(site, clinic, planned):
    clinic.time_zone = "America/New_York"
    clinic.save()
    begin(site, planned)
    address = f"{BASE}/{planned.pk}/edit/"
    site.post(address, fields(planned, when="now", send_at=""))
    planned.refresh_from_db()
    assert (planned.send_at, planned.time_zone) == (None, "")

    site.post(address, fields(planned, send_at="2035-07-01T03:30"))

    planned.refresh_from_db()
    assert planned.time_zone == "Europe/Berlin"


def test_a_time_that_comes_twice_is_still_refused_where_somebody_chooses_it(site, planned):
    begin(site, planned)

    refused = site.post(f"{BASE}/{planned.pk}/edit/", fields(planned, send_at="2035-10-28T02:30"))

    assert refused.status_code == 422
    assert "comes twice or not at all" in refused.text


# --- what is being changed is no mere draft ---------------------------------------------------------------------------


def test_it_goes_back_to_the_plan_or_is_cancelled_and_is_never_deleted_as_a_draft(site, clinic, planned):
    begin(site, planned)

    for name in ("edit", "review"):
        page = site.get(f"{BASE}/{planned.pk}/{name}/").text
        assert "Back to the plan as it was" in page
        assert f'action="{BASE}/{planned.pk}/cancel/"' in page
        assert "Then nothing is sent, neither as planned nor as it is now." in page
        assert "Delete this draft" not in page
        assert f"{BASE}/{planned.pk}/delete/" not in page
    assert site.post(f"{BASE}/{planned.pk}/delete/", {"post": "yes"}).status_code == 403
    site.post(f"{BASE}/{planned.pk}/cancel/")

    planned.refresh_from_db()
    assert (planned.state, planned.plan) == (State.CANCELLED, None)
    assert AuditEvent.objects.filter(action="cancelled", object_id=planned.public_id).exists()
    assert "being changed" not in home(factories.administrator(clinic))


def test_a_draft_that_was_never_planned_can_be_deleted(site, clinic, account):
    draft = factories.distribution(clinic)
    page = site.get(f"{BASE}/{draft.pk}/edit/").text
    assert "Delete this draft" in page
    assert "/cancel/" not in page

    site.post(f"{BASE}/{draft.pk}/delete/", {"post": "yes"})

    assert not Distribution.objects.filter(pk=draft.pk).exists()


# --- the same time everywhere, by a program ---------------------------------------------------------------------------


def test_what_a_program_plans_is_shown_by_the_clocks_of_its_organisation(site, clinic, account, member):
    body = {
        "surveyId": factories.survey(clinic).public_id,
        "name": "Spring",
        "sendDate": "2035-07-01T07:30:00Z",
        "method": "Invite",
        "recipients": {"mailingListId": factories.contact_list(clinic, 4).public_id},
        "message": {"messageText": "Hello ${l://SurveyURL}"},
    }
    api = Api(member)
    made = result(api.post(body))["id"]

    row = Distribution.objects.get(public_id=made)

    assert row.time_zone == "Europe/Berlin"
    assert "1 Jul 2035, 09:30" in site.get(f"{BASE}/{row.pk}/change/").text
    assert result(api.get(f"distributions/sms/{made}"))["sendDate"] == "2035-07-01T07:30:00Z"


def test_what_is_late_is_said_by_the_same_clocks(planned):
    """By a worker, whose own clocks are nobody's."""
    late = timezone.now() - timedelta(days=2)
    Distribution.objects.filter(pk=planned.pk).update(send_at=late)
    starting.start_due()
    planned.refresh_from_db()

    assert "(Europe/Berlin)" in planned.problem


def test_an_account_that_was_deleted_meanwhile_is_said_in_the_review(site, planned):
    begin(site, planned)
    ProviderAccount.objects.update(deleted_at=datetime.fromisoformat("2026-01-01T00:00:00+00:00"))

    assert "No SMS account" in site.get(f"{BASE}/{planned.pk}/review/").text

"""The review of a long list is worked out by a task, and the same as if it had been read at once."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts import opt_outs
from contacts.models import Contact
from distributions import services, tasks
from distributions.models import Distribution, Message, WorkedOut
from distributions.planning import review, working_out
from tests import factories, reviewing
from tests.travelling import travel

pytestmark = pytest.mark.django_db

TEXT = "Hello ${m://FirstName}, ${e://Field/Ward|your ward} asks: ${l://SurveyURL} STOP to opt out"


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    """Ten people are many; a step takes two of them. Whom the tasks were woken for."""
    monkeypatch.setattr(working_out, "IN_THE_REQUEST", 4)
    monkeypatch.setattr(working_out, "STEP", 0.0)
    monkeypatch.setattr(review, "BATCH", 2)
    asked: list[int] = []
    monkeypatch.setattr(working_out, "wake", lambda _task, pk: asked.append(pk))
    return asked


@pytest.fixture
def draft(clinic, account):
    patients = factories.contact_list(clinic, 10)
    return factories.distribution(clinic, contact_list=patients, message_text=TEXT)


@pytest.fixture
def site(member):
    client = Client()
    client.force_login(member)
    return client


@pytest.fixture
def member(clinic):
    return factories.user(clinic, use_sms_distributions="enabled")


def address(draft):
    return f"{reviewing.BASE}/{draft.pk}/review/"


def work_out(draft):
    steps = 1
    while working_out.step(draft.pk):
        steps += 1
    return steps


def test_a_short_list_is_reviewed_at_once(clinic, draft, site, woken):
    draft.contact_list.contacts.filter(pk__in=draft.contact_list.contacts.values("pk")[:6]).delete()

    assert reviewing.review(site, draft.pk)
    assert not WorkedOut.objects.exists()
    assert woken == []


def test_a_long_list_is_worked_out_meanwhile_and_then_shown(draft, site, woken):
    page = site.get(address(draft))
    assert "0 of 10 people" in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text, "it goes on without scripts"
    assert "fingerprint" not in page.text, "nothing can be launched that nobody has looked at"

    assert working_out.step(draft.pk)
    assert "2 of 10 people" in site.get(address(draft)).text
    work_out(draft)
    shown = site.get(address(draft))

    assert woken == [draft.pk], "several who look have it worked out once"
    assert '<dd class="sb-figure" id="sendable">10</dd>' in shown.text
    assert "Hello Ada0" in shown.text
    reviewing.press(site, draft.pk, reviewing.form_of(shown))
    draft.refresh_from_db()
    assert draft.state == Distribution.State.LAUNCHING
    assert not WorkedOut.objects.exists(), "nothing of it is kept"


PEOPLE = st.lists(
    st.tuples(
        st.sampled_from(["", "+447700900001", "+447700900002", "+4915112345678", "+46700000123"]),
        st.sampled_from(["", "Ada", "Привет", "x" * 170, "{Ä€}"]),
        st.dictionaries(st.sampled_from(["Ward", "City"]), st.sampled_from(["", "North", "“South”"])),
        st.booleans(),
    ),
    min_size=5,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=PEOPLE, stopped=st.booleans())
def test_what_is_kept_is_what_would_have_been_worked_out_at_once(clinic, account, people, stopped):
    made = factories.distribution(clinic, contact_list=factories.contact_list(clinic), message_text=TEXT)
    for phone, name, others, opted_out in people:
        Contact.objects.create(
            organization=clinic,
            contact_list=made.contact_list,
            phone=phone,
            first_name=name,
            fields=others,
            shares_number=True,
            opted_out_at=timezone.now() if opted_out else None,
        )
    if stopped:
        opt_outs.opt_out(clinic, "+447700900001", "keyword")
    working_out.look(made)
    assert work_out(made) > 1

    with travel(timezone.now(), tick=False):
        kept, _version = working_out.look(made)
        whole = review.review(made)

    assert {f.name: getattr(kept, f.name) for f in fields(kept)} == {
        f.name: getattr(whole, f.name) for f in fields(whole)
    }


def test_a_task_that_was_killed_goes_on_where_it_was(draft):
    working_out.look(draft)
    working_out.step(draft.pk)

    tasks.review(draft.pk)

    assert WorkedOut.objects.get().done == 4


def test_of_two_at_once_only_one_goes_on(draft, monkeypatch):
    working_out.look(draft)
    real = working_out._written

    def meanwhile(found):
        monkeypatch.setattr(working_out, "_written", real)
        assert working_out.step(draft.pk)  # another worker, at the same people
        return real(found)

    monkeypatch.setattr(working_out, "_written", meanwhile)

    assert not working_out.step(draft.pk)
    assert WorkedOut.objects.get().done == 2


def test_another_text_is_worked_out_anew(draft, woken):
    working_out.look(draft)
    working_out.step(draft.pk)
    draft.message_text = "Something else"
    draft.save()

    assert not working_out.step(draft.pk), "the task of the old one ends"
    assert working_out.look(draft).done == 0
    assert woken == [draft.pk] * 2


def test_another_list_or_a_minute_old_one_is_worked_out_anew(draft, woken):
    working_out.look(draft)
    work_out(draft)
    draft.contact_list.contacts.update(first_name="Grace")

    assert isinstance(working_out.look(draft), tuple), "a list that never rests would never be shown"
    with travel(timezone.now() + timedelta(minutes=2)):
        assert isinstance(working_out.look(draft), WorkedOut)


def test_what_has_not_changed_stays_for_hours_and_is_forgotten_after_a_day(draft):
    working_out.look(draft)
    work_out(draft)
    with travel(timezone.now() + timedelta(hours=5)):
        tasks.sweep()
        assert isinstance(working_out.look(draft), tuple)
    with travel(timezone.now() + timedelta(hours=25)):
        tasks.sweep()
        assert not WorkedOut.objects.exists()


def test_a_task_that_was_lost_is_woken_again_by_whoever_looks(draft, woken):
    working_out.look(draft)
    working_out.look(draft)
    assert woken == [draft.pk]

    with travel(timezone.now() + timedelta(seconds=11)):
        working_out.look(draft)
        working_out.look(draft)
    assert woken == [draft.pk] * 2


def test_what_changed_since_it_was_worked_out_is_not_sent_and_worked_out_anew(clinic, draft, site, woken):
    site.get(address(draft))
    work_out(draft)
    button = reviewing.review(site, draft.pk)
    opt_outs.opt_out(clinic, draft.contact_list.contacts.first().phone, "keyword")

    answer = reviewing.press(site, draft.pk, button)

    assert answer.status_code == 409
    assert "Nothing has been sent" in answer.text
    assert "10 → 9" in answer.text
    assert "0 of 10 people" in answer.text
    assert "every 2s" not in answer.text, "what differs stays until it has been read"
    assert woken == [draft.pk] * 2
    assert not Message.objects.exists()
    work_out(draft)
    reviewing.send(site, draft.pk)
    draft.refresh_from_db()
    assert draft.state == Distribution.State.LAUNCHING


def test_a_draft_that_is_deleted_meanwhile_ends_its_task(draft):
    working_out.look(draft)
    draft.delete()

    assert not working_out.step(draft.pk or 0)


def test_what_was_launched_by_a_program_is_not_worked_out_any_more(draft, member):
    working_out.look(draft)
    services.launch(draft, member)

    assert not working_out.step(draft.pk)

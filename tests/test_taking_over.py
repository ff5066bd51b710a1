"""Who takes over a planned distribution answers for what they have seen: if anything else would go, nothing does."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from contacts.models import Contact
from distributions import services
from distributions.models import Distribution, Message
from distributions.planning import editing, starting
from organizations.models import AuditEvent
from tests import factories, reviewing
from tests.reviewing import BASE
from tests.test_fingerprint import (
    REVIEWED,
    another_account,
    another_address,
    another_text,
    no_account,
    somebody_else_instead,
    somebody_less,
    somebody_more,
    ten_thousand_more,
    written,
)

pytestmark = pytest.mark.django_db

State = Distribution.State

# Every second one is held because its time has come; of the others it is known before.
CHANGES = [case for case in REVIEWED if case[0] != "planned"]
CASES = [(*case, index % 2 == 0) for index, case in enumerate(CHANGES)]


@pytest.fixture
def account(clinic):
    return factories.account(clinic, name="First line")


@pytest.fixture
def planner(clinic):
    return factories.user(clinic, use_sms_distributions="enabled", name="Grace")


@pytest.fixture
def colleague(clinic):
    return factories.user(clinic, use_sms_distributions="enabled", name="Ada")


@pytest.fixture
def site(client, colleague):
    client.force_login(colleague)
    return client


def plan(clinic, planner, kind="link"):
    """Planned, for tomorrow."""
    draft = written(clinic, kind)
    Distribution.objects.filter(pk=draft.pk).update(send_at=timezone.now() + timedelta(days=1))
    draft.refresh_from_db()
    return services.launch(draft, planner)


def leave(row, planner, *, held):
    """Whoever planned it may not send any more; and its time has come, or not yet."""
    planner.is_active = False
    planner.save()
    if held:
        Distribution.objects.filter(pk=row.pk).update(send_at=timezone.now() - timedelta(seconds=1))
        starting.start_due()
    else:
        starting.look_ahead()
    row.refresh_from_db()
    assert (row.needs_somebody, bool(row.held_at)) == (True, held)


def address(row):
    return reverse("admin:distributions_distribution_take_over", args=[row.pk])


def button(page):
    """What the button *Take over* posts."""
    form = re.search(r'<form[^>]* action="[^"]*/take-over/">(.*?)</form>', page.text, re.DOTALL)[1]
    found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    assert found.pop("csrfmiddlewaretoken")
    assert found["fingerprint"]
    return found


def look(site, row):
    return site.get(f"{BASE}/{row.pk}/change/")


def said(page, name):
    """What stands under a heading of the page, by its id."""
    return unescape(re.sub(r"<[^>]+>|\s+", " ", page.text.partition(f'id="{name}"')[2].partition("</section>")[0]))


@pytest.mark.parametrize(("kind", "change", "words", "held"), CASES)
def test_nothing_is_taken_over_that_was_not_looked_at(site, clinic, account, planner, kind, change, words, held):
    row = plan(clinic, planner, kind)
    leave(row, planner, held=held)
    seen = button(look(site, row))
    change(Distribution.objects.get(pk=row.pk))

    refused = site.post(address(row), seen)

    assert refused.status_code == 409
    assert "It has not been taken over" in refused.text
    assert words in said(refused, "changed").lower() or words in said(refused, "changed")
    row.refresh_from_db()
    assert (row.state, row.launched_by, bool(row.held_at)) == (State.SCHEDULED, planner, held)
    assert not Message.objects.exclude(status="cancelled").exists()
    assert not AuditEvent.objects.filter(action="took over").exists()
    if change is not no_account:
        site.post(address(row), button(refused))
        row.refresh_from_db()
        assert row.launched_by.name == "Ada"
        assert row.state == (State.LAUNCHING if row.send_at <= timezone.now() else State.SCHEDULED)


@pytest.mark.parametrize(("kind", "change", "words", "held"), CASES)
def test_the_page_says_what_is_otherwise_than_it_was_planned(site, clinic, account, planner, kind, change, words, held):
    row = plan(clinic, planner, kind)
    leave(row, planner, held=held)
    assert 'id="differs"' not in look(site, row).text
    change(Distribution.objects.get(pk=row.pk))

    page = look(site, row)

    if "/take-over/" not in page.text:  # something is in the way, and that is said instead
        assert change is no_account
        assert not held
        return
    if words == "Begins" and held:  # it begins when somebody takes it over
        return
    differs = said(page, "differs")
    assert "Changed since it was planned" in differs
    assert words in differs.lower() or words in differs
    site.post(address(row), button(page))
    row.refresh_from_db()
    assert row.launched_by.name == "Ada" or change is no_account


def test_who_changes_the_language_of_what_was_refused_looks_at_it_in_the_other(site, clinic, account, planner):
    """The page came in answer to a click, and its address cannot be opened."""
    row = plan(clinic, planner)
    leave(row, planner, held=True)
    seen = button(look(site, row))
    draft = written(clinic, "link")
    reviewed = reviewing.review(site, draft.pk)
    another_text(row)
    another_text(draft)

    for refused in (site.post(address(row), seen), reviewing.press(site, draft.pk, reviewed)):
        assert refused.status_code == 409
        there = set(re.findall(r'name="next" type="hidden" value="([^"]*)"', refused.text))
        assert len(there) == 1
        shown = site.get(there.pop())
        assert shown.status_code == 200
        assert "Something else" in shown.text


def test_nobody_is_asked_twice_for_nothing(site, clinic, account, planner):
    row = plan(clinic, planner)
    leave(row, planner, held=True)
    page = look(site, row)
    assert "It would be sent as" in page.text
    assert "First line" in page.text
    factories.account(clinic, "infobip", name="Second line")  # behind the one in use
    factories.contact_list(clinic, 3, phone="+4477007{:05d}")
    Contact.objects.update(email="new@example.org")  # which no text shows

    assert [site.post(address(row), button(page)).status_code for _click in range(2)] == [302, 302]

    row.refresh_from_db()
    assert row.state == State.LAUNCHING
    assert AuditEvent.objects.filter(action="took over").count() == 1


def test_one_whose_time_comes_while_it_is_looked_at_is_taken_over(site, clinic, account, planner):
    row = plan(clinic, planner)
    Distribution.objects.filter(pk=row.pk).update(send_at=timezone.now() + timedelta(seconds=0.5))
    planner.delete()
    starting.look_ahead()
    seen = button(look(site, row))
    Distribution.objects.filter(pk=row.pk).update(held_at=timezone.now())
    deadline = Distribution.objects.get(pk=row.pk).send_at
    while timezone.now() < deadline:
        pass

    assert site.post(address(row), seen).status_code == 302

    row.refresh_from_db()
    assert row.state == State.LAUNCHING


# --- one click on the home page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [another_text, another_account, another_address, ten_thousand_more])
def test_one_click_is_not_enough_where_more_has_changed_than_the_problem_says(site, clinic, account, planner, change):
    row = plan(clinic, planner)
    leave(row, planner, held=True)
    change(Distribution.objects.get(pk=row.pk))
    assert address(row) in site.get(reverse("admin:index")).text

    shown = site.post(address(row), follow=True)

    assert "More than that has changed." in shown.text
    assert "Changed since it was planned" in shown.text
    row.refresh_from_db()
    assert row.standing == "held"
    site.post(address(row), button(shown))
    row.refresh_from_db()
    assert row.state == State.LAUNCHING


def test_one_click_is_not_enough_where_the_list_has_grown_since_its_problem_was_said(site, clinic, account, planner):
    row = plan(clinic, planner)
    Contact.objects.bulk_create(
        Contact(organization=clinic, contact_list=row.contact_list, phone=f"+4477007{n:05d}") for n in range(11)
    )
    Distribution.objects.filter(pk=row.pk).update(send_at=timezone.now() - timedelta(seconds=1))
    starting.start_due()
    ten_thousand_more(row)

    assert "More than that has changed." in site.post(address(row), follow=True).text


@pytest.mark.parametrize("change", [None, somebody_more, somebody_less, somebody_else_instead])
@pytest.mark.parametrize("language", ["en", "de"])
def test_one_click_is_enough_where_the_problem_is_all(site, clinic, account, planner, change, language):
    clinic.language = language
    clinic.save()
    row = plan(clinic, planner)
    leave(row, planner, held=True)
    if change:
        change(row)

    site.post(address(row))

    row.refresh_from_db()
    assert row.state == State.LAUNCHING


def test_what_an_older_version_planned_is_taken_over_too(site, clinic, account, planner):
    row = plan(clinic, planner)
    leave(row, planner, held=True)
    for kept in (None, {}, {"text": "Hello"}, []):
        Distribution.objects.filter(pk=row.pk).update(reviewed=kept)
        page = look(site, row)
        assert 'id="differs"' not in page.text
        assert button(page)

    site.post(address(row))

    row.refresh_from_db()
    assert row.state == State.LAUNCHING


def test_who_took_it_over_is_the_measure_of_what_changes_then(site, clinic, account, planner, colleague):
    row = plan(clinic, planner)
    leave(row, planner, held=False)
    another_address(row)
    site.post(address(row), button(look(site, row)))
    colleague.delete()
    starting.look_ahead(clinic.pk)
    third = Client()
    third.force_login(factories.user(clinic, use_sms_distributions="enabled"))
    assert "/take-over/" in look(third, row).text

    assert 'id="differs"' not in look(third, row).text


def test_what_was_changed_and_kept_as_it_was_is_still_compared_with_its_plan(site, clinic, account, planner, colleague):
    row = plan(clinic, planner)
    editing.begin(row, colleague)
    another_account(row)
    editing.keep(row, colleague)
    leave(row, planner, held=True)

    assert "Second line" in said(look(site, row), "differs")

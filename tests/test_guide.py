"""The guide on the home page: one next button, from what there is and what the reader may do."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.portal import guide
from extensions.models import EnabledExtension, TestMessage
from organizations.models import Organization, User
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic() -> Organization:
    return factories.organization("Clinic", default_region="GB")


@pytest.fixture
def ada(clinic: Organization) -> User:
    return factories.administrator(clinic, name="Ada Lovelace", email="ada@example.org")


def home(user: User) -> Any:
    client = Client()
    client.force_login(user)
    return client.get("/admin/")


def seen(user: User) -> tuple[list[bool], str]:
    """Which steps are done, and where the next button leads."""
    found = home(user).context["guide"]
    return [step.is_done for step in found.steps], found.next.link if found.next else ""


def test_each_step_is_done_by_a_fact_and_the_button_leads_to_the_next(clinic: Organization, ada: User) -> None:
    assert seen(ada) == ([True, False, False, False, False, False], "/admin/extensions/")

    account = factories.account(clinic, granted=False, verified=False)
    page = f"/admin/extensions/account/{account.public_id}/"
    assert seen(ada) == ([True, False, False, False, False, False], page)

    account.granted_at, account.check_ok = timezone.now(), True
    account.save(update_fields=["granted_at", "check_ok"])
    assert seen(ada) == ([True, True, False, False, False, False], page)

    test = TestMessage.objects.create(account=account, reference="t1", to="+44•••", status="queued")
    assert not seen(ada)[0][2]
    TestMessage.objects.filter(pk=test.pk).update(status="delivered")
    assert seen(ada) == ([True, True, True, False, False, False], "/admin/contacts/contactlist/add/")

    patients = factories.contact_list(clinic)
    assert seen(ada)[1] == f"/admin/contacts/contactlist/{patients.pk}/import/"
    factories.contact_list(clinic, 1)
    assert seen(ada) == ([True, True, True, True, False, False], "/admin/surveys/survey/add/")

    survey = factories.survey(clinic)
    assert seen(ada) == ([True] * 5 + [False], "/admin/distributions/distribution/add/")

    draft = factories.distribution(clinic, survey=survey)
    assert seen(ada)[1] == f"/admin/distributions/distribution/{draft.pk}/review/"
    draft.launched_at = timezone.now()
    draft.save()
    assert home(ada).context["guide"] is None


def test_a_survey_of_nothing_is_none(clinic: Organization, ada: User) -> None:
    factories.survey(clinic, url="")

    assert not seen(ada)[0][4]


def test_what_others_have_done_is_not_ones_own(ada: User) -> None:
    other = factories.organization()
    factories.account(other)
    factories.contact_list(other, 1)
    factories.survey(other)
    factories.distribution(other, launched_at=timezone.now())

    assert seen(ada)[0] == [True, False, False, False, False, False]


def test_a_member_is_led_to_what_is_theirs_and_told_whom_to_ask_for_the_rest(clinic: Organization, ada: User) -> None:
    grace = factories.user(clinic, use_sms_distributions="enabled")
    steps = home(grace).context["guide"].steps

    assert [bool(step.ask) for step in steps] == [False, True, True, False, False, False]
    assert steps[1].ask == "Please ask an administrator of your organisation."
    assert seen(grace)[1] == "/admin/contacts/contactlist/add/"

    factories.contact_list(clinic, 1)
    factories.survey(clinic)
    assert seen(grace) == ([True, False, False, True, True, False], "")  # the account is an administrator's


def test_nobody_is_guided_to_what_they_may_not_do(clinic: Organization) -> None:
    assert home(factories.user(clinic)).context["guide"] is None
    assert "guide" not in home(factories.operator()).context


def test_an_administrator_without_the_permission_is_led_to_it_last(clinic: Organization) -> None:
    ada = factories.administrator(clinic, use_sms_distributions="inherit")
    account = factories.account(clinic)
    TestMessage.objects.create(account=account, reference="t1", to="+44•••", status="delivered")
    factories.contact_list(clinic, 1)
    factories.survey(clinic)

    assert seen(ada)[1] == f"/admin/organizations/user/{ada.pk}/change/"


@pytest.mark.parametrize("lacking", ["licence", "extension"])
def test_without_licence_or_extension_whoever_runs_the_installation_is_asked(
    clinic: Organization, ada: User, lacking: str
) -> None:
    clinic.support_contact = "Ada Lovelace"  # herself
    clinic.save()
    if lacking == "licence":
        clinic.licence.sms = False
        clinic.licence.save()
    EnabledExtension.objects.filter(organization=clinic).delete()

    page = home(ada)

    first = page.context["guide"].steps[0]
    assert not first.is_done
    assert "whoever runs this installation" in first.ask.lower()
    assert "Please ask Ada Lovelace" not in page.content.decode()


def test_what_the_guide_says_is_not_said_again_below_it(ada: User) -> None:
    said = "Add an account at your SMS provider."
    assert said not in [task.text for task in home(ada).context["tasks"]]

    ada.guide_dismissed_at = timezone.now()
    ada.save()

    assert said in [task.text for task in home(ada).context["tasks"]]


def test_it_can_be_dismissed_and_called_back_by_each_for_themselves(clinic: Organization, ada: User) -> None:
    grace = factories.administrator(clinic)
    client = Client()
    client.force_login(ada)

    client.post("/admin/guide/", {"show": "0"})
    page = client.get("/admin/")
    assert page.context["guide"] is None
    assert "Show the way to the first text" in page.content.decode()
    assert home(grace).context["guide"] is not None

    client.post("/admin/guide/", {"show": "1"})
    assert client.get("/admin/").context["guide"] is not None
    assert client.get("/admin/guide/").status_code == 405


def test_once_it_is_over_it_costs_one_question(clinic: Organization, ada: User, django_assert_num_queries: Any) -> None:
    factories.distribution(clinic, launched_at=timezone.now())

    with django_assert_num_queries(1):
        assert guide.guide_for(ada) is None

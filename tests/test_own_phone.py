"""A test to oneself: to one's own confirmed number, a few times, and to nobody else."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from contacts.models import OptOut
from distributions import own_phone
from distributions.models import Message
from extensions import services
from extensions.contract import Delivery
from extensions.models import ProviderAccount, TestMessage
from organizations.models import AuditEvent, Organization, PhoneCode, User
from organizations.permissions import MissingRight
from tests import factories

pytestmark = pytest.mark.django_db
OWN, STRANGER = "+447700900123", "+447700900999"
TO_MYSELF = "/admin/distributions/to-myself/"


@pytest.fixture
def clinic() -> Organization:
    made = factories.organization("Clinic", default_region="GB")
    factories.account(made)
    return made


@pytest.fixture
def ada(clinic: Organization) -> User:
    return factories.administrator(clinic, name="Ada Lovelace", language="en")


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the provider has been given: to whom, and what."""
    given: list[tuple[str, str]] = []

    def take(account: Any, user: Any, to: str, text: str, **_more: Any) -> TestMessage:
        given.append((to, text))
        return TestMessage.objects.create(account=account, reference=f"t{len(given)}", to=to, status=Delivery.QUEUED)

    monkeypatch.setattr(services, "send_test", take)
    return given


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def code_in(text: str) -> str:
    found = re.match(r"\d{6}", text)
    assert found
    return found.group()


def confirmed(user: User, phone: str = OWN) -> User:
    user.phone = user.confirmed_phone = phone
    user.save()
    return user


def test_a_number_is_confirmed_once_by_the_code_that_was_texted(ada: User, texts: list[tuple[str, str]]) -> None:
    client = client_of(ada)

    asked = client.post(TO_MYSELF, {"step": "code", "own_number": "07700 900123", "source": "compose"})
    assert [to for to, _text in texts] == [OWN]
    assert "Code from the text" in asked.content.decode()
    code = code_in(texts[0][1])
    assert code not in asked.content.decode()
    done = client.post(TO_MYSELF, {"step": "confirm", "own_code": f" {code[:3]} {code[3:]}", "source": "compose"})

    ada.refresh_from_db()
    assert ada.has_confirmed_phone
    assert ada.phone == OWN
    assert "Your number is confirmed." in done.content.decode()
    assert not PhoneCode.objects.exists()
    assert AuditEvent.objects.filter(action=own_phone.CONFIRMED, actor=ada).exists()


def test_the_code_is_not_stored_and_belongs_to_one_person(
    clinic: Organization, ada: User, texts: list[tuple[str, str]]
) -> None:
    grace = factories.administrator(clinic)
    own_phone.send_code(ada, OWN)
    code = code_in(texts[0][1])

    assert code not in str(PhoneCode.objects.values())
    with pytest.raises(own_phone.Refused):
        own_phone.confirm(grace, code)
    PhoneCode.objects.update(user=grace)  # as if somebody could move the row
    with pytest.raises(own_phone.Refused):
        own_phone.confirm(grace, code)


def test_a_code_ends_with_its_time_with_wrong_tries_and_with_the_next_one(
    ada: User, texts: list[tuple[str, str]]
) -> None:
    own_phone.send_code(ada, OWN)
    own_phone.send_code(ada, OWN)
    first, second = (code_in(text) for _to, text in texts)
    if first != second:
        with pytest.raises(own_phone.Refused, match="not the code"):
            own_phone.confirm(ada, first)
    PhoneCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(own_phone.Refused, match="no longer valid"):
        own_phone.confirm(ada, second)
    PhoneCode.objects.update(expires_at=timezone.now() + timedelta(minutes=1), tries=0)
    for _try in range(own_phone.TRIES):
        with pytest.raises(own_phone.Refused, match="not the code"):
            own_phone.confirm(ada, "nothing")
    with pytest.raises(own_phone.Refused, match="Too many wrong codes"):
        own_phone.confirm(ada, second)
    assert not User.objects.get(pk=ada.pk).has_confirmed_phone


def test_another_number_in_the_profile_is_not_confirmed(ada: User, texts: list[tuple[str, str]]) -> None:
    client = client_of(confirmed(ada))
    client.post("/admin/profile/", {"name": "Ada", "language": "", "time_zone": "", "phone": STRANGER})

    answer = client.post(TO_MYSELF, {"step": "send", "source": "compose", "message_text": "Hello"})

    assert answer.status_code == 422
    assert "Confirm your mobile number first." in answer.content.decode()
    assert texts == []


def test_a_stranger_is_texted_a_code_only_and_only_a_few_times_whoever_asks(
    clinic: Organization, texts: list[tuple[str, str]]
) -> None:
    people = [factories.administrator(clinic) for _number in range(5)]
    people += [factories.administrator(other_clinic()) for _number in range(2)]

    for person in people:
        for _time in range(4):
            with suppress(own_phone.Refused):
                own_phone.send_code(person, STRANGER)

    assert len(texts) == 3
    assert all(re.match(r"\d{6} is your code for Clinic( \d+)?\. If you", text) for _to, text in texts)


def other_clinic() -> Organization:
    made = factories.organization()
    factories.account(made)
    return made


def test_tests_to_oneself_are_limited_and_leave_a_trace(clinic: Organization, ada: User, texts: Any) -> None:
    client = client_of(confirmed(ada))
    sent = [client.post(TO_MYSELF, {"step": "send", "message_text": "Hello"}).status_code for _time in range(12)]

    assert sent == [200] * 10 + [422] * 2
    assert len(texts) == 10
    assert not Message.objects.exists()  # nobody is counted


def test_what_is_sent_is_what_is_written_with_ones_own_name(clinic: Organization, ada: User, texts: Any) -> None:
    survey = factories.survey(clinic)
    data = {
        "step": "send",
        "source": "compose",
        "method": "invite",
        "survey": survey.pk,
        "message_text": "Hello ${m://FirstName}: ${l://SurveyURL} ${l://OptOutLink}",
    }

    client_of(confirmed(ada)).post(TO_MYSELF, data)

    ((to, text),) = texts
    assert to == OWN
    assert text.startswith("Hello Ada: https://forms.example.org/s/42?ref=test http")
    opt_out = client_of(ada).get("/o/test")
    assert "This was a test" in opt_out.content.decode()
    client_of(ada).post("/o/test")
    assert not OptOut.objects.exists()


def test_a_review_and_a_survey_send_their_first_text(clinic: Organization, ada: User, texts: Any) -> None:
    survey = factories.survey(clinic, questions=[{"kind": "yes_no", "text": "Gut?"}], language="de")
    draft = factories.interactive(clinic, survey=survey, message_text="Hi!")
    client = client_of(confirmed(ada))

    client.post(TO_MYSELF, {"step": "send", "source": f"distribution:{draft.pk}"})
    client.post(TO_MYSELF, {"step": "send", "source": f"survey:{survey.pk}"})

    assert [text for _to, text in texts] == ["Hi!\n\nGut?\n\n1 - Ja\n2 - Nein", "Gut?\n\n1 - Ja\n2 - Nein"]


@pytest.mark.parametrize("source", ["survey", "distribution"])
def test_what_others_have_written_is_not_sent(ada: User, texts: Any, source: str) -> None:
    other = factories.distribution(factories.organization())
    key = other.pk if source == "distribution" else other.survey_id

    assert client_of(confirmed(ada)).post(TO_MYSELF, {"step": "send", "source": f"{source}:{key}"}).status_code == 404
    assert client_of(ada).post(TO_MYSELF, {"step": "send", "source": f"{source}:1 or 1"}).status_code == 404
    assert texts == []


@pytest.mark.parametrize("lacking", ["permission", "licence", "grant", "opted out", "restored"])
def test_it_is_no_way_around_what_stops_every_other_text(
    clinic: Organization, ada: User, texts: Any, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed(ada)
    if lacking == "permission":
        User.objects.filter(pk=ada.pk).update(use_sms_distributions="disabled")
    elif lacking == "licence":
        clinic.licence.sms = False
        clinic.licence.save()
    elif lacking == "grant":
        ProviderAccount.objects.filter(organization=clinic).update(granted_at=None)
    elif lacking == "opted out":
        OptOut.objects.create(organization=clinic, phone=OWN, source=OptOut.Source.KEYWORD)
    else:
        monkeypatch.setattr(own_phone.identity, "is_held", lambda: True)
    ada = User.objects.get(pk=ada.pk)

    for send in (lambda: own_phone.send_code(ada, OWN), lambda: own_phone.send_to_myself(ada, "Hello")):
        with pytest.raises((own_phone.Refused, MissingRight)):
            send()

    assert texts == []


def test_what_the_provider_refuses_is_said(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(account: Any, *_arguments: Any, **_more: Any) -> TestMessage:
        return TestMessage(account=account, status=Delivery.FAILED, detail="21610: blocked")

    monkeypatch.setattr(services, "send_test", refuse)

    answer = client_of(confirmed(ada)).post(TO_MYSELF, {"step": "send", "message_text": "Hello"})

    assert "The provider did not accept the text. 21610: blocked" in answer.content.decode()


@pytest.mark.parametrize("typed", ["", "12", "not a number", "112", "0" * 40, "\0"])
def test_what_is_no_number_is_said_at_once(ada: User, texts: Any, typed: str) -> None:
    answer = client_of(ada).post(TO_MYSELF, {"step": "code", "own_number": typed})

    assert answer.status_code in (400, 422)
    assert texts == []

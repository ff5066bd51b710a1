"""The API: its shape, its rights, one launch per key, and an answer in the envelope whatever comes in."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.models import Contact
from distributions.models import Chunk, Distribution, Message, Tally
from distributions.planning import starting
from distributions.states import Status
from extensions.models import ProviderAccount
from organizations import tokens
from organizations.api_base import ApiView, UnknownAddress
from organizations.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db

State = Distribution.State
API = "/API/v3"
SMS = f"{API}/distributions/sms"
TEXT = "Hello ${m://FirstName}: ${l://SurveyURL} Reply STOP to opt out"


# A program compares recipients["contactId"] with the contact it looks for, in each element of the list.
UNUSED_RECIPIENTS = ("contactId", "libraryId", "sampleId", "transactionId", "transactionBatchId")


class Api:
    """The API as one user's token opens it."""

    def __init__(self, user=None, token=""):
        self.user = user
        token = token or (tokens.regenerate(user) if user else "")
        self.client = Client(headers={"x-api-token": token} if token else {})

    def get(self, path, **query):
        return self.client.get(path if path.startswith(("/", "http")) else f"{API}/{path}", query or None)

    def post(self, body, key=None, path=SMS, content_type="application/json"):
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        headers = {"idempotency-key": key} if key is not None else {}
        return self.client.generic("POST", path, data, content_type=content_type, headers=headers)

    def delete(self, distribution, **query):
        return self.client.delete(f"{SMS}/{distribution.public_id}", query_params=query)


@pytest.fixture
def clinic():
    return factories.organization("Riverside Clinic", support_contact="Ada, ada@example.org", default_region="GB")


@pytest.fixture
def account(clinic):
    return factories.account(clinic, name="Main line")


@pytest.fixture
def sender(clinic):
    return factories.user(clinic, use_sms_distributions="enabled")


@pytest.fixture
def survey(clinic):
    return factories.survey(clinic)


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic, 5)


@pytest.fixture
def api(sender):
    return Api(sender)


@pytest.fixture
def stranger():
    """Somebody who may do everything, in another organisation."""
    other = factories.organization("Other")
    factories.account(other)
    return Api(factories.administrator(other))


@pytest.fixture
def body(survey, patients):
    return {
        "surveyId": survey.public_id,
        "name": "Spring",
        "sendDate": timezone.now().isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": patients.public_id},
        "message": {"messageText": TEXT},
    }


def result(response):
    assert response.status_code == 200, response.content
    return response.json()["result"]


def error(response, status):
    """The sentence of a refusal."""
    answer = response.json()
    assert response.status_code == status, answer
    assert set(answer) == {"meta"}
    assert answer["meta"]["httpStatus"].startswith(f"{status} - ")
    assert answer["meta"]["error"]["errorCode"]
    return answer["meta"]["error"]["errorMessage"]


def the_only_distribution():
    return Distribution.objects.get()


# --- who calls --------------------------------------------------------------------------------------------------------


def test_whoami_names_the_user_the_organisation_and_the_right(api, sender, clinic):
    response = api.get("whoami")

    found = result(response)
    assert found["userId"] == sender.public_id
    assert found["userId"].startswith("UR_")
    assert found["organizationId"] == found["brandId"] == clinic.public_id
    assert found["email"] == found["userName"] == sender.email
    assert (found["maySendSms"], found["missingRight"]) == (True, "")
    meta = response.json()["meta"]
    assert meta["httpStatus"] == "200 - OK"
    assert meta["requestId"]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("Ada Lovelace", "Ada", "Lovelace"), ("Ana María del Río", "Ana María del", "Río"), ("Prince", "Prince", "")],
)
def test_whoami_has_the_two_names_that_clients_look_up(api, sender, name, first, last):
    type(sender).objects.filter(pk=sender.pk).update(name=name)

    found = result(api.get("whoami"))

    assert (found["name"], found["firstName"], found["lastName"]) == (name, first, last)


@pytest.mark.parametrize("path", ["whoami", "surveys", "mailinglists", "distributions/sms"])
def test_without_a_token_nothing_is_answered(path):
    assert "X-API-TOKEN" in Api().client.get(f"{API}/{path}").headers["WWW-Authenticate"]
    error(Api().get(path), 401)


def test_a_wrong_an_ended_and_a_switched_off_persons_token_are_refused(sender):
    ended = Api(sender)
    tokens.end(sender)
    leaver = factories.user(sender.organization)
    gone = Api(leaver)
    leaver.is_active = False
    leaver.save()

    for refused in (Api(token="wrong"), Api(token="é" * 5000), ended, gone):
        assert "token" in error(refused.get("whoami"), 401)


def test_logging_in_to_the_admin_site_opens_no_api(sender):
    client = Client()
    client.force_login(sender)

    assert client.get(f"{API}/whoami").status_code == 401


def test_platform_operators_are_of_no_organisation():
    assert "platform operators" in error(Api(factories.operator()).get("surveys"), 403)


# --- launching --------------------------------------------------------------------------------------------------------


def test_an_invitation_is_launched(api, body, account, survey, patients, sender, clinic):
    answer = result(api.post(body))

    made = the_only_distribution()
    assert answer == {"id": made.public_id}
    assert made.public_id.startswith("SMSD_")
    assert (made.organization, made.survey, made.contact_list) == (clinic, survey, patients)
    assert (made.created_by, made.launched_by, made.account) == (sender, sender, account)
    assert (made.state, made.message_text) == (State.LAUNCHING, TEXT)
    assert AuditEvent.objects.get(action="launched", actor=sender, object_id=made.public_id).address == "127.0.0.1"
    starting.expand(made.pk)
    assert made.messages.filter(status=Status.QUEUED).count() == 5


def test_an_invitation_for_later_waits_for_its_time(api, body, account):
    body["sendDate"] = (timezone.now() + timedelta(days=1)).isoformat()
    body["surveyLinkExpirationDate"] = "2035-01-01T00:00:00+02:00"

    element = result(api.get(f"distributions/sms/{result(api.post(body))['id']}"))

    assert (element["state"], element["requestStatus"]) == ("scheduled", "Scheduled")
    assert element["surveyLinkExpirationDate"] == "2034-12-31T22:00:00Z"
    assert the_only_distribution().link_expires_at == datetime(2034, 12, 31, 22, tzinfo=UTC)


def test_who_lacks_the_permission_is_refused_in_the_interface_and_in_the_api(clinic, account, body):
    """R31, R32, scenario 3: access to the account is not enough; the sentence names the right and whom to ask."""
    member = factories.user(clinic)
    draft = factories.distribution(clinic, recipients=1)
    api = Api(member)
    browser = Client()
    browser.force_login(member)

    refusals = [
        error(api.post(body), 403),
        error(api.delete(draft), 403),
        browser.post(reverse("admin:distributions_distribution_launch", args=[draft.pk])).content.decode(),
    ]

    for sentence in refusals:
        assert "Use SMS distributions" in sentence
        assert "ada@example.org" in sentence
    assert browser.get(reverse("admin:distributions_distribution_add")).status_code == 403
    assert the_only_distribution().state == State.DRAFT
    assert result(api.get("whoami"))["maySendSms"] is False
    assert "Use SMS distributions" in result(api.get("whoami"))["missingRight"]


def test_the_permission_is_asked_before_the_body_is_read(clinic):
    assert "Use SMS distributions" in error(Api(factories.user(clinic)).post({}), 403)


def test_without_sms_in_the_licence_nothing_is_launched(api, body, account, clinic):
    """R12."""
    clinic.licence.sms = False
    clinic.licence.save()

    assert "licence" in error(api.post(body), 403)
    assert not Distribution.objects.exists()


def test_without_an_account_nothing_is_launched_and_nothing_is_left_behind(api, body, clinic):
    """R10: the unfinished step is named. The key stays free for when it works."""
    sentence = error(api.post(body, key="spring"), 409)

    assert "Extensions" in sentence
    assert not Distribution.objects.exists()
    factories.account(clinic)
    assert result(api.post(body, key="spring"))["id"]


# --- one launch per key -----------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_distribution(api, body, account, patients):
    first = result(api.post(body, key="spring-1"))

    assert result(api.post(body, key="spring-1")) == first
    assert result(api.post({**body, "name": " Spring "}, key="spring-1")) == first  # the same after trimming
    patients.delete()
    assert result(api.post(body, key="spring-1")) == first
    assert Distribution.objects.count() == 1
    assert AuditEvent.objects.filter(action="launched").count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Summer"}, "name"),
        ({"message": {"messageText": "Something else ${l://SurveyURL}"}}, "message.messageText"),
        ({"sendDate": "2031-01-01T00:00:00Z"}, "sendDate"),
        ({"surveyLinkExpirationDate": "2031-01-01T00:00:00Z"}, "surveyLinkExpirationDate"),
    ],
)
def test_the_same_key_with_another_body_is_a_conflict_that_names_the_difference(api, body, account, change, field):
    made = result(api.post(body, key="spring-1"))

    sentence = error(api.post({**body, **change}, key="spring-1"), 409)

    assert made["id"] in sentence
    assert field in sentence
    assert Distribution.objects.count() == 1


def test_another_key_and_no_key_launch_again(api, body, account):
    ids = {result(api.post(body, key=key))["id"] for key in ("a", "b", None, None)}

    assert len(ids) == 4


def test_a_key_is_an_organisations_own(api, body, account, stranger):
    theirs = {
        **body,
        "surveyId": factories.survey(stranger.user.organization).public_id,
        "recipients": {"mailingListId": factories.contact_list(stranger.user.organization, 1).public_id},
    }

    assert result(api.post(body, key="spring"))["id"] != result(stranger.post(theirs, key="spring"))["id"]


@pytest.mark.parametrize("key", ["", " ", "x" * 65, "two words", "é"])
def test_a_key_that_cannot_be_kept_is_refused(api, body, account, key):
    assert "Idempotency-Key" in error(api.post(body, key=key), 400)


@pytest.mark.django_db(transaction=True)
def test_the_same_key_at_the_same_time_launches_once(clinic, account, sender, body):
    token = tokens.regenerate(sender)

    def launch(_number):
        try:
            return Api(token=token).post(body, key="spring")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(launch, range(10)))

    assert {result(answer)["id"] for answer in answers} == {the_only_distribution().public_id}
    assert AuditEvent.objects.filter(action="launched").count() == 1


# --- what is wrong is said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field", "hint"),
    [
        ({"surveyId": None}, "surveyId", "SV_"),
        ({"surveyId": 42}, "surveyId", "SV_"),
        ({"surveyId": "CG_abc"}, "surveyId", "GET /API/v3/surveys"),
        ({"name": ""}, "name", "not empty"),
        ({"name": "x" * 101}, "name", "100"),
        ({"name": "two\nlines"}, "name", "one line"),
        ({"name": "nul\0"}, "name", "U+0000"),
        ({"name": "\ud800"}, "name", "half of a character"),
        ({"sendDate": None}, "sendDate", "null"),
        ({"sendDate": "tomorrow"}, "sendDate", "2030-05-31T09:30:00Z"),
        ({"sendDate": 1893456000}, "sendDate", "2030-05-31T09:30:00Z"),
        ({"sendDate": "2030-05-31"}, "sendDate", "2030-05-31T09:30:00Z"),
        ({"sendDate": "2030-05-31T09:30:00"}, "sendDate", "Z or an offset"),
        ({"sendDate": "9999-12-31T23:59:59-14:00"}, "sendDate", "2030-05-31T09:30:00Z"),
        ({"sendDate": "9999-12-31T23:59:59Z"}, "sendDate", "ten years"),
        ({"sendDate": "2020-01-01T00:00:00Z"}, "sendDate", "passed"),
        ({"method": "Reminder"}, "method", "Only “Invite” and “Interactive”"),
        ({"method": "Thankyou"}, "method", "Only “Invite” and “Interactive”"),
        ({"method": None}, "method", "Only “Invite” and “Interactive”"),
        ({"method": {}}, "method", "Only “Invite” and “Interactive”"),
        ({"recipients": {}}, "recipients.mailingListId", "CG_"),
        ({"recipients": "CG_abc"}, "recipients", "object"),
        ({"recipients": {"mailingListId": "CG_abc", "contactId": "CID_1"}}, "recipients.contactId", "mailingListId"),
        ({"message": {"messageText": "x" * 10_001}}, "message.messageText", "10000"),
        ({"message": {"messageText": "Hi ${x://oops}"}}, "message.messageText", "${x://oops}"),
        ({"message": {"libraryId": "UR_1", "messageId": "MS_1"}}, "message.libraryId", "messageText"),
        ({"parentDistributionId": "SMSD_1"}, "parentDistributionId", "surveyId"),
        ({"surveyLinkExpirationDate": "soon"}, "surveyLinkExpirationDate", "2030-05-31T09:30:00Z"),
        ({"surveyLinkExpirationDate": "2020-01-01T00:00:00Z"}, "surveyLinkExpirationDate", "expired"),
        ({"surveyLinkExpirationDate": "9999-01-01T00:00:00Z"}, "surveyLinkExpirationDate", "too far"),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(api, body, account, change, field, hint):
    sentence = error(api.post({**body, **change}), 400)

    assert f"{field}: " in sentence
    assert hint in sentence
    assert not Distribution.objects.exists()


@pytest.mark.parametrize("field", ["surveyId", "name", "sendDate", "method", "recipients", "message"])
def test_a_missing_field_is_named(api, body, account, field):
    del body[field]

    assert error(api.post(body), 400).startswith(f"{field}: ")


def test_a_field_that_is_null_counts_as_left_out(api, body, account):
    assert result(api.post({**body, "parentDistributionId": None, "surveyLinkExpirationDate": None}))


def test_a_list_that_reaches_nobody_is_refused(api, body, account, patients):
    patients.contacts.update(phone="")

    assert error(api.post(body), 400).startswith("recipients.mailingListId: Nobody")


@pytest.mark.parametrize(
    ("sent", "hint"),
    [
        ("{", "not valid JSON"),
        ("", "surveyId"),
        ("[]", "object"),
        ("null", "surveyId"),
        ('"text"', "object"),
        ('{"name": NaN}', "NaN"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "not valid JSON"),
        (b"\xff\xfe{\x00}\x00", "not valid JSON"),
        ('{"\\ud800": 1}', "no such field"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(api, sent, hint):
    assert hint in error(api.post(sent), 400)


def test_a_body_that_is_too_large_is_refused(api):
    assert error(api.post(b" " * 300_000), 413)


def test_a_long_text_fits_however_it_is_escaped(api, body, account):
    body["message"]["messageText"] = "\U0001f44d" * 10_000  # twelve characters each in JSON

    assert result(api.post(body))


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "nonsense", ";;;"])
def test_another_content_type_is_refused(api, body, content_type):
    error(api.post(body, content_type=content_type), 415)


def test_the_body_is_utf8_whatever_the_header_says(api, body, account):
    assert result(api.post(body, content_type="application/json; charset=zlib"))


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "whoami"), ("put", "distributions/sms"), ("patch", "surveys"), ("options", "mailinglists")],
)
def test_a_method_that_an_address_does_not_have_is_405(api, method, path):
    error(getattr(api.client, method)(f"{API}/{path}", content_type="application/json"), 405)


@pytest.mark.parametrize("path", ["", "nothing", "nothing/", "distributions/sms/%00", "distributions/sms/SMSD_%F0/x"])
def test_an_address_that_does_not_exist_is_404_in_the_envelope(api, path):
    for client in (api, Api()):
        assert "/API/v3/docs" in error(client.get(f"{API}/{path}"), 404)
        assert error(client.post({}, path=f"{API}/{path}"), 404)


def test_json_is_answered_whatever_a_client_would_rather_have(api):
    for accept in ("text/html", "application/xml", "nonsense", ""):
        response = api.client.get(f"{API}/whoami", headers={"accept": accept})
        assert response.headers["Content-Type"] == "application/json"
        assert result(response)


def test_a_fault_of_ours_is_logged_and_answered_in_the_envelope(api, monkeypatch, caplog):
    monkeypatch.setattr("organizations.api.WhoAmISerializer", None)

    response = api.get("whoami")

    assert "requestId" in error(response, 500)
    assert response.json()["meta"]["requestId"] in caplog.text
    assert "TypeError" in caplog.text


@pytest.mark.parametrize("away", [OperationalError, InterfaceError])
@pytest.mark.parametrize("place", ["organizations.api.WhoAmISerializer", "organizations.api_base.ApiView.initial"])
def test_without_a_database_a_client_is_told_when_to_try_again(api, monkeypatch, caplog, away, place):
    def closed(*_arguments, **_named):
        raise away("the connection is closed")

    monkeypatch.setattr(place, closed)

    response = api.get("whoami")

    assert "The database does not answer" in error(response, 503)
    assert response.headers["Retry-After"] == "60"
    assert response.json()["meta"]["error"]["errorCode"] == "NOT_AVAILABLE"
    assert response.json()["meta"]["requestId"] in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("surveyId", "name", "sendDate", "method", "recipients", "message", "surveyLinkExpirationDate")
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(data=st.data())
def test_no_body_whatever_is_in_its_fields_brings_the_api_down(api, body, account, data):
    """Never a 500, always the envelope. A body that is accepted launches."""
    changed = {**body, **data.draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))}
    nested = data.draw(st.sampled_from(["recipients", "message", None]))
    if nested:
        changed[nested] = data.draw(st.dictionaries(st.sampled_from(["mailingListId", "messageText", "x"]), JSON))

    response = api.post(changed)

    assert response.status_code in (200, 400, 404)
    assert response.json()["meta"]["httpStatus"]


@MANY
@given(
    sent=st.binary(max_size=200) | JSON.map(json.dumps),
    content_type=st.sampled_from(["application/json", "application/json; charset=utf-16", "text/plain"]),
    key=st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=70),
)
def test_no_bytes_bring_the_api_down(api, sent, content_type, key):
    response = api.post(sent, key=key, content_type=content_type)

    assert response.status_code in (400, 415)
    assert response.json()["meta"]["error"]["errorMessage"]


@MANY
@given(
    path=st.sampled_from(["surveys", "mailinglists", "distributions/sms", "distributions/sms/SMSD_x/history"]),
    query=st.dictionaries(
        st.sampled_from(["pageSize", "page_size", "limit", "skipToken", "offset", "surveyId", "format"]),
        st.text(max_size=30) | st.integers().map(str),
    ),
)
def test_no_query_brings_the_api_down(api, path, query):
    response = api.get(path, **{name: value.encode("utf-8", "surrogatepass") for name, value in query.items()})

    assert response.status_code in (200, 400, 404)
    assert response.json()["meta"]["httpStatus"]


# --- lists ------------------------------------------------------------------------------------------------------------


def test_surveys_and_mailing_lists_are_found_with_their_ids(api, survey, patients, sender):
    survey.created_by = sender
    survey.save()

    (found,) = result(api.get("surveys"))["elements"]
    (found_list,) = result(api.get("mailinglists"))["elements"]

    assert (found["id"], found["name"], found["ownerId"]) == (survey.public_id, survey.name, sender.public_id)
    assert (found_list["id"], found_list["name"], found_list["ownerId"]) == (patients.public_id, patients.name, None)


@pytest.mark.parametrize("path", ["surveys", "mailinglists", "distributions/sms"])
def test_pages_show_everything_once_although_rows_come_and_go_meanwhile(api, clinic, path, settings):
    settings.PUBLIC_URL = "https://surveys.example.org"
    make = {
        "surveys": factories.survey,
        "mailinglists": factories.contact_list,
        "distributions/sms": factories.distribution,
    }[path]
    made = [make(clinic) for _number in range(7)]

    seen, address = [], f"{path}?pageSize=3"
    while address:
        answer = result(api.get(address))
        seen += [element["id"] for element in answer["elements"]]
        address = answer["nextPage"]
        if address:
            assert address.startswith(f"https://surveys.example.org{API}/{path}?pageSize=3&skipToken=")
            make(clinic)

    assert seen == [row.public_id for row in reversed(made)]


LISTS = {
    "surveys": factories.survey,
    "mailinglists": factories.contact_list,
    "distributions/sms": factories.distribution,
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("size", ["pageSize", "limit", "page_size", "PAGESIZE"])
@pytest.mark.parametrize("counts", ["client", "nextPage"])
def test_who_counts_with_offset_sees_everything_once(api, clinic, path, size, counts):
    """Older clients count themselves, or read the next number out of nextPage."""
    made = [LISTS[path](clinic).public_id for _number in range(7)]

    seen, offset = [], 0
    for _page in range(10):
        answer = result(api.get(path, **{size: 3, "offset": offset, "useNewPaginationScheme": "false"}))
        seen += [element["id"] for element in answer["elements"]]
        if answer["nextPage"] is None:
            break
        assert "useNewPaginationScheme=false" in answer["nextPage"]
        following = parse_qs(urlsplit(answer["nextPage"]).query)
        assert "skipToken" not in following
        offset = offset + 3 if counts == "client" else int(following["offset"][0])

    assert seen == made[::-1]
    assert result(api.get(path, offset=10**18)) == {"elements": [], "nextPage": None}


def test_the_history_counts_too_and_is_written_down(api, sent):
    address = f"distributions/sms/{sent.public_id}/history"

    rows = [result(api.get(address, offset=number, pageSize=1))["elements"][0]["contactId"] for number in range(5)]

    assert rows == list(sent.contact_list.contacts.order_by("pk").values_list("public_id", flat=True))
    assert AuditEvent.objects.filter(action="exported the history").exists()


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", ["skipToken", "skiptoken", "skip_token", "SkipToken"])
def test_a_token_of_the_next_page_is_read_however_its_name_is_spelt(api, clinic, path, name):
    made = [LISTS[path](clinic).public_id for _number in range(5)]

    seen, query = [], {}
    for _page in range(10):
        answer = result(api.get(path, pageSize=2, offset=0, **query) if query else api.get(path, pageSize=2))
        seen += [element["id"] for element in answer["elements"]]
        if answer["nextPage"] is None:
            break
        query = {name: parse_qs(urlsplit(answer["nextPage"]).query)["skipToken"][0]}

    assert seen == made[::-1]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("size", [501, 1000, 10**12])
def test_a_page_larger_than_the_largest_is_cut_down(api, clinic, path, size, monkeypatch):
    """Clients ask for 1,000 and read what comes; nextPage goes on from there."""
    monkeypatch.setattr("organizations.api_base.LARGEST_PAGE", 2)
    made = [LISTS[path](clinic).public_id for _number in range(3)]

    first = result(api.get(path, pageSize=size))
    second = result(api.get(first["nextPage"]))

    assert [len(first["elements"]), len(second["elements"])] == [2, 1]
    assert [element["id"] for element in first["elements"] + second["elements"]] == made[::-1]


@pytest.mark.parametrize("name", ["surveyId", "surveyid", "survey_id", "SurveyID"])
def test_the_survey_is_read_however_its_name_is_spelt(api, clinic, name):
    """Ignored, it would answer with the distributions of all surveys."""
    wanted, _other = factories.distribution(clinic), factories.distribution(clinic)

    found = result(api.get("distributions/sms", **{name: wanted.survey.public_id}))["elements"]

    assert [element["id"] for element in found] == [wanted.public_id]


@pytest.mark.parametrize("write", [lambda path: f"{path}/", lambda path: f"{path}//", lambda path: f"//{path}"])
def test_slashes_that_clients_write_change_nothing(api, body, account, sent, write):
    """At the end and doubled, with and without a query, for every method: no redirect, which loses a body."""

    def address(path):
        return f"{API}/{write(path)}"

    made = result(api.post(body, path=address("distributions/sms")))["id"]
    for path in ("whoami", "surveys", f"distributions/sms/{made}", f"distributions/sms/{made}/history"):
        assert result(api.get(address(path))) == result(api.get(path))
    following = result(api.get(f"{address('distributions/sms')}?pageSize=1"))["nextPage"]
    assert following.partition("?")[0] == f"https://surveys.example.com{API}/distributions/sms"
    taken_back = api.client.delete(address(f"distributions/sms/{made}"))
    assert result(taken_back)["state"] == "cancelled"
    assert api.client.get(address("docs")).status_code == api.client.get(address("schema")).status_code == 200


def test_what_was_taken_back_before_its_time_is_gone_from_the_list(api, body, account, patients):
    """Clients take what the list shows with a time to come for planned, and take it back again and again."""
    body["sendDate"] = (timezone.now() + timedelta(days=1)).isoformat()
    made = result(api.post(body))["id"]
    half_sent = factories.distribution(
        patients.organization, recipients=2, state=State.CANCELLED, send_at=timezone.now(), cursor=7
    )

    assert result(api.client.delete(f"{SMS}/{made}"))["state"] == "cancelled"

    assert [element["id"] for element in result(api.get("distributions/sms"))["elements"]] == [half_sent.public_id]
    assert result(api.get(f"distributions/sms/{made}"))["state"] == "cancelled"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_may_come_as_a_bearer(sender, scheme):
    token = tokens.regenerate(sender)

    assert result(Client(headers={"authorization": f"{scheme} {token}"}).get(f"{API}/whoami"))
    error(Client(headers={"authorization": f"{scheme} wrong"}).get(f"{API}/whoami"), 401)
    error(Client(headers={"authorization": f"Basic {token}"}).get(f"{API}/whoami"), 401)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/json;charset=UTF-8"])
def test_a_body_may_say_that_it_is_utf8_and_begin_with_a_mark(api, body, account, content_type):
    body["message"]["messageText"] = "Grüße ${l://SurveyURL} 你好"

    result(api.post("\ufeff".encode() + json.dumps(body, ensure_ascii=False).encode(), content_type=content_type))

    assert the_only_distribution().message_text == body["message"]["messageText"]


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ({"pageSize": "0"}, "pageSize: "),
        ({"pageSize": "-1"}, "pageSize: "),
        ({"pageSize": "many"}, "pageSize: "),
        ({"offset": "-1"}, "offset: "),
        ({"offset": "many"}, "offset: "),
        ({"offset": ""}, "offset: "),
        ({"offset": "9" * 2000}, "offset: "),
        ({"offset": "1", "skipToken": "x"}, "offset: Give either"),
        ({"skipToken": "made-up"}, "skipToken: Take it from nextPage"),
        ({"skipToken": "é\0"}, "skipToken: "),
    ],
)
def test_a_page_that_cannot_be_is_refused(api, query, hint):
    for path in ("surveys", "mailinglists", "distributions/sms"):
        assert hint in error(api.get(path, **query), 400)


def test_a_distribution_looks_as_the_commercial_products_scripts_expect(api, clinic, sender, survey, patients):
    distribution = factories.distribution(
        clinic,
        name="Spring",
        survey=survey,
        contact_list=patients,
        created_by=sender,
        state=State.SENDING,
        message_text=TEXT,
        send_at=datetime(2030, 5, 31, 9, 30, tzinfo=UTC),
    )
    Tally.objects.filter(distribution=distribution).update(
        waiting=1,
        accepted=2,
        sent=3,
        delivered=4,
        undelivered=5,
        failed=6,
        expired=7,
        skipped=8,
        segments=50,
        segments_waiting=4,
        segments_failed=6,
        segments_skipped=8,
        clicked=9,
    )

    (element,) = result(api.get("distributions/sms"))["elements"]

    assert element == result(api.get(f"distributions/sms/{distribution.public_id}"))
    assert element.pop("tally") == {
        "waiting": 1,
        "uncertain": 0,
        "accepted": 2,
        "sent": 3,
        "delivered": 4,
        "undelivered": 5,
        "failed": 6,
        "expired": 7,
        "skipped": 8,
        "cancelled": 0,
        "clicked": 9,
        "total": 36,
    }
    assert element.pop("segments") == {
        "sent": 46,
        "uncertain": 0,
        "waiting": 4,
        "failed": 6,
        "skipped": 8,
        "cancelled": 0,
    }
    assert element == {
        "id": distribution.public_id,
        "name": "Spring",
        "ownerId": sender.public_id,
        "organizationId": clinic.public_id,
        "requestStatus": "Generated",
        "requestType": "Invite",
        "sendDate": "2030-05-31T09:30:00Z",
        "surveyId": survey.public_id,
        "surveyLinkExpirationDate": None,
        "recipients": {"mailingListId": patients.public_id, **dict.fromkeys(UNUSED_RECIPIENTS)},
        "message": {"messageText": TEXT, "libraryId": None, "messageId": None},
        "stats": {"sent": 9, "failed": 18, "started": 9, "finished": 0, "credits": 0, "segments": 46},
        "state": "sending",
        "isPaused": False,
        "answersUntil": None,
        "problem": "",
    }


def test_cost_is_zero_everywhere(api, clinic):
    """R5."""
    distribution = factories.distribution(clinic, recipients=3)

    assert result(api.get(f"distributions/sms/{distribution.public_id}"))["stats"]["credits"] == 0
    history = result(api.get(f"distributions/sms/{distribution.public_id}/history"))["elements"]
    assert [row["credits"] for row in history] == [0, 0, 0]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.DRAFT, "Pending"),
        (State.SCHEDULED, "Scheduled"),
        (State.LAUNCHING, "Pending"),
        (State.SENDING, "Generated"),
        (State.FINISHED, "Done"),
        (State.CANCELLED, "Done"),
    ],
)
def test_every_state_has_a_request_status(api, clinic, state, status):
    factories.distribution(clinic, state=state)

    (element,) = result(api.get("distributions/sms"))["elements"]

    assert (element["state"], element["requestStatus"]) == (state, status)


def test_a_draft_without_figures_and_a_deleted_list_are_shown(api, clinic, patients):
    distribution = factories.distribution(clinic, contact_list=patients)
    Tally.objects.all().delete()
    patients.delete()

    element = result(api.get(f"distributions/sms/{distribution.public_id}"))

    assert element["recipients"] == dict.fromkeys(("mailingListId", *UNUSED_RECIPIENTS))
    assert (element["sendDate"], element["tally"]["total"]) == (None, 0)


def test_distributions_of_one_survey(api, clinic, survey):
    wanted = factories.distribution(clinic, survey=survey)
    other = factories.distribution(clinic)

    found = result(api.get("distributions/sms", surveyId=survey.public_id))["elements"]

    assert [element["id"] for element in found] == [wanted.public_id]
    assert result(api.get(f"distributions/sms/{wanted.public_id}", surveyId=survey.public_id))
    error(api.get(f"distributions/sms/{other.public_id}", surveyId=survey.public_id), 404)
    assert "surveyId: " in error(api.get("distributions/sms", surveyId="SV_unknown"), 404)


@pytest.mark.parametrize("path", ["surveys", "mailinglists", "distributions/sms", "history"])
def test_a_longer_page_takes_no_more_queries(api, clinic, path):
    first = factories.distribution(clinic, recipients=60)
    path = f"distributions/sms/{first.public_id}/history" if path == "history" else path
    for _number in range(60):
        factories.distribution(clinic)
    api.get("whoami")  # writes down that the token was seen

    numbers = []
    for size in (2, 50):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(result(api.get(path, pageSize=size))["elements"]) == size
        numbers.append(len(queries))

    assert numbers[0] == numbers[1] < 15


# --- history ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(clinic, account, patients):
    """A distribution to five people, of whom each has another story."""
    distribution = factories.distribution(
        clinic, recipients=5, contact_list=patients, account=account, state=State.SENDING
    )
    messages = list(distribution.messages.order_by("pk"))
    stories = (
        {"status": Status.DELIVERED, "clicked_at": timezone.now(), "provider_message_id": "SM1"},
        {"status": Status.FAILED, "reason": "invalid_recipient", "error": "21211: not a number"},
        {"status": Status.UNCERTAIN},
        {"status": Status.SKIPPED, "reason": "opted_out", "account": None},
        {"status": Status.QUEUED, "account": None},
    )
    for message, story in zip(messages, stories, strict=True):
        Message.objects.filter(pk=message.pk).update(**{"account": account, **story})
    return distribution


def test_history_tells_what_became_of_each_text(api, sent, patients, account):
    rows = result(api.get(f"distributions/sms/{sent.public_id}/history"))["elements"]

    contacts = list(patients.contacts.order_by("pk"))
    assert [row["contactId"] for row in rows] == [contact.public_id for contact in contacts]
    assert [row["phone"] for row in rows] == [contact.phone for contact in contacts]
    assert [row["status"] for row in rows] == ["delivered", "failed", "uncertain", "skipped", "queued"]
    delivered, failed, _uncertain, skipped, _queued = rows
    assert delivered["openedAt"].endswith("Z")
    assert delivered["providerMessageId"] == "SM1"
    assert delivered["account"] == {
        "name": "Main line",
        "provider": "Twilio",
        "sender": account.sender,
        "isDefault": False,
        "isDeleted": False,
    }
    assert (failed["reason"], failed["providerMessage"]) == ("invalid_recipient", "21211: not a number")
    assert "The number does not exist" in failed["explanation"]
    assert (skipped["account"], skipped["explanation"]) == (None, "This person has opted out.")


def test_history_goes_on_naming_a_deleted_account_and_tells_the_installations_own(api, clinic, sent, account):
    """R9, R26."""
    default = factories.account(None)
    last = sent.messages.order_by("-pk").first()
    Message.objects.filter(pk=last.pk).update(account=default)
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())

    rows = result(api.get(f"distributions/sms/{sent.public_id}/history"))["elements"]

    assert (rows[0]["account"]["name"], rows[0]["account"]["isDeleted"]) == ("Main line", True)
    assert rows[-1]["account"]["isDefault"] is True


def test_history_keeps_the_number_of_a_deleted_contact(api, sent, patients):
    phone = patients.contacts.order_by("pk").first().phone
    patients.delete()

    row = result(api.get(f"distributions/sms/{sent.public_id}/history"))["elements"][0]

    assert (row["contactId"], row["phone"]) == (None, phone)


def test_who_may_not_text_the_numbers_does_not_read_them_either(clinic, sent):
    """As in the interface."""
    rows = result(Api(factories.user(clinic)).get(f"distributions/sms/{sent.public_id}/history"))["elements"]

    assert not {row["phone"] for row in rows}.intersection(Contact.objects.values_list("phone", flat=True))


def test_history_comes_in_pages_and_is_written_down_once_as_an_export(api, sender, sent):
    seen, address = [], f"distributions/sms/{sent.public_id}/history?pageSize=2"
    while address:
        answer = result(api.get(address))
        seen += [row["contactId"] for row in answer["elements"]]
        address = answer["nextPage"]

    assert seen == list(sent.contact_list.contacts.order_by("pk").values_list("public_id", flat=True))
    assert AuditEvent.objects.filter(action="exported the history", actor=sender, object_id=sent.public_id).count() == 1


# --- taking back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.DRAFT, State.SCHEDULED, State.LAUNCHING, State.SENDING])
def test_what_has_not_left_is_taken_back(api, clinic, account, state):
    distribution = factories.distribution(clinic, recipients=3, state=state, account=account)
    first, *_others, last = distribution.messages.order_by("pk")
    Chunk.objects.create(distribution=distribution, account=account, first_id=first.pk, last_id=last.pk)

    answer = result(api.delete(distribution, surveyId=distribution.survey.public_id))

    assert (answer["state"], answer["requestStatus"], answer["tally"]["cancelled"]) == ("cancelled", "Done", 3)
    assert set(distribution.messages.values_list("status", flat=True)) == {Status.CANCELLED}
    assert result(api.delete(distribution)) == answer  # once more changes nothing
    assert AuditEvent.objects.filter(action="cancelled", object_id=distribution.public_id).count() == 1


def test_what_has_left_cannot_be_taken_back(api, clinic):
    distribution = factories.distribution(clinic, state=State.FINISHED)

    assert "has been sent" in error(api.delete(distribution), 409)
    distribution.refresh_from_db()
    assert distribution.state == State.FINISHED


# --- other organisations ----------------------------------------------------------------------------------------------


def test_another_organisations_token_finds_nothing_and_changes_nothing(stranger, sent, body, survey, patients):
    """Unknown and foreign ids are answered alike; nothing is launched to a foreign list or survey."""
    own_list = factories.contact_list(stranger.user.organization, 1)
    own_survey = factories.survey(stranger.user.organization)
    foreign_survey = {**body, "recipients": {"mailingListId": own_list.public_id}}
    foreign_list = {**body, "surveyId": own_survey.public_id}

    answers = [
        stranger.get(f"distributions/sms/{sent.public_id}"),
        stranger.get(f"distributions/sms/{sent.public_id}/history"),
        stranger.delete(sent),
        stranger.get("distributions/sms", surveyId=survey.public_id),
        stranger.post(foreign_survey),
        stranger.post(foreign_list),
    ]

    sentences = [error(answer, 404) for answer in answers]
    assert sentences[0] == error(stranger.get("distributions/sms/SMSD_unknown"), 404)
    assert "recipients.mailingListId: " in sentences[-1]
    assert "surveyId: " in sentences[-2]
    assert result(stranger.get("distributions/sms"))["elements"] == []
    assert [row["id"] for row in result(stranger.get("surveys"))["elements"]] == [own_survey.public_id]
    assert [row["id"] for row in result(stranger.get("mailinglists"))["elements"]] == [own_list.public_id]
    assert the_only_distribution().state == State.SENDING


def test_a_page_token_opens_only_ones_own_rows(api, stranger, clinic):
    for _number in range(3):
        factories.survey(clinic)
    address = result(api.get("surveys", pageSize=1))["nextPage"]

    assert result(stranger.get(address))["elements"] == []


# --- the description --------------------------------------------------------------------------------------------------


def test_the_description_is_valid_and_complete(tmp_path):
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))
    described = set(SchemaGenerator().get_schema(public=True)["paths"])

    assert described == {f"/{path}" for path in api_paths()}


def api_paths():
    """The addresses of the API as the description writes them."""
    from config.urls import urlpatterns

    found = next(entry for entry in urlpatterns if isinstance(entry, URLResolver) and str(entry.pattern) == "API/v3/")
    for entry in found.url_patterns:
        assert isinstance(entry, URLPattern)
        view = entry.callback.cls
        if issubclass(view, ApiView) and view is not UnknownAddress:
            yield f"API/v3/{entry.pattern}".replace("<slug:public_id>", "{public_id}")


def test_anybody_may_read_the_description(client):
    response = client.get(f"{API}/schema")

    assert response.json()["info"]["title"] == "Switchboard API"
    assert response.json()["components"]["securitySchemes"]["token"]["name"] == "X-API-TOKEN"


def test_the_page_of_the_description_has_no_inline_script_or_style(client):
    page = client.get(f"{API}/docs")

    assert page.status_code == 200
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    text = page.content.decode()
    assert "<style" not in text
    assert text.count("<script") == text.count("<script src=") == 4
    script = client.get(f"{API}/docs?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert f'"{API}/schema"' in script.content.decode().replace("\\u002D", "-")


def test_answers_are_as_they_are_described(api, body, account, sent, administrator):
    """Every answer is checked against the description of its address."""
    schema = as_json_schema(SchemaGenerator().get_schema(public=True))
    calls = {
        ("get", "/API/v3/whoami"): lambda: api.get("whoami"),
        ("get", "/API/v3/surveys"): lambda: api.get("surveys"),
        ("get", "/API/v3/mailinglists"): lambda: api.get("mailinglists"),
        ("get", "/API/v3/distributions/sms"): lambda: api.get("distributions/sms"),
        ("post", "/API/v3/distributions/sms"): lambda: api.post(body),
        ("get", "/API/v3/distributions/sms/{public_id}"): lambda: api.get(f"distributions/sms/{sent.public_id}"),
        ("get", "/API/v3/distributions/sms/{public_id}/history"): lambda: api.get(
            f"distributions/sms/{sent.public_id}/history"
        ),
        ("delete", "/API/v3/distributions/sms/{public_id}"): lambda: api.delete(sent),
        ("get", "/API/v3/forgettings"): lambda: Api(administrator).get("forgettings"),
        ("post", "/API/v3/forgettings"): lambda: Api(administrator).post(
            {"phone": "+447400123456", "searchOnly": True}, path=f"{API}/forgettings"
        ),
    }
    described = {(method, path) for path, methods in schema["paths"].items() for method in methods}
    assert described == set(calls)

    for (method, path), call in calls.items():
        answer = schema["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(call().json(), {**answer, "components": schema["components"]})
    refused = {"$ref": "#/components/schemas/ErrorAnswer", "components": schema["components"]}
    for response in (api.post({}), Api().get("whoami"), api.get("distributions/sms/SMSD_unknown"), api.get("nothing")):
        jsonschema.validate(response.json(), refused)


def as_json_schema(node):
    """OpenAPI 3.0 writes `nullable` where JSON Schema has a type, and fields that are not described are not allowed."""
    if isinstance(node, list):
        return [as_json_schema(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    found = {name: as_json_schema(inner) for name, inner in node.items()}
    if found.get("type") == "object" and "properties" in found:
        found["additionalProperties"] = False
    if found.pop("nullable", None) is True:
        return {"anyOf": [found, {"type": "null"}]}
    return found


def test_no_primary_key_is_shown(api, sent, sender, clinic, survey):
    """All ids are public ids."""
    for path in (
        "whoami",
        "surveys",
        "mailinglists",
        "distributions/sms",
        f"distributions/sms/{sent.public_id}/history",
    ):
        found = result(api.get(path))
        for element in found.get("elements", [found]):
            ids = {name: value for name, value in element.items() if name == "id" or name.endswith("Id")}
            assert ids
            assert not [value for value in ids.values() if isinstance(value, int)]

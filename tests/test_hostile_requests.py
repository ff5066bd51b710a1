"""Whatever stands in an address, form, cookie or body: the answer says what is wrong, and is no server error."""

from __future__ import annotations

import json

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import DateTimeField
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.models import Contact, ContactList
from distributions.engine.references import link_token
from organizations.models import User
from organizations.tokens import regenerate
from tests import factories

pytestmark = pytest.mark.django_db

VALUES = (
    "\0",
    "a\0b",
    "99999999999999999999",
    "-99999999999999999999",
    "9" * 5_000,
    "1e999",
    "NaN",
    "2026-13-45",
    "0000-00-00",
    "99999-01-01",
    "\ud800",
    "\u202e\ufffe",
    "[" * 3_000,
    "'\"%_\\",
    "",
)
NAMES = (
    "q",
    "p",
    "o",
    "e",
    "all",
    "id",
    "id__exact",
    "id__in",
    "id__gt",
    "pk",
    "name",
    "phone",
    "organization",
    "state",
    "created_at__gte",
    "created_at__year",
    "contact_list__id__exact",
    "contact_list",
    "_changelist_filters",
    "_popup",
    "next",
    "field",
    "\0",
)


def portal(user):
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def lists():
    """Every list of the admin site."""
    return [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry]


PAGES = (
    "/admin/",
    "/admin/login/",
    "/admin/extensions/",
    "/admin/extensions/twilio/",
    "/admin/profile/",
    "/admin/autocomplete/",
    "/s/x",
    "/o/x",
    "/API/v3/surveys",
    "/API/v3/distributions/sms",
    "/API/v3/mailinglists",
)


@pytest.mark.parametrize("who", ["administrator", "operator"])
@pytest.mark.parametrize("address", [*lists(), *PAGES])
def test_no_query_is_a_server_error(address, who):
    clinic = factories.organization()
    factories.contact_list(clinic, 2)
    user = factories.administrator(clinic) if who == "administrator" else factories.operator()
    client = portal(user)
    headers = {"X-API-TOKEN": regenerate(user)}

    for number, name in enumerate(NAMES, who == "operator"):
        for value in VALUES[(number + len(address)) % 5 :: 5]:  # each fifth, others for each page and person
            query = {name.encode("utf-8", "surrogatepass"): value.encode("utf-8", "surrogatepass")}
            answer = client.get(address, query, headers=headers)
            assert answer.status_code < 500, (address, name, value[:20])


@pytest.mark.parametrize(
    "address",
    [
        "/admin/contacts/contactlist/{}/change/",
        "/admin/distributions/distribution/{}/",
        "/admin/organizations/user/{}/link/",
        "/s/{}",
        "/o/{}",
        "/API/v3/distributions/sms/{}",
        "/API/v3/distributions/sms/{}/history",
        "/admin/extensions/{}/",
        "/admin/invitation/{}/x/",
        "/{}",
        "/distribution-providers/v1/receive/distribution/status/twilio-sms/{}",
    ],
)
def test_no_part_of_a_path_is_a_server_error(address):
    clinic = factories.organization()
    client = portal(factories.administrator(clinic))

    for part in (
        "%00",
        "a%00b",
        "9" * 20,
        "9" * 300,
        "%ED%A0%80",
        "%ff",
        "%e2%80%ae",
        "..",
        "%2e%2e",
        "%25",
        "' OR 1=1",
    ):
        answer = client.get(address.format(part))
        assert answer.status_code < 500, (address, part)


@pytest.mark.parametrize(
    "address",
    [
        "/admin/login/",
        "/admin/contacts/contactlist/add/",
        "/admin/contacts/contact/add/",
        "/admin/surveys/survey/add/",
        "/admin/contacts/optout/add/",
        "/admin/organizations/user/add/",
        "/admin/contacts/contact/",
        "/admin/language/",
        "/admin/organisation/",
        "/admin/distributions/distribution/add/",
    ],
)
@pytest.mark.parametrize("value", VALUES)
def test_no_form_is_a_server_error(address, value):
    clinic = factories.organization()
    patients = factories.contact_list(clinic, 2)
    client = portal(factories.administrator(clinic))
    fields = (
        "name",
        "email",
        "password",
        "username",
        "phone",
        "first_name",
        "last_name",
        "evidence",
        "fields",
        "language",
        "title",
        "url",
        "thank_you",
        "external_reference",
        "role",
        "_selected_action",
        "survey",
        "send_at_0",
        "send_at_1",
        "message_text",
        "stop_words",
        "next",
    )
    filled = {"contact_list": str(patients.pk), "action": "delete_selected"}

    answer = client.post(address, filled | dict.fromkeys(fields, value.encode("utf-8", "surrogatepass")))

    assert answer.status_code < 500
    assert not Contact.objects.filter(first_name__contains="a").exclude(first_name__startswith="Ada").exists()


def test_a_character_that_cannot_be_stored_is_an_error_at_its_field():
    """The rest of the form is not lost."""
    client = portal(factories.administrator(factories.organization()))

    answer = client.post("/admin/contacts/contactlist/add/", {"name": "a\0b"})

    assert answer.status_code == 200
    assert "U+0000" in str(answer.context["adminform"].form.errors["name"])
    assert not ContactList.objects.exists()


@pytest.mark.parametrize(
    "address", ["/admin/contacts/contactlist/", "/admin/contacts/contact/", "/admin/surveys/survey/"]
)
def test_what_no_form_reads_is_refused_with_the_fields_name(address):
    client = portal(factories.administrator(factories.organization()))

    answer = client.post(address, {"action": "delete_selected", "_selected_action": "a\0b"})

    page = answer.content.decode()
    assert answer.status_code == 400
    assert "_selected_action" in page
    assert "cannot be stored" in page


@pytest.mark.parametrize(
    "data",
    [
        "[" * 100_000,
        '{"a": ' * 1_000 + "1" + "}" * 1_000,
        '{"a": ' + "9" * 5_000 + "}",
        '{"a": "\\ud800"}',
        '{"\\ud800": "a"}',
        '{"a": "\\u0000"}',
        '{"a": NaN}',
        '{"a": 1e999}',
        "9" * 5_000,
        "{",
    ],
    ids=lambda data: data[:12],
)
def test_embedded_data_that_cannot_be_kept_is_an_error_at_its_field(data):
    clinic = factories.organization()
    patients = factories.contact_list(clinic)
    client = portal(factories.administrator(clinic))

    answer = client.post(
        "/admin/contacts/contact/add/", {"contact_list": patients.pk, "first_name": "Ada", "fields": data}
    )

    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["fields"]
    assert not Contact.objects.exists()


def test_honest_embedded_data_is_kept():
    clinic = factories.organization()
    patients = factories.contact_list(clinic)
    client = portal(factories.administrator(clinic))
    said = {"City": "Köln 😀", "Ref": 12345678901234567890, "Rate": 1.5, "Empty": None}

    answer = client.post(
        "/admin/contacts/contact/add/", {"contact_list": patients.pk, "first_name": "Ada", "fields": json.dumps(said)}
    )

    assert answer.status_code == 302
    assert Contact.objects.get().fields["City"] == "Köln 😀"


@pytest.mark.parametrize(
    "cookie", ["sessionid=a\0b", "csrftoken=\0", "messages=\0", "django_language=\0", "known=\0; sessionid=é"]
)
def test_no_cookie_is_a_server_error(cookie):
    client = Client(raise_request_exception=False)

    for address in ("/admin/", "/admin/login/", "/s/x"):
        assert client.get(address, HTTP_COOKIE=cookie).status_code < 500


@pytest.mark.parametrize(
    "name",
    [
        "X-API-TOKEN",
        "Authorization",
        "Idempotency-Key",
        "Accept-Language",
        "User-Agent",
        "Referer",
        "X-Forwarded-For",
        "Content-Type",
        "Hx-Request",
        "Hx-Current-Url",
        "Accept",
    ],
)
@pytest.mark.parametrize("value", ["\0", "a\0b", "\x85\xff", "[" * 5_000, "9" * 5_000, "en-" * 5_000])
def test_no_header_is_a_server_error(name, value):
    client = portal(factories.administrator(factories.organization()))

    for address in ("/admin/contacts/contactlist/", "/API/v3/whoami", "/o/x"):
        assert client.get(address, headers={name: value}).status_code < 500


BODIES = st.recursive(
    st.sampled_from([*VALUES, None, True, 10**4_000, 1.5]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["surveyId", "a\0", "\ud800"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_body_is_a_server_error_of_the_api(django_db_blocker, data):
    user = User.objects.filter(email="api@example.org").first() or factories.administrator(email="api@example.org")
    token = regenerate(user)
    honest = {
        "surveyId": "SV_x",
        "name": "Spring",
        "sendDate": timezone.now().isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": "CG_x"},
        "message": {"messageText": "Hello"},
    }
    honest[data.draw(st.sampled_from(list(honest)))] = data.draw(BODIES)

    answer = Client(raise_request_exception=False).post(
        "/API/v3/distributions/sms", json.dumps(honest), "application/json", headers={"X-API-TOKEN": token}
    )

    assert 400 <= answer.status_code < 500
    assert answer.json()["meta"]["error"]


def test_a_link_with_a_nul_behind_it_is_read_without_it():
    """Here the link of a text that does not exist (any more)."""
    assert Client(raise_request_exception=False).get(f"/s/{link_token(1)}%00").status_code == 404


# --- what an address asks of a list -----------------------------------------------------------------------------------


def lists_of(user):
    """Every list that this person may see."""
    client = portal(user)
    return client, [address for address in lists() if client.get(address).status_code == 200]


@pytest.mark.parametrize("who", ["administrator", "operator"])
def test_no_filter_by_any_column_is_a_server_error(who):
    """Some values are read only when the statement is written, after the page has begun."""
    clinic = factories.organization()
    client, shown = lists_of(factories.administrator(clinic) if who == "administrator" else factories.operator())
    models = {f"/admin/{model._meta.app_label}/{model._meta.model_name}/": model for model in admin.site._registry}

    for address in shown:
        dates = [field.name for field in models[address]._meta.fields if isinstance(field, DateTimeField)]
        for name in ("id", *dates):
            asked = [("range", "a")] if name == "id" else [("year", "99999"), ("date__year", "0"), ("range", "")]
            for lookup, value in asked:
                answer = client.get(address, {f"{name}__{lookup}": value})
                assert answer.status_code < 500, (address, name, lookup, value)


def test_a_search_for_a_thousand_words_looks_for_the_first_of_them_and_says_so():
    """Each word is looked for in every column: on PostgreSQL 1,500 held the database for two minutes."""
    clinic = factories.organization()
    factories.contact_list(clinic, 2)
    client, shown = lists_of(factories.administrator(clinic))

    for address in shown:
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(address, {"q": " ".join(["Ada"] * 1_500)}, follow=True)
        assert answer.status_code == 200, address
        if answer.context["cl"].search_fields:
            assert "at most 20 words" in answer.content.decode(), address
        assert max(len(query["sql"]) for query in captured) < 40_000, address

    few = client.get("/admin/contacts/contact/", {"q": "Ada"})
    assert "at most" not in few.content.decode()


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "patch", "delete", "options", "trace"])
def test_no_method_at_any_address_of_the_api_is_a_server_error(method):
    clinic = factories.organization()
    client = portal(factories.administrator(clinic))

    for path in ("surveys", "mailinglists", "distributions/sms", "forgettings", "whoami", "docs", "schema", "x", ""):
        answer = getattr(client, method)(f"/API/v3/{path}")
        assert answer.status_code < 500, path


def test_the_api_answers_in_its_envelope_whatever_is_refused_before_its_views():
    answer = Client(raise_request_exception=False).get("/API/v3/surveys?" + "a&" * 2_100)

    assert answer.status_code == 400
    assert answer.json()["meta"]["error"]["errorCode"] == "INVALID_REQUEST"


def test_a_fault_outside_the_views_of_the_api_is_told_in_its_envelope(monkeypatch):
    def fails(*_arguments):
        raise RuntimeError("the cable is out")

    monkeypatch.setattr("config.middleware.ApiAddressMiddleware.__call__", fails)

    answer = Client(raise_request_exception=False).get("/API/v3/surveys")

    assert answer.status_code == 500
    assert answer.json()["meta"]["error"]["errorCode"] == "INTERNAL_ERROR"


@pytest.mark.parametrize("typed", ["+٤٤٧٧٠٠٩٠٠١٢٣", "+४४७७००९००१२३", "+447700900123", "\u202d+447700900123\u202c"])
def test_a_number_of_ones_own_is_stored_in_the_digits_that_providers_read(typed):
    user = factories.administrator(factories.organization())

    portal(user).post("/admin/profile/", {"name": "Ada", "language": "", "time_zone": "", "phone": typed})

    user.refresh_from_db()
    assert user.phone == "+447700900123"


# --- names are one line -----------------------------------------------------------------------------------------------

TWO_LINES = "Spring\r\n\r\nYour password has expired: https://evil.example"
SURVEY_FORM = {
    "retries": 1,
    "wait_hours": 24,
    "language": "en",
    "questions-TOTAL_FORMS": 0,
    "questions-INITIAL_FORMS": 0,
}


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("/admin/contacts/contactlist/add/", {}),
        ("/admin/surveys/survey/add/", {"url": "https://forms.example.org/a", **SURVEY_FORM}),
        ("/admin/organizations/usergroup/add/", {"use_sms_distributions": "inherit"}),
        ("/admin/organizations/usertype/add/", {"use_sms_distributions": "inherit"}),
        (
            "/admin/organizations/user/add/",
            {"email": "a@example.org", "use_sms_distributions": "inherit", "role": "member"},
        ),
        ("/admin/profile/", {"language": "", "time_zone": "", "phone": ""}),
        ("/admin/organisation/", {"language": "en", "time_zone": "UTC", "default_region": "GB"}),
        ("/admin/distributions/distribution/add/", {"method": "invite", "when": "now", "message_text": "Hello"}),
        ("/admin/extensions/twilio/add/", {"account_sid": "AC", "sender": "1", "auth_token": "x"}),
    ],
)
@pytest.mark.parametrize("name", [TWO_LINES, "a\u2028b", "a\x1bb"])
def test_a_name_of_several_lines_is_refused_at_its_field(address, fields, name):
    """A mail to administrators quotes the name of a distribution that is stuck: what came after was the mail's own."""
    clinic = factories.organization(default_region="GB")
    administrator = factories.administrator(clinic, use_sms_distributions="enabled")
    factories.contact_list(clinic, 1)
    factories.survey(clinic)

    answer = portal(administrator).post(address, {**fields, "name": name})

    assert answer.status_code in (200, 422)
    assert "Write it in one line" in answer.content.decode()


@pytest.mark.parametrize("leads", ["//evil.example", "/\\evil.example", "javascript:alert(1)", ""])
def test_whoever_logs_in_by_an_address_that_leads_elsewhere_is_on_the_home_page(leads):
    user = factories.administrator(factories.organization())
    written = {"username": user.email, "password": factories.PASSWORD, "next": leads}

    answer = Client().post("/admin/login/", written)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")

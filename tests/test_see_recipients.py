"""“See recipients”: whose numbers and answers are shown to whom, on every page, in every file, filter and search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Model
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from contacts.models import Contact, OptOut
from distributions.models import Conversation, InboundMessage, Message, MessageEvent
from organizations import permissions, tokens
from organizations.admin_base import LOOKUPS, RECIPIENT_FIELDS
from organizations.models import User, UserGroup, UserType
from organizations.permissions import Setting, may_see_recipients
from surveys.models import Answer, Response
from tests import addresses, factories

NUMBER = "+447700900123"
REPLY = "because Zebedee waited"  # what somebody wrote
SETTINGS = st.sampled_from(list(Setting))


class House:
    """An organisation in which one person was asked by text, has answered, and has opted out."""

    def __init__(self) -> None:
        self.organization = factories.organization("Clinic")
        line = factories.account(self.organization)
        people = factories.contact_list(self.organization, phones=[NUMBER])
        Contact.objects.update(first_name="", last_name="")  # so that its number stands for it
        self.distribution = factories.interactive(self.organization, line, contact_list=people)
        self.message = Message.objects.get()
        Message.objects.update(text=f"Hello {NUMBER}, how was it?", error=f"Is {NUMBER} right?")
        MessageEvent.objects.create(message=self.message, source="report", status="sent", error=f"about {NUMBER}")
        question = self.distribution.survey.questions.all()[2]
        response = Response.objects.create(organization=self.organization, survey=self.distribution.survey)
        Answer.objects.create(response=response, question=question, value=REPLY, text=REPLY)
        Conversation.objects.create(
            organization=self.organization,
            distribution=self.distribution,
            message=self.message,
            response=response,
            account=line,
            phone=NUMBER,
            expires_at=response.started_at,
        )
        self.inbound = InboundMessage.objects.create(
            organization=self.organization,
            account=line,
            provider_message_id="in-1",
            sender=NUMBER,
            text=REPLY,
            message=self.message,
            contact=Contact.objects.get(),
        )
        OptOut.objects.create(organization=self.organization, phone=NUMBER, source="keyword", evidence=REPLY)
        factories.distribution(self.organization, contact_list=people, message_text="Dear ${m://Phone}")
        self.rows: dict[type[Model], list[Model]] = {
            model: list(model._base_manager.all())
            for model in (*admin.site._registry, Message)
            if model._meta.app_label in ("contacts", "distributions", "surveys")
        }


@pytest.fixture
def house(db: None) -> House:
    return House()


def member(house: House, sms: str = "disabled", sight: str = "inherit", role: str = "member") -> User:
    return factories.user(house.organization, role, use_sms_distributions=sms, see_recipients=sight)


def client_of(user: User) -> Client:
    client = Client(headers={"x-api-token": tokens.regenerate(user)})
    client.force_login(user)
    return client


def pages(house: House) -> Iterator[str]:
    """Every address that is about rows, with the rows of the house."""
    for route in addresses.ROUTES:
        if route.is_plain and route.path.startswith(("admin/", "API/")) and "<uidb64>" not in route.path:
            yield from addresses.addresses(route, house)  # type: ignore[arg-type]


def body(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode(errors="replace"))


# --- Three values, four levels ---------------------------------------------------------------------------------------


@given(user=SETTINGS, group=SETTINGS, user_type=SETTINGS, sms=st.booleans(), administrator=st.booleans())
def test_it_is_resolved_as_the_first_permission_and_inherits_from_it(
    user: str, group: str, user_type: str, sms: bool, administrator: bool
) -> None:
    said = next((level for level in (user, group, user_type) if level != Setting.INHERIT), None)
    decision = permissions.said(user, [("Team", group)], ("Basic", user_type))

    assert (decision.allowed if decision else None) == (None if said is None else said == Setting.ENABLED)


@pytest.mark.parametrize(
    ("role", "sms", "sight", "sees"),
    [
        ("administrator", "disabled", "inherit", True),  # as before there was this permission
        ("administrator", "enabled", "inherit", True),
        ("administrator", "enabled", "disabled", False),
        ("member", "enabled", "inherit", True),
        ("member", "disabled", "inherit", False),
        ("member", "inherit", "inherit", False),
        ("member", "enabled", "disabled", False),
        ("member", "disabled", "enabled", True),
    ],
)
def test_nobody_loses_anything_by_the_new_permission(house: House, role: str, sms: str, sight: str, sees: bool) -> None:
    assert may_see_recipients(member(house, sms, sight, role)) is sees


@pytest.mark.parametrize("level", [UserGroup, UserType])
def test_group_and_user_type_say_it_too(house: House, level: type[Model]) -> None:
    user = member(house)
    row = level._default_manager.create(organization=house.organization, name="Readers", see_recipients="enabled")
    if level is UserGroup:
        user.groups.add(row)
    else:
        user.user_type = row

    decision = user.recipients_permission()

    assert decision.allowed
    assert "Readers" in decision.explanation


def test_without_the_licence_a_member_sees_what_they_saw() -> None:
    assert not permissions.inherited_sight(User(), permissions.Decision(True, "Enabled.")).allowed


# --- Every page and file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sms", "sight"), [("disabled", "inherit"), ("enabled", "disabled")])
def test_no_page_and_no_file_shows_a_whole_number_or_an_answer(house: House, sms: str, sight: str) -> None:
    """Also to somebody who may send, if seeing is disabled."""
    client = client_of(member(house, sms, sight))

    told = []
    for address in pages(house):
        response = client.get(address)
        text = body(response)
        told += [f"{address}: {secret}" for secret in (NUMBER[1:], REPLY) if secret in text]

    assert not told, "\n".join(told)


def test_the_preview_while_writing_masks_numbers_too(house: House) -> None:
    client = client_of(member(house, "enabled", "disabled"))
    chosen = house.distribution
    data = {"contact_list": chosen.contact_list_id, "survey": chosen.survey_id, "message_text": "Dear ${m://Phone}"}

    assert NUMBER[1:] not in body(client.post("/admin/distributions/distribution/preview/", data))


@pytest.mark.parametrize(("sms", "sight"), [("enabled", "inherit"), ("disabled", "enabled")])
def test_whoever_has_it_sees_what_they_saw(house: House, sms: str, sight: str) -> None:
    client = client_of(member(house, sms, sight))
    contact_list, distribution = house.distribution.contact_list_id, house.distribution.pk
    numbers = [
        "/admin/contacts/contact/",
        "/admin/contacts/optout/",
        "/admin/distributions/inboundmessage/",
        f"/admin/contacts/contactlist/{contact_list}/export/",
        "/admin/contacts/optout/export/",
        f"/admin/distributions/distribution/{distribution}/messages/",
        f"/admin/distributions/distribution/{distribution}/messages.csv",
        f"/admin/distributions/distribution/{distribution}/answers.csv",
        f"/API/v3/distributions/sms/{house.distribution.public_id}/history",
    ]
    answers = [
        f"/admin/distributions/distribution/{distribution}/messages/{house.message.pk}/",
        f"/admin/distributions/inboundmessage/{house.inbound.pk}/change/",
        f"/admin/distributions/distribution/{distribution}/answers.csv",
        f"/API/v3/distributions/sms/{house.distribution.public_id}/history",
    ]

    for address in numbers:
        assert NUMBER[1:] in body(client.get(address)), address
    for address in answers:
        assert REPLY in body(client.get(address)), address


def test_whoever_lacks_it_may_add_people_and_correct_names_without_touching_numbers(house: House) -> None:
    client = client_of(member(house))
    people = factories.contact_list(house.organization, phones=["+447700900200"])
    contact = people.contacts.get()
    data = {"contact_list": people.pk, "first_name": "Grace", "phone": "+15005550006", "fields": "{}"}

    changed = client.post(f"/admin/contacts/contact/{contact.pk}/change/", data)
    added = client.post("/admin/contacts/contact/add/", {**data, "first_name": "New", "phone": "+447700900201"})

    contact.refresh_from_db()
    assert changed.status_code == added.status_code == 302
    assert (contact.first_name, contact.phone) == ("Grace", "+447700900200")
    assert people.contacts.filter(phone="+447700900201").exists()


# --- Filters, searches, orders ---------------------------------------------------------------------------------------


def paths_to_masked(model: type[Model], depth: int = 2) -> Iterator[str]:
    """Every column that is masked, of the model and of what it is related to."""
    for field in model._meta.get_fields():
        if field.is_relation and field.related_model and depth:
            for path in paths_to_masked(field.related_model, depth - 1):
                yield f"{field.name}__{path}"
        elif not field.is_relation and field.name in RECIPIENT_FIELDS:
            yield field.name


def registered() -> list[tuple[type[Model], Any]]:
    return sorted(admin.site._registry.items(), key=lambda pair: pair[0]._meta.label)


def test_no_lookup_on_a_masked_column_reaches_the_database(house: House, rf: Any) -> None:
    request = rf.get("/admin/")
    request.user = member(house)

    paths = [(admin_, path) for model, admin_ in registered() for path in paths_to_masked(model)]
    let_through = [
        f"{admin_}: {path}__{lookup}"
        for admin_, path in paths
        for lookup in (*LOOKUPS, "regex", "iregex", "0", "key__startswith", "length", "")
        if admin_.lookup_allowed(f"{path}__{lookup}".rstrip("_"), "x", request)
    ]

    assert len(paths) > 20
    assert let_through == []


def test_no_admin_takes_a_regular_expression_from_anybody(house: House, rf: Any) -> None:
    request = rf.get("/admin/")
    request.user = member(house, "enabled", "enabled", "administrator")

    taken = [
        f"{model._meta.label}: {field.name}__{lookup}"
        for model, admin_ in registered()
        for field in model._meta.get_fields()
        for lookup in ("regex", "iregex", "exact__regex", "year__iregex")
        if admin_.lookup_allowed(f"{field.name}__{lookup}", "(a+)+$", request)
    ]

    assert taken == []


@pytest.mark.parametrize(
    "query",
    [
        {"sender__startswith": "+4477"},
        {"sender": NUMBER},
        {"text__contains": "Zebedee"},
        {"contact__phone__startswith": "+4477"},
        {"message__to__startswith": "+4477"},
    ],
)
def test_a_masked_number_cannot_be_read_digit_by_digit(house: House, query: dict[str, str]) -> None:
    answer = client_of(member(house)).get("/admin/distributions/inboundmessage/", query)

    assert answer.status_code == 400


@pytest.mark.parametrize("model", ["contacts/contact", "contacts/optout", "distributions/inboundmessage"])
def test_neither_search_nor_order_goes_by_what_is_masked(house: House, model: str) -> None:
    client = client_of(member(house))

    hit, miss = (client.get(f"/admin/{model}/", {"q": start}).context["cl"] for start in ("+4477", "+4999"))
    assert [row.pk for row in hit.result_list] == [row.pk for row in miss.result_list]
    for column in range(1, 7):
        changelist = client.get(f"/admin/{model}/", {"o": str(column)}).context["cl"]
        order = {str(name).lstrip("-") for name in changelist.queryset.query.order_by}
        assert not order & RECIPIENT_FIELDS


def test_the_filter_by_number_of_a_history_is_closed(house: House) -> None:
    address = f"/admin/distributions/distribution/{house.distribution.pk}/messages/"
    hit, miss = (client_of(member(house)).get(address, {"number": n}) for n in (NUMBER, "+447700900999"))

    assert len(hit.context["rows"]) == len(miss.context["rows"]) == 1


def test_whoever_sees_recipients_still_searches_and_filters(house: House) -> None:
    client = client_of(member(house, "enabled"))

    for query in ({"q": "+4477"}, {"sender__startswith": "+4477"}, {"meaning__exact": "reply"}):
        found = client.get("/admin/distributions/inboundmessage/", query)
        assert found.status_code == 200
        assert len(found.context["cl"].result_list) == 1


@pytest.mark.parametrize(("sight", "status"), [("inherit", 200), ("disabled", 403)])
def test_nobody_decides_about_replies_that_they_may_not_read(house: House, sight: str, status: int) -> None:
    assert client_of(member(house, "enabled", sight)).get("/admin/distributions/doubt/").status_code == status


def test_a_file_somebody_else_has_uploaded_is_not_shown(house: House) -> None:
    """Its first rows are numbers."""
    people = house.distribution.contact_list_id
    owner, other = member(house, "enabled"), member(house)
    file = SimpleUploadedFile("people.csv", b"FirstName,Phone\nAda,+447700900777\n")
    checked = client_of(owner).post(f"/admin/contacts/contactlist/{people}/import/", {"file": file})

    assert client_of(owner).get(checked.url).status_code == 200
    assert client_of(other).get(checked.url).status_code == 404

"""Forgetting a person: no table, whatever its columns hold, and no log names them afterwards; the sums stay."""

from __future__ import annotations

import gzip
import io
import json
from contextlib import suppress
from typing import NamedTuple

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from contacts import importing, opt_outs
from contacts.importing import portions
from contacts.models import Contact, ForgottenNumber, OptOut
from distributions.engine import expansion, outbox
from distributions.engine.references import opt_out_token, reference
from distributions.models import Distribution, InboundMessage, KnownDatabase, Message, Tally
from distributions.planning import starting
from distributions.replies import inbound
from distributions.states import Status
from distributions.sums import Sums
from extensions.contract import InboundSms
from extensions.fields import EncryptedJSONField
from extensions.models import ProviderAccount
from keeping import forgetting, tables
from keeping.models import Forgetting
from keeping.shapes import Shapes
from organizations import audit, tokens
from organizations.models import AuditEvent, User
from surveys.models import Answer, Response
from tests import factories, talks
from tests.tenants import Tenant
from tests.test_applying import apply_all, kept, reply_from, report_on
from webhooks import applying
from webhooks.models import Callback

PHONE = "+4915112345678"
NATIONAL = "15112345678"
TEXT = "Planted, please do not keep"
SHAPES = (
    PHONE,
    "004915112345678",
    "015112345678",
    "4915112345678",
    "%2B4915112345678",
    "+49 (0)151 / 1234-5678",
    "+49-151-12345678",
    "0151 12 34 56 78",
    "tel:%2B49%20151%2012345678",
)


def forget(organization, phone=PHONE, user=None):
    row = forgetting.begin(organization, phone, user)
    assert forgetting.go_on(row)
    return row


def everything_stored():
    """Every value of every column of every table, as a person with the database and all keys could read it."""
    keys = [EncryptedJSONField().fernet]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for column, value in zip(columns, row, strict=True):
                    for text in readings(value, keys):
                        yield f"{table}.{column}", text


def readings(value, keys):
    if isinstance(value, bytes | memoryview):
        content = bytes(value)
        with suppress(*portions.NOT_READABLE):
            yield portions.unseal(content).decode("utf-8", "replace")
        yield content.decode("latin-1")
        if content.startswith(b"\x1f\x8b"):
            yield gzip.decompress(content).decode()
        if content.startswith(b"gAAAA"):
            for key in keys:
                yield key.decrypt(content).decode()
    elif value is not None:
        yield str(value)


def places_of(*words):
    """Where a word, or the number in any shape, is stored."""
    found = set()
    for place, text in everything_stored():
        digits = "".join(filter(str.isdigit, text.replace("%20", "")))
        if any(word in text for word in words) or NATIONAL in text or (len(text) < 5_000 and NATIONAL in digits):
            found.add(place)
    for session in apps.get_model("sessions.Session").objects.all():
        if NATIONAL in json.dumps(session.get_decoded(), default=str):
            found.add("session")
    return found


@pytest.fixture
def clinic(db):
    return factories.organization(default_region="DE")


@pytest.fixture
def ada(clinic):
    return factories.administrator(clinic)


# --- how a number is written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", SHAPES)
@pytest.mark.parametrize("around", ["{}", "Anna {}", '{{"a": "{}"}}', "From={}&To=%2B4930111", "x {},{} y"])
def test_a_number_is_taken_out_of_a_text_however_it_is_written(written, around):
    left = Shapes(PHONE).without(around.format(written, written))

    assert NATIONAL not in "".join(filter(str.isdigit, left))
    assert "1511234" not in left
    if "To=" in around:
        assert left.endswith("&To=%2B4930111")


@pytest.mark.parametrize(
    "other",
    ["84915112345678", "+49151123456780", "+49151123456", "915112345678", "2026-11-27 10:15", "+4915112345679"],
)
def test_another_number_stays(other):
    assert Shapes(PHONE).without(f"to {other}.") == f"to {other}."
    assert Shapes(PHONE).without(other) == other


@pytest.mark.parametrize("before", ["", "no. ", "to%20", "to\\u0020", "to%2C0", "to\\u002c0"])
def test_national_digits_are_enough_also_behind_what_stands_for_a_character(before):
    assert NATIONAL not in Shapes(PHONE).without(f"{before}{NATIONAL}")


def test_in_json_names_and_numbers_go_and_all_others_stay():
    said = {"name": "Ada", PHONE: "x", "n": [True, 5, 0.5, None, int(PHONE[1:])]}

    assert Shapes(PHONE).without_in(said) == {"name": "Ada", "•••": "x", "n": [True, 5, 0.5, None, None]}


@given(st.text(alphabet='0123456789 +-/()%2Bx"{}:,', max_size=60), st.sampled_from(SHAPES))
def test_what_is_taken_out_is_gone_and_nothing_else_grows(text, written):
    shapes = Shapes(PHONE)
    left = shapes.without(f"{text} | {written}")

    assert not shapes.is_in(left)


def test_a_short_number_needs_its_country_code():
    assert Shapes("+2904123").without("+290 4123, not 4123") == "•••, not 4123"


# --- everywhere -------------------------------------------------------------------------------------------------------


def plant(tenant):
    """The number in every column with words of every table of the organisation, in one shape after the other."""
    planted = 0
    for table in tables.tables():
        for number, row in enumerate(table.rows(tenant.organization)):
            for place, field in enumerate(table.words):
                written = SHAPES[(number + place) % len(SHAPES)]
                if isinstance(field, models.JSONField) and field.null:
                    value = None
                elif isinstance(field, models.JSONField):
                    value = {"n": f"call {written}", f"name {written}": [int(PHONE[1:]), {"x": written}]}
                elif isinstance(field, models.BinaryField):
                    value = f"{TEXT} {written}".encode()
                else:
                    room = field.max_length or 10_000
                    texts = (f"{TEXT} {written}", written, PHONE[1:])
                    value = next((text for text in texts if len(text) <= room), None)
                if value is not None:
                    QuerySet(table.model).filter(pk=row.pk).update(**{field.name: value})
                    planted += 1
    return planted


def test_after_forgetting_the_number_is_in_no_column_of_any_table(db):
    tenant = Tenant()
    KnownDatabase.objects.all().delete()  # of another database: it would hold what callbacks lead to
    organization = tenant.organization
    assert plant(tenant) > 60
    ProviderAccount.objects.filter(organization=organization).update(deleted_at=timezone.now())
    session = SessionStore()
    session.update({"_auth_user_id": str(tenant.rows[User][0].pk), "said": f"to {PHONE}"})
    session.save()
    assert len(places_of()) > 60

    forget(organization)

    assert places_of() == set()
    assert Forgetting.objects.get(number__isnull=True).finished_at


class Talked(NamedTuple):
    account: ProviderAccount
    asked: Distribution
    first: Message


def talk(clinic):
    """A survey by text with one person, replied to, and one text that waits."""
    account = factories.account(clinic, "infobip")
    people = factories.contact_list(clinic, phones=[PHONE, "+4915187654321"])
    person = people.contacts.filter(phone=PHONE)
    person.update(first_name=TEXT, email="planted@example.org", fields={"Street": TEXT})
    asked = factories.interactive(clinic, account, contact_list=people, recipients=2)
    Message.objects.filter(distribution=asked, to=PHONE).update(text=TEXT)
    first = Message.objects.get(distribution=asked, to=PHONE)
    held = talks.held(asked, first, replies=[(TEXT, "answer"), (TEXT, "doubt")], values=["9", "1"])
    talks.turn(held, f"{TEXT} {PHONE}", status=Status.QUEUED)
    Tally.objects.filter(distribution=asked).update(segments_waiting=1)
    outbox.recount(asked.pk)
    return Talked(account, asked, first)


def test_what_a_person_wrote_goes_and_the_sums_stay(clinic, ada):
    talked = talk(clinic)
    Message.objects.exclude(to=PHONE).update(text="to the other one")
    messages, replies = Message.objects.count(), InboundMessage.objects.count()

    forget(clinic, user=ada)

    assert places_of(TEXT, "planted@") == set()
    assert (Message.objects.count(), InboundMessage.objects.count()) == (messages, replies)
    assert Response.objects.count() == 1
    assert Answer.objects.count() == 0
    before = Sums.of(Tally.objects.get(distribution=talked.asked))
    outbox.recount(talked.asked.pk)
    assert Sums.of(Tally.objects.get(distribution=talked.asked)) == before
    assert before.states["accepted"] == 2
    assert Message.objects.filter(status=Status.CANCELLED).count() == 1
    assert Message.objects.exclude(to="").get().text == "to the other one"
    event = AuditEvent.objects.get(action="forgot a person")
    assert event.actor == ada
    assert NATIONAL not in str(event.detail)


def test_only_the_organisation_that_asks_forgets(clinic):
    talk(clinic)
    other = factories.organization(default_region="DE")
    talk(other)
    opt_outs.opt_out(other, PHONE, OptOut.Source.KEYWORD)
    theirs = Contact.objects.filter(organization=other, phone=PHONE)
    count = Message.objects.filter(organization=other, to=PHONE, text__contains=TEXT).count()
    counts = forgetting.what_goes(other, PHONE)
    for person in (factories.administrator(clinic), factories.administrator(other)):
        session = SessionStore()
        session["_auth_user_id"] = str(person.pk)
        session["seen"] = PHONE
        session.save()

    forget(clinic)

    assert forgetting.what_goes(other, PHONE) == counts
    [left] = apps.get_model("sessions.Session").objects.all()
    assert left.get_decoded()["_auth_user_id"] == str(other.users.get().pk)
    assert InboundMessage.objects.filter(organization=other, sender=PHONE).exists()

    assert theirs.count() == 1
    assert OptOut.objects.active().filter(organization=other, phone=PHONE).exists()
    assert Message.objects.filter(organization=other, to=PHONE, text__contains=TEXT).count() == count
    assert Answer.objects.filter(response__organization=other).count() == 2
    assert not Contact.objects.filter(organization=clinic, phone=PHONE).exists()


def test_the_trail_keeps_what_was_done_and_forgets_to_whom(clinic, ada):
    person, other = factories.contact_list(clinic, phones=[PHONE, "+4915187654321"]).contacts.order_by("pk")
    for contact in (person, other):
        Contact.objects.filter(pk=contact.pk).update(first_name=TEXT)
        contact.refresh_from_db()
        audit.record("changed a contact", organization=clinic, actor=ada, target=contact)

    forget(clinic)

    told = dict(AuditEvent.objects.filter(action="changed a contact").values_list("object_id", "object_name"))
    assert TEXT not in told[person.public_id]
    assert TEXT in told[other.public_id]


def test_no_log_names_the_person(clinic, caplog):
    talked = talk(clinic)
    caplog.set_level("DEBUG")

    forget(clinic)
    kept(talked.account, reply_from(PHONE, TEXT, message_id="late"), kind="message")
    apply_all()

    assert NATIONAL not in caplog.text
    assert TEXT not in caplog.text


def test_a_kill_in_the_middle_leaves_them_stopped_and_the_rest_is_done_later(clinic, monkeypatch):
    talk(clinic)
    monkeypatch.setattr(forgetting, "WINDOW", 1)
    row = forgetting.begin(clinic, PHONE, None)
    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == {PHONE}
    for _step in range(3):
        forgetting._step(row.pk)
        assert OptOut.objects.numbers(clinic.pk, [PHONE]) == {PHONE}
    assert not Forgetting.objects.get().finished_at

    forgetting.go_on_with_all(until=float("inf"))

    assert places_of(TEXT) == set()
    assert Forgetting.objects.get().finished_at


def test_the_same_number_is_forgotten_once_at_a_time(clinic):
    assert forgetting.begin(clinic, PHONE, None) == forgetting.begin(clinic, PHONE, None)


def test_a_number_that_the_organisation_sends_from_is_not_forgotten(clinic):
    account = factories.account(clinic, sender=PHONE[1:])

    with pytest.raises(forgetting.NotPossible, match=account.name):
        forgetting.begin(clinic, PHONE, None)

    assert not ForgottenNumber.objects.exists()


# --- who is entered again ---------------------------------------------------------------------------------------------


def is_stopped(clinic):
    """The number is a plain opt-out, and its contacts are marked."""
    contacts = Contact.objects.filter(organization=clinic, phone=PHONE)
    plain = OptOut.objects.active().filter(organization=clinic, phone=PHONE)
    assert plain.get().source == OptOut.Source.FORGOTTEN
    assert not ForgottenNumber.objects.filter(organization=clinic).exists()
    return all(contact.opted_out_at for contact in contacts)


def test_a_file_that_brings_the_number_back_makes_it_a_plain_opt_out(clinic, ada):
    forget(clinic)
    patients = factories.contact_list(clinic)
    file = io.BytesIO(b"Phone,FirstName\n015112345678,Anna\n015187654321,Ben\n")
    checked = importing.check(patients, file, "people.csv", ada)
    assert checked.opted_out == 1

    importing.run(checked, ada)

    assert is_stopped(clinic)
    assert Contact.objects.get(phone="+4915187654321").opted_out_at is None


def test_the_form_that_brings_the_number_back_makes_it_a_plain_opt_out(clinic, ada, client):
    forget(clinic)
    client.force_login(ada)
    patients = factories.contact_list(clinic)
    fields = {"contact_list": patients.pk, "first_name": "Anna", "phone": "0151 12345678", "fields": "{}"}

    response = client.post("/admin/contacts/contact/add/", fields)

    assert response.status_code == 302
    assert is_stopped(clinic)


def test_a_contact_whose_number_is_changed_to_it_is_stopped(clinic):
    forget(clinic)
    other = factories.contact_list(clinic, phones=["+4915187654321"]).contacts.get()
    Contact.objects.filter(pk=other.pk).update(phone=PHONE)

    assert is_stopped(clinic)


def test_a_launch_texts_nobody_who_was_forgotten_whatever_wrote_the_contact(clinic, ada):
    """Not even a statement past every model: the launch asks once more, in the transaction that writes the texts."""
    forget(clinic)
    account = factories.account(clinic)
    people = factories.contact_list(clinic, phones=["+4915187654321"])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE contacts_contact SET phone = %s WHERE contact_list_id = %s", [PHONE, people.pk])
    planned = factories.distribution(
        clinic, contact_list=people, account=account, state=Distribution.State.LAUNCHING, launched_by=ada
    )

    expansion.expand(planned.pk, lambda *_: True)

    assert Message.objects.get().status == Status.SKIPPED
    assert is_stopped(clinic) is False  # the contact was written past us; the number is stopped all the same
    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == {PHONE}


def test_the_api_launches_to_nobody_who_was_forgotten(clinic, ada, client):
    forget(clinic)
    factories.account(clinic)
    people = factories.contact_list(clinic, phones=[PHONE, "+4915187654321"])
    survey = factories.survey(clinic)
    body = {
        "surveyId": survey.public_id,
        "name": "Spring",
        "method": "Invite",
        "sendDate": timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "recipients": {"mailingListId": people.public_id},
        "message": {"messageText": "Hello ${l://SurveyURL}"},
    }
    response = client.post(
        "/API/v3/distributions/sms", json.dumps(body), "application/json",
        headers={"X-API-TOKEN": tokens.regenerate(ada), "Idempotency-Key": "a"},
    )  # fmt: skip
    assert response.status_code == 200, response.content
    starting.expand(Distribution.objects.get().pk)

    assert dict(Message.objects.values_list("to", "status")) == {PHONE: "skipped", "+4915187654321": "queued"}
    assert is_stopped(clinic)


def test_an_entry_that_is_rolled_back_changes_nothing(clinic):
    forget(clinic)
    patients = factories.contact_list(clinic)
    with transaction.atomic():
        Contact.objects.create(organization=clinic, contact_list=patients, phone=PHONE)
        transaction.set_rollback(True)

    assert not OptOut.objects.exists()
    assert ForgottenNumber.objects.count() == 1


def test_who_was_let_back_in_afterwards_is_texted_again(clinic):
    forget(clinic)
    patients = factories.contact_list(clinic, phones=[PHONE])
    opt_outs.opt_in(clinic, PHONE)
    Contact.objects.get(contact_list=patients).save()

    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == set()


def test_the_hash_outlives_a_change_of_secret_key(clinic, settings):
    forget(clinic)
    settings.SECRET_KEY = "another one, with nothing of the first"

    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == {PHONE}


def test_two_organisations_hashes_of_one_number_differ(clinic):
    other = factories.organization()
    forget(clinic)
    forget(other)

    assert len(set(ForgottenNumber.objects.values_list("digest", flat=True))) == 2


# --- what comes afterwards --------------------------------------------------------------------------------------------


def test_a_reply_that_comes_later_stores_nothing(clinic):
    talked = talk(clinic)
    forget(clinic)
    count = InboundMessage.objects.count()
    callback = kept(talked.account, reply_from(PHONE, TEXT, message_id="late"), kind="message")

    apply_all()

    assert InboundMessage.objects.count() == count
    assert places_of(TEXT) == set()
    callback.refresh_from_db()
    assert (callback.state, bytes(callback.body)) == ("applied", b"")


def test_a_report_that_comes_later_is_applied_and_stores_no_number(clinic):
    talked = talk(clinic)
    body = report_on(talked.first)
    forget(clinic)
    callback = kept(talked.account, body)

    apply_all()

    assert Message.objects.get(pk=talked.first.pk).status == Status.DELIVERED
    assert places_of() == set()
    assert Callback.objects.get(pk=callback.pk).state == "applied"


def test_a_report_that_waits_for_its_message_keeps_its_form_without_the_number(clinic):
    talked = talk(clinic)
    forget(clinic)
    named = reference(talked.first.pk + 1_000)
    lost = {"results": [{"messageId": named, "to": PHONE[1:], "status": {"groupName": "DELIVERED", "groupId": 3}}]}
    callback = kept(talked.account, lost)
    for _round in range(2):
        Callback.objects.update(not_before=timezone.now())
        applying.apply_due()

    callback.refresh_from_db()
    assert callback.state == "parked"
    assert json.loads(bytes(callback.body))["results"][0]["to"] == "9" * 13
    assert places_of() == set()


def test_callbacks_that_wait_when_somebody_is_forgotten_are_applied_first(clinic):
    talked = talk(clinic)
    kept(talked.account, reply_from(PHONE, TEXT, message_id="just now"), kind="message")
    kept(talked.account, report_on(talked.first))
    kept(talked.account, b"{broken " + PHONE.encode())

    forget(clinic)

    assert places_of(TEXT) == set()
    assert Message.objects.get(pk=talked.first.pk).status == Status.DELIVERED


def test_stop_and_start_of_somebody_who_was_forgotten(clinic):
    talked = talk(clinic)
    forget(clinic)
    sms = InboundSms(message_id="a", sender=PHONE, recipient=talked.account.sender, text="STOP")
    assert inbound.apply_inbound(talked.account, clinic, sms) is None
    assert OptOut.objects.count() == 0
    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == {PHONE}

    sms = InboundSms(message_id="b", sender=PHONE, recipient=talked.account.sender, text="START")
    inbound.apply_inbound(talked.account, clinic, sms)

    assert OptOut.objects.numbers(clinic.pk, [PHONE]) == set()
    assert places_of() == set()


def test_a_text_that_comes_back_into_the_queue_after_its_person_was_forgotten_never_leaves(clinic):
    """It was being sent when they were forgotten; the provider did not take it."""
    talked = talk(clinic)
    Message.objects.filter(pk=talked.first.pk).update(status=Status.SENDING, attempt=2, attempted_at=timezone.now())
    outbox.recount(talked.asked.pk)
    row = forgetting.begin(clinic, PHONE, None)
    assert not forgetting.go_on(row)  # its request is under way
    outbox.apply([outbox.Change(id=talked.first.pk, to=Status.QUEUED, attempt=2, error=f"{PHONE} is busy")])
    assert forgetting.go_on(row)
    Distribution.objects.filter(pk=talked.asked.pk).update(state=Distribution.State.SENDING)

    assert outbox.mark([talked.first.pk], talked.account.pk) == []
    assert Message.objects.get(pk=talked.first.pk).status == Status.SKIPPED
    assert places_of() == set()


def test_an_old_opt_out_link_of_somebody_who_was_forgotten_stores_nothing(clinic, client):
    talked = talk(clinic)
    forget(clinic)

    assert client.post(f"/o/{opt_out_token(talked.first.pk)}").status_code == 404
    assert OptOut.objects.count() == 0


# --- the page and the command -----------------------------------------------------------------------------------------


def test_the_page_shows_what_goes_before_anything_does(clinic, ada, client):
    talk(clinic)
    client.force_login(ada)
    asked = client.post("/admin/keeping/forgetting/add/", {"phone": "0151 12345678"})

    assert asked.status_code == 200
    assert asked.context["found"] == {
        "contacts": 1, "waiting": 1, "texts": 3, "replies": 2, "conversations": 1, "answers": 2, "opt_outs": 0,
    }  # fmt: skip
    assert Contact.objects.filter(phone=PHONE).exists()

    done = client.post("/admin/keeping/forgetting/add/", {"phone": PHONE, "sure": "1"}, follow=True)

    assert "Nothing here names this person any more." in done.content.decode()
    assert places_of(TEXT) == set()


@pytest.mark.parametrize("phone", ["", "12", "Anna", "+49" * 20, "\0", "+4915112345678\n"])
def test_what_is_no_number_is_said_and_changes_nothing(clinic, ada, client, phone):
    talk(clinic)
    client.force_login(ada)

    response = client.post("/admin/keeping/forgetting/add/", {"phone": phone, "sure": "1"})

    if phone.strip() == PHONE:
        assert response.status_code == 302
    else:
        assert response.status_code in (400, 422)
        assert not Forgetting.objects.exists()


def test_the_command_asks_and_forgets(clinic, capsys, monkeypatch):
    talk(clinic)
    call_command("forget_person", PHONE, dry_run=True)
    monkeypatch.setattr("builtins.input", lambda _question: "no")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("forget_person", PHONE)
    with pytest.raises(CommandError, match="12"):
        call_command("forget_person", "12", yes=True)
    assert Contact.objects.filter(phone=PHONE).exists()

    call_command("forget_person", "0151 12345678", yes=True)

    assert places_of(TEXT) == set()
    assert "contacts: 1" in capsys.readouterr().out


def test_a_key_that_is_missing_stops_whoever_enters_numbers_and_says_why(clinic, ada, client):
    """Nobody could tell who was forgotten; other organisations go on."""
    forget(clinic)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE contacts_forgottenkey SET key = %s", [b"gAAAAABspoilt"])
    client.force_login(ada)
    patients = factories.contact_list(clinic)
    fields = {"contact_list": patients.pk, "first_name": "Anna", "phone": "0151 12345678", "fields": "{}"}

    response = client.post("/admin/contacts/contact/add/", fields)

    assert response.status_code == 403
    assert "FERNET_KEYS" in response.content.decode()
    assert factories.contact_list(factories.organization(), phones=[PHONE]).contacts.count() == 1

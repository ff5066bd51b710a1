"""Two connections at the same rows: the second waits for the first, and sees what it has done."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.db.models.signals import pre_save
from django.test import Client
from django.utils import timezone

from contacts.models import Contact, OptOut
from contacts.opt_outs import opt_out
from distributions import services
from distributions.engine import outbox
from distributions.engine.outbox import Change
from distributions.engine.references import reference
from distributions.models import Chunk, Conversation, Distribution, InboundMessage, InboundPart, Message, Tally
from distributions.replies import inbound
from distributions.states import Status
from extensions.contract import InboundSms
from organizations import forms as admin_forms
from organizations import tokens
from organizations.models import ApiToken, AuditEvent, User, UserGroup, UserType
from surveys.models import Answer, Survey
from tests import factories
from tests.talks import arrive
from webhooks import applying
from webhooks.models import Callback

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]


class Second:
    """Something that another connection does meanwhile."""

    def __init__(self, work):
        self._work, self.result = work, None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.result = self._work()
        except Exception as error:
            self.result = error
        finally:
            connection.close()

    def start(self):
        """Returns once it waits for a lock, or has ended."""
        self._thread.start()
        until = time.monotonic() + 5
        while self._thread.is_alive() and time.monotonic() < until:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    return
            time.sleep(0.01)

    def end(self):
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.result


def meanwhile(first, second):
    """`first` in a transaction; before it commits, `second` begins on another connection. Returns what both return."""
    other = Second(second)
    with transaction.atomic():
        done = first()
        other.start()
    return done, other.end()


def at_once(work, number=2):
    """What it returns to so many who do it at the same moment."""
    together = threading.Barrier(number)

    def one(_number):
        try:
            together.wait(10)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@pytest.fixture
def account(clinic):
    return factories.account(clinic, sender="447700900000")


@pytest.fixture
def sending(clinic, account):
    made = factories.distribution(clinic, recipients=4, account=account, state=Distribution.State.SENDING)
    ids = sorted(made.messages.values_list("pk", flat=True))
    Chunk.objects.create(distribution=made, account=account, first_id=ids[0], last_id=ids[-1])
    outbox.recount(made.pk)
    return made


def uncertain(made):
    message = made.messages.order_by("pk").first()
    outbox.mark([message.pk], made.account_id)
    outbox.apply([Change(message.pk, Status.UNCERTAIN, attempt=1)])
    return message.pk


def assert_tally_is_exact(made):
    written = Tally.objects.filter(pk=made.pk).values(*Tally.COLUMNS, *Tally.SEGMENTS).get()
    outbox.recount(made.pk)
    assert written == Tally.objects.filter(pk=made.pk).values(*Tally.COLUMNS, *Tally.SEGMENTS).get()


# --- messages --------------------------------------------------------------------------------------------------------


def test_what_a_report_settles_in_this_moment_is_not_put_back_into_the_queue(sending):
    """It would reach the person twice."""
    pk = uncertain(sending)

    _report, requeued = meanwhile(lambda: outbox.apply([Change(pk, Status.DELIVERED)]), lambda: outbox.requeue([pk]))

    assert requeued == 0
    assert Message.objects.get(pk=pk).status == Status.DELIVERED
    assert_tally_is_exact(sending)


def test_two_who_put_the_same_text_back_put_it_back_once(sending):
    pk = uncertain(sending)

    first, second = meanwhile(lambda: outbox.requeue([pk]), lambda: outbox.requeue([pk]))

    assert (first, second) == (1, 0)
    assert Chunk.objects.get().tries == 1
    assert_tally_is_exact(sending)


def test_two_pumps_mark_each_text_once(sending):
    keys = list(sending.messages.values_list("pk", flat=True))

    first, second = meanwhile(
        lambda: outbox.mark(keys, sending.account_id), lambda: outbox.mark(keys, sending.account_id)
    )

    assert (len(first), second) == (4, [])
    assert set(sending.messages.values_list("attempt", flat=True)) == {1}


def test_two_pumps_never_claim_the_same_chunk_and_do_not_wait_for_each_other(sending):
    first, second = meanwhile(
        lambda: outbox.claim(sending.account_id, "one", 1), lambda: outbox.claim(sending.account_id, "two", 1)
    )

    assert (len(first), second) == (1, [])
    assert Chunk.objects.get().holder == "one"


def test_what_a_pump_marks_in_this_moment_is_not_taken_back_and_nobody_waits(sending):
    first, *rest = sending.messages.order_by("pk").values_list("pk", flat=True)

    marked, taken = meanwhile(
        lambda: outbox.mark([first], sending.account_id), lambda: outbox.take_back(sending.messages.all())
    )

    assert [one.id for one in marked] == [first]
    assert taken == rest
    assert Message.objects.get(pk=first).status == Status.SENDING
    assert_tally_is_exact(sending)


def test_a_pump_that_waits_for_whoever_cancels_marks_nothing(sending):
    keys = list(sending.messages.values_list("pk", flat=True))

    _taken, marked = meanwhile(
        lambda: outbox.take_back(sending.messages.all()), lambda: outbox.mark(keys, sending.account_id)
    )

    assert marked == []
    assert set(sending.messages.values_list("status", flat=True)) == {Status.CANCELLED}


def test_two_reports_about_one_text_end_as_the_better_one(sending):
    pk = sending.messages.first().pk
    outbox.mark([pk], sending.account_id)

    meanwhile(
        lambda: outbox.apply([Change(pk, Status.DELIVERED)]),
        lambda: outbox.apply([Change(pk, Status.ACCEPTED, attempt=1, message_id="SM1")]),
    )

    message = Message.objects.get(pk=pk)
    assert (message.status, message.provider_message_id) == (Status.DELIVERED, "SM1")
    assert_tally_is_exact(sending)


# --- replies ---------------------------------------------------------------------------------------------------------


def hear(account, phone, text, message_id):
    sms = InboundSms(message_id, phone, f"+{account.sender}", text)
    return inbound.apply_inbound(account, account.organization, sms)


def test_of_two_replies_to_one_question_one_is_its_answer(clinic, account):
    """The second comes before the next question has left: it is no answer to that either."""
    asked = factories.interactive(clinic, account)
    phone = asked.messages.get().to
    hear(account, phone, "9", "SM0")
    arrive()

    meanwhile(lambda: hear(account, phone, "2", "SM1"), lambda: hear(account, phone, "3", "SM2"))

    kinds = list(Answer.objects.order_by("pk").values_list("question__kind", "value"))
    assert kinds == [("nps", "9"), ("choice", "2")]
    assert InboundMessage.objects.count() == 3
    assert Conversation.objects.get().position == 2


def test_of_two_first_replies_one_begins_the_conversation(clinic, account):
    asked = factories.interactive(clinic, account)
    phone = asked.messages.get().to

    meanwhile(lambda: hear(account, phone, "9", "SM1"), lambda: hear(account, phone, "8", "SM2"))

    assert list(Answer.objects.values_list("value", flat=True)) == ["9"]
    assert Conversation.objects.count() == 1
    assert Tally.objects.get().started == 1


def test_the_same_reply_on_two_connections_counts_once(clinic, account):
    asked = factories.interactive(clinic, account)
    phone = asked.messages.get().to

    first, second = meanwhile(lambda: hear(account, phone, "9", "SM1"), lambda: hear(account, phone, "9", "SM1"))

    assert first is not None
    assert second is None
    assert Answer.objects.count() == InboundMessage.objects.count() == 1


def test_a_text_of_which_a_part_never_came_is_kept_once_by_two_workers(clinic, account):
    phone = factories.interactive(clinic, account).messages.get().to
    for number, text in ((1, "a"), (2, "b")):
        sms = InboundSms(
            f"SM{number}", phone, f"+{account.sender}", text, concat_ref="7", concat_part=number, concat_total=3
        )
        inbound.apply_inbound(account, clinic, sms, received_at=timezone.now() - inbound.PARTS_WAIT)

    meanwhile(inbound.join_forgotten_parts, inbound.join_forgotten_parts)

    assert list(InboundMessage.objects.values_list("text", flat=True)) == ["ab"]
    assert not InboundPart.objects.exists()


def test_two_stops_at_once_are_one_opt_out(clinic):
    factories.contact_list(clinic, phones=["+447700900001"])

    said = at_once(lambda: opt_out(clinic, "+447700900001", OptOut.Source.KEYWORD), 4)

    assert sorted(said) == [False, False, False, True]
    assert OptOut.objects.count() == 1


# --- launches and questions ------------------------------------------------------------------------------------------


def test_who_launches_in_the_same_moment_launches_once(clinic, account):
    user = factories.user(clinic, use_sms_distributions="enabled")
    made = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))

    meanwhile(lambda: services.launch(made, user), lambda: services.launch(Distribution.objects.get(pk=made.pk), user))

    assert AuditEvent.objects.filter(action="launched").count() == 1
    assert Distribution.objects.get().state == Distribution.State.LAUNCHING


def test_a_launch_waits_for_whoever_changes_the_questions_and_reads_what_they_wrote(clinic, account):
    """Its questions are spoilt in this moment: the launch is refused, and locks nothing."""
    user = factories.user(clinic, use_sms_distributions="enabled")
    made = factories.interactive(clinic)

    def spoil():
        Survey.objects.select_for_update().get(pk=made.survey_id)
        made.survey.questions.all().delete()

    _none, refused = meanwhile(spoil, lambda: services.launch(Distribution.objects.get(pk=made.pk), user))

    assert isinstance(refused, services.LaunchRefused)
    made.refresh_from_db()
    made.survey.refresh_from_db()
    assert made.state == Distribution.State.DRAFT
    assert made.survey.questions_locked_at is None


def test_two_clicks_on_a_new_token_leave_one_that_works(clinic):
    user = factories.user(clinic)

    made = at_once(lambda: tokens.regenerate(user))

    assert len([token for token in made if tokens.find(token)]) == 1
    assert ApiToken.objects.filter(user=user, revoked_at=None).count() == 1


# --- callbacks -------------------------------------------------------------------------------------------------------


def test_two_workers_apply_a_callback_once(account, sending):
    """The second passes over what the first holds, and what has been applied since it read it."""
    pk = sending.messages.first().pk
    outbox.mark([pk], account.pk)
    outbox.apply([Change(pk, Status.ACCEPTED, attempt=1, message_id="SM1")])
    body = b"MessageSid=SM1&MessageStatus=delivered&AccountSid=AC1"
    callback = Callback.objects.create(
        account=account, kind="status", method="POST", body=body, url=f"https://surveys.example.com/x?mid={reference(pk)}",
        content_type="application/x-www-form-urlencoded", dedupe_key="k", received_at=timezone.now(),
    )  # fmt: skip
    Distribution.objects.update(launched_at=timezone.now())

    ends_at = time.monotonic() + 60

    def apply():
        return applying._attempt(account, applying._read(account, [callback], ends_at), ends_at)

    assert meanwhile(apply, apply) == ((1, None), (0, None))
    assert apply() == (0, None), "it was read before it was applied"
    assert Message.objects.get(pk=pk).events.count() == 1


# --- one tenant's locks ----------------------------------------------------------------------------------------------


def test_texts_that_somebody_holds_are_passed_over_and_come_when_they_are_free(sending):
    """A cancel of very many holds them for seconds: nobody stands behind it."""
    keys = sorted(sending.messages.values_list("pk", flat=True))

    _held, marked = meanwhile(
        lambda: list(Message.objects.select_for_update().filter(pk__in=keys[:2])),
        lambda: outbox.mark(keys, sending.account_id),
    )

    assert [one.id for one in marked] == keys[2:]
    assert [one.id for one in outbox.mark(keys, sending.account_id)] == keys[:2]
    assert_tally_is_exact(sending)


# --- people -----------------------------------------------------------------------------------------------------------


def press(user, path, **fields):
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return lambda: client.post(path, fields).status_code


def switch_off(user):
    return {"email": user.email, "name": "", "role": user.role, "use_sms_distributions": "inherit"}


@pytest.mark.parametrize("role", ["administrator", "operator"])
@pytest.mark.parametrize("ways", [("delete", "delete"), ("change", "delete"), ("change", "change"), ("many", "delete")])
def test_two_who_remove_each_other_at_once_leave_one_of_them(role, ways, monkeypatch):
    clinic = None if role == "operator" else factories.organization()
    first, second = (factories.user(clinic, role) for _number in range(2))
    forms = {
        "delete": lambda other: (f"/admin/organizations/user/{other.pk}/delete/", {"post": "yes"}),
        "change": lambda other: (f"/admin/organizations/user/{other.pk}/change/", switch_off(other)),
        "many": lambda other: (
            "/admin/organizations/user/",
            {"action": "delete_selected", "_selected_action": other.pk, "post": "yes"},
        ),
    }
    (path, fields), (other_path, other_fields) = forms[ways[0]](second), forms[ways[1]](first)
    one, other = press(first, path, **fields), Second(press(second, other_path, **other_fields))
    ask = admin_forms.wait_for_colleagues

    def meanwhile(user):
        """The other one has asked what may be asked before the first has done anything."""
        ask(user)
        if threading.current_thread() is threading.main_thread():
            other.start()

    monkeypatch.setattr(admin_forms, "wait_for_colleagues", meanwhile)
    monkeypatch.setattr("organizations.admin.wait_for_colleagues", meanwhile)
    one()
    other.end()

    assert User.objects.filter(role=role, is_active=True).count() == 1


@pytest.mark.parametrize("kind", ["usergroup", "usertype", "user", "contact", "contactlist gone"])
def test_who_is_slower_by_a_moment_reads_what_is_taken_or_gone(kind):
    """What was in order when the form was checked is so no more when it is saved."""
    clinic = factories.organization(default_region="GB")
    patients = factories.contact_list(clinic, 1)
    user = factories.administrator(clinic)
    contact = {"contact_list": patients.pk, "phone": "+447700900123", "fields": "{}"}
    person = {"email": "new@example.org", "role": "member", "use_sms_distributions": "inherit"}
    model, fields, path = {
        "usergroup": (UserGroup, {"name": "Night", "use_sms_distributions": "inherit"}, "organizations/usergroup"),
        "usertype": (UserType, {"name": "Night", "use_sms_distributions": "inherit"}, "organizations/usertype"),
        "user": (User, person, "organizations/user"),
        "contact": (Contact, contact, "contacts/contact"),
        "contactlist gone": (Contact, contact, "contacts/contact"),
    }[kind]
    faster = {
        "user": lambda: User.objects.create_user("new@example.org", organization=clinic),
        "contact": lambda: patients.contacts.create(organization=clinic, phone="+447700900123"),
        "contactlist gone": patients.delete,
    }.get(kind, lambda: model.objects.create(organization=clinic, name="Night"))
    work = [Second(faster)]

    def just_before(**_options):
        if work and threading.current_thread() is threading.main_thread():
            second = work.pop()
            second.start()
            second.end()
            assert not isinstance(second.result, Exception), second.result

    client = Client(raise_request_exception=False)
    client.force_login(user)
    pre_save.connect(just_before, sender=model)
    try:
        answer = client.post(f"/admin/{path}/add/", fields)
    finally:
        pre_save.disconnect(just_before, sender=model)

    assert not work
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors


def meanwhile_deleted(row, work):
    """Runs `work` while `row` is deleted by another connection, after it was looked at and before it is relied on."""
    waiting = [Second(row.delete)]

    def just_before(**_options):
        if waiting and threading.current_thread() is threading.main_thread():
            second = waiting.pop()
            second.start()
            second.end()

    pre_save.connect(just_before, sender=Distribution)
    try:
        return work()
    finally:
        pre_save.disconnect(just_before, sender=Distribution)


@pytest.mark.parametrize(
    ("gone", "status", "named"), [("survey", 404, "surveyId"), ("user", 409, "in the same moment")]
)
def test_what_is_deleted_while_a_program_launches_it_is_told(clinic, account, gone, status, named):
    user, survey, patients = (
        factories.administrator(clinic),
        factories.survey(clinic),
        factories.contact_list(clinic, 2),
    )
    client = Client(raise_request_exception=False, headers={"x-api-token": tokens.regenerate(user)})
    body = {
        "surveyId": survey.public_id,
        "name": "Spring",
        "sendDate": timezone.now().isoformat(),
        "method": "Invite",
        "recipients": {"mailingListId": patients.public_id},
        "message": {"messageText": "Hello ${l://SurveyURL}"},
    }
    User.objects.update(use_sms_distributions="enabled")

    def launch():
        return client.post("/API/v3/distributions/sms", body, content_type="application/json")

    answer = meanwhile_deleted({"survey": survey, "user": user}[gone], launch)

    assert answer.status_code == status
    assert named in answer.json()["meta"]["error"]["errorMessage"]
    assert not Distribution.objects.exists()


def test_what_is_deleted_while_a_person_writes_about_it_is_a_page_that_says_so(clinic, account, member):
    survey, patients = factories.survey(clinic), factories.contact_list(clinic, 2)
    client = Client(raise_request_exception=False)
    client.force_login(member)
    written = {
        "name": "Spring",
        "method": "invite",
        "survey": survey.pk,
        "contact_list": patients.pk,
        "message_text": "Hello ${l://SurveyURL}",
        "when": "now",
    }

    answer = meanwhile_deleted(survey, lambda: client.post("/admin/distributions/distribution/add/", written))

    assert not Survey.objects.filter(pk=survey.pk).exists()
    assert answer.status_code == 409
    assert "in the same moment" in answer.content.decode()
    assert not Distribution.objects.exists()

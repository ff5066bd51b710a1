"""What is done a second time changes nothing and is written down once; what is done to many says to how many."""

from __future__ import annotations

import pytest
from django.utils import timezone

from contacts.admin import LET_BACK_IN
from contacts.models import OptOut
from contacts.opt_outs import opt_in, opt_out
from distributions import services as distributing
from distributions.models import Distribution
from extensions import services
from extensions.contract import Delivery, DeliveryReport
from extensions.models import ProviderAccount, TestMessage
from organizations.models import AuditEvent
from tests import factories
from webhooks import quarantine
from webhooks.models import Callback

pytestmark = pytest.mark.django_db


@pytest.fixture
def other():
    """Another organisation: with an account, a distribution and opt-outs that nothing here may touch."""
    made = factories.organization()
    account = factories.account(made)
    factories.distribution(made, recipients=2, account=account, state=Distribution.State.SENDING)
    return made


def rows(organization):
    accounts = ProviderAccount.objects.filter(organization=organization).order_by("pk").values()
    distributions = Distribution.objects.filter(organization=organization).order_by("pk").values()
    return list(accounts), list(distributions), list(OptOut.objects.filter(organization=organization).values())


def grant(clinic, administrator):
    account = factories.account(clinic, granted=False)
    return lambda: services.grant(ProviderAccount.objects.get(pk=account.pk), administrator)


def withdraw(clinic, administrator):
    account = factories.account(clinic)
    return lambda: services.withdraw(ProviderAccount.objects.get(pk=account.pk), administrator)


def delete(clinic, administrator):
    account = factories.account(clinic)
    return lambda: services.delete(ProviderAccount.objects.get(pk=account.pk), administrator)


def let_finish(clinic, administrator):
    account = factories.account(clinic)
    return lambda: services.delete(ProviderAccount.objects.get(pk=account.pk), administrator, rest=services.Rest.FINISH)


def move_to_top(clinic, administrator):
    factories.account(clinic)
    account = factories.account(clinic)
    return lambda: services.move_to_top(ProviderAccount.objects.get(pk=account.pk), administrator)


def under_way(clinic, **fields):
    fields = {"recipients": 2, "account": factories.account(clinic), "state": Distribution.State.SENDING, **fields}
    return factories.distribution(clinic, **fields)


def pause(clinic, administrator):
    made = under_way(clinic)
    return lambda: distributing.pause(Distribution.objects.get(pk=made.pk), administrator)


def resume(clinic, administrator):
    made = under_way(clinic, paused_at=timezone.now())
    return lambda: distributing.resume(Distribution.objects.get(pk=made.pk), administrator)


def cancel(clinic, administrator):
    made = under_way(clinic)
    return lambda: distributing.cancel(Distribution.objects.get(pk=made.pk), administrator)


def launch(clinic, administrator):
    factories.account(clinic)
    made = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    return lambda: distributing.launch(Distribution.objects.get(pk=made.pk), administrator)


ACTS = [grant, withdraw, delete, let_finish, move_to_top, pause, resume, cancel, launch]


@pytest.mark.parametrize("act", ACTS)
def test_a_second_time_changes_nothing_and_is_written_down_once(clinic, other, administrator, act):
    again = act(clinic, administrator)
    before, theirs = rows(clinic), rows(other)

    again()
    once = rows(clinic)
    again()

    assert once != before
    assert rows(clinic) == once
    event = AuditEvent.objects.get(organization=clinic)
    assert (event.actor, event.object_name != "") == (administrator, True)
    assert rows(other) == theirs
    assert not AuditEvent.objects.filter(organization=other).exists()


NOT_RUNNING = [Distribution.State.DRAFT, Distribution.State.FINISHED, Distribution.State.CANCELLED]


@pytest.mark.parametrize("state", NOT_RUNNING)
def test_what_is_not_on_its_way_is_not_paused(clinic, administrator, state):
    made = under_way(clinic, state=state)

    distributing.pause(made, administrator)

    assert Distribution.objects.get(pk=made.pk).paused_at is None
    assert not AuditEvent.objects.exists()


def test_what_is_held_for_a_person_is_not_paused_on_top_of_it(clinic, administrator):
    made = under_way(clinic, state=Distribution.State.SCHEDULED, held_at=timezone.now())

    distributing.pause(made, administrator)

    assert Distribution.objects.get(pk=made.pk).paused_at is None


def test_what_has_finished_is_not_cancelled(clinic, administrator):
    made = under_way(clinic, state=Distribution.State.FINISHED)

    distributing.cancel(made, administrator)

    made.refresh_from_db()
    assert made.state == Distribution.State.FINISHED
    assert set(made.messages.values_list("status", flat=True)) == {"queued"}


# --- many at once ----------------------------------------------------------------------------------------------------


def test_letting_many_back_in_says_how_many_and_touches_nobody_elses(client, clinic, other, administrator):
    phones = [f"+4477009000{number:02d}" for number in range(4)]
    for organization in (clinic, other):
        for phone in phones:
            opt_out(organization, phone, OptOut.Source.KEYWORD)
    opt_in(clinic, phones[3])
    theirs = rows(other)
    client.force_login(administrator)
    chosen = list(OptOut.objects.exclude(phone=phones[2]).values_list("pk", flat=True))  # the other's too

    client.post("/admin/contacts/optout/", {"action": "let_back_in", "_selected_action": chosen})

    still = set(OptOut.objects.active().filter(organization=clinic).values_list("phone", flat=True))
    assert still == {phones[2]}
    assert rows(other) == theirs
    event = AuditEvent.objects.get(action=LET_BACK_IN)
    assert (event.organization, event.actor, event.detail) == (clinic, administrator, {"number": 2})
    assert not AuditEvent.objects.filter(organization=other).exists()


def test_letting_nobody_back_in_is_nothing_to_write_down(client, clinic, administrator):
    opt_out(clinic, "+447700900001", OptOut.Source.KEYWORD)
    opt_in(clinic, "+447700900001")
    client.force_login(administrator)

    row = OptOut.objects.get()
    client.post("/admin/contacts/optout/", {"action": "let_back_in", "_selected_action": [row.pk]})

    assert not AuditEvent.objects.filter(action=LET_BACK_IN).exists()


def test_callbacks_that_are_tried_again_are_counted_for_each_organisation(clinic, other):
    operator = factories.operator()
    accounts = [
        factories.account(clinic, "vonage"),
        factories.account(other, "vonage"),
        factories.account(None, "vonage"),
    ]
    for number, account in enumerate([accounts[0], accounts[0], accounts[1], accounts[2]]):
        Callback.objects.create(
            account=account, kind="status", method="POST", url="x", body=b"", dedupe_key=str(number),
            state=Callback.State.UNREADABLE,
        )  # fmt: skip

    assert quarantine.try_again(Callback.objects.all(), operator) == 4

    told = {event.organization: (event.actor, event.detail) for event in AuditEvent.objects.all()}
    assert told == {clinic: (operator, {"count": 2}), other: (operator, {"count": 1})}


# --- test messages ---------------------------------------------------------------------------------------------------


def a_test(account, reference="t_ours", message_id="SM1", status=Delivery.QUEUED):
    return TestMessage.objects.create(
        account=account, reference=reference, provider_message_id=message_id, to="+4477…", status=status
    )


def status_of(test):
    return TestMessage.objects.get(pk=test.pk).status


@pytest.mark.parametrize("named", [{"reference": "t_ours"}, {"message_id": "SM1"}])
def test_a_report_moves_the_accounts_own_test_message(clinic, other, named):
    mine = a_test(factories.account(clinic))
    theirs = a_test(factories.account(other), "t_theirs")
    fields = {"message_id": "", "status": Delivery.DELIVERED, **named}

    known = services.record_test_reports(mine.account, [DeliveryReport(**fields), DeliveryReport("SM-other")])

    assert known == [True, False]
    assert (status_of(mine), status_of(theirs)) == (Delivery.DELIVERED, Delivery.QUEUED)


def test_a_report_of_another_account_moves_nothing(clinic, other):
    mine = a_test(factories.account(clinic))
    stranger = factories.account(other)

    assert services.record_test_reports(stranger, [DeliveryReport("SM1", "t_ours", Delivery.FAILED)]) == [False]

    assert status_of(mine) == Delivery.QUEUED


@pytest.mark.parametrize(
    ("was", "said", "becomes"),
    [
        (Delivery.UNKNOWN, Delivery.SENT, Delivery.SENT),
        (Delivery.QUEUED, Delivery.DELIVERED, Delivery.DELIVERED),
        (Delivery.SENT, Delivery.FAILED, Delivery.FAILED),
        (Delivery.DELIVERED, Delivery.FAILED, Delivery.DELIVERED),
        (Delivery.FAILED, Delivery.SENT, Delivery.FAILED),
        (Delivery.SENT, Delivery.UNKNOWN, Delivery.SENT),
        (Delivery.SENT, Delivery.QUEUED, Delivery.SENT),
    ],
)
def test_a_later_word_never_takes_back_an_earlier_final_one(clinic, was, said, becomes):
    test = a_test(factories.account(clinic), status=was)

    report = DeliveryReport("", "t_ours", said, error="why " + "x" * 300)
    assert services.record_test_reports(test.account, [report]) == [True]

    found = TestMessage.objects.get()
    assert found.status == becomes
    assert len(found.detail) == (0 if was == becomes else 255)

"""A reply belongs to the number it was written to: whose it is, which account carries it on, and that it counts once.

Two organisations are in each test, and what the other can see is looked at afterwards.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import NamedTuple

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts.models import Contact, OptOut
from contacts.opt_outs import opt_out
from distributions.engine import outbox
from distributions.models import Conversation, Distribution, InboundMessage, InboundPart, Message
from distributions.replies import inbound
from distributions.states import Status
from extensions import registry, senders
from extensions.contract import InboundSms
from extensions.models import ProviderAccount
from surveys.models import Answer
from tests import factories, provider_cases
from webhooks import applying, inbox
from webhooks.models import Callback

pytestmark = pytest.mark.django_db
PHONE = "+447700900123"
_ids = count(1)


@pytest.fixture(autouse=True)
def fresh_cache(settings):
    settings.PUBLIC_URL = provider_cases.PUBLIC_URL
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()


@pytest.fixture
def clinic():
    return factories.organization(public_id=provider_cases.ORGANIZATION, language="en")


@pytest.fixture
def stranger():
    return factories.organization(language="en")


def texted(organization, account, phone=PHONE, *, minutes_ago=60, **fields):
    """A text that left for this person through the account, that long ago."""
    made = factories.distribution(
        organization,
        recipients=1,
        contact_list=factories.contact_list(organization, phones=[phone]),
        account=account,
        state=Distribution.State.FINISHED,
        launched_at=timezone.now(),
    )
    left = timezone.now() - timedelta(minutes=minutes_ago)
    fields = {"status": Status.ACCEPTED, "attempt": 1, "attempted_at": left, "provider_message_id": "x", **fields}
    made.messages.update(**fields)
    return made.messages.get()


def asked(organization, account, phone=PHONE, *, minutes_ago=60):
    """A survey by text whose first question left that long ago."""
    made = factories.interactive(
        organization, account, contact_list=factories.contact_list(organization, phones=[phone])
    )
    made.messages.update(attempted_at=timezone.now() - timedelta(minutes=minutes_ago))
    return made


def write(account, called, recipient, text="9", *, phone=PHONE, message_id="", **fields):
    """The person writes to `recipient`; `account` has verified it at the address of `called`."""
    sms = InboundSms(message_id or f"id-{next(_ids)}", phone, recipient, text, **fields)
    return inbound.apply_inbound(account, called, sms)


def delete(account):
    ProviderAccount.objects.filter(pk=account.pk).update(deleted_at=timezone.now())
    account.refresh_from_db()
    inbox.forget_accounts()


def assert_learns_nothing(organization):
    """No reply, no part, no opt-out, no answer: nothing that says that the person wrote."""
    for model in (InboundMessage, InboundPart, OptOut, Conversation):
        assert not model.objects.filter(organization=organization).exists(), model
    assert not Answer.objects.filter(response__organization=organization).exists()
    assert not Contact.objects.filter(organization=organization, opted_out_at__isnull=False).exists()


# --- through the door, for every provider -----------------------------------------------------------------------------


class Arrival(NamedTuple):
    """A reply as the provider delivers it, signed."""

    provider: str
    request: object
    now: object
    sms: InboundSms
    credentials: dict

    def at(self, **fields):
        return {"sender": self.sms.recipient.removeprefix("+"), "credentials": self.credentials, **fields}

    def deliver(self, *, organization=provider_cases.ORGANIZATION):
        slug = registry.get(self.provider).slug
        kept = inbox.keep(organization, slug, "message", self.request, now=self.now)
        while applying.apply_due():
            pass
        return kept


def arrivals():
    for key, data in provider_cases.all_data().items():
        if "message" not in registry.get(key).calls():
            continue
        found = [case for _heading, case in provider_cases.cases(data, "inbound") if case.get("verified")]
        case = next(case for case in found if len(case["result"]) == 1 and "concat_total" not in case["result"][0])
        provider = provider_cases.provider_of(data, case)
        request = provider_cases.callback_of(data, case, "message")
        (sms,) = provider.parse_inbound(request)
        now = case.get("now", data.get("now", provider_cases.NOW))
        yield Arrival(data["key"], request, now, sms, provider.credentials)


ARRIVALS = list(arrivals())
every_provider = pytest.mark.parametrize("arrival", ARRIVALS, ids=lambda arrival: arrival.provider)


def test_each_provider_delivers_a_reply_here():
    receiving = {provider.key for provider in registry.all() if "message" in provider.calls()}

    assert {arrival.provider for arrival in ARRIVALS} == receiving


@every_provider
def test_numbers_are_e164_from_the_moment_they_leave_the_provider(arrival):
    assert senders.is_number(arrival.sms.sender)
    assert senders.is_number(arrival.sms.recipient) or len(arrival.sms.recipient) <= 6, "a number or a short code"


@every_provider
@pytest.mark.parametrize("granted", [False, True])
def test_a_second_account_with_the_same_credentials_takes_no_replies_over(clinic, stranger, arrival, granted):
    first = factories.account(clinic, arrival.provider, **arrival.at())
    second = factories.account(clinic, arrival.provider, granted=granted, **arrival.at(sender="12025550199"))
    texted(
        stranger, factories.account(stranger, arrival.provider, sender="12025550177"), arrival.sms.sender, minutes_ago=1
    )
    message = texted(clinic, first, arrival.sms.sender)

    arrival.deliver()

    kept = InboundMessage.objects.get()
    assert (kept.account, kept.message, kept.recipient) == (first, message, arrival.sms.recipient)
    assert kept.account != second
    assert_learns_nothing(stranger)


@every_provider
def test_an_account_that_is_not_in_use_carries_nothing_on(clinic, arrival):
    """Two accounts with one number: the one in use goes before one never granted and before the deleted one."""
    deleted = factories.account(clinic, arrival.provider, **arrival.at())
    delete(deleted)
    ungranted = factories.account(clinic, arrival.provider, granted=False, **arrival.at())
    assert ungranted.pk > deleted.pk

    survey = asked(clinic, deleted, arrival.sms.sender)
    arrival.deliver()
    assert InboundMessage.objects.get().account == deleted, "what was never granted carries no traffic"
    assert not Message.objects.filter(conversation__isnull=False, account=ungranted).exists()
    assert Conversation.objects.get().distribution == survey


@every_provider
def test_after_a_change_of_number_who_answers_the_old_one_still_answers_the_survey(clinic, stranger, arrival):
    before = factories.account(clinic, arrival.provider, **arrival.at())
    survey = asked(clinic, before, arrival.sms.sender)
    factories.account(clinic, arrival.provider, **arrival.at(sender="12025550199", replaces=before))
    delete(before)

    arrival.deliver()

    assert InboundMessage.objects.get().message == survey.messages.get(conversation=None)
    assert Conversation.objects.get().distribution == survey
    assert_learns_nothing(stranger)


@pytest.mark.parametrize("gone", [{"ended_at": timezone.now()}, {"deleted_at": timezone.now() - timedelta(days=400)}])
def test_a_number_outlives_the_secrets_of_its_account(clinic, gone):
    """The successor proves the call; the old number still says which survey is meant."""
    before = factories.account(clinic, sender="447700900000")
    survey = asked(clinic, before)
    renewed = {**factories.CREDENTIALS["twilio"], "auth_token": "e" * 32}
    after = factories.account(clinic, sender="447700900111", credentials=renewed, replaces=before)
    ProviderAccount.objects.filter(pk=before.pk).update(**{"deleted_at": timezone.now(), **gone})

    kept = write(after, clinic, "+447700900000")

    assert (kept.account, kept.message) == (before, survey.messages.get(conversation=None))


@every_provider
def test_a_repetition_across_a_replacement_counts_once(clinic, arrival):
    before = factories.account(clinic, arrival.provider, **arrival.at())
    asked(clinic, before, arrival.sms.sender)
    arrival.deliver()
    factories.account(clinic, arrival.provider, **arrival.at(replaces=before))
    delete(before)

    arrival.deliver()
    assert Callback.objects.count() == InboundMessage.objects.count() == 1
    Callback.objects.all().delete()
    arrival.deliver()

    assert InboundMessage.objects.count() == 1, "though its first callback is forgotten"


@every_provider
def test_on_the_installations_number_the_reply_goes_to_who_texted_and_not_to_the_address(clinic, stranger, arrival):
    """`clinic` is named in the address that was called; it was `stranger` that texted."""
    default = factories.account(None, arrival.provider, **arrival.at())
    message = texted(stranger, default, arrival.sms.sender)

    arrival.deliver()

    kept = InboundMessage.objects.get()
    assert (kept.organization, kept.account, kept.message) == (stranger, default, message)
    assert_learns_nothing(clinic)


@every_provider
def test_nobody_learns_of_a_text_to_the_installations_number_from_somebody_nobody_texted(clinic, stranger, arrival):
    default = factories.account(None, arrival.provider, **arrival.at())
    texted(stranger, default, "+447700900999")

    arrival.deliver()

    assert Callback.objects.get().state == Callback.State.APPLIED
    assert_learns_nothing(clinic)
    assert_learns_nothing(stranger)


# --- a shared line ----------------------------------------------------------------------------------------------------


@pytest.fixture
def default():
    return factories.account(None, sender="447700900000")


def opted_out():
    return set(OptOut.objects.active().values_list("organization", flat=True))


def test_a_stop_on_a_shared_number_counts_for_everybody_who_texted_on_it_and_nobody_else(clinic, stranger, default):
    third = factories.organization()
    own = factories.account(third, sender="447700900111")
    texted(third, own)
    texted(clinic, default, minutes_ago=50)
    texted(stranger, default, minutes_ago=5)

    write(default, third, "+447700900000", "STOP")

    assert opted_out() == {clinic.pk, stranger.pk}
    assert InboundMessage.objects.get().organization == stranger
    assert_learns_nothing(third)
    assert not OptOut.objects.filter(organization=clinic, evidence__contains="inbound").exists(), "it has no such text"


def test_a_start_on_a_shared_number_takes_back_what_the_stop_on_it_did_and_no_more(clinic, stranger, default):
    texted(clinic, default, minutes_ago=50)
    texted(stranger, default, minutes_ago=5)
    third = factories.organization()
    texted(third, default, minutes_ago=70)
    opt_out(third, PHONE, OptOut.Source.LINK)
    write(default, clinic, "+447700900000", "STOP")
    assert opted_out() == {clinic.pk, stranger.pk, third.pk}

    write(default, clinic, "+447700900000", "START")

    assert opted_out() == {third.pk}, "who opted out by a link said no to this organisation alone"


def test_each_organisation_reads_a_text_with_its_own_stop_words(clinic, stranger, default):
    type(clinic).objects.filter(pk=clinic.pk).update(stop_words="basta")
    texted(clinic, default, minutes_ago=50)
    texted(stranger, default, minutes_ago=5)

    write(default, stranger, "+447700900000", "Basta")

    assert opted_out() == {clinic.pk}


@pytest.mark.parametrize(
    "never",
    [
        {"status": Status.QUEUED, "attempt": 0},
        {"status": Status.SKIPPED},
        {"status": Status.CANCELLED},
        {"status": Status.FAILED, "provider_message_id": ""},
    ],
)
def test_a_text_that_never_left_wins_nobody_anybodys_reply(clinic, stranger, default, never):
    texted(clinic, default, minutes_ago=60)
    texted(stranger, default, minutes_ago=1, **never)

    write(default, stranger, "+447700900000", "STOP")

    assert InboundMessage.objects.get().organization == clinic
    assert_learns_nothing(stranger)


def test_a_text_that_left_after_the_reply_had_come_wins_nothing(clinic, stranger, default):
    texted(clinic, default, minutes_ago=60)
    texted(stranger, default, minutes_ago=1)
    sms = InboundSms("late", PHONE, "+447700900000", "Hello")

    kept = inbound.apply_inbound(default, stranger, sms, received_at=timezone.now() - timedelta(minutes=10))

    assert kept.organization == clinic


def test_one_number_in_two_organisations_accounts_is_a_shared_line(clinic, stranger):
    mine = factories.account(clinic, sender="447700900000")
    theirs = factories.account(stranger, sender="+447700900000")
    texted(stranger, theirs, minutes_ago=60)
    survey = asked(clinic, mine, minutes_ago=5)

    kept = write(theirs, stranger, "+447700900000", "9")

    assert (kept.organization, kept.account) == (clinic, mine)
    assert Conversation.objects.get().distribution == survey
    assert_learns_nothing(stranger)


def test_a_number_with_other_credentials_gains_nothing(clinic, stranger):
    """An organisation that merely claims another's number, and its account's id, is no owner of it."""
    mine = factories.account(clinic, sender="447700900000")
    claimed = {**factories.CREDENTIALS["twilio"], "auth_token": "f" * 32}
    texted(stranger, factories.account(stranger, sender="447700900000", credentials=claimed), minutes_ago=1)

    kept = write(mine, clinic, "+447700900000", "STOP")

    assert kept.organization == clinic
    assert opted_out() == {clinic.pk}
    assert_learns_nothing(stranger)


def test_somebody_who_was_never_texted_reaches_the_one_organisation_whose_number_it_is(clinic, stranger, default):
    own = factories.account(clinic, sender="447700900111")

    kept = write(own, clinic, "+447700900111", "STOP")

    assert kept.organization == clinic
    assert opted_out() == {clinic.pk}
    assert_learns_nothing(stranger)


def test_the_parts_of_one_text_go_where_the_whole_goes(clinic, stranger, default):
    texted(clinic, default)
    for number, text in enumerate(["Very ", "good"], 1):
        write(default, stranger, "447700900000", text, concat_ref="7", concat_part=number, concat_total=2)
        assert_learns_nothing(stranger)

    assert InboundMessage.objects.get().text == "Very good"
    assert InboundMessage.objects.get().organization == clinic


def test_parts_that_come_before_and_after_a_replacement_are_one_text(clinic):
    before = factories.account(clinic, sender="447700900000")
    write(before, clinic, "447700900000", "Very ", message_id="p1", concat_ref="7", concat_part=1, concat_total=2)
    after = factories.account(clinic, sender="447700900000", replaces=before)
    delete(before)

    for message_id, text in (("p1", "Very "), ("p2", "good")):
        write(
            after,
            clinic,
            "+447700900000",
            text,
            message_id=message_id,
            concat_ref="7",
            concat_part=int(message_id[1]),
            concat_total=2,
        )

    assert [kept.text for kept in InboundMessage.objects.all()] == ["Very good"]


# --- no account has the number ----------------------------------------------------------------------------------------


def test_of_a_service_that_picks_its_numbers_the_account_that_last_texted_has_the_reply(clinic, stranger):
    first = factories.account(clinic, sender="MG" + "1" * 32, sender_kind="service")
    second = factories.account(clinic, sender="MG" + "2" * 32, sender_kind="service", granted=False)
    third = factories.account(clinic, sender="MG" + "3" * 32, sender_kind="service")
    texted(clinic, third, minutes_ago=90)
    survey = asked(clinic, first, minutes_ago=5)

    kept = write(second, clinic, "+12025550111", "9")

    assert kept.account == first
    assert Conversation.objects.get().distribution == survey
    assert_learns_nothing(stranger)


# --- what counts once -------------------------------------------------------------------------------------------------


def test_one_id_of_two_provider_accounts_is_two_texts(clinic, stranger):
    other = {"account_sid": f"AC{'5' * 32}", "auth_token": "5" * 32}
    one = factories.account(clinic, sender="447700900000")
    two = factories.account(clinic, sender="447700900111", credentials=other)
    theirs = factories.account(stranger, sender="447700900222", credentials=other)
    for account in (one, two, theirs):
        write(account, account.organization, f"+{account.sender}", message_id="same")

    assert InboundMessage.objects.filter(organization=clinic).count() == 2
    assert InboundMessage.objects.filter(organization=stranger).count() == 1


def test_a_stop_that_is_repeated_after_the_secret_was_renewed_is_one_opt_out(clinic):
    before = factories.account(clinic, sender="447700900000")
    write(before, clinic, "+447700900000", "STOP", message_id="same")
    write(before, clinic, "+447700900000", "START", message_id="later")
    renewed = {**factories.CREDENTIALS["twilio"], "auth_token": "e" * 32}
    after = factories.account(clinic, sender="447700900000", credentials=renewed, replaces=before)
    delete(before)

    assert write(after, clinic, "+447700900000", "STOP", message_id="same") is None
    assert not opted_out()


# --- who writes is nobody ---------------------------------------------------------------------------------------------

NOBODY = [
    "",
    " ",
    "whatsapp:+447700900123",
    "whatsapp:447700900123",
    "+44770090012345678",
    "1" * 16,
    "9" * 300,
    "CityClinic",
    "My Clinic",
    "+44 7700 900123 ext 4",
    "60300",
    "+",
    "٤٤٧٧٠٠٩٠٠١٢٣",
    "+²³",
    "tel:+447700900123",
    "messenger:1234567890",
    "+0447700900123",
]


@pytest.mark.parametrize("phone", NOBODY)
@pytest.mark.parametrize("text", ["STOP", "START", "HELP", "9"])
@pytest.mark.parametrize("through", ["own", "default"])
def test_a_sender_that_is_no_number_is_nobody(clinic, stranger, default, phone, text, through):
    """A text by WhatsApp is no answer to an SMS: it is kept as it came and opts nobody out."""
    people = factories.contact_list(clinic, phones=["", "", PHONE])
    texted(stranger, default)
    account = factories.account(clinic, sender="447700900111") if through == "own" else default

    kept = write(account, clinic, f"+{account.sender}", text, phone=phone)

    assert not OptOut.objects.exists()
    assert not people.contacts.filter(opted_out_at__isnull=False).exists()
    assert (kept is None) == (through == "default")
    if kept is not None:
        assert (kept.contact, kept.message, kept.sender) == (None, None, InboundSms("", phone, "", "").sender.strip())
    assert_learns_nothing(stranger)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(phone=st.text(max_size=60) | st.from_regex(r"\A\+?[0-9]{0,20}\Z"), text=st.sampled_from(["STOP", "Yes", "9"]))
def test_whatever_a_text_comes_from_it_is_kept_and_stops_its_sender_alone(clinic, phone, text):
    Contact.objects.all().delete()
    InboundMessage.objects.all().delete()
    OptOut.objects.all().delete()
    account = ProviderAccount.objects.first() or factories.account(clinic, sender="447700900111")
    factories.contact_list(clinic, phones=["", PHONE])

    kept = write(account, clinic, "+447700900111", text, phone=phone)

    stopped = set(OptOut.objects.values_list("phone", flat=True))
    assert kept is not None
    assert all(senders.is_number(number) and number[1:] == phone.strip().removeprefix("+") for number in stopped)
    assert Contact.objects.filter(opted_out_at__isnull=False).count() <= len(stopped)


# --- every combination ------------------------------------------------------------------------------------------------

TWO_SECRETS = [factories.CREDENTIALS["twilio"], {"account_sid": f"AC{'7' * 32}", "auth_token": "7" * 32}]
LINES = ["447700900000", "447700900111"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_over_any_accounts_and_texts_a_reply_reaches_whoever_may_have_it_and_nobody_else(clinic, stranger, data):
    """A model on paper: the same credentials and the same number are one line; the last to have texted on it has it."""
    for model in (InboundMessage, OptOut, Conversation, Message, Distribution, ProviderAccount):
        model.objects.all().delete()
    owners = [clinic, stranger, None]
    accounts = [
        factories.account(owner, sender=LINES[line], credentials=TWO_SECRETS[secret], granted=granted)
        for owner, line, secret, granted in data.draw(
            st.lists(
                st.tuples(st.sampled_from(owners), st.integers(0, 1), st.integers(0, 1), st.booleans()),
                min_size=1,
                max_size=5,
            )
        )
    ]
    texts = []
    for minutes, index in enumerate(data.draw(st.lists(st.integers(0, len(accounts) - 1), max_size=4)), 1):
        account = accounts[index]
        sender = account.organization or data.draw(st.sampled_from([clinic, stranger]))
        texted(sender, account, minutes_ago=minutes)
        texts.append((sender, account))
    verified = data.draw(st.sampled_from(accounts))
    called = verified.organization or data.draw(st.sampled_from([clinic, stranger]))
    recipient = data.draw(st.sampled_from(LINES))

    kept = write(verified, called, f"+{recipient}", "STOP")

    secret = verified.secrets()
    holders = [one for one in accounts if one.secrets() == secret and one.sender == recipient]
    holders = holders or [
        one for one in accounts if one.secrets() == secret and one.organization == verified.organization
    ]
    on_line = [sender for sender, account in texts if account in holders]
    owning = {one.organization for one in holders} - {None}
    if on_line and (len({one.organization for one in holders}) > 1 or not owning):
        assert kept.organization == on_line[0]
        assert opted_out() == {one.pk for one in on_line}
    elif len(owning) == 1:
        assert {kept.organization} == owning
        assert opted_out() == {kept.organization.pk}
    elif called in owning:
        assert kept.organization == called
    else:
        assert kept is None
        assert opted_out() == set()
    if kept is not None:
        assert kept.account in holders
        for other in {clinic, stranger} - {kept.organization}:
            assert not InboundMessage.objects.filter(organization=other).exists()


# --- at three million messages ----------------------------------------------------------------------------------------


@pytest.mark.postgresql
def test_the_look_ups_are_by_index_and_writing_costs_none(clinic, default):
    own = factories.account(clinic, sender="447700900111")
    made = texted(clinic, own).distribution
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO distributions_message (organization_id, distribution_id, account_id, "to", text, segments,
                status, reason, error, attempt, attempted_at, provider_message_id)
            SELECT %s, %s, %s, '+4478' || lpad((n / 3)::text, 8, '0'), 'Hello', 1, 'queued', '', '', 0, NULL, ''
            FROM generate_series(1, 60000) n
            """,
            [clinic.pk, made.pk, own.pk],
        )
        cursor.execute("ANALYZE distributions_message")

        found = []

        def explain(execute, sql, params, many, context):
            if sql.startswith("SELECT") and "distributions_message" in sql and "FOR UPDATE" not in sql:
                execute(f"EXPLAIN {sql}", params, many, context)
                found.append("\n".join(row[0] for row in context["cursor"].fetchall()))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(explain):
            for account in (own, default):
                write(account, clinic, f"+{account.sender}", "9", phone="+447800000077")

        assert len(found) >= 3
        for plan in found:
            assert "Seq Scan on distributions_message" not in plan, plan
        assert any("messages_by_number" in plan for plan in found)


@pytest.mark.postgresql
def test_a_message_is_updated_in_place_all_its_life(clinic):
    """No index is on anything that changes: each of its states is a heap-only update."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE distributions_message CASCADE")  # pages without what other tests have left there
    account = factories.account(clinic)
    made = factories.distribution(clinic, recipients=10, account=account, state=Distribution.State.SENDING)
    ids = list(made.messages.values_list("pk", flat=True))

    outbox.mark(ids, account.pk)
    outbox.apply([outbox.Change(id=pk, to=Status.ACCEPTED, message_id=f"x{pk}", attempt=1) for pk in ids])
    outbox.apply([outbox.Change(id=pk, to=Status.DELIVERED) for pk in ids])

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'distributions_message'"
        )
        updated, in_place = cursor.fetchone()
    assert updated >= 30
    assert in_place == updated


def test_a_mexican_number_is_the_same_with_the_1_that_carriers_used_to_write(clinic, stranger):
    """“STOP” from +52 1 55 … is of the person who was texted at +52 55 …; no list has the former spelling."""
    account = factories.account(clinic)
    texted(clinic, account, "+525512345678")

    write(account, clinic, account.sender, "STOP", phone="5215512345678")

    assert OptOut.objects.get().phone == "+525512345678"
    assert not Contact.objects.filter(phone="+525512345678", opted_out_at=None).exists()
    assert InboundMessage.objects.get().message is not None
    assert_learns_nothing(stranger)

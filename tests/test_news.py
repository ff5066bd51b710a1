"""Who is told what by e-mail: once, in their language, never lost by a kill, and nobody waits for a mail server."""

from __future__ import annotations

import email
import email.policy
import os
import signal
import smtplib
import time
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from django.core import mail as django_mail
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from contacts.models import OptOut
from distributions.models import Distribution, Doubt
from extensions import health as extension_health
from extensions.models import AccountState
from organizations import steps
from organizations.models import User
from tests import factories
from tests.processes import Beat, Web, Worker, free_port
from tests.test_watching import QUEUES, until
from watching import facts, health, mails, tasks, wording
from watching.models import Fact, Kind, Mail, OnHomePageOnly

State = Distribution.State


@pytest.fixture(autouse=True)
def _well(monkeypatch, settings):
    """The installation itself is well; mails are sent."""
    monkeypatch.setattr(health, "checks", lambda: [])
    settings.EMAIL_URL = "smtp://localhost:25"
    settings.PUBLIC_URL = "https://surveys.example.com"


def watch():
    """As the task does it, and again after the time in which something must last."""
    tasks.watch()
    Fact.objects.filter(told_at=None).update(began_at=timezone.now() - timedelta(minutes=1))
    tasks.watch()


def stopped(account):
    extension_health.stop(account, "auth_failed: wrong token of +447700900123")


def stuck(account):
    return factories.distribution(
        account.organization,
        account=account,
        state=State.SCHEDULED,
        name="Spring",
        problem="No account is in use.",
        send_at=timezone.now() + timedelta(days=1),
    )


def silent(account):
    """A distribution that ended hours ago, and of which the provider has reported nothing."""
    made = factories.distribution(account.organization, account=account, state=State.FINISHED, recipients=2)
    ended = timezone.now() - timedelta(hours=3)
    Distribution.objects.filter(pk=made.pk).update(launched_at=ended - timedelta(minutes=5), finished_at=ended)
    made.tally.accepted = 2
    made.tally.save()
    return made


def doubtful(account):
    return Doubt.objects.create(
        organization=account.organization,
        account=account,
        line=account.sender,
        phone="+447700900123",
        created_at=timezone.now() - facts.PATIENCE - timedelta(minutes=1),
    )


def unreadable(account):
    """A pump has met an account that no key opens."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE extensions_provideraccount SET credentials = %s WHERE id = %s", [b"gAAAA", account.pk])
    extension_health.trip(account, timezone.now() + timedelta(minutes=1))


def unlicensed(account):
    account.organization.licence.sms = False
    account.organization.licence.save()


CASES = {
    Kind.ACCOUNT_STOPPED: (stopped, "has stopped your account", "/admin/extensions/account/"),
    Kind.DISTRIBUTION_PROBLEM: (
        stuck,
        "“Spring” is stuck or cannot start: No account is in use.",
        "/admin/distributions/",
    ),
    Kind.CALLBACKS_AWAY: (silent, "has sent no delivery reports since", "/admin/extensions/twilio/"),
    Kind.DOUBTS_WAIT: (doubtful, "waiting for your decision", "/admin/distributions/doubt/"),
    Kind.UNREADABLE: (unreadable, "its stored credentials cannot be read", "/admin/extensions/account/"),
    Kind.LICENCE_ENDED: (unlicensed, "licence for SMS has ended", "/admin/organisation/"),
}


# --- what administrators are told -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CASES)
def test_administrators_are_told_once_with_a_link_and_without_numbers(account, administrator, member, mailoutbox, kind):
    happen, said, link = CASES[kind]
    happen(account)
    factories.administrator(factories.organization())  # of somebody else
    operator = User.objects.create_superuser("operator@example.org", "x")

    for _ in range(3):
        watch()

    [told] = mailoutbox
    assert told.to == [administrator.email]
    assert operator.email not in told.to
    assert said in told.body.replace("\n", " ")
    assert f"https://surveys.example.com{link}" in told.body
    assert "https://surveys.example.com/admin/profile/notices/" in told.body
    assert told.extra_headers["Message-ID"]
    for number in ("447700900123", account.sender.lstrip("+")):
        assert number not in told.body + told.subject


@pytest.mark.parametrize("kind", CASES)
def test_the_link_leads_to_a_page_that_administrators_may_open(account, administrator, kind):
    CASES[kind][0](account)
    facts.look()
    client = Client()
    client.force_login(administrator)

    assert client.get(wording.path(Fact.objects.get())).status_code == 200


@pytest.mark.parametrize("kind", CASES)
def test_the_mail_is_in_its_reader_s_language(account, administrator, mailoutbox, kind):
    administrator.language = "de"
    administrator.save()
    CASES[kind][0](account)
    watch()

    [told] = mailoutbox
    assert "Sie erhalten diese E-Mail" in told.body
    assert CASES[kind][1] not in told.body.replace("\n", " ")


def test_without_a_language_of_their_own_they_read_the_organisation_s(account, administrator, mailoutbox):
    account.organization.language = "de"
    account.organization.save()
    stopped(account)
    watch()

    assert "Sie erhalten diese E-Mail" in mailoutbox[0].body


def test_what_is_over_before_it_is_told_is_told_to_nobody(account, administrator, mailoutbox):
    stopped(account)
    tasks.watch()
    extension_health.resume(account)
    watch()

    assert mailoutbox == []
    assert Fact.objects.get().ended_at is not None


def test_what_happens_again_is_told_again(account, administrator, mailoutbox):
    stopped(account)
    watch()
    extension_health.resume(account)
    watch()
    stopped(account)
    AccountState.objects.update(stopped_at=timezone.now() + timedelta(seconds=5))
    watch()

    assert len(mailoutbox) == 2
    assert set(Mail.objects.values_list("tries", flat=True)) == {1}, "what was sent is not touched again"


def test_a_problem_that_comes_back_is_told_again(account, administrator, mailoutbox):
    made = stuck(account)
    for problem in ("No account is in use.", "", "No account is in use."):
        Distribution.objects.filter(pk=made.pk).update(problem=problem)
        watch()

    assert len(mailoutbox) == 2


def test_a_healthy_organisation_hears_nothing(account, administrator, mailoutbox):
    made = silent(account)
    AccountState.objects.filter(pk=account.pk).update(reports_seen_at=made.launched_at or timezone.now())
    Distribution.objects.filter(pk=made.pk).update(launched_at=timezone.now() - timedelta(hours=4))
    doubt = doubtful(account)
    OptOut.objects.create(organization=account.organization, phone=doubt.phone, source=OptOut.Source.KEYWORD)
    factories.distribution(account.organization, account=account, state=State.SENDING)
    watch()

    assert mailoutbox == []


def test_whose_provider_reports_hears_nothing_of_the_silence_of_another_s(account, administrator, mailoutbox):
    elsewhere = factories.account(factories.organization())
    factories.administrator(elsewhere.organization)
    silent(account)
    reported = silent(elsewhere)
    AccountState.objects.filter(pk=elsewhere.pk).update(reports_seen_at=reported.launched_at or timezone.now())
    Distribution.objects.filter(pk=reported.pk).update(launched_at=timezone.now() - timedelta(hours=4))
    watch()

    assert [told.to for told in mailoutbox] == [[administrator.email]]


def test_a_plan_that_somebody_is_changing_is_no_news(account, administrator, mailoutbox):
    changed = stuck(account)
    Distribution.objects.filter(pk=changed.pk).update(problem="", edited_at=timezone.now())
    watch()

    assert mailoutbox == []


# --- what operators are told ------------------------------------------------------------------------------------------


def test_operators_are_told_that_the_installation_is_ill_and_administrators_are_not(
    db, administrator, mailoutbox, monkeypatch
):
    User.objects.create_superuser("operator@example.org", "x")
    ill = health.Check("queue.send", "sender@host, process 7, has been silent for 20 s.")
    monkeypatch.setattr(health, "checks", lambda: [health.Check("database"), ill])
    watch()
    watch()

    [told] = mailoutbox
    assert told.to == ["operator@example.org"]
    assert "queue.send" in told.body
    assert "has been silent for 20 s" in told.body
    assert "https://surveys.example.com/admin/\n" in told.body


def test_what_comes_and_goes_within_minutes_is_told_once(db, mailoutbox, monkeypatch):
    User.objects.create_superuser("operator@example.org", "x")
    ill = [health.Check("sending", "An account has had texts due for 70 s, and none is sent.")]
    for found in (ill, [], ill, [], ill):
        monkeypatch.setattr(health, "checks", lambda found=found: found)
        watch()

    assert len(mailoutbox) == 1


def test_what_goes_on_lasts_and_what_was_well_for_ten_minutes_is_over(db, monkeypatch, caplog):
    ill = [health.Check("sending", "An account has had texts due for 70 s, and none is sent.")]

    def minutes_later(found):
        Fact.objects.update(seen_at=timezone.now() - facts.OVER_AFTER[Kind.HEALTH] - timedelta(minutes=1))
        monkeypatch.setattr(health, "checks", lambda: found)
        facts.look()

    for _ in range(3):
        minutes_later(ill)
    lasting = Fact.objects.get()
    assert lasting.ended_at is None
    assert lasting.seen_at > timezone.now() - timedelta(minutes=1)
    assert caplog.text.count("It begins") == 1

    minutes_later([])
    assert Fact.objects.get().ended_at is not None


def test_the_stop_of_the_installation_s_own_account_is_the_operators_matter(administrator, mailoutbox):
    User.objects.create_superuser("operator@example.org", "x")
    own = factories.account(None)
    stopped(own)
    watch()

    assert [told.to for told in mailoutbox] == [["operator@example.org"]]
    assert "installation's own account" in mailoutbox[0].body


# --- each person chooses ----------------------------------------------------------------------------------------------


@pytest.fixture
def page(administrator):
    client = Client()
    client.force_login(administrator)
    return client


def choice(user, **ways):
    return {kind.value: ways.get(kind.value, "mail") for kind in wording.kinds_of(user)}


def test_each_person_chooses_per_kind(account, administrator, mailoutbox, page):
    other = factories.user(account.organization, role=User.Role.ADMINISTRATOR, email="other@example.org")
    saved = page.post(reverse("admin:notices"), choice(administrator, account_stopped="home"))
    assert saved.status_code == 302
    stopped(account)
    stuck(account)
    watch()

    assert sorted((told.to[0], "stopped" in told.subject) for told in mailoutbox) == sorted(
        [(other.email, True), (other.email, False), (administrator.email, False)]
    )
    assert 'value="home"' in page.get(reverse("admin:notices")).content.decode()
    page.post(reverse("admin:notices"), choice(administrator))
    assert not OnHomePageOnly.objects.exists()


@pytest.mark.parametrize("sent", [{"account_stopped": "pigeon"}, {"account_stopped": ["mail", "x"]}])
def test_a_choice_that_does_not_exist_changes_nothing(administrator, page, sent):
    answer = page.post(reverse("admin:notices"), sent)

    assert answer.status_code == 200
    assert not OnHomePageOnly.objects.exists()


def test_operators_choose_theirs_and_members_have_none(db, clinic, member):
    operator = User.objects.create_superuser("operator@example.org", "x")
    client = Client()
    client.force_login(operator)
    told = client.get(reverse("admin:notices")).content.decode()
    assert "The installation is not working" in told
    assert "Replies that may be opt-outs" not in told
    client.force_login(member)
    assert client.get(reverse("admin:notices")).status_code == 403
    assert "E-mail notices" not in client.get(reverse("admin:profile")).content.decode()


@pytest.mark.parametrize("role", ["administrator", "operator"])
def test_without_a_mail_server_nothing_breaks_and_the_page_says_so(account, administrator, mailoutbox, settings, role):
    settings.EMAIL_URL = ""
    user = administrator if role == "administrator" else User.objects.create_superuser("operator@example.org", "x")
    client = Client()
    client.force_login(user)
    stopped(account)
    watch()

    assert mailoutbox == []
    assert not Mail.objects.exists()
    told = client.get(reverse("admin:notices")).content.decode()
    assert "does not send e-mail yet" in told
    assert ("EMAIL_URL" in told) == (role == "operator")

    settings.EMAIL_URL = "smtp://localhost:25"  # once there is one, what still is so is told
    watch()
    assert [told.to for told in mailoutbox] == [[administrator.email]]


def test_what_stands_nowhere_else_is_on_the_home_page(account, administrator, page, monkeypatch):
    silent(account)
    operator = User.objects.create_superuser("operator@example.org", "x")
    monkeypatch.setattr(health, "checks", lambda: [health.Check("clock", "This machine's clock is +9.0 s beside.")])
    stopped(account)  # which the page shows by itself
    facts.look()

    assert [fact.kind for fact in facts.present(administrator)] == [Kind.CALLBACKS_AWAY]
    assert not facts.present(factories.administrator(factories.organization()))
    assert "has sent no delivery reports since" in page.get("/admin/").content.decode()
    client = Client()
    client.force_login(operator)
    assert "The health check “clock” fails" in client.get("/admin/").content.decode()


# --- never lost, never doubled, nobody waits --------------------------------------------------------------------------


def test_two_workers_send_each_mail_once(account, administrator, mailoutbox, monkeypatch):
    stopped(account)
    facts.look()
    Fact.objects.update(began_at=timezone.now() - timedelta(minutes=1))
    assert mails.tell() == 1
    assert mails.tell() == 0
    sending = mails.message

    def meanwhile(mail):
        monkeypatch.setattr(mails, "message", sending)
        assert mails.post() == 0  # the other worker finds nothing to send
        return sending(mail)

    monkeypatch.setattr(mails, "message", meanwhile)
    assert mails.post() == 1
    assert len(mailoutbox) == 1


class Killed(BaseException):
    """The worker ends here."""


@pytest.mark.parametrize("moment", ["before it left", "after it left"])
def test_a_worker_that_is_killed_loses_no_mail(account, administrator, mailoutbox, monkeypatch, moment):
    stopped(account)
    facts.look()
    Fact.objects.update(began_at=timezone.now() - timedelta(minutes=1))
    mails.tell()
    sending = mails.message

    def killed(mail):
        if moment == "after it left":
            sending(mail).send()
        raise Killed

    monkeypatch.setattr(mails, "message", killed)
    with pytest.raises(Killed):
        mails.post()
    monkeypatch.setattr(mails, "message", sending)
    assert mails.post() == 0  # perhaps it still lives
    Mail.objects.update(not_before=timezone.now())
    assert mails.post() == 1

    assert len({told.extra_headers["Message-ID"] for told in mailoutbox}) == 1
    assert mails.post() == 0


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        smtplib.SMTPServerDisconnected("gone"),
        smtplib.SMTPDataError(451, b"x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_mail_server_that_is_away_stops_nothing_and_is_tried_again(
    account, administrator, mailoutbox, monkeypatch, error
):
    factories.user(account.organization, role=User.Role.ADMINISTRATOR, email="other@example.org")
    stopped(account)
    sending, tries = mails.message, []

    class Refused:
        def send(self):
            tries.append(1)
            raise error

    monkeypatch.setattr(mails, "message", lambda mail: Refused())
    watch()
    assert tries == [1]  # the second would wait for the same server
    watch()
    assert tries == [1]  # and neither is tried at once

    Mail.objects.update(made_at=timezone.now() - timedelta(hours=1))
    assert mails.trouble().startswith(type(error).__name__)
    Mail.objects.update(not_before=timezone.now())
    monkeypatch.setattr(mails, "message", sending)
    assert mails.post() == 2
    assert mails.trouble() == ""
    assert len(mailoutbox) == 2


def test_a_mail_server_that_is_away_brings_nothing_forward(account, administrator):
    stopped(account)
    facts.look()
    later = timezone.now() + timedelta(hours=1)
    made = Mail.objects.create(
        fact=Fact.objects.get(), user=administrator, made_at=timezone.now(), not_before=later, tries=9
    )

    mails.hold_back()

    made.refresh_from_db()
    assert made.not_before == later


def test_a_mail_server_is_waited_for_as_long_as_is_set(account, administrator, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_TIMEOUT = 7
    stopped(account)
    facts.look()
    made = Mail(pk=1, fact=Fact.objects.get(), user=administrator, made_at=timezone.now())

    assert mails.message(made).connection.timeout == 7


def test_one_address_that_is_refused_holds_up_nobody_else(account, administrator, mailoutbox, monkeypatch):
    other = factories.user(account.organization, role=User.Role.ADMINISTRATOR, email="other@example.org")
    stopped(account)
    sending = mails.message

    class Refused:
        def send(self):
            raise smtplib.SMTPRecipientsRefused({administrator.email: (550, b"unknown")})

    monkeypatch.setattr(mails, "message", lambda mail: Refused() if mail.user == administrator else sending(mail))
    watch()

    assert [told.to for told in mailoutbox] == [[other.email]]
    assert administrator.email not in Mail.objects.get(sent_at=None).error


def test_a_mail_that_never_leaves_is_given_up_after_days(account, administrator, monkeypatch):
    stopped(account)
    monkeypatch.setattr(mails, "message", lambda mail: mail.nothing)
    watch_error = OSError("away")
    facts.look()
    made = Mail.objects.create(
        fact=Fact.objects.get(),
        user=administrator,
        made_at=timezone.now() - mails.GIVEN_UP_AFTER - timedelta(hours=1),
        not_before=timezone.now(),
        tries=9,
    )
    mails.put_off(made, watch_error)

    assert Mail.objects.get().given_up_at is not None


def test_somebody_who_is_switched_off_is_told_nothing(account, administrator, mailoutbox):
    stopped(account)
    User.objects.filter(pk=administrator.pk).update(is_active=False)
    watch()

    assert mailoutbox == []


def test_a_question_that_is_not_answered_leaves_the_others_and_what_was_so(account, administrator, monkeypatch):
    stopped(account)
    facts.look()

    def away():
        raise OperationalError("canceling statement due to statement timeout")
        yield

    monkeypatch.setitem(facts.FINDERS, Kind.ACCOUNT_STOPPED, away)
    stuck(account)
    with pytest.raises(steps.SomeFailed):
        facts.look()

    assert Fact.objects.filter(ended_at=None).count() == 2


def test_what_is_long_over_is_forgotten(account, administrator):
    stopped(account)
    watch()
    extension_health.resume(account)
    facts.look()
    tasks.purge()
    assert Fact.objects.count() == 1
    Fact.objects.update(ended_at=timezone.now() - timedelta(days=91))
    tasks.purge()

    assert not Fact.objects.exists()
    assert not Mail.objects.exists()


# --- the real processes -----------------------------------------------------------------------------------------------


class Sink:
    """A mail server that keeps what it is given."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


@pytest.fixture
def smtp():
    sink = Sink()
    controller = Controller(sink, hostname="127.0.0.1", port=free_port())
    controller.start()
    sink.url = f"smtp://127.0.0.1:{controller.port}"
    yield sink
    controller.stop()


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_who_stands_still_turns_it_red_the_mail_arrives_and_it_is_green_again(start, smtp, mailoutbox):
    """The acceptance, with a real web, workers, beat and mail server; then the same of who usually sends the mails."""
    User.objects.create_superuser("operator@example.org", "x", language="de")
    clinic = factories.organization(name="City Clinic")
    administrator, account = factories.administrator(clinic), factories.account(clinic)
    web = start(Web)
    sender = start(Worker, "sender", queues="send", EMAIL_URL=smtp.url)
    others = ",".join(name for name in QUEUES if name != "send")
    other = start(Worker, "other", queues=others, EMAIL_URL=smtp.url)
    start(Beat)
    until(web, 200)

    os.killpg(sender.pid, signal.SIGSTOP)
    extension_health.stop(account, "auth_failed: 20003")
    until(web, 503, "silent")
    wait_for_mails(smtp, 2)
    os.killpg(sender.pid, signal.SIGCONT)
    until(web, 200)

    told = {message["To"]: message.get_content() for message in smtp.mails}
    assert len(smtp.mails) == len(told) == 2
    assert "queue.send" in told["operator@example.org"]
    assert "Sie erhalten diese E-Mail" in told["operator@example.org"]
    assert f"“{account.name}”" in told[administrator.email]
    assert "City Clinic" in told[administrator.email]
    assert mailoutbox == django_mail.outbox == []

    os.killpg(other.pid, signal.SIGSTOP)  # nobody is left but the sender
    wait_for_mails(smtp, 3)
    os.killpg(other.pid, signal.SIGCONT)

    assert {message["To"] for message in smtp.mails[2:]} == {"operator@example.org"}
    assert "Nobody has watched" in sender.output()
    until(web, 200)


def wait_for_mails(smtp, number):
    deadline = time.monotonic() + 120
    while len(smtp.mails) < number:
        assert time.monotonic() < deadline, [str(told) for told in smtp.mails]
        time.sleep(0.5)

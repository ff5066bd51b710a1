"""A database that was restored from a backup sends nothing twice, and gives no key to two people."""

from __future__ import annotations

import stat
from collections import Counter
from datetime import timedelta
from io import StringIO

import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from distributions import states, tasks, wording
from distributions.engine import expansion, identity, outbox, references, settling
from distributions.engine.references import link_token, message_id_of, opt_out_message_id_of, opt_out_token, reference
from distributions.models import Distribution, Epoch, KnownDatabase
from distributions.planning import starting
from distributions.states import Status
from organizations.models import AuditEvent
from tests import backups, factories, pumping
from tests.simulated import launched, statuses

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 50


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(references, "EPOCHS_KEPT", 0.01)
    monkeypatch.setattr("distributions.restoring.EPOCHS_KEPT", 0.01)
    references.forget_epochs()
    yield
    references.forget_epochs()


@pytest.fixture
def backup(tmp_path):
    """`backup()` takes one; `backup.put_back()` restores it."""

    class Backup:
        path = tmp_path / "backup"

        def __call__(self):
            backups.take(self.path)

        def put_back(self):
            backups.put_back(self.path)

    return Backup()


def after_restore(*options):
    output = StringIO()
    call_command("after_restore", *options, stdout=output)
    return output.getvalue()


def send_all(made):
    while pumping.run(made.account_id):
        pass


def again(clinic_account, phone="+4477019{:05d}"):
    """Another distribution through the same account, as somebody makes it after the restore."""
    made = factories.distribution(
        clinic_account.organization,
        contact_list=factories.contact_list(clinic_account.organization, PEOPLE, phone=phone),
        account=clinic_account,
        state=Distribution.State.LAUNCHING,
        launched_at=timezone.now(),
    )
    while starting.expand(made.pk):
        pass
    return made


def test_after_a_restore_nobody_is_texted_again_and_no_key_is_given_out_again(sink, backup):
    """Once 50 of 50 were texted twice, and links in phones belonged to other people."""
    made = launched(recipients=PEOPLE)
    backup()
    send_all(made)
    later = again(made.account)
    send_all(later)
    theirs = {
        pk: (reference(pk), link_token(pk), opt_out_token(pk)) for pk in later.messages.values_list("pk", flat=True)
    }
    backup.put_back()

    send_all(made)
    assert len(sink.ledger) == 2 * PEOPLE, "while nobody has said what to do, nothing leaves"
    said = after_restore()
    send_all(made)
    newest = again(made.account, "+4477029{:05d}")
    send_all(newest)

    assert f"Paused {made.public_id}" in said
    assert f"{PEOPLE} texts may have left" in said
    assert statuses(made) == {Status.UNCERTAIN: PEOPLE}
    assert Distribution.objects.get(pk=made.pk).paused_at is not None
    assert statuses(newest) == {Status.ACCEPTED: PEOPLE}
    assert set(Counter(entry["reference"] for entry in sink.ledger).values()) == {1}
    assert set(Counter(entry["to"] for entry in sink.ledger).values()) == {1}
    assert not set(theirs) & set(newest.messages.values_list("pk", flat=True))
    ours = {token for pk in newest.messages.values_list("pk", flat=True) for token in (reference(pk), link_token(pk))}
    assert not ours & {token for tokens in theirs.values() for token in tokens}


def test_what_was_made_before_a_restore_proves_nothing_for_keys_given_out_since():
    """However many keys the failure swallowed: beyond the epoch's first key the old characters are wrong."""
    before = {number: (reference(number), link_token(number), opt_out_token(number)) for number in (1, 99, 100, 5000)}

    Epoch.objects.create(first_id=100, salt="of-the-restore")

    for number in (1, 99):  # in phones, of rows that are still there
        assert before[number] == (reference(number), link_token(number), opt_out_token(number))
        assert message_id_of(before[number][1]) == number
    for number in (100, 5000):
        ours, link, stop = before[number]
        assert references.message_id_of_reference(ours) is None
        assert message_id_of(link) is None
        assert opt_out_message_id_of(stop) is None
        assert message_id_of(link_token(number)) == number
        assert (len(reference(number)), len(link_token(number))) == (len(ours), len(link))


def test_links_in_phones_go_on_working_after_a_restore(sink, backup):
    made = launched(recipients=3)
    send_all(made)
    link = link_token(made.messages.first().pk)
    backup()
    later = again(made.account)
    send_all(later)
    lost = link_token(later.messages.last().pk)
    backup.put_back()
    after_restore()
    again(made.account)

    assert Client().get(f"/s/{link}").status_code == 302
    assert Client().get(f"/s/{lost}").status_code == 404


@pytest.mark.parametrize(
    "harmless",
    ["VACUUM FULL distributions_message", "ALTER TABLE distributions_message ADD COLUMN odd integer", "CHECKPOINT"],
)
@pytest.mark.postgresql
def test_looking_after_a_database_is_no_restore(harmless):
    identity.remember_first()
    with connection.cursor() as cursor:
        cursor.execute(harmless)

    assert not identity.is_held()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE distributions_message DROP COLUMN IF EXISTS odd")


def test_a_first_start_holds_nobody(sink):
    """Also that of an installation which did not remember anything before its upgrade."""
    made = launched(recipients=3)
    KnownDatabase.objects.all().delete()
    if path := identity.marker_path():
        path.unlink(missing_ok=True)

    tasks.sweep()
    send_all(made)

    assert KnownDatabase.objects.count() == 1
    assert statuses(made) == {Status.ACCEPTED: 3}


def test_what_lost_nothing_goes_on_as_it_is(sink, backup):
    """A failover, an upgrade, a move to another server."""
    made = launched(recipients=5)
    backup()
    backup.put_back()
    KnownDatabase.objects.update(identity="another")

    assert identity.is_held()
    after_restore("--nothing-lost")
    send_all(made)

    assert not identity.is_held()
    assert statuses(made) == {Status.ACCEPTED: 5}
    assert not Epoch.objects.exists()


def test_a_second_run_and_one_without_a_restore_do_nothing(sink):
    made = launched(recipients=5)

    assert "nothing to do" in after_restore()
    send_all(made)
    KnownDatabase.objects.update(identity="another")
    after_restore()
    epochs = Epoch.objects.count()
    again = after_restore()

    assert "nothing to do" in again
    assert Epoch.objects.count() == epochs == 1
    assert statuses(made) == {Status.ACCEPTED: 5}
    assert AuditEvent.objects.filter(action="restored from a backup").count() == 1


def test_a_dry_run_says_what_would_be_paused_and_changes_nothing():
    made = launched(recipients=5)
    KnownDatabase.objects.update(identity="another")

    said = after_restore("--dry-run")

    assert f"Would pause {made.public_id}" in said
    assert "5 texts may have left" in said
    assert identity.is_held()
    assert statuses(made) == {Status.QUEUED: 5}


def test_while_held_nothing_is_claimed_marked_written_started_settled_or_applied(sink):
    made = launched(recipients=5)
    half = launched(recipients=0)
    Distribution.objects.filter(pk=half.pk).update(state=Distribution.State.LAUNCHING)
    planned = factories.distribution(
        made.organization, account=made.account, state="scheduled", send_at=timezone.now() - timedelta(minutes=1)
    )
    KnownDatabase.objects.update(identity="another")

    assert outbox.claim(made.account_id, "somebody", 2) == []
    assert outbox.mark(list(made.messages.values_list("pk", flat=True)), made.account_id) == []
    assert starting.expand(half.pk) is False
    assert pumping.run(made.account_id) is False
    assert settling.settle(made.account_id) is False
    tasks.sweep()

    assert Distribution.objects.get(pk=planned.pk).state == Distribution.State.SCHEDULED
    assert statuses(made) == {Status.QUEUED: 5}


def test_a_restore_under_running_workers_is_noticed_before_anything_is_marked(sink, backup):
    """The pump has claimed its chunk; then the database is another one."""
    made = launched(recipients=PEOPLE)
    backup()
    [claim] = outbox.claim(made.account_id, "pump", 2)
    ids = [pk for pk, _segments in outbox.read(claim)]
    assert len(outbox.mark(ids[:10], made.account_id)) == 10
    backup.put_back()

    assert outbox.mark(ids[10:], made.account_id) == []
    assert outbox.mark(ids[:10], made.account_id) == []


def test_a_launch_of_which_half_was_written_texts_nobody_a_second_time(sink, backup, monkeypatch):
    """The keys of those whose messages were written after the backup are lost: all of them are uncertain."""
    monkeypatch.setattr(expansion, "STEP", 10)
    made = launched(recipients=0)
    Distribution.objects.filter(pk=made.pk).update(
        state=Distribution.State.LAUNCHING, contact_list=factories.contact_list(made.organization, 30)
    )
    starting.expand(made.pk)
    backup()
    while starting.expand(made.pk):
        pass
    send_all(made)
    backup.put_back()

    after_restore()
    Distribution.objects.update(paused_at=None)
    tasks.sweep()
    send_all(made)

    assert statuses(made) == {Status.UNCERTAIN: 30}
    assert len(sink.ledger) == 30


@pytest.mark.parametrize("provider", ["twilio", "infobip"])
def test_what_a_backup_brought_back_is_settled_by_evidence_and_never_repeated_by_itself(sink, backup, provider):
    """A look-up that finds it settles it; one that does not proves nothing, since it may have left later."""
    made = launched(provider, recipients=6)
    sink.fail("drop", provider)
    send_all(made)
    assert statuses(made) == {Status.UNCERTAIN: 6}
    backup()
    backup.put_back()
    KnownDatabase.objects.update(identity="another")
    after_restore()
    sink.heal()

    made.messages.update(attempted_at=timezone.now() - timedelta(seconds=1.5))
    assert settling.settle(made.account_id) is False
    send_all(made)

    assert statuses(made) == {Status.UNCERTAIN: 6}
    assert sink.ledger == []


def test_a_person_can_send_what_had_not_left(sink):
    made = launched(recipients=2)
    KnownDatabase.objects.update(identity="another")
    after_restore()
    message = made.messages.first()

    outbox.requeue([message.pk])
    Distribution.objects.update(paused_at=None)
    send_all(made)

    assert statuses(made) == {Status.ACCEPTED: 1, Status.UNCERTAIN: 1}


def test_what_was_planned_for_the_time_in_between_waits_for_a_person():
    clinic = factories.organization()
    account = factories.account(clinic)
    now, hour = timezone.now(), timedelta(hours=1)
    missed = factories.distribution(clinic, account=account, state="scheduled", send_at=now - hour)
    coming = factories.distribution(clinic, account=account, state="scheduled", send_at=now + hour)
    KnownDatabase.objects.update(identity="another")

    said = after_restore()
    starting.start_due()

    missed.refresh_from_db()
    coming.refresh_from_db()
    assert missed.public_id in said
    assert missed.state == coming.state == Distribution.State.SCHEDULED
    assert missed.paused_at is not None
    assert "between the backup" in missed.problem
    assert (coming.paused_at, coming.problem) == (None, "")


def test_a_late_report_for_a_lost_text_changes_nobody_elses(sink, backup):
    made = launched(recipients=1)
    backup()
    later = again(made.account)
    lost = reference(later.messages.last().pk)
    backup.put_back()
    Epoch.objects.create(first_id=1, salt="not moved on far enough")

    assert references.message_id_of_reference(lost) is None


@pytest.mark.postgresql
def test_where_a_role_may_not_ask_for_the_cluster_the_rest_has_to_do():
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE limited")
        try:
            cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO limited")
            cursor.execute("SET ROLE limited")
            identity._expression.cache_clear()
            ordinary = identity.current()
            cursor.execute("RESET ROLE")
            cursor.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
            cursor.execute("SET ROLE limited")
            identity._expression.cache_clear()
            restricted = identity.current()
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
            cursor.execute("DROP OWNED BY limited")
            cursor.execute("DROP ROLE limited")
            identity._expression.cache_clear()

    assert ordinary.split(":")[0].isdigit()
    assert restricted.split(":") == ["-", *ordinary.split(":")[1:]]


# --- the file beside a SQLite database -------------------------------------------------------------------------------


@pytest.fixture
def marker():
    path = identity.marker_path()
    assert path is not None
    identity.remember()
    return path


@pytest.mark.sqlite
def test_the_file_beside_the_database_is_for_its_owner_only(marker):
    assert stat.S_IMODE(marker.stat().st_mode) == 0o600


@pytest.mark.sqlite
@pytest.mark.parametrize("fate", ["gone", "damaged", "copied"])
def test_a_database_without_its_own_file_is_held(marker, tmp_path, fate):
    assert not identity.is_held()
    if fate == "copied":  # with the whole folder: it has the same words, in another place
        copy = tmp_path / "copy"
        copy.write_text(marker.read_text())
        marker.unlink()
        (tmp_path / "holds its place").touch()
        copy.replace(marker)
    elif fate == "damaged":
        marker.write_text("?")
    else:
        marker.unlink()

    assert identity.is_held()


@pytest.mark.sqlite
def test_an_older_copy_is_noticed_however_little_has_happened_since(marker, sink, backup):
    made = launched(recipients=2)
    [first, second] = made.messages.order_by("pk").values_list("pk", flat=True)
    outbox.mark([first], made.account_id)
    backup()
    outbox.mark([second], made.account_id)
    backup.put_back()

    assert identity.is_held()


@pytest.mark.sqlite
def test_a_copy_of_this_moment_is_no_older_one(marker, sink, backup):
    made = launched(recipients=2)
    outbox.mark([made.messages.first().pk], made.account_id)
    backup()
    backup.put_back()

    assert not identity.is_held()


# --- who is told -----------------------------------------------------------------------------------------------------


def home_of(user):
    client = Client()
    client.force_login(user)
    return client.get("/admin/").content.decode()


def test_administrators_operators_the_check_and_the_log_say_that_nothing_is_sent(caplog, monkeypatch):
    clinic = factories.organization()
    told = [factories.administrator(clinic), factories.operator()]
    sentence = "No texts are being sent"
    assert not any(sentence in home_of(user) for user in told)
    assert restored_ids() == set()
    KnownDatabase.objects.update(identity="another")
    monkeypatch.setattr(identity, "_said_at", -1000.0)

    tasks.sweep()
    tasks.sweep()

    assert all(sentence in home_of(user) for user in told)
    assert sentence not in home_of(factories.user(clinic))
    assert restored_ids() == {"switchboard.W002"}
    assert caplog.text.count("after_restore") == 1


def restored_ids():
    found = {message.id for message in checks.run_checks(databases=["default"])}
    return found & {"switchboard.W002"}


def test_a_message_that_a_backup_brought_back_says_so():
    assert "restored from a backup" in wording.explain(Status.UNCERTAIN, states.RESTORED)

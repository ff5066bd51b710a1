"""What people do with a distribution. Every function checks the right, writes the audit trail and wakes the workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from distributions.engine import outbox
from distributions.engine.wake import EXPAND, PUMP, wake
from distributions.models import Chunk, Distribution, Message, MessageEvent, Tally
from distributions.planning import fingerprint, leaving, starting, taking_back, working_out
from distributions.planning.fingerprint import Difference, Fingerprint
from distributions.planning.review import Facts, FactsOfOne, Obstacle, fit, route_of, survey_obstacle
from distributions.states import Status
from extensions.models import ProviderAccount
from extensions.routing import NoRoute, Route
from organizations import audit
from organizations.models import User
from organizations.permissions import require_sms
from surveys.models import Survey

State = Distribution.State
TAKEN_OVER = gettext_noop("took over")
HANDED_OVER = gettext_noop("sent the rest through another account")


class LaunchRefused(Exception):
    """Nothing was launched; `sentence` says why and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Changed(LaunchRefused):
    """Nothing was launched or taken over, because it is not what was reviewed; `differences` says why."""

    def __init__(self, found: Sequence[Difference]) -> None:
        listed = "; ".join(map(str, found))
        super().__init__(
            _("Nothing has been sent, because something has changed since it was reviewed. %(differences)s")
            % {"differences": listed}
        )
        self.differences = found


def look_at(distribution: Distribution, user: User) -> Fingerprint:
    """What would go if `user` launched it now. Raises MissingRight, or LaunchRefused if nothing would."""
    require_sms(user)
    facts = FactsOfOne()
    _fit(distribution, facts)
    return fingerprint.of(distribution, facts=facts)


def launch(distribution: Distribution, user: User, reviewed: Fingerprint | None = None) -> Distribution:
    """Send now, or at `send_at`, what is stored. Launching twice launches once.

    `reviewed` is what the user has looked at; without it this call is its own review. Raises MissingRight if the user
    may not distribute by SMS, Changed if something else would go than was reviewed, LaunchRefused if something is
    wrong with the text or the list, or if nothing could carry it (R10).
    """
    require_sms(user)
    with transaction.atomic():
        stored = draft(distribution.pk)
        if stored is not None:
            _launch(stored, user, reviewed)
    distribution.refresh_from_db()
    return distribution


def write(written: Distribution, fields: Sequence[str], user: User) -> bool:
    """Keep what was written of a draft; False if it is none any more, and then it stays as it was launched."""
    require_sms(user)
    if written.pk is None:
        written.time_zone = _zone_of(written)
        written.created_by = user
        written.save()
        return True
    with transaction.atomic():
        stored = draft(written.pk)
        if stored is None:
            return False
        written.time_zone = _zone_of(written, stored)
        written.save(update_fields=[*fields, "time_zone"])
    return True


def _zone_of(written: Distribution, stored: Distribution | None = None) -> str:
    """By whose clocks it is planned: the organisation's, unless its time is as it was, or as it was planned."""
    if written.send_at is None:
        return ""
    if stored is not None:
        if stored.send_at == written.send_at and stored.time_zone:
            return stored.time_zone
        if stored.plan and stored.plan["time_zone"] and stored.due_at == written.send_at:
            return str(stored.plan["time_zone"])
    return str(written.organization.time_zone)


def draft(pk: int) -> Distribution | None:
    """The draft with this key, locked: nobody edits or launches it while the transaction lasts. None if it is none."""
    return _locked(pk, State.DRAFT)


def _locked(pk: int, state: State) -> Distribution | None:
    locked = Distribution.objects.select_for_update(no_key=True).filter(pk=pk, state=state)
    if not locked.values_list("pk"):
        return None
    return Distribution.objects.select_related("organization__licence", "survey__organization", "contact_list").get(
        pk=pk
    )


def _launch(distribution: Distribution, user: User, reviewed: Fingerprint | None) -> None:
    now = timezone.now()
    later = distribution.send_at is not None and distribution.send_at > now
    facts = FactsOfOne()
    seen = fingerprint.of(distribution, facts=facts) if later or reviewed is not None else None
    if reviewed is not None and seen is not None and (found := fingerprint.differences(reviewed, seen)):
        raise Changed(found)
    route = _fit(distribution, facts)
    Distribution.objects.filter(pk=distribution.pk).update(
        state=State.SCHEDULED if later else State.LAUNCHING,
        account=route.account,
        launched_at=now,
        launched_by=user,
        planned_people=facts.people(distribution),
        reviewed=seen and asdict(seen),
        plan=None,
        edited_at=None,
        problem="",
    )
    working_out.forget(distribution.pk)
    Tally.objects.get_or_create(distribution=distribution)
    if distribution.is_interactive:
        _lock_questions(distribution.survey_id)
    audit.record("launched", organization=distribution.organization, actor=user, target=distribution)
    if not later:
        wake(EXPAND, distribution.pk)


def _fit(distribution: Distribution, facts: Facts) -> Route:
    """What carries it. Raises LaunchRefused."""
    try:
        return fit(distribution, facts)
    except Obstacle as refusal:
        raise LaunchRefused(str(refusal)) from refusal
    except NoRoute as refusal:
        raise LaunchRefused(refusal.reason) from refusal


def take_over(
    distribution: Distribution, user: User, seen: int | None = None, reviewed: Fingerprint | None = None
) -> Distribution:
    """Answer for a held distribution from now on, with the people who are on its list now, and let it begin.

    One of which it is known before its time that it would be held can be taken over, too, and begins as planned.

    `reviewed` is what the user has looked at, `seen` how many people they were told of. Taking over twice does it once.
    Raises MissingRight, Changed if something else would go, and LaunchRefused if what held it is still in the way.
    """
    require_sms(user)
    with transaction.atomic():
        stored = _locked(distribution.pk, State.SCHEDULED)
        if stored is not None and stored.needs_somebody:
            _take_over(stored, user, seen, reviewed)
    distribution.refresh_from_db()
    return distribution


def _take_over(distribution: Distribution, user: User, seen: int | None, reviewed: Fingerprint | None) -> None:
    facts = FactsOfOne()
    found = fingerprint.of(distribution, facts=facts)
    if reviewed is not None and (differing := fingerprint.differences(reviewed, found)):
        raise Changed(differing)
    route = _fit(distribution, facts)
    if seen is not None and starting.has_grown(seen, found.people):
        raise LaunchRefused(
            _("The list has just grown to %(people)s people. Review it again.") % {"people": found.people}
        )
    now = timezone.now()
    later = distribution.send_at is not None and distribution.send_at > now
    Distribution.objects.filter(pk=distribution.pk).update(
        state=State.SCHEDULED if later else State.LAUNCHING,
        account=route.account,
        launched_by=user,
        planned_people=found.people,
        reviewed=asdict(found),
        confirmed_at=now,
        held_at=None,
        problem="",
        **({} if later else {"paused_at": None}),
    )
    audit.record(TAKEN_OVER, organization=distribution.organization, actor=user, target=distribution)
    if not later:
        wake(EXPAND, distribution.pk)


def says_everything(distribution: Distribution) -> bool:
    """Whether its problem is all that whoever takes it over has to know: nothing else is otherwise than reviewed."""
    grown = starting.many_more(distribution)
    before, now = fingerprint.reviewed(distribution), fingerprint.of(distribution)
    if before is not None:  # a few people more or less do not matter, nor does another day
        now = replace(now, people=before.people, list_version=before.list_version)
    return grown in ("", distribution.problem) and not fingerprint.since_reviewed(distribution, now)


def _lock_questions(survey_id: int) -> None:
    """From now on somebody may be in the middle of them. Raises LaunchRefused if they were spoilt in this moment."""
    survey = (
        Survey.objects.select_for_update(of=("self",), no_key=True).select_related("organization").get(pk=survey_id)
    )
    if survey.questions_locked_at is not None:
        return
    if sentence := survey_obstacle(survey, interactive=True):
        raise LaunchRefused(sentence)
    Survey.objects.filter(pk=survey.pk).update(questions_locked_at=timezone.now())


def pause(distribution: Distribution, user: User) -> None:
    """Send nothing more until it is resumed; what has left comes back as usual."""
    require_sms(user)
    running = Distribution.objects.filter(pk=distribution.pk, paused_at=None, held_at=None)
    if running.filter(state__in=(State.SCHEDULED, State.LAUNCHING, State.SENDING)).update(paused_at=timezone.now()):
        audit.record("paused", organization=distribution.organization, actor=user, target=distribution)


def resume(distribution: Distribution, user: User) -> None:
    """Go on where it was paused."""
    require_sms(user)
    paused = Distribution.objects.filter(pk=distribution.pk, paused_at__isnull=False)
    if paused.update(paused_at=None, problem="", confirmed_at=timezone.now()):
        audit.record("resumed", organization=distribution.organization, actor=user, target=distribution)
        starting.look_ahead(distribution.organization_id)
        account_id = distribution.account_id
        if account_id is not None:
            wake(PUMP, account_id)


def cancel(distribution: Distribution, user: User) -> None:
    """Take back everything that has not left. Nothing leaves any more once this is committed; that each text says so
    may take a moment (planning/taking_back.py). Raises MissingRight.
    """
    require_sms(user)
    _cancel(distribution, user)


def _cancel(distribution: Distribution, user: User) -> None:
    cancellable = (State.DRAFT, State.SCHEDULED, State.LAUNCHING, State.SENDING)
    stopped = Distribution.objects.filter(pk=distribution.pk, state__in=cancellable).update(
        state=State.CANCELLED,
        paused_at=None,
        held_at=None,
        plan=None,
        edited_at=None,
        problem="",
        finished_at=timezone.now(),
    )
    if stopped:
        audit.record("cancelled", organization=distribution.organization, actor=user, target=distribution)
        taking_back.take_back(distribution.pk)


# --- where the rest goes when its account leaves ----------------------------------------------------------------------


def send_the_rest(distribution: Distribution, user: User) -> None:
    """Send what is held of a distribution through the account that is in use now, from whichever number.

    Raises MissingRight, or NoRoute if there is none. Where nothing is held, nothing happens.
    """
    require_sms(user)
    if leaving.is_held(distribution):
        _hand_over(distribution, route_of(distribution).account, user)


class Traffic:
    """What the pages of an account ask when it is to be deleted. Its administrator decides, by no other right."""

    def waiting(self, account: ProviderAccount) -> int:
        return leaving.waiting_on(account)

    def stop(self, account: ProviderAccount, user: User) -> None:
        for distribution in leaving.running_on(account):
            _cancel(distribution, user)

    def hand_over(self, account: ProviderAccount, to: ProviderAccount, user: User) -> None:
        for distribution in leaving.running_on(account):
            _hand_over(distribution, to, user)


def _hand_over(distribution: Distribution, to: ProviderAccount, user: User) -> None:
    rest = Chunk.objects.filter(distribution=distribution, state=Chunk.State.OPEN, priority=Chunk.Priority.BULK)
    with transaction.atomic():
        leaving.hand_over(distribution, rest, to)
        Distribution.objects.filter(pk=distribution.pk).update(problem="")
        audit.record(
            HANDED_OVER,
            organization=distribution.organization,
            actor=user,
            target=distribution,
            to=str(to),
            sender=to.sender,
        )


# --- single texts -----------------------------------------------------------------------------------------------------


def send_again(message: Message, user: User) -> bool:
    """Send an uncertain message once more, although it may reach the person twice: a person's decision."""
    require_sms(user)
    if not outbox.requeue([message.pk]):
        return False
    MessageEvent.objects.create(message=message, source=MessageEvent.Source.PERSON, status=Status.QUEUED)
    audit.record("sent again", organization=message.organization, actor=user, target=message.distribution)
    account_id = message.account_id
    if account_id is not None:
        wake(PUMP, account_id)
    return True

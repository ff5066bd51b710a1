"""Surveys held by text: what a reply leads to, and what ends a conversation.

What a reply means and what is asked next is decided by the pure surveys/conversation.py; here it is stored and sent. A
conversation belongs to a number: whichever account of the organisation has that number now carries it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, prefetch_related_objects
from django.utils import translation
from django.utils.translation import gettext as _

from contacts.models import Contact, OptOut
from contacts.stop_words import bare
from distributions import segments
from distributions.engine import outbox, tallies
from distributions.engine.references import link_token, opt_out_token
from distributions.engine.wake import PUMP, wake
from distributions.models import Chunk, Conversation, Distribution, InboundMessage, Message
from distributions.piping import Template, values_of
from distributions.replies import reactions
from distributions.states import Status
from extensions.models import ProviderAccount
from extensions.senders import spellings
from organizations import clock, languages, steps
from organizations.models import Organization
from surveys import conversation as engine
from surveys.models import Answer, Question, Response, Survey

State = Conversation.State

GROUP = 1_000  # conversations in one transaction
TURNS = 10  # of ours, the latest, to which somebody may react
ONCE = timedelta(days=1)  # how long nobody is told again what a word for help, or to start, is answered with


def first_text(
    account: ProviderAccount, organization: Organization, phone: str, at: datetime | None = None
) -> Message | None:
    """The message that opened the survey by text to which a reply that arrived `at` this time belongs.

    It is the survey of which a text left last for this person on this account's number: a person answers the question
    they read last. The number decides and not the account, so a replacement goes on where its predecessor was.
    """
    texts = Message.objects.left(at or clock.read()).filter(
        Q(conversation=None) | Q(conversation__state=State.OPEN),
        organization=organization,
        to=phone,
        distribution__method=Distribution.Method.INTERACTIVE,
        account__organization=organization,
        account__sender__in=spellings(account.sender),
    )
    newest = F("attempted_at").desc(nulls_last=True)
    found: Message | None = (
        texts.select_related("distribution__survey", "conversation__message__distribution__survey")
        .order_by(newest, "-pk")
        .first()
    )
    first = found.conversation.message if found is not None and found.conversation is not None else found
    if first is not None:
        prefetch_related_objects([first], "distribution__survey__questions")  # all that follows looks at them
    return first


def is_reaction(text: str, answered: Message | None, question: Question | None) -> bool:
    """Whether a reply is a reaction by phone to `answered`, or to what a conversation that it opened went on with.

    `question` is the one that waits for the person's answer.
    """
    if answered is None:
        return reactions.is_reaction(text)
    begun = Conversation.objects.filter(message=answered).first()
    turns = begun.turns.order_by("-pk").values_list("text", flat=True)[:TURNS] if begun else ()
    asks_for_words = question is not None and question.type.takes_words
    return reactions.is_reaction(text, [answered.text, *turns], asks_for_words=asks_for_words)


def receive(account: ProviderAccount, first: Message, inbound: InboundMessage, *, is_decided: bool = False) -> None:
    """Act on a reply to a survey by text; `inbound` is marked with what it was read as, and saved.

    It is an answer only to a question that had left before it arrived, unless a person has decided so (`is_decided`).
    Runs in the transaction that keeps the inbound message, so the same reply is never an answer twice.
    """
    now = clock.read()
    survey = first.distribution.survey
    waits = timedelta(hours=survey.wait_hours)
    found = _find_or_begin(account, first, now, waits)
    if found.state == State.OPEN and found.expires_at <= now:
        _close([found], State.EXPIRED, now)
        found.state = State.EXPIRED
    if OptOut.objects.numbers(first.organization_id, [first.to]):
        _close([found], State.OPTED_OUT, now)
        return
    contact = Contact.objects.filter(pk=first.contact_id).first() if first.contact_id else None
    with translation.override(_language(contact, inbound.organization, survey)):
        if found.state != State.OPEN:
            _say_it_is_over(found, first, contact, now)
        elif is_decided or _was_asked(found, first, inbound.received_at):
            _answer(found, first, contact, inbound, now, waits)


def _was_asked(found: Conversation, first: Message, at: datetime) -> bool:
    """Whether the question that waits had left when a reply arrived: nobody answers what they have not read.

    Each reply that was not an answer has had it asked again; any of these texts will do, and what was said beside them.
    """
    since = found.misses + found.asides
    keys = list(found.turns.order_by("-pk").values_list("pk", flat=True)[: since + 1])
    if len(keys) <= since:  # it was asked by the first text
        keys.append(first.pk)
    return bool(Message.objects.left(at).filter(pk__in=keys).exists())


def open_question(first: Message) -> Question | None:
    """The question that waits for the person's answer to this text; None if its survey has ended or is a link."""
    if not first.distribution.is_interactive:
        return None
    survey, now = first.distribution.survey, clock.read()
    begun = Conversation.objects.filter(message=first).first()
    if begun is not None:
        is_open, position = begun.state == State.OPEN and begun.expires_at > now, begun.position
    else:
        late = (first.attempted_at or now) + timedelta(hours=survey.wait_hours) <= now
        is_open = not late and first.distribution.state != Distribution.State.CANCELLED
        position = engine.opening(survey.script()).position or 0
    questions = list(survey.questions.all()) if is_open else []
    return questions[position] if position < len(questions) else None


def wait(account: ProviderAccount, first: Message) -> None:
    """The person has written something that somebody must decide about: the survey waits, from now on."""
    now = clock.read()
    waits = timedelta(hours=first.distribution.survey.wait_hours)
    found = _find_or_begin(account, first, now, waits)
    if found.state == State.OPEN:
        Conversation.objects.filter(pk=found.pk).update(expires_at=now + waits)
        _take_back([found])  # nothing more is texted


def go_on(first: Message, inbound: InboundMessage) -> None:
    """What somebody wrote is beside the survey, as was decided: ask the question that never left, if there is one."""
    question = open_question(first)
    found = Conversation.objects.filter(message=first, state=State.OPEN).select_for_update(no_key=True).first()
    if question is None or found is None or _was_asked(found, first, clock.read()):
        return
    with translation.override(_language(inbound.contact, inbound.organization, first.distribution.survey)):
        _say(found, first, inbound.contact, engine.ask(question.spoken()))


# --- beside the survey -----------------------------------------------------------------------------------------------


def help_out(account: ProviderAccount, inbound: InboundMessage) -> bool:
    """Answer a word for help with the organisation's text, at most once a day for each person; whether it was answered.

    Only somebody whom the organisation has texted: an answer to everybody could be made to cost money. Not where the
    provider answers the word itself, not to somebody who has opted out, and not from an account that cannot send.
    """
    first, organization = inbound.message, inbound.organization
    if (
        first is None
        or bare(inbound.text) in account.provider_class.answers_help
        or not _can_send(account, organization)
    ):
        return False
    now = clock.read()
    theirs = Conversation.objects.filter(organization=organization, phone=inbound.sender)
    found = _beside(account, first, now)
    if _is_stopped(inbound) or theirs.filter(helped_at__gt=now - ONCE).exists():
        return False
    Conversation.objects.filter(pk=found.pk).update(helped_at=now, asides=F("asides") + 1)
    contact = inbound.contact
    survey = first.distribution.survey if first.distribution.is_interactive else None
    with translation.override(_language(contact, organization, survey)):
        text = organization.help_text or _(
            "%(organization)s: you get this text because we have you on a list of contacts. Reply STOP to opt out."
        ) % {"organization": organization.name}
        _say(found, first, contact, text)
    return True


def remind(account: ProviderAccount, inbound: InboundMessage) -> bool:
    """Somebody writes a start word in the middle of a survey: say that they get our texts, and what was asked."""
    first, now = inbound.message, clock.read()
    question = open_question(first) if first else None
    if first is None or question is None or not _can_send(account, inbound.organization):
        return False
    found = _beside(account, first, now)
    recently = found.reminded_at is not None and found.reminded_at > now - ONCE
    if recently or found.state != State.OPEN or _is_stopped(inbound):
        return False
    Conversation.objects.filter(pk=found.pk).update(reminded_at=now, asides=F("asides") + 1)
    with translation.override(_language(inbound.contact, inbound.organization, first.distribution.survey)):
        already = _("You already get our texts; reply STOP to opt out. Our question was:")
        _say(found, first, inbound.contact, f"{already}\n\n{engine.ask(question.spoken())}")
    return True


def _beside(account: ProviderAccount, first: Message, now: datetime) -> Conversation:
    """What an answer beside the survey is a part of, locked. In reply to a link there is no survey by text."""
    if first.distribution.is_interactive:
        return _find_or_begin(account, first, now, timedelta(hours=first.distribution.survey.wait_hours))
    locked, _is_new = _with(account, first, state=State.ASIDE, expires_at=now, ended_at=now)
    return locked


def _with(account: ProviderAccount, first: Message, **begins: Any) -> tuple[Conversation, bool]:
    """The conversation that this text has led to, locked, and whether it has just begun, as `begins` says."""
    whose = {"organization_id": first.organization_id, "distribution_id": first.distribution_id, "phone": first.to}
    found, is_new = Conversation.objects.get_or_create(message=first, defaults={**whose, "account": account, **begins})
    return Conversation.objects.select_for_update(no_key=True).get(pk=found.pk), is_new


def _can_send(account: ProviderAccount, organization: Organization) -> bool:
    """Whether a text to this person could leave now, through this account or the one that has its number today."""
    sender = carrier(account) or account
    usable = ProviderAccount.objects.usable().filter(pk=sender.pk, state__stopped_at=None)
    return organization.has_sms and usable.exists()


def _is_stopped(inbound: InboundMessage) -> bool:
    return bool(OptOut.objects.numbers(inbound.organization_id, [inbound.sender]))


def _find_or_begin(account: ProviderAccount, first: Message, now: datetime, waits: timedelta) -> Conversation:
    """The conversation, locked. It begins with the first reply, if that does not come too late."""
    begins = first.distribution.state != Distribution.State.CANCELLED
    expires_at = (first.attempted_at or now) + waits
    locked, is_new = _with(
        account,
        first,
        position=engine.opening(first.distribution.survey.script()).position or 0,
        state=State.ENDED if not begins else State.EXPIRED if expires_at <= now else State.OPEN,
        expires_at=expires_at,
    )
    if is_new and locked.state == State.OPEN:
        locked.response = Response.objects.create(
            organization_id=first.organization_id, survey_id=first.distribution.survey_id, started_at=now
        )
        Conversation.objects.filter(pk=locked.pk).update(response=locked.response)
        tallies.add(first.distribution_id, started=1)
        earlier = Conversation.objects.filter(
            organization_id=first.organization_id,
            phone=first.to,
            state=State.OPEN,
            account__sender__in=spellings(account.sender),
        )
        _close(_locked(earlier.exclude(pk=locked.pk)), State.SUPERSEDED, now)
    return locked


def _answer(
    found: Conversation,
    first: Message,
    contact: Contact | None,
    inbound: InboundMessage,
    now: datetime,
    waits: timedelta,
) -> None:
    survey = first.distribution.survey
    step = engine.step(survey.script(), found.position, inbound.text, misses=found.misses)
    if step.answer is not None:
        question = survey.questions.all()[found.position]
        assert found.response is not None  # it begins with the conversation
        Answer.objects.create(
            response=found.response, question=question, value=step.answer, text=inbound.text, answered_at=now
        )
    inbound.meaning = InboundMessage.Meaning.UNCLEAR if step.answer is None else InboundMessage.Meaning.ANSWER
    inbound.save(update_fields=["meaning"])
    if step.position is None:
        _close([found], State.COMPLETED if step.completed else State.BROKEN_OFF, now)
    else:
        Conversation.objects.filter(pk=found.pk).update(
            position=step.position,
            misses=step.misses,
            asides=found.asides if step.position == found.position else 0,
            expires_at=now + waits,
        )
    _take_back([found])
    if step.reply:
        _say(found, first, contact, step.reply)


def _say_it_is_over(found: Conversation, first: Message, contact: Contact | None, now: datetime) -> None:
    """Once, to somebody who answers too late. After the last answer nothing more is said: that was the thank-you."""
    if found.state not in (State.EXPIRED, State.ENDED, State.OPTED_OUT) or found.told_at is not None:
        return
    Conversation.objects.filter(pk=found.pk).update(told_at=now)
    if first.distribution.state != Distribution.State.CANCELLED:  # nothing leaves in the name of a cancelled one
        _say(found, first, contact, engine.over(first.distribution.survey.script()))


def _say(found: Conversation, first: Message, contact: Contact | None, text: str) -> None:
    """Queue what comes next, ahead of everything else, on the number that the person has written to."""
    account = carrier(found.account) or found.account  # if nobody has the number now, it waits: see carry_over
    written = Template(text).render(
        values_of(contact) if contact else {},
        survey_link=f"{settings.PUBLIC_URL}/s/{link_token(first.pk)}",
        opt_out_link=f"{settings.PUBLIC_URL}/o/{opt_out_token(first.pk)}",
    )
    carried = account.provider_class.carried_text(written)
    length = segments.count(carried).segments
    turn = Message.objects.create(
        organization_id=first.organization_id,
        distribution_id=first.distribution_id,
        conversation=found,
        to=first.to,
        text=carried,
        segments=length,
    )
    Chunk.objects.create(
        distribution_id=first.distribution_id,
        account=account,
        first_id=turn.pk,
        last_id=turn.pk,
        priority=Chunk.Priority.REPLY,
    )
    tallies.count(first.distribution_id, turn.status, length)
    if account.pk != found.account_id:
        Conversation.objects.filter(pk=found.pk).update(account=account)
    wake(PUMP, account.pk)


def _language(contact: Contact | None, organization: Organization, survey: Survey | None = None) -> str:
    """The survey's language; else the person's own where the interface speaks it, else the organisation's."""
    if survey is not None and survey.language:
        return str(survey.language)
    own = contact.language.casefold().split("-")[0] if contact else ""
    return own if languages.is_spoken(own) else organization.language


# --- the number ------------------------------------------------------------------------------------------------------


def carrier(account: ProviderAccount) -> ProviderAccount | None:
    """The organisation's usable account with this account's number: itself, or the one that took its place.

    One that is finishing what it began carries on where nobody has taken its place.
    """
    listed = account.deleted_at is None and account.retiring_at is None
    if listed and account.granted_at is not None and not account.is_refused:
        return account
    same = ProviderAccount.objects.usable().filter(
        organization=account.organization_id, sender__in=spellings(account.sender), retiring_at=None
    )
    found: ProviderAccount | None = same.order_by("listed_at", "pk").first()
    return found or (account if account.deleted_at is None else None)


def under_way(account: ProviderAccount) -> int:
    """How many conversations on this account's number wait for a reply."""
    return Conversation.objects.filter(account=account, state=State.OPEN, expires_at__gt=clock.now()).count()


def carry_over() -> None:
    """Hand conversations, and what waits to be said in them, from deleted accounts to those that have their number.

    Where no account has it, both wait: one with that number may be added before the conversation expires.
    """
    leaving = Q(account__deleted_at__isnull=False) | Q(account__retiring_at__isnull=False)
    waiting = Conversation.objects.filter(leaving, expires_at__gt=clock.now())

    def hand_on(account: ProviderAccount) -> None:
        successor = carrier(account)
        if successor is None or successor.pk == account.pk:
            return
        unsaid = Chunk.objects.filter(
            account=account, state=Chunk.State.OPEN, priority=Chunk.Priority.REPLY, lease_until=None
        )
        with transaction.atomic():
            theirs = list(_locked(waiting.filter(account=account)).values_list("pk", flat=True))
            Conversation.objects.filter(pk__in=theirs).update(account=successor)
            if outbox.lock_chunks(unsaid).update(account=successor):
                wake(PUMP, successor.pk)

    orphans = ProviderAccount.objects.filter(pk__in=waiting.order_by().values("account"))
    steps.for_each(orphans, hand_on, "hand on conversations of the account")


# --- the end ---------------------------------------------------------------------------------------------------------


def _close(ending: list[Conversation] | QuerySet[Conversation], state: str, now: datetime) -> int:
    """End conversations that are open, and their responses; returns how many."""
    opened = Conversation.objects.filter(pk__in=[one.pk for one in ending], state=State.OPEN)
    responses = list(opened.values_list("response", "distribution"))
    count: int = opened.update(state=state, ended_at=now)
    done = state == State.COMPLETED
    Response.objects.filter(pk__in=[response for response, _distribution in responses]).update(
        state=Response.State.COMPLETED if done else Response.State.PARTIAL, ended_at=now
    )
    if done:
        for _response, distribution_id in responses:
            tallies.add(distribution_id, completed=1)
    return count


def _locked(conversations: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Lock them in the order of their keys, so that two who end several never wait for each other."""
    return conversations.order_by("pk").select_for_update(no_key=True)


def stop(organization: Organization, phone: str) -> None:
    """This person has opted out: every survey by text with them ends, and nothing more is asked."""
    opened = Conversation.objects.filter(organization=organization, phone=phone, state=State.OPEN)
    with tallies.counted():
        _close(_locked(opened), State.OPTED_OUT, clock.read())


def end(distribution_id: int) -> int:
    """This distribution was cancelled: its conversations end with it, GROUP at a time. Returns how many have."""
    opened = Conversation.objects.filter(distribution_id=distribution_id, state=State.OPEN)
    with tallies.counted():
        return _close(list(_locked(opened)[:GROUP]), State.ENDED, clock.read())


def _take_back(ending: Sequence[Conversation]) -> None:
    """What waits to be said in these conversations is not said any more."""
    unsaid = Message.objects.filter(conversation__in=[one.pk for one in ending], status=Status.QUEUED)
    said = Chunk.objects.filter(first_id__in=outbox.take_back(unsaid), priority=Chunk.Priority.REPLY, lease_until=None)
    outbox.lock_chunks(said).update(state=Chunk.State.DONE)


def expire() -> None:
    """End conversations that have waited long enough, and take back what could not be said in them."""
    now = clock.read()
    with tallies.counted():
        due = Conversation.objects.select_for_update(skip_locked=True, no_key=True).filter(
            state=State.OPEN, expires_at__lte=now
        )
        ending = list(due.order_by("expires_at")[:GROUP])
        _close(ending, State.EXPIRED, now)
        _take_back(ending)

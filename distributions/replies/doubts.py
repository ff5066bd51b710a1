"""Replies that may mean "no more texts": kept back until somebody has decided what they are.

Whether a text raises one is decided by the pure contacts/stop_words.py. Locks are taken in the order opt-outs, doubts,
conversations.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from contacts.models import OptOut
from contacts.opt_outs import opt_out
from contacts.stop_words import is_near_miss, mentions_stopping
from distributions.engine import tallies
from distributions.models import Doubt, InboundMessage, Message
from distributions.replies import conversations
from extensions.models import ProviderAccount
from organizations import audit
from organizations.models import Organization, User
from organizations.permissions import require_sms
from surveys import conversation as engine
from surveys.models import Question

Meaning = InboundMessage.Meaning
Decision = Doubt.Decision

DECIDED = gettext_noop("decided about a reply")


class Undecidable(Exception):
    """It cannot be decided like this any more; the exception's text is a sentence that says why."""


# --- keeping back -----------------------------------------------------------------------------------------------------


def keep_back(
    account: ProviderAccount, first: Message | None, question: Question | None, inbound: InboundMessage
) -> bool:
    """Whether a reply waits for a decision. Then it is marked, no answer is stored, and nothing is texted.

    `first` is the text of a survey that it would answer, `question` what waits for an answer there. Runs in the
    transaction that keeps the inbound message, which is saved. A long text that mentions stopping is an answer, with a
    mark.
    """
    organization, phone = inbound.organization, inbound.sender
    if OptOut.objects.numbers(organization.pk, [phone]):
        return False
    is_doubtful = _is_doubtful(inbound, question)
    if inbound.mentions_stopping:
        inbound.save(update_fields=["mentions_stopping"])
    line = account.sender.removeprefix("+")
    waiting = _waiting(organization, phone, line)
    joins = waiting is not None and first is not None and waiting.message_id == first.pk
    if not (is_doubtful or joins):
        return False
    if waiting is None:
        waiting, _is_new = Doubt.objects.get_or_create(
            organization=organization, phone=phone, line=line, decided_at=None, defaults={"account": account}
        )
    Doubt.objects.filter(pk=waiting.pk).update(message=first or inbound.message, question=question)
    inbound.meaning, inbound.doubt = Meaning.DOUBT, waiting
    inbound.save(update_fields=["meaning", "doubt"])
    if first is not None and question is not None:
        conversations.wait(account, first)
    return True


def _waiting(organization: Organization, phone: str, line: str) -> Doubt | None:
    """What waits for a decision about this person on this number, locked. What an opt-out has settled, is settled."""
    rows = Doubt.objects.filter(organization=organization, phone=phone, line=line, decided_at=None)
    found: Doubt | None = rows.select_for_update(no_key=True).first()
    if found is not None and not Doubt.objects.undecided().filter(pk=found.pk).exists():
        _close(found, Decision.PERSON)
        return None
    return found


def _is_doubtful(inbound: InboundMessage, question: Question | None) -> bool:
    """Whether a reply may be an opt-out. One of the labels a person chooses from never is, whatever it is made of."""
    text, stop_words = inbound.text, inbound.organization.stop_words
    asked = question.spoken() if question else None
    if asked is not None and engine.is_exactly_an_answer(asked, text):
        return False
    if is_near_miss(text, stop_words):
        return True
    inbound.mentions_stopping = mentions_stopping(text, stop_words)
    return inbound.mentions_stopping and asked is not None and not engine.is_answer(asked, text)


def close(organization: Organization, phone: str) -> None:
    """The person has written a stop or a start word: nobody needs to decide for them any more."""
    rows = Doubt.objects.filter(organization=organization, phone=phone, decided_at=None)
    for doubt in rows.order_by("pk").select_for_update(no_key=True):
        _close(doubt, Decision.PERSON)


# --- deciding ---------------------------------------------------------------------------------------------------------


def decide(doubt: Doubt, decision: str, user: User) -> str:
    """Opt the person out, take what they wrote as the answer, or neither; returns a sentence that says what happened.

    The first of two who decide at once decides. Raises MissingRight, and Undecidable.
    """
    require_sms(user)
    with tallies.counted():
        if decision == Decision.OPT_OUT:
            evidence = f"doubt {doubt.pk}, decided by {user.public_id}"
            opt_out(doubt.organization, doubt.phone, OptOut.Source.KEYWORD, evidence)
        locked = _still_open(doubt.pk, decision)
        texts = texts_of([locked])[locked.pk]
        if decision == Decision.OPT_OUT:
            conversations.stop(locked.organization, locked.phone)
            _read_as(texts, Meaning.OPT_OUT)
            said = _("This person has been opted out and will get no more texts.")
        elif decision == Decision.ANSWER:
            said = _take(locked, texts)
        else:
            _read_as(texts, Meaning.REPLY)
            said = _("The reply was put aside; the survey is still waiting for an answer.")
            if locked.question_id is None:
                said = _("The reply was put aside.")
            elif locked.message is not None and texts:
                conversations.go_on(locked.message, texts[-1])
        _close(locked, decision, user)
        audit.record(DECIDED, organization=locked.organization, actor=user, target=locked, decision=decision)
    return said


def _still_open(pk: int, decision: str) -> Doubt:
    """The doubt, locked. Raises Undecidable, which undoes what was done in this transaction."""
    rows = Doubt.objects.select_related("organization", "account", "message__distribution__survey", "question")
    locked: Doubt = rows.select_for_update(of=("self",), no_key=True).get(pk=pk)
    if locked.decided_at is not None:
        label = Decision(locked.decision).label
        raise Undecidable(_("This has already been decided: %(decision)s.") % {"decision": label})
    stopped = decision != Decision.OPT_OUT and not Doubt.objects.undecided().filter(pk=pk).exists()
    if stopped:
        raise Undecidable(_("This person has opted out in the meantime: there is nothing left to decide."))
    return locked


def _take(doubt: Doubt, texts: list[InboundMessage]) -> str:
    """What the person wrote is the answer: the conversation goes on as if it had just arrived."""
    first = doubt.message
    question = conversations.open_question(first) if first else None
    texts = [text for text in texts if first is not None and text.message_id == first.pk]
    if first is None or question is None or question.pk != doubt.question_id or not texts:
        raise Undecidable(
            _(
                "The survey has ended in the meantime, so this can no longer be its answer. Please choose one of the "
                "other two."
            )
        )
    *earlier, last = texts
    _read_as(earlier, Meaning.REPLY)
    if question.type.takes_words:
        last.text = "\n".join(text.text for text in texts)
    conversations.receive(doubt.account, first, last, is_decided=True)
    if last.meaning == Meaning.ANSWER:
        return _("It was taken as the answer, and the survey continues.")
    return _("It could not be read as an answer, so the question was asked again.")


def _read_as(texts: Iterable[InboundMessage], meaning: Meaning) -> None:
    for text in texts:
        text.meaning = meaning
        text.save(update_fields=["meaning"])


def _close(doubt: Doubt, decision: str, user: User | None = None) -> None:
    Doubt.objects.filter(pk=doubt.pk).update(decision=decision, decided_at=timezone.now(), decided_by=user)


# --- looking ----------------------------------------------------------------------------------------------------------


def texts_of(doubts: Iterable[Doubt]) -> dict[int, list[InboundMessage]]:
    """What was written, by doubt, in the order in which it came."""
    found: dict[int, list[InboundMessage]] = {doubt.pk: [] for doubt in doubts}
    rows = InboundMessage.objects.filter(doubt__in=list(found)).select_related("contact", "organization")
    for text in rows.order_by("received_at", "pk"):
        assert text.doubt_id is not None  # it was found by it
        found[text.doubt_id].append(text)
    return found

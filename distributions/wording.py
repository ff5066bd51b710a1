"""Plain words for what became of a message: states and reasons."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from distributions import states
from distributions.models import Conversation, InboundMessage, Message
from distributions.states import ANSWERABLE, STATES, Status
from extensions import categories
from intake.sentences import Sentence
from surveys.models import Answer, Question

REASONS: dict[str, str | Promise] = {
    Message.Skip.OPTED_OUT: _("This person has opted out."),
    Message.Skip.NO_NUMBER: _("There is no phone number for this person."),
    Message.Skip.DUPLICATE: _("Somebody else on the list has the same number."),
    Message.Skip.IN_DOUBT: _("A reply from this person may be an opt-out, and nobody had decided yet."),
    **categories.WORDS,
}

# Why nobody knows, where it is not that the provider's answer never came.
UNCERTAIN: dict[str, str | Promise] = {
    states.RESTORED: _(
        "The database was restored from a backup, which cannot know whether this text has been sent since. It is "
        "not sent again on its own."
    ),
    states.STOPPED: _(
        "The worker that was sending it was stopped, so the provider may or may not have it. It is not sent again on "
        "its own."
    ),
}

MEANING_BADGES: dict[str, str] = {
    InboundMessage.Meaning.ANSWER: "is-good",
    InboundMessage.Meaning.OPT_IN: "is-good",
    InboundMessage.Meaning.UNCLEAR: "is-warning",
    InboundMessage.Meaning.OPT_OUT: "is-warning",
    InboundMessage.Meaning.DOUBT: "is-warning",
}

CONVERSATION_BADGES: dict[str, str] = {
    Conversation.State.OPEN: "is-info",
    Conversation.State.COMPLETED: "is-good",
    Conversation.State.BROKEN_OFF: "is-warning",
    Conversation.State.OPTED_OUT: "is-warning",
}


def badge_of(status: str) -> str:
    """The CSS class that says at a glance whether a state is good or bad, "" if it is neither."""
    return STATES[status].badge if status in STATES else ""


def mark_of(inbound: InboundMessage) -> str:
    """What of a person's text deserves a second look, "" if nothing does."""
    return gettext("mentions a stop word") if inbound.mentions_stopping else ""


def why(code: str) -> str:
    """A reason in words, "" for one that has none."""
    return str(REASONS.get(code) or UNCERTAIN.get(code) or "")


def explain(status: str, reason: str) -> str:
    """What became of a message and why, in a sentence or two."""
    state, why = STATES[status].sentence if status in STATES else "", REASONS.get(reason, "")
    if status == Status.SKIPPED and why:
        return str(why)
    if status == Status.UNCERTAIN:  # its reason says no more than that no answer came
        return str(UNCERTAIN.get(reason, state))
    return f"{state} {why}".strip()


def told(error: str) -> tuple[str, str]:
    """Why, beside its category: in a sentence of ours, or in the provider's words."""
    return (error, "") if isinstance(error, Sentence) else ("", error)


def standing(message: Message, conversation: Conversation | None, replies: int) -> str:
    """Where a survey by text stands that began with this message; "" where nothing is to be expected."""
    if conversation is not None:
        return str(conversation.get_state_display())
    waits = message.status in ANSWERABLE and not replies
    return gettext("no reply yet") if waits else ""


def answer(question: Question, given: Answer) -> str:
    """An answer in words: choices by their labels, the rest as it is stored."""
    return question.type.shown(question.spoken(), given.value)

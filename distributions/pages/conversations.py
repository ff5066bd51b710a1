"""One text with its story or the conversation that it began, and the latest texts of one person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from contacts.models import Contact
from distributions import segments, services, wording
from distributions.engine.references import SALT, reference
from distributions.history import (
    answers_of,
    begun_with,
    carriers_of,
    contacts_of,
)
from distributions.models import Conversation, Distribution, InboundMessage, Message, MessageEvent
from distributions.pages.frame import HIDDEN, distribution_of, may_see_numbers, page
from distributions.pages.recipients import row
from distributions.states import Status
from intake.masking import mask_numbers, mask_words
from organizations.current import current_user
from organizations.permissions import missing_sms

State = Distribution.State
Method = Distribution.Method

OF_CONTACT = 20
TURNS = 200  # of ours and of theirs each, on the page of one person


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of a message's story."""

    at: datetime
    what: str
    detail: str = ""
    quoted: str = ""  # others' words, in whichever language they are


def _message_of(request: HttpRequest, pk: int, message_pk: int) -> Message:
    distribution = distribution_of(request, pk)
    rows = Message.objects.filter(distribution=distribution, pk=message_pk)
    found: Message | None = rows.select_related("conversation").annotate(salt=SALT).first()
    if found is None:
        raise Http404(_("There is no such message."))
    found.distribution = distribution
    return found


@require_safe
def show_message(request: HttpRequest, pk: int, message_pk: int) -> HttpResponse:
    """One message: its text, its story, and what came back. What a conversation goes on with is on the first's page."""
    message = _message_of(request, pk, message_pk)
    if message.conversation is not None:
        first = reverse("admin:distributions_distribution_message", args=[pk, message.conversation.message_id])
        return redirect(f"{first}#text-{message.pk}")
    user = current_user(request)
    whole = may_see_numbers(request)
    replies = list(message.replies.order_by("received_at", "pk")[:TURNS])
    events = list(message.events.all()[:200])
    if not whole:
        _hide(replies, events)
    carriers = carriers_of({message.account_id} if message.account_id else set())
    contact = contacts_of([message]).get(message.contact_id)
    begun = begun_with(message.distribution, [message]).get(message.pk)
    by_text = message.distribution.is_interactive
    return page(
        request,
        "message",
        title=_("One text") if not by_text else _("One conversation"),
        distribution=message.distribution,
        row=row(message, contact, carriers, whole_number=whole, replies=len(replies), begun=begun),
        length=segments.count(message.text),
        reference=reference(message.pk, getattr(message, "salt", None)),
        replies=replies,
        transcript=_transcript(message, begun, replies, whole=whole) if by_text else [],
        answers=_answers(begun) if whole else [],
        story=_story(message, events, [] if by_text else replies, begun),
        is_uncertain=message.status == Status.UNCERTAIN,
        missing=missing_sms(user),
    )


def _hide(replies: Iterable[InboundMessage], events: Iterable[MessageEvent] = ()) -> None:
    """What people wrote and which numbers providers name, for somebody who may not see it."""
    for reply in replies:
        reply.text = str(HIDDEN)
    for event in events:
        event.error = mask_words(event.error)


@dataclass(frozen=True, slots=True)
class Line:
    """A text of a conversation: ours if it has a message, else the person's."""

    at: datetime | None  # None: not sent so far, or never
    text: str
    read_as: str
    badge: str
    message: Message | None = None
    explanation: str = ""
    quoted: str = ""  # the provider's words
    mark: str = ""  # what of the person's text deserves a second look

    @property
    def is_uncertain(self) -> bool:
        return self.message is not None and self.message.status == Status.UNCERTAIN


UNDER_WAY = (Status.SENDING, Status.ACCEPTED, Status.SENT, Status.DELIVERED)  # in need of no explanation


def _why(message: Message) -> tuple[str, str]:
    """What became of it and why: in our words, and in the provider's."""
    ours, quoted = wording.told(message.error)
    return " ".join(filter(None, (wording.explain(message.status, message.reason), ours))), quoted


def _transcript(
    first: Message, begun: Conversation | None, replies: list[InboundMessage], *, whole: bool
) -> list[Line]:
    """What was said, in the order of time; what has not left comes last."""
    turns = list(begun.turns.order_by("pk")[:TURNS]) if begun else []
    if not whole:
        for turn in turns:
            turn.text, turn.error = mask_numbers(turn.text), mask_words(turn.error)
    lines = [
        Line(
            message.attempted_at,
            message.text,
            message.get_status_display(),
            wording.badge_of(message.status),
            message,
            *(("", "") if message is first or message.status in UNDER_WAY else _why(message)),
        )
        for message in (first, *turns)
    ]
    lines += [
        Line(
            reply.received_at,
            reply.text,
            reply.get_meaning_display(),
            wording.MEANING_BADGES.get(reply.meaning, ""),
            mark=wording.mark_of(reply),
        )
        for reply in replies
    ]
    now = timezone.now()
    return sorted(lines, key=lambda line: (line.at is None, line.at or now))


def _answers(begun: Conversation | None) -> list[tuple[str, str]]:
    """Each question that was answered, and the answer in words."""
    if begun is None or begun.response_id is None:
        return []
    given = answers_of([begun]).get(begun.response_id, [])
    return [(row.question.text, wording.answer(row.question, row)) for row in given]


def _story(
    message: Message, events: list[MessageEvent], replies: list[InboundMessage], begun: Conversation | None
) -> list[Moment]:
    """What happened, in the order in which it happened."""
    ended = _("The conversation ended: %(state)s.") % {"state": begun.get_state_display()} if begun else ""
    story = [
        Moment(at, what)
        for at, what in (
            (message.distribution.launched_at, _("The distribution was launched.")),
            (
                message.attempted_at,
                _("It was handed to the provider (attempt %(number)s).") % {"number": message.attempt},
            ),
            (message.accepted_at, _("The provider accepted it.")),
            (message.clicked_at, _("The person opened the link to the survey.")),
            (begun and begun.created_at, _("The person replied for the first time.")),
            (begun and begun.ended_at, ended),
        )
        if at
    ]
    labels = dict(Status.choices)
    for event in events:
        what = f"{MessageEvent.Source(event.source).label}: {labels.get(event.status, event.status)}"
        if event.part:
            what += " " + _("(part %(number)s)") % {"number": event.part}
        ours, quoted = wording.told(event.error)
        reason = " ".join(filter(None, (wording.why(event.category), ours)))
        story.append(Moment(event.at, what, reason, quoted))
    story += [Moment(reply.received_at, _("The person replied."), quoted=reply.text) for reply in replies]
    return sorted(story, key=lambda moment: moment.at)


@require_POST
def send_again(request: HttpRequest, pk: int, message_pk: int) -> HttpResponse:
    """Send an uncertain message once more: a person's decision, since it may arrive twice. Raises MissingRight."""
    message = _message_of(request, pk, message_pk)
    if services.send_again(message, current_user(request)):
        messages.success(request, _("The text is sent once more."))
    else:
        messages.info(request, _("Nothing was sent: it is known by now what happened to the text."))
    return redirect("admin:distributions_distribution_message", pk, message_pk)


# --- one person -------------------------------------------------------------------------------------------------------


@require_safe
def of_contact(request: HttpRequest, pk: int) -> HttpResponse:
    """The latest texts to and from a contact's number; part of the contact's page."""
    user = current_user(request)
    contact = Contact.objects.visible_to(user).filter(pk=pk).first()
    if contact is None:
        raise Http404(_("There is no such contact."))
    found, inbound = [], []
    if contact.phone:
        texts = Message.objects.filter(organization_id=contact.organization_id, to=contact.phone)
        found = list(texts.select_related("distribution").order_by("-pk")[:OF_CONTACT])
        inbound = list(InboundMessage.objects.visible_to(user).filter(_from(contact.phone))[:OF_CONTACT])
    whole = may_see_numbers(request)
    if not whole:
        _hide(inbound)
    return page(
        request,
        "_of_contact",
        contact=contact,
        rows=[row(message, contact, {}, whole_number=whole) for message in found],
        inbound=inbound,
    )


def _from(phone: str) -> Q:
    return Q(sender__in=[phone, phone.removeprefix("+")])  # some providers leave out the plus

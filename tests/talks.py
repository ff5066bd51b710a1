"""Conversations as they are stored, made directly: for tests of what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from django.db.models import F
from django.utils import timezone

from distributions.models import Conversation, Distribution, InboundMessage, Message, Tally
from surveys import conversation as engine
from surveys.models import Answer, Response

_ids = count(1)


def held(
    distribution: Distribution,
    message: Message,
    *,
    replies: Sequence[tuple[str, str]] = (),
    values: Sequence[str] = (),
    state: str = Conversation.State.OPEN,
    late: bool = False,
) -> Conversation:
    """A conversation that began with `message`: `replies` as (text, meaning), `values` as answers to the questions.

    After each answer the next question was texted a second later. `late`: the first reply came too late for a response.
    """
    began = message.attempted_at or timezone.now()
    response = None
    if not late:
        response = Response.objects.create(
            organization=distribution.organization, survey=distribution.survey, started_at=began
        )
    ended = None if state == Conversation.State.OPEN or late else began + timedelta(minutes=9)
    made = Conversation.objects.create(
        organization=distribution.organization,
        distribution=distribution,
        message=message,
        response=response,
        account=message.account,
        phone=message.to,
        state=state,
        expires_at=began + timedelta(hours=72),
        ended_at=ended,
        created_at=began,
    )
    questions = list(distribution.survey.questions.all())
    answered = [question for question in questions if question.kind != "statement"]
    for question, value in zip(answered, values, strict=False):
        assert response is not None
        Answer.objects.create(response=response, question=question, value=value, text=f"“{value}”")
    position = 0
    for minute, (text, meaning) in enumerate(replies, 1):
        at = began + timedelta(minutes=minute)
        InboundMessage.objects.create(
            organization=distribution.organization,
            account=message.account,
            provider_message_id=f"talk-{next(_ids)}",
            sender=message.to,
            text=text,
            meaning=meaning,
            message=message,
            received_at=at,
        )
        if meaning == InboundMessage.Meaning.ANSWER and position + 1 < len(answered):
            position += 1
            turn(made, engine.ask(answered[position].spoken()), attempted_at=at + timedelta(seconds=1))
    Tally.objects.filter(distribution=distribution).update(
        started=F("started") + int(not late),
        completed=F("completed") + int(state == Conversation.State.COMPLETED),
    )
    return made


def turn(conversation: Conversation, text: str, **fields: Any) -> Message:
    """What we said later in a conversation; delivered unless told otherwise."""
    fields = {"status": "delivered", "attempt": 1, "segments": 1, "account": conversation.account, **fields}
    return Message.objects.create(
        organization=conversation.organization,
        distribution=conversation.distribution,
        conversation=conversation,
        to=conversation.phone,
        text=text,
        **fields,
    )


def arrive() -> None:
    """What we have said so far reaches the people it was said to."""
    sent = {"status": "accepted", "attempt": 1, "attempted_at": timezone.now(), "provider_message_id": "x"}
    for queued in Message.objects.filter(conversation__isnull=False, status="queued").select_related("conversation"):
        assert queued.conversation is not None
        Message.objects.filter(pk=queued.pk).update(account=queued.conversation.account, **sent)

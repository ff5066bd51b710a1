"""What became of each text, as the page, the file and the API show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from contacts.exports import stamp
from contacts.models import Contact
from distributions import wording
from distributions.engine.references import reference
from distributions.models import Conversation, Distribution, Message
from distributions.sums import segments_sent
from extensions.models import ProviderAccount
from organizations.reading import again, pages
from surveys.models import Answer, Question

BATCH = 2_000  # rows of a file that are read at once
EXPORTED = gettext_noop("exported the history")
EXPORTED_ANSWERS = gettext_noop("exported the answers")


@dataclass(frozen=True, slots=True)
class Carrier:
    """Which account carried a message, as it is named in the history for good (R9, R26)."""

    name: str
    provider: str
    sender: str
    is_default: bool
    is_deleted: bool

    @classmethod
    def of(cls, account: ProviderAccount) -> Carrier:
        return cls(
            account.name,
            account.provider_name,
            account.sender,
            account.organization_id is None,
            account.deleted_at is not None,
        )

    def __str__(self) -> str:
        if self.is_default:
            return _("default provider of this installation (%(provider)s)") % {"provider": self.provider}
        if self.is_deleted:
            return _("%(name)s (%(provider)s), since deleted") % {"name": self.name, "provider": self.provider}
        return f"{self.name} ({self.provider})"


def carriers_of(account_ids: set[int]) -> dict[int, Carrier]:
    accounts = ProviderAccount.objects.filter(pk__in=account_ids).defer("credentials")
    return {account.pk: Carrier.of(account) for account in accounts}


def contacts_of(found: Iterable[Message]) -> dict[int | None, Contact]:
    """Who the messages went to, by key; a contact that has been deleted since is missing."""
    return {**Contact.objects.in_bulk({message.contact_id for message in found if message.contact_id})}


def begun_with(distribution: Distribution, found: Iterable[Message]) -> dict[int, Conversation]:
    """The conversations that these messages began, by message."""
    if not distribution.is_interactive:
        return {}
    rows = Conversation.objects.filter(message_id__in=[message.pk for message in found])
    return {row.message_id: row for row in rows}


def answers_of(begun: Iterable[Conversation]) -> dict[int, list[Answer]]:
    """What was answered in these conversations, by response, in the order of the questions."""
    found: dict[int, list[Answer]] = {}
    given = Answer.objects.filter(response_id__in=[row.response_id for row in begun if row.response_id])
    for answer in given.select_related("question__survey").order_by("question__position", "question_id"):
        found.setdefault(answer.response_id, []).append(answer)
    return found


# --- files ----------------------------------------------------------------------------------------------------


HISTORY_COLUMNS = (
    "FirstName",
    "LastName",
    "ExternalDataReference",
    "Phone",
    "SurveyReference",
    "State",
    "Reason",
    "Explanation",
    "ProviderWords",
    "ProviderMessageID",
    "Account",
    "Provider",
    "Sender",
    "Segments",
    "SegmentsSent",
    "Cost",
    "Attempted",
    "Accepted",
    "Settled",
    "Clicked",
    "Conversation",
)


def history_rows(distribution: Distribution, carriers: dict[int, Carrier]) -> Iterator[tuple[Any, ...]]:
    """By contact: the index on (distribution, contact) is the order of sending too."""
    yield HISTORY_COLUMNS
    for found in pages(Message.objects.filter(distribution=distribution).defer("text"), key="contact_id", size=BATCH):
        contacts = again(partial(contacts_of, found))
        begun = again(partial(begun_with, distribution, found))
        sent = again(partial(segments_sent, found))
        for message in found:
            conversation = begun.get(message.pk)
            contact = contacts.get(message.contact_id)
            carrier = carriers.get(message.account_id or 0)
            yield (
                contact.first_name if contact else "",
                contact.last_name if contact else "",
                contact.external_reference if contact else "",
                message.to,
                reference(message.pk),
                message.status,
                message.reason,
                wording.explain(message.status, message.reason),
                message.error,
                message.provider_message_id,
                carrier.name if carrier else "",
                carrier.provider if carrier else "",
                carrier.sender if carrier else "",
                message.segments,
                sent[message.pk],
                0,  # with an account of one's own every message is shown at zero cost (R5)
                *(stamp(moment) for moment in (message.attempted_at, message.accepted_at, message.settled_at)),
                stamp(message.clicked_at),
                conversation.state if conversation else "",
            )


ANSWER_COLUMNS = ("FirstName", "LastName", "ExternalDataReference", "Phone", "State", "Started", "Ended")


def answer_rows(distribution: Distribution) -> Iterator[tuple[Any, ...]]:
    """Questions have the number that they have in the survey; a statement has no answer, and no column."""
    questions: dict[int, Question] = {}
    columns = []
    for number, question in enumerate(distribution.survey.questions.all(), 1):
        if question.type.is_asked:
            questions[question.pk] = question
            columns.append(f"Q{number}")
    yield (*ANSWER_COLUMNS, *columns)
    conversations = Conversation.objects.filter(distribution=distribution).select_related("message")
    for found in pages(conversations.defer("message__text"), size=BATCH):
        contacts, words = again(partial(_answers_of, found, questions))
        for conversation in found:
            contact = contacts.get(conversation.message.contact_id)
            yield (
                contact.first_name if contact else "",
                contact.last_name if contact else "",
                contact.external_reference if contact else "",
                conversation.phone,
                conversation.state,
                stamp(conversation.created_at),
                stamp(conversation.ended_at),
                *(words.get((conversation.response_id or 0, question_id), "") for question_id in questions),
            )


def _answers_of(
    found: list[Conversation], questions: dict[int, Question]
) -> tuple[dict[int | None, Contact], dict[tuple[int, int], str]]:
    """Who held these conversations, and what was answered in them by response and question."""
    contacts = contacts_of(conversation.message for conversation in found)
    response_ids = [conversation.response_id for conversation in found if conversation.response_id]
    words = {
        (given.response_id, given.question_id): wording.answer(questions[given.question_id], given)
        for given in Answer.objects.filter(response_id__in=response_ids)
    }
    return contacts, words

"""Every recipient of a distribution, and what became of each text: a page at a time, and as files."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count
from django.http import FileResponse, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from contacts import numbers
from contacts.exports import download
from contacts.models import Contact
from distributions import wording
from distributions.engine.tallies import column
from distributions.history import (
    EXPORTED,
    EXPORTED_ANSWERS,
    Carrier,
    answer_rows,
    begun_with,
    carriers_of,
    contacts_of,
    history_rows,
)
from distributions.models import Conversation, Distribution, InboundMessage, Message
from distributions.pages.frame import distribution_of, key_of, may_see_numbers, page
from distributions.states import Status
from intake.masking import mask_number, mask_numbers, mask_words
from intake.sentences import Sentence
from organizations import audit
from organizations.current import current_user
from organizations.permissions import require_sight

State = Distribution.State
Method = Distribution.Method

ROWS = 50  # per page


@dataclass(frozen=True, slots=True)
class Row:
    """One message in the history."""

    message: Message
    contact: Contact | None  # None where it has been deleted since
    person: str
    number: str
    explanation: str
    badge: str
    carrier: Carrier | None
    replies: int = 0
    conversation: str = ""  # where a survey by text stands
    conversation_badge: str = ""

    @property
    def is_quoted(self) -> bool:
        """Whether what is shown as the reason are the provider's own words, in whichever language they are."""
        return not isinstance(self.message.error, Sentence)


def row(
    message: Message,
    contact: Contact | None,
    carriers: dict[int, Carrier],
    *,
    whole_number: bool,
    replies: int = 0,
    begun: Conversation | None = None,
) -> Row:
    """The message as a row; without `whole_number` its texts show no number either."""
    if not whole_number:
        message.text, message.error = mask_numbers(message.text), mask_words(message.error)
    names = (contact.first_name, contact.last_name) if contact else ()
    by_text = message.distribution.is_interactive
    return Row(
        message,
        contact,
        " ".join(filter(None, names)) or _("without a name"),
        message.to if whole_number else mask_number(message.to),
        wording.explain(message.status, message.reason),
        wording.badge_of(message.status),
        carriers.get(message.account_id) if message.account_id else None,
        replies,
        wording.standing(message, begun, replies) if by_text else "",
        wording.CONVERSATION_BADGES.get(begun.state, "") if begun else "",
    )


@require_safe
def history(request: HttpRequest, pk: int) -> HttpResponse:
    """Every recipient, a page at a time in the order of sending. Pages follow each other by key, not by number."""
    distribution = distribution_of(request, pk)
    rows = Message.objects.filter(distribution=distribution, conversation=None)
    state = request.GET.get("state", "")
    if state in Status.values:
        rows = rows.filter(status=state) if _is_anybody_in(state, distribution) else rows.none()
    whole = may_see_numbers(request)
    number, wrong_number = request.GET.get("number", "").strip()[:40] if whole else "", ""
    if number:
        try:
            rows = rows.filter(to=_looked_for(number, distribution.organization.default_region))
        except numbers.InvalidNumber as error:
            rows, wrong_number = rows.none(), str(error)

    # By contact and not by the message's own key: the index on (distribution, contact) is the order of sending too.
    before, after = key_of(request, "before"), key_of(request, "after")
    if before:
        found = list(rows.filter(contact_id__lt=before).order_by("-contact_id")[: ROWS + 1])
        more_before, more_after = len(found) > ROWS, True
        found = found[:ROWS][::-1]
    else:
        found = list(rows.filter(contact_id__gt=after or 0).order_by("contact_id")[: ROWS + 1])
        more_before, more_after = bool(after), len(found) > ROWS
        found = found[:ROWS]
    contacts = contacts_of(found)
    begun = begun_with(distribution, found)
    for message in found:
        message.distribution = distribution
    replies = dict(
        InboundMessage.objects.filter(message_id__in=[message.pk for message in found])
        .values_list("message_id")
        .annotate(number=Count("pk"))
        .order_by()
    )
    carriers = carriers_of({message.account_id for message in found if message.account_id})
    query = request.GET.copy()
    query.pop("before", None)
    query.pop("after", None)
    return page(
        request,
        "history",
        title=_("Recipients"),
        distribution=distribution,
        rows=[
            row(
                message,
                contacts.get(message.contact_id),
                carriers,
                whole_number=whole,
                replies=replies.get(message.pk, 0),
                begun=begun.get(message.pk),
            )
            for message in found
        ],
        states=Status.choices,
        state=state,
        number=number,
        wrong_number=wrong_number,
        may_export=whole,  # and filter by number
        filtered=bool(state or number),
        query=query.urlencode(),
        before=found[0].contact_id if found and more_before else None,
        after=found[-1].contact_id if found and more_after else None,
    )


def _is_anybody_in(state: str, distribution: Distribution) -> bool:
    """Whether anybody's text is in this state, by the tally: else all of them would be read to find nobody."""
    tally = getattr(distribution, "tally", None)
    return tally is not None and getattr(tally, column(state)) > 0


def _looked_for(number: str, region: str) -> str:
    """The number as it is stored. Nobody is texted, so it may be one of abroad too. Raises InvalidNumber."""
    try:
        return numbers.read(number, region).e164
    except numbers.ForeignNumber:
        return numbers.read(number, region, with_country_code=True).e164


@require_safe
def history_file(request: HttpRequest, pk: int) -> FileResponse:
    """Every recipient as a file. Raises MissingRight."""
    distribution = _for_a_file(request, pk, EXPORTED)
    account_ids = distribution.chunks.values_list("account_id", flat=True).distinct()
    carriers = carriers_of({*account_ids, *([distribution.account_id] if distribution.account_id else [])})
    return download(f"{distribution.name}.csv", history_rows(distribution, carriers))


def _for_a_file(request: HttpRequest, pk: int, exported: str) -> Distribution:
    """The distribution about which a file is downloaded, which is written down. Raises MissingRight."""
    distribution = distribution_of(request, pk)
    require_sight(current_user(request))
    audit.record(exported, organization=distribution.organization, request=request, target=distribution)
    return distribution


@require_safe
def answers_file(request: HttpRequest, pk: int) -> FileResponse:
    """What people answered by text, a row for each of them. Raises MissingRight."""
    distribution = _for_a_file(request, pk, EXPORTED_ANSWERS)
    return download(f"{distribution.name}-{_('answers')}.csv", answer_rows(distribution))

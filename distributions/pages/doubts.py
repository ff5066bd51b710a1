"""The list of replies that somebody must decide about, and the decision. The rules are in `doubts`."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from distributions.models import Distribution, Doubt, InboundMessage
from distributions.pages.frame import key_of, page
from distributions.replies import doubts
from organizations.current import current_user
from organizations.permissions import require_sight, require_sms

ROWS = 25  # on a page
DECISIONS = (Doubt.Decision.OPT_OUT, Doubt.Decision.ANSWER, Doubt.Decision.NEITHER)


@dataclass(frozen=True, slots=True)
class Row:
    """One reply, or several of one person, and what it would answer."""

    doubt: Doubt
    texts: list[InboundMessage]
    person: str
    number: str
    distribution: Distribution | None
    question: str  # "" if no survey waits for an answer


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """What waits for a decision, the oldest first, a page at a time. Raises MissingRight."""
    user = current_user(request)
    require_sms(user)
    require_sight(user)  # nobody decides about what they may not read
    after = key_of(request, "after")
    waiting = Doubt.objects.visible_to(user).undecided()
    rows = waiting.filter(pk__gt=after).select_related("message__distribution", "question").order_by("pk")
    found = list(rows.defer("message__text", "message__distribution__message_text")[: ROWS + 1])
    shown = found[:ROWS]
    texts = doubts.texts_of(shown)
    return page(
        request,
        "doubts",
        title=_("Replies awaiting a decision"),
        rows=[_row(doubt, texts[doubt.pk]) for doubt in shown],
        total=waiting.count(),
        is_first=not after,
        after=shown[-1].pk if len(found) > ROWS else None,
    )


def _row(doubt: Doubt, texts: list[InboundMessage]) -> Row:
    contact = next((text.contact for text in reversed(texts) if text.contact is not None), None)
    names = (contact.first_name, contact.last_name) if contact else ()
    return Row(
        doubt,
        texts,
        " ".join(filter(None, names)),
        doubt.phone,
        doubt.message.distribution if doubt.message else None,
        doubt.question.text if doubt.question else "",
    )


@require_POST
def decide(request: HttpRequest, doubt: int) -> HttpResponse:
    """Opt out, answer or neither, once however often it is asked. Raises MissingRight."""
    user = current_user(request)
    require_sms(user)
    require_sight(user)  # nobody decides about what they may not read
    found = Doubt.objects.visible_to(user).select_related("organization").filter(pk=doubt).first()
    if found is None:
        raise Http404(_("There is no such reply."))
    decision = request.POST.get("decision", "")
    try:
        if decision not in DECISIONS:
            raise doubts.Undecidable(_("Choose one of the buttons beside the reply."))
        messages.success(request, doubts.decide(found, decision, user))
    except doubts.Undecidable as problem:
        messages.warning(request, str(problem))
    after = key_of(request, "after")
    response = redirect("admin:distributions_doubts")
    if after:
        response["Location"] += f"?after={after}"
    return response

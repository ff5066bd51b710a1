"""The last page before the launch, and the launch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from contacts.exports import download
from distributions import own_phone, segments, services
from distributions.models import Distribution, Message, WorkedOut
from distributions.pages.frame import distribution_of, may_see_numbers, page
from distributions.piping import Template
from distributions.planning import fingerprint, working_out
from distributions.planning.fingerprint import Difference, Fingerprint
from distributions.planning.review import recipients
from distributions.services import LaunchRefused
from intake.masking import mask_number, mask_numbers
from organizations.current import current_user
from organizations.permissions import missing_sms, require_sms
from surveys import conversation as engine

State = Distribution.State
Method = Distribution.Method

MANY_QUESTIONS = 3  # of a survey by text: more than these deserve a second look


@require_safe
def show_review(request: HttpRequest, pk: int) -> HttpResponse:
    """The last page before the launch."""
    distribution = distribution_of(request, pk)
    if distribution.state != State.DRAFT:
        return redirect("admin:distributions_distribution_change", pk)
    return _review_page(request, distribution)


def _review_page(
    request: HttpRequest,
    distribution: Distribution,
    reviewed: Fingerprint | None = None,
    changed: Sequence[Difference] = (),
    *,
    status: int = 200,
) -> HttpResponse:
    """The review as it is now; with `reviewed`, what differs from an earlier one stands above it.

    `changed` is what a launch has found to differ; of a long list no more is known so far.
    """
    prefetch_related_objects([distribution.survey], "questions")  # asked for by whoever looks for an obstacle
    known = working_out.look(distribution)
    if isinstance(known, WorkedOut):
        return page(
            request,
            "working_out",
            status=status,
            title=_("Review"),
            distribution=distribution,
            known=known,
            differences=changed,
            is_refused=reviewed is not None,
        )
    looked_at, list_version = known
    seen = fingerprint.of_review(looked_at, list_version)
    if not may_see_numbers(request):
        looked_at.examples = [(contact, mask_numbers(text)) for contact, text in looked_at.examples]
        looked_at.longest = mask_numbers(looked_at.longest)
    missing = missing_sms(current_user(request))
    template = Template(distribution.whole_text)
    return page(
        request,
        "review",
        status=status,
        title=_("Review"),
        address=reverse("admin:distributions_distribution_review", args=[distribution.pk]),
        distribution=distribution,
        review=looked_at,
        fingerprint=fingerprint.sign(seen),
        differences=fingerprint.differences(reviewed, seen) if reviewed else [],
        is_refused=reviewed is not None,
        missing=missing,
        later=distribution.send_at is not None and distribution.send_at > timezone.now(),
        has_links=template.has_survey_link or template.has_opt_out_link,
        source=f"distribution:{distribution.pk}",
        code_sent=own_phone.pending(current_user(request)),
        **_conversation_of(distribution),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a survey by text, as it is texted."""

    kind: str
    text: str
    length: segments.Segments
    hint: str = ""  # before it is asked again


def _conversation_of(distribution: Distribution) -> dict[str, Any]:
    """Everything that is asked by text, in order; nothing for a link."""
    if not distribution.is_interactive:
        return {}
    script = distribution.survey.script()
    texts = [(question, engine.ask(question)) for question in script.questions]
    number = sum(question.kind.is_asked for question in script.questions)
    return {
        "asked": [
            Asked(str(question.kind.label), text, segments.count(text), engine.hint(question) if script.retries else "")
            for question, text in texts
        ],
        "questions": number,
        "many_questions": number > MANY_QUESTIONS,
        "thank_you": script.thank_you,
        "broken_off": engine.broken_off(script),
        "over": engine.over(script),
    }


@require_safe
def skipped_file(request: HttpRequest, pk: int) -> FileResponse:
    """Who would be skipped and why, as a file. Raises MissingRight."""
    require_sms(current_user(request))
    distribution = distribution_of(request, pk)
    whole = may_see_numbers(request)
    labels = dict(Message.Skip.choices)

    def rows() -> Iterator[list[Any]]:
        yield ["FirstName", "LastName", "Phone", "ExternalDataReference", _("Reason")]
        for contact, reason in recipients(distribution):
            if reason:
                yield [
                    contact.first_name,
                    contact.last_name,
                    contact.phone if whole else mask_number(contact.phone),
                    contact.external_reference,
                    labels[reason],
                ]

    return download(f"{distribution.name}-{_('skipped')}.csv", rows())


@require_POST
def launch(request: HttpRequest, pk: int) -> HttpResponse:
    """Launch what was reviewed, once however often it is asked. Raises MissingRight."""
    distribution = distribution_of(request, pk)
    if distribution.state != State.DRAFT:
        return redirect("admin:distributions_distribution_change", pk)
    reviewed = fingerprint.read(request.POST.get("fingerprint", ""))
    if reviewed is None:
        messages.error(request, _("Nothing has been sent. Review it first: this is what would be sent."))
        return redirect("admin:distributions_distribution_review", pk)
    try:
        services.launch(distribution, current_user(request), reviewed)
    except services.Changed as changed:
        request._distribution = None  # type: ignore[attr-defined]  # it is read anew
        distribution = distribution_of(request, pk)
        if distribution.state == State.DRAFT:
            working_out.forget(pk)
            return _review_page(request, distribution, reviewed, changed.differences, status=409)
    except LaunchRefused as refusal:
        messages.error(request, refusal.sentence)
        return redirect("admin:distributions_distribution_review", pk)
    return redirect("admin:distributions_distribution_change", pk)

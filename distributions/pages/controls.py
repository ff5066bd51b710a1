"""What can be done with a distribution that has been launched or planned, by a button each."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_POST

from distributions import services
from distributions.models import Distribution
from distributions.pages.frame import distribution_of, number_in
from distributions.pages.progress import progress_page
from distributions.planning import editing, fingerprint
from distributions.services import LaunchRefused
from extensions.routing import NoRoute
from organizations import audit
from organizations.current import current_user
from organizations.models import User
from organizations.permissions import require_sms

State = Distribution.State
Method = Distribution.Method

COPIED = gettext_noop("copied")


@require_POST
def take_over(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer for a held distribution and let it begin, as it was looked at. Raises MissingRight.

    From the home page it is one click that knows of the problem alone: where more has changed, it is looked at first.
    """
    user = current_user(request)
    require_sms(user)
    distribution = distribution_of(request, pk)
    people = number_in(request.POST.get("people", ""))
    reviewed = fingerprint.read(request.POST.get("fingerprint", ""))
    if reviewed is None and distribution.needs_somebody and not services.says_everything(distribution):
        messages.warning(request, _("More than that has changed. Review it first: this is what would be sent now."))
        return redirect("admin:distributions_distribution_change", pk)
    try:
        services.take_over(distribution, user, people, reviewed)
    except services.Changed as refusal:
        request._distribution = None  # type: ignore[attr-defined]  # it is read anew
        distribution = distribution_of(request, pk)
        if distribution.needs_somebody:
            return progress_page(request, distribution, changed=refusal.differences, status=409)
    except LaunchRefused as refusal:
        messages.error(request, refusal.sentence)
    return redirect("admin:distributions_distribution_change", pk)


@require_POST
def edit_planned(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the clock of a planned distribution and change it. Raises MissingRight."""
    try:
        editing.begin(distribution_of(request, pk), current_user(request))
    except editing.Gone as gone:
        messages.error(request, str(gone))
        return redirect("admin:distributions_distribution_change", pk)
    return redirect("admin:distributions_distribution_edit", pk)


@require_POST
def keep(request: HttpRequest, pk: int) -> HttpResponse:
    """Leave a planned distribution as it was before somebody began to change it. Raises MissingRight."""
    try:
        editing.keep(distribution_of(request, pk), current_user(request))
    except editing.Gone as gone:
        messages.error(request, str(gone))
    return redirect("admin:distributions_distribution_change", pk)


def _doing(service: Callable[[Distribution, User], None]) -> Callable[[HttpRequest, int], HttpResponse]:
    @require_POST
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        service(distribution_of(request, pk), current_user(request))
        return redirect("admin:distributions_distribution_change", pk)

    return view


pause = _doing(services.pause)
resume = _doing(services.resume)
cancel = _doing(services.cancel)


@require_POST
def send_the_rest(request: HttpRequest, pk: int) -> HttpResponse:
    """Through the account that is in use now, from whichever number. Raises MissingRight."""
    try:
        services.send_the_rest(distribution_of(request, pk), current_user(request))
    except NoRoute as refusal:
        messages.error(request, refusal.reason)
    return redirect("admin:distributions_distribution_change", pk)


@require_POST
def copy(request: HttpRequest, pk: int) -> HttpResponse:
    """A new draft with the same method, recipients, survey and text. Raises MissingRight."""
    user = current_user(request)
    require_sms(user)
    old = distribution_of(request, pk)
    new = Distribution.objects.create(
        organization=old.organization,
        name=_("Copy of %(name)s")[:100] % {"name": old.name[:80]},
        survey=old.survey,
        contact_list=old.contact_list,
        method=old.method,
        message_text=old.message_text,
        created_by=user,
    )
    audit.record(COPIED, organization=old.organization, request=request, target=old)
    return redirect("admin:distributions_distribution_edit", new.pk)

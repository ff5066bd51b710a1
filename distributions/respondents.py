"""What respondents see: the personal link to the survey, and the way to opt out. No log-in, no script, no cookie."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import get_supported_language_variant, parse_accept_lang_header
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from contacts.models import OptOut
from contacts.opt_outs import opt_out as stop
from distributions.engine import tallies
from distributions.engine.references import message_id_of, opt_out_message_id_of, reference
from distributions.models import Message
from distributions.replies import conversations
from organizations import clock
from organizations.models import Organization

# Programs that open a link to show a preview or to check it: they are led to the survey, and not counted as people.
ROBOTS = re.compile(
    r"(?<!cu)bot\b|crawl|spider|preview|facebookexternalhit|whatsapp|slack|telegram|discord|skype|linkedin|pinterest|"
    r"viber|embedly|vkshare|safelinks|urlscan|virustotal|barracuda|mimecast|proofpoint|headless|"
    r"curl|wget|python|java/|go-http|okhttp|libwww|httpclient|axios|node-fetch",
    re.IGNORECASE,
)
PREFETCHES = ("prefetch", "preview", "prerender")


def is_robot(request: HttpRequest) -> bool:
    """Whether a program rather than a person seems to ask."""
    agent = request.headers.get("User-Agent", "")
    purpose = " ".join(request.headers.get(name, "") for name in ("Purpose", "Sec-Purpose", "X-Purpose", "X-Moz"))
    return not agent or bool(ROBOTS.search(agent)) or any(word in purpose.lower() for word in PREFETCHES)


def language_for(request: HttpRequest, organization: Organization | None) -> str:
    """The first of the reader's languages that we speak, else the organisation's."""
    for language, _weight in parse_accept_lang_header(request.headers.get("Accept-Language", "")):
        try:
            return get_supported_language_variant(language)
        except LookupError:
            continue
    return organization.language if organization else settings.LANGUAGE_CODE


View = Callable[[HttpRequest, str], HttpResponse]
TEST = "test"  # the end of the opt-out link in a test to oneself (pages/to_myself.py): shorter than any token

# Phones take what stands behind a link in the text for a part of it: a full stop, a bracket, a quotation mark, a slash.
TOKEN = re.compile(r"[0-9A-Za-z]+")


def private(view: View) -> View:
    """The address is a secret of one person: nothing keeps the page, nobody is told where its reader comes from."""

    @wraps(view)
    def wrapped(request: HttpRequest, token: str) -> HttpResponse:
        found = TOKEN.search(token)
        response = view(request, found.group() if found else "")
        response["Cache-Control"] = "no-store, private"
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex, nofollow"
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return wrapped


def page(
    request: HttpRequest, template: str, organization: Organization | None = None, *, status: int = 200
) -> HttpResponse:
    """A page in the reader's language."""
    with translation.override(language_for(request, organization)):
        return render(request, f"respondents/{template}.html", {"organization": organization}, status=status)


def _message(message_id: int | None, *related: str) -> Message | None:
    if message_id is None:
        return None
    found: Message | None = Message.objects.select_related(*related).filter(pk=message_id).first()
    return found


@require_safe
@private
def follow_link(request: HttpRequest, token: str) -> HttpResponse:
    """Lead a person to the survey with their reference; the first time is counted."""
    message = _message(message_id_of(token), "distribution__survey", "distribution__organization")
    if message is None:
        return page(request, "unknown", status=404)
    distribution = message.distribution
    has_ended = distribution.link_expires_at and distribution.link_expires_at <= clock.read()
    if has_ended or not distribution.survey.url:
        return page(request, "expired", distribution.organization, status=410)
    if request.method == "GET" and message.clicked_at is None and not is_robot(request):
        _count_click(message)
    return HttpResponseRedirect(distribution.survey.address_for(reference(message.pk)))


def _count_click(message: Message) -> None:
    """Once per message, however many clicks come at once."""
    with transaction.atomic():
        if Message.objects.filter(pk=message.pk, clicked_at=None).update(clicked_at=timezone.now()):
            tallies.add(message.distribution_id, clicked=1)


@csrf_exempt  # the address itself is the secret, and people without cookies may opt out too
@require_http_methods(["GET", "HEAD", "POST"])
@private
def opt_out(request: HttpRequest, token: str) -> HttpResponse:
    """Ask, since programs open links too; stop all texts to this number only when the button is pressed."""
    if token == TEST:
        return page(request, "test_link")
    message = _message(opt_out_message_id_of(token), "distribution__organization")
    if message is None or not message.to:
        return page(request, "unknown", status=404)
    organization = message.distribution.organization
    if request.method == "POST":
        stop(organization, message.to, OptOut.Source.LINK, evidence=message.distribution.public_id)
        conversations.stop(organization, message.to)
        return page(request, "opted_out", organization)
    return page(request, "opt_out", organization)

"""The phones of the simulated people, in the demonstration: what has arrived, and a box to answer.

There is no such page outside it. What somebody answers goes the way of every reply: to the simulated provider, and from
there as its signed callback.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from extensions import registry
from organizations.current import current_user
from organizations.models import Organization
from organizations.permissions import require_sight

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
TIMEOUT = 5.0  # seconds
MOST = 12  # phones on the page
LONGEST = 1_600  # characters of an answer


class Silent(Exception):
    """The simulator does not answer; the text says so to the reader."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text on a phone."""

    text: str
    at: datetime
    is_theirs: bool  # written there


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone that has had texts from one of the organisation's numbers."""

    number: str
    provider: str
    account: str
    ours: str
    texts: list[Text]

    @property
    def provider_name(self) -> str:
        provider = registry.find(self.provider)
        return provider.name if provider else self.provider

    @property
    def can_answer(self) -> bool:
        """Nobody can answer a name."""
        return self.ours.lstrip("+").isdigit() or self.ours.startswith("MG")

    @property
    def id(self) -> str:
        return f"phone-{self.provider}-{self.number.lstrip('+')}"


def is_shown() -> bool:
    """Only in a demonstration, whose simulator is on this machine."""
    return bool(_simulator())


def _simulator() -> str:
    """The simulator's own address, "" where there is none on this machine."""
    bases = {base.rstrip("/").rpartition("/")[0] for base in settings.PROVIDER_BASE_URLS.values()}
    url = next(iter(bases)) if len(bases) == 1 else ""
    return url if urlsplit(url).hostname in LOOPBACK else ""


def _ask(path: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """Raises Silent with the simulator's own words, or with ours where it says nothing."""
    body = None if values is None else json.dumps(values).encode()
    request = urllib.request.Request(f"{_simulator()}/_/{path}", body)  # noqa: S310 (loopback)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise Silent(
                _("The simulated provider did not accept it: %(why)s") % {"why": _why(refusal.read())}
            ) from refusal
    except (OSError, ValueError) as error:
        raise Silent(_("The simulated providers do not answer. Is the demonstration still running?")) from error


def _why(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])[:200]
    except (ValueError, KeyError, TypeError):
        return "?"


def _phones(organization: Organization, search: str) -> list[Phone]:
    query = urlencode({"owner": organization.public_id, "most": MOST, "search": search})
    return [
        Phone(
            number=one["number"],
            provider=one["provider"],
            account=one["account"],
            ours=one["ours"],
            texts=[
                Text(text["text"], datetime.fromtimestamp(text["time"], UTC), text["is_theirs"])
                for text in one["texts"]
            ],
        )
        for one in _ask(f"phones?{query}")["phones"]
    ]


@require_http_methods(["GET", "HEAD", "POST"])
def show_phones(request: HttpRequest) -> HttpResponse:
    """The phones, the newest first; a POST answers from one of them. Whoever may see recipients may see them."""
    user = current_user(request)
    if not is_shown() or user.organization is None:
        raise Http404
    require_sight(user)
    search = request.GET.get("q", "")[:40]
    trouble = ""
    found: list[Phone] = []
    try:
        if request.method == "POST":
            return _answer(request, user.organization, search)
        found = _phones(user.organization, search)
    except Silent as silent:
        trouble = str(silent)
    context = {"phones": found, "trouble": trouble, "search": search, "title": _("Simulated phones")}
    if request.headers.get("HX-Target") == "phones":
        return TemplateResponse(request, "admin/_phones.html", context)
    return TemplateResponse(request, "admin/phones.html", {**admin.site.each_context(request), **context})


def _answer(request: HttpRequest, organization: Organization, search: str) -> HttpResponse:
    """Write from one of the organisation's phones, and go back to it. Raises Silent."""
    text = request.POST.get("text", "").strip()[:LONGEST]
    named = (request.POST.get("provider", ""), request.POST.get("account", ""), request.POST.get("number", ""))
    phone = next(
        (one for one in _phones(organization, named[2]) if (one.provider, one.account, one.number) == named), None
    )
    if phone is None or not phone.can_answer:
        raise Http404
    if text:
        values = {"provider": phone.provider, "account": phone.account, "from": phone.number}
        _ask("inbound", {**values, "to": phone.ours, "text": text})
    else:
        messages.warning(request, _("Write something first: an empty text is not sent."))
    query = f"?{urlencode({'q': search})}" if search else ""
    return redirect(f"{reverse('admin:phones')}{query}#{phone.id}")

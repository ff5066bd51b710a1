"""The webhook addresses: public, and always the same."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse
from django.http.request import HttpRequest, UnreadablePostError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from extensions import selftest
from extensions.contract import InvalidSignature, Unreadable, WebhookRequest
from intake.sentences import in_english
from webhooks import inbox
from webhooks.guesses import TooManyGuesses

MAX_BODY = 3 * 1024 * 1024  # bytes; some hand over up to 2,000 reports in one call, of 700 to 1,300 bytes each


class NoNegotiation(BaseContentNegotiation):
    """Providers ask for nothing in particular."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), "application/json"


class CallbackView(APIView):
    """Verify, keep, answer; a task does the work, so that a slow minute here times out no provider."""

    authentication_classes = ()  # the URL names the organisation, the provider's signature proves the sender
    permission_classes = (AllowAny,)
    throttle_classes = ()
    content_negotiation_class = NoNegotiation

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None: DRF's would overrule the Allow of a 405."""
        return {}

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Nothing: there is no log-in, permission, version or limit, which DRF would look for at each call."""

    def post(self, request: Request, kind: str, slug: str, organization_id: str) -> HttpResponse:
        return receive(request._request, kind, slug, organization_id)

    get = head = put = post  # which of them a provider uses is the provider's matter


def receive(request: HttpRequest, kind: str, slug: str, organization_id: str) -> HttpResponse:
    """The answer to a callback."""
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY:
            return said("too large", "Body too large.", 413)
        call = to_webhook_request(request)
    except (RequestDataTooBig, ValueError):
        return said("too large", "Body too large.", 413)
    except UnreadablePostError:
        return said("cut short", "Body not received.", 400)
    address = request.META.get("REMOTE_ADDR", "")
    # A call of our own that would be refused is not a stranger's: it is not counted, and its reason is told.
    finding = selftest.examine(call, kind) if call.header(selftest.ASKING) else None
    response = refused() if finding and finding.reason else keep(organization_id, slug, kind, call, address)
    if finding:
        response[selftest.FINDING] = finding.as_header()
    return response


def keep(organization_id: str, slug: str, kind: str, call: WebhookRequest, address: str) -> HttpResponse:
    """Verify and store the call, and answer what became of it."""
    try:
        kept = inbox.keep(organization_id, slug, kind, call, address=address)
    except inbox.UnknownAddress:
        return said("unknown", "Not found.", 404)
    except inbox.WrongMethod as wrong:
        response = said("wrong method", "", 405)
        response["Allow"] = ", ".join(wrong.allowed)
        return response
    except InvalidSignature:
        return refused()
    except TooManyGuesses as guesses:
        response = said("too many", "Too many wrong log-ins. Try again later.", 429)
        response["Retry-After"] = str(guesses.seconds)
        return response
    except Unreadable as unreadable:
        return said("unreadable", in_english(unreadable.reason), 400)
    except inbox.NotKept:
        response = said("busy", "Try again.", 503)
        response["Retry-After"] = "5"
        return response
    response = kept.provider.webhook_response(kind)
    response[selftest.OUTCOME] = "probe" if kept.account_id is None else selftest.KEPT
    return response


def said(outcome: str, text: str, status: int) -> HttpResponse:
    """An answer by which the self-test knows that it was this door that answered."""
    return HttpResponse(text, status=status, content_type="text/plain", headers={selftest.OUTCOME: outcome})


def refused() -> HttpResponse:
    """No hint of what was wrong; the challenge is for providers that authenticate only when asked."""
    response = said("refused", "Not authorised.", 401)
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django writes no line each: counting.py does at times
    response["WWW-Authenticate"] = 'Basic realm="webhook", charset="UTF-8"'
    return response


def to_webhook_request(request: HttpRequest) -> WebhookRequest:
    """The request as the provider signed it: raw body, and PUBLIC_URL instead of what a proxy made of the host."""
    query = request.META.get("QUERY_STRING", "")
    url = f"{settings.PUBLIC_URL}{request.path}" + (f"?{query}" if query else "")
    return WebhookRequest(
        method=request.method or "", url=url, headers=dict(request.headers.items()), body=request.body
    )

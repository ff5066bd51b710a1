"""What must be right about every request before a view sees it, and about the page's policy after."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

# The admin's look runs Alpine.js, which evaluates the expressions in its attributes, and sets inline styles (unfold's
# issues 1535 and 2129 decline to change it). Inline scripts stay forbidden there too.
ADMIN_POLICY = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


class AdminPolicyMiddleware:
    """Relaxes the Content-Security-Policy for the admin site only; a view's own policy wins."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/admin/") and not hasattr(response, "_csp_config"):
            response._csp_update = ADMIN_POLICY  # type: ignore[attr-defined]  # read by csp.middleware
        return response


class ClientAddressMiddleware:
    """Behind our own proxies, REMOTE_ADDR becomes the address that the outermost of them has seen.

    Each of TRUSTED_PROXIES adds the address of its caller on the right of CLIENT_ADDRESS_HEADER; what stands further
    left is the client's own word. Where that place holds no address, REMOTE_ADDR stays the nearest proxy's.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECURE_PROXY_SSL_HEADER:
            places = request.headers.get(settings.CLIENT_ADDRESS_HEADER, "").split(",")
            if 0 < settings.TRUSTED_PROXIES <= len(places):
                address = read_address(places[-settings.TRUSTED_PROXIES])
                request.META["REMOTE_ADDR"] = address or request.META.get("REMOTE_ADDR", "")
        return self.get_response(request)


def read_address(text: str) -> str:
    """An IP address as proxies write it, with or without a port; "" if it is none.

    An IPv4 address in the clothes of IPv6 is IPv4. A zone (fe80::1%eth0) means nothing outside its machine.
    """
    found = re.fullmatch(r"\[([^\]]+)\](?::\d{1,5})?|(\d+(?:\.\d+){3})(?::\d{1,5})?|([^\[\]]*)", text.strip())
    try:
        address = ipaddress.ip_address(next(filter(None, found.groups()))) if found else None
    except (ValueError, StopIteration):
        return ""
    if address is None or getattr(address, "scope_id", None):
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


API = "/API/"
CALLBACKS = "/distribution-providers/"  # typed into the consoles of providers: it never changes
SLASHES = re.compile("/{2,}")


class ApiAddressMiddleware:
    """Addresses of the API are found with a slash at the end and with doubled ones, as its clients write them.

    No redirect: it would lose the body of a POST.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(API):
            tidy = SLASHES.sub("/", request.path_info).removesuffix("/")
            if len(tidy) > len(API):
                request.path = request.path.removesuffix(request.path_info) + tidy
                request.path_info = tidy
        return self.get_response(request)


class FragmentMiddleware:
    """What is asked for after the session has ended leads the whole page to the log-in and back.

    Of a part of a page, HTMX would follow the redirect and put the log-in page into the card. What a button has sent is
    not carried out after the log-in: the way back is to the page with the button, where what was written is still there
    (static/switchboard/keeping.js).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        leads_to = urlsplit(response.headers.get("Location", "")).path
        if not (300 <= response.status_code < 400 and leads_to == str(settings.LOGIN_URL)):
            return response
        back = f"{leads_to}?{urlencode({'next': page_around(request)})}"
        if is_fragment(request):
            return HttpResponseClientRedirect(back)
        if request.method == "POST" and request.headers.get("Referer"):
            response.headers["Location"] = back
        return response


def is_fragment(request: HttpRequest) -> bool:
    """Whether HTMX asks for a part of the page that is shown."""
    return request.headers.get("HX-Request") == "true"


def page_around(request: HttpRequest) -> str:
    """The address of the page whose part is asked for, without its host."""
    shown = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer", ""))
    path = shown.path if shown.path.startswith("/admin/") else reverse("admin:index")
    return f"{path}?{shown.query}" if shown.query and path == shown.path else path

"""What must be right about every request before a view sees it, and about the page's policy after."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Callable

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.conf import settings
from django.http import HttpRequest, HttpResponse

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
    """Behind our own TLS proxy, REMOTE_ADDR becomes the address the proxy saw: the last one it appended."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        if settings.SECURE_PROXY_SSL_HEADER and forwarded:
            with contextlib.suppress(ValueError):  # not an address: keep the proxy's own, which is true at least
                request.META["REMOTE_ADDR"] = str(ipaddress.ip_address(forwarded))
        return self.get_response(request)


API = "/API/"
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

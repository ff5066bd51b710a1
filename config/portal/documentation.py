"""The documentation under /docs/, where it was built (`make docs`)."""

from __future__ import annotations

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import get_language
from django.views.decorators.http import require_safe
from django.views.static import serve

SITE = settings.BASE_DIR / "site"
GERMAN = "de"  # the folder of the site with the guides in German


def address() -> str:
    """Where the documentation begins, in the reader's language; "" where it was not built."""
    if not (SITE / "index.html").exists():
        return ""
    return f"/docs/{GERMAN}/index.html" if get_language() == GERMAN else "/docs/index.html"


# The theme's pages have scripts and styles of their own in them. Nothing that anybody has typed in is among them.
@require_safe
@csp_update({"script-src": [SELF, UNSAFE_INLINE], "style-src": [SELF, UNSAFE_INLINE]})  # type: ignore[arg-type]
def page(request: HttpRequest, path: str) -> HttpResponseBase:
    """One file of the site. Anybody may read it: it says nothing about an installation."""
    if not path:
        if not address():
            raise Http404
        return HttpResponseRedirect(address())
    return serve(request, path, document_root=str(SITE))

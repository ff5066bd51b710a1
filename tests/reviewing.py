"""The last page before the launch, read and sent as a browser does it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from django.test import Client

BASE = "/admin/distributions/distribution"


class _Form(HTMLParser):
    """The hidden fields of the form that launches; None where the page has no such form."""

    def __init__(self) -> None:
        super().__init__()
        self.address = ""
        self.fields: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form" and (found.get("action") or "").endswith("/launch/"):
            self.address, self._inside = found["action"] or "", True
        elif tag == "input" and self._inside and found.get("name"):
            self.fields[found["name"] or ""] = found.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def form_of(page: Any) -> dict[str, str]:
    """What the button *Send* of this page posts."""
    form = _Form()
    form.feed(page.text)
    assert form.address, "the page has no button to launch"
    return form.fields


def review(client: Client, pk: int) -> dict[str, str]:
    """Look at the review; what its button posts."""
    return form_of(client.get(f"{BASE}/{pk}/review/"))


def press(client: Client, pk: int, fields: dict[str, str], **extra: Any) -> Any:
    """Press the button of a review that was looked at before."""
    return client.post(f"{BASE}/{pk}/launch/", fields, **extra)


def send(client: Client, pk: int, **extra: Any) -> Any:
    """Look at the review and press its button."""
    return press(client, pk, review(client, pk), **extra)

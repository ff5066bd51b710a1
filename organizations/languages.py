"""The languages of the interface: those that have a folder in locale/ (config/settings.py finds them)."""

from __future__ import annotations

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LONGEST = 10  # characters of a code, such as zh-hans


def offered() -> list[tuple[str, str | Promise]]:
    """Code and name of each, as a field's choices. A function, so that a new language needs no migration."""
    return list(settings.LANGUAGES)


def offered_or_inherited() -> list[tuple[str, str | Promise]]:
    """As `offered`, with the choice to leave it to the organisation."""
    return [("", _("As the organisation")), *offered()]


def is_spoken(code: str) -> bool:
    return code in dict(settings.LANGUAGES)

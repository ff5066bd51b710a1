"""Icons are glyphs that a font makes of words (“auto_delete”): to the eye a bin, read aloud a word that means nothing.

unfold writes them without saying so, and each menu entry, button and field that has one would be announced with it.
"""

from __future__ import annotations

import re

from django.template import Origin
from django.template.loaders import app_directories

# The beginning of an element up to its first child: unfold's own conditions may hold a ">" within a tag.
SPOKEN_ICON = re.compile(r"<(span|i|div)\b(?=[^<]*material-symbols)(?![^<]*aria-hidden)")


def silent(template: str) -> str:
    """`template` with each of its icons kept from screen readers."""
    return SPOKEN_ICON.sub(r'<\1 aria-hidden="true"', template)


class Loader(app_directories.Loader):
    """Reads the templates of installed packages; in our own, who writes an icon hides it, and a test looks."""

    def get_contents(self, origin: Origin) -> str:
        return silent(super().get_contents(origin))

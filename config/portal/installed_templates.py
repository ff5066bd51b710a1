"""What is put right in the templates of installed packages as they are read, so that none has to be copied for it."""

from __future__ import annotations

import re

from django.template import Origin
from django.template.loaders import app_directories

# Icons are glyphs that a font makes of words (“auto_delete”): to the eye a bin, read aloud a word that means nothing.
# This is the beginning of such an element up to its first child: unfold's conditions may hold a ">" within a tag.
SPOKEN_ICON = re.compile(r"<(span|i|div)\b(?=[^<]*material-symbols)(?![^<]*aria-hidden)")
# 200 KB that each page of unfold's reads before it shows anything. No page of ours has a chart.
CHARTS = re.compile(r"""<script src="\{% static ['"]unfold/js/chart/chart\.js['"] %\}"></script>""")


def silent(template: str) -> str:
    """`template` with each of its icons kept from screen readers."""
    return SPOKEN_ICON.sub(r'<\1 aria-hidden="true"', template)


def without_charts(template: str) -> str:
    """`template` without the library that draws charts."""
    return CHARTS.sub("", template)


class Loader(app_directories.Loader):
    """Reads the templates of installed packages; in our own, who writes an icon hides it, and a test looks."""

    def get_contents(self, origin: Origin) -> str:
        return without_charts(silent(super().get_contents(origin)))

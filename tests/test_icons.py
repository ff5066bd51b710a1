"""Icons are words that a font draws: none is read aloud, wherever a template has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import unfold
from django.conf import settings
from django.template import engines
from django.test import Client

from config.portal.installed_templates import silent
from organizations.models import User

ICON = re.compile(r"<[a-z]+\b[^<]*material-symbols[^<]*")
FOLDERS = (Path(settings.BASE_DIR) / "templates", Path(unfold.__file__).parent / "templates")


def written(source: str) -> list[str]:
    """The beginnings of elements that are icons, without the link to their font."""
    return [found for found in ICON.findall(source) if not found.startswith("<link")]


@pytest.mark.parametrize("folder", FOLDERS, ids=["ours", "unfold"])
def test_no_template_as_it_is_loaded_has_an_icon_that_is_read_aloud(folder: Path) -> None:
    loader = engines["django"].engine.template_loaders[0]
    icons = 0
    for path in sorted(folder.rglob("*.html")):
        for loaded in loader.get_template_sources(str(path.relative_to(folder))):
            if loaded.name != str(path):
                continue
            found = written(loaded.loader.get_contents(loaded))
            icons += len(found)
            assert [icon for icon in found if "aria-hidden" not in icon] == [], path
    assert icons > 5


@pytest.mark.parametrize(
    ("template", "loaded"),
    [
        (
            '<span class="material-symbols-outlined">add</span> Add',
            '<span aria-hidden="true" class="material-symbols-outlined">add</span> Add',
        ),
        (
            '<i class="{% if size > 2 %}big{% endif %} material-symbols-outlined">add</i>',
            '<i aria-hidden="true" class="{% if size > 2 %}big{% endif %} material-symbols-outlined">add</i>',
        ),
        ('<span class="material-symbols-outlined" aria-hidden="true">add</span>', None),
        ("<span>Add</span>", None),
        ('<link href="material-symbols/styles.css">', None),
    ],
)
def test_an_icon_is_kept_from_screen_readers(template: str, loaded: str | None) -> None:
    assert silent(template) == (loaded or template)


def test_the_menu_names_its_pages_and_nothing_else(administrator: User) -> None:
    client = Client()
    client.force_login(administrator)

    page = client.get("/admin/organizations/user/add/").text

    assert "auto_delete" in page
    assert "expand_more" in page  # a field's, which comes from the forms' templates
    assert [icon for icon in written(page) if "aria-hidden" not in icon] == []

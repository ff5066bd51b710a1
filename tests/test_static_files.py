"""Scripts, styles and fonts: asked for once, and anew when a release has changed them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import unfold
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.test import Client

from config import static_files
from tests import factories


@pytest.fixture(autouse=True)
def read_anew() -> None:
    static_files.version_of.cache_clear()


@pytest.mark.django_db
def test_a_page_names_its_files_with_their_version_and_a_browser_keeps_them_for_an_hour() -> None:
    page = Client().get("/admin/login/").content.decode()

    named = re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js|svg)[^"]*)"', page)
    assert len(named) > 10
    for address in named:
        assert re.fullmatch(r"/static/[\w./-]+\?v=[0-9a-f]{8}", address), address
        answer = Client().get(address)
        assert answer.status_code == 200, address
        assert answer.headers["Cache-Control"] == "max-age=3600, public"
        answer.close()


@pytest.mark.django_db
def test_no_page_loads_what_draws_charts_and_none_has_a_chart() -> None:
    """200 KB of unfold's that each page would read first; where they are wanted, they have to come back."""
    client = Client()
    client.force_login(factories.administrator())

    pages = [
        client.get(address).content.decode() for address in ("/admin/", "/admin/login/", "/admin/contacts/contact/")
    ]

    assert [page for page in pages if "chart.js" in page] == []
    skeleton = Path(unfold.__file__).with_name("templates").joinpath("unfold", "layouts", "skeleton.html")
    assert "chart.js" in skeleton.read_text()
    ours = [path.read_text() for path in Path("templates").rglob("*.html")]
    assert [text for text in ours if "<canvas" in text or "components/chart" in text] == []


def test_what_has_changed_has_another_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "page.css"
    monkeypatch.setattr(finders, "find", lambda _name: str(file))
    addresses = []

    for content in ("a {}", "b {}", "a {}"):
        file.write_text(content)
        static_files.version_of.cache_clear()
        addresses.append(static("switchboard/page.css"))

    assert addresses[0] == addresses[2] != addresses[1]


def test_a_file_that_is_not_there_has_an_address_without_a_version() -> None:
    assert static("switchboard/gone.css") == "/static/switchboard/gone.css"

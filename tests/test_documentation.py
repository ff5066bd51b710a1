"""The documentation is a site, built from the repository alone, without a dead link, and shown under /docs/."""

import re

import pytest
from django.core.management import CommandError, call_command

from config.ops.management.commands import build_docs
from config.portal import documentation
from extensions import registry
from tests.processes import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.xdist_group("documentation")]  # it is built once


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documentation") / "site"
    call_command("build_docs", to=folder)
    return folder


@pytest.fixture
def shown(site, monkeypatch):
    monkeypatch.setattr(documentation, "SITE", site)


def words(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_every_document_is_in_it(site):
    for name in (path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")):
        place = build_docs.MOVED.get(name, name.removeprefix("docs/"))
        assert name == "docs/README.md" or (site / place).with_suffix(".html").exists(), name


@pytest.mark.parametrize("provider", registry.all(), ids=lambda provider: provider.key)
def test_each_provider_has_its_page_with_the_words_of_its_form(site, provider):
    page = words((site / "administration" / "providers" / f"{provider.key}.html").read_text())
    for field in provider.Credentials.base_fields.values():
        assert str(field.label) in page
    for kind in ("status", "message"):
        assert (f"/receive/distribution/{kind}/{provider.slug}/" in page) == (kind in provider.calls())


def test_the_first_three_guides_are_there_in_german(site):
    for name in ("start", "administration/index", "versand", "administration/providers/sinch"):
        page = words((site / "de" / f"{name}.html").read_text())
        assert re.search(r"\b(Konto|Ihr Konto|Versenden)\b", page), name


def test_a_dead_link_stops_the_build(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(build_docs, "pages", lambda: [("index.md", "# One page\n\n[nowhere](nowhere.md)\n")])

    with pytest.raises(CommandError, match="errors"):
        call_command("build_docs", to=tmp_path / "site")

    assert "nowhere" in capfd.readouterr().err
    assert not (tmp_path / "site").exists()


def test_links_in_the_repository_lead_to_places_in_the_site():
    documents = {"ARCHITECTURE.md": "develop/architecture.md", "docs/backup.md": "operate/backup.md"}

    assert build_docs.linked("[a](../ARCHITECTURE.md#decisions)", "docs/backup.md", documents) == (
        "[a](../develop/architecture.md#decisions)"
    )
    assert (
        build_docs.linked("[nginx](../deploy/nginx.conf)", "docs/backup.md", documents) == "nginx (`deploy/nginx.conf`)"
    )
    assert build_docs.linked("    [a](b.md)\n", "docs/backup.md", documents) == "    [a](b.md)\n"


# --- under /docs/ -----------------------------------------------------------------------------------------------------


def test_anybody_may_read_it_in_their_language(client, shown):
    assert client.get("/docs/").headers["Location"] == "/docs/index.html"
    assert client.get("/docs/", headers={"Accept-Language": "de"}).headers["Location"] == "/docs/de/index.html"
    page = client.get("/docs/index.html")
    assert b"Bring your own SMS provider" in page.getvalue()
    for close in page._resource_closers:
        close()
    assert page.headers["Content-Type"].startswith("text/html")


def test_each_page_leads_to_it(client, administrator, shown):
    client.force_login(administrator)
    assert '<a href="/docs/index.html">Documentation</a>' in client.get("/admin/").content.decode()


def test_where_it_was_not_built_nothing_leads_to_it(client, administrator, monkeypatch, tmp_path):
    monkeypatch.setattr(documentation, "SITE", tmp_path)
    client.force_login(administrator)
    assert "/docs/" not in client.get("/admin/").content.decode()
    assert client.get("/docs/").status_code == 404


@pytest.mark.parametrize(
    "path", ["../manage.py", "..%2fmanage.py", "/etc/passwd", "no/such/page.html", "%00", "_static"]
)
def test_nothing_else_is_handed_out(client, shown, path):
    assert client.get(f"/docs/{path}").status_code in (400, 404)

"""The documentation as a site: the pages of `docs/`, the root's documents, and a page for each provider."""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from config.portal.documentation import SITE
from extensions import registry
from extensions.contract import Provider

# Where a document of the repository stands in the site; what else `docs/` has keeps its place.
MOVED = {
    "ARCHITECTURE.md": "develop/architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "develop/contributing.md",
    "SECURITY.md": "operate/security.md",
    "docs/asvs.md": "operate/asvs.md",
    "docs/backup.md": "operate/backup.md",
    "docs/connections.md": "operate/connections.md",
    "docs/glossary.md": "develop/glossary.md",
    "docs/permissions.md": "operate/permissions.md",
    "docs/privacy.md": "operate/privacy.md",
    "docs/requirements.md": "develop/requirements.md",
    "docs/upgrading.md": "operate/upgrading.md",
    "docs/watching.md": "operate/watching.md",
    "simulator/README.md": "develop/simulator.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
PROVIDERS = {"en": "administration/providers", "de": "de/administration/providers"}
CODE_BLOCK = re.compile(r"(?ms)^(?: {4}[^\n]*\n)+|^```.*?^```")


class Command(BaseCommand):
    help = "Builds the documentation that the web server shows under /docs/ (needs Sphinx: requirements-docs.txt)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", type=Path, default=SITE, help="folder of the finished pages (default: %(default)s)")

    def handle(self, *args: Any, to: Path, **options: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="switchboard-docs-") as folder:
            source, finished = Path(folder) / "source", Path(folder) / "finished"
            for place, text in pages():
                (source / place).parent.mkdir(parents=True, exist_ok=True)
                (source / place).write_text(text)
            shutil.copytree(settings.BASE_DIR / "docs" / "screenshots", source / "screenshots")
            shutil.copy(settings.BASE_DIR / "docs" / "site" / "conf.py", source)
            shutil.copytree(settings.BASE_DIR / "docs" / "site" / "_static", source / "_static")
            shutil.copy(settings.BASE_DIR / "static" / "switchboard" / "logo.svg", source)
            # A dead link is a warning, and a warning an error.
            command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
            command += [str(source), str(finished)]
            if subprocess.run(command, check=False).returncode:  # noqa: S603
                raise CommandError("The documentation has errors: they stand above.")
            shutil.rmtree(finished / ".doctrees", ignore_errors=True)
            shutil.rmtree(to, ignore_errors=True)
            shutil.copytree(finished, to)
        for path in [to, *to.rglob("*")]:  # nothing secret, and whoever installs need not be who runs it
            path.chmod(0o755 if path.is_dir() else 0o644)
        self.stdout.write(f"documentation: {len(list(to.rglob('*.html')))} pages in {to}")


def pages() -> Iterator[tuple[str, str]]:
    """Every source page with its place in the site, its links leading to places there."""
    base = settings.BASE_DIR
    documents = {name: place for name, place in MOVED.items() if (base / name).exists()}
    for path in sorted((base / "docs").rglob("*.md")):
        name = path.relative_to(base).as_posix()
        if name == "docs/README.md" or name in documents:
            continue
        documents[name] = (
            name.removeprefix("docs/").removeprefix("site/").replace("providers/", "develop/providers/", 1)
        )
    for name, place in documents.items():
        yield place, linked((base / name).read_text(), name, documents)
    for language, folder in PROVIDERS.items():
        for provider in registry.all():
            with translation.override(language):
                yield f"{folder}/{provider.key}.md", provider_page(provider)


def linked(text: str, name: str, documents: dict[str, str]) -> str:
    """The text of document `name` for its place in the site: links to code become its path, others lead on."""

    def lead(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        if "://" in target or target.startswith(("#", "mailto:")):
            return match[0]
        path, _sharp, anchor = target.partition("#")
        here = posixpath.dirname(documents[name])
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        if meant.startswith("docs/screenshots/"):
            place = meant.removeprefix("docs/")
        elif meant in documents:
            place = documents[meant]
        elif name.startswith("docs/site/"):
            return match[0]  # written for the site, where Sphinx finds it or says so
        else:
            return f"{words} (`{meant}`)" if words.strip("`") != meant else f"`{meant}`"
        return f"{mark}[{words}]({posixpath.relpath(place, here or '.')}{'#' if anchor else ''}{anchor})"

    blocks = CODE_BLOCK.findall(text)
    prose = CODE_BLOCK.split(text)
    return "".join(LINK.sub(lead, part) + block for part, block in zip(prose, [*blocks, ""], strict=True))


def provider_page(provider: type[Provider]) -> str:
    """What the portal's own pages say of a provider, in the language that is active."""
    _ = translation.gettext
    where = "https://<data centre>.…/distribution-providers/v1/receive/distribution/{}/{}/<organisation ID>"
    steps = str(provider.setup)
    for kind, mark in (("status", "{reports_url}"), ("message", "{inbound_url}")):
        steps = steps.replace(mark, f"`{where.format(kind, provider.slug)}`")
    at_the_provider = _("What to enter at %(name)s") % {"name": provider.name}
    in_the_form = _("Your account at %(name)s") % {"name": provider.name}
    lines = [f"# {provider.name}", "", str(provider.coverage), "", f"## {at_the_provider}", "", steps, ""]
    lines += [str(provider.webhook_check_note), "", f"## {in_the_form}", ""]
    fields = [(field.label, field.help_text) for field in provider.Credentials.base_fields.values()]
    for label, help_text in [*fields, (provider.sender_label, provider.sender_help)]:
        lines += [f"**{label}**", f": {' '.join(str(help_text).split()) or '–'}", ""]
    return "\n".join(lines)

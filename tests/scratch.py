"""A copy of the whole tree in which something is added that nobody wanted, to count what it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.mo", "var", "screenshots", "test-results")
CATALOGUE = "locale/de/LC_MESSAGES/django.po"
WITHIN = 250  # seconds


class Scratch:
    """The copy, and which of its files have been touched: `touched` is what an addition costs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT)
        shutil.copy(ROOT / ".env.example", self.root)
        for hidden in (".ci", ".github"):
            shutil.copytree(ROOT / hidden, self.root / hidden)
        (self.root / "docs" / "screenshots").symlink_to(ROOT / "docs" / "screenshots")
        self.touched: list[str] = []

    def add(self, path: str, content: str) -> None:
        """Write a new file."""
        assert not (self.root / path).exists(), f"{path} is there already"
        (self.root / path).write_text(content)
        self._touch(path)

    def insert(self, path: str, before: str, text: str) -> None:
        """Write something before the one place where `before` stands."""
        file = self.root / path
        whole = file.read_text()
        assert whole.count(before) == 1, f"{path} has {before!r} {whole.count(before)} times"
        file.write_text(whole.replace(before, text + before))
        self._touch(path)

    def translate(self, german: dict[str, str]) -> None:
        with (self.root / CATALOGUE).open("a") as file:
            for english, words in german.items():
                file.write(f'\nmsgid "{english}"\nmsgstr "{words}"\n')
        self._touch(CATALOGUE)

    def make_migration(self, app: str) -> None:
        folder = self.root / app / "migrations"
        before = set(folder.glob("*.py"))
        settings = {"ENV_FILE": os.devnull, "SECRET_KEY": "scratch", "FERNET_KEYS": "scratch"}
        self._run([sys.executable, "manage.py", "makemigrations", app], settings)
        (made,) = set(folder.glob("*.py")) - before
        self._touch(str(made.relative_to(self.root)))

    def prove(self, proof: Path) -> None:
        """Run a file of tests there, on SQLite, beside our own."""
        shutil.copy(proof, self.root / "tests" / f"test_{proof.name}")
        command = [sys.executable, "-m", "pytest", f"tests/test_{proof.name}", "-q", "-p", "no:cacheprovider"]
        said = self._run(command, {"TEST_DATABASE": "sqlite"})
        assert " passed" in said, said
        assert "left out" not in said, said

    def test(self, *arguments: str) -> str:
        """Run our own tests there; what pytest says. All must pass, or be skipped with a reason."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        return self._run(command, {}, within=2 * WITHIN)

    def write_table(self) -> None:
        self._run([sys.executable, "-m", "tests.provider_table"], {})

    def _run(self, command: list[str], environment: dict[str, str], *, within: float = WITHIN) -> str:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**kept, **environment},
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _touch(self, path: str) -> None:
        if path not in self.touched:
            self.touched.append(path)

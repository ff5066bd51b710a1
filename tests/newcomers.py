"""A provider under a new name: what somebody adds, as files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEVELS = Path(__file__).resolve().parent / "levels"
PROVIDER, CASES, SIMULATED = "extensions/providers/{}.py", "tests/providers/{}.toml", "simulator/providers/{}.py"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A copy of the provider `source` with all that has to be its own."""

    source: str
    key: str
    name: str
    slug: str
    is_simulated: bool = False

    def files(self) -> dict[str, str]:
        """The two new files, and a third where it is simulated: path -> content."""
        found = {PROVIDER: self._provider(), CASES: self._read(CASES, {"key": self.key})}
        if self.is_simulated:
            found[SIMULATED] = self._read(SIMULATED, {"    key": self.key})
        return {path.format(self.key): content for path, content in found.items()}

    def _provider(self) -> str:
        text = self._read(PROVIDER, {"    key": self.key, "    name": self.name, "    slug": self.slug})
        text = re.sub(r"^    aliases = .*$", "    aliases = ()", text, flags=re.MULTILINE)
        text = re.sub(r"^    keywords = .*$", f'    keywords = ("{self.name}",)', text, flags=re.MULTILINE)
        name = "".join(part.title() for part in self.key.split("_"))
        return re.sub(r"^class \w+\(Provider\)", f"class {name}(Provider)", text, flags=re.MULTILINE)

    def _read(self, path: str, own: dict[str, str]) -> str:
        """The source's file with these values in place of its own."""
        text = (ROOT / path.format(self.source)).read_text()
        for name, value in own.items():
            text, count = re.subn(rf"^{name} = \".*\"(?=\s)", f'{name} = "{value}"', text, flags=re.MULTILINE)
            assert count == 1, f"{path}: {name} stands there {count} times"
        return text


def level(name: str) -> dict[str, str]:
    """The two files of a made-up provider of a level, of which `tests/levels/` has an example each."""
    return {
        PROVIDER.format(name): (LEVELS / f"{name}.py").read_text(),
        CASES.format(name): (LEVELS / f"{name}.toml").read_text(),
    }

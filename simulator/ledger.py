"""What the simulated providers have accepted: one JSON line per text, on disk before the answer leaves."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Ledger:
    """An append-only file. Line n (from 1) is the n-th text accepted since the file began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends = array("Q")  # byte offset after each line
        existing = path.read_bytes() if path.exists() else b""
        position = 0
        while (newline := existing.find(b"\n", position)) >= 0:
            position = newline + 1
            self._ends.append(position)
        if position < len(existing):  # a line cut by a kill was never answered
            os.truncate(path, position)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, entries: list[dict[str, Any]]) -> None:
        """Write the entries with one system call; they outlive a kill of this process when this returns."""
        lines = [json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for entry in entries]
        block = memoryview(b"".join(lines))
        while block:
            block = block[os.write(self._file, block) :]
        end = self._ends[-1] if self._ends else 0
        for line in lines:
            end += len(line)
            self._ends.append(end)

    def since(self, number: int = 0) -> bytes:
        """The lines after line `number`, as they are on disk."""
        number = min(max(number, 0), len(self._ends))
        with self.path.open("rb") as file:
            file.seek(self._ends[number - 1] if number else 0)
            return file.read((self._ends[-1] if self._ends else 0) - file.tell())

    def entries(self, number: int = 0) -> Iterator[dict[str, Any]]:
        for line in self.since(number).splitlines():
            yield json.loads(line)

    def close(self) -> None:
        os.close(self._file)

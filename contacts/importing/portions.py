"""What was uploaded and what was read of it, piece by piece in the database, so that every worker can go on with it.

Each piece is compressed, then encrypted with the newest of FERNET_KEYS; it is gone when the file is imported, cancelled
or a day old.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator
from functools import cache
from typing import IO, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models import QuerySet

from contacts.models import ContactImport, ImportPortion

Kind = ImportPortion.Kind
NOT_READABLE = (InvalidToken, zlib.error)  # no key opens it, or it is none of ours
PIECE = 512 * 1024  # bytes of a file in one portion


def seal(content: bytes) -> bytes:
    """Compressed and encrypted, for the database alone."""
    token = _keys(tuple(settings.FERNET_KEYS)).encrypt(zlib.compress(content, 1))
    return base64.urlsafe_b64decode(token)  # without the third that the token's letters add


def unseal(sealed: bytes | memoryview) -> bytes:
    """What `seal` was given. Raises cryptography's InvalidToken where the key is another."""
    return zlib.decompress(_keys(tuple(settings.FERNET_KEYS)).decrypt(base64.urlsafe_b64encode(bytes(sealed))))


@cache
def _keys(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(secret))) for secret in secrets])


def _derived(secret: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=b"switchboard", info=b"imports").derive(secret.encode())


def keep(checked: ContactImport, kind: str, number: int, content: bytes) -> None:
    ImportPortion.objects.create(
        organization_id=checked.organization_id,
        contact_import=checked,
        kind=kind,
        number=number,
        content=seal(content),
    )


def keep_values(checked: ContactImport, kind: str, number: int, values: list[Any]) -> None:
    """Values that JSON can hold; nothing where there are none."""
    if values:
        keep(checked, kind, number, json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())


def pieces(checked: ContactImport, kind: str, *, below: int | None = None) -> Iterator[bytes]:
    """The portions of one kind, in order, each read as it is asked for; `below` ends them before that number."""
    portions = ImportPortion.objects.filter(contact_import=checked, kind=kind).order_by("number")
    portions = portions if below is None else portions.filter(number__lt=below)
    last = -1
    while found := portions.filter(number__gt=last).values_list("number", "content").first():
        last = found[0]
        yield unseal(found[1])


def values(checked: ContactImport, kind: str, *, below: int | None = None) -> Iterator[list[Any]]:
    """The values of each portion of a kind."""
    yield from map(read, pieces(checked, kind, below=below))


def read(piece: bytes) -> list[Any]:
    """The values that were kept as one portion."""
    found: list[Any] = json.loads(piece)
    return found


def has(checked: ContactImport, kind: str) -> bool:
    return ImportPortion.objects.filter(contact_import=checked, kind=kind).exists()


def forget(checked: ContactImport, *kinds: str) -> None:
    """Delete the portions of these kinds; without any, all."""
    portions = ImportPortion.objects.filter(contact_import=checked)
    (portions.filter(kind__in=kinds) if kinds else portions).delete()


def forget_all(imports: QuerySet[ContactImport]) -> None:
    ImportPortion.objects.filter(contact_import__in=imports).delete()


class Stream(io.RawIOBase):
    """The bytes of a kept file, one portion in memory at a time. `taken` is how many have been handed out."""

    def __init__(self, checked: ContactImport, kind: str) -> None:
        super().__init__()
        self._pieces = pieces(checked, kind)
        self._rest = memoryview(b"")
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        length = min(len(buffer), len(self._rest))
        buffer[:length] = self._rest[:length]
        self._rest = self._rest[length:]
        self.taken += length
        return length


def opened(checked: ContactImport, kind: str) -> tuple[IO[bytes], Stream]:
    """A kept file, to be read from its beginning, and the stream below, which knows how far that is."""
    raw = Stream(checked, kind)
    return io.BufferedReader(raw, 64 * 1024), raw


class Writer:
    """Keeps bytes that come in blocks of any size."""

    def __init__(self, checked: ContactImport, kind: str) -> None:
        self._checked, self._kind = checked, kind
        self._held = bytearray()
        self._number = 0
        self.length = 0

    def write(self, block: bytes) -> None:
        self._held += block
        self.length += len(block)
        while len(self._held) >= PIECE:
            self._flush(PIECE)

    def close(self) -> None:
        if self._held:
            self._flush(len(self._held))

    def _flush(self, length: int) -> None:
        keep(self._checked, self._kind, self._number, bytes(self._held[:length]))
        del self._held[:length]
        self._number += 1

"""Why a signature is wrong is looked into for some calls a second of each caller; a flood is judged by those.

To see whether a call was signed for another of our addresses costs more than to verify it. Who forges many would have
the right ones wait for that.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from extensions.contract import Fault, InvalidSignature

FREELY = 20  # refusals a second of one caller that are looked into
SECOND = 1.0
MOST = 10_000  # callers in the memory of one web process
FAULTS = (Fault.SECRET, Fault.ADDRESS)  # which of them it is can only be told by looking into it

Caller = tuple[str, str, str, str]  # organisation, path, route and address


@dataclass(slots=True)
class _Second:
    began: float
    refusals: int = 0
    fault: Fault = Fault.SECRET
    reason: str = ""


class Explanations:
    """What was found out about each caller's wrong signatures, in this second."""

    def __init__(self) -> None:
        self._seconds: dict[Caller, _Second] = {}
        self._lock = threading.Lock()

    def known(self, caller: Caller) -> InvalidSignature | None:
        """What it will be that is wrong with this caller's next call, if enough were looked into; None if not."""
        second = self._seconds.get(caller)
        if second is None or second.refusals < FREELY or time.monotonic() >= second.began + SECOND:
            return None
        return InvalidSignature(second.fault, second.reason)

    def add(self, caller: Caller, refusal: InvalidSignature) -> None:
        """One call was looked into, and this is what was wrong."""
        if refusal.fault not in FAULTS:
            return
        now = time.monotonic()
        with self._lock:
            second = self._seconds.get(caller)
            if second is None or now >= second.began + SECOND:
                if len(self._seconds) >= MOST:
                    self._seconds.clear()
                second = self._seconds[caller] = _Second(now)
            second.refusals += 1
            second.fault, second.reason = refusal.fault, refusal.reason


explanations = Explanations()

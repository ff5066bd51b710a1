"""The release before this one, taken out of the repository's history."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.processes import ROOT

PREVIOUS = "2777bbab44f017f0e905ddb261a99be9f9123a2a"  # 1.0.0


def unpack(folder: Path) -> bool:
    """Put its code into a folder. False if the history does not go back so far."""
    packed = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True)
    if packed.returncode:
        return False
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
    return True

"""Differential tests: what the providers' own SDKs send and accept, beside what we send and accept.

The SDKs are no dependency of ours. They live in an environment of their own (requirements-sdk.txt, `make sdk-venv`), in
which `<key>_sdk.py` runs: a question as JSON on its standard input, the SDK's answer as JSON on its standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SDK_PYTHON = Path(os.environ.get("SDK_PYTHON", FOLDER.parent.parent / ".venv-sdk" / "bin" / "python"))


@pytest.fixture(scope="session")
def ask():
    """`ask("twilio", messages=[…])` puts a question to the SDK of that provider and returns its answer."""

    def ask(key, **question):
        if not SDK_PYTHON.exists():
            pytest.skip("The SDKs are not installed: make sdk-venv, or SDK_PYTHON names an interpreter that has them.")
        done = subprocess.run(
            [SDK_PYTHON, FOLDER / f"{key}_sdk.py"],
            input=json.dumps(question, default=str),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask

"""What the browser tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _database_first(django_db_setup: None) -> None:
    """The test database is made before Playwright's loop runs: Django would refuse to make it beside one."""

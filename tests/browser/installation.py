"""For one installation that serves all tests of a module, each as an organisation of its own.

Starting web server, worker and simulator takes longer than most tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker


@contextmanager
def open_database(blocker: DjangoDbBlocker) -> Iterator[None]:
    """For a module's fixture `db`, in place of pytest-django's: open for the whole module, and emptied at its end.

    pytest-django makes a test database only if a test asks for a fixture of that name.
    """
    with pytest.MonkeyPatch.context() as patch, blocker.unblock():
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's loop is there already, or still
        yield
        call_command("flush", interactive=False, verbosity=0)
        connections.close_all()  # beside Playwright's loop there are others than without it

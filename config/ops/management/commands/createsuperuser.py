from __future__ import annotations

from django.contrib.auth.management.commands import createsuperuser

from organizations.commands import DatabaseCommand


class Command(DatabaseCommand, createsuperuser.Command):
    """Django's own, which makes a platform operator here; without tables it says what to run first."""

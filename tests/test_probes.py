"""Whether a web process lives and may be sent requests, as a platform asks it: by its address, without TLS."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from config.ops.probes import ALIVE, READY


@pytest.fixture(autouse=True)
def _in_production(settings):
    """Everybody else is sent to https, and a host that is not ours is refused."""
    settings.ALLOWED_HOSTS = ["surveys.example.com"]
    settings.SECURE_SSL_REDIRECT = True


def ask(path, method="get"):
    return getattr(Client(SERVER_NAME="10.0.0.7"), method)(path)


@pytest.fixture
def away(monkeypatch):
    """The database answers nothing."""

    def refuse(*_arguments, **_options):
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", refuse)
    monkeypatch.setattr(connection, "close", lambda: None)


@pytest.mark.parametrize("path", [ALIVE, READY])
def test_it_answers_by_any_name_and_without_tls(db, path):
    answer = ask(path)

    assert (answer.status_code, answer.content, answer["Cache-Control"]) == (200, b"ok", "no-store")
    assert ask(path, "head").status_code == 200
    assert ask("/admin/").status_code == 400


@pytest.mark.parametrize("path", [ALIVE, READY])
def test_it_is_only_read(db, path):
    answer = ask(path, "post")

    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def test_without_a_database_it_lives_and_is_not_ready(away):
    assert ask(ALIVE).status_code == 200
    answer = ask(READY)

    assert (answer.status_code, answer.content) == (503, b"the database is away")


def test_before_the_migrations_it_is_not_ready_and_afterwards_it_is(db):
    client = Client()
    applied = MigrationRecorder.Migration.objects.filter(app="webhooks").latest("pk")
    applied.delete()

    answer = client.get(READY)
    assert (answer.status_code, answer.content) == (503, b"migrations are missing: run manage.py migrate")

    MigrationRecorder(connection).record_applied(applied.app, applied.name)
    assert client.get(READY).status_code == 200


def test_nothing_else_is_answered(db):
    for path in ("/livez/", "/readyz/x", "/healthz"):
        assert ask(path).status_code != 200

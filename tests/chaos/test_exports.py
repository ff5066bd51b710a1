"""Exports are whole or not there, behind PgBouncer and while the database goes away: with the real web server."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from tests import factories
from tests.processes import PgBouncer, Web

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

PEOPLE = 20_000


@pytest.fixture
def export(start, pgbouncer):
    """Downloads a list of 20,000 people over HTTP; gives the status and the lines, None where not all of it came."""
    clinic = factories.organization()
    patients = factories.contact_list(clinic, PEOPLE)
    client = Client()
    client.force_login(factories.administrator(clinic))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    web = start(Web, DATABASE_URL=pgbouncer.database_url)
    address = f"{web.url}/admin/contacts/contactlist/{patients.pk}/export/"

    def download(_number=0):
        request = urllib.request.Request(address, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"})
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, response.read().decode("utf-8-sig").splitlines()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, None
        except http.client.IncompleteRead:
            return 200, None

    return download


def is_whole(lines):
    return lines[-1].startswith(f"# {PEOPLE} rows") and len(lines) == len(set(lines)) == PEOPLE + 2


def test_twelve_exports_at_once_behind_pgbouncer_are_all_whole(export):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(export, range(12)))

    assert [status for status, _lines in answers] == [200] * 12
    assert all(is_whole(lines) for _status, lines in answers)
    assert PgBouncer.CONNECTIONS < 12


def test_an_export_is_whole_or_not_there_while_connections_are_cut(export):
    whole = 0
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(export) for _copy in range(6)]
        while not all(download.done() for download in running):
            cut_all_connections()
    for download in running:
        status, lines = download.result()
        if status == 200:
            assert lines is not None
            assert is_whole(lines)
            whole += 1
        else:
            assert status >= 500
    # The machine's speed decides what is hit: a log-in that is being looked up is not repeated, a page of rows is.
    status, lines = export()
    assert (status, is_whole(lines)) == (200, True), whole


def cut_all_connections():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_sleep(0.1), pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

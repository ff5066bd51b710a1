"""What Switchboard runs on may be run, changed and handed on under its own licence; known advisories are asked for."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
from django.core.management import call_command

from config.ops import licences
from tests import advisories
from tests.processes import ROOT, free_port

# --- licences ---------------------------------------------------------------------------------------------------------


def test_each_locked_package_has_a_licence_that_goes_with_ours():
    found = licences.packages() + licences.packages(ROOT / "requirements-sentry.txt")

    assert len(found) > 50
    assert not [package for package in found if not package.is_allowed], "look at them, or choose another package"


def test_what_is_installed_is_what_is_locked():
    pinned = {found.name: str(found.specifier) for found in licences.locked()}

    assert {package.name: f"=={package.version}" for package in licences.packages()} == pinned


@pytest.mark.parametrize(
    ("said", "licence", "allowed"),
    [
        ({"License-Expression": "Apache-2.0 OR BSD-2-Clause"}, "Apache-2.0 OR BSD-2-Clause", True),
        ({"License-Expression": "GPL-3.0-only OR MIT"}, "GPL-3.0-only OR MIT", True),
        ({"License-Expression": "MIT AND GPL-3.0-only"}, "MIT AND GPL-3.0-only", False),
        ({"License-Expression": "(Apache-2.0 AND MIT)"}, "(Apache-2.0 AND MIT)", True),
        ({"License": "Apache 2.0"}, "Apache-2.0", True),
        ({"License": "mit"}, "MIT", True),
        ({"License": "Dual License", "Classifier": "License :: OSI Approved :: BSD License"}, "BSD", True),
        ({"Classifier": "License :: OSI Approved :: GNU Affero General Public License v3"}, "", False),
        ({"License": "Our own, ask us"}, "", False),
        ({"Classifier": "Topic :: MIT License"}, "", False),
        ({}, "", False),
    ],
)
def test_a_licence_is_read_as_packages_write_it_and_one_that_is_not_understood_is_not_allowed(said, licence, allowed):
    class Told(dict):
        def get_all(self, name):
            return [self[name]] if name in self else None

    assert licences.licence_of(Told(said)) == licence
    assert licences.is_allowed(licence) is allowed


def test_a_command_lists_them(capsys):
    call_command("licences")

    told = capsys.readouterr().out
    lines = [line.split() for line in told.splitlines()]
    assert ["django", "5.2.19", "BSD-3-Clause"] in [[line[0], "5.2.19", line[2]] for line in lines]
    assert "look at it" not in told


# --- advisories -------------------------------------------------------------------------------------------------------


@pytest.fixture
def osv():
    """https://osv.dev, as far as it is asked; `answer` makes its answer of the questions."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(self.server.answer(asked["queries"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    server.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_locked_package_is_asked_for_and_what_is_known_is_named(osv, capsys):
    asked = []

    def answer(queries):
        asked.extend(queries)
        known = {"django": {"vulns": [{"id": "PYSEC-2099-1"}]}}
        return {"results": [known.get(query["package"]["name"], {}) for query in queries]}

    osv.answer = answer
    assert advisories.main([], osv.url) == 1

    told = capsys.readouterr().out
    assert "django 5.2" in told
    assert "https://osv.dev/vulnerability/PYSEC-2099-1" in told
    assert "requirements.txt" in told
    names = {query["package"]["name"] for query in asked}
    assert {found.name for found in licences.locked()} <= names
    assert all(query["package"]["ecosystem"] == "PyPI" and query["version"] for query in asked)


def test_where_nothing_is_known_it_says_for_how_many_it_asked(osv, capsys):
    osv.answer = lambda queries: {"results": [{} for _query in queries]}

    assert advisories.main([], osv.url) == 0
    assert "locked packages were asked for: 0 advisories." in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["none", {"results": []}, {"error": "too many"}, ["no object"]])
def test_where_it_cannot_be_asked_it_says_so_and_is_a_failure_only_if_it_must_be(osv, capsys, answer):
    osv.answer = lambda _queries: answer
    url = f"http://127.0.0.1:{free_port()}/" if answer == "none" else osv.url

    assert advisories.main([], url) == 0
    assert "NOT ASKED" in capsys.readouterr().out
    assert advisories.main(["--must-ask"], url) == 2

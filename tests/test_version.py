"""One version, told by the command line, the foot of each page, the package's data and the change log."""

import re
import subprocess
import sys
import tomllib

import pytest

from config.version import VERSION
from tests.processes import ROOT, environment

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_the_command_line_tells_our_version_and_not_djangos(argument):
    answer = subprocess.run(
        [sys.executable, "manage.py", argument], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"Switchboard {VERSION}\n"


def test_each_page_tells_it_to_people_who_are_logged_in_and_to_nobody_else(client, administrator):
    assert VERSION not in client.get("/admin/login/").content.decode()
    client.force_login(administrator)
    assert f"Switchboard {VERSION}</footer>" in client.get("/admin/").content.decode()


def test_package_and_change_log_say_the_same():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    # What has been released has its number and day; what has not is the next one's, "dev" here.
    assert ("dev" in VERSION) == (newest == "Unreleased")
    assert "dev" in VERSION or newest.startswith(f"{VERSION}, ")

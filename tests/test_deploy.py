"""What `deploy/` ships works: the steps of the image in a bare folder, the units, the proxy in front (issue: Install).

There is no container engine where the tests run. So the image's steps are carried out in an empty folder, with what its
context lets in, and its programs are started there as the image starts them: without a right to write anything.
"""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from config.celery import app
from config.ops import programs
from tests.processes import ROOT, Process, free_port

pytestmark = pytest.mark.xdist_group("deploy")  # the image's folder is built once

BIN = Path(sys.executable).parent
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
PROGRAMS = set(PROCFILE) - {"release"}
# As the image does: nobody's rights, whoever runs the tests.
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if os.geteuid() == 0 else []


def checked(*command):
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout + outcome.stderr


# --- One list of programs ---------------------------------------------------------------------------------------------


def test_compose_and_systemd_run_every_program_of_the_procfile_and_no_other():
    services = {name: service["command"] for name, service in COMPOSE["services"].items() if "env_file" in service}
    units = re.findall(r"switchboard@(\w+)\.service", (DEPLOY / "systemd" / "switchboard.target").read_text())

    assert services == {name: [name] for name in PROCFILE}
    assert sorted(units) == sorted(PROGRAMS)


def test_a_program_that_is_unknown_is_said_with_those_there_are():
    outcome = subprocess.run([DEPLOY / "run", "sendr"], capture_output=True, text=True)

    assert outcome.returncode == 64
    assert "There is no program sendr" in outcome.stderr
    assert set(outcome.stderr.split()) >= PROGRAMS


def test_whoever_stops_a_worker_waits_for_the_answers_to_what_has_left(settings):
    """R60: the three places that a platform reads say what the settings make it (README says it too)."""
    needed = programs.worker_grace()
    workers = [name for name, command in PROCFILE.items() if " worker " in command]
    unit = (DEPLOY / "systemd" / "switchboard@.service").read_text()

    assert {COMPOSE["services"][name]["stop_grace_period"] for name in workers} == {f"{needed:.0f}s"}
    assert f"TimeoutStopSec={needed:.0f}\n" in unit
    assert "KillMode=mixed\n" in unit


def test_no_program_may_take_the_machines_whole_memory_or_write_where_it_should_not():
    for name in PROCFILE:
        service = COMPOSE["services"][name]
        assert service["mem_limit"], name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name


# --- The files as their linters see them ------------------------------------------------------------------------------


def test_compose_file_is_sound():
    checked(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


@pytest.mark.skipif(not (BIN / "hadolint").exists(), reason="hadolint's package has no program for this machine")
def test_containerfile_is_sound():
    checked(BIN / "hadolint", "deploy/Containerfile")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no `systemd-analyze` here")
def test_units_are_sound(tmp_path):
    """As systemd reads them, but for the folder and the user, which are not on this machine."""
    for unit in (DEPLOY / "systemd").iterdir():
        text = unit.read_text().replace("/opt/switchboard", str(ROOT)).replace("User=switchboard", "User=root")
        (tmp_path / unit.name).write_text(text.replace("Group=switchboard", "Group=root"))
    names = [f"switchboard@{name}.service" for name in PROGRAMS]
    for name in names:
        (tmp_path / name).symlink_to(tmp_path / "switchboard@.service")
    told = checked(
        "systemd-analyze", "verify", "--man=no", *[str(tmp_path / n) for n in [*names, "switchboard.target"]]
    )
    assert str(tmp_path) not in told, told  # a word it does not know is only a warning to systemd


@pytest.mark.nginx
def test_composes_proxy_is_the_shipped_one_with_other_names():
    """The service's command, with Compose's variable filled in; tests/test_bodies.py tries the file itself."""
    [_sh, _c, command] = COMPOSE["services"]["proxy"]["command"]
    changed = command.partition(" > ")[0].replace("$SERVER_NAME", "sms.example.org")
    text = checked("sh", "-c", changed.replace("/switchboard.conf", str(DEPLOY / "nginx.conf")))

    assert text.count("server_name sms.example.org;") == 2
    assert "server web:8000;" in text
    assert "ssl_certificate_key /certificates/privkey.pem;" in text
    for left in ("example.com", "127.0.0.1", "/etc/letsencrypt"):
        assert left not in re.sub(r"(?m)^#.*$", "", text)


# --- The image's steps, in a bare folder ------------------------------------------------------------------------------


class Program(Process):
    """One program of the Procfile, from another folder than the tests' and with no rights."""

    def __init__(self, log, name, folder, **variables):
        command = [*POWERLESS, str(folder / "deploy" / "run"), name]
        super().__init__(name, command, log, ENV_FILE="/dev/null", PYTHONDONTWRITEBYTECODE="1", **variables)


def context():
    """The files that get into the image: those in the repository that its list lets in."""
    lines = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    kept_out = [line for line in lines if line and line[0] not in "#!" and line != "*"]
    for name in checked("git", "ls-files").splitlines():
        if any(fnmatch.fnmatch(name.split("/")[0], p) for p in let_in) and not any(
            fnmatch.fnmatch(f"/{name}", f"*{p[2:]}") for p in kept_out
        ):
            yield name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder as the image has it, after the steps of its Containerfile; nothing in it can be written."""
    folder = tmp_path_factory.mktemp("image") / "switchboard"
    for name in context():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    stage = (DEPLOY / "Containerfile").read_text().split("\nFROM ")[1]
    steps = re.findall(r"^RUN (make .+)$", stage, re.MULTILINE)
    assert steps == ["make .venv/runtime", "make build"]
    bare = {
        name: os.environ[name] for name in ("PATH", "HOME", "PIP_INDEX_URL", "PIP_CONFIG_FILE") if name in os.environ
    }
    for step in steps:
        subprocess.run(step.split(), cwd=folder, env=bare, check=True, capture_output=True)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    yield folder
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]:
        path.chmod(path.stat().st_mode | 0o700)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.postgresql
def test_the_built_folder_runs_every_program_and_writes_only_where_it_is_told(built, start, tmp_path):
    """Acceptance: a bare folder → running with PostgreSQL and Valkey, read-only and without any right."""
    before, var = files_of(built), tmp_path / "var"
    var.mkdir(mode=0o700)
    where = {"VAR_DIR": str(var), "PORT": str(port := free_port()), "LISTEN": "127.0.0.1"}

    release = start(Program, "release", built, **where)
    release._popen.wait(60)
    assert release.stop() == 0, release.output()

    running = {name: start(Program, name, built, **where) for name in PROGRAMS}
    probe = [sys.executable, built / "deploy" / "probe.py", f"http://127.0.0.1:{port}/readyz"]
    running["web"].wait_until(lambda: subprocess.run(probe, capture_output=True).returncode == 0)
    for name in (name for name, command in PROCFILE.items() if " worker " in command):
        running[name].wait_until(lambda name=name: any(name in host for host in hosts()))
    running["beat"].wait_until(lambda: "beat: Starting" in running["beat"].output())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/admin/login/?next=/admin/") as page:
        styles = re.findall(r'href="(/static/[^"]+\.css[^"]*)"', page.read().decode())
    assert styles
    for style in styles:  # static files are in the image, without a step that collects them
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{style}") as answer:
            assert answer.status == 200

    for name, process in running.items():
        # Celery's beat may come upon the schedule that it has just closed: its status says nothing.
        assert process.stop() in (0, -15) or name == "beat", f"{name}: {process.output()}"
    assert files_of(built) == before
    assert {path.name.partition(".")[0] for path in var.iterdir()} <= {"beat"}


def hosts():
    return [host for answer in app.control.ping(timeout=0.5) for host in answer]


def test_the_image_speaks_german(built):
    assert list(built.glob("locale/de/LC_MESSAGES/*.mo"))


def test_no_secret_and_no_test_gets_into_the_image(built):
    assert not [name for name in files_of(built) if name.split("/")[0] in ("tests", "bench", "var", ".env", ".git")]

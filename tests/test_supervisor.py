"""One command runs everything and ends everything (issue: Ctrl-C within 10 s, no orphan, kill -9 included)."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from io import StringIO
from pathlib import Path

import pytest

from config.celery import app
from config.ops import programs
from config.ops.supervisor import NotReady, Program, Supervisor
from tests.processes import ROOT, free_port

FOREVER = "import time; time.sleep(600)"


@pytest.fixture
def output():
    return StringIO()


@pytest.fixture
def supervisor(tmp_path, output):
    """As the command has it; the test run gets its signal handlers back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Supervisor(environment=dict(os.environ), folder=tmp_path, output=output)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def program(name, code, *, stage=0, grace=5.0, ready=None):
    return Program(name, [sys.executable, "-u", "-c", textwrap.dedent(code)], stage=stage, grace=grace, ready=ready)


def notes_its_end(name):
    return f"""
        import pathlib, signal, sys, time
        def end(*_):
            with open("ended", "a") as file:
                file.write("{name}\\n")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        pathlib.Path("{name}-is-up").touch()
        time.sleep(600)
    """


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, within=20.0):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_programs_end_stage_by_stage(supervisor, tmp_path):
    with supervisor:
        for stage, name in ((3, "broker"), (1, "worker"), (0, "web")):
            up = tmp_path / f"{name}-is-up"
            supervisor.start(program(name, notes_its_end(name), stage=stage, ready=up.exists))

    assert (tmp_path / "ended").read_text().split() == ["web", "worker", "broker"]


def test_a_program_that_ignores_the_request_to_end_is_killed_after_its_grace(supervisor, tmp_path, output):
    up = tmp_path / "up"
    code = f"""
        import pathlib, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pathlib.Path({str(up)!r}).touch()
        time.sleep(600)
    """

    with supervisor:
        supervisor.start(program("deaf", code, grace=0.3, ready=up.exists))
        began = time.monotonic()

    assert time.monotonic() - began < 5
    assert "deaf is not done after 0 s and is killed" in output.getvalue()


BUSY = """
    import os, pathlib, signal, time
    def end(*_):
        pathlib.Path("asked").touch()
        time.sleep({seconds})
        pathlib.Path("finished").touch()
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    pathlib.Path("up").touch()
    time.sleep(600)
"""


def test_a_program_may_finish_what_is_under_way(supervisor, tmp_path, output):
    """A worker was once killed while its provider took eight seconds to answer."""
    with supervisor:
        supervisor.start(program("worker", BUSY.format(seconds=4), grace=40, ready=(tmp_path / "up").exists))

    assert (tmp_path / "finished").exists()
    assert "worker finishes what is under way, for 40 s at most; Ctrl-C again ends it now" in output.getvalue()


def test_a_second_ctrl_c_hurries(supervisor, tmp_path, output):
    """A repetition within a moment is the same one: a terminal, make and the shell may each pass it on."""

    def press_twice():
        wait_until((tmp_path / "asked").exists)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        assert is_running(supervisor._children[0].process.pid)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press_twice)
    began = time.monotonic()
    with supervisor:
        supervisor.start(program("worker", BUSY.format(seconds=30), grace=40, ready=(tmp_path / "up").exists))
        thread.start()
    thread.join()

    assert 1 < time.monotonic() - began < 15
    assert not (tmp_path / "finished").exists()
    assert "worker is ended at once" in output.getvalue()


def queues_of(command):
    """What a worker's command says after -Q; all of them without it."""
    words = command.split() if isinstance(command, str) else command
    return words[words.index("-Q") + 1].split(",") if "-Q" in words else [queue.name for queue in app.conf.task_queues]


def test_every_queue_is_served_by_one_worker_and_sending_and_receiving_by_their_own():
    """A reply does not wait behind texts that leave slowly, nor a launch behind somebody's file."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    procfile = {name: queues_of(line) for line in lines for name in [line.split(":")[0]] if " worker " in line}
    programs_of = {program.name: queues_of(program.command) for program in programs.workers(2)}

    assert procfile == programs_of
    served = [queue for queues in procfile.values() for queue in queues]
    assert sorted(served) == sorted(queue.name for queue in app.conf.task_queues)
    assert [procfile[name] for name in ("sender", "receiver", "preparer")] == [["send"], ["receive"], ["prepare"]]


def test_every_task_goes_to_a_queue_that_is_served():
    app.loader.import_default_modules()
    known = {queue.name for queue in app.conf.task_queues}
    routed = {name: app.amqp.router.route({}, name)["queue"].name for name in app.tasks}

    assert set(routed.values()) <= known
    assert routed["distributions.tasks.pump"] == "send"
    assert routed["webhooks.tasks.apply"] == "receive"
    assert set(app.conf.task_routes) <= set(app.tasks)


def test_the_worker_may_take_as_long_as_its_longest_request(settings):
    settings.SEND_TIMEOUT = 77

    assert programs.worker(2).grace > 77


def test_what_a_program_has_started_ends_with_it(supervisor, tmp_path):
    note = tmp_path / "grandchild"
    code = f"""
        import pathlib, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {FOREVER!r}])
        pathlib.Path({str(note)!r}).write_text(str(child.pid))
        time.sleep(600)
    """

    with supervisor:
        supervisor.start(program("parent", code, ready=lambda: note.exists() and bool(note.read_text())))
        grandchild = int(note.read_text())
        assert is_running(grandchild)

    wait_until(lambda: not is_running(grandchild))


def test_a_program_that_ends_is_started_again_later_each_time(supervisor, tmp_path, output):
    code = """
        with open("starts", "a") as file:
            file.write("started\\n")
        print("I am leaving")
        raise SystemExit(3)
    """
    starts = tmp_path / "starts"

    with supervisor:
        supervisor.start(program("fickle", code))
        wait_until(lambda: supervisor.watch(0.1) or "starts again in 4 s" in output.getvalue())

    assert starts.read_text().count("started") == 2
    assert "fickle      | I am leaving" in output.getvalue()
    assert "fickle ended with status 3, starts again in 2 s" in output.getvalue()


def test_a_program_that_does_not_start_is_named_with_its_last_words(supervisor):
    code = "raise SystemExit('the port is taken')"

    with pytest.raises(NotReady, match=r"web did not start:\nthe port is taken"), supervisor:
        supervisor.start(program("web", code, ready=lambda: False))


def test_killing_the_supervisor_leaves_no_orphan(tmp_path):
    """Not even SIGKILL does, of which the supervisor learns nothing."""
    script = f"""
        import os, pathlib, sys
        from config.ops.supervisor import Program, Supervisor
        with Supervisor(environment=dict(os.environ), folder=pathlib.Path.cwd()) as supervisor:
            for name in ("a", "b"):
                code = f"import os, time; open('{tmp_path}/{{name}}.pid', 'w').write(str(os.getpid())); time.sleep(600)"
                supervisor.start(Program(name, [sys.executable, "-c", code], stage=0, grace=1))
            while True:
                supervisor.watch()
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT)
    notes = [tmp_path / "a.pid", tmp_path / "b.pid"]
    wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
    children = [int(note.read_text()) for note in notes]

    parent.kill()
    parent.wait()

    wait_until(lambda: not any(is_running(child) for child in children))


class Installation:
    """`manage.py up` in a folder of its own, on SQLite with its embedded broker."""

    def __init__(self, folder):
        self.port = free_port()
        self.environment = {
            **os.environ,
            "VAR_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder}/switchboard.sqlite3",
            "REDIS_URL": "",
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
        }
        self.log = folder / "log"
        folder.mkdir()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(self.command(), env=self.environment, cwd=ROOT, stdout=log, stderr=log)

    def command(self):
        return [sys.executable, "manage.py", "up"]

    def wait_until_ready(self):
        wait_until(lambda: "ready: " in self.log.read_text() or self.process.poll() is not None, within=90)
        assert self.process.poll() is None, self.log.read_text()

    def processes(self):
        """Every process that has this folder in its environment."""
        mark = f"VAR_DIR={self.environment['VAR_DIR']}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes() and is_running(folder.name):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" "))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
        return found


@pytest.fixture
def installation(tmp_path):
    made = Installation(tmp_path / "var")
    yield made
    made.process.kill()
    made.process.wait()


def test_the_whole_installation_starts_by_one_command_and_ends_at_once(installation):
    """Ctrl-C stops everything cleanly within 10 s, no orphan."""
    installation.wait_until_ready()
    assert len(installation.processes()) >= 8  # supervisor, broker, web with two, worker with two, beat

    second = subprocess.run(
        installation.command(), env=installation.environment, cwd=ROOT, capture_output=True, text=True
    )
    began = time.monotonic()
    installation.process.send_signal(signal.SIGINT)
    status = installation.process.wait(30)

    assert second.returncode == 1
    assert "Switchboard is running already" in second.stderr
    assert status == 0, installation.log.read_text()
    assert time.monotonic() - began < 10
    assert installation.processes() == []


def test_an_installation_whose_supervisor_is_killed_leaves_no_process(installation):
    installation.wait_until_ready()

    installation.process.kill()
    installation.process.wait()

    wait_until(lambda: installation.processes() == [], within=120)  # a busy machine takes its time to end a worker

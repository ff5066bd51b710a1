"""Single-point mutants at guards: which of them does the suite notice?

    make mutants MODULES="distributions/engine/pump.py extensions/health.py" NUMBER=20 SEED=1

A mutant drops a condition, a filter, a `return` or a call, turns a comparison or a constant, and so on, in one place of
a module. The first run over a test file writes down which lines each test runs (var/mutants); a mutant is then tried in
a process of its own, on a database of its own, against the tests that run its line, until one of them fails.
Tests that start workers, servers or browsers are left out: those would run what stands in the file.
"""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import psycopg
import pytest
from _pytest.runner import runtestprotocol
from django.db import connection

from config.ops.supervisor import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
NOTES = ROOT / "var/mutants"
ELSEWHERE = {
    "start",
    "worker",
    "beat",
    "web",
    "browser",
    "pgbouncer",
}  # fixtures whose code runs in other processes
ON_SQLITE = os.environ.get("TEST_DATABASE") == "sqlite"
PATIENCE = 10.0  # seconds for a mutant, and three times what its tests took without it,
MOST = 90.0  # but no more than so many: some mutants never end
FORGET = "DELETE FROM distributions_knowndatabase"
FILTERS = {
    "filter",
    "exclude",
    "get",
    "first",
    "update",
    "get_or_create",
    "update_or_create",
    "visible_to",
    "select_for_update",
}
TURNED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
}  # fmt: skip


# --- Making mutants ---------------------------------------------------------------------------------------------------


def replacements(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """What may stand in this node's place."""
    match node:
        case ast.BoolOp(op, values):
            yield "and/or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for number, dropped in enumerate(values):
                rest = [value for index, value in enumerate(values) if index != number]
                yield f"drop {ast.unparse(dropped)}", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield "drop not", operand
        case ast.Compare(left, [op, *ops], comparators) if type(op) in TURNED:
            yield f"turn {ast.unparse(node)}", ast.Compare(left, [TURNED[type(op)](), *ops], comparators)
        case ast.BinOp(left, op, right) if type(op) in TURNED:
            yield f"turn {ast.unparse(node)}", ast.BinOp(left, TURNED[type(op)](), right)
        case ast.Constant(bool() as value):
            yield f"{value}: {not value}", ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield f"{value}: {value + 1}", ast.Constant(value + 1)
        case ast.Call(ast.Attribute(receiver, name), arguments, keywords) if name in FILTERS:
            for number, keyword in enumerate(keywords):
                rest = [other for index, other in enumerate(keywords) if index != number]
                yield f"drop {ast.unparse(keyword)} of .{name}", ast.Call(node.func, arguments, rest)
            if name in {"filter", "exclude", "visible_to", "select_for_update"}:
                yield f"drop .{name}()", receiver
        case ast.Call(ast.Attribute(_, "on_commit"), [function]):
            yield "before the commit", ast.Call(function, [], [])
        case ast.Call(ast.Name("min" | "max" as name), arguments, keywords):
            yield name, ast.Call(ast.Name({"min": "max", "max": "min"}[name], ast.Load()), arguments, keywords)
        case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
            yield f"drop {ast.unparse(node)[:60]}", ast.Pass()
        case ast.Expr(ast.Call(function)) if "logger" not in ast.unparse(function):
            yield f"drop {ast.unparse(node)[:60]}", ast.Pass()


def negated(test: ast.AST) -> Iterator[tuple[str, Any]]:
    if not isinstance(test, ast.Compare | ast.UnaryOp):  # those are turned above
        yield f"negate {ast.unparse(test)[:60]}", ast.UnaryOp(ast.Not(), test)


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    """Line, description and tree of each. The tree is valid until the next one is asked for."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node): node for function in functions for part in function.body for node in ast.walk(part)}
    for parent in [*functions, *(node for key, node in inside.items() if node not in functions)]:
        for field, value in list(ast.iter_fields(parent)):
            if isinstance(parent, ast.JoinedStr) or (parent in functions and field != "body"):
                continue
            for key, child in enumerate(value) if isinstance(value, list) else [(field, value)]:
                if not isinstance(child, ast.AST) or (parent in functions and isinstance(child, ast.Return)):
                    continue
                for label, replacement in (*replacements(child), *(negated(child) if field == "test" else ())):
                    put(value if isinstance(value, list) else parent, key, ast.copy_location(replacement, child))
                    yield child.lineno, label, ast.fix_missing_locations(tree)
                    put(value if isinstance(value, list) else parent, key, child)


def put(parent: Any, key: Any, child: ast.AST) -> None:
    parent.__setitem__(key, child) if isinstance(parent, list) else setattr(parent, key, child)


def codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from codes(inner)


def comes_from(path: Path, thing: object) -> bool:
    function = thing.__wrapped__ if isinstance(thing, _lru_cache_wrapper) else thing
    return isinstance(function, FunctionType) and function.__code__.co_filename == str(path)


def put_in_place(functions: list[Any], module: CodeType) -> None:
    """The mutant's code becomes that of the functions that were made by the module, wherever they are known by now."""
    new = {(code.co_qualname, code.co_firstlineno): code for code in codes(module)}
    for function in functions:
        if isinstance(function, FunctionType):
            function.__code__ = new[function.__code__.co_qualname, function.__code__.co_firstlineno]
        else:
            function.cache_clear()


# --- Trying them ------------------------------------------------------------------------------------------------------


class Trial:
    """A plug-in of pytest that tries mutants instead of running the tests once."""

    def __init__(self, modules: list[Path], number: int, seed: int) -> None:
        self.modules, self.number, self.seed = modules, number, seed
        self.noticed = self.tried = 0
        self.notes: dict[str, tuple[float, dict[str, list[int]]]] = {}  # of each test: its seconds, the lines it runs

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before others leave some out: with SQLite, tests that need no database run here too."""
        marks = ("browser", "chaos", "nginx", "postgresql" if ON_SQLITE else "sqlite")
        self.items = {
            item.nodeid: item
            for item in items
            if not ELSEWHERE.intersection(getattr(item, "fixturenames", ()))
            and not any(item.get_closest_marker(mark) for mark in marks)
        }

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        with_database = next(
            item
            for item in self.items.values()
            if item.get_closest_marker("django_db") or "db" in getattr(item, "fixturenames", ())
        )
        runtestprotocol(with_database, log=False, nextitem=session.items[-1])  # makes the database for all that follow
        connection.close()
        for path in sorted({item.path for item in self.items.values()}):
            self.read_notes(path)
        for module in self.modules:
            self.try_module(module)
        print(f"{self.noticed} of {self.tried} noticed: {self.noticed / max(self.tried, 1):.0%}")
        return True

    def read_notes(self, path: Path) -> None:
        """Which lines each test of this file runs; found out where the file or the product has changed since."""
        note = NOTES / f"{path.stem}-{connection.vendor}.json"
        digest = hashlib.sha256(path.read_bytes() + product()).hexdigest()
        if not note.exists() or json.loads(note.read_text())["digest"] != digest:
            wanted = [item for item in self.items.values() if item.path == path]
            if apart(lambda: self.write_notes(wanted, note, digest), 1_200.0):
                raise RuntimeError(f"{path} could not be run")
        self.notes |= json.loads(note.read_text())["tests"]

    def write_notes(self, items: list[pytest.Item], note: Path, digest: str) -> bool:
        found: dict[str, Any] = {}
        own_database()
        for item, following in zip(items, [*items[1:], None], strict=False):
            began = time.monotonic()
            with traced() as lines:
                reports = runtestprotocol(item, log=False, nextitem=following)
            if any(report.failed for report in reports):
                continue  # it says nothing about a mutant
            found[item.nodeid] = time.monotonic() - began, {name: sorted(run) for name, run in lines.items()}
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"digest": digest, "tests": found}))
        return False

    def try_module(self, module: Path) -> None:
        name, source = str(module.relative_to(ROOT)), module.read_text()
        importlib.import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))  # pages come late
        functions = [thing for thing in gc.get_objects() if comes_from(module, thing)]
        made = sum(1 for _mutant in mutants(source))
        chosen = set(random.Random(self.seed).sample(range(made), min(self.number, made)))
        noticed = 0
        for line, label, tree in (mutant for number, mutant in enumerate(mutants(source)) if number in chosen):
            tests = [test for test, (_seconds, lines) in self.notes.items() if line in lines.get(name, ())]
            tests.sort(key=lambda test: (module.stem not in test, self.notes[test][0]))
            patience = PATIENCE + min(MOST, 3 * sum(self.notes[test][0] for test in tests))
            code = compile(tree, str(module), "exec")
            if tests and apart(lambda: self.fails(functions, code, tests), patience):  # noqa: B023 (called at once)
                noticed += 1
            else:
                print(f"  {name}:{line}  {label}  ({len(tests)} tests run this line)", flush=True)
        self.noticed, self.tried = self.noticed + noticed, self.tried + len(chosen)
        print(f"{name}: {noticed} of {len(chosen)} noticed; {made} could be made", flush=True)

    def fails(self, functions: list[Any], code: CodeType, tests: list[str]) -> bool:
        put_in_place(functions, code)
        own_database()
        items = [self.items[test] for test in tests]
        return any(
            report.failed
            for item, following in zip(items, [*items[1:], None], strict=False)
            for report in runtestprotocol(item, log=False, nextitem=following)
        )


def product() -> bytes:
    apps = (
        "intake",
        "config",
        "organizations",
        "extensions",
        "contacts",
        "surveys",
        "distributions",
        "webhooks",
        "watching",
        "keeping",
    )
    return b"".join(path.read_bytes() for app in apps for path in sorted((ROOT / app).rglob("*.py")))


def own_database() -> None:
    """A copy of the empty one, which has not been told whose copy it is: else nothing would be sent from it."""
    settings, name = connection.settings_dict, connection.settings_dict["NAME"]
    copy = settings["NAME"] = f"{name}_mutant"
    if connection.vendor == "sqlite":
        shutil.copyfile(name, copy)
        with sqlite3.connect(copy) as database:
            database.execute(FORGET)
    else:
        server = {"host": settings["HOST"], "user": settings["USER"], "autocommit": True}
        with psycopg.connect(dbname="postgres", **server) as database:
            database.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
            database.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
        with psycopg.connect(dbname=copy, **server) as database:
            database.execute(FORGET)


@contextmanager
def traced() -> Iterator[dict[str, set[int]]]:
    """The lines of the product that run meanwhile, in any thread."""
    lines: dict[str, set[int]] = {}
    names: dict[str, str | None] = {}

    def on_call(frame: FrameType, _event: str, _argument: object) -> Any:
        path = frame.f_code.co_filename
        if path not in names:
            inside = path.startswith(f"{ROOT}/") and not path.startswith((f"{ROOT}/tests/", f"{ROOT}/.venv/"))
            names[path] = str(Path(path).relative_to(ROOT)) if inside else None
        if (name := names[path]) is None:
            return None
        run = lines.setdefault(name, set())

        def on_line(frame: FrameType, event: str, _argument: object) -> Any:
            run.add(frame.f_lineno)
            return on_line

        return on_line

    threading.settrace(on_call)
    sys.settrace(on_call)
    try:
        yield lines
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


def apart(work: Callable[[], bool], patience: float) -> bool:
    """Do this in a process of its own: True if it says so, fails itself or takes too long."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.setsid()
        die_with_parent(signal.SIGKILL)
        sink = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(sink, descriptor)
        try:
            os._exit(bool(work()))
        except BaseException:
            os._exit(1)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", type=lambda name: (ROOT / name).resolve())
    parser.add_argument("--number", type=int, default=20, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--tests", nargs="*", default=[str(path) for path in sorted((ROOT / "tests").glob("test_*.py"))]
    )
    chosen = parser.parse_args()
    trial = Trial(chosen.modules, chosen.number, chosen.seed)
    return pytest.main(["-q", "-s", *chosen.tests], plugins=[trial])


if __name__ == "__main__":
    sys.exit(main())

"""What the documents say of the code's structure is so: who writes a message's state, and where states are known."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from distributions import states, sums, wording
from distributions.engine import outbox, tallies
from distributions.models import Tally
from distributions.states import Status

ROOT = Path(__file__).resolve().parent.parent
APPS = (
    "config",
    "contacts",
    "distributions",
    "extensions",
    "intake",
    "organizations",
    "surveys",
    "webhooks",
    "watching",
    "keeping",
)


def product_files():
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text()


# --- a message's state ------------------------------------------------------------------------------------------------

WRITERS = {  # ARCHITECTURE names them
    "distributions/engine/expansion.py",  # the first state, with the row
    "distributions/engine/outbox.py",  # marks, results, reports, requeueing
    "distributions/models/messages.py",  # Message.objects.move
    "distributions/replies/conversations.py",  # what a conversation says next, with its row
}


SQL = re.compile(r"(UPDATE|INTO|COPY) distributions_message\b")


def writes_a_state(source):
    """Whether this code makes a message, moves one or sets a state in SQL."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            said = ast.unparse(node.func)
            names = {keyword.arg for keyword in node.keywords}
            if said.endswith((".update", "Message", "Message.objects.create")) and "status" in names:
                return True
            if said in ("Message", "Message.objects.create", "Message.objects.bulk_create"):
                return True
        if isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            return True
    return False


def test_a_message_s_state_is_written_in_four_files():
    """(R71) CONTRIBUTING and ARCHITECTURE say so."""
    found = {
        name
        for name, source in product_files()
        if name.startswith(("distributions", "webhooks", "watching")) and writes_a_state(source)
    }

    assert found == WRITERS


@pytest.mark.parametrize(
    "code",
    [
        "Message.objects.filter(pk=1).update(status='sent')",
        "message.status = 'sent'",
        "Message.objects.create(to='')",
        "cursor.execute('UPDATE distributions_message SET status = 1')",
    ],
)
def test_a_fifth_would_be_noticed(code):
    assert writes_a_state(code)


# --- one row for each state -------------------------------------------------------------------------------------------


def test_every_state_has_its_row_and_every_column_of_the_tally_its_states():
    assert states.STATES.keys() == set(Status)
    assert {row.counted for row in states.STATES.values()} == set(states.COLUMNS) == set(Tally.COLUMNS)
    assert set(Tally.COLUMNS) | set(Tally.SEGMENTS) <= {field.name for field in Tally._meta.get_fields()}
    assert {row.segments for row in states.STATES.values()} == {"taken", *(key for key, _label in sums.SEGMENTS[1:])}


def test_no_two_states_have_one_rank_and_what_is_beside_the_ladder_is_final():
    ranks = [row.rank for row in states.STATES.values() if row.rank is not None]
    assert sorted(ranks) == list(range(len(ranks)))
    for status, row in states.STATES.items():
        assert row.rank is not None or row.is_final, status


# The table as it reads: a slip in a row is a slip in every sum, page and file.
EXPECTED = {
    "queued": ("waiting", "waiting", ""),
    "sending": ("waiting", "waiting", "answerable"),
    "uncertain": ("uncertain", "uncertain", "answerable"),
    "accepted": ("accepted", "taken", "answerable reached"),
    "sent": ("sent", "taken", "answerable reached"),
    "delivered": ("delivered", "taken", "answerable reached final"),
    "undelivered": ("undelivered", "taken", "not-reached final"),
    "failed": ("failed", "failed", "not-reached final"),
    "expired": ("expired", "taken", "not-reached final"),
    "skipped": ("skipped", "skipped", "final"),
    "cancelled": ("cancelled", "cancelled", "final"),
}


@pytest.mark.parametrize("status", Status)
def test_what_a_state_is(status):
    row = states.STATES[status]
    facts = [
        *(["answerable"] if row.is_answerable else []),
        *({True: ["reached"], False: ["not-reached"], None: []}[row.is_reached]),
        *(["final"] if row.is_final else []),
    ]
    assert (row.counted, row.segments, " ".join(facts)) == EXPECTED[status]
    assert (status in states.NOT_LEFT) == (status in ("queued", "skipped", "cancelled"))
    assert tallies.column(status) == row.counted
    assert wording.explain(status, "") == str(row.sentence)
    assert wording.badge_of(status) == row.badge


def test_a_state_is_known_in_its_table_alone():
    """A new one costs its row, a column of the tally with its migration, and its German."""
    known = {  # what else names one: the provider's vocabulary, and the columns of the tally
        "distributions/states.py",
        "distributions/models/distributions.py",
        "extensions/contract/vocabulary.py",
        "extensions/checklist.py",  # words for a test message's way, which is no distribution's
        "organizations/audit.py",  # the same, as the trail words it
    }
    found = set()
    for name, source in product_files():
        if name.startswith("extensions/providers/"):
            continue
        words = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
        attributes = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        if "undelivered" in words or "UNDELIVERED" in attributes or "undelivered" in attributes:
            found.add(name)

    assert found <= known, found - known
    assert "'undelivered'" in outbox._apply_sql(tally=True), "the statement is built from the table"


# --- the contract -----------------------------------------------------------------------------------------------------


def test_the_names_of_the_contract_are_imported_from_the_contract():
    """Where each stands inside is its own business: a provider's file, or anybody's, has one place to import from."""
    inside = [
        (name, node.module)
        for name, source in product_files()
        if not name.startswith("extensions/contract/")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("extensions.contract.")
    ]

    assert inside == []


# --- long files -------------------------------------------------------------------------------------------------------

MOST_LINES = 500
LONG = {  # ARCHITECTURE gives the reasons: one table or one story fills each
    "distributions/engine/outbox.py",
    "distributions/engine/pump.py",
    "distributions/planning/review.py",
}


def test_a_file_over_500_lines_is_named_with_its_reason():
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    found = {name for name, source in product_files() if source.count("\n") > MOST_LINES}
    others = {name for name in found if not name.startswith("extensions/providers/")}  # form, protocol, tables, guide

    assert others == LONG
    assert [name for name in LONG if f"`{name}`" not in architecture] == []

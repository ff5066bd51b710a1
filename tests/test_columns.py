"""One table of what a contact has: everything goes by it, and a new column costs no more than CONTRIBUTING says."""

import ast
from pathlib import Path

import pytest

from contacts.columns import BY_NAME, COLUMNS, OPTED_OUT, PHONE, bare
from contacts.models import Contact
from tests.scratch import CATALOGUE, ROOT, Scratch

PROOF = Path(__file__).parent / "made_up" / "column.py"
ROWS = """\
    ContactColumn(
        "Room",
        "room",
        limit=12,
        example="12c",
        others=frozenset({"zimmer", "zimmernummer"}),
        listed=True,
        lookup="istartswith",
    ),
    ContactColumn("Ward", "ward", limit=20, example="", exported=False, pipeable=False),
"""
ATTRIBUTES = """\
    room = models.CharField(_("room"), max_length=12, blank=True)
    ward = models.CharField(_("ward"), max_length=20, blank=True)
"""


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_row_says_of_its_attribute_what_the_model_says(column):
    field = Contact._meta.get_field(column.attribute)

    if column is not PHONE:  # it is written in more ways than it is stored
        assert column.limit == field.max_length
    assert len(column.example) <= column.limit
    assert all(bare(other) == other for other in column.others)


def test_no_heading_stands_for_two_columns():
    headings = [heading for column in COLUMNS for heading in ({bare(column.name)} | column.others)]

    assert len(set(headings)) == len(headings)
    assert bare(OPTED_OUT) not in headings


def test_columns_are_listed_in_the_table_alone():
    """In contacts/ and where texts are filled in: whoever adds one has nowhere else to look."""
    ours = {*BY_NAME, *(column.attribute for column in COLUMNS)}
    files = [*(ROOT / "contacts").glob("*.py"), ROOT / "distributions" / "piping.py"]
    templates = (ROOT / "templates" / "admin" / "contacts").rglob("*.html")

    lists = [
        f"{file.name}:{node.lineno} {ast.unparse(node)}"
        for file in files
        if file.name != "columns.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict)
        and len({part.value for part in ast.walk(node) if isinstance(part, ast.Constant)} & ours) > 2
    ]

    assert lists == []
    assert [file.name for file in templates if "LastName" in file.read_text()] == []


def test_a_new_column_takes_no_more_than_four_files(tmp_path):
    scratch = Scratch(tmp_path)

    scratch.insert("contacts/models.py", "    language = models.CharField(", ATTRIBUTES)
    scratch.insert("contacts/columns.py", ")\nSEARCHED = ", ROWS)
    scratch.make_migration("contacts")
    scratch.translate({"room": "Zimmer", "ward": "Station"})

    scratch.prove(PROOF)
    migration = next(path for path in scratch.touched if "/migrations/" in path)
    assert scratch.touched == ["contacts/models.py", "contacts/columns.py", migration, CATALOGUE]

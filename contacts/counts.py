"""How many people a list has, how many of them can be texted, and which version of it this is: kept, never counted.

The database itself counts, by triggers, whoever writes contacts and in whatever way: one by one, by COPY, or by a
cascade. On PostgreSQL each statement *appends* its difference, so nobody ever waits for a row that others count on: an
import of a hundred thousand people holds up no opt-out. What has been appended is added up by `fold` now and then; a
list's numbers are the sum of its rows, and a sum is as exact as the contacts that the same statement sees. SQLite has
one writer at a time, and one row for each list.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, models
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from contacts.models import ContactList, ListChange
from organizations.triggers import Triggers

FOLDED_AT_ONCE = 1_000  # lists

_CAN_BE_TEXTED = "phone <> '' AND opted_out_at IS NULL"

_POSTGRESQL = f"""
    CREATE OR REPLACE FUNCTION contacts_count_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO contacts_listchange (contact_list_id, people, reachable, changes, is_sum)
            SELECT contact_list_id, count(*), count(*) FILTER (WHERE {_CAN_BE_TEXTED}), 1, false
            FROM new_rows GROUP BY contact_list_id;
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO contacts_listchange (contact_list_id, people, reachable, changes, is_sum)
            SELECT contact_list_id, -count(*), -count(*) FILTER (WHERE {_CAN_BE_TEXTED}), 1, false
            FROM old_rows GROUP BY contact_list_id;
        ELSE
            INSERT INTO contacts_listchange (contact_list_id, people, reachable, changes, is_sum)
            SELECT contact_list_id, sum(one), COALESCE(sum(one) FILTER (WHERE {_CAN_BE_TEXTED}), 0), 1, false
            FROM (
                SELECT contact_list_id, phone, opted_out_at, 1 AS one FROM new_rows
                UNION ALL SELECT contact_list_id, phone, opted_out_at, -1 FROM old_rows
            ) both_rows GROUP BY contact_list_id;
        END IF;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION contacts_forget_counts() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        DELETE FROM contacts_listchange WHERE contact_list_id = OLD.id;
        RETURN NULL;
    END $$;
    DROP TRIGGER IF EXISTS contacts_added ON contacts_contact;
    CREATE TRIGGER contacts_added AFTER INSERT ON contacts_contact
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION contacts_count_change();
    DROP TRIGGER IF EXISTS contacts_removed ON contacts_contact;
    CREATE TRIGGER contacts_removed AFTER DELETE ON contacts_contact
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION contacts_count_change();
    DROP TRIGGER IF EXISTS contacts_changed ON contacts_contact;
    CREATE TRIGGER contacts_changed AFTER UPDATE ON contacts_contact
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION contacts_count_change();
    DROP TRIGGER IF EXISTS contacts_list_removed ON contacts_contactlist;
    CREATE TRIGGER contacts_list_removed AFTER DELETE ON contacts_contactlist
        FOR EACH ROW EXECUTE FUNCTION contacts_forget_counts();
"""  # noqa: S608 (no value from outside)


def _of_row(row: str, sign: str) -> str:
    texted = _CAN_BE_TEXTED.replace("phone", f"{row}.phone").replace("opted_out_at", f"{row}.opted_out_at")
    return f"""UPDATE contacts_listchange SET people = people {sign} 1, reachable = reachable {sign} ({texted}),
        changes = changes + 1 WHERE id = (
            SELECT min(id) FROM contacts_listchange WHERE contact_list_id = {row}.contact_list_id
        );"""  # noqa: S608


_FIRST = """INSERT INTO contacts_listchange (contact_list_id, people, reachable, changes, is_sum)
    SELECT NEW.contact_list_id, 0, 0, 0, 1
    WHERE NOT EXISTS (SELECT 1 FROM contacts_listchange WHERE contact_list_id = NEW.contact_list_id);"""
_SQLITE = {
    "contacts_added": f"AFTER INSERT ON contacts_contact BEGIN {_FIRST} {_of_row('NEW', '+')} END",
    "contacts_removed": f"AFTER DELETE ON contacts_contact BEGIN {_of_row('OLD', '-')} END",
    "contacts_changed": "AFTER UPDATE ON contacts_contact BEGIN "
    f"{_FIRST} {_of_row('OLD', '-')} {_of_row('NEW', '+')} END",
    "contacts_list_removed": "AFTER DELETE ON contacts_contactlist BEGIN "
    "DELETE FROM contacts_listchange WHERE contact_list_id = OLD.id; END",
}

# In one statement, and so of one moment: what is there, less what has been counted of it already.
_RECOUNT = f"""
    INSERT INTO contacts_listchange (contact_list_id, people, reachable, changes, is_sum)
    SELECT l.id, COALESCE(c.people, 0) - COALESCE(k.people, 0), COALESCE(c.reachable, 0) - COALESCE(k.reachable, 0),
        1, true
    FROM contacts_contactlist l
    LEFT JOIN (
        SELECT contact_list_id, count(*) AS people, count(CASE WHEN {_CAN_BE_TEXTED} THEN 1 END) AS reachable
        FROM contacts_contact GROUP BY contact_list_id
    ) c ON c.contact_list_id = l.id
    LEFT JOIN (
        SELECT contact_list_id, sum(people) AS people, sum(reachable) AS reachable
        FROM contacts_listchange GROUP BY contact_list_id
    ) k ON k.contact_list_id = l.id
    WHERE COALESCE(c.people, 0) <> COALESCE(k.people, 0) OR COALESCE(c.reachable, 0) <> COALESCE(k.reachable, 0)
"""  # noqa: S608

TRIGGERS = Triggers(
    table="contacts_listchange",
    postgresql=_POSTGRESQL,
    functions=("contacts_count_change", "contacts_forget_counts"),
    sqlite=_SQLITE,
    recount=_RECOUNT,
)

_FOLD = """
    WITH taken AS (
        SELECT id FROM contacts_listchange WHERE contact_list_id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM contacts_listchange c USING taken WHERE c.id = taken.id
        RETURNING c.contact_list_id, c.people, c.reachable, c.changes
    )
    INSERT INTO contacts_listchange (contact_list_id, people, reachable, changes, is_sum)
    SELECT contact_list_id, sum(people), sum(reachable), sum(changes), true FROM gone
    WHERE EXISTS (SELECT 1 FROM contacts_contactlist l WHERE l.id = gone.contact_list_id) GROUP BY contact_list_id
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of a list. `version` is another one whenever anybody on it, or anything about them, is."""

    people: int
    reachable: int  # with a number, and not opted out of this list
    version: int


def of(contact_list_id: int | None) -> Counts:
    """A list's numbers as they are now: one look at a few short rows, however long the list is."""
    rows = ListChange.objects.filter(contact_list=contact_list_id)
    return Counts(
        **rows.aggregate(
            people=Sum("people", default=0), reachable=Sum("reachable", default=0), version=Sum("changes", default=0)
        )
    )


def people_on(lists: QuerySet[ContactList]) -> int:
    """How many people these lists have together."""
    rows = ListChange.objects.filter(contact_list__in=lists.order_by().values("pk"))
    number: int = rows.aggregate(people=Sum("people", default=0))["people"]
    return number


def kept(column: str) -> Coalesce:
    """One of the numbers (`people`, `reachable`), to be annotated to lists."""
    rows = ListChange.objects.filter(contact_list=OuterRef("pk")).order_by().values("contact_list")
    total = Subquery(rows.annotate(total=Sum(column)).values("total"), output_field=models.BigIntegerField())
    return Coalesce(total, 0)


def fold() -> int:
    """Add up what statements have appended; returns for how many lists. Nobody who reads or writes waits for it."""
    if connection.vendor != "postgresql":
        return 0
    pending = ListChange.objects.filter(is_sum=False).order_by().values_list("contact_list", flat=True).distinct()
    lists = list(pending[:FOLDED_AT_ONCE])
    if lists:
        with connection.cursor() as cursor:
            cursor.execute(_FOLD, [lists])
    return len(lists)

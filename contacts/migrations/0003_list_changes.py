"""What lists are shown with is kept, and no longer counted.

First the database counts whatever changes, then what was there before is counted once, in one statement: so writers wait
for a moment at most, and the older version of the program may go on writing.
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

from contacts import counts
from organizations.live import patiently


def install(_apps: Any, schema_editor: Any) -> None:
    patiently(lambda: counts.TRIGGERS.install(schema_editor.connection), schema_editor)


def remove(_apps: Any, schema_editor: Any) -> None:
    counts.TRIGGERS.remove(schema_editor.connection)


def make_up(_apps: Any, schema_editor: Any) -> None:
    counts.TRIGGERS.make_up(schema_editor.connection)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("contacts", "0002_households")]

    operations = [
        migrations.CreateModel(
            name="ListChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("people", models.IntegerField()),
                ("reachable", models.IntegerField()),
                ("changes", models.BigIntegerField()),
                ("is_sum", models.BooleanField()),
                (
                    "contact_list",
                    models.ForeignKey(
                        db_constraint=False,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="changes",
                        to="contacts.contactlist",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_sum", False)), fields=["contact_list"], name="list_changes_to_add_up"
                    )
                ]
            },
        ),
        migrations.RunPython(install, remove),
        migrations.RunPython(make_up, migrations.RunPython.noop),
    ]

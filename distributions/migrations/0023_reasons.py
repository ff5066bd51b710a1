"""For which reasons texts did not arrive is kept: first from now on, then what became of them before."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

from distributions.engine.reasons import TRIGGERS
from organizations.live import patiently


def install(_apps: Any, schema_editor: Any) -> None:
    patiently(lambda: TRIGGERS.install(schema_editor.connection), schema_editor)


def remove(_apps: Any, schema_editor: Any) -> None:
    TRIGGERS.remove(schema_editor.connection)


def make_up(_apps: Any, schema_editor: Any) -> None:
    TRIGGERS.make_up(schema_editor.connection)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("distributions", "0022_in_turn")]

    operations = [
        migrations.CreateModel(
            name="ReasonChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("status", models.CharField(max_length=12)),
                ("reason", models.CharField(max_length=24)),
                ("is_first", models.BooleanField()),
                ("texts", models.IntegerField()),
                ("is_sum", models.BooleanField()),
                (
                    "distribution",
                    models.ForeignKey(
                        db_constraint=False,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="distributions.distribution",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_sum", False)), fields=["distribution"], name="reason_changes_to_add_up"
                    )
                ],
            },
        ),
        migrations.RunPython(install, remove),
        migrations.RunPython(make_up, migrations.RunPython.noop),
    ]

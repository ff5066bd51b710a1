"""Which texts are uncertain is written down apart: first from now on, then what is uncertain already."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

from distributions.engine.uncertain import TRIGGERS
from organizations.live import patiently


def install(_apps: Any, schema_editor: Any) -> None:
    patiently(lambda: TRIGGERS.install(schema_editor.connection), schema_editor)


def remove(_apps: Any, schema_editor: Any) -> None:
    TRIGGERS.remove(schema_editor.connection)


def make_up(_apps: Any, schema_editor: Any) -> None:
    TRIGGERS.make_up(schema_editor.connection)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("distributions", "0020_waiting")]

    operations = [
        migrations.CreateModel(
            name="UncertainText",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        db_constraint=False,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="distributions.message",
                    ),
                ),
            ],
        ),
        migrations.RunPython(install, remove),
        migrations.RunPython(make_up, migrations.RunPython.noop),
    ]

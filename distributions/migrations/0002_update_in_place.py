"""PostgreSQL updates a message several times in its life: room on each page lets it do so in place, without an index."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def leave_room(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE distributions_message SET (fillfactor = 60)")
        schema_editor.execute("ALTER TABLE distributions_tally SET (fillfactor = 50)")
        schema_editor.execute("ALTER TABLE distributions_chunk SET (fillfactor = 60)")


class Migration(migrations.Migration):
    dependencies = [("distributions", "0001_initial")]

    operations = [migrations.RunPython(leave_room, migrations.RunPython.noop)]

"""Segments by their fate: what a provider may ask money for apart from what was refused, skipped or taken back."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

# As in Tally.SEGMENTS when this was written.
STATES = {
    "segments": ("queued", "sending", "uncertain", "accepted", "sent", "delivered", "undelivered", "expired"),
    "segments_waiting": ("queued", "sending"),
    "segments_uncertain": ("uncertain",),
    "segments_failed": ("failed",),
    "segments_skipped": ("skipped",),
    "segments_cancelled": ("cancelled",),
}


def count(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """From the messages, one pass over each distribution's."""
    sums = ", ".join(
        "COALESCE(sum(CASE WHEN m.status IN ({}) THEN m.segments END), 0)".format(", ".join(f"'{one}'" for one in states))
        for states in STATES.values()
    )
    schema_editor.execute(
        f"UPDATE distributions_tally SET ({', '.join(STATES)}) = ("
        f"SELECT {sums} FROM distributions_message m WHERE m.distribution_id = distributions_tally.distribution_id)"
    )


class Migration(migrations.Migration):
    dependencies = [("distributions", "0013_looked_at")]

    operations = [
        *(
            migrations.AddField("tally", name, models.IntegerField(db_default=0, default=0))
            for name in STATES
            if name != "segments"
        ),
        migrations.RunPython(count, migrations.RunPython.noop),
    ]

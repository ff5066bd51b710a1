from typing import Any

from django.db import migrations, models


def remember_zones(apps: Any, _schema_editor: Any) -> None:
    """What is planned was planned by the clocks of its organisation."""
    planned = apps.get_model("distributions", "Distribution").objects.filter(send_at__isnull=False)
    organizations = apps.get_model("organizations", "Organization").objects.filter(pk=models.OuterRef("organization"))
    planned.update(time_zone=models.Subquery(organizations.values("time_zone")[:1]))


class Migration(migrations.Migration):
    dependencies = [
        ("distributions", "0014_segments"),
    ]

    operations = [
        migrations.AddField(
            model_name="distribution",
            name="edited_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="being changed since"),
        ),
        migrations.AddField(
            model_name="distribution",
            name="plan",
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="distribution",
            name="time_zone",
            field=models.CharField(blank=True, editable=False, max_length=64),
        ),
        migrations.RunPython(remember_zones, migrations.RunPython.noop),
    ]

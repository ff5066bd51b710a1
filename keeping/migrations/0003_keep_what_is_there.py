"""Whoever had an organisation before there were periods keeps all of it: an upgrade removes nothing unasked.

Raw callbacks (CALLBACK_RETENTION_DAYS) and log-ins keep the periods that they had. The numbers are the longest of keeping/models.py.
"""

from django.conf import settings
from django.db import migrations

LONGEST = 3_650  # days


def keep(apps, schema_editor):
    Organization = apps.get_model("organizations", "Organization")
    Retention = apps.get_model("keeping", "Retention")
    names = ("texts", "replies", "answers", "history", "imports", "audit")
    longest = dict.fromkeys(names, LONGEST)
    found = Organization.objects.values_list("pk", flat=True)
    Retention.objects.bulk_create(
        [Retention(organization_id=key, callbacks=settings.CALLBACK_RETENTION_DAYS, **longest) for key in found],
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):

    dependencies = [("keeping", "0002_retention")]

    operations = [migrations.RunPython(keep, migrations.RunPython.noop)]

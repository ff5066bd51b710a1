"""What was kept as "refused" may have been an outage: until now any answer but a good one was.

A refused account is no longer in use (extensions/routing.py). So that nobody's falls out of use by an upgrade, those
answers count as not known; the next verification, or the next text, tells.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations


def forget_refusals(apps: Any, schema_editor: Any) -> None:
    accounts = apps.get_model("extensions", "ProviderAccount").objects.using(schema_editor.connection.alias)
    accounts.filter(check_ok=False, granted_at__isnull=False, deleted_at=None).update(check_ok=None)


class Migration(migrations.Migration):
    dependencies = [("extensions", "0005_throttled_rate")]

    operations = [migrations.RunPython(forget_refusals, migrations.RunPython.noop, elidable=True)]

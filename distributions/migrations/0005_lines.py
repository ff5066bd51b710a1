"""A reply belongs to the number it was written to, and counts once for the account at the provider."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models import Count, F, Min, OuterRef, Subquery, Value
from django.db.models.functions import Concat

SAME = ("provider_identity", "recipient", "provider_message_id")


def name_them(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    accounts = apps.get_model("extensions", "ProviderAccount").objects.filter(pk=OuterRef("account"))
    for name in ("InboundMessage", "InboundPart"):
        rows = apps.get_model("distributions", name).objects.order_by()
        rows.update(provider_identity=Subquery(accounts.values("provider_identity")[:1]))
        rows.filter(recipient__regex=r"^[1-9][0-9]{7,14}$").update(recipient=Concat(Value("+"), F("recipient")))
        # What was counted twice stays, each under a name of its own.
        twice = rows.values(*SAME).annotate(count=Count("pk"), first=Min("pk")).filter(count__gt=1)
        for group in list(twice.values(*SAME, "first")):
            first = group.pop("first")
            for pk in list(rows.filter(**group).exclude(pk=first).values_list("pk", flat=True)):
                rows.filter(pk=pk).update(provider_identity=f"twice-{pk}")


class Migration(migrations.Migration):
    dependencies = [("distributions", "0004_restore"), ("extensions", "0003_provider_identity")]
    atomic = True

    operations = [
        migrations.AddField(
            model_name="inboundmessage",
            name="provider_identity",
            field=models.CharField(default="", editable=False, max_length=24),
        ),
        migrations.AddField(
            model_name="inboundpart",
            name="provider_identity",
            field=models.CharField(default="", editable=False, max_length=24),
        ),
        migrations.RemoveConstraint(model_name="inboundmessage", name="one_inbound_per_provider_id"),
        migrations.RemoveConstraint(model_name="inboundpart", name="one_part_per_provider_id"),
        migrations.RemoveIndex(model_name="inboundpart", name="parts_of_one_text"),
        migrations.RunPython(name_them, migrations.RunPython.noop),
    ]

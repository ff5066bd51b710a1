"""Rows that are one account at the provider are known by one name: what it tells us counts once for all of them."""

import extensions.models
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def name_accounts(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    accounts = apps.get_model("extensions", "ProviderAccount").objects.order_by("pk")
    known: dict[tuple[object, ...], str] = {}
    on_number: dict[int, tuple[str, str]] = {}
    for pk, organization, provider, sender, replaces in list(
        accounts.values_list("pk", "organization", "provider", "sender", "replaces")
    ):
        sender = sender.removeprefix("+")
        sealed = accounts.filter(pk=pk).values_list("credentials", flat=True).get()  # empty if its key is gone
        values = tuple(sorted((sealed or {}).get("values", {}).items())) or (pk,)
        before, identity = on_number.get(replaces, ("", ""))
        if before != sender:
            identity = known.get((organization, provider, values)) or extensions.models.new_provider_identity()
        known.setdefault((organization, provider, values), identity)
        on_number[pk] = (sender, identity)
        accounts.filter(pk=pk).update(provider_identity=identity)


class Migration(migrations.Migration):
    dependencies = [("extensions", "0002_retiring")]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="provider_identity",
            field=models.CharField(default="", editable=False, max_length=24),
        ),
        migrations.RunPython(name_accounts, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="provideraccount",
            name="provider_identity",
            field=models.CharField(default=extensions.models.new_provider_identity, editable=False, max_length=24),
        ),
        migrations.AddIndex(
            model_name="provideraccount",
            index=models.Index(fields=["provider", "sender"], name="accounts_by_sender"),
        ),
    ]

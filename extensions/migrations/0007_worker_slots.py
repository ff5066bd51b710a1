import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The class has another name; its table keeps the first one, so nothing moves and older code goes on working."""

    dependencies = [("extensions", "0006_unproved")]

    operations = [
        migrations.AlterModelTable(name="pumpseat", table="extensions_pumpseat"),
        migrations.RenameModel(old_name="PumpSeat", new_name="WorkerSlot"),
        migrations.AlterField(
            model_name="workerslot",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="slots", to="extensions.provideraccount"
            ),
        ),
    ]

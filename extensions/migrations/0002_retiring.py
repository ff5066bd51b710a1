from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("extensions", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="retiring_at",
            field=models.DateTimeField(null=True, verbose_name="finishing since"),
        ),
    ]

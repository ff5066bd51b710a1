from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("distributions", "0015_planned"),
    ]

    operations = [
        migrations.AddField(
            model_name="distribution",
            name="reviewed",
            field=models.JSONField(editable=False, null=True),
        ),
    ]

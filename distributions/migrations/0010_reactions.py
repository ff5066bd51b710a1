from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("distributions", "0009_batch_limit")]

    operations = [
        migrations.AlterField(
            model_name="inboundmessage",
            name="meaning",
            field=models.CharField(
                choices=[
                    ("reply", "reply"),
                    ("answer", "answer"),
                    ("unclear", "not understood"),
                    ("opt_out", "opt-out"),
                    ("opt_in", "opt-in"),
                    ("help", "help"),
                    ("doubt", "possible opt-out"),
                    ("reaction", "reaction"),
                ],
                default="reply",
                max_length=8,
                verbose_name="read as",
            ),
        ),
    ]

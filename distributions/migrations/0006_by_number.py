"""Constraints and indexes apart from the rows they are about: PostgreSQL does not build them over rows just written.

The index on messages begins with the number: it also finds whoever texted it through an account that many share. Its
columns never change, so messages are still updated in place.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("distributions", "0005_lines")]

    operations = [
        migrations.AddConstraint(
            model_name="inboundmessage",
            constraint=models.UniqueConstraint(
                fields=("provider_identity", "recipient", "provider_message_id"), name="one_inbound_per_provider_id"
            ),
        ),
        migrations.AddConstraint(
            model_name="inboundpart",
            constraint=models.UniqueConstraint(
                fields=("provider_identity", "recipient", "provider_message_id"), name="one_part_per_provider_id"
            ),
        ),
        migrations.AddIndex(
            model_name="inboundpart",
            index=models.Index(fields=["provider_identity", "key"], name="parts_of_one_text"),
        ),
        migrations.RemoveIndex(model_name="message", name="messages_by_number"),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["to", "organization"], name="messages_by_number"),
        ),
    ]

"""What is claimed, and replies of a rare meaning, are found by index, however many there are."""

from django.db import migrations, models

from organizations.live import AddIndexLive, RemoveIndexLive


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("distributions", "0021_uncertain_texts")]

    operations = [
        AddIndexLive(
            model_name="chunk",
            index=models.Index(
                condition=models.Q(("state", "open")),
                fields=["account", "distribution", "priority", "not_before", "id"],
                name="chunks_in_turn",
            ),
        ),
        RemoveIndexLive(model_name="chunk", name="chunks_waiting"),
        AddIndexLive(
            model_name="inboundmessage",
            index=models.Index(
                fields=["organization", "meaning", "-received_at", "-id"], name="inbound_by_meaning"
            ),
        ),
        AddIndexLive(
            model_name="inboundmessage",
            index=models.Index(
                condition=models.Q(("mentions_stopping", True)),
                fields=["organization", "-received_at", "-id"],
                name="inbound_that_mention_stopping",
            ),
        ),
        AddIndexLive(
            model_name="inboundmessage",
            index=models.Index(
                fields=["organization", "sender"],
                name="inbound_by_number",
                opclasses=["int8_ops", "varchar_pattern_ops"],
            ),
        ),
        RemoveIndexLive(model_name="inboundmessage", name="inbound_by_sender"),
    ]

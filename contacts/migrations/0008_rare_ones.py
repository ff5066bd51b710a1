"""Opt-outs that are searched for, and what few people have, are found by index, however many there are."""

from django.db import migrations, models

from organizations.live import AddIndexLive


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("contacts", "0007_removed_lists")]

    operations = [
        AddIndexLive(
            model_name="contact",
            index=models.Index(
                condition=models.Q(("phone", "")), fields=["contact_list", "id"], name="contacts_without_a_number"
            ),
        ),
        AddIndexLive(
            model_name="optout",
            index=models.Index(
                fields=["organization", "phone"],
                name="opt_outs_by_number",
                opclasses=["int8_ops", "varchar_pattern_ops"],
            ),
        ),
        AddIndexLive(
            model_name="optout",
            index=models.Index(
                fields=["organization", "source", "-created_at", "-id"], name="opt_outs_by_source"
            ),
        ),
        AddIndexLive(
            model_name="optout",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", False)),
                fields=["organization", "-created_at", "-id"],
                name="opt_outs_that_have_ended",
            ),
        ),
    ]

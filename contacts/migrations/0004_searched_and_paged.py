"""Lists of people are searched and paged by index, however long they are."""

from django.db import migrations, models

from organizations.live import AddIndexLive, AddPostgresqlIndex, RemoveIndexLive


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("contacts", "0003_list_changes")]

    operations = [
        AddIndexLive(
            model_name="contact",
            index=models.Index(
                fields=["organization", "phone"],
                name="contacts_by_number",
                opclasses=["int8_ops", "varchar_pattern_ops"],
            ),
        ),
        RemoveIndexLive(model_name="contact", name="contacts_by_phone"),
        AddIndexLive(model_name="contact", index=models.Index(fields=["contact_list", "id"], name="contacts_of_list")),
        AddIndexLive(
            model_name="contact",
            index=models.Index(
                fields=["contact_list", "id"],
                condition=models.Q(opted_out_at__isnull=False),
                name="contacts_opted_out_of_list",
            ),
        ),
        AddPostgresqlIndex(
            "contacts_by_first_name", "contacts_contact (organization_id, upper(first_name::text) text_pattern_ops)"
        ),
        AddPostgresqlIndex(
            "contacts_by_last_name", "contacts_contact (organization_id, upper(last_name::text) text_pattern_ops)"
        ),
        AddPostgresqlIndex(
            "contacts_by_reference", "contacts_contact (organization_id, upper(external_reference::text))"
        ),
        AddIndexLive(
            model_name="optout",
            index=models.Index(fields=["organization", "-created_at", "-id"], name="opt_outs_latest_first"),
        ),
    ]

from django.db import migrations, models

from organizations.live import AddIndexLive


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('extensions', '0011_balance'),
        ('webhooks', '0005_trace'),
    ]

    operations = [
        AddIndexLive(
            model_name='callback',
            index=models.Index(condition=models.Q(('kind', 'message'), ('state__in', ['new', 'parked'])), fields=['account', 'not_before', 'id'], name='replies_due_by_account'),
        ),
    ]

from django.db import migrations, models

from organizations.live import AddIndexLive


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('distributions', '0019_worked_out'),
        ('extensions', '0009_test_answers'),
    ]

    operations = [
        AddIndexLive(
            model_name='chunk',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['account', 'distribution', 'priority'], name='chunks_waiting'),
        ),
    ]

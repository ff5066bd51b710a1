"""A refusal has said in English prose alone what was wrong; from now on its kind is stored beside it.

What the reasons of earlier versions point to is told once more as those versions told it, so that the pages go on
advising the same about calls that were refused before the upgrade.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import migrations, models

SIGNS = (  # the first that is found counts
    ("format", r"\.\Z"),  # sentences: authentic, but not readable
    ("secret", "^wrong"),
    ("no_account", "^no account"),
    ("address", "signed for another address|address called|address that was called"),
    ("clock", "seconds from now|outside the window|not valid yet|has expired|time is missing"),
    ("clock", "signature's timestamp|nbf, exp or jti|Date header is no date"),
    ("incomplete", "account has no "),
    ("method", "another (algorithm|digest|cipher)|shared key|neither HMAC_SHA1|legacy signature|signature's length"),
    ("unsigned", "not signed|Date header is missing|header [A-Za-z-]+ is missing|no Basic|not well-formed Basic"),
    ("other_account", "AccountSid|another .* account|not issued by"),
    ("content", "bodySHA256|not the one that was signed|a body was signed|body is not a form|token signs the body"),
    ("content", "only one of them is signed|call cannot be read|token holds no claims"),
    ("secret", "signature is not base64"),
)


def classify(apps: Any, schema_editor: Any) -> None:
    refused = apps.get_model("webhooks", "RefusedCallback").objects.using(schema_editor.connection.alias)
    for reason in refused.order_by().values_list("reason", flat=True).distinct():
        fault = next((fault for fault, sign in SIGNS if re.search(sign, reason)), "unknown")
        refused.filter(reason=reason).update(fault=fault)


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0003_callbacks_set_aside")]

    operations = [
        migrations.AddField(
            model_name="refusedcallback",
            name="fault",
            field=models.CharField(db_default="unknown", default="unknown", max_length=16),
        ),
        migrations.RunPython(classify, migrations.RunPython.noop, elidable=True),
    ]

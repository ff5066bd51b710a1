"""A process of another machine: it holds the FERNET_KEYS of its environment, and reads and writes as it is told."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from extensions.models import AccessToken, ProviderAccount  # noqa: E402

for line in sys.stdin:
    order, account, *said = json.loads(line)
    if order == "write":
        AccessToken.objects.update_or_create(account_id=account, defaults={"value": {"said": said[0]}})
        answer = "written"
    elif order == "read":
        answer = AccessToken.objects.get(account_id=account).value.get("said")
    else:
        answer = sorted(one.pk for one in ProviderAccount.objects.all() if not one.is_unreadable)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()

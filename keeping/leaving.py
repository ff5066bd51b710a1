"""An organisation leaves: its data are written to a file, then all its rows go, and nobody else's."""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import BinaryField, Field, ForeignKey, Model, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from distributions.models import Message
from distributions.states import Status
from keeping import logins, tables
from organizations import audit, clock
from organizations.encrypted import EncryptedJSONField
from organizations.models import Licence, Organization, User
from organizations.reading import pages
from webhooks.models import Callback

logger = logging.getLogger(__name__)

DELETED_ORGANIZATION = gettext_noop("deleted an organisation")
PORTION = 1_000  # rows in one transaction
SECRETS = frozenset({"password", "digest"})  # never written to a file; nor is what is encrypted

README = """What Switchboard kept of {name} ({public_id}) on {moment}.

One file for each table, one JSON object on each line, one line for each row. Columns are as in the database; those that
end in _id name the row of another file by its "id". Times are in UTC. Bytes are in hexadecimal. Left out are secrets:
credentials, passwords, keys and tokens.
"""


class StillLeaving(Exception):
    """Texts are on their way; `args[0]` is a sentence that says what to do."""


def counts(organization: Organization) -> dict[str, int]:
    """How many rows each table has of this organisation; tables without any are left out."""
    found = {table.name: table.rows(organization).count() for table in tables.tables()}
    found["webhooks.Callback"] = _callbacks(organization).count()
    return {name: number for name, number in sorted(found.items()) if number}


def export(organization: Organization, path: Path) -> int:
    """Write everything to a new zip file, readable for its owner only; returns how many rows. Raises FileExistsError.

    Rows are read in short statements, so that nobody waits. What is half written when something goes wrong is removed.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    total = 0
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            named = {"name": organization.name, "public_id": organization.public_id, "moment": timezone.now()}
            archive.writestr("README.txt", README.format(**named))
            for table in tables.tables():
                number = 0
                with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as lines:
                    for row in _exported(table, organization):
                        lines.write((json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False) + "\n").encode())
                        number += 1
                total += number
            file.flush()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return total


def _exported(table: tables.Table, organization: Organization) -> Iterator[dict[str, Any]]:
    fields = [field for field in table.model._meta.concrete_fields if not _is_secret(table.model, field)]
    names = [field.attname for field in fields]
    rows = _callbacks(organization) if table.model is Callback else table.rows(organization)
    for found in pages(rows, *names):
        for values in found:
            yield {field.attname: _plain(field, value) for field, value in zip(fields, values, strict=True)}


def _is_secret(model: type[Model], field: Field) -> bool:
    return isinstance(field, EncryptedJSONField) or field.name in SECRETS


def _plain(field: Field, value: Any) -> Any:
    return bytes(value).hex() if isinstance(field, BinaryField) and value is not None else value


def delete(organization: Organization, told: Callable[[str, int], None] = lambda _name, _number: None) -> int:
    """Delete all rows of an organisation, table by table in portions, and the organisation last; returns how many.

    First nothing leaves any more: the licence ends and its people are switched off. Stopped in the middle, it goes on
    when it is called again. Raises StillLeaving while requests are under way.
    """
    Licence.objects.filter(organization=organization).update(sms=False)
    User.objects.filter(organization=organization, is_active=True).update(is_active=False)
    recent = clock.now() - timedelta(seconds=2 * settings.SEND_LEASE)  # later, no request can be under way
    leaving = Message.objects.filter(organization=organization, status=Status.SENDING, attempted_at__gt=recent)
    if leaving.exists():
        raise StillLeaving(
            f"Texts of {organization.name} are just leaving. Nothing more is sent now; run the command again in "
            f"{2 * settings.SEND_LEASE} seconds."
        )
    _end_sessions(organization)
    name, public_id, total = organization.name, organization.public_id, 0
    for table in _children_first():
        if table.model is Organization:
            continue
        number = _delete_rows(table, organization)
        if number:
            told(table.name, number)
        total += number
    with transaction.atomic():
        event = audit.record(DELETED_ORGANIZATION, organization=None, count=total + 1, target=organization)
        QuerySet(Organization).filter(pk=organization.pk).delete()  # sets to nothing what others' rows point to
    logger.warning("organisation %s was deleted with %d rows (event %s)", public_id, total, event.pk)
    told(name, 1)
    return total + 1


def _delete_rows(table: tables.Table, organization: Organization) -> int:
    rows = _callbacks(organization) if table.model is Callback else table.rows(organization)
    total = 0
    while True:
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:PORTION])
        if not keys:
            return total
        chosen: QuerySet[Any] = QuerySet(table.model).filter(pk__in=keys)
        with transaction.atomic():
            if table.model is User:
                chosen.delete()  # rows of nobody's organisation may name who did something
            else:
                for field in _pointing_to_itself(table.model):
                    QuerySet(table.model).filter(**{f"{field.name}__in": keys}).update(**{field.name: None})
                chosen._raw_delete(chosen.db)
        total += len(keys)


def _callbacks(organization: Organization) -> QuerySet[Callback]:
    """Those of its own accounts, and those of the installation's that came to its address."""
    shared = Q(account__organization=None, url__contains=f"/{organization.public_id}")
    return Callback.objects.filter(Q(account__organization=organization) | shared)


def _pointing_to_itself(model: type[Model]) -> list[Any]:
    fields = model._meta.concrete_fields
    return [field for field in fields if isinstance(field, ForeignKey) and field.related_model is model]


def _children_first() -> list[tables.Table]:
    """The tables in an order in which nothing that is left points to what is gone, or is found by way of it."""
    waiting = {table.model: table for table in tables.tables()}
    ordered: list[tables.Table] = []
    while waiting:
        pointed_to = {
            field.related_model
            for model, table in waiting.items()
            for field in model._meta.concrete_fields
            if isinstance(field, ForeignKey)
            and (getattr(field, "db_constraint", True) or table.path.split("__")[0] == field.name)
            and field.related_model is not model
        }
        free = [table for model, table in waiting.items() if model not in pointed_to]
        if not free:
            raise AssertionError(f"These tables point to each other: {', '.join(t.name for t in waiting.values())}")
        ordered += free
        for table in free:
            del waiting[table.model]
    return ordered


def _end_sessions(organization: Organization) -> None:
    for session, _held in logins.of(organization):
        session.delete()

"""Which tables hold an organisation's rows, and which of their columns hold words: found by looking, not listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import (
    BinaryField,
    CharField,
    F,
    Field,
    ForeignKey,
    Func,
    JSONField,
    Model,
    Q,
    QuerySet,
    TextField,
    Value,
)
from django.db.models.functions import Cast

from organizations.encrypted import EncryptedJSONField, SealedField
from organizations.models import Organization

# What names a row or a person who logs in: changing it would break what relies on it.
_NAMES = frozenset(
    {"public_id", "password", "email", "actor_email", "digest", "dedupe_key", "reference", "idempotency_key"}
)


@dataclass(frozen=True)
class Table:
    """A table whose rows belong to organisations, by the chain of foreign keys `path`, or two of them."""

    model: type[Model]
    path: str

    @property
    def name(self) -> str:
        return str(self.model._meta.label)

    def rows(self, organization: Organization) -> QuerySet[Any]:
        """With Django's own query set: those of the house refuse changes that are meant to be final."""
        everything: QuerySet[Any] = QuerySet(self.model)
        if not self.path:
            return everything.filter(pk=organization.pk)
        return everything.filter(**{self.path: organization})

    @property
    def words(self) -> list[Field]:
        """The columns with words in them."""
        return [field for field in self.model._meta.concrete_fields if _has_words(field)]

    @property
    def sealed(self) -> list[Field]:
        """The columns that are encrypted."""
        return [field for field in self.model._meta.concrete_fields if isinstance(field, EncryptedJSONField)]


def _has_words(field: Field) -> bool:
    if isinstance(field, EncryptedJSONField | SealedField | ForeignKey) or field.choices or field.primary_key:
        return False
    return isinstance(field, CharField | TextField | JSONField | BinaryField) and field.name not in _NAMES


@cache
def tables() -> tuple[Table, ...]:
    """Every table with rows of an organisation; those that others point to come first."""
    found: dict[type[Model], str] = {Organization: ""}
    waiting = set(apps.get_models(include_auto_created=True)) - {Organization}
    while True:
        added = {}
        for model in waiting:
            paths = sorted(_paths(model, found), key=lambda path: (path.count("__"), path))
            if paths:
                added[model] = paths[0]
        if not added:
            break
        found.update(added)
        waiting -= set(added)
    return tuple(Table(model, path) for model, path in found.items())


def _paths(model: type[Model], found: dict[type[Model], str]) -> Iterator[str]:
    for field in model._meta.concrete_fields:
        if isinstance(field, ForeignKey) and field.related_model in found and field.related_model is not model:
            path = found[field.related_model]
            yield f"{field.name}__{path}" if path else field.name


def matching(rows: QuerySet[Any], fields: list[Field], pattern: str) -> QuerySet[Any]:
    """The rows in whose columns a regular expression is found, whatever the columns hold."""
    found = Q()
    texts = {}
    for field in fields:
        texts[f"_{field.name}_as_text"] = _as_text(field)
        found |= Q(**{f"_{field.name}_as_text__regex": pattern})
    return rows.alias(**texts).filter(found)


def _as_text(field: Field) -> Any:
    if isinstance(field, BinaryField) and connection.vendor == "postgresql":
        return Func(F(field.name), Value("escape"), function="encode", output_field=TextField())
    if isinstance(field, JSONField | BinaryField):
        return Cast(F(field.name), TextField())
    return F(field.name)

"""Fills an organisation with one row of every model, found by looking: a new model is covered without a line here."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone

from extensions.fields import EncryptedJSONField
from organizations.models import Organization, User
from tests import factories

APPS = ("organizations", "extensions", "contacts", "surveys", "distributions", "webhooks", "watching", "keeping")
MARKER = "Zyxwv"  # stands in every text of the rows; whoever reads it has read a row
NAMES = "Qponm"  # stands in what platform operators may read: the organisation, its people, its user types and groups
WITHOUT_TEXT = ("provider", "slug", "state", "status", "kind", "time_zone", "language", "default_region")


class Tenant:
    """An organisation with at least one row of every model. `rows[Model]` are its rows."""

    def __init__(self) -> None:
        self.organization = factories.organization(f"{NAMES} Clinic", support_contact=f"{NAMES} Support")
        self.rows: dict[type[models.Model], list[models.Model]] = {Organization: [self.organization]}
        self.rows[User] = [
            factories.administrator(self.organization, name=f"{NAMES} One", email=f"{NAMES.lower()}1@example.org"),
            factories.administrator(self.organization, name=f"{NAMES} Two", email=f"{NAMES.lower()}2@example.org"),
            factories.user(self.organization, name=f"{MARKER} Member", email=f"{MARKER.lower()}@example.org"),
        ]
        for model in business_models():
            self.row(model)

    def row(self, model: type[models.Model]) -> models.Model:
        """The first row of this model, made if there is none."""
        if model not in self.rows:
            self.rows[model] = list(self._existing(model)) or [self._make(model)]
        return self.rows[model][0]

    def _existing(self, model: type[models.Model]) -> Any:
        """What came with another row, such as the licence or an account's state."""
        owners = {
            field.name: self.row(field.remote_field.model)
            for field in model._meta.concrete_fields
            if field.name == "organization" or isinstance(field, models.OneToOneField)
        }
        return model._default_manager.filter(**owners) if owners else ()

    def _make(self, model: type[models.Model]) -> models.Model:
        if model._meta.label == "extensions.ProviderAccount":
            return factories.account(
                self.organization, name=f"{MARKER} line", sender=MARKER, sender_kind="alphanumeric"
            )
        values = {}
        for field in model._meta.concrete_fields:
            value = self._value(field, model)
            if value is not None:
                values[field.name] = value
        return model._default_manager.create(**values)

    def _value(self, field: Any, model: type[models.Model]) -> Any:
        """Something for this field that names its owner; None leaves it to the field's default."""
        if field.is_relation:
            other = field.remote_field.model
            if other is model or _needs(other, model):  # made after this one
                return None
            return self.row(other)
        if field.primary_key or (field.has_default() and not isinstance(field, models.TextField)):
            return None
        if field.choices:
            return field.choices[0][0]
        if isinstance(field, models.GenericIPAddressField):
            return "10.9.8.7"
        if isinstance(field, models.EmailField):
            return f"{MARKER.lower()}@example.net"
        if isinstance(field, models.URLField):
            return f"https://{MARKER.lower()}.example.org/"
        if isinstance(field, EncryptedJSONField):
            return {"key": "00" * 32, "phone": "+46700000199", "text": MARKER}
        if isinstance(field, models.CharField | models.TextField):
            name = NAMES if model._meta.app_label == "organizations" else MARKER
            return "twilio" if field.name in WITHOUT_TEXT else name[: field.max_length]
        if field.null:
            return None
        return _plain(field)


def _needs(model: type[models.Model], other: type[models.Model]) -> bool:
    """Whether a row of `model` cannot be made without one of `other`."""
    fields = (field for field in model._meta.concrete_fields if field.is_relation and not field.null)
    return any(field.remote_field.model is other for field in fields)


def _plain(field: Any) -> Any:
    kinds = (
        (models.DateTimeField, timezone.now()),
        (models.DateField, date.today()),
        (models.TimeField, time(12)),
        (models.BooleanField, False),
        (models.BinaryField, MARKER.encode()),
        (models.JSONField, {}),
        (models.IntegerField, 1),
        (models.FloatField, 1.0),
    )
    return next((value for kind, value in kinds if isinstance(field, kind)), None)


def business_models() -> list[type[models.Model]]:
    """Every model of the house."""
    return [model for label in APPS for model in apps.get_app_config(label).get_models()]

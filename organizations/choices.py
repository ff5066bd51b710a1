"""What pages offer to choose from: in filters, and in forms. Rows of the user's own organisation only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import ChoicesFieldListFilter, RelatedFieldListFilter
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.options import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Field, ForeignKey, ManyToManyField, Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest

from organizations.current import current_user
from organizations.models import Organization, Owned, User
from organizations.one_line import keep_to_one_line


class OwnedRelatedFilter(RelatedFieldListFilter):
    """A list filter over a relation that offers only the organisation's own rows."""

    def field_choices(self, field: Field, request: HttpRequest, model_admin: DjangoModelAdmin) -> list[tuple[str, Any]]:
        model: Any = field.related_model
        owned = scope(model, model._default_manager.all(), current_user(request))
        return [(str(row.pk), str(row)) for row in owned[:200]]


class OccurringFilter(ChoicesFieldListFilter):
    """A list filter over a column's choices that offers those which occur in the rows this user may see."""

    def __init__(
        self,
        field: Field,
        request: HttpRequest,
        params: dict[str, Any],
        model: type[Model],
        model_admin: DjangoModelAdmin,
        field_path: str,
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        rows = model_admin.get_queryset(request).order_by()
        self._occurring = set(rows.values_list(field_path, flat=True).distinct())

    def choices(self, changelist: Any) -> Iterator[Any]:
        everything, *each = super().choices(changelist)
        yield everything
        for (value, _label), choice in zip(self.field.flatchoices, each, strict=True):
            if value in self._occurring or choice["selected"]:
                yield choice


def scope(model: type[Model], rows: QuerySet, user: User) -> QuerySet:
    """The rows of `model` that this user may see as choices."""
    if issubclass(model, User):
        return User.objects.visible_to(user)
    if issubclass(model, Owned):
        return rows.filter(organization_id=user.organization_id)
    if issubclass(model, Organization):
        return rows if user.is_operator else rows.filter(pk=user.organization_id)
    return rows


class ScopedChoices(BaseModelAdmin):
    """Offers in every choice only rows of the user's own organisation."""

    def formfield_for_foreignkey(
        self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField | None:
        model = db_field.remote_field.model
        kwargs.setdefault("queryset", scope(model, model._default_manager.all(), current_user(request)))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: ManyToManyField, request: HttpRequest, **kwargs: Any) -> Any:
        model = db_field.remote_field.model
        kwargs.setdefault("queryset", scope(model, model._default_manager.all(), current_user(request)))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Without menus beside choices that add and change them: those have their own pages, and no key opens one."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        keep_to_one_line([field])
        return field

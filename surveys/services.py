"""What people do with a survey beyond editing it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from organizations.models import User
from surveys.models import Question, Survey


@transaction.atomic
def copy(survey: Survey, user: User) -> Survey:
    """A new survey with the same questions, which can be edited although those of the first are in use."""
    name = _("Copy of %(name)s")[:100] % {"name": survey.name[:80]}
    copied: Survey = Survey.objects.create(
        **{**_content(survey), "name": name, "organization": survey.organization, "created_by": user}
    )
    Question.objects.bulk_create(
        Question(**{**_content(question), "survey_id": copied.pk}) for question in survey.questions.all()
    )
    return copied


def _content(row: Model) -> dict[str, Any]:
    """What people have written; ids, dates and states are not among it."""
    fields = (field for field in row._meta.concrete_fields if field.editable and not field.primary_key)
    return {field.attname: getattr(row, field.attname) for field in fields}

"""Which changes of the models are changes of the database: their sentences are not."""

from __future__ import annotations

from typing import Any

from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ProjectState
from django.db.models import Field

SENTENCES = ("verbose_name", "help_text", "choices", "error_messages")
MODEL_SENTENCES = ("verbose_name", "verbose_name_plural")


class Autodetector(MigrationAutodetector):
    """Finds what a migration has to change. A label that is worded better, or a language more, is nothing of that.

    Takes the arguments of Django's own.
    """

    def __init__(self, from_state: ProjectState, to_state: ProjectState, questioner: Any = None) -> None:
        for key, model in to_state.models.items():
            if key not in from_state.models:
                continue
            before = from_state.models[key].options
            for name in MODEL_SENTENCES:
                model.options.pop(name, None)
            model.options.update({name: before[name] for name in MODEL_SENTENCES if name in before})
        super().__init__(from_state, to_state, questioner)

    def deep_deconstruct(self, obj: Any) -> Any:
        """As Django compares it; of a field without its sentences."""
        deconstructed = super().deep_deconstruct(obj)
        if not isinstance(obj, Field):
            return deconstructed
        path, args, kwargs = deconstructed
        return path, args, {name: value for name, value in kwargs.items() if name not in SENTENCES}

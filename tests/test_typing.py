"""What the type checker knows of the database: it checks a query if it knows the manager that the query begins with."""

from __future__ import annotations

import inspect
from pathlib import Path

from django.apps import apps
from django.conf import settings

OURS = [model for model in apps.get_models() if (Path(settings.BASE_DIR) / model.__module__.split(".")[0]).is_dir()]


def annotations(model: type) -> list[str]:
    """How the model and its bases annotate their managers."""
    names = {manager.name for manager in model._meta.managers}
    return [
        str(annotation)
        for base in model.__mro__
        for name, annotation in inspect.get_annotations(base).items()
        if name in names
    ]


def test_no_manager_hides_its_type():
    """A manager that is Any makes Any of every row that comes from it, and no misspelt method is noticed."""
    assert len(OURS) > 20
    assert {
        model.__name__: annotations(model) for model in OURS if any("Any" in kind for kind in annotations(model))
    } == {}

"""A sentence of the models is no part of the schema: a better word needs no migration."""

from __future__ import annotations

import pytest
from django.db import models
from django.db.migrations.state import ModelState, ProjectState

from config.ops.schema import Autodetector


def changes(before: models.Field, after: models.Field, options: tuple[dict, dict] = ({}, {})) -> dict:
    """What the detector finds between two states of one model."""
    states = []
    for field, more in zip((before, after), options, strict=True):
        state = ProjectState()
        state.add_model(
            ModelState("surveys", "Thing", [("id", models.AutoField(primary_key=True)), ("it", field)], more)
        )
        states.append(state)
    return Autodetector(*states)._detect_changes()


@pytest.mark.parametrize(
    "after",
    [
        models.CharField("better", max_length=9),
        models.CharField(max_length=9, help_text="Better."),
        models.CharField(max_length=9, choices=[("a", "A")]),
        models.CharField(max_length=9, error_messages={"unique": "Better."}),
    ],
)
def test_a_sentence_of_a_field_is_no_change(after):
    assert changes(models.CharField("worse", max_length=9), after) == {}


def test_what_a_model_is_called_is_no_change():
    same = models.CharField(max_length=9)

    assert (
        changes(same, same, ({"verbose_name": "thing"}, {"verbose_name": "object", "verbose_name_plural": "s"})) == {}
    )


@pytest.mark.parametrize(
    "after", [models.CharField(max_length=10), models.CharField(max_length=9, null=True), models.TextField()]
)
def test_what_the_database_keeps_is_a_change(after):
    assert [*changes(models.CharField("worse", max_length=9), after)] == ["surveys"]


def test_an_option_of_a_model_is_a_change():
    same = models.CharField(max_length=9)

    assert [*changes(same, same, ({}, {"ordering": ["it"]}))] == ["surveys"]

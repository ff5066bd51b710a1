"""Which texts are uncertain at this moment: few of many."""

from __future__ import annotations

from django.db import models

from distributions.models.messages import Message


class UncertainText(models.Model):
    """A text that may have been sent. Written by the database alone, whoever moves the message (engine/uncertain.py).

    Messages have no index on their state, which would end their being updated in place: this is it instead.
    """

    message = models.OneToOneField(
        Message, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="+", editable=False
    )

    def __str__(self) -> str:
        return str(self.message_id)

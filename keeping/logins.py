"""The sessions of an organisation's people. They belong to no table of it: each is opened to see whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session

from keeping.shapes import Shapes
from organizations.models import Organization, User

PAGE = 500  # sessions that are read at a time: a cursor of the server would not outlive a pooler's transaction


def of(organization: Organization) -> Iterator[tuple[Session, dict[str, Any]]]:
    """The sessions of the organisation's people, with what is in them."""
    people = {str(pk) for pk in User.objects.filter(organization=organization).values_list("pk", flat=True)}
    last = ""
    while found := list(Session.objects.filter(session_key__gt=last).order_by("session_key")[:PAGE]):
        last = found[-1].session_key  # before somebody deletes it, and its key with it
        for session in found:
            held = session.get_decoded()
            if str(held.get(SESSION_KEY)) in people:
                yield session, held


def forget(organization: Organization, shapes: Shapes) -> int:
    """End the sessions of the organisation's people in which the number stands; returns how many."""
    ended = 0
    for session, held in of(organization):
        if shapes.is_in(json.dumps(held, default=str, ensure_ascii=False)):
            session.delete()
            ended += 1
    return ended

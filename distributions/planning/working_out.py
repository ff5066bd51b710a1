"""The review of a long list: worked out once by a task, in steps, and kept for whoever looks at it.

What comes of the people is kept for a text and a version of the list; what comes of the moment (what is in the way,
when it would be done, in whose night) is worked out at each look. A step holds nothing: two at once do the
same twice, and one of them writes. Nothing depends on its being the latest: the launch compares what was shown with
what is there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from contacts import counts
from contacts.models import Contact
from distributions.engine.wake import REVIEW, wake
from distributions.models import Distribution, WorkedOut
from distributions.piping import values_of
from distributions.planning import fingerprint
from distributions.planning.review import Facts, Review, Texts, add, begin, conclude, groups, review, route_of
from extensions.routing import NoRoute

IN_THE_REQUEST = 5_000  # people who are looked at while the page is waited for
STEP = 1.0  # seconds
FORGOTTEN_AFTER = timedelta(seconds=10)  # a task that has not been heard of for so long is woken anew
GOOD_FOR = timedelta(minutes=1)  # though somebody on the list has changed since it was finished: lists never rest
KEPT_FOR = timedelta(days=1)

PLAIN = ("total", "sendable", "least", "most", "segments", "changed", "offending", "areas", "longest_of")
COUNTED = ("skipped", "encodings", "empty")


def look(distribution: Distribution) -> tuple[Review, str] | WorkedOut:
    """A draft's review with the version of its list for the fingerprint; of a long list, how far it is meanwhile."""
    known = counts.of(distribution.contact_list_id)
    if known.people <= IN_THE_REQUEST:
        version = fingerprint.version_of_list(distribution)  # before the list is read: what changes from then on shows
        return review(distribution), version
    asked = _asked(distribution)
    kept = WorkedOut.objects.filter(pk=distribution.pk, asked=asked).first()
    if kept is not None and kept.finished_at is not None:
        recent = kept.finished_at > timezone.now() - GOOD_FOR
        if kept.list_version == known.version or recent:
            return _shown(distribution, kept), kept.reviewed_version
        kept = None
    if kept is None:
        begun = {"list_version": known.version, "people": known.people, "cursor": 0, "done": 0, "found": {}}
        fields = {**begun, "asked": asked, "reviewed_version": "", "began_at": timezone.now(), "finished_at": None}
        kept, _new = WorkedOut.objects.update_or_create(
            distribution=distribution, defaults={**fields, "touched_at": timezone.now()}
        )
        wake(REVIEW, distribution.pk)
    elif _was_forgotten(kept):
        wake(REVIEW, distribution.pk)
    return kept


def _was_forgotten(kept: WorkedOut) -> bool:
    """Whether its task is lost; whoever finds it has the next FORGOTTEN_AFTER to themselves."""
    long_ago = timezone.now() - FORGOTTEN_AFTER
    same = WorkedOut.objects.filter(pk=kept.pk, touched_at=kept.touched_at, touched_at__lt=long_ago)
    return bool(same.update(touched_at=timezone.now()))


def forget(distribution_id: int) -> None:
    """Keep nothing of it: it was launched, or something has changed that a look would not notice yet."""
    WorkedOut.objects.filter(pk=distribution_id).delete()


def step(distribution_id: int) -> bool:
    """Go on for STEP seconds; True if there is more to do. After a kill it goes on where it was."""
    kept = WorkedOut.objects.filter(pk=distribution_id, finished_at=None).first()
    if kept is None:
        return False
    rows = Distribution.objects.select_related("organization__licence", "survey__organization", "contact_list")
    distribution = rows.get(pk=distribution_id)
    if distribution.contact_list_id is None or kept.asked != _asked(distribution):
        return False  # the next look begins anew
    same = WorkedOut.objects.filter(pk=kept.pk, asked=kept.asked, began_at=kept.began_at, cursor=kept.cursor)
    if not kept.reviewed_version:  # before anybody is read: what changes from then on is noticed
        kept.reviewed_version = fingerprint.version_of_list(distribution)
    found = _read(distribution, kept)
    texts = Texts.of(distribution, _account(distribution))
    ends_at = time.monotonic() + STEP
    cursor = kept.cursor
    finished = True
    for group in groups(distribution, after=kept.cursor):
        for contact, reason in group:
            add(found, contact, reason, texts)
            cursor = contact.pk
        if time.monotonic() > ends_at:
            finished = False
            break
    now = timezone.now()
    written = same.filter(finished_at=None).update(
        cursor=cursor,
        done=found.total,
        found=_written(found),
        reviewed_version=kept.reviewed_version,
        touched_at=now,
        finished_at=now if finished else None,
    )
    return bool(written) and not finished


def purge() -> None:
    """Forget what nobody has launched."""
    WorkedOut.objects.filter(touched_at__lt=timezone.now() - KEPT_FOR).delete()


def _account(distribution: Distribution) -> Any:
    try:
        return route_of(distribution).account
    except NoRoute:
        return None


def _asked(distribution: Distribution) -> str:
    """Everything but the people that what is kept depends on."""
    account = _account(distribution)
    texts = Texts.of(distribution, account)
    rendered = texts.render({})  # the links have the length that they have now
    parts = [distribution.contact_list_id, distribution.whole_text, account and account.provider, rendered]
    return hashlib.sha256(json.dumps([*parts, settings.PUBLIC_URL]).encode()).hexdigest()


def _written(found: Review) -> dict[str, Any]:
    """What comes of the people. Of texts, only whose they are."""
    return {
        **{name: getattr(found, name) for name in (*PLAIN, *COUNTED)},
        "known": sorted(found.known),
        "examples": [contact.pk for contact, _text in found.examples],
    }


def _read(distribution: Distribution, kept: WorkedOut, facts: Facts | None = None) -> Review:
    """A review as far as it was kept."""
    found = begin(distribution, facts)
    for name, value in kept.found.items():
        if name in PLAIN:
            setattr(found, name, value)
        elif name in COUNTED:
            setattr(found, name, Counter(value))
    found.known = set(kept.found.get("known", ()))
    texts = Texts.of(distribution, found.account)
    keys = kept.found.get("examples", [])
    people = Contact.objects.filter(contact_list=distribution.contact_list_id)
    contacts = people.in_bulk([*keys, *([found.longest_of] if found.longest_of else [])])
    found.examples = [
        (contacts[pk], texts.carried(texts.render(values_of(contacts[pk])))) for pk in keys if pk in contacts
    ]
    if found.longest_of in contacts:
        found.longest = texts.carried(texts.render(values_of(contacts[found.longest_of])))
    return found


def _shown(distribution: Distribution, kept: WorkedOut) -> Review:
    """The whole review, as of now."""
    found = _read(distribution, kept, _FactsOfKept(kept))
    conclude(found)
    return found


class _FactsOfKept(Facts):
    """What the conditions of a launch ask, answered by what is kept instead of the list."""

    def __init__(self, kept: WorkedOut) -> None:
        self._kept = kept

    def people(self, distribution: Distribution) -> int:
        return int(self._kept.found["sendable"])

    def reaches_somebody(self, distribution: Distribution) -> bool:
        return self.people(distribution) > 0

"""Launching: resumable COPY against bulk_create, and its memory."""

from __future__ import annotations

import resource
import time

from django.utils import timezone

from bench.rig import row, verdict
from distributions import segments
from distributions.models import Distribution, Message
from distributions.piping import Template, values_of
from distributions.planning import starting
from tests import factories


def run(contacts: int = 100_000) -> bool:
    print(f"\nLaunching to {contacts:,} contacts")
    clinic = factories.organization()
    account = factories.account(clinic, "twilio")
    people = factories.contact_list(clinic, contacts, phone="+447{:07d}00")

    def draft() -> Distribution:
        return factories.distribution(
            clinic,
            contact_list=people,
            account=account,
            state=Distribution.State.LAUNCHING,
            launched_at=timezone.now(),
        )

    yardstick = draft()
    began = time.monotonic()
    template = Template(yardstick.message_text)
    Message.objects.bulk_create(
        (
            Message(
                organization=clinic,
                distribution=yardstick,
                contact=contact,
                to=contact.phone,
                text=(
                    text := template.render(values_of(contact), survey_link="https://s.example/s/x", opt_out_link="")
                ),
                segments=segments.count(text).segments,
            )
            for contact in people.contacts.iterator(chunk_size=1000)
        ),
        batch_size=1000,
    )
    bulk = time.monotonic() - began

    made = draft()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    while starting.expand(made.pk):
        pass
    copied = time.monotonic() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    row("", "seconds", "us a contact")
    row("bulk_create, 1,000 at a time, nothing else", f"{bulk:.1f}", f"{1e6 * bulk / contacts:.0f}")
    row("Switchboard: skips, links, chunks, tally, resumable", f"{copied:.1f}", f"{1e6 * copied / contacts:.0f}")
    return all(
        [
            verdict("speed against bulk_create", bulk / copied, 1),
            verdict("memory it adds (MB)", grown, 50, at_most=True),
        ]
    )

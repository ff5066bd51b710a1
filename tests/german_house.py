"""An organisation of German readers that has a row in every state, and what of a page a reader gets to see or hear.

All words that are entered here are made up (tests/tenants.py), so that whatever else is read is ours.
"""

from __future__ import annotations

import io
import re
from datetime import timedelta
from html.parser import HTMLParser
from itertools import product
from typing import Any

from django.utils import timezone

from contacts import importing
from contacts.models import ContactImport, ContactList, OptOut
from distributions import states
from distributions.models import Conversation, Distribution, InboundMessage, Message, MessageEvent, Tally
from distributions.states import Status
from extensions import categories
from extensions.contract import Delivery, Fault
from extensions.models import AccountState, ProviderAccount, TestMessage
from intake.sentences import said
from organizations import audit
from organizations.models import AuditEvent, User
from tests import factories
from tests.tenants import MARKER, Tenant
from tests.test_stored_words import ODD, WRONG
from webhooks import faults
from webhooks.models import Callback, RefusedCallback

MANY = 12345  # English writes 12,345
OURS = "no connection (%(why)s)"  # a sentence of ours where a provider said nothing


def house() -> Tenant:
    """The organisation, in German, and its rows."""
    tenant = Tenant()
    clinic = tenant.organization
    clinic.language, clinic.time_zone, clinic.default_region = "de", "Europe/Berlin", "DE"
    clinic.save()
    _accounts(tenant)
    _distributions(tenant)
    _messages(tenant)
    _contacts(tenant)
    _callbacks(tenant)
    _trail(tenant)
    return tenant


def _accounts(tenant: Tenant) -> None:
    """In use, refused, stopped, unverified, deleted; with test messages in every state."""
    clinic, account = tenant.organization, tenant.row(ProviderAccount)
    now = timezone.now()
    AccountState.objects.filter(account=account).update(
        strange_reports=MANY, balance=1234.5, balance_unit="EUR", balance_at=now, reports_seen_at=now
    )
    stopped = factories.account(clinic, "infobip", name=MARKER)
    unclear = said("no complete answer (%(why)s)") % {"why": MARKER}
    AccountState.objects.filter(account=stopped).update(
        stopped_at=now, stopped_reason=categories.kept("auth_failed", unclear), throttled_rate=0.5
    )
    refused = factories.account(clinic, "vonage", name=MARKER, check_detail=said("wrong signature"))
    ProviderAccount.objects.filter(pk=refused.pk).update(check_ok=False)
    asked = said("The provider could not be asked: %(why)s") % {"why": said(OURS) % {"why": MARKER}}
    unproved = factories.account(clinic, "sinch", name=MARKER, verified=False, check_detail=asked)
    deleted = factories.account(clinic, "messagemedia", name=MARKER, deleted_at=now)
    tenant.rows[ProviderAccount] += [stopped, refused, unproved, deleted]
    for state in Delivery:
        detail = said(OURS) % {"why": MARKER}
        TestMessage.objects.create(account=account, reference=f"t{state}", to="+49", status=state, detail=detail)


def _distributions(tenant: Tenant) -> None:
    first = tenant.row(Distribution)
    now = timezone.now()
    for state, method in product(Distribution.State, Distribution.Method):
        problem = said("The contact list has been deleted. Choose another one.")
        row = Distribution.objects.create(
            organization=tenant.organization,
            name=MARKER,
            survey=first.survey,
            contact_list=first.contact_list,
            account=first.account,
            method=method,
            state=state,
            message_text=f"{MARKER} ${{m://FirstName}} ${{l://SurveyURL}}",
            send_at=now,
            launched_at=now if state not in ("draft", "scheduled") else None,
            problem=problem if state in ("scheduled", "sending") else "",
        )
        counted = {status: MANY for status in Status.values if hasattr(Tally, status)}
        Tally.objects.create(distribution=row, **counted)
        tenant.rows[Distribution].append(row)


def _messages(tenant: Tenant) -> None:
    """In every state, for every reason, with a provider's words and with ours, and everything told of them."""
    clinic, distribution = tenant.organization, tenant.row(Distribution)
    account = tenant.row(ProviderAccount)
    reasons = [*categories.WORDS, states.RESTORED, states.STOPPED, states.REPEATED]
    kinds = [*product(Status, [""]), *product(["failed", "uncertain"], reasons)]
    kinds += [*product(["skipped"], Message.Skip.values)]
    now = timezone.now()
    for number, (status, reason) in enumerate(kinds):
        message = Message.objects.create(
            organization=clinic,
            distribution=distribution,
            contact=None,
            account=account,
            to="+4915112345678",
            text=MARKER,
            segments=1,
            status=status,
            reason=reason,
            error=said(OURS) % {"why": MARKER} if number % 2 else MARKER,
            attempt=1,
            attempted_at=now,
            accepted_at=now,
            settled_at=now,
            clicked_at=now,
        )
        tenant.rows[Message].append(message)
        for source in MessageEvent.Source:
            MessageEvent.objects.create(
                message=message, source=source, status=status, category=reason, error=message.error, part="1"
            )
    for meaning in InboundMessage.Meaning:
        InboundMessage.objects.create(
            organization=clinic,
            account=account,
            message=tenant.row(Message),
            sender="+4915112345678",
            recipient="+49",
            provider_message_id=meaning,
            text=MARKER,
            meaning=meaning,
            mentions_stopping=True,
        )
    Conversation.objects.update(state=Conversation.State.BROKEN_OFF)


def _contacts(tenant: Tenant) -> None:
    """Opt-outs of every source with everything that is written down; an import in every state, with its problems."""
    written = ("inbound 7", "shared line +4915112345678", f"doubt 7, decided by {MARKER}", MARKER)
    for number, (source, evidence) in enumerate(product(OptOut.Source, written)):
        row = OptOut.objects.create(
            organization=tenant.organization, phone=f"+49151123456{number:02}", source=source, evidence=evidence
        )
        tenant.rows[OptOut].append(row)
    lines = [*WRONG.values(), *(line for lines in ODD.values() for line in lines)]
    file = io.BytesIO(re.sub("Ada|Grace|number", MARKER, "\n".join(["Phone;FirstName", *lines, ""])).encode())
    checked = importing.check(tenant.row(ContactList), file, f"{MARKER}.csv", tenant.row(User))
    made = tenant.rows[ContactImport] = [importing.read_to_the_end(checked)]
    for state in ContactImport.State:
        others = {field.name: getattr(checked, field.name) for field in checked._meta.concrete_fields}
        del others["id"]
        made.append(ContactImport.objects.create(**others | {"state": state, "imported_at": timezone.now()}))


def _callbacks(tenant: Tenant) -> None:
    account = tenant.row(ProviderAccount)
    now = timezone.now()
    for number, fault in enumerate(Fault):
        RefusedCallback.objects.create(
            organization=tenant.organization,
            slug="twilio-sms",
            kind="status",
            reason=said("wrong signature"),
            fault=fault,
            count=MANY,
            day=(now - timedelta(days=number)).date(),
        )
    for kind, (_classes, why) in product(("status", "message"), faults.REASONS):
        row = Callback.objects.create(
            account=account, kind=kind, state="unreadable", error=why, dedupe_key=f"{kind} {why}"[:64]
        )
        tenant.rows[Callback].append(row)


def _trail(tenant: Tenant) -> None:
    """Every action that says something beside it, with values as they are stored."""
    clinic = tenant.organization
    plan = tenant.row(Distribution)
    detail: dict[str, Any] = {
        name: next(iter(audit.CODES.get(name, {})), MANY if name != "rate" else 0.5) for name in audit.DETAILS
    }
    audit.record(audit.CHANGED, organization=clinic, target=plan, **detail)
    audit.record(
        audit.CHANGED,
        organization=clinic,
        target=plan,
        changes={"send_at": [None, "2026-11-27 09:30:00+00:00"], "state": ["draft", "scheduled"]},
    )
    for role in User.Role:
        audit.record(audit.ADDED, organization=clinic, target=tenant.row(User), changes={"role": ["", role]})
    tenant.rows[AuditEvent] = list(AuditEvent.objects.all())


class Shown(HTMLParser):
    """What a reader gets to see or hear: text and the attributes that are read out.

    Not what is code, typed exactly so, or marked as another language or as one that nobody knows (`lang=""`).
    """

    SILENT = ("script", "style", "code", "template", "textarea")
    READ = ("title", "placeholder", "aria-label", "aria-description", "alt", "label")
    VOID = ("br", "img", "input", "link", "meta", "hr", "path", "circle", "rect", "source", "col", "line", "polyline")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[bool] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = {name: value or "" for name, value in attrs}
        classes = given.get("class", "").split()
        silent = tag in self.SILENT or given.get("lang", "de") != "de" or "material-symbols-outlined" in classes
        if not any(self.open) and not silent:
            self.words += [given[name] for name in self.READ if name in given]
            if tag == "input" and given.get("type") in ("submit", "button", "reset"):
                self.words.append(given.get("value", ""))
        if tag not in self.VOID:
            self.open.append(silent)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.open) and data.strip():
            self.words.append(data)

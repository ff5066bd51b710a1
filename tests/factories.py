"""Plain functions that make the things tests are about. Every argument has a default; names and numbers count up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from django.db.models import F
from django.utils import timezone

from contacts.models import Contact, ContactList
from distributions.models import Distribution, Message, Tally
from extensions import registry
from extensions.contract import SenderKind
from extensions.models import AccountState, EnabledExtension, ProviderAccount
from organizations.models import Licence, Organization, User
from surveys.models import Question, Survey
from tests import provider_cases

PASSWORD = "correct horse battery staple"
_number = count(1)

# What each provider's own form makes of the example in tests/providers, and the sender there.
CREDENTIALS: dict[str, dict[str, str]] = {}
SENDERS: dict[str, str] = {}
for _example in map(provider_cases.load, provider_cases.files()):
    _form = registry.get(_example["key"]).Credentials(_example["credentials"])
    assert _form.is_valid(), _form.errors
    CREDENTIALS[_example["key"]], SENDERS[_example["key"]] = _form.cleaned_data, _example["sender"]


def organization(name: str = "", *, sms: bool = True, two_way: bool = True, **fields: Any) -> Organization:
    """An organisation with a licence; all extensions are enabled if the licence has SMS."""
    name = name or f"Clinic {next(_number)}"
    made = Organization.objects.create(name=name, **fields)
    Licence.objects.create(organization=made, sms=sms, two_way=two_way)
    if sms:
        EnabledExtension.objects.bulk_create(
            EnabledExtension(organization=made, provider=provider.key) for provider in registry.all()
        )
    return made


def user(organization: Organization | None = None, role: str = User.Role.MEMBER, **fields: Any) -> User:
    """Somebody who logs in with PASSWORD; an operator if the role says so, and then without an organisation."""
    if role != User.Role.OPERATOR and organization is None:
        organization = globals()["organization"]()
    fields.setdefault("email", f"{role}{next(_number)}@example.org")
    return User.objects.create_user(password=PASSWORD, organization=organization, role=role, **fields)


def administrator(organization: Organization | None = None, **fields: Any) -> User:
    fields.setdefault("use_sms_distributions", "enabled")
    return user(organization, User.Role.ADMINISTRATOR, **fields)


def operator(**fields: Any) -> User:
    return user(None, User.Role.OPERATOR, **fields)


def contact_list(
    organization: Organization,
    contacts: int = 0,
    *,
    name: str = "",
    phone: str = "+4477009{:05d}",
    phones: Sequence[str] = (),
) -> ContactList:
    """A list with that many contacts, each with a number of its own, or one contact for each of `phones`."""
    made = ContactList.objects.create(organization=organization, name=name or f"Patients {next(_number)}")
    Contact.objects.bulk_create(
        Contact(
            organization=organization,
            contact_list=made,
            first_name=f"Ada{index}",
            last_name="Lovelace",
            phone=phone,
        )
        for index, phone in enumerate(phones or map(phone.format, range(contacts)))
    )
    return made


def survey(organization: Organization, *, questions: Sequence[dict[str, Any]] = (), **fields: Any) -> Survey:
    """A survey at an address or, with `questions` (fields of each), one that can be held by text."""
    fields.setdefault("name", f"Survey {next(_number)}")
    fields.setdefault("url", "" if questions else "https://forms.example.org/s/42")
    made = Survey.objects.create(organization=organization, **fields)
    Question.objects.bulk_create(
        Question(survey=made, position=position, **question) for position, question in enumerate(questions)
    )
    return made


# The three that scenario 5 asks (docs/requirements.md).
THREE_QUESTIONS = (
    {"kind": "nps", "text": "How likely are you to recommend us, 0 to 10?"},
    {"kind": "choice", "text": "How was the wait?", "choices": "Short\nFine\nToo long"},
    {"kind": "text", "text": "What should we do better?"},
)


def interactive(organization: Organization, account: ProviderAccount | None = None, **fields: Any) -> Distribution:
    """A survey by text of three questions; with `account`, launched: the first question has left to each recipient."""
    fields.setdefault("survey", None)
    fields["survey"] = fields["survey"] or survey(organization, questions=THREE_QUESTIONS, thank_you="Thank you!")
    fields.setdefault("message_text", "")
    sent = {"state": Distribution.State.FINISHED, "launched_at": timezone.now()} if account else {}
    made = distribution(
        organization, account=account, method=Distribution.Method.INTERACTIVE, **{"recipients": 1, **sent, **fields}
    )
    if account is None:
        made.messages.all().delete()
    else:
        made.messages.update(status="accepted", attempt=1, attempted_at=timezone.now(), account=account)
        Tally.objects.filter(distribution=made).update(accepted=F("waiting"), waiting=0)
    return made


def account(
    organization: Organization | None,
    provider: str = "twilio",
    *,
    granted: bool = True,
    verified: bool = True,
    sender: str = "",
    sender_kind: str = SenderKind.NUMBER,
    credentials: dict[str, str] | None = None,
    **fields: Any,
) -> ProviderAccount:
    """An account at a provider, verified and granted to all users unless told otherwise."""
    if credentials is None:
        names = registry.get(provider).Credentials.base_fields if registry.find(provider) else ()
        credentials = CREDENTIALS.get(provider) or {name: f"sandbox-{name}" for name in names}
    now = timezone.now()
    made = ProviderAccount.objects.create(
        organization=organization,
        provider=provider,
        name=fields.pop("name", f"{provider} {next(_number)}"),
        sender=sender or SENDERS.get(provider, "447700900000"),
        sender_kind=sender_kind,
        credentials=ProviderAccount.seal(organization, credentials),
        granted_at=now if granted else None,
        checked_at=now if verified else None,
        check_ok=True if verified else None,
        **fields,
    )
    AccountState.objects.create(account=made)
    return made


def distribution(organization: Organization, *, recipients: int = 0, **fields: Any) -> Distribution:
    """A distribution to a list of its own; with `recipients`, its messages are written and waiting."""
    fields.setdefault("name", f"Distribution {next(_number)}")
    fields.setdefault("message_text", "Hello ${m://FirstName}, please answer: ${l://SurveyURL}")
    fields.setdefault("survey", None)
    fields["survey"] = fields["survey"] or survey(organization)
    fields.setdefault("contact_list", None)
    fields["contact_list"] = fields["contact_list"] or contact_list(organization, recipients)
    made = Distribution.objects.create(organization=organization, **fields)
    Tally.objects.create(distribution=made, waiting=recipients)
    Message.objects.bulk_create(
        Message(
            organization=organization,
            distribution=made,
            contact=contact,
            account=made.account,
            to=contact.phone,
            text="Hello, please answer.",
            segments=1,
        )
        for contact in fields["contact_list"].contacts.all()[:recipients]
    )
    return made

"""The demo's organisation: its people, its account at a simulated provider, its contacts and its distributions."""

from __future__ import annotations

import json
import logging
import random
import secrets
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from contacts import opt_outs
from contacts.models import Contact, ContactList, OptOut
from distributions import services
from distributions.models import Distribution
from extensions import registry
from extensions import services as accounts
from extensions.models import AccountState, ProviderAccount
from extensions.provisioning import new_password, provision
from extensions.webhook_urls import webhook_url
from organizations.models import Organization, User, UserType
from organizations.permissions import Setting
from surveys.conversation import Kind
from surveys.models import Question, Survey

logger = logging.getLogger(__name__)

PROVIDER = "twilio"
SENDER = "15005550006"
TEXT = "Hello ${m://FirstName|there}, how was your visit? ${l://SurveyURL} Reply STOP to opt out"

FIRST_NAMES = (
    "Ada",
    "Grace",
    "Alan",
    "Edsger",
    "Barbara",
    "Donald",
    "Radia",
    "Hedy",
    "Katherine",
    "Margaret",
    "Niklaus",
)
LAST_NAMES = ("Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Perlman", "Lamarr", "Johnson", "Hamilton")

OPTED_OUT, NO_NUMBER, ANY = "opted out", "no number", "0000"
# Among 200 contacts; the rest are delivered. The digits end a number and tell the simulator what to do (its README).
SPECIAL: Mapping[str, int] = {
    OPTED_OUT: 8,
    NO_NUMBER: 4,
    "9904": 6,  # refused: invalid number
    "9905": 2,  # refused: opted out at the provider
    "9901": 5,  # undelivered
    "9902": 4,  # failed later
    "9903": 3,  # expired
    "9906": 2,  # a landline
    "9918": 2,  # the text is not allowed
    "9910": 8,  # replies “Yes”
    "9911": 3,  # replies “STOP”
    "9908": 4,  # reported before the send call has returned
    "9909": 4,  # every report three times
    "9913": 3,  # reports in the wrong order
    "9912": 2,  # a slow answer
    "9920": 2,  # accepted, then the connection drops
    "9921": 2,  # accepted, then HTTP 500
    "9922": 2,  # accepted, then an unreadable answer
    "9923": 1,  # accepted, then no answer
}
PER = 200

# Whom the survey by text goes to, all in one round: its people answer, hesitate, opt out, or never react.
ANSWERING = ("9930", "9930", "9931", "9930", "9900", "9930", "9911", "9930")
QUESTIONS: tuple[dict[str, str], ...] = tuple(
    {"kind": str(kind), "text": kind.sample.text, "choices": "\n".join(kind.sample.choices)}
    for kind in (Kind.NPS, Kind.CHOICE, Kind.TEXT)
)
INTRODUCTION = "Hello ${m://FirstName|there}, three short questions about your visit. Reply STOP to opt out."


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo works with. The passwords are known nowhere else."""

    organization: Organization
    administrator: User
    distribution: Distribution
    conversation: Distribution
    log_ins: list[tuple[str, str, str]]  # who, e-mail, password


def make(recipients: int, simulator_url: str, *, messages_per_second: float | None = None) -> Demo:
    """An organisation with its people, an account at the simulated provider, contacts, and a draft to them.

    Made through the functions that the pages call. `messages_per_second` overrides the provider's own pace.
    """
    provider = registry.get(PROVIDER)
    made = provision(
        Organization(public_id="DEMO", name="Riverside Clinic", support_contact="Ada Lovelace, admin@demo.example"),
        "admin@demo.example",
        registry.all(),
    )
    organization, administrator = made.organization, made.administrator
    member_password, operator_password = new_password(), new_password()
    User.objects.create_user(
        "member@demo.example",
        member_password,
        organization=organization,
        user_type=UserType.objects.get(organization=organization, name="Basic"),
        use_sms_distributions=Setting.ENABLED,
    )
    User.objects.create_superuser("operator@demo.example", operator_password)

    credentials = {"account_sid": f"AC{secrets.token_hex(16)}", "auth_token": secrets.token_hex(16)}
    inbound_url = webhook_url("message", provider, organization)
    _register(simulator_url, {"provider": PROVIDER, "credentials": credentials, "inbound_url": inbound_url})
    sender, kind = provider.clean_sender(SENDER)
    account = accounts.add_account(
        organization,
        administrator,
        provider,
        name=f"Simulated {provider.name}",
        sender=sender,
        sender_kind=kind,
        values=credentials,
    )
    accounts.verify(account, administrator)
    accounts.grant(account, administrator)
    AccountState.objects.filter(account=account).update(messages_per_second=messages_per_second)

    distribution = Distribution.objects.create(
        organization=organization,
        name="Visit feedback",
        survey=Survey.objects.create(
            organization=organization, name="Visit feedback", url="https://forms.example.org/visit"
        ),
        contact_list=_contacts(organization, recipients),
        message_text=TEXT,
        created_by=administrator,
    )
    log_ins = [
        ("administrator", administrator.email, made.password),
        ("member", "member@demo.example", member_password),
        ("platform operator", "operator@demo.example", operator_password),
    ]
    conversation = _conversation(organization, administrator, recipients // 10)
    return Demo(organization, administrator, distribution, conversation, log_ins)


def _conversation(organization: Organization, administrator: User, count: int) -> Distribution:
    """A draft of a survey by text."""
    survey = Survey.objects.create(
        organization=organization, name="Three questions", thank_you="Thank you for helping us to get better!"
    )
    Question.objects.bulk_create(
        Question(survey=survey, position=position, **fields) for position, fields in enumerate(QUESTIONS)
    )
    people = ContactList.objects.create(organization=organization, name="Visitors of today")
    Contact.objects.bulk_create(
        Contact(
            organization=organization,
            contact_list=people,
            first_name=FIRST_NAMES[index % len(FIRST_NAMES)],
            last_name=LAST_NAMES[index % len(LAST_NAMES)],
            phone=f"+1556{200 + index:03d}{ANSWERING[index % len(ANSWERING)]}",
            language="en",
        )
        for index in range(count)
    )
    return Distribution.objects.create(
        organization=organization,
        name="Three questions",
        method=Distribution.Method.INTERACTIVE,
        survey=survey,
        contact_list=people,
        message_text=INTRODUCTION,
        created_by=administrator,
    )


def _register(simulator_url: str, account: dict[str, Any]) -> None:
    """What an administrator types into the provider's console: where inbound messages go."""
    request = urllib.request.Request(f"{simulator_url}/_/accounts", json.dumps(account).encode())  # noqa: S310
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 (our own simulator)
        pass


def enter_addresses(simulator_url: str, known: Collection[int]) -> set[int]:
    """Tell the simulated providers where each new account's callbacks go, as one does in their consoles.

    `known` are the keys of accounts of which they have been told; returns those of the others. What a provider would
    never have given out is skipped: its owner reads that the credentials are wrong.
    """
    found = ProviderAccount.objects.exclude(pk__in=known).exclude(organization=None).select_related("organization")
    told: set[int] = set()
    for account in found:
        organization, provider = account.organization, account.provider_class
        assert organization is not None  # it is not an account of the installation
        told.add(account.pk)
        addresses = {
            "reports_url": webhook_url("status", provider, organization),
            "inbound_url": webhook_url("message", provider, organization),
        }
        try:
            _register(simulator_url, {"provider": account.provider, "credentials": account.secrets(), **addresses})
        except urllib.error.HTTPError as refusal:
            logger.info("the simulator knows no such account: %s", refusal)
    return told


def example_accounts(simulator_url: str) -> dict[str, dict[str, str]]:
    """For each simulated provider what fills in its account form, the key included that it publishes."""
    with urllib.request.urlopen(f"{simulator_url}/_/", timeout=10) as answer:  # noqa: S310 (our own simulator)
        providers: dict[str, dict[str, Any]] = json.load(answer)["providers"]
    published = {
        key: {"webhook_public_key": one["public_key"]} for key, one in providers.items() if "public_key" in one
    }
    return {key: one["example"] | published.get(key, {}) for key, one in providers.items()}


def _contacts(organization: Organization, count: int) -> ContactList:
    """A list whose members meet every fate there is, in the shares of SPECIAL; no such area code is in use."""
    people = ContactList.objects.create(organization=organization, name="Patients of this month")
    plan = [fate for fate, often in SPECIAL.items() for _person in range(often * count // PER)]
    plan += [ANY] * (count - len(plan))
    random.Random(count).shuffle(plan)  # noqa: S311 (no secret)
    contacts = [
        Contact(
            organization=organization,
            contact_list=people,
            first_name=FIRST_NAMES[index % len(FIRST_NAMES)],
            last_name=LAST_NAMES[index % len(LAST_NAMES)],
            phone="" if fate == NO_NUMBER else f"+1555{200 + index:03d}{fate if fate.isdigit() else ANY}",
            language="en",
        )
        for index, fate in enumerate(plan)
    ]
    Contact.objects.bulk_create(contacts)
    for contact, fate in zip(contacts, plan, strict=True):
        if fate == OPTED_OUT:
            opt_outs.opt_out(organization, contact.phone, OptOut.Source.ADMINISTRATOR, "asked for it by phone")
    return people


def launch(demo: Demo) -> None:
    """Send the link."""
    services.launch(demo.distribution, demo.administrator)


def launch_conversation(demo: Demo) -> None:
    """Send the survey by text."""
    services.launch(demo.conversation, demo.administrator)

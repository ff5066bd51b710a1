"""An organisation that has as many rows as it is told of everything that a page shows."""

from __future__ import annotations

import io
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from contacts import importing
from contacts.models import Contact, ContactImport, ContactList, OptOut
from distributions.models import Conversation, Distribution, InboundMessage, Message, MessageEvent, Tally
from extensions.models import AccountState, ProviderAccount, TestMessage
from organizations.models import ApiToken, AuditEvent, Licence, Organization, User, UserGroup, UserType
from surveys.models import Answer, Response, Survey
from tests import factories
from webhooks.models import RefusedCallback

NUMBER = "+4477009{:05d}"


class Crowd:
    """Begins with one of each; `grow` brings them to a number.

    What a page shows belongs to one thing: every contact to `patients`, every message to `sent`, every reply and turn
    to the conversation of the first message, every refused call to the provider of `account`.
    """

    def __init__(self) -> None:
        self.size = 0
        self.clinic = factories.organization("Riverside Clinic Group", support_contact="Ada, ada@example.org")
        self.administrator = factories.administrator(self.clinic, name="Ada Lovelace")
        self.member = factories.user(self.clinic, name="Grace Hopper", use_sms_distributions="enabled")
        self.account = factories.account(self.clinic, "twilio", name="Main line")
        self.replacement = factories.account(self.clinic, "twilio", sender="447700900999", replaces=self.account)
        self.patients = factories.contact_list(self.clinic, name="Patients")
        self.survey = factories.survey(self.clinic, questions=factories.THREE_QUESTIONS, thank_you="Thank you!")
        self.draft = factories.distribution(self.clinic, contact_list=self.patients, name="A link")
        self.draft_by_text = factories.interactive(
            self.clinic, contact_list=self.patients, survey=self.survey, recipients=0
        )
        self.sent = factories.interactive(
            self.clinic, self.account, contact_list=self.patients, survey=self.survey, recipients=0, state="sending"
        )

    def grow(self, size: int) -> None:
        """Add what is missing to `size` of everything."""
        new = range(self.size, size)
        self._people(new)
        self._accounts(new)
        self._lists(new)
        self._plans(new)
        self._messages(new)
        self._platform(new)
        self.size = size
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum does after so many rows: those of an earlier test are no measure

    # --- who and with what --------------------------------------------------------------------------------------------

    def _people(self, new: range) -> None:
        clinic = self.clinic
        types = UserType.objects.bulk_create(UserType(organization=clinic, name=f"Type {index}") for index in new)
        groups = UserGroup.objects.bulk_create(UserGroup(organization=clinic, name=f"Group {index}") for index in new)
        people = User.objects.bulk_create(
            User(email=f"person{index}@example.org", organization=clinic, user_type=types[0]) for index in new
        )
        self.member.groups.add(*groups)
        groups[0].users.add(*people)
        ended = timezone.now()
        ApiToken.objects.bulk_create(
            ApiToken(user=self.administrator, digest=f"{index:064d}", prefix="x", revoked_at=ended) for index in new
        )
        AuditEvent.objects.bulk_create(
            AuditEvent(organization=clinic, actor=person, action="changed", object_type="user", object_id=person.pk)
            for person in people
        )

    def _accounts(self, new: range) -> None:
        clinic = self.clinic
        accounts = ProviderAccount.objects.bulk_create(
            ProviderAccount(
                organization=clinic,
                provider=("twilio", "infobip")[index % 2],
                name=f"Line {index}",
                sender="447700900000",
                sender_kind="number",
                credentials=ProviderAccount.seal(clinic, {}),
                granted_at=timezone.now() if index % 3 else None,
            )
            for index in new
        )
        AccountState.objects.bulk_create(AccountState(account=account) for account in accounts)
        TestMessage.objects.bulk_create(
            TestMessage(account=self.account, reference=f"test{index}", to="+44…", status="delivered") for index in new
        )
        RefusedCallback.objects.bulk_create(
            RefusedCallback(
                organization=clinic,
                slug="twilio-sms",
                kind=("status", "message")[index % 2],
                reason=f"wrong signature {index}",
                fault="secret",
                day=timezone.now().date(),
            )
            for index in new
        )

    # --- what is asked, and whom --------------------------------------------------------------------------------------

    def _lists(self, new: range) -> None:
        clinic = self.clinic
        lists = ContactList.objects.bulk_create(ContactList(organization=clinic, name=f"List {index}") for index in new)
        surveys = Survey.objects.bulk_create(
            Survey(organization=clinic, name=f"Survey {index}", url="https://forms.example.org/s/1") for index in new
        )
        distributions = Distribution.objects.bulk_create(
            Distribution(
                organization=clinic,
                name=f"Distribution {each.pk}",
                survey=surveys[0],
                contact_list=each,
                account=self.account,
                state="finished",
                launched_at=timezone.now(),
            )
            for each in lists
        )
        Tally.objects.bulk_create(Tally(distribution=each, delivered=5) for each in distributions)
        ContactImport.objects.bulk_create(
            ContactImport(
                contact_list=self.patients,
                organization=clinic,
                file_name=f"file{index}.csv",
                total=0,
                new=0,
                updated=0,
                without_phone=0,
                opted_out=0,
                problem_count=0,
                doubt_count=0,
                imported_at=timezone.now(),
            )
            for index in new
        )
        OptOut.objects.bulk_create(
            OptOut(organization=clinic, phone=NUMBER.format(50_000 + index), source="link") for index in new
        )

    def _plans(self, new: range) -> None:
        """Planned on the list that is shown, by somebody who may send and by others, who may not: those are alarms."""
        people = list(User.objects.filter(organization=self.clinic).exclude(pk=self.administrator.pk).order_by("pk"))
        planned = Distribution.objects.bulk_create(
            Distribution(
                organization=self.clinic,
                name=f"Plan {index}",
                survey=self.survey,
                contact_list=self.patients,
                message_text="Hello",
                account=self.account,
                state="scheduled",
                send_at=timezone.now() + timedelta(days=1),
                launched_at=timezone.now(),
                launched_by=self.member if index % 3 else people[index % len(people)],
                planned_people=10**6,
                problem="Somebody must take it over." if index % 3 else "",
            )
            for index in new
        )
        Tally.objects.bulk_create(Tally(distribution=each) for each in planned)

    # --- what was sent, and what came back ----------------------------------------------------------------------------

    def _messages(self, new: range) -> None:
        clinic, sent, now = self.clinic, self.sent, timezone.now()
        contacts = Contact.objects.bulk_create(
            Contact(
                organization=clinic,
                contact_list=self.patients,
                first_name=f"Ada{index}",
                phone=NUMBER.format(index),
                fields={"City": "Bonn"},
            )
            for index in new
        )
        messages = Message.objects.bulk_create(
            Message(
                organization=clinic,
                distribution=sent,
                contact=contact,
                account=self.account,
                to=contact.phone,
                text="How likely are you to recommend us?",
                status=("delivered", "failed")[index % 2],
                reason=("", "invalid_recipient")[index % 2],
                attempted_at=now,
            )
            for index, contact in zip(new, contacts, strict=True)
        )
        responses = Response.objects.bulk_create(Response(organization=clinic, survey=self.survey) for _index in new)
        Conversation.objects.bulk_create(
            Conversation(
                organization=clinic,
                distribution=sent,
                message=message,
                response=response,
                account=self.account,
                phone=message.to,
                expires_at=now + timedelta(days=1),
            )
            for message, response in zip(messages, responses, strict=True)
        )
        Answer.objects.bulk_create(
            Answer(response=response, question=question, value="1", text="1")
            for response in responses
            for question in self.survey.questions.all()
        )
        first = sent.messages.filter(conversation=None).earliest("pk")
        MessageEvent.objects.bulk_create(
            MessageEvent(message=first, source="report", status="delivered") for _index in new
        )
        Message.objects.bulk_create(
            Message(
                organization=clinic,
                distribution=sent,
                conversation=first.begun,
                account=self.account,
                to=first.to,
                text="And how was the wait?",
                status="delivered",
            )
            for _index in new
        )
        InboundMessage.objects.bulk_create(
            InboundMessage(
                organization=clinic,
                account=self.account,
                provider_message_id=f"in-{index}",
                sender=first.to,
                contact_id=first.contact_id,
                message=first,
                text="9",
            )
            for index in new
        )
        Tally.objects.filter(distribution=sent).update(delivered=sent.messages.count())

    # --- what operators see -------------------------------------------------------------------------------------------

    def _platform(self, new: range) -> None:
        organizations = Organization.objects.bulk_create(Organization(name=f"Clinic {index}") for index in new)
        Licence.objects.bulk_create(Licence(organization=each, sms=True) for each in organizations)
        User.objects.bulk_create(
            User(email=f"head{each.pk}@example.org", organization=each, role="administrator") for each in organizations
        )

    def checked_file(self) -> ContactImport:
        """A file with as many rows, each with something wrong, as its page shows it."""
        rows = "".join(f"07700 9OO{index},Ada{index}\n" for index in range(self.size))
        file = io.BytesIO(f"Phone,FirstName\n{rows}".encode())
        return importing.check(self.patients, file, "new.csv", self.administrator)

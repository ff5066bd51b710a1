"""Distributions and messages as the API takes and shows them. Their names are the commercial product's."""

from __future__ import annotations

from typing import Any, Literal

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contacts.models import Contact
from distributions import wording
from distributions.engine.references import reference
from distributions.history import Carrier
from distributions.models import Conversation, Distribution, Message, Tally
from distributions.states import Status
from distributions.sums import Sums
from intake.masking import mask_number, mask_numbers
from organizations.api_base import Moment, PageQuery, PublicId, StrictSerializer
from organizations.one_line import ONE_LINE
from surveys.models import Answer

State = Distribution.State
RequestStatus = Literal["Pending", "Scheduled", "Generated", "Done"]
RequestType = Literal["Invite", "Interactive"]

NAME = 100  # characters
TEXT = 10_000  # characters
FINGERPRINT = 100_000  # characters: the text is in it
REQUEST_STATUS: dict[str, RequestStatus] = {
    State.DRAFT: "Pending",
    State.SCHEDULED: "Scheduled",
    State.LAUNCHING: "Pending",
    State.SENDING: "Generated",
    State.FINISHED: "Done",
    State.CANCELLED: "Done",
}
REQUEST_TYPE: dict[str, RequestType] = {
    Distribution.Method.INVITE: "Invite",
    Distribution.Method.INTERACTIVE: "Interactive",
}
METHODS = {name: method for method, name in REQUEST_TYPE.items()}


# --- what is asked ----------------------------------------------------------------------------------------------------


class RecipientsRequest(StrictSerializer):
    """To whom."""

    mailingListId = PublicId("CG_", "/API/v3/mailinglists", help_text="Everybody on this list gets a text.")


class MessageRequest(StrictSerializer):
    """What."""

    messageText = serializers.CharField(
        max_length=TEXT,
        help_text="The text, with placeholders such as `${m://FirstName}`, `${e://Field/City}`, `${l://SurveyURL}` "
        "and `${l://OptOutLink}`.",
    )

    def validate_messageText(self, text: str) -> str:
        return text.replace("\r\n", "\n").replace("\r", "\n")


class MethodField(serializers.ChoiceField):
    """Invite and Interactive; the others are named, so that nobody wonders whether they were overlooked."""

    def __init__(self, **kwargs: Any) -> None:
        sentence = _("Only “Invite” and “Interactive” are available here; Reminder and Thankyou are not.")
        super().__init__(
            choices=[("Invite", "a link to the survey"), ("Interactive", "a survey by text")],
            error_messages={"invalid_choice": sentence, "null": sentence},
            **kwargs,
        )


class DistributionRequest(StrictSerializer):
    """One text, or a survey by text, to everybody on a mailing list."""

    surveyId = PublicId(
        "SV_", "/API/v3/surveys", help_text="The survey to which the text leads, or whose questions are asked by text."
    )
    name = serializers.CharField(
        max_length=NAME, validators=[ONE_LINE], help_text="For you and your colleagues; recipients do not see it."
    )
    sendDate = Moment(help_text="When the texts go out; the present time or a past one of today means at once.")
    method = MethodField(
        help_text="`Invite`: one text with a link to each person. `Interactive`: the questions of the survey come as "
        "texts, one after the other, and people answer by replying; that needs an account with a number."
    )
    recipients = RecipientsRequest()
    message = MessageRequest(
        required=False,
        allow_null=True,
        help_text="Needed for `Invite`, and not allowed for `Interactive`: there the survey says what is asked.",
    )
    surveyLinkExpirationDate = Moment(
        required=False,
        allow_null=True,
        help_text="The link works until then; leave it out for no end date. Not for `Interactive`, without link.",
    )
    fingerprint = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=FINGERPRINT,
        help_text="What the same request gave with `reviewOnly`. If text, people, account, sender, times or survey "
        "have changed since, nothing is launched, and the answer says what is different. Left out, the launch is its "
        "own review.",
    )
    reviewOnly = serializers.BooleanField(
        required=False, default=False, help_text="Launch nothing: only say what would go, and give its fingerprint."
    )

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if METHODS[asked["method"]] == Distribution.Method.INVITE:
            if asked.get("message") is None:
                raise serializers.ValidationError(
                    {"message": _("Give an object with the messageText: an invitation needs a text.")}
                )
            return asked
        refusals = {
            "message": _("Leave it out: with “Interactive” the questions of the survey are texted."),
            "surveyLinkExpirationDate": _("Leave it out: with “Interactive” there is no link."),
        }
        wrong = {name: sentence for name, sentence in refusals.items() if asked.get(name) is not None}
        if wrong:
            raise serializers.ValidationError(wrong)
        return asked


class OfSurveyQuery(serializers.Serializer):
    surveyId = PublicId("SV_", "/API/v3/surveys", required=False, help_text="Only distributions of this survey.")


class DistributionsQuery(OfSurveyQuery, PageQuery):
    """Which part of the list."""


class IdempotencyKey(serializers.Serializer):
    """The header, as drf-spectacular describes it and as `api` checks it."""

    key = serializers.RegexField(
        r"\A[\x21-\x7e]{1,64}\Z",
        required=False,
        error_messages={
            name: _("Give 1 to 64 letters, digits and punctuation marks, without a space.")
            for name in ("invalid", "blank")
        },
    )


# --- what is answered -------------------------------------------------------------------------------------------------


class NewDistributionSerializer(serializers.Serializer):
    """`id` of what was launched, or with `reviewOnly` the other fields."""

    id = serializers.CharField(required=False, help_text="SMSD_…")
    fingerprint = serializers.CharField(
        required=False, help_text="For a launch that is to be refused if anything differs by then."
    )
    people = serializers.IntegerField(required=False, help_text="How many people would get a text.")
    account = serializers.CharField(required=False, help_text="The account that would carry it.")
    sender = serializers.CharField(required=False, help_text="From whom people would get it.")


class Unused(serializers.CharField):
    """A key that programs look up because the commercial product has it; there is no such thing here."""

    def __init__(self) -> None:
        super().__init__(read_only=True, allow_null=True, help_text="Always null.")

    def get_attribute(self, instance: Any) -> None:
        return None


class RecipientsSerializer(serializers.Serializer):
    mailingListId = serializers.CharField(
        source="contact_list.public_id", allow_null=True, help_text="null if the list has been deleted since."
    )
    contactId = Unused()
    libraryId = Unused()
    sampleId = Unused()
    transactionId = Unused()
    transactionBatchId = Unused()


class MessageTextSerializer(serializers.Serializer):
    libraryId = Unused()
    messageId = Unused()
    messageText = serializers.CharField(
        source="message_text", help_text="For `Interactive`: what is said before the first question; may be empty."
    )


class StatsSerializer(serializers.Serializer):
    sent = serializers.IntegerField(help_text="Texts that the provider has and that have not failed.")
    failed = serializers.IntegerField(help_text="Texts that were refused or could not be delivered.")
    started = serializers.IntegerField(
        help_text="People who have opened the link, or with `Interactive` begun to answer."
    )
    finished = serializers.IntegerField(
        help_text="With `Interactive`, people who have answered to the end; with `Invite` always 0, since the survey "
        "is elsewhere and does not tell."
    )
    credits = serializers.IntegerField(
        help_text="Always 0: what texts cost is between the organisation and its provider."
    )
    segments = serializers.IntegerField(
        help_text="Segments of the texts that the provider has taken; with `Interactive` those of the conversations so "
        "far included. The others are told apart in `segments`."
    )


class TallySerializer(serializers.Serializer):
    """How many texts are in which state; how many people have opened the link; all together, skipped ones included."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {name: serializers.IntegerField(min_value=0) for name in (*Tally.COLUMNS, "clicked", "total")}


class SegmentsSerializer(serializers.Serializer):
    """The segments of all texts by their fate; with `Interactive` those of the conversations so far included."""

    sent = serializers.IntegerField(min_value=0, help_text="Of texts that the provider has taken.")
    uncertain = serializers.IntegerField(min_value=0, help_text="Of texts that the provider may or may not have.")
    waiting = serializers.IntegerField(min_value=0, help_text="Of texts that are still to be sent.")
    failed = serializers.IntegerField(min_value=0, help_text="Of texts that were refused.")
    skipped = serializers.IntegerField(min_value=0, help_text="Of texts that were never to be sent.")
    cancelled = serializers.IntegerField(min_value=0, help_text="Of texts that were taken back before they left.")


class DistributionSerializer(serializers.ModelSerializer):
    """A distribution, its figures and its text."""

    id = serializers.CharField(source="public_id", help_text="For example SMSD_8f3kq1ZpT0aWxYv.")
    ownerId = serializers.CharField(source="created_by.public_id", allow_null=True)
    organizationId = serializers.CharField(source="organization.public_id")
    requestStatus = serializers.SerializerMethodField(
        help_text="`Scheduled` before `sendDate`, `Pending` for a draft and until the texts are written, `Generated` "
        "while they are sent, `Done` afterwards."
    )
    requestType = serializers.SerializerMethodField()
    sendDate = serializers.SerializerMethodField(help_text="null for a draft that is to be sent when it is launched.")
    surveyId = serializers.CharField(source="survey.public_id")
    surveyLinkExpirationDate = Moment(source="link_expires_at", allow_null=True)
    recipients = RecipientsSerializer(source="*")
    message = MessageTextSerializer(source="*")
    stats = serializers.SerializerMethodField(help_text="The usual figures.")
    state = serializers.ChoiceField(
        choices=State.choices, help_text="`launching`: the texts are being written, and the first are sent already."
    )
    isPaused = serializers.SerializerMethodField()
    answersUntil = Moment(
        source="answers_until",
        allow_null=True,
        help_text="With `Interactive`, once everything has been sent (`finished`): people can answer until then at the "
        "latest. null when nobody can answer any more.",
    )
    problem = serializers.CharField(help_text="Why it does not go on, if somebody has to do something; else empty.")
    tally = serializers.SerializerMethodField(help_text="How many people's texts are in which state.")
    segments = serializers.SerializerMethodField(help_text="The segments of all texts by their fate.")

    class Meta:
        model = Distribution
        fields = (
            "id",
            "name",
            "ownerId",
            "organizationId",
            "requestStatus",
            "requestType",
            "sendDate",
            "surveyId",
            "surveyLinkExpirationDate",
            "recipients",
            "message",
            "stats",
            "state",
            "isPaused",
            "answersUntil",
            "problem",
            "tally",
            "segments",
        )

    def get_requestStatus(self, row: Distribution) -> RequestStatus:
        return REQUEST_STATUS[row.state]

    def get_requestType(self, row: Distribution) -> RequestType:
        return REQUEST_TYPE[row.method]

    @extend_schema_field(Moment(allow_null=True))
    def get_sendDate(self, row: Distribution) -> str | None:
        sent_at = row.send_at or row.launched_at
        return Moment().to_representation(sent_at) if sent_at else None

    @extend_schema_field(StatsSerializer)
    def get_stats(self, row: Distribution) -> dict[str, int]:
        tally, sums = _tally(row), Sums.of(_tally(row))
        return {
            "sent": sums.reached,
            "failed": sums.not_reached,
            "started": tally.started if row.is_interactive else tally.clicked,
            "finished": tally.completed if row.is_interactive else 0,
            "credits": 0,  # with an account of one's own every message is shown at zero cost (R5)
            "segments": sums.segments["sent"],
        }

    @extend_schema_field(TallySerializer)
    def get_tally(self, row: Distribution) -> dict[str, Any]:
        sums = Sums.of(_tally(row))
        return {**sums.states, "clicked": _tally(row).clicked, "total": sums.total}

    @extend_schema_field(SegmentsSerializer)
    def get_segments(self, row: Distribution) -> dict[str, int]:
        return dict(Sums.of(_tally(row)).segments)

    def get_isPaused(self, row: Distribution) -> bool:
        return row.paused_at is not None


def _tally(row: Distribution) -> Tally:
    """Nothing has been counted for a draft."""
    return getattr(row, "tally", None) or Tally()


class AccountSerializer(serializers.Serializer):
    """Which account carried the text. It stays named after it has been deleted."""

    name = serializers.CharField()
    provider = serializers.CharField()
    sender = serializers.CharField()
    isDefault = serializers.BooleanField(
        source="is_default", help_text="Whether it is the installation's own account, for unfinished set-ups."
    )
    isDeleted = serializers.BooleanField(source="is_deleted")


class AnswerSerializer(serializers.ModelSerializer):
    """One answer of a survey by text."""

    question = serializers.CharField(source="question.text", help_text="The question's text.")
    value = serializers.CharField(
        help_text="NPS and numbers as digits; choices as their codes, which count from 1 (`2`, or `1,3` for several); "
        "yes and no as `1` and `2`; free text as it is."
    )
    text = serializers.CharField(help_text="What the person wrote.")

    class Meta:
        model = Answer
        fields = ("question", "value", "text")


class MessageSerializer(serializers.ModelSerializer):
    """What became of one text, and of the conversation that began with it."""

    # The context holds `contacts` and `carriers` by key, `whole_numbers`, `conversations` by the key of the message
    # that began them, `answers` by the key of the response, and `segments_sent` by the key of the message.
    contactId = serializers.SerializerMethodField(help_text="null if the contact has been deleted since.")
    externalDataReference = serializers.SerializerMethodField()
    phone = serializers.SerializerMethodField(help_text="Masked for users without the permission “See recipients”.")
    surveyReference = serializers.SerializerMethodField(help_text="What the survey receives with the link.")
    status = serializers.ChoiceField(
        choices=Status.choices,
        help_text="`uncertain`: the provider may or may not have it, and it is not sent again on its own.",
    )
    reason = serializers.CharField(help_text="Why it was skipped or did not arrive; else empty.")
    segments = serializers.IntegerField(help_text="Of this text, whatever became of it.")
    segmentsSent = serializers.SerializerMethodField(
        help_text="What was sent to this person: the text, if the provider has taken it, and what followed in the "
        "conversation."
    )
    explanation = serializers.SerializerMethodField(help_text="State and reason in a sentence or two.")
    providerMessage = serializers.SerializerMethodField(help_text="What the provider said.")
    providerMessageId = serializers.CharField(source="provider_message_id")
    account = serializers.SerializerMethodField(help_text="null if no account has tried to send it.")
    credits = serializers.SerializerMethodField(help_text="Always 0.")
    attemptedAt = Moment(source="attempted_at", allow_null=True, help_text="Handed to the provider.")
    acceptedAt = Moment(source="accepted_at", allow_null=True, help_text="Taken by the provider.")
    settledAt = Moment(source="settled_at", allow_null=True, help_text="Its fate is known since.")
    openedAt = Moment(source="clicked_at", allow_null=True, help_text="The person opened the link.")
    conversation = serializers.SerializerMethodField(
        help_text="Where the survey by text stands; null before the first reply, and always with `Invite`."
    )
    answers = serializers.SerializerMethodField(
        help_text="What was answered by text so far, in the order of the questions; always empty with `Invite` and for "
        "users without the permission “See recipients”."
    )

    class Meta:
        model = Message
        fields = (
            "contactId",
            "externalDataReference",
            "phone",
            "surveyReference",
            "status",
            "reason",
            "explanation",
            "providerMessage",
            "providerMessageId",
            "account",
            "segments",
            "segmentsSent",
            "credits",
            "attemptedAt",
            "acceptedAt",
            "settledAt",
            "openedAt",
            "conversation",
            "answers",
        )

    def _contact(self, message: Message) -> Contact | None:
        found: Contact | None = self.context["contacts"].get(message.contact_id)
        return found

    def get_contactId(self, message: Message) -> str | None:
        contact = self._contact(message)
        return contact.public_id if contact else None

    def get_externalDataReference(self, message: Message) -> str:
        contact = self._contact(message)
        return contact.external_reference if contact else ""

    def get_phone(self, message: Message) -> str:
        return message.to if self.context["whole_numbers"] else mask_number(message.to)

    def get_providerMessage(self, message: Message) -> str:
        return message.error if self.context["whole_numbers"] else mask_numbers(message.error)

    def get_surveyReference(self, message: Message) -> str:
        return reference(message.pk)

    def get_explanation(self, message: Message) -> str:
        return wording.explain(message.status, message.reason)

    @extend_schema_field(AccountSerializer(allow_null=True))
    def get_account(self, message: Message) -> dict[str, Any] | None:
        carrier: Carrier | None = self.context["carriers"].get(message.account_id)
        return dict(AccountSerializer(carrier).data) if carrier else None

    def get_segmentsSent(self, message: Message) -> int:
        number: int = self.context["segments_sent"][message.pk]
        return number

    def get_credits(self, message: Message) -> int:
        return 0  # R5

    @extend_schema_field(serializers.ChoiceField(choices=Conversation.State.choices, allow_null=True))
    def get_conversation(self, message: Message) -> str | None:
        found: Conversation | None = self.context["conversations"].get(message.pk)
        return found.state if found else None

    @extend_schema_field(AnswerSerializer(many=True))
    def get_answers(self, message: Message) -> list[dict[str, Any]]:
        found: Conversation | None = self.context["conversations"].get(message.pk)
        answers = self.context["answers"].get(found.response_id, []) if found else []
        return [dict(answer) for answer in AnswerSerializer(answers, many=True).data]

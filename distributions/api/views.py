"""Distributions in the API: launch, list, look at, take back, and what became of each text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from distributions import services
from distributions.api.invites import Invitation, KeyUsed, Unfit, Unknown, launch_once
from distributions.api.invites import review as look_at
from distributions.api.serializers import (
    METHODS,
    DistributionRequest,
    DistributionSerializer,
    DistributionsQuery,
    MessageSerializer,
    NewDistributionSerializer,
    OfSurveyQuery,
)
from distributions.history import EXPORTED, answers_of, begun_with, carriers_of, contacts_of
from distributions.models import Distribution, Message
from distributions.planning import fingerprint
from distributions.services import LaunchRefused
from distributions.sums import segments_sent
from organizations import audit
from organizations.api_base import ApiView, Conflict, PageQuery, checked, described, enveloped, page, paged, query_of
from organizations.models import User
from organizations.permissions import may_see_recipients, require_sms
from surveys.models import Survey

State = Distribution.State
KEY = re.compile(r"\A[\x21-\x7e]{1,64}\Z")
TAGS = ["SMS distributions"]
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,64}$"},
    location=OpenApiParameter.HEADER,
    description="Up to 64 characters of your choice. A repeated request with the same key and body launches nothing "
    "new and gives the same ID, so that you can try again after a time-out. It is good for the whole organisation.",
)
ID = OpenApiParameter("public_id", location=OpenApiParameter.PATH, description="The distribution's ID: SMSD_…")
ONE = enveloped("SmsDistribution", DistributionSerializer())
_EXAMPLE: dict[str, Any] = {
    "surveyId": "SV_8f3kq1ZpT0aWxYv",
    "name": "Spring",
    "sendDate": "2030-05-31T09:30:00Z",
    "recipients": {"mailingListId": "CG_2Rk0cD7uVb9sLqE"},
}
EXAMPLES = [
    OpenApiExample(
        "An invitation",
        request_only=True,
        value={
            **_EXAMPLE,
            "method": "Invite",
            "message": {
                "messageText": "Hello ${m://FirstName}, how was your visit? ${l://SurveyURL} Reply STOP to opt out"
            },
        },
    ),
    OpenApiExample("A survey by text", request_only=True, value={**_EXAMPLE, "method": "Interactive"}),
]


def _visible(user: User) -> QuerySet:
    rows: QuerySet = Distribution.objects.visible_to(user).with_answers()
    return rows.select_related("organization", "survey", "contact_list", "created_by", "tally")


def _one(view: ApiView, public_id: str, query: dict[str, Any]) -> Distribution:
    """The organisation's own distribution; of that survey, if the query names one. Raises NotFound."""
    rows = _visible(view.caller).filter(public_id=public_id)
    if "surveyId" in query:
        rows = rows.filter(survey__public_id=query["surveyId"])
    found: Distribution | None = rows.first()
    if found is None:
        raise NotFound(
            _("Your organisation has no distribution with this ID. GET /API/v3/distributions/sms lists them.")
        )
    return found


@contextmanager
def _refusals() -> Iterator[None]:
    """Refusals as the API answers them."""
    try:
        yield
    except Unknown as unknown:
        raise NotFound(f"{unknown.field}: {unknown.sentence}") from unknown
    except Unfit as unfit:
        raise ValidationError({unfit.field: [unfit.sentence]}) from unfit
    except KeyUsed as used:
        raise Conflict(str(used)) from used
    except LaunchRefused as refusal:
        raise Conflict(refusal.sentence) from refusal


class DistributionsView(ApiView):
    """All distributions, and a new one."""

    @described(
        "listSmsDistributions",
        "List distributions",
        paged("SmsDistribution", DistributionSerializer(many=True)),
        400,
        404,
        parameters=[DistributionsQuery],
        tags=TAGS,
    )
    def get(self, request: Request) -> Response:
        """The organisation's distributions, newest first; of one survey if `surveyId` is given.

        One that was taken back before its time is not among them any more; its ID still finds it.
        """
        query = query_of(DistributionsQuery, request)
        # A client takes what the list shows with a time to come for planned, and takes it back once more.
        rows = _visible(self.caller).exclude(state=State.CANCELLED, send_at__isnull=False, cursor=0)
        if "surveyId" in query:
            survey = Survey.objects.visible_to(self.caller).filter(public_id=query["surveyId"]).first()
            if survey is None:
                sentence = _("Your organisation has no survey with this ID. GET /API/v3/surveys lists them.")
                raise NotFound(f"surveyId: {sentence}")
            rows = rows.filter(survey=survey)
        found, next_page = page(request, rows, query)
        return Response({"elements": DistributionSerializer(found, many=True).data, "nextPage": next_page})

    @described(
        "createSmsDistribution",
        "Launch a distribution",
        enveloped("NewSmsDistribution", NewDistributionSerializer()),
        400,
        404,
        409,
        request=DistributionRequest,
        parameters=[IDEMPOTENCY_KEY],
        examples=EXAMPLES,
        tags=TAGS,
    )
    def post(self, request: Request) -> Response:
        """One text with a link, or a survey by text, to everybody on a mailing list, at once or at a time.

        Needs the permission “Use SMS distributions”. Who has opted out or has no number is skipped. Answered 409 if
        no SMS account could carry it (`Interactive` needs one of your own with a number, and two-way SMS in the
        licence), if the Idempotency-Key belongs to a distribution that is different, or if a `fingerprint` is given
        and something has changed since. With `reviewOnly` nothing is written or sent: the answer says what would go,
        and has the fingerprint.
        """
        require_sms(self.caller)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not KEY.fullmatch(key):
            sentence = _("Give 1 to 64 letters, digits and punctuation marks, without a space.")
            raise ValidationError({"Idempotency-Key": [sentence]})
        asked = checked(DistributionRequest, request.data)
        invitation = Invitation(
            survey_id=asked["surveyId"],
            contact_list_id=asked["recipients"]["mailingListId"],
            method=METHODS[asked["method"]],
            name=asked["name"],
            text=asked["message"]["messageText"] if asked.get("message") else "",
            send_at=asked["sendDate"],
            link_expires_at=asked.get("surveyLinkExpirationDate"),
            fingerprint=asked.get("fingerprint"),
        )
        with _refusals():
            if asked["reviewOnly"]:
                seen = look_at(invitation, self.caller)
                answer = {"people": seen.people, "account": seen.account_name, "sender": seen.sender}
                return Response({"fingerprint": fingerprint.sign(seen), **answer})
            distribution = launch_once(invitation, self.caller, key)
        return Response({"id": distribution.public_id})


class DistributionView(ApiView):
    """One distribution."""

    @described(
        "getSmsDistribution",
        "Look at a distribution",
        ONE,
        400,
        404,
        parameters=[ID, OfSurveyQuery],
        tags=TAGS,
    )
    def get(self, request: Request, public_id: str) -> Response:
        """State, figures and text of one distribution."""
        found = _one(self, public_id, query_of(OfSurveyQuery, request))
        return Response(DistributionSerializer(found).data)

    @described(
        "deleteSmsDistribution",
        "Take a distribution back",
        ONE,
        400,
        404,
        409,
        parameters=[ID, OfSurveyQuery],
        tags=TAGS,
    )
    def delete(self, request: Request, public_id: str) -> Response:
        """Whatever has not left is never sent. If nothing had left yet, it is gone from the list.

        Needs the permission “Use SMS distributions”. Answered 409 once everything has left.
        """
        require_sms(self.caller)
        query = query_of(OfSurveyQuery, request)
        services.cancel(_one(self, public_id, query), self.caller)
        found = _one(self, public_id, query)
        if found.state != State.CANCELLED:
            raise Conflict(_("It has been sent: texts already sent cannot be cancelled."))
        return Response(DistributionSerializer(found).data)


class HistoryView(ApiView):
    """What became of each text."""

    @described(
        "listSmsDistributionHistory",
        "What became of each text",
        paged("SmsHistory", MessageSerializer(many=True)),
        400,
        404,
        parameters=[ID, PageQuery],
        tags=TAGS,
    )
    def get(self, request: Request, public_id: str) -> Response:
        """Everybody on the list in the order of sending, those who were skipped included.

        With `Interactive` it is about the first text to each person, with all that they have answered.
        """
        query = query_of(PageQuery, request)
        distribution = _one(self, public_id, {})
        rows = Message.objects.filter(distribution=distribution, conversation=None).defer("text")
        # By contact: the index on (distribution, contact) is the order of sending too.
        found, next_page = page(request, rows, query, key="contact_id", newest_first=False)
        whole_numbers = may_see_recipients(self.caller)
        if whole_numbers and "skipToken" not in query:
            audit.record(
                EXPORTED,
                organization=distribution.organization,
                actor=self.caller,
                request=request,
                target=distribution,
            )
        begun = begun_with(distribution, found)
        context = {
            "contacts": contacts_of(found),
            "carriers": carriers_of({message.account_id for message in found if message.account_id}),
            "whole_numbers": whole_numbers,
            "conversations": begun,
            "answers": answers_of(begun.values()) if whole_numbers else {},
            "segments_sent": segments_sent(found),
        }
        elements = MessageSerializer(found, many=True, context=context).data
        return Response({"elements": elements, "nextPage": next_page})

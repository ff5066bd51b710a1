"""Forgetting a person through the API: the same as the page does, for programs that do so everywhere at once."""

from __future__ import annotations

import time
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from contacts import numbers
from keeping import forgetting
from keeping.models import Forgetting
from organizations.api_base import (
    ApiView,
    BelongsToOrganization,
    Conflict,
    Moment,
    PageQuery,
    StrictSerializer,
    checked,
    described,
    enveloped,
    page,
    paged,
    query_of,
)
from organizations.models import User

AT_ONCE = 5.0  # seconds a request goes on with the search; a worker does the rest
DONE, UNDER_WAY = "done", "underWay"


class IsAdministrator(BasePermission):
    """As on the page: it is a matter of the organisation's administrators."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        self.message = _("Only administrators of your organisation can have a person forgotten. Ask one of them.")
        return isinstance(request.user, User) and request.user.role == User.Role.ADMINISTRATOR


class ForgettingQuery(StrictSerializer):
    phone = serializers.CharField(
        max_length=40, help_text="The person's number with its country code, for example +4915112345678."
    )
    searchOnly = serializers.BooleanField(
        default=False, help_text="Change nothing and say what would go. Without it there is no way back."
    )


class FoundSerializer(serializers.Serializer):
    """How many rows are found by the number itself, by their kind."""

    contacts = serializers.IntegerField()
    waitingTexts = serializers.IntegerField(source="waiting", help_text="Texts that are cancelled.")
    texts = serializers.IntegerField()
    replies = serializers.IntegerField()
    conversations = serializers.IntegerField()
    answers = serializers.IntegerField()
    optOuts = serializers.IntegerField(source="opt_outs", help_text="They live on as a keyed hash.")


class ForgottenSerializer(serializers.Serializer):
    found = FoundSerializer()
    state = serializers.ChoiceField(
        choices=[DONE, UNDER_WAY],
        allow_null=True,
        help_text="`underWay`: nothing more is sent, and all other texts are still being searched for the number. "
        "`null` with `searchOnly`.",
    )


class ForgettingSerializer(serializers.ModelSerializer):
    requestedDate = Moment(source="started_at")
    finishedDate = Moment(source="finished_at", allow_null=True)
    requestedBy = serializers.CharField(source="started_by.public_id", allow_null=True)
    records = serializers.SerializerMethodField(help_text="How many rows were found by the number.")
    state = serializers.SerializerMethodField(help_text=f"`{DONE}` or `{UNDER_WAY}`.")

    class Meta:
        model = Forgetting
        fields = ("requestedDate", "finishedDate", "requestedBy", "records", "state")

    def get_records(self, row: Forgetting) -> int:
        return sum(row.counts.values())

    def get_state(self, row: Forgetting) -> str:
        return DONE if row.finished_at else UNDER_WAY


class ForgettingsView(ApiView):
    permission_classes = (BelongsToOrganization, IsAdministrator)

    @described(
        "listForgottenPersons",
        "List who was forgotten",
        paged("Forgetting", ForgettingSerializer(many=True)),
        400,
        parameters=[PageQuery],
        tags=["Forgetting a person"],
    )
    def get(self, request: Request) -> Response:
        """When somebody was forgotten and who asked for it, newest first. By no means who it was."""
        rows = Forgetting.objects.visible_to(self.caller).select_related("started_by")
        found, next_page = page(request, rows, query_of(PageQuery, request))
        return Response({"elements": ForgettingSerializer(found, many=True).data, "nextPage": next_page})

    @described(
        "forgetPerson",
        "Forget a person",
        enveloped("Forgotten", ForgottenSerializer()),
        400,
        409,
        request=ForgettingQuery,
        tags=["Forgetting a person"],
    )
    def post(self, request: Request) -> Response:
        """Everything by and about a number goes from this organisation, for good: for administrators only.

        At once nothing more is sent to it, and what is found by it goes; counts stay. Everything else is searched for
        the number, which may take minutes. Asked again for the same number, it changes nothing more.
        """
        asked = checked(ForgettingQuery, request.data)
        organization = self.caller.organization
        assert organization is not None  # BelongsToOrganization
        try:
            phone = numbers.read(asked["phone"], organization.default_region).e164
        except numbers.InvalidNumber as error:
            raise ValidationError({"phone": [str(error)]}) from error
        try:
            forgetting.require_possible(organization, phone)
        except forgetting.NotPossible as error:
            raise Conflict(str(error)) from error
        found = forgetting.what_goes(organization, phone)
        state: str | None = None
        if not asked["searchOnly"]:
            row = forgetting.begin(organization, phone, self.caller)
            state = DONE if forgetting.go_on(row, until=time.monotonic() + AT_ONCE) else UNDER_WAY
        answer: dict[str, Any] = {"found": found, "state": state}
        return Response(ForgottenSerializer(answer).data)

"""Who the API takes a caller for."""

from __future__ import annotations

from django.conf import settings
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from organizations import permissions
from organizations.api_base import ApiView, described, enveloped
from organizations.models import User


class WhoAmISerializer(serializers.Serializer):
    userId = serializers.CharField(source="public_id")
    userName = serializers.CharField(source="email", help_text="The e-mail with which the user logs in.")
    email = serializers.CharField(help_text="The same as `userName`.")
    name = serializers.CharField()
    firstName = serializers.SerializerMethodField(help_text="`name` up to its last word.")
    lastName = serializers.SerializerMethodField(help_text="The last word of `name`; empty where it has one only.")
    accountType = serializers.ChoiceField(source="role", choices=[User.Role.ADMINISTRATOR, User.Role.MEMBER])
    organizationId = serializers.CharField(source="organization.public_id")
    organizationName = serializers.CharField(source="organization.name")
    brandId = serializers.CharField(source="organization.public_id", help_text="The same as `organizationId`.")
    datacenter = serializers.SerializerMethodField()
    timeZone = serializers.CharField(source="organization.time_zone")
    maySendSms = serializers.SerializerMethodField()
    missingRight = serializers.SerializerMethodField(
        help_text="What the user lacks for distributing by SMS, and whom to ask; empty if nothing."
    )

    def get_firstName(self, user: User) -> str:
        return self._parts(user)[0]

    def get_lastName(self, user: User) -> str:
        return self._parts(user)[1]

    def _parts(self, user: User) -> tuple[str, str]:
        """A person here has one name; existing clients look up two."""
        *first, last = user.name.split() or [""]
        return (" ".join(first), last) if first else (last, "")

    def get_datacenter(self, user: User) -> str:
        return settings.DATACENTER_ID

    def get_maySendSms(self, user: User) -> bool:
        return not permissions.missing_sms(user)

    def get_missingRight(self, user: User) -> str:
        return permissions.missing_sms(user)


class WhoAmI(ApiView):
    @described("whoAmI", "Whose token this is", enveloped("WhoAmI", WhoAmISerializer()), tags=["Account"])
    def get(self, request: Request) -> Response:
        """The user, the organisation, and whether distributing by SMS is allowed. A good first call."""
        return Response(WhoAmISerializer(self.caller).data)

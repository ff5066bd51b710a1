"""The product's addresses, and the yardstick: a DRF view that verifies and updates the row through the ORM."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from distributions.engine.references import message_id_of_reference
from distributions.models import Message
from extensions.models import ProviderAccount
from webhooks.views import to_webhook_request


class ReportSerializer(serializers.Serializer[object]):
    MessageSid = serializers.CharField()
    MessageStatus = serializers.ChoiceField(choices=["queued", "sent", "delivered", "undelivered", "failed"])
    AccountSid = serializers.CharField()


class OrmView(APIView):
    """As most projects receive a report: verify, validate, get(), save(), answer."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (FormParser,)

    def post(self, request: Request) -> Response:
        call = to_webhook_request(request._request)
        account = ProviderAccount.objects.get(organization__public_id="BENCH", provider="twilio")
        account.open().verify(call, now=timezone.now())
        report = ReportSerializer(data=request.data)
        report.is_valid(raise_exception=True)
        message = Message.objects.get(pk=message_id_of_reference(request.query_params["mid"]) or 0)
        message.status = report.validated_data["MessageStatus"]
        message.save()
        return Response(status=204)


@csrf_exempt
def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"")


urlpatterns = [
    path("orm", OrmView.as_view()),
    path("empty", empty),
    path("", include("config.urls")),
]

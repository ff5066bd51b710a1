"""The yardstick: one Celery task per message, as most projects send. Not part of the product.

Connections to database and provider are kept, which is more than most do.
"""

from __future__ import annotations

import requests
from celery import shared_task

from config.celery import app
from distributions.engine.references import reference
from distributions.models import Message
from distributions.states import Status
from extensions import client
from extensions.contract import ApiResponse, OutboundSms
from extensions.models import ProviderAccount

_session = requests.Session()
_session.trust_env = False


@shared_task(name="bench.send_one", acks_late=True, ignore_result=True)
def send_one(message_id: int) -> None:
    message = Message.objects.get(pk=message_id)
    account = ProviderAccount.objects.get(pk=message.account_id or 0)
    provider = account.open()
    sms = OutboundSms(message.to, message.text, reference(message.pk), "https://surveys.example.com/s", account.sender)
    request = provider.build_send(sms)
    url, extra = client.target_of(provider.key, provider.host_patterns, request)
    headers, body = client.encode(request)
    answer = _session.request(request.method, url, data=body, headers={**headers, **extra}, timeout=30)
    result = provider.parse_send(ApiResponse(answer.status_code, dict(answer.headers), answer.content))
    message.status = Status.ACCEPTED
    message.provider_message_id = result.message_id
    message.save()


__all__ = ["app", "send_one"]

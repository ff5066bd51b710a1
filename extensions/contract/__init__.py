"""What a provider is to the rest of Switchboard: values in, values out.

A provider builds requests and reads answers. It never opens a connection, never reads settings and never touches the
database, so every rule about a provider can be tested with plain values. Transport is `extensions.client` (one call at
a time) and `distributions.engine.pump` (the hot path).

Import the names from here. Where to read what they mean:

    provider        what stands in a provider's file, and what is so where it is left out
    calls           our call to a provider, and its answer
    callbacks       a provider's call to us
    errors          what either may mean besides success
    ladder          what an HTTP status means by itself
    messages        one text: ours, what is said of it, and a person's to us
    batches         several texts in one request
    account         what the API tells of an account
    vocabulary      the words that all providers share
    lengths         how long what they say may be
    secret_fields   the fields for what is never shown again
"""

from extensions.contract.account import Balance, Capabilities, Check, OwnNumber, Token, WebhookChange, failed_check
from extensions.contract.batches import by_reference, one_by_one, refused_together
from extensions.contract.callbacks import (
    SELF_TEST,
    SELF_TEST_PHONE,
    SELF_TEST_TEXT,
    WebhookRequest,
    basic_authorization,
    basic_credentials,
    self_test_id,
    verify_basic,
)
from extensions.contract.calls import ApiRequest, ApiResponse, http_date
from extensions.contract.errors import Fault, InvalidSignature, NotTaken, ProviderError, Refused, Unclear, Unreadable
from extensions.contract.ladder import (
    CLOSED_FOR_NOW,
    HTTP_LADDER,
    LONGEST_WAIT,
    OTHER_ANSWER,
    OTHER_REFUSAL,
    Again,
    Rung,
    bounded,
)
from extensions.contract.lengths import ID_LENGTHS, MOST_PARTS, MOST_SEGMENTS, SHORT_WORDS, WORDS_LENGTHS
from extensions.contract.messages import DeliveryReport, InboundSms, LookUp, OutboundSms, SendResult
from extensions.contract.provider import Provider
from extensions.contract.secret_fields import ChosenSecretField, SecretField
from extensions.contract.vocabulary import FAILURES, GOOD, Category, Delivery, Kind, WebhookCheck, by_code
from extensions.senders import SenderKind, Text

__all__ = [
    "CLOSED_FOR_NOW",
    "FAILURES",
    "GOOD",
    "HTTP_LADDER",
    "ID_LENGTHS",
    "LONGEST_WAIT",
    "MOST_PARTS",
    "MOST_SEGMENTS",
    "OTHER_ANSWER",
    "OTHER_REFUSAL",
    "SELF_TEST",
    "SELF_TEST_PHONE",
    "SELF_TEST_TEXT",
    "SHORT_WORDS",
    "WORDS_LENGTHS",
    "Again",
    "ApiRequest",
    "ApiResponse",
    "Balance",
    "Capabilities",
    "Category",
    "Check",
    "ChosenSecretField",
    "Delivery",
    "DeliveryReport",
    "Fault",
    "InboundSms",
    "InvalidSignature",
    "Kind",
    "LookUp",
    "NotTaken",
    "OutboundSms",
    "OwnNumber",
    "Provider",
    "ProviderError",
    "Refused",
    "Rung",
    "SecretField",
    "SendResult",
    "SenderKind",
    "Text",
    "Token",
    "Unclear",
    "Unreadable",
    "WebhookChange",
    "WebhookCheck",
    "WebhookRequest",
    "basic_authorization",
    "basic_credentials",
    "bounded",
    "by_code",
    "by_reference",
    "failed_check",
    "http_date",
    "one_by_one",
    "refused_together",
    "self_test_id",
    "verify_basic",
]

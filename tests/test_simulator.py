"""The simulator as the product meets it: a real process, real HTTP, and every signature computed a second time here.

Nothing of `extensions/` is used: a mistake in an adapter must not find its twin here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from simulator import process, providers, segments
from simulator.caller import Caller, NoAnswer, NotConnected
from simulator.ledger import Ledger
from simulator.numbers import ENDINGS
from simulator.process import SimulatorProcess
from simulator.providers import twilio, vonage
from simulator.wire import Outgoing

SID = "AC00000000000000000000000000000001"
TO = "+353871230001"
SECRET = "ThisIsTheSignatureSecretOf32Chars"

# What the product's form would hold, for each provider.
CREDENTIALS = {
    "twilio": {"account_sid": SID, "auth_token": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"},
    "infobip": {
        "api_key": "sandbox-key",
        "webhook_username": "ib-demo",
        "webhook_password": "pä:ss",
        "base_url": "abcdef.api.infobip.com",
    },
    "sinch": {
        "client_id": "key-id",
        "client_secret": "sandbox-key",
        "region": "EU",
        "project_id": "p-1",
        "app_id": "01APP",
        "webhook_secret": "vector-secret-1",
    },
    "link_mobility": {
        "username": "linkdemo",
        "password": "Ünïq#1",
        "platform_id": "COMMON_API",
        "platform_partner_id": "23456",
        "endpoint_host": "wsx.sp247.net",
        "gate_id": "p3TfV6nE",
    },
    "messagemedia": {"username": "mm-key", "password": "sandbox-key"},
    "vonage": {"account_sid": "a1b2c3d4", "auth_token": "sandbox-key", "signature_secret": SECRET},
    "messagebird": {"signing_key": SECRET, "access_token": "sandbox-access-key"},
}
# Every simulated provider, as parameters. Who adds one may add its client here: a second reading of its documentation.
EACH = [
    pytest.param(
        kind.key,
        id=kind.key,
        marks=[] if kind.key in CREDENTIALS else pytest.mark.skip(f"skipped: {kind.key} has no client here"),
    )
    for kind in providers.ALL
]


def test_every_client_is_of_a_provider_that_is_simulated() -> None:
    assert CREDENTIALS.keys() <= {kind.key for kind in providers.ALL}


# --- A product to talk to --------------------------------------------------------------------------------------------


@dataclass
class Received:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


class Product:
    """Takes callbacks; answers with the scripted statuses first, then with 200."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.statuses: list[int] = []
        self._more = threading.Condition()
        product = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with product._more:
                    status = product.statuses.pop(0) if product.statuses else 200
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    product.received.append(Received(self.command, product.url + self.path, headers, body))
                    product._more.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def wait_for(
        self, count: int, seconds: float = 10, which: Callable[[Received], object] = lambda call: True
    ) -> list[Received]:
        """So many calls, of those that are asked for."""

        def found() -> list[Received]:
            return [call for call in self.received if which(call)]

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= count, seconds), self.received
            return found()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def product() -> Iterator[Product]:
    running = Product()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One simulator for the tests that share it; each test leaves it as it was."""
    state_dir = tmp_path_factory.mktemp("simulator")
    with process.start(latency_ms=0, report_delay_ms=20, retry_scale=0.001, state_dir=state_dir) as running:
        yield running


@pytest.fixture
def sim(shared: SimulatorProcess, product: Product) -> Iterator[Simulated]:
    simulated = Simulated(shared, product)
    yield simulated
    simulated.settle()
    requests.delete(f"{shared.url}/_/faults", timeout=5)


class Simulated:
    """The APIs as a client sees them, with every account registered to send its callbacks to `product`."""

    def __init__(self, running: SimulatorProcess, product: Product) -> None:
        self.url = running.url
        self.product = product
        self.ids = {key: self.register(key) for key in CREDENTIALS}

    def control(self, path: str, values: dict[str, Any], status: int = 200) -> Any:
        response = requests.post(f"{self.url}/_/{path}", json=values, timeout=30)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def register(self, key: str, **values: Any) -> str:
        fields = {
            "reports_url": f"{self.product.url}/status/{key}?a=1",
            "inbound_url": f"{self.product.url}/message/{key}?b=2",
            "balance": 100,
            "suspended": False,
            "rate": None,
            **values,
        }
        return self.control("accounts", {"provider": key, "credentials": CREDENTIALS[key], **fields})["account"]

    def ledger(self) -> list[dict[str, Any]]:
        return requests.get(f"{self.url}/_/ledger", timeout=5).json()["entries"]

    def stats(self) -> Any:
        return requests.get(f"{self.url}/_/stats", timeout=5).json()

    def settle(self) -> None:
        """Wait until no callback is under way."""
        deadline = time.monotonic() + 10
        while self.stats()["callbacks"]["pending"] and time.monotonic() < deadline:
            time.sleep(0.02)

    def call(self, key: str, method: str, path: str, host: str = "", **options: Any) -> requests.Response:
        headers = {**({"X-Provider-Host": host} if host else {}), **options.pop("headers", {})}
        return requests.request(method, f"{self.url}/{key}{path}", headers=headers, timeout=10, **options)

    def token(self) -> str:
        auth = (CREDENTIALS["sinch"]["client_id"], CREDENTIALS["sinch"]["client_secret"])
        data = {"grant_type": "client_credentials"}
        return self.call("sinch", "POST", "/oauth2/token", "auth.sinch.com", auth=auth, data=data).json()[
            "access_token"
        ]

    def send(self, key: str, to: str = TO, text: str = "How was it?", reference: str = "r1") -> requests.Response:
        """A correct send, as that provider's page in docs/providers/ writes it."""
        known, digits = CREDENTIALS[key], to.lstrip("+")
        match key:
            case "twilio":
                callback = f"{self.product.url}/status/twilio?m={reference}#rc=3&rp=5xx,ct,rt"
                return self.call(
                    key,
                    "POST",
                    f"/2010-04-01/Accounts/{SID}/Messages.json",
                    "api.twilio.com",
                    auth=(SID, known["auth_token"]),
                    data={"To": to, "From": "+13531234567", "Body": text, "StatusCallback": callback},
                )
            case "infobip":
                message = {
                    "sender": "868686",
                    "destinations": [{"to": digits, "messageId": reference}],
                    "content": {"text": text},
                    "webhooks": {"callbackData": "rcp_118"},
                }
                return self.call(
                    key,
                    "POST",
                    "/sms/3/messages",
                    known["base_url"],
                    headers={"Authorization": f"App {known['api_key']}"},
                    json={"messages": [message], "options": {"includeSmsCountInResponse": True}},
                )
            case "sinch":
                identity = {"channel": "SMS", "identity": digits}
                return self.call(
                    key,
                    "POST",
                    "/v1/projects/p-1/messages:send",
                    "eu.conversation.api.sinch.com",
                    headers={"Authorization": f"Bearer {self.token()}"},
                    json={
                        "app_id": "01APP",
                        "recipient": {"identified_by": {"channel_identities": [identity]}},
                        "message": {"text_message": {"text": text}},
                        "channel_priority_order": ["SMS"],
                        "channel_properties": {"SMS_SENDER": "353861000000"},
                        "ttl": "172800s",
                        "message_metadata": '{"r":"1"}',
                        "correlation_id": reference,
                    },
                )
            case "link_mobility":
                return self.call(
                    key,
                    "POST",
                    "/sms/send",
                    "wsx.sp247.net",
                    auth=(known["username"].encode(), known["password"].encode()),
                    json={**LINK_SHARED, **link_message(to, text, reference)},
                )
            case "messagemedia":
                message = {
                    "content": text,
                    "destination_number": to,
                    "source_number": "+353861000000",
                    "source_number_type": "INTERNATIONAL",
                    "delivery_report": True,
                    "callback_url": f"{self.product.url}/status/messagemedia?src=mm",
                    "metadata": {"rcp": reference},
                }
                auth = (known["username"], known["password"])
                return self.call(key, "POST", "/v1/messages", auth=auth, json={"messages": [message]})
            case "vonage":
                return self.call(
                    key,
                    "POST",
                    "/sms/json",
                    "rest.nexmo.com",
                    auth=(known["account_sid"], known["auth_token"]),
                    data={
                        "from": "13531234567",
                        "to": digits,
                        "text": text,
                        "type": "unicode" if segments.to_gsm(text) != text else "text",
                        "client-ref": reference,
                    },
                )
            case "messagebird":
                return self.call(
                    key,
                    "POST",
                    "/messages",
                    "rest.messagebird.com",
                    headers={"Authorization": f"AccessKey {known['access_token']}"},
                    json={
                        "originator": "13531234567",
                        "recipients": [digits],
                        "body": text,
                        "reference": reference,
                        "datacoding": "auto",
                        "reportUrl": f"{self.product.url}/status/messagebird?x=%2B1",
                    },
                )
        raise AssertionError(key)


LINK_SHARED = {
    "useDeliveryReport": True,
    "deliveryReportGates": ["p3TfV6nE"],
    "relativeValidityTime": 86_400_000,
    "platformId": "COMMON_API",
    "platformPartnerId": "23456",
    "customParameters": {"replySmsCount": "true"},
    "ignoreResponse": False,
}


def link_message(to: str, text: str, reference: str) -> dict[str, Any]:
    return {
        "source": "+353861000000",
        "sourceTON": "MSISDN",
        "destination": to,
        "destinationTON": "MSISDN",
        "userData": text,
        "dcs": "TEXT",
        "refId": reference,
    }


def accepted_id(key: str, response: requests.Response) -> str:
    """The provider's message id, from where docs/providers/ says it stands."""
    answer = response.json()
    match key:
        case "twilio":
            assert (response.status_code, answer["status"], answer["num_segments"]) == (201, "queued", "1")
            return answer["sid"]
        case "infobip":
            entry = answer["messages"][0]
            assert (response.status_code, entry["status"]["id"], entry["status"]["groupId"]) == (200, 26, 1)
            assert entry["details"] == {"messageCount": 1}
            return entry["messageId"]
        case "sinch":
            assert response.status_code == 200
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["accepted_time"])
            assert len(answer["message_id"]) == 26
            return answer["message_id"]
        case "link_mobility":
            assert (response.status_code, answer["resultCode"], answer["smsCount"]) == (200, 1005, 1)
            assert "description" in answer
            return answer["messageId"]
        case "messagemedia":
            entry = answer["messages"][0]
            assert (response.status_code, entry["status"], entry["format"]) == (202, "queued", "SMS")
            assert len(entry["message_id"]) == 36
            return entry["message_id"]
        case "vonage":
            entry = answer["messages"][0]
            assert (response.status_code, entry["status"], answer["message-count"]) == (200, "0", "1")
            return entry["message-id"]
        case "messagebird":
            item = answer["recipients"]["items"][0]
            assert (response.status_code, item["status"], item["recipient"]) == (201, "sent", 353871230001)
            assert len(answer["id"]) == 32
            return answer["id"]
    raise AssertionError(key)


# --- Accepted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", EACH)
def test_a_correct_send_is_accepted_and_in_the_ledger(sim: Simulated, key: str) -> None:
    before = len(sim.ledger())

    id = accepted_id(key, sim.send(key, reference=f"ok-{key}"))

    [entry] = sim.ledger()[before:]
    assert (entry["provider"], entry["account"], entry["id"]) == (key, sim.ids[key], id)
    assert (entry["to"], entry["text"], entry["reference"]) == (TO, "How was it?", f"ok-{key}")
    assert (entry["number"], entry["segments"]) == (before + 1, 1)
    assert abs(entry["time"] - time.time()) < 60
    assert not set(CREDENTIALS[key].values()) & {entry["account"]} - {"a1b2c3d4", "key-id", "linkdemo", "mm-key", SID}


def test_a_batch_of_infobip_is_taken_one_by_one_and_a_repeated_id_is_refused(sim: Simulated) -> None:
    def message(to: str, id: str) -> dict[str, Any]:
        return {"sender": "868686", "destinations": [{"to": to, "messageId": id}], "content": {"text": "Hi"}}

    body = {"messages": [message("353871230001", "b1"), message("353871239904", "b2"), message("353871230002", "b1")]}
    headers = {"Authorization": "App sandbox-key"}

    first = sim.call("infobip", "POST", "/sms/3/messages", headers=headers, json=body).json()["messages"]
    again = sim.call("infobip", "POST", "/sms/3/messages", headers=headers, json=body).json()["messages"]

    assert [entry["status"]["id"] for entry in first] == [26, 52, 23]
    assert [entry["status"]["id"] for entry in again] == [23, 52, 23]
    assert [entry["id"] for entry in sim.ledger() if entry["id"] in ("b1", "b2")] == ["b1"]


def test_a_batch_of_link_mobility_says_message_where_a_single_send_says_description(sim: Simulated) -> None:
    messages = [link_message("+353871230001", "Hi", "l1"), link_message("nonsense", "Hi", "l2")]
    auth = (b"linkdemo", "Ünïq#1".encode())

    body = {**LINK_SHARED, "sendRequestMessages": messages}
    entries = sim.call("link_mobility", "POST", "/sms/sendbatch", auth=auth, json=body).json()

    assert [(entry["refId"], entry["resultCode"], entry["message"]) for entry in entries] == [
        ("l1", 1005, "Queued"),
        ("l2", 1005, "Queued"),  # almost nothing is checked at once
    ]


def test_one_bad_message_refuses_a_batch_of_messagemedia(sim: Simulated) -> None:
    before = len(sim.ledger())
    messages = [{"content": "Hi", "destination_number": to} for to in ("+353871230001", "353", "+353871239904")]

    response = sim.call(
        "messagemedia", "POST", "/v1/messages", auth=("mm-key", "sandbox-key"), json={"messages": messages[:2]}
    )
    magic = sim.call(
        "messagemedia", "POST", "/v1/messages", auth=("mm-key", "sandbox-key"), json={"messages": messages[::2]}
    )

    assert response.status_code == magic.status_code == 400
    assert response.json()["details"][0].startswith("/messages/1/destination_number: ")
    assert magic.json()["details"][0].startswith("/messages/1/destination_number: ")
    assert len(sim.ledger()) == before


def test_a_long_text_of_vonage_has_an_id_and_a_receipt_for_every_part(sim: Simulated, product: Product) -> None:
    answer = sim.send("vonage", text="Grüße – " * 20, reference="parts").json()

    ids = [entry["message-id"] for entry in answer["messages"]]
    assert answer["message-count"] == "3"
    receipts = [call.json() for call in product.wait_for(6)]
    assert sorted(receipt["messageId"] for receipt in receipts if receipt["status"] == "delivered") == ids


def test_vonage_damages_what_is_not_sent_as_unicode(sim: Simulated) -> None:
    data = {
        "from": "Clinic",
        "to": "353871230001",
        "text": "5 – 6 €",
        "api_key": "a1b2c3d4",
        "api_secret": "sandbox-key",
    }

    sim.call("vonage", "POST", "/sms/json", data=data)

    assert sim.ledger()[-1]["text"] == "5 ? 6 €"


def test_long_texts_of_link_mobility_are_reported_part_by_part(sim: Simulated, product: Product) -> None:
    id = sim.send("link_mobility", text="x" * 200, reference="long").json()["messageId"]

    reports = [call.json() for call in product.wait_for(4)]

    assert {report["id"] for report in reports} == {f"{id}$0", f"{id}$1"}
    assert {report["segments"] for report in reports} == {2}


def test_recipients_of_one_messagebird_request_share_an_id(sim: Simulated, product: Product) -> None:
    body = {"originator": "Clinic", "recipients": "353871230001,353871230002", "body": "Hi", "reference": "two"}
    headers = {"Authorization": "AccessKey sandbox-access-key"}

    answer = sim.call("messagebird", "POST", "/messages", headers=headers, json=body).json()

    assert answer["recipients"]["totalCount"] == 2
    calls = [call.query() for call in product.wait_for(4)]
    assert {(call["id"], call["recipient"]) for call in calls} == {
        (answer["id"], "353871230001"),
        (answer["id"], "353871230002"),
    }


# --- Refused ---------------------------------------------------------------------------------------------------------


def wrong_credentials(sim: Simulated, key: str) -> requests.Response:
    wrong = {name: f"{value}x" for name, value in CREDENTIALS[key].items()}
    auth = (CREDENTIALS[key].get("account_sid") or CREDENTIALS[key].get("username") or "", "wrong")
    match key:
        case "twilio":
            return sim.call(key, "POST", f"/2010-04-01/Accounts/{SID}/Messages.json", auth=auth, data={})
        case "infobip":
            headers = {"Authorization": "Basic x"}
            return sim.call(key, "POST", "/sms/3/messages", headers=headers, json={"messages": []})
        case "sinch":
            headers = {"Authorization": f"Bearer {wrong['client_secret']}"}
            return sim.call(key, "POST", "/v1/projects/p-1/messages:send", headers=headers, json={})
        case "link_mobility":
            return sim.call(key, "POST", "/sms/send", auth=auth, json={})
        case "messagemedia":
            return sim.call(key, "POST", "/v1/messages", auth=auth, json={})
        case "vonage":
            return sim.call(key, "POST", "/sms/json", auth=auth, data={})
    return sim.call(key, "POST", "/messages", headers={"Authorization": "AccessKey x"}, json={})


@pytest.mark.parametrize(
    ("key", "status", "expected"),
    [
        ("twilio", 401, {"code": 20003, "status": 401, "message": "Authenticate"}),
        ("infobip", 401, {"errorCode": "E401"}),
        ("sinch", 401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}),
        ("link_mobility", 401, {"status": 106100}),
        ("messagemedia", 401, {"message": "Invalid authentication credentials"}),
        ("vonage", 200, {"messages": [{"status": "4", "error-text": "Bad Credentials"}]}),
        ("messagebird", 401, {"errors": [{"code": 2, "parameter": "access_key"}]}),
    ],
)
def test_wrong_credentials_are_refused_in_the_providers_words(
    sim: Simulated, key: str, status: int, expected: dict[str, Any]
) -> None:
    response = wrong_credentials(sim, key)

    assert response.status_code == status
    assert contains(response.json(), expected), response.text


def contains(found: Any, expected: Any) -> bool:
    """Whether everything that is expected stands in what was found."""
    if isinstance(expected, dict):
        return all(name in found and contains(found[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return all(contains(one, other) for one, other in zip(found, expected, strict=True))
    return bool(found == expected)


@pytest.mark.parametrize(
    ("key", "digits", "status", "expected"),
    [
        ("twilio", "9904", 400, {"code": 21211}),
        ("twilio", "9905", 400, {"code": 21610}),
        ("twilio", "9915", 400, {"code": 20005}),
        ("twilio", "9916", 400, {"code": 21606}),
        ("infobip", "9904", 200, {"messages": [{"status": {"id": 52, "groupId": 5}}]}),
        ("infobip", "9905", 200, {"messages": [{"status": {"id": 14, "groupId": 5}}]}),
        ("infobip", "9915", 200, {"messages": [{"status": {"id": 12, "groupId": 5}}]}),
        ("infobip", "9916", 200, {"messages": [{"status": {"id": 11, "groupId": 5}}]}),
        ("sinch", "9904", 400, {"error": {"status": "INVALID_ARGUMENT"}}),
        ("sinch", "9915", 403, {"error": {"status": "PERMISSION_DENIED"}}),
        ("messagemedia", "9904", 400, {}),
        ("messagemedia", "9916", 400, {}),
        ("vonage", "9904", 200, {"messages": [{"status": "6"}]}),
        ("vonage", "9915", 200, {"messages": [{"status": "9"}]}),
        ("vonage", "9916", 200, {"messages": [{"status": "15"}]}),
        ("messagebird", "9904", 422, {"errors": [{"code": 9, "parameter": "recipient"}]}),
        ("messagebird", "9915", 402, {"errors": [{"code": 25}]}),
        ("messagebird", "9916", 422, {"errors": [{"code": 10, "parameter": "originator"}]}),
    ],
)
def test_magic_numbers_are_refused_at_once_where_the_provider_does_so(
    sim: Simulated, key: str, digits: str, status: int, expected: dict[str, Any]
) -> None:
    before = len(sim.ledger())

    response = sim.send(key, to=f"+35387123{digits}", reference=f"refused-{digits}")

    assert response.status_code == status
    assert contains(response.json(), expected), response.text
    assert len(sim.ledger()) == before


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "353871230001"}, 21211),
        ({"From": ""}, 21603),
        ({"From": "13531234567"}, 21212),
        ({"From": "", "MessagingServiceSid": "MG1"}, 21705),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"StatusCallback": "http://under_score.example.com/"}, 21609),
        ({"ValidityPeriod": "36001"}, 21624),
    ],
)
def test_twilio_validates_each_parameter(sim: Simulated, fields: dict[str, str], code: int) -> None:
    data = {"To": TO, "From": "+13531234567", "Body": "Hi", **fields}
    auth = (SID, CREDENTIALS["twilio"]["auth_token"])

    response = sim.call("twilio", "POST", f"/2010-04-01/Accounts/{SID}/Messages.json", auth=auth, data=data)

    assert (response.status_code, response.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"platformId": "X"}, 106200),
        ({"platformPartnerId": "X"}, 106201),
        ({"deliveryReportGates": []}, 106300),
        ({"deliveryReportGates": ["other"]}, 106301),
    ],
)
def test_link_mobility_checks_platform_partner_and_gate(sim: Simulated, fields: dict[str, Any], code: int) -> None:
    body = {**LINK_SHARED, **link_message(TO, "Hi", "x"), **fields}

    response = sim.call("link_mobility", "POST", "/sms/send", auth=(b"linkdemo", "Ünïq#1".encode()), json=body)

    assert (response.status_code, response.json()["status"]) == (400, code)


def test_a_number_sent_as_letters_or_an_emoji_fails_later_at_link_mobility(sim: Simulated, product: Product) -> None:
    auth = (b"linkdemo", "Ünïq#1".encode())
    for reference, fields in (("ton", {"sourceTON": "ALPHANUMERIC"}), ("emoji", {"userData": "👍"})):
        body = {**LINK_SHARED, **link_message(TO, "Hi", reference), **fields}
        assert sim.call("link_mobility", "POST", "/sms/send", auth=auth, json=body).json()["resultCode"] == 1005

    results = {(report["refId"], report["resultCode"]) for report in (call.json() for call in product.wait_for(4))}

    assert {("ton", 2000), ("emoji", 3000)} <= results


@pytest.mark.parametrize(
    ("key", "method", "path", "host", "status"),
    [
        ("twilio", "GET", f"/2010-04-01/Accounts/{SID}.json", "api.example.com", 404),
        ("infobip", "GET", "/account/1/balance", "other1.api.infobip.com", 404),
        ("sinch", "GET", "/v1/projects/p-1/apps/01APP", "us.conversation.api.sinch.com", 404),
        ("sinch", "GET", "/v1/projects/p-2/apps/01APP", "eu.conversation.api.sinch.com", 404),
        ("sinch", "GET", "/v1/projects/p-1/apps/01OTHER", "eu.conversation.api.sinch.com", 404),
        ("link_mobility", "POST", "/sms/send", "n-eu.linkmobility.io", 401),
        ("messagemedia", "GET", "/v1/webhooks/messages", "api.example.com", 401),
        ("messagebird", "GET", "/balance", "rest.example.com", 404),
    ],
)
def test_the_wrong_host_or_region_is_refused(
    sim: Simulated, key: str, method: str, path: str, host: str, status: int
) -> None:
    response = sim.call(key, method, path, host, **authorised(sim, key))

    assert response.status_code == status, response.text


def authorised(sim: Simulated, key: str) -> dict[str, Any]:
    known = CREDENTIALS[key]
    match key:
        case "infobip":
            return {"headers": {"Authorization": f"App {known['api_key']}"}}
        case "sinch":
            return {"headers": {"Authorization": f"Bearer {sim.token()}"}}
        case "messagebird":
            return {"headers": {"Authorization": f"AccessKey {known['access_token']}"}}
        case "link_mobility":
            return {"auth": (known["username"].encode(), known["password"].encode())}
        case "messagemedia":
            return {"auth": (known["username"], known["password"])}
    return {"auth": (known["account_sid"], known["auth_token"])}


@pytest.mark.parametrize(
    ("key", "method", "path", "expected"),
    [
        ("twilio", "GET", f"/2010-04-01/Accounts/{SID}.json", {"status": "active", "type": "Full"}),
        ("twilio", "GET", f"/2010-04-01/Accounts/{SID}/Balance.json", {"balance": "100.00", "currency": "USD"}),
        ("infobip", "GET", "/account/1/balance", {"balance": 100, "currency": "EUR"}),
        ("sinch", "GET", "/v1/projects/p-1/apps/01APP", {"id": "01APP", "processing_mode": "DISPATCH"}),
        (
            "link_mobility",
            "GET",
            "/gate/partnergate/platform/COMMON_API/partner/23456/id/p3TfV6nE",
            {"type": "PARTNER_GATE", "id": "p3TfV6nE"},
        ),
        ("messagemedia", "GET", "/v1/webhooks/messages?page=0&page_size=1", {"page": 0, "pageSize": 1}),
        ("vonage", "GET", "/account/get-balance", {"value": 100, "autoReload": False}),
        ("messagebird", "GET", "/balance", {"payment": "prepaid", "amount": 100}),
    ],
)
def test_each_provider_answers_its_credential_check(
    sim: Simulated, key: str, method: str, path: str, expected: dict[str, Any]
) -> None:
    response = sim.call(key, method, path, **authorised(sim, key))

    assert response.status_code == 200
    assert contains(response.json(), expected), response.text


def test_vonage_tells_the_accounts_callback_urls(sim: Simulated) -> None:
    settings = sim.call("vonage", "POST", "/account/settings", **authorised(sim, "vonage")).json()

    assert settings["dr-callback-url"].endswith("/status/vonage?a=1")
    assert settings["max-calls-per-second"] == 30


def test_a_token_of_sinch_ends(sim: Simulated) -> None:
    sim.register("sinch", settings={"token_life": 0})

    response = sim.send("sinch")
    sim.register("sinch", settings={"token_life": 3599})

    assert response.status_code == 401
    assert "expired" in response.headers["www-authenticate"]


# --- Look-up ---------------------------------------------------------------------------------------------------------


def test_twilio_lists_what_was_sent_to_a_number_since_a_time(sim: Simulated) -> None:
    sid = sim.send("twilio", to="+353871237777").json()["sid"]
    auth = (SID, CREDENTIALS["twilio"]["auth_token"])
    path = f"/2010-04-01/Accounts/{SID}/Messages"

    def listed(**query: str) -> list[str]:
        found = sim.call("twilio", "GET", f"{path}.json", auth=auth, params=query).json()
        return [message["sid"] for message in found["messages"]]

    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert listed(To="+353871237777", From="+13531234567") == [sid]
    until = time.monotonic() + 5
    while not listed(**{"To": "+353871237777", "DateSent>": today}):  # not as long as it is in the queue
        assert time.monotonic() < until
        time.sleep(0.05)
    assert listed(**{"To": "+353871237777", "DateSent>": "2090-01-01"}) == []
    assert listed(To="+353871237777", From="+1000") == []
    assert sim.call("twilio", "GET", f"{path}/{sid}.json", auth=auth).json()["body"] == "How was it?"
    assert sim.call("twilio", "GET", f"{path}/SM{'0' * 32}.json", auth=auth).status_code == 404


def test_infobip_finds_a_text_by_our_id_and_hands_each_report_out_once(sim: Simulated) -> None:
    sim.send("infobip", to="+353871239901", reference="look-me-up")
    time.sleep(0.2)
    headers = {"Authorization": "App sandbox-key"}

    def found(what: str) -> list[dict[str, Any]]:
        query = {"messageId": "look-me-up"}
        return sim.call("infobip", "GET", f"/sms/3/{what}", headers=headers, params=query).json()["results"]

    logs, reports, again = found("logs"), found("reports"), found("reports")
    assert [(entry["messageId"], entry["status"]["groupName"]) for entry in logs] == [("look-me-up", "UNDELIVERABLE")]
    assert [entry["error"]["id"] for entry in reports] == [27]
    assert again == []


def test_messagebird_lists_texts_by_recipient(sim: Simulated) -> None:
    id = sim.send("messagebird", to="+353871236666").json()["id"]
    options = authorised(sim, "messagebird")

    listed = sim.call("messagebird", "GET", "/messages", params={"recipient": "353871236666"}, **options).json()
    one = sim.call("messagebird", "GET", f"/messages/{id}", **options).json()

    assert [item["id"] for item in listed["items"]] == [id]
    assert one["reference"] == "r1"


# --- Reports and their signatures ------------------------------------------------------------------------------------


def assert_signed(sim: Simulated, call: Received) -> None:
    """The provider's own scheme, computed here from docs/providers/ alone."""
    headers, key = call.headers, urlsplit(call.url).path.rpartition("/")[2]
    match key:
        case "twilio":
            text = call.url + "".join(name + value for name, value in sorted(call.form().items()))
            token = CREDENTIALS["twilio"]["auth_token"].encode()
            expected = base64.b64encode(hmac.digest(token, text.encode(), "sha1")).decode()
            assert headers["x-twilio-signature"] == expected
        case "infobip":
            assert headers["authorization"] == "Basic aWItZGVtbzpww6Q6c3M="  # ib-demo:pä:ss
        case "link_mobility":
            assert headers["authorization"] == "Basic bGlua2RlbW86w5xuw69xIzE="  # linkdemo:Ünïq#1
        case "sinch":
            prefix = "x-sinch-webhook-signature"
            nonce, now = headers[f"{prefix}-nonce"], headers[f"{prefix}-timestamp"]
            signed = call.body + f".{nonce}.{now}".encode()
            expected = base64.b64encode(hmac.digest(b"vector-secret-1", signed, "sha256")).decode()
            assert (headers[prefix], headers[f"{prefix}-algorithm"]) == (expected, "HmacSHA256")
            assert abs(int(now) - time.time()) < 60
        case "messagemedia":
            published = requests.get(f"{sim.url}/_/", timeout=10).json()["providers"]["messagemedia"]["public_key"]
            public = serialization.load_der_public_key(base64.b64decode(published))
            parts = urlsplit(call.url)
            line = f"{call.method} {parts.path}?{parts.query} HTTP/1.1"
            signature = base64.b64decode(headers["x-messagemedia-signature"])
            data = (line + headers["date"]).encode() + call.body
            public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            assert headers["x-messagemedia-digest-type"] == "SHA256"
        case "vonage":
            values = call.json()
            text = "".join(f"&{name}={values[name]}" for name in sorted(values) if name != "sig")
            assert values["sig"] == hashlib.md5((text + SECRET).encode()).hexdigest()
        case "messagebird":
            claims = jwt.decode(headers["messagebird-signature-jwt"], SECRET, algorithms=["HS256"])
            assert claims["url_hash"] == hashlib.sha256(call.url.encode()).hexdigest()
            assert (claims["iss"], claims["exp"] - claims["nbf"]) == ("MessageBird", 60)
            if call.body:
                assert claims["payload_hash"] == hashlib.sha256(call.body).hexdigest()
            else:
                assert "payload_hash" not in claims
        case _:
            raise AssertionError(key)


def word(call: Received) -> tuple[str, Any]:
    """The state a report tells, in the provider's word, and its error."""
    match urlsplit(call.url).path.rpartition("/")[2]:
        case "twilio":
            return call.form()["MessageStatus"], call.form().get("ErrorCode")
        case "infobip":
            [entry] = call.json()["results"]
            return entry["status"]["name"], entry["error"]["id"]
        case "sinch":
            report = call.json()["message_delivery_report"]
            return report["status"], report.get("reason", {}).get("code")
        case "link_mobility":
            return str(call.json()["resultCode"]), None
        case "messagemedia":
            return call.json()["status"], call.json()["error_code"]
        case "vonage":
            return call.json()["status"], call.json()["err-code"]
    return call.query()["status"], call.query().get("statusErrorCode")


SENT = {
    "twilio": [("sent", None)],
    "infobip": [],  # only final reports, unless asked for more
    "sinch": [("QUEUED_ON_CHANNEL", None)],
    "link_mobility": [("1000", None)],
    "messagemedia": [("submitted", "200")],
    "vonage": [("accepted", "0")],
    "messagebird": [("sent", None)],
}
FINAL = {
    "0001": {
        "twilio": ("delivered", None),
        "infobip": ("DELIVERED_TO_HANDSET", 0),
        "sinch": ("DELIVERED", None),
        "link_mobility": ("1001", None),
        "messagemedia": ("delivered", "220"),
        "vonage": ("delivered", "0"),
        "messagebird": ("delivered", None),
    },
    "9901": {
        "twilio": ("undelivered", "30003"),
        "infobip": ("UNDELIVERABLE_NOT_DELIVERED", 27),
        "sinch": ("FAILED", "RECIPIENT_NOT_REACHABLE"),
        "link_mobility": ("1006", None),
        "messagemedia": ("failed", "400"),
        "vonage": ("failed", "2"),
        "messagebird": ("delivery_failed", "27"),
    },
    "9902": {
        "twilio": ("failed", "30008"),
        "infobip": ("REJECTED_NETWORK", 0),
        "sinch": ("FAILED", "CHANNEL_REJECT"),
        "link_mobility": ("2", None),
        "messagemedia": ("failed", "330"),
        "vonage": ("rejected", "1"),
        "messagebird": ("delivery_failed", "34"),
    },
    "9903": {
        "twilio": ("failed", "30036"),
        "infobip": ("EXPIRED_EXPIRED", 4101),
        "sinch": ("FAILED", "DELIVERY_TIMED_OUT"),
        "link_mobility": ("1002", None),
        "messagemedia": ("expired", "401"),
        "vonage": ("expired", "1"),
        "messagebird": ("expired", None),
    },
    "9906": {
        "twilio": ("undelivered", "30006"),
        "infobip": ("UNDELIVERABLE_NOT_DELIVERED", 629),
        "sinch": ("FAILED", "RECIPIENT_INVALID_CHANNEL_IDENTITY"),
        "link_mobility": ("2101", None),
        "messagemedia": ("failed", "414"),
        "vonage": ("failed", "12"),
        "messagebird": ("delivery_failed", "1"),
    },
}


@pytest.mark.parametrize("digits", sorted(FINAL))
@pytest.mark.parametrize("key", EACH)
def test_a_texts_fate_is_reported_and_signed_as_the_provider_does(
    sim: Simulated, product: Product, key: str, digits: str
) -> None:
    expected = [*SENT[key], FINAL[digits][key]]

    sim.send(key, to=f"+35387124{digits}", reference=f"{key}-{digits}")
    calls = product.wait_for(len(expected))

    assert [word(call) for call in calls] == expected
    for call in calls:
        assert_signed(sim, call)


@pytest.mark.parametrize("key", ["link_mobility", "messagebird", "messagemedia", "sinch", "vonage"])
def test_an_opted_out_person_is_only_reported_where_the_provider_says_so_late(
    sim: Simulated, product: Product, key: str
) -> None:
    late = {
        "link_mobility": ("2105", None),
        "messagebird": ("delivery_failed", "103"),
        "messagemedia": ("rejected", "302"),
        "sinch": ("FAILED", "RECIPIENT_NOT_OPTED_IN"),
        "vonage": ("rejected", "9"),
    }

    sim.send(key, to="+353871239905")

    assert word(product.wait_for(2)[-1]) == late[key]


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("9907", ["sent"]),
        ("9909", ["sent"] * 3 + ["delivered"] * 3),
        ("9913", ["delivered", "sent"]),
        ("9914", []),
    ],
)
def test_reports_are_left_out_repeated_or_out_of_order_on_demand(
    sim: Simulated, product: Product, digits: str, words: list[str]
) -> None:
    sim.send("twilio", to=f"+35387125{digits}")
    time.sleep(0.2)
    sim.settle()

    assert [word(call)[0] for call in product.received] == words


def test_reports_can_come_before_the_answer(sim: Simulated, product: Product) -> None:
    sim.send("twilio", to="+353871259908")

    assert sorted(word(call)[0] for call in product.received) == ["delivered", "sent"]


@pytest.mark.parametrize("key", EACH)
def test_a_person_replies_and_the_callback_is_signed(sim: Simulated, product: Product, key: str) -> None:
    sim.send(key, to="+353871269910", reference=f"reply-{key}")

    calls = product.wait_for(len(SENT[key]) + 2)

    reply = calls[-1]
    assert_signed(sim, reply)
    match key:
        case "twilio":
            assert contains(reply.form(), {"From": "+353871269910", "To": "+13531234567", "Body": "Yes", "ToState": ""})
        case "infobip":
            [entry] = reply.json()["results"]
            assert contains(entry, {"from": "353871269910", "to": "868686", "text": "Yes", "keyword": "YES"})
        case "sinch":
            message = reply.json()["message"]
            assert message["contact_message"] == {"text_message": {"text": "Yes"}}
            assert message["channel_identity"]["identity"] == "353871269910"
            assert message["sender_id"] == "353861000000"
        case "link_mobility":
            assert contains(reply.json(), {"source": "+353871269910", "content": {"userData": "Yes", "type": "SMS"}})
        case "messagemedia":
            assert contains(reply.json(), {"content": "Yes", "metadata": {"rcp": "reply-messagemedia"}})
            assert urlsplit(reply.url).path == "/status/messagemedia"  # replies go where that text's reports go
        case "vonage":
            assert contains(reply.json(), {"msisdn": "353871269910", "to": "13531234567", "text": "Yes"})
        case "messagebird":
            assert contains(reply.form(), {"originator": "353871269910", "recipient": "13531234567", "body": "Yes"})


def test_a_stop_makes_twilio_refuse_the_person_until_they_write_start(sim: Simulated, product: Product) -> None:
    person = "+353871260042"
    write = {"provider": "twilio", "from": person, "to": "+13531234567"}

    sim.control("inbound", {**write, "text": "stop "})
    refused = sim.send("twilio", to=person)
    sim.control("inbound", {**write, "text": "START"})
    taken = sim.send("twilio", to=person)

    assert (refused.status_code, refused.json()["code"]) == (400, 21610)
    assert taken.status_code == 201
    written = product.wait_for(2, which=lambda call: call.form().get("Body"))
    # Each by a connection of its own: which is there first is nobody's word.
    assert sorted(call.form()["Body"] for call in written) == ["START", "stop "]


def test_a_long_inbound_text_of_vonage_comes_in_parts(sim: Simulated, product: Product) -> None:
    text = "".join(f"{number:04d} " for number in range(60))

    sim.control("inbound", {"provider": "vonage", "from": TO, "to": "13531234567", "text": text})
    parts = sorted((call.json() for call in product.wait_for(2)), key=lambda part: part["concat-part"])

    assert "".join(part["text"] for part in parts) == text
    assert {(part["concat"], part["concat-total"], part["concat-ref"]) for part in parts} == {
        ("true", "2", parts[0]["concat-ref"])
    }


@pytest.mark.parametrize(("form", "method"), [("GET", "GET"), ("POST", "POST"), ("POST-JSON", "POST")])
def test_vonage_calls_in_the_accounts_webhook_format(sim: Simulated, product: Product, form: str, method: str) -> None:
    sim.register("vonage", settings={"webhook_format": form, "signature_method": "sha256"})

    sim.control("inbound", {"provider": "vonage", "from": TO, "to": "13531234567", "text": "Q1=5 & Q2=7"})
    [call] = product.wait_for(1)
    sim.register("vonage", settings={"webhook_format": "POST-JSON", "signature_method": "md5hash"})

    values = {"GET": call.query, "POST": call.form, "POST-JSON": call.json}[form]()
    signed = {**values, "text": "Q1_5 _ Q2_7", "keyword": "Q1_5"}
    text = "".join(f"&{name}={signed[name]}" for name in sorted(signed) if name != "sig")
    assert call.method == method
    assert values["sig"] == hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest()


def test_vonages_messages_api_signs_with_a_token(sim: Simulated, product: Product) -> None:
    sim.register("vonage", settings={"messages_api": True})

    sim.send("vonage", reference="ma")
    calls = product.wait_for(2)
    sim.register("vonage", settings={"messages_api": False})

    assert [call.json()["status"] for call in calls] == ["submitted", "delivered"]
    for call in calls:
        token = call.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], issuer="Vonage")
        assert claims["payload_hash"] == hashlib.sha256(call.body).hexdigest()
        assert claims["api_key"] == "a1b2c3d4"


def test_the_older_signature_of_messagebird(sim: Simulated, product: Product) -> None:
    sim.register("messagebird", settings={"legacy_signature": True})

    sim.send("messagebird")
    call = product.wait_for(2)[0]
    sim.register("messagebird", settings={"legacy_signature": False})

    query = "&".join(sorted(urlsplit(call.url).query.split("&")))
    signed = f"{call.headers['messagebird-request-timestamp']}\n{query}\n".encode() + hashlib.sha256(b"").digest()
    expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).decode()
    assert call.headers["messagebird-signature"] == expected


def test_twilios_shared_key_signs_with_sha256(sim: Simulated, product: Product) -> None:
    sim.register("twilio", settings={"shared_key": {"id": "k1", "secret": "sk_demo"}})

    sim.control("inbound", {"provider": "twilio", "from": TO, "to": "+13531234567", "text": "Ja ☺"})
    [call] = product.wait_for(1)
    sim.register("twilio", settings={"shared_key": None})

    text = call.url + "".join(name + value for name, value in sorted(call.form().items()))
    expected = base64.b64encode(hmac.digest(b"sk_demo", text.encode(), "sha256")).decode()
    assert call.headers["x-twilio-signature"] == expected
    assert call.headers["x-twilio-webhooks-signature-settings"] == "key=k1,algorithm=HMAC_SHA256"


def test_the_signatures_are_those_of_the_cases() -> None:
    """Cases T1 and T5 of tests/providers/twilio.toml, and the receipt of vonage.toml in all five methods."""
    url = "https://surveys.example.com/distribution-providers/v1/receive/distribution"
    status = (
        "SmsSid=SM11112222333344445555666677778888&SmsStatus=delivered&MessageStatus=delivered&To=%2B15005550010"
        "&MessageSid=SM11112222333344445555666677778888&AccountSid=AC00000000000000000000000000000001"
        "&From=%2B13531234567&ApiVersion=2010-04-01"
    )
    inbound = (
        "ToCountry=US&ToState=&SmsMessageSid=SMaaaabbbbccccddddeeeeffff00001111&NumMedia=0&FromZip="
        "&SmsSid=SMaaaabbbbccccddddeeeeffff00001111&SmsStatus=received"
        "&Body=Ja%2C+prima+%26+100%25+%3D+ok+%E2%98%BA&FromCountry=NL&To=%2B13531234567&NumSegments=1"
        "&MessageSid=SMaaaabbbbccccddddeeeeffff00001111&AccountSid=AC00000000000000000000000000000001"
        "&From=%2B31612345678&ApiVersion=2010-04-01"
    )
    token = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    pairs = parse_qsl(status, keep_blank_values=True)
    assert twilio.signature(token, f"{url}/status/twilio-sms/ORG42?mid=7c1f", pairs) == "SpsbZWP/SwcURHk+e4WkncFmXyU="
    pairs = parse_qsl(inbound, keep_blank_values=True)
    shared = twilio.signature("sk_demo_not_the_auth_token", f"{url}/message/twilio-sms/ORG42", pairs, "sha256")
    assert shared == "iupAD2sGyYPCAUyM/RGpAjRgD+LK95vDmW0RY6nUFG8="
    query = (
        "msisdn=31612345678&to=13531234567&network-code=20408&messageId=0A0000000123ABCD1&price=0.07250000"
        "&status=delivered&scts=2611221015&err-code=0&api-key=a1b2c3d4&client-ref=7c1f"
        "&message-timestamp=2026-11-22+10%3A15%3A30&timestamp=1795342530&nonce=3f6f6c3a-8f0e-4c53-8b7e-0c2a5f7d9e10"
    )
    expected = {
        "md5hash": "4fe4bb352a02183f1607f9db48b20016",
        "md5": "08106b99aa3ff151c4b1fb5b5f05edea",
        "sha1": "bc7f457e3998ac9de8f91212f6aedb4bf1ba0ada",
        "sha256": "8781cd10a966203e92cf1d23d9fddb30d04f6dc06f57ca3cdf9e1cca75c85436",
        "sha512": "592bf0117273f3061a28a8b3c7cd42dd5fc2ef85a6e7d130951ce356a2137ae8"
        "93f09622ee824208693cd7d651bb68d5a30c118ba99a5691b4f58ecaab00562e",
    }
    assert {method: vonage.signature(SECRET, dict(parse_qsl(query)), method) for method in expected} == expected


# --- Repeats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", EACH)
def test_a_callback_is_repeated_after_a_503_and_signed_again(sim: Simulated, product: Product, key: str) -> None:
    product.statuses = [503, 503]
    url = f"{product.url}/message/{key}?a=1"
    sim.register(key, inbound_url=f"{url}#rc=3&rp=5xx,ct,rt" if key == "twilio" else url)

    sim.control("inbound", {"provider": key, "from": "+353871270001", "to": "13531234567", "text": "Once"})
    calls = product.wait_for(3)
    sim.settle()

    assert len(product.received) == 3
    for call in calls:
        assert_signed(sim, call)
    if key == "twilio":
        assert len({call.headers.get("i-twilio-idempotency-token") for call in calls[1:]} - {None}) == 1


def test_twilio_does_not_repeat_after_a_503_unless_the_url_says_so(sim: Simulated, product: Product) -> None:
    product.statuses = [503]

    sim.control("inbound", {"provider": "twilio", "from": TO, "to": "+13531234567", "text": "Lost"})
    product.wait_for(1)
    sim.settle()

    assert len(product.received) == 1


def test_a_400_is_final_for_vonage(sim: Simulated, product: Product) -> None:
    product.statuses = [400]

    sim.control("inbound", {"provider": "vonage", "from": TO, "to": "13531234567", "text": "Lost"})
    product.wait_for(1)
    sim.settle()

    assert len(product.received) == 1


def test_nothing_is_lost_while_the_product_is_down(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with process.start(latency_ms=0, report_delay_ms=10, retry_for_s=20, state_dir=tmp_path) as running:
        sid_url = f"{running.url}/twilio/2010-04-01/Accounts/{SID}/Messages.json"
        data = {"To": TO, "From": "+13531234567", "Body": "Hi", "StatusCallback": f"http://127.0.0.1:{port}/s"}
        requests.post(sid_url, auth=(SID, "token"), data=data, timeout=5)
        time.sleep(1)
        heard: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                heard.append(parse_qs(body)["MessageStatus"][0])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            deadline = time.monotonic() + 10
            while len(heard) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            server.shutdown()

    assert sorted(heard) == ["delivered", "sent"]


# --- Faults and limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", EACH)
def test_a_text_is_in_the_ledger_before_the_answer(sim: Simulated, key: str) -> None:
    """The connection drops without an answer, and yet the line is there."""
    before = len(sim.ledger())
    sim.control("faults", {"kind": "accept_drop", "provider": key})

    with pytest.raises(requests.ConnectionError):
        sim.send(key, reference=f"drop-{key}")

    assert [entry["reference"] for entry in sim.ledger()[before:]] == [f"drop-{key}"]


def test_a_text_is_in_the_ledger_while_the_answer_hangs(sim: Simulated) -> None:
    before = len(sim.ledger())
    sim.control("faults", {"kind": "accept_hang", "provider": "vonage"})
    data = {"from": "Clinic", "to": "353871230001", "text": "Hi", "api_key": "a1b2c3d4", "api_secret": "sandbox-key"}

    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{sim.url}/vonage/sms/json", data=data, timeout=0.5)

    assert len(sim.ledger()) == before + 1


@pytest.mark.parametrize(
    ("kind", "holds"),
    [
        ("accept_500", lambda answer: answer.status_code == 500),
        ("accept_garbage", lambda answer: answer.status_code == 201 and not answer.text.isprintable()),
        ("accept_html", lambda answer: answer.status_code == 201 and "text/html" in answer.headers["Content-Type"]),
        ("accept_empty", lambda answer: answer.status_code == 201 and answer.content == b""),
        ("accept_cut_json", lambda answer: answer.status_code == 201 and answer.text.startswith('{"sid"')),
        ("accept_wrong_types", lambda answer: answer.status_code == 201 and isinstance(answer.json(), list)),
        ("accept_429", lambda answer: answer.status_code == 429),
        ("accept_huge", lambda answer: len(answer.content) == 50 * 1024 * 1024),
    ],
)
def test_an_accepted_texts_answer_can_be_spoiled(
    sim: Simulated, kind: str, holds: Callable[[requests.Response], bool]
) -> None:
    before = len(sim.ledger())
    sim.control("faults", {"kind": kind})

    answer = sim.send("twilio")

    assert holds(answer), answer.content[:200]
    assert len(sim.ledger()) == before + 1


def test_an_answer_can_break_off_in_the_middle(sim: Simulated) -> None:
    before = len(sim.ledger())
    sim.control("faults", {"kind": "accept_cut"})

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        sim.send("twilio")

    assert len(sim.ledger()) == before + 1


@pytest.mark.parametrize("key", EACH)
@pytest.mark.parametrize(("kind", "status"), [("500", 500), ("503", 503), ("429", 429), ("401", 401)])
def test_a_send_that_is_refused_by_a_fault_is_not_in_the_ledger(
    sim: Simulated, key: str, kind: str, status: int
) -> None:
    before = len(sim.ledger())
    sim.control("faults", {"kind": kind, "retry_after": 3})

    answer = sim.send(key)

    assert answer.status_code == status
    assert answer.json()  # in the provider's own shape, never a bare page
    assert ("Retry-After" in answer.headers) == (status in (429, 503))
    assert len(sim.ledger()) == before


def test_the_same_seed_gives_the_same_faults(sim: Simulated) -> None:
    def run() -> list[int]:
        fault = sim.control("faults", {"kind": "500", "rate": 0.3, "seed": 42})
        statuses = [sim.send("twilio").status_code for _number in range(30)]
        requests.delete(f"{sim.url}/_/faults", params={"id": fault["id"]}, timeout=5)
        return statuses

    first, second = run(), run()

    assert first == second
    assert 0 < first.count(500) < 30


def test_a_fault_can_be_limited_to_one_account_and_a_number_of_hits(sim: Simulated) -> None:
    sim.control("faults", {"kind": "500", "provider": "twilio", "account": sim.ids["twilio"], "limit": 1})

    assert sim.send("vonage").json()["messages"][0]["status"] == "0"
    assert [sim.send("twilio").status_code for _number in range(2)] == [500, 201]


def test_a_fault_on_everything_also_hits_checks(sim: Simulated) -> None:
    sim.control("faults", {"kind": "401", "provider": "messagebird", "account": sim.ids["messagebird"], "scope": "all"})

    assert sim.call("messagebird", "GET", "/balance", **authorised(sim, "messagebird")).status_code == 401


@pytest.mark.parametrize("key", EACH)
def test_above_its_rate_an_account_gets_the_providers_own_too_many(sim: Simulated, key: str) -> None:
    sim.register(key, rate=0.5, burst=1)
    before = len(sim.ledger())

    first, second = sim.send(key, reference=f"rate1-{key}"), sim.send(key, reference=f"rate2-{key}")
    sim.register(key)

    accepted_id(key, first)
    assert len(sim.ledger()) == before + 1
    if key == "vonage":
        text = second.json()["messages"][0]["error-text"]
        assert second.json()["messages"][0]["status"] == "1"
        assert re.fullmatch(r"Throughput Rate Exceeded - please wait \[ \d+ \] and retry", text)
    elif key == "link_mobility":
        assert (second.status_code, second.json()["resultCode"]) == (200, 3)
        assert "messageId" not in second.json()
    else:
        assert second.status_code == 429
        assert second.headers.get("Retry-After") == ("2" if key in ("infobip", "sinch") else None)


def test_magic_numbers_ask_for_a_fault(sim: Simulated) -> None:
    before = len(sim.ledger())

    with pytest.raises(requests.ConnectionError):
        sim.send("sinch", to="+353871239920")

    assert sim.send("sinch", to="+353871239921").status_code == 500
    assert len(sim.ledger()) == before + 2


# --- The simulator itself --------------------------------------------------------------------------------------------


def test_the_ledger_and_the_accounts_survive_a_kill(tmp_path: Path) -> None:
    data = {"To": TO, "From": "+13531234567", "Body": "Grüße ☺"}
    path = f"/twilio/2010-04-01/Accounts/{SID}/Messages"
    running = process.start(latency_ms=0, state_dir=tmp_path)
    first = requests.post(f"{running.url}{path}.json", auth=(SID, "token"), data=data, timeout=5).json()
    running.process.send_signal(signal.SIGKILL)
    running.stop()

    with process.start(latency_ms=0, state_dir=tmp_path) as again:
        wrong = requests.post(f"{again.url}{path}.json", auth=(SID, "other"), data=data, timeout=5)
        second = requests.post(f"{again.url}{path}.json", auth=(SID, "token"), data=data, timeout=5).json()
        found = requests.get(f"{again.url}{path}/{first['sid']}.json", auth=(SID, "token"), timeout=5)
        ledger = requests.get(f"{again.url}/_/ledger", timeout=5).json()

    assert wrong.status_code == 401
    assert found.json()["body"] == "Grüße ☺"
    assert [entry["id"] for entry in ledger["entries"]] == [first["sid"], second["sid"]]
    assert ledger["last"] == 2


def test_a_line_that_was_cut_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"number":1}\n{"numb')

    ledger = Ledger(path)
    ledger.append([{"number": 2}])

    assert list(ledger.entries()) == [{"number": 1}, {"number": 2}]
    assert list(ledger.entries(1)) == [{"number": 2}]
    ledger.close()


def test_only_registered_accounts_are_served_when_it_is_strict(tmp_path: Path) -> None:
    with process.start(latency_ms=0, strict=True, state_dir=tmp_path) as running:
        answer = requests.get(f"{running.url}/twilio/2010-04-01/Accounts/{SID}.json", auth=(SID, "x"), timeout=5)

    assert answer.status_code == 401


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    running = process.start(latency_ms=0, state_dir=tmp_path)
    assert running.process.stdin

    running.process.stdin.close()  # what a kill of this process would do

    assert running.process.wait(10) == 0
    running.stop()


def test_it_stops_at_once_even_if_an_answer_hangs(tmp_path: Path) -> None:
    running = process.start(latency_ms=0, state_dir=tmp_path)
    url = f"{running.url}/twilio/2010-04-01/Accounts/{SID}/Messages.json"
    data = {"To": "+353871239923", "From": "+13531234567", "Body": "Hi"}
    with pytest.raises(requests.ReadTimeout):
        requests.post(url, auth=(SID, "token"), data=data, timeout=0.3)
    held = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))

    began = time.monotonic()
    running.stop()
    held.close()

    assert time.monotonic() - began < 5
    assert running.process.returncode == 0


def test_figures_count_what_happened(sim: Simulated) -> None:
    requests.delete(f"{sim.url}/_/stats", timeout=5)

    sim.send("twilio")
    wrong_credentials(sim, "twilio")
    stats = sim.stats()

    account = stats["providers"]["twilio"][SID]
    assert (account["requests"], account["accepted"]) == (1, 1)
    assert stats["total"]["accepted"] == stats["total"]["accepted_per_second_peak"] == 1
    assert (stats["total"]["in_flight"], stats["total"]["in_flight_peak"]) == (0, 1)
    assert stats["total"]["http_401"] == 1


@pytest.mark.parametrize(
    ("key", "sign"),
    [
        (key, sign)
        for key in CREDENTIALS
        for sign in ("valid", "none", "forged", "tampered")
        if sign != "tampered" or key not in ("infobip", "link_mobility")  # nothing signs their bodies
    ],
)
def test_a_callback_can_be_sent_by_hand_and_forged(sim: Simulated, product: Product, key: str, sign: str) -> None:
    body = json.dumps({"a": "b"})

    answer = sim.control(
        "callbacks", {"provider": key, "url": f"{product.url}/status/{key}?a=1", "body": body, "sign": sign}
    )

    [call] = product.received
    assert answer["status"] == 200
    if key == "twilio":  # a JSON body is named in the URL by its hash, and only the URL is signed
        digest = dict(parse_qsl(urlsplit(call.url).query)).get("bodySHA256")
        token = CREDENTIALS["twilio"]["auth_token"].encode()
        expected = base64.b64encode(hmac.digest(token, call.url.encode(), "sha1")).decode()
        authentic = call.headers.get("x-twilio-signature") == expected
        assert (authentic and digest == hashlib.sha256(call.body).hexdigest()) == (sign == "valid")
        return
    try:
        assert_signed(sim, call)
        authentic = True
    except Exception:  # each scheme has its own way to fail
        authentic = False
    if key == "vonage" and sign == "tampered":
        assert call.body.endswith(b" ")  # its signature covers values, not bytes: a blank changes nothing
    else:
        assert authentic == (sign == "valid")


@pytest.mark.parametrize(
    ("path", "values", "words"),
    [
        ("accounts", {"provider": "no-such-one"}, "must be one of"),
        ("accounts", {"provider": "twilio", "credentials": {"account_sid": "x"}}, "lacks auth_token"),
        ("accounts", {"provider": "twilio", "account": SID, "colour": 1}, "Unknown: colour"),
        ("faults", {"kind": "rain"}, "must be one of"),
        ("faults", {"kind": "500", "colour": 1}, "colour"),
        ("reporting", {"order": "upside down"}, "must be one of"),
        ("inbound", {"provider": "twilio"}, "Missing: from, to, text"),
        ("callbacks", {"provider": "twilio", "sign": "maybe", "url": "x"}, "must be one of"),
    ],
)
def test_a_control_that_makes_no_sense_is_explained(
    sim: Simulated, path: str, values: dict[str, Any], words: str
) -> None:
    answer = sim.control(path, values, status=400)

    assert words in answer["error"]


@pytest.mark.parametrize("key", EACH)
@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1]", b'{"messages": [3], "recipients": 5}'])
def test_nonsense_is_refused_and_never_a_server_error(sim: Simulated, key: str, body: bytes) -> None:
    paths = {
        "twilio": f"/2010-04-01/Accounts/{SID}/Messages.json",
        "infobip": "/sms/3/messages",
        "sinch": "/v1/projects/p-1/messages:send",
        "link_mobility": "/sms/sendbatch",
        "messagemedia": "/v1/messages",
        "vonage": "/sms/json",
        "messagebird": "/messages",
    }

    answer = sim.call(key, "POST", paths[key], data=body, **authorised(sim, key))

    if key == "vonage":
        assert answer.json()["messages"][0]["status"] in ("2", "3", "4")
    else:
        assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("provider", providers.ALL, ids=lambda provider: provider.key)
def test_the_settings_of_an_account_that_are_named_are_those_that_are_read(sim: Simulated, provider: Any) -> None:
    source = (Path(providers.__path__[0]) / f"{provider.key}.py").read_text()

    named = requests.get(f"{sim.url}/_/", timeout=5).json()["providers"][provider.key]["settings"]

    assert set(re.findall(r'settings\.get\("(\w+)"', source)) == set(named)
    assert all(named.values())


def test_the_table_of_magic_numbers_in_the_readme_is_the_one_in_force() -> None:
    readme = (Path(process.__file__).parent / "README.md").read_text()

    rows = re.findall(r"^\| (99\d\d) \| (.+) \|$", readme, re.MULTILINE)

    assert rows == [(ending.digits, ending.meaning) for ending in ENDINGS.values()]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("☺" * 70, 1),
        ("☺" * 71, 2),
        ("👍" * 35, 1),
        ("👍" * 36, 2),
    ],
)
def test_parts_are_counted_as_carriers_count_them(text: str, parts: int) -> None:
    assert segments.count(text) == parts


# --- The client that sends the callbacks -----------------------------------------------------------------------------


def scripted(*answers: bytes) -> tuple[str, list[bytes], threading.Thread]:
    """A server that answers one connection's requests with these bytes and then hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        connection, _address = listening.accept()
        with listening, connection:
            for answer in answers:
                heard.append(connection.recv(65536))
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}", heard, thread


def call_once(url: str) -> Any:
    async def call() -> Any:
        caller = Caller(1)
        try:
            return await caller.call(Outgoing("POST", url, {}, b"x"), connect_timeout=2, total_timeout=2)
        finally:
            caller.close()

    return asyncio.run(call())


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1;x=y\r\n!\r\n0\r\n\r\n", 200, b"ok!"),
        (b"HTTP/1.0 503 Busy\r\n\r\nuntil the end", 503, b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
    ],
)
def test_every_framing_of_an_answer_is_understood(answer: bytes, status: int, body: bytes) -> None:
    url, heard, thread = scripted(answer)

    response = call_once(f"{url}/a?b=%2B1#rc=3")
    thread.join()

    assert (response.status, response.body) == (status, body)
    assert heard[0].startswith(b"POST /a?b=%2B1 HTTP/1.1\r\nHost: 127.0.0.1:")  # the fragment stays at home


@pytest.mark.parametrize("answer", [b"", b"SMTP ready\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"])
def test_an_answer_that_cannot_be_read_is_none(answer: bytes) -> None:
    url, _heard, thread = scripted(answer)

    with pytest.raises(NoAnswer):
        call_once(url)
    thread.join()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "http://[::1", "ftp://127.0.0.1/"])
def test_where_nobody_listens_there_is_no_connection(url: str) -> None:
    with pytest.raises(NotConnected):
        call_once(url)

"""The webhook self-test: each of the ways in which a webhook goes wrong is named (W3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from django.test import Client
from django.utils import timezone

from contacts.models import OptOut
from distributions.models import InboundMessage
from extensions import client, registry, selftest, traffic
from extensions.contract import ApiResponse, Fault, InvalidSignature, WebhookRequest
from extensions.diagnosis import explain, summarise
from extensions.models import AccountState, ProviderAccount
from organizations.models import AuditEvent
from tests import factories
from tests.processes import Web, free_port
from tests.provider_cases import NOW, all_data, each, files, load, provider_of
from webhooks import applying, inbox
from webhooks.models import Callback, RefusedCallback

pytestmark = pytest.mark.once

KINDS = ("status", "message")
TOKEN = factories.CREDENTIALS["twilio"]["auth_token"]
SID = factories.CREDENTIALS["twilio"]["account_sid"]


# --- a proxy that breaks things ---------------------------------------------------------------------------------------


@dataclass
class Call:
    """What goes through the proxy."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def unchanged(call: Call) -> Call | Reply:
    return call


@contextmanager
def proxy(
    upstream: str, change: Callable[[Call], Call | Reply], answer: Callable[[Reply], Reply] = lambda reply: reply
) -> Iterator[str]:
    """The URL of a proxy on loopback. `change` may alter a call or answer it at once; `answer` may alter an answer."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            changed = change(Call(self.command, self.path, dict(self.headers.items()), body))
            reply = answer(changed if isinstance(changed, Reply) else forward(changed))
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = handle_any

        def log_message(self, *_arguments: Any) -> None:
            """Nothing."""

    def forward(call: Call) -> Reply:
        connection = HTTPConnection(upstream.removeprefix("http://"), timeout=20)
        headers = {name: value for name, value in call.headers.items() if name.lower() != "content-length"}
        connection.request(call.method, call.target, call.body or None, headers)
        response = connection.getresponse()
        body = response.read()
        hop = {"content-length", "transfer-encoding", "connection"}
        connection.close()
        return Reply(response.status, {k: v for k, v in response.getheaders() if k.lower() not in hop}, body)

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[int]:
    """The port of a server with a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_arguments: Any) -> None:
            """A hand-shake that fails is what the tests are about."""

    server = Quiet(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield port


# --- the product behind it --------------------------------------------------------------------------------------------


@pytest.fixture
def switchboard(live_server: Any, settings: Any) -> Iterator[str]:
    """Switchboard on a port of its own, in this process."""
    inbox.forget_accounts()
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    yield live_server.url
    inbox.writer.close()
    inbox.forget_accounts()


@pytest.fixture
def accounts(db: None) -> dict[str, ProviderAccount]:
    """An account at each provider, with the credentials of its file of cases."""
    clinic = factories.organization(public_id="ORG42")
    return {
        data["key"]: factories.account(clinic, data["key"], credentials=credentials_of(data))
        for data in map(load, files())
    }


def credentials_of(data: dict[str, Any]) -> dict[str, str]:
    form = registry.get(data["key"]).Credentials(data["credentials"])
    assert form.is_valid()
    return dict(form.cleaned_data)


@pytest.fixture
def through(switchboard: str, settings: Any, accounts: dict[str, ProviderAccount]) -> Callable[..., Any]:
    """Run the self-test through a proxy: `through(change, key="sinch", kind="message")`."""

    def run(
        change: Callable[[Call], Call | Reply] = unchanged,
        *,
        key: str = "twilio",
        kind: Any = "status",
        answer: Callable[[Reply], Reply] = lambda reply: reply,
        now: datetime | None = None,
    ) -> selftest.SelfTest:
        with proxy(switchboard, change, answer) as url:
            settings.PUBLIC_URL = url
            return selftest.run(accounts[key], kind, now=now)

    return run


def without(*names: str) -> Callable[[Call], Call]:
    """A proxy that takes headers away."""
    gone = {name.lower() for name in names}
    return lambda call: replace(call, headers={k: v for k, v in call.headers.items() if k.lower() not in gone})


def with_header(name: str, value: str) -> Callable[[Call], Call]:
    return lambda call: replace(without(name)(call), headers={**without(name)(call).headers, name: value})


def answering(status: int, body: bytes = b"", **headers: str) -> Callable[[Call], Reply]:
    return lambda call: Reply(status, headers, body)


# --- all is well ------------------------------------------------------------------------------------------------------


# Their callbacks are proved by a key of which the account holds only the public half.
ONLY_THEY_SIGN = {
    key
    for key, data in all_data().items()
    if provider_of(data).sample_callback("status", "https://a.example", now=NOW) is None
}


@pytest.mark.parametrize(
    ("key", "kind"),
    [pytest.param(*one.values, kind, id=f"{one.id}-{kind}", marks=one.marks) for kind in KINDS for one in each(kind)],
)
def test_a_self_test_of_every_provider_is_good_behind_a_proxy_that_changes_nothing(
    through: Callable[..., Any], key: str, kind: str
) -> None:
    """Where only the provider can sign, our own refusal proves that the address can be reached."""
    result = through(key=key, kind=kind)

    assert result.ok, result
    signed = key not in ONLY_THEY_SIGN
    assert ("was kept" in result.finding) is signed
    assert (f"Only {registry.get(key).name} can sign" in result.finding) is not signed
    assert result.detail.startswith("HTTP 200" if signed else "HTTP 401")
    assert result.detail.endswith(" ms")
    assert not RefusedCallback.objects.exists()
    assert Callback.objects.count() == signed


def test_a_self_test_changes_nothing(through: Callable[..., Any], accounts: dict[str, ProviderAccount]) -> None:
    """No reply, no opt-out, no sighting: it is not the provider who has called."""
    for key, account in accounts.items():
        for kind in account.routes:
            assert through(key=key, kind=kind).ok

    assert applying.apply_due() == sum(len(accounts[key].routes) for key in accounts.keys() - ONLY_THEY_SIGN)
    assert set(Callback.objects.values_list("state", flat=True)) == {Callback.State.APPLIED}
    assert not InboundMessage.objects.exists()
    assert not OptOut.objects.exists()
    assert not AccountState.objects.exclude(reports_seen_at=None, inbound_seen_at=None).exists()


def test_the_self_test_of_the_real_web_process_from_the_account_page(web: Any) -> None:
    clinic = factories.organization("Clinic")
    account = factories.account(clinic)
    portal = Client()
    portal.force_login(factories.administrator(clinic))

    shown = portal.post(f"/admin/extensions/account/{account.public_id}/webhooks/", headers={"HX-Target": "self-test"})

    page = shown.content.decode()
    assert page.count("The address works") == 2
    assert "<html" not in page
    whole = portal.post(f"/admin/extensions/account/{account.public_id}/webhooks/").content.decode()
    assert whole.count("The address works") == 2
    assert "<html" in whole
    event = AuditEvent.objects.filter(action="tested the webhooks of").first()
    assert event is not None
    assert event.detail["result"] == "status: good, message: good"


# --- nobody answers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(accounts: dict[str, ProviderAccount], settings: Any) -> Callable[[str], selftest.SelfTest]:
    """Run the self-test with this PUBLIC_URL."""

    def run(public_url: str) -> selftest.SelfTest:
        settings.PUBLIC_URL = public_url
        return selftest.run(accounts["twilio"], "status")

    return run


def test_a_host_name_that_does_not_exist(asked: Callable[[str], Any]) -> None:
    result = asked("https://surveys.example.invalid")

    assert not result.ok
    assert "surveys.example.invalid cannot be resolved" in result.finding


def test_nobody_listens_there(asked: Callable[[str], Any]) -> None:
    port = free_port()

    assert f"Nothing is listening at 127.0.0.1:{port}" in asked(f"http://127.0.0.1:{port}").finding


def test_https_is_called_where_only_http_is_spoken(asked: Callable[[str], Any]) -> None:
    with proxy("", answering(200)) as url:
        result = asked(url.replace("http://", "https://"))

    assert "Wrong scheme: PUBLIC_URL begins with https://" in result.finding


def test_http_is_called_where_only_https_is_spoken(asked: Callable[[str], Any], tls: int) -> None:
    result = asked(f"http://127.0.0.1:{tls}")

    assert "Probably the scheme is wrong: PUBLIC_URL begins with http://" in result.finding


def test_a_certificate_that_nobody_trusts(asked: Callable[[str], Any], tls: int) -> None:
    assert "The certificate of" in asked(f"https://localhost:{tls}").finding


def test_a_server_that_never_answers(asked: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "OWN_TIMEOUT", 0.3)
    done = threading.Event()

    def wait(_call: Call) -> Reply:
        done.wait(5)
        return Reply(200)

    with proxy("", wait) as url:
        result = asked(url)
        done.set()

    assert "gave no answer in" in result.finding


def test_a_page_without_end_is_not_read_to_its_end(asked: Callable[[str], Any]) -> None:
    with proxy("", answering(200, b"x" * (client.MAX_ANSWER + 1))) as url:
        assert "another server answers there" in asked(url).finding


def test_no_other_address_than_our_own_is_ever_called(settings: Any) -> None:
    settings.PUBLIC_URL = "https://surveys.example.com"

    for url in ("https://surveys.example.com.evil.example/x", "http://surveys.example.com/x", "https://evil.example/x"):
        with pytest.raises(ValueError, match="only PUBLIC_URL"):
            client.call_ourselves(WebhookRequest("POST", url))


# --- somebody else answers --------------------------------------------------------------------------------------------


def moved(call: Call, scheme: str = "http", host: str = "", target: str = "") -> Reply:
    return Reply(301, {"Location": f"{scheme}://{host or call.headers['Host']}{target or call.target}"})


def slash(call: Call) -> Reply:
    path, mark, query = call.target.partition("?")
    return moved(call, target=f"{path}/{mark}{query}")


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param(
            lambda call: moved(call, "https"), "Wrong scheme: calls to http:// are redirected to https", id="tls"
        ),
        pytest.param(lambda call: moved(call, host="www.example.com"), "Wrong host: calls are redirected", id="host"),
        pytest.param(slash, "with or without a slash at its end", id="slash"),
        pytest.param(lambda call: moved(call, target="/login?next=x"), "another page (/login)", id="log-in page"),
        pytest.param(
            answering(200, b"<h1>It works!</h1>"), "A server other than Switchboard answers", id="other server"
        ),
        pytest.param(answering(404, b"<h1>Not found</h1>"), "path is not known where the call arrived", id="404"),
        pytest.param(answering(401), "asks for a log-in (HTTP 401)", id="401"),
        pytest.param(answering(403), "a firewall or a list of allowed", id="403"),
        pytest.param(answering(405), "may not use its method", id="405"),
        pytest.param(answering(413), "too large (HTTP 413)", id="413"),
        pytest.param(answering(415), "refuses the content type", id="415"),
        pytest.param(answering(429), "too many (HTTP 429)", id="429"),
        pytest.param(answering(500), "has failed (HTTP 500)", id="500"),
        pytest.param(answering(502), "does not reach Switchboard (HTTP 502)", id="502"),
        pytest.param(answering(503), "does not reach Switchboard (HTTP 503)", id="503"),
        pytest.param(answering(526), "has failed (HTTP 526)", id="526"),
        pytest.param(answering(400, b"plain HTTP request was sent to HTTPS port"), "Probably the scheme", id="plain"),
    ],
)
def test_what_stands_in_front_of_switchboard_has_answered(
    asked: Callable[[str], Any], change: Callable[[Call], Reply], finding: str
) -> None:
    with proxy("", change) as url:
        result = asked(url)

    assert not result.ok
    assert finding in result.finding


@pytest.mark.parametrize(("old", "new"), [("/distribution-providers", ""), ("/v1/receive", "/v1/x/receive")])
def test_a_proxy_that_strips_or_rewrites_the_path(through: Callable[..., Any], old: str, new: str) -> None:
    result = through(lambda call: replace(call, target=call.target.replace(old, new)))

    assert not result.ok
    assert "a proxy removes or rewrites part of it" in result.finding


def test_a_proxy_that_hands_on_another_host_name(through: Callable[..., Any]) -> None:
    result = through(with_header("Host", "backend.internal:8000"))

    assert not result.ok
    assert "ALLOWED_HOSTS" in result.finding


# --- Switchboard answers, but the call was changed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind", "change", "part"),
    [
        ("twilio", "message", lambda call: replace(call, body=call.body + b"&a=b"), "the body"),
        ("infobip", "status", lambda call: replace(call, body=call.body.replace(b": ", b":")), "the body"),
        ("twilio", "message", with_header("Content-Type", "text/plain"), "the content type"),
        ("twilio", "status", lambda call: replace(call, target=call.target.partition("?")[0]), "the query"),
        ("twilio", "status", without("X-Twilio-Signature"), "the header X-Twilio-Signature"),
        ("infobip", "status", without("Authorization"), "the header Authorization"),
        ("link_mobility", "message", with_header("Authorization", "Basic cHJveHk6eA=="), "the header Authorization"),
        ("sinch", "message", without("x-sinch-webhook-signature-nonce"), "the header x-sinch-webhook-signature-nonce"),
        ("messagebird", "status", lambda call: replace(call, target=call.target + "&utm=1"), "the query"),
        ("vonage", "message", lambda call: replace(call, body=b""), "the body"),
        ("vonage", "message", lambda call: replace(call, method="GET", body=b""), "the method"),
        ("messagebird", "message", lambda call: replace(call, target=call.target + "/"), "the path"),
    ],
)
def test_a_proxy_that_changes_the_call_is_told_what_it_changes(
    through: Callable[..., Any], key: str, kind: str, change: Callable[[Call], Call], part: str
) -> None:
    """Also where the signature would not have noticed."""
    result = through(change, key=key, kind=kind)

    assert not result.ok
    assert "A proxy on the way changes or removes" in result.finding
    assert part in result.finding
    assert not RefusedCallback.objects.exists(), "our own call is no stranger's"


def test_a_proxy_that_takes_away_our_own_header_too_is_found_by_the_refused_list(through: Callable[..., Any]) -> None:
    result = through(without("X-Twilio-Signature", selftest.ASKING))

    assert not result.ok
    assert "a proxy removes a header (the header X-Twilio-Signature is missing)" in result.finding
    assert RefusedCallback.objects.get().count == 1


def test_another_organisation_id_in_the_path(through: Callable[..., Any]) -> None:
    result = through(lambda call: replace(without(selftest.ASKING)(call), target=call.target.replace("ORG42", "ORG43")))

    assert "another installation of Switchboard answers" in result.finding


def test_a_proxy_that_changes_our_answer(through: Callable[..., Any]) -> None:
    """Twilio would send the text of any page to the person."""
    result = through(kind="message", answer=lambda reply: replace(reply, body=b"<html>Thank you</html>"))

    assert not result.ok
    assert "our answer came back changed" in result.finding


def test_a_database_that_is_away(through: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_callback: Callback) -> None:
        raise inbox.NotKept

    monkeypatch.setattr(inbox.writer, "write", away)

    assert "cannot store it" in through().finding


def test_a_clock_that_is_off_between_our_own_machines(through: Callable[..., Any]) -> None:
    """The call claims to be an hour old, and only the Date of the answer is taken away."""
    result = through(
        key="sinch",
        now=timezone.now() - timedelta(hours=1),
        answer=lambda reply: replace(reply, headers={k: v for k, v in reply.headers.items() if k != "Date"}),
    )

    assert not result.ok
    assert "refused because of its time" in result.finding


def test_a_clock_that_is_off_at_the_proxy(through: Callable[..., Any]) -> None:
    date = format_datetime(timezone.now() + timedelta(minutes=10), usegmt=True)

    result = through(answer=lambda reply: replace(reply, headers={**reply.headers, "Date": date}))

    assert not result.ok
    assert "differ by 600 seconds" in result.finding or "differ by 599 seconds" in result.finding


def test_nobody_else_can_ask_for_the_reason_of_a_refusal(
    switchboard: str, settings: Any, accounts: dict[str, ProviderAccount]
) -> None:
    settings.PUBLIC_URL = switchboard
    path = "/distribution-providers/v1/receive/distribution/status/twilio-sms/ORG42"

    answer = Client(SERVER_NAME="127.0.0.1").post(path, {"a": "b"}, headers={selftest.ASKING: "forged:x:y"})

    assert (answer.status_code, answer[selftest.OUTCOME]) == (401, "refused")
    assert selftest.FINDING not in answer
    assert RefusedCallback.objects.get().count == 1


def test_an_answer_that_is_ours_but_unknown_is_not_called_good() -> None:
    expected = selftest.Expected(registry.get("twilio"), "status", "https://a.example/x", True, timezone.now())
    answer = ApiResponse(200, {selftest.OUTCOME: "something new"})

    assert selftest.judge(expected, answer, selftest.Finding()) == (
        False,
        "Switchboard gave an answer that this test does not know.",
    )


# --- the list of refused calls ----------------------------------------------------------------------------------------


@pytest.fixture
def page_of(accounts: dict[str, ProviderAccount], settings: Any) -> Iterator[Callable[[str], str]]:
    """The page of the account at a provider."""
    settings.PUBLIC_URL = "https://surveys.example.com"
    inbox.forget_accounts()
    portal = Client()
    clinic = accounts["twilio"].organization
    assert clinic is not None
    portal.force_login(factories.administrator(clinic))
    yield lambda key: portal.get(f"/admin/extensions/account/{accounts[key].public_id}/").content.decode()
    inbox.writer.close()
    inbox.forget_accounts()


FIELDS = {"MessageSid": "SM1", "MessageStatus": "sent", "AccountSid": SID}


def twilio(signed_for: str, *, token: str = "", body: dict[str, str] | None = None, **options: Any) -> Any:
    """A callback as Twilio makes it, signed for `signed_for`, that arrives at the right path all the same."""
    token = token or credentials_of(load(Path("tests/providers/twilio.toml")))["auth_token"]
    fields = {**FIELDS, "AccountSid": load(Path("tests/providers/twilio.toml"))["credentials"]["account_sid"]}
    content = signed_for + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(token.encode(), content.encode(), hashlib.sha1).digest()).decode()
    return Client().post(
        "/distribution-providers/v1/receive/distribution/status/twilio-sms/ORG42",
        urlencode(body or fields),
        options.pop("content_type", "application/x-www-form-urlencoded"),
        headers={"X-Twilio-Signature": signature, **options},
    )


RIGHT = "https://surveys.example.com/distribution-providers/v1/receive/distribution/status/twilio-sms/ORG42"


@pytest.mark.parametrize(
    ("call", "reason", "advice"),
    [
        pytest.param(
            lambda: twilio(RIGHT.replace("https", "http")),
            "http://surveys.example.com instead of https://surveys.example.com",
            "called a different address",
            id="wrong scheme",
        ),
        pytest.param(
            lambda: twilio(RIGHT.replace("surveys.example.com", "sms.example.org"), Host="sms.example.org"),
            "https://sms.example.org instead of https://surveys.example.com",
            "called a different address",
            id="wrong host",
        ),
        pytest.param(lambda: twilio(RIGHT + "/"), "with a slash at its end", "called a different address", id="slash"),
        pytest.param(
            lambda: twilio(RIGHT, token="f" * 32), "wrong signature", "Probably the wrong secret", id="wrong secret"
        ),
        pytest.param(
            lambda: twilio(RIGHT, content_type="text/plain"),
            "the body is not a form",
            "its content type or the query",
            id="wrong content type",
        ),
        pytest.param(
            lambda: Client().post(RIGHT.removeprefix("https://surveys.example.com"), FIELDS),
            "X-Twilio-Signature is missing",
            "carried no proof",
            id="no signature",
        ),
    ],
)
def test_the_page_says_of_a_refused_call_what_is_likely_wrong(
    page_of: Callable[[str], str], settings: Any, call: Callable[[], Any], reason: str, advice: str
) -> None:
    """(R100)"""
    settings.ALLOWED_HOSTS = ["*"]

    assert call().status_code == 401

    shown = page_of("twilio")
    assert reason in shown
    assert advice in shown
    assert ("“Auth Token”" in shown) is (advice == "Probably the wrong secret")


OTHERS = {  # what the provider called, and how the refusal puts it
    "http://surveys.example.com/x/ORG42": "http://surveys.example.com instead of https://surveys.example.com",
    "https://www.surveys.example.com/x/ORG42": "https://www.surveys.example.com instead of https://surveys.example.com",
    "https://surveys.example.com/x/ORG42/": "with a slash at its end",
}


@pytest.mark.parametrize("called", OTHERS)
def test_messagebirds_token_tells_which_address_was_called(called: str) -> None:
    data = load(Path("tests/providers/messagebird.toml"))
    provider = registry.get("messagebird")(credentials_of(data), sender="31612345678")
    now = timezone.now()
    sample = provider.sample_callback("message", called, now=now)
    assert sample is not None
    arrived = replace(sample, url="https://surveys.example.com/x/ORG42")

    with pytest.raises(InvalidSignature) as refusal:
        provider.verify(arrived, now=now)

    assert OTHERS[called] in refusal.value.reason


def test_messagemedias_signature_tells_of_a_slash_too_many() -> None:
    """It covers the path, not the host."""
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    provider = registry.get("messagemedia")({"webhook_public_key": public.decode()})
    now = datetime(2026, 11, 22, 10, 15, 32, tzinfo=UTC)
    date = format_datetime(now, usegmt=True)
    signed = key.sign(f"POST /x/ORG42/ HTTP/1.1{date}".encode() + b"{}", padding.PKCS1v15(), hashes.SHA256())
    headers = {"Date": date, "X-Messagemedia-Signature": base64.b64encode(signed).decode()}
    headers |= {"X-Messagemedia-Digest-Type": "SHA256", "X-Messagemedia-Cipher-Type": "RSA"}

    provider.verify(WebhookRequest("POST", "https://surveys.example.com/x/ORG42/", headers, b"{}"), now=now)
    with pytest.raises(InvalidSignature) as refusal:
        provider.verify(WebhookRequest("POST", "https://surveys.example.com/x/ORG42", headers, b"{}"), now=now)

    assert refusal.value.reason == "signed for another address: with a slash at its end"


def test_the_page_says_of_a_stale_call_that_the_clock_may_be_off(
    page_of: Callable[[str], str], accounts: dict[str, ProviderAccount]
) -> None:
    url = "https://surveys.example.com/distribution-providers/v1/receive/distribution/status/sinch/ORG42"
    stale = accounts["sinch"].open().sample_callback("status", url, now=timezone.now() - timedelta(hours=1))
    assert stale is not None

    refused = Client().post(
        "/distribution-providers/v1/receive/distribution/status/sinch/ORG42",
        stale.body,
        "application/json",
        headers=stale.headers,
    )

    assert refused.status_code == 401
    assert "too far from this server" in page_of("sinch")


def test_the_page_of_the_extension_shows_the_list_too(page_of: Callable[[str], str], settings: Any) -> None:
    twilio(RIGHT, token="f" * 32)
    portal = Client()
    portal.force_login(factories.administrator(ProviderAccount.objects.earliest("pk").organization))

    assert "Probably the wrong secret" in portal.get("/admin/extensions/twilio/").content.decode()


@pytest.mark.parametrize("fault", [*Fault, "a word of a newer version"])
def test_every_explanation_is_a_sentence_that_names_the_provider_and_its_fields(fault: str) -> None:
    for provider in registry.all():
        sentence = explain(fault, provider)
        assert "%(" not in sentence
        assert sentence.endswith(".")
        assert summarise(fault)
    assert (explain(fault, provider) == explain(Fault.UNKNOWN, provider)) is (fault not in {*Fault} - {Fault.UNKNOWN})


def test_an_explanation_of_a_wrong_secret_names_the_fields_that_hold_it() -> None:
    assert "“Webhook user name”, “Webhook password”" in explain(Fault.SECRET, registry.get("infobip"))


def test_no_two_faults_are_explained_alike() -> None:
    provider = registry.get("twilio")

    assert (
        len({explain(fault, provider) for fault in Fault}) == len({summarise(fault) for fault in Fault}) == len(Fault)
    )


def test_a_refused_call_shows_no_part_of_what_it_said(page_of: Callable[[str], str]) -> None:
    twilio(RIGHT, token="f" * 32, body={"Body": "private words"})
    clinic = ProviderAccount.objects.earliest("pk").organization
    assert clinic is not None

    assert "private words" not in json.dumps(
        [row["reason"] for row in traffic.refusals(clinic, registry.get("twilio"))]
    ) + page_of("twilio")


# --- forged headers ---------------------------------------------------------------------------------------------------


def test_a_forged_header_that_arrives_is_said(start: Callable[..., Any], settings: Any) -> None:
    """As behind a proxy that lets everything pass, and without a proxy, where no such header is believed."""
    clinic = factories.organization()
    account = factories.account(clinic, "twilio")
    believing, plain = start(Web, BEHIND_TLS_PROXY="true"), start(Web)

    settings.PUBLIC_URL = believing.url
    open_door = selftest.run(account, "status")
    settings.PUBLIC_URL = plain.url
    no_proxy = selftest.run(account, "status")

    assert (open_door.ok, no_proxy.ok) == (True, True), (open_door, no_proxy)
    assert "underscores pass (X_Forwarded_For)" in open_door.warning
    assert no_proxy.warning == ""


@pytest.mark.parametrize("value", ['[[], ""]', '[[], "", false, 1]', "{}", "1", "[1, 2, 3]", "nonsense", ""])
def test_a_finding_in_another_form_is_none(value: str) -> None:
    assert selftest.Finding.from_header(quote(value)) is None

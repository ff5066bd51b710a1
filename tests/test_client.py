"""The guards of every call to a provider, against real servers on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import requests
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from extensions import client
from extensions.contract import ApiRequest, NotTaken, Provider, Unclear


class Acme(Provider):
    key = "acme"
    name = "Acme SMS"
    host_patterns = (r"[a-z]+\.api\.acme\.example",)


ACME = Acme({})
URL = "https://eu.api.acme.example/v2/messages"
GET = ApiRequest("GET", f"{URL}?to=%2B447700900123&key=planted-query-secret")


class Server:
    """A server that says what it is told to, byte by byte, and keeps what it heard."""

    def __init__(self, answer, context=None):
        self.answer = answer  # called with the connection after the request was read
        self.heard = []
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            try:
                connection.settimeout(5)
                if self.context:
                    connection = self.context.wrap_socket(connection, server_side=True)
                with connection:
                    self.heard.append(self.read(connection))
                    self.answer(connection)
            except OSError:
                continue  # the client went away, as some tests want it to

    def read(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return data
            data += part
        head, _blank, body = data.partition(b"\r\n\r\n")
        wanted = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0
        )
        while len(body) < wanted:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()
        self.thread.join(6)


@pytest.fixture
def serve(settings):
    """serve(answer) starts a server and opens the one door to it."""
    servers = []

    def start(answer, context=None):
        if isinstance(answer, bytes):
            content = answer
            answer = lambda connection: connection.sendall(content)  # noqa: E731
        server = Server(answer, context)
        servers.append(server)
        if context is None:
            settings.PROVIDER_BASE_URLS = {"acme": f"http://127.0.0.1:{server.port}/acme/"}
        return server

    yield start
    for server in servers:
        server.close()


def answer_with(status, body=b"", headers=()):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# --- what may be called ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://eu.api.acme.example/v2",
        "ftp://eu.api.acme.example/v2",
        "https://eu.api.acme.example:8443/v2",
        "https://eu.api.acme.example.evil.example/v2",
        "https://evil.example/eu.api.acme.example",
        "https://user@eu.api.acme.example/v2",
        "https://eu.api.acme.example@evil.example/v2",
        "https://127.0.0.1/v2",
        "https://[::1]/v2",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/v2",
        "https:///v2",
        "https://eu.api.acme.example\n.evil.example/",
    ],
)
def test_only_https_to_the_providers_own_host_is_called(url):
    with pytest.raises(ValueError, match=r"443|not a host"):
        client.target_of("acme", Acme.host_patterns, ApiRequest("GET", url))
    with pytest.raises(NotTaken):
        client.call(ACME, ApiRequest("GET", url))


def test_the_simulator_gets_path_query_and_the_host_it_stands_for(settings):
    settings.PROVIDER_BASE_URLS = {"acme": "http://127.0.0.1:9/acme/"}

    assert client.target_of("acme", Acme.host_patterns, ApiRequest("GET", f"{URL}?a=1&b=%20")) == (
        "http://127.0.0.1:9/acme/v2/messages?a=1&b=%20",
        {"X-Provider-Host": "eu.api.acme.example"},
    )
    assert client.target_of("other", Acme.host_patterns, ApiRequest("GET", URL)) == (URL, {})


def test_the_door_to_the_simulator_does_not_open_the_way_to_a_foreign_host(settings):
    settings.PROVIDER_BASE_URLS = {"acme": "http://127.0.0.1:9"}

    with pytest.raises(ValueError, match="not a host of this provider"):
        client.target_of("acme", Acme.host_patterns, ApiRequest("GET", "https://evil.example/"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:10.0.0.8",
        "64:ff9b::a00:8",
        "2002:a00:8::1",
        "not an address",
        "",
    ],
)
def test_an_address_that_is_not_public_is_recognised_in_every_spelling(address):
    assert not client.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_may_be_called(address):
    assert client.is_public(address)


def resolve_to(monkeypatch, *addresses):
    found = [
        (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))
        for address in addresses
    ]
    monkeypatch.setattr(client.socket, "getaddrinfo", lambda *args, **kwargs: found)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.8", "169.254.169.254", "::1"])
def test_a_name_that_leads_to_a_private_address_is_refused(monkeypatch, address):
    resolve_to(monkeypatch, address)

    with pytest.raises(NotTaken, match="not public"):
        client.call(ACME, GET)


def test_a_name_that_does_not_exist_means_not_taken(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(client.socket, "getaddrinfo", fail)

    with pytest.raises(NotTaken, match="cannot be resolved"):
        client.call(ACME, GET)


def test_of_several_addresses_only_the_public_ones_are_tried(monkeypatch):
    resolve_to(monkeypatch, "10.0.0.8", "203.0.114.7", "203.0.114.7", "::1")

    assert client.public_addresses("eu.api.acme.example") == ["203.0.114.7"]


def test_the_hot_paths_resolver_leaves_out_private_addresses(monkeypatch):
    async def resolve(host):
        resolver = client.PublicResolver()
        try:
            return await resolver.resolve(host, 443)
        finally:
            await resolver.close()

    with pytest.raises(OSError, match="not public"):
        asyncio.run(resolve("localhost"))

    async def mixed(self, host, port=0, family=socket.AF_INET):
        return [{"host": address, "hostname": host, "port": port} for address in ("10.0.0.8", "203.0.114.7")]

    monkeypatch.setattr(client.ThreadedResolver, "resolve", mixed)
    assert [entry["host"] for entry in asyncio.run(resolve("eu.api.acme.example"))] == ["203.0.114.7"]


# --- what goes over the wire -----------------------------------------------------------------------------------------


def test_json_is_compact_utf_8():
    headers, body = client.encode(ApiRequest("POST", URL, json={"text": "Grüße ☺", "parts": [1, 2]}))

    assert body == '{"text":"Grüße ☺","parts":[1,2]}'.encode()
    assert headers["Content-Type"] == "application/json"


def test_a_form_is_urlencoded_and_keeps_its_order_and_repetitions():
    headers, body = client.encode(ApiRequest("POST", URL, form=[("b", "Ja & ☺"), ("a", "+1"), ("b", "")]))

    assert body == b"b=Ja+%26+%E2%98%BA&a=%2B1&b="
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_basic_authentication_is_in_utf_8_and_a_requests_own_headers_win():
    headers, body = client.encode(
        ApiRequest("POST", URL, auth=("ib-demo", "pä:ss"), body=b"<x/>", headers={"Content-Type": "text/xml"})
    )

    assert headers["Authorization"] == "Basic aWItZGVtbzpww6Q6c3M="
    assert headers["Content-Type"] == "text/xml"
    assert body == b"<x/>"


@given(st.recursive(st.text() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_text_can_be_sent(value):
    _headers, body = client.encode(ApiRequest("POST", URL, json={"value": value}))

    assert json.loads(body) == {"value": value}


def test_a_lone_surrogate_does_not_stop_a_send():
    assert client.encode(ApiRequest("POST", URL, json="a\ud83d"))[1] == b'"a?"'
    assert client.encode(ApiRequest("POST", URL, form={"a": "a\ud83d"}))[1] == b"a=a%3F"


def test_a_call_over_a_real_connection(serve):
    server = serve(answer_with(201, b'{"id": 1}', ["X-Thing: yes"]))

    response = client.call(ACME, ApiRequest("POST", f"{URL}?a=1", auth=("me", "pass"), json={"text": "☺"}))

    assert (response.status, response.json(), response.header("x-thing")) == (201, {"id": 1}, "yes")
    head, body = server.heard[0].split(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /acme/v2/messages?a=1 HTTP/1.1"
    assert "X-Provider-Host: eu.api.acme.example" in lines
    assert "Authorization: Basic bWU6cGFzcw==" in lines
    assert "Accept-Encoding: identity" in lines
    assert body == '{"text":"☺"}'.encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(serve, status):
    server = serve(answer_with(status, b"", [f"Location: http://127.0.0.1:{1}/elsewhere"]))

    assert client.call(ACME, GET).status == status
    assert len(server.heard) == 1


def test_the_environments_proxy_and_netrc_are_not_asked(serve, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serve(answer_with(200, b"{}"))

    assert client.call(ACME, GET).status == 200
    assert b"authorization" not in server.heard[0].lower()


# --- what went wrong, and whether anything has left ------------------------------------------------------------------


def test_a_refused_connection_means_not_taken(settings):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.PROVIDER_BASE_URLS = {"acme": f"http://127.0.0.1:{port}"}

    with pytest.raises(NotTaken):
        client.call(ACME, ApiRequest("POST", URL, json={}))


def test_a_read_time_out_is_unclear(serve, monkeypatch):
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    serve(lambda connection: time.sleep(1))

    with pytest.raises(Unclear):
        client.call(ACME, ApiRequest("POST", URL, json={}))


def test_a_reset_after_the_request_is_unclear(serve):
    serve(lambda connection: connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"))

    with pytest.raises(Unclear):
        client.call(ACME, ApiRequest("POST", URL, json={}))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.",
        b"",
    ],
)
def test_half_an_answer_is_unclear(serve, answer):
    serve(answer)

    with pytest.raises(Unclear):
        client.call(ACME, ApiRequest("POST", URL, json={}))


@pytest.mark.parametrize("how", ["with a length", "in chunks", "without a length"])
def test_an_oversized_answer_is_cut_off(serve, how):
    sent = []

    def flood(connection):
        head = {
            "with a length": b"Content-Length: 50000000",
            "in chunks": b"Transfer-Encoding: chunked",
            "without a length": b"Connection: close",
        }[how]
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        for _part in range(500):
            part = b"x" * 100_000
            connection.sendall(b"186a0\r\n" + part + b"\r\n" if how == "in chunks" else part)
            sent.append(len(part))

    serve(flood)

    with pytest.raises(Unclear, match="more than 1,048,576 bytes"):
        client.call(ACME, GET)
    assert sum(sent) < 20_000_000


@pytest.mark.parametrize("slow", ["head", "body", "body without a length"])
def test_a_slow_drip_ends_at_the_total_deadline(serve, monkeypatch, slow):
    monkeypatch.setattr(client, "TOTAL_TIMEOUT", 0.5)

    def drip(connection):
        if slow == "body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        elif slow == "body without a length":
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _byte in range(30):
            connection.sendall(b"x")
            time.sleep(0.1)

    serve(drip)
    began = time.monotonic()

    with pytest.raises(Unclear, match="the time was up"):
        client.call(ACME, GET)
    assert time.monotonic() - began < 1.5


def test_compressed_content_is_not_unpacked(serve):
    serve(answer_with(200, b"\x1f\x8bnot unpacked", ["Content-Encoding: gzip"]))

    assert client.call(ACME, GET).body == b"\x1f\x8bnot unpacked"


# --- TLS: to the very address that was checked, with the host's certificate ------------------------------------------


@pytest.fixture
def tls(tmp_path, monkeypatch):
    """tls(host) is a server-side context with a certificate for the host, which this test trusts."""

    def context(host):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "server.pem").write_bytes(pem + private)
        (tmp_path / "trusted.pem").write_bytes(pem)
        monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "trusted.pem"))
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(tmp_path / "server.pem")
        served.names = []
        served.sni_callback = lambda connection, asked, context: served.names.append(asked)
        return served

    return context


@pytest.fixture
def at_loopback(monkeypatch):
    """As if the host's public address were this machine."""

    def route(port, *addresses):
        monkeypatch.setattr(client, "PORT", port)
        monkeypatch.setattr(client, "public_addresses", lambda host: list(addresses or ["127.0.0.1"]))

    return route


def test_the_checked_address_is_the_one_connected_to(serve, tls, at_loopback):
    """A second look-up of the name, which could answer otherwise, does not take place."""
    context = tls("eu.api.acme.example")
    server = serve(answer_with(200, b"{}"), context)
    at_loopback(server.port)

    assert client.call(ACME, GET).status == 200
    assert context.names == ["eu.api.acme.example"]
    assert b"\r\nHost: eu.api.acme.example\r\n" in server.heard[0]


def test_the_certificate_must_be_the_hosts(serve, tls, at_loopback):
    server = serve(answer_with(200, b"{}"), tls("us.api.other.example"))
    at_loopback(server.port)

    with pytest.raises(NotTaken):
        client.call(ACME, ApiRequest("POST", URL, json={}))
    assert b"".join(server.heard) == b""


def test_an_unknown_certificate_means_not_taken(serve, tls, at_loopback, monkeypatch):
    bundle = requests.adapters.DEFAULT_CA_BUNDLE_PATH
    server = serve(answer_with(200, b"{}"), tls("eu.api.acme.example"))
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", bundle)
    at_loopback(server.port)

    with pytest.raises(NotTaken):
        client.call(ACME, ApiRequest("POST", URL, json={}))


def test_a_server_that_speaks_no_tls_means_not_taken(serve, at_loopback, settings, monkeypatch):
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.3)
    server = serve(answer_with(200, b"{}"))
    settings.PROVIDER_BASE_URLS = {}
    at_loopback(server.port)

    with pytest.raises(NotTaken):
        client.call(ACME, ApiRequest("POST", URL, json={}))


def test_a_handshake_that_drips_ends_at_the_total_deadline(serve, at_loopback, settings, monkeypatch):
    monkeypatch.setattr(client, "TOTAL_TIMEOUT", 0.5)

    def drip(connection):
        for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 30:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    server = serve(drip)
    server.read = lambda connection: connection.recv(10)
    settings.PROVIDER_BASE_URLS = {}
    at_loopback(server.port)
    began = time.monotonic()

    with pytest.raises(NotTaken):
        client.call(ACME, ApiRequest("POST", URL, json={}))
    assert time.monotonic() - began < 2


def test_the_next_address_is_tried_where_nothing_has_left(serve, tls, at_loopback):
    server = serve(answer_with(200, b"{}"), tls("eu.api.acme.example"))
    at_loopback(server.port, "127.0.0.9", "127.0.0.1")  # nobody listens on the first

    assert client.call(ACME, GET).status == 200


# --- the log ---------------------------------------------------------------------------------------------------------


def test_a_call_leaves_one_line_without_query_body_or_secrets(serve, caplog):
    caplog.set_level(logging.INFO, "extensions.client")
    serve(answer_with(200, b"{}"))

    client.call(ACME, ApiRequest("POST", GET.url, auth=("user", "planted-password"), json={"text": "planted-text"}))

    line = caplog.records[-1].getMessage()
    assert line.startswith("POST eu.api.acme.example/v2/messages 200 ")
    assert "planted" not in caplog.text
    assert "447700900123" not in caplog.text


@responses.activate
def test_a_stubbed_call_needs_no_network():
    responses.post(URL, json={"id": "a-1"}, status=202)

    response = client.call(ACME, ApiRequest("POST", URL, json={"to": "1"}))

    assert (response.status, response.json()) == (202, {"id": "a-1"})

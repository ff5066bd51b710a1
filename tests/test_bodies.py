"""A stranger cannot stop the web: sizes are looked at before anything is read, by the app and by the shipped proxy."""

import gzip
import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress

import pytest
from django.test import Client, RequestFactory

from config.bodies import LIMITS, MOST_CHUNKED, NotReadable, TooLarge, measure
from config.ops.supervisor import die_with_parent
from extensions.contract import basic_authorization
from organizations import tokens
from organizations.models import AuditEvent
from tests import factories
from tests.conftest import NGINX
from tests.processes import ROOT, Web, free_port
from webhooks.models import Callback, RefusedCallback

KB, MB = 1024, 1024 * 1024
WEBHOOK = "/distribution-providers/v1/receive/distribution/status/infobip/ORG_0123456789"
# Path -> the most that a stranger may send, in bytes.
STRANGERS = {
    "/": 16 * KB,
    "/admin/": 16 * KB,
    "/admin/login/": 16 * KB,
    "/admin/language/": 16 * KB,
    "/admin/surveys/survey/add/": 16 * KB,
    "/admin/contacts/contactlist/1/import/": 16 * KB,
    "/admin/invitation/MQ/token/": 16 * KB,
    "/s/abc": 16 * KB,
    "/o/abc": 16 * KB,
    "/nowhere": 16 * KB,
    "/API/v3/distributions/sms": 256 * KB,
    "/API/nowhere": 256 * KB,
    WEBHOOK: 3 * MB,  # 2,000 reports of Infobip's, the most that it hands over in one call
}


def answer_to(port, head, body=b"", *, seconds=20):
    """The status and body of the answer to raw bytes; the connection stays half open until it has come."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(seconds)
        connection.sendall(head.encode() + body)
        received = connection.recv(65536)
    status, _blank, text = received.partition(b"\r\n\r\n")
    return int(status.split()[1]), text.decode(errors="replace")


def post(path, *headers, host="127.0.0.1"):
    return "\r\n".join([f"POST {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""])


def chunked(body, size=1000):
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


# --- The table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", STRANGERS)
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_what_is_too_large_is_refused_and_what_fits_is_not(db, client, path, method):
    fits = client.generic(method, path, b"x" * STRANGERS[path], content_type="application/octet-stream")
    large = client.generic(method, path, b"x" * (STRANGERS[path] + 1), content_type="application/octet-stream")

    assert fits.status_code != 413
    assert large.status_code == 413
    if path.startswith("/API/"):
        assert json.loads(large.content)["meta"]["error"]["errorCode"] == "BODY_TOO_LARGE"
    else:
        assert f"{STRANGERS[path] // KB} KB are allowed here" in large.content.decode()


def test_who_has_logged_in_may_send_large_forms_and_files(db):
    client, ada = Client(), factories.administrator()
    client.force_login(ada)
    contact_list = factories.contact_list(ada.organization)

    form = client.post("/admin/surveys/survey/add/", {"name": "x" * 500 * KB})
    file = client.generic("POST", f"/admin/contacts/contactlist/{contact_list.pk}/import/", b"x" * 6 * MB)

    assert form.status_code == 200
    assert file.status_code == 422  # read, and said to have no file in it
    assert client.generic("POST", "/admin/surveys/survey/add/", b"x" * 6 * MB).status_code == 413
    assert client.generic("POST", "/admin/language/", b"x" * 17 * KB).status_code == 413


@pytest.mark.parametrize(("path", "leads_home"), [("/admin/?name=%00", True), ("/s/%00", False), ("/x/", False)])
def test_a_page_without_a_frame_leads_home_only_where_there_is_one(db, client, path, leads_home):
    """Respondents have no home page here."""
    page = client.get(path)

    assert page.status_code == (400 if path.startswith("/admin/") else 404)
    assert ('href="/admin/"' in page.content.decode()) is leads_home


@pytest.mark.parametrize("length", ["-1", "abc", "+5", "5.0", "0x10", "\u0663", "1 2", "9" * 30])
@pytest.mark.parametrize("path", ["/admin/login/", WEBHOOK, "/API/v3/whoami"])
def test_a_length_that_is_no_number_is_refused(db, client, path, length):
    answer = client.generic("POST", path, b"hello", CONTENT_LENGTH=length)

    assert answer.status_code == 400
    assert "Content-Length must be a number of bytes" in answer.content.decode()


@pytest.mark.parametrize(("terminated", "length"), [(True, 0), (True, 1), (True, MOST_CHUNKED), (False, 5)])
def test_a_body_in_chunks_is_read_or_refused_with_its_reason(terminated, length):
    request = RequestFactory().post("/API/v3/distributions/sms")
    request.META |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": terminated, "CONTENT_LENGTH": ""}
    request.META["wsgi.input"] = Source(length)

    if terminated:
        measure(request)
        assert request.body == b"x" * length
    else:
        with pytest.raises(NotReadable, match="Content-Length"):
            measure(request)


def test_a_callback_in_chunks_may_be_as_large_as_any_other():
    """Programs of the kind that providers run send what they write piece by piece."""
    request = RequestFactory().post(WEBHOOK)
    request.META |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    request.META["wsgi.input"] = Source(STRANGERS[WEBHOOK])
    measure(request)
    assert len(request.body) == STRANGERS[WEBHOOK]

    request.META["wsgi.input"] = Source(10**12)
    with pytest.raises(TooLarge):
        measure(request)


def test_no_more_is_read_of_an_endless_body_than_its_limit():
    request = RequestFactory().post("/API/v3/distributions/sms")
    request.META |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    source = request.META["wsgi.input"] = Source(10**12)

    with pytest.raises(TooLarge):
        measure(request)
    assert source.read_bytes == MOST_CHUNKED + 1


class Source:
    """`length` bytes as a server hands them out."""

    def __init__(self, length):
        self.left, self.read_bytes = length, 0

    def read(self, size):
        piece = min(size, self.left)
        self.left -= piece
        self.read_bytes += piece
        return b"x" * piece


# --- The real server -------------------------------------------------------------------------------------------------


def test_the_server_refuses_before_a_body_arrives_and_reads_chunks(web, db):
    clinic = factories.organization()
    account = factories.account(clinic, provider="infobip")
    path = f"/distribution-providers/v1/receive/distribution/status/infobip/{clinic.public_id}"
    secrets = account.secrets()
    authorization = basic_authorization(secrets["webhook_username"], secrets["webhook_password"])

    for large in STRANGERS:
        status, text = answer_to(web.port, post(large, "Content-Length: 31457280"))
        assert (large, status) == (large, 413), text
    report = json.dumps({"results": [{"messageId": "m-1", "status": {"groupId": 3, "id": 5}}]}).encode()
    headers = (f"Authorization: {authorization}", "Content-Type: application/json", "Transfer-Encoding: chunked")
    status, text = answer_to(web.port, post(path, *headers), chunked(report, 7))
    assert status == 200, text
    assert bytes(Callback.objects.get().body) == report
    status, text = answer_to(web.port, post(path, *headers), chunked(b"x" * (STRANGERS[WEBHOOK] + KB)))
    assert status == 413, text


def test_a_packed_body_is_refused_with_its_reason_and_nothing_of_it_is_kept(web, db):
    """Its size unpacked is anybody's guess, and signatures are of the bytes that came."""
    clinic = factories.organization()
    secrets = factories.account(clinic, provider="infobip").secrets()
    authorization = basic_authorization(secrets["webhook_username"], secrets["webhook_password"])
    packed = gzip.compress(json.dumps({"results": [{"messageId": "m-1", "status": {"groupId": 3, "id": 5}}]}).encode())
    packing = ("Content-Type: application/json", "Content-Encoding: gzip", f"Content-Length: {len(packed)}")
    path = f"/distribution-providers/v1/receive/distribution/status/infobip/{clinic.public_id}"
    token = tokens.regenerate(factories.user(clinic, use_sms_distributions="enabled"))

    of_webhook = answer_to(web.port, post(path, f"Authorization: {authorization}", *packing), packed)
    headers = {"X-API-TOKEN": token, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    call = urllib.request.Request(f"{web.url}/API/v3/distributions/sms", packed, headers)
    with pytest.raises(urllib.error.HTTPError) as of_api:
        urllib.request.urlopen(call, timeout=20)
    of_page = answer_to(web.port, post("/admin/login/", *packing), packed)

    assert of_api.value.code == 415
    assert b"without a Content-Encoding" in of_api.value.read()
    assert of_page[0] == 415, of_page[1]
    assert of_webhook[0] == 400, of_webhook[1]
    deadline = time.monotonic() + 20  # it is counted in memory, and written once a second
    while not RefusedCallback.objects.filter(organization=clinic, kind="status").exists():
        assert time.monotonic() < deadline, "the organisation does not see why"
        time.sleep(0.1)
    assert not Callback.objects.exists()


# --- The shipped proxy -----------------------------------------------------------------------------------------------


def configuration():
    return (ROOT / "deploy/nginx.conf").read_text()


def test_the_proxy_has_the_sizes_of_the_app():
    of_proxy = {}
    for path, size, unit in re.findall(
        r"location (?:~ \^)?(/\S*) \{\s*client_max_body_size (\d+)([km]);", configuration()
    ):
        of_proxy[path] = int(size) * (KB if unit == "k" else MB)
    for limit in LIMITS[:-1]:
        path = limit.path.pattern.replace(r"\d", "[0-9]")
        assert limit.most <= of_proxy[path] <= limit.most + MB
    assert "    client_max_body_size 16k;" in configuration()
    assert LIMITS[-1].most == 16 * KB


@pytest.fixture
def nginx(start, tmp_path):
    """The shipped configuration, with other ports and without TLS, in front of the web server. Its port."""
    port = free_port()
    web = start(Web, BEHIND_TLS_PROXY="true", PUBLIC_URL=f"http://127.0.0.1:{port}")
    shipped = configuration()
    shipped = re.sub(r"server \{\s*listen 80;.*?\n\}", "", shipped, flags=re.DOTALL)
    shipped = re.sub(r"\n    (listen \[|ssl_).*", "", shipped)
    shipped = shipped.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    shipped = shipped.replace("server 127.0.0.1:8000;", f"server 127.0.0.1:{web.port};")
    folders = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "shipped.conf").write_text(shipped)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/error.log;"
        f"events {{ worker_connections 512; }}"
        f"http {{ access_log off; {folders} include {tmp_path}/shipped.conf; }}"
    )
    tmp_path.chmod(0o755)
    process = subprocess.Popen(
        [NGINX, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")],
        preexec_fn=lambda: die_with_parent(signal.SIGTERM),
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(20)


@pytest.mark.nginx
def test_behind_the_shipped_proxy_slow_senders_hold_nothing_up(nginx):
    head = post("/admin/login/", "Content-Length: 10000")
    with ExitStack() as connections:
        for _number in range(80):  # ten times the threads of the server
            slow = connections.enter_context(socket.create_connection(("127.0.0.1", nginx)))
            slow.sendall(head.encode() + b"username=")

        began = time.monotonic()
        page = answer_to(nginx, "GET /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")

        assert page[0] == 200
        assert time.monotonic() - began < 8  # before the first of the slow ones is given up
        slow.settimeout(30)
        with suppress(ConnectionResetError):  # after client_body_timeout; without it this would be a TimeoutError
            assert slow.recv(100)[:12] in (b"", b"HTTP/1.1 408")


@pytest.mark.nginx
def test_behind_the_shipped_proxy_nobody_writes_their_own_address(nginx):
    fields = b"username=ada%40example.org&password=wrong&csrfmiddlewaretoken=" + b"a" * 32
    forged = [
        f"{name}: 203.0.113.66"
        for name in ("X-Forwarded-For", "X_Forwarded_For", "X_FORWARDED_FOR", "x-forwarded_for", "X_Forwarded-For")
    ]
    headers = (
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(fields)}",
        f"Cookie: csrftoken={'a' * 32}",
        *forged,
    )

    status, text = answer_to(nginx, post("/admin/login/", *headers), fields)

    assert status == 200, text
    assert [event.address for event in AuditEvent.objects.all()] == ["127.0.0.1"]


@pytest.mark.nginx
def test_the_shipped_proxy_packs_what_everybody_may_read_and_nothing_else(nginx):
    """A page that holds a secret beside what its reader wrote would tell the secret by its packed length."""
    packed = {}
    for path in ("/static/unfold/css/styles.css", "/static/switchboard/keeping.js", "/admin/login/"):
        request = urllib.request.Request(f"http://127.0.0.1:{nginx}{path}", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            packed[path] = answer.headers["Content-Encoding"] == "gzip", len(answer.read())

    assert {path: is_packed for path, (is_packed, _size) in packed.items()} == {
        "/static/unfold/css/styles.css": True,
        "/static/switchboard/keeping.js": True,
        "/admin/login/": False,
    }
    assert packed["/static/unfold/css/styles.css"][1] < 80 * KB, "of 330"


@pytest.mark.nginx
def test_the_shipped_proxy_refuses_what_is_too_large(nginx):
    for path, most in STRANGERS.items():
        limit = max(most, 101 * MB if path.endswith("/import/") else 0)
        if path.startswith("/admin/") and limit == most and not LIMITS[2].path.match(path):
            limit = 5 * MB
        assert (path, answer_to(nginx, post(path, f"Content-Length: {limit + 1}"))[0]) == (path, 413)

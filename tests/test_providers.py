"""Every case of every provider, and the rules all providers share.

The cases are data, in `tests/providers/<key>.toml`; `tests/provider_cases.py` says how one is written and runs it.
A new provider gets all of this by adding its two files.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import re
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extensions import providers, registry
from extensions.contract import (
    SELF_TEST,
    ApiResponse,
    Category,
    Check,
    DeliveryReport,
    Fault,
    InboundSms,
    InvalidSignature,
    LookUp,
    NotTaken,
    Provider,
    ProviderError,
    Refused,
    SecretField,
    SenderKind,
    SendResult,
    Token,
    Unclear,
    Unreadable,
    WebhookCheck,
    WebhookRequest,
)
from tests import provider_cases
from tests.provider_cases import NOW, SAYS, at_least, callback_of, callback_url, cases, each, load, provider_of, sms_of

DATA = {path.stem: load(path) for path in provider_cases.files()}
KEYS = sorted(DATA)
CASES = [
    pytest.param(DATA[key], heading, case, id=f"{key}-{heading}-{case.get('name') or index}")
    for key in KEYS
    for index, (heading, case) in enumerate(cases(DATA[key]))
]
each_provider = pytest.mark.parametrize("key", KEYS)
each_reporting_provider = pytest.mark.parametrize("key", provider_cases.each("status"))


@pytest.mark.parametrize(("data", "heading", "case"), CASES)
def test_case(data, heading, case):
    provider_cases.run(data, heading, case)


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_every_provider_has_a_file_of_cases_and_every_file_of_cases_a_provider():
    assert {provider.key for provider in registry.all()} == set(KEYS)
    assert all(data["key"] == stem for stem, data in DATA.items())


@each_provider
def test_a_provider_says_all_that_its_pages_need(key):
    provider = registry.get(key)

    assert provider.key == key
    assert provider.docs_url.startswith("https://")
    assert provider.host_patterns
    for text in ("name", "coverage", "setup", "sender_label", "sender_help"):
        assert str(getattr(provider, text)).strip(), f"{text} is empty"
    assert str(provider.webhook_check_note).strip() or not provider.calls()
    setup = str(provider.setup).format(reports_url="https://a.example/status", inbound_url="https://a.example/message")
    assert "https://a.example/message" in setup or "message" not in provider.calls()
    for kind in {"status", "message"} - set(provider.calls()):
        assert f"https://a.example/{kind}" not in setup, "nothing is called there"
    for name, field in provider.Credentials().fields.items():
        assert str(field.label or "").strip(), f"{name} has no label"
        assert str(field.help_text).strip(), f"{name} does not say where its value is found"


# What the cases of a provider are about at each level of CONTRIBUTING's recipe, and how many there are at least.
HEADINGS = ({"form", "sender_case", "send", "check"}, {"report", "signature"}, {"inbound", "opt_out", "response"})
CASES_OF_ALL = 60


@each_provider
def test_every_provider_has_cases_under_the_headings_of_its_level(key):
    data, calls = DATA[key], registry.get(key).calls()
    wanted = set().union(*HEADINGS[: 1 + ("status" in calls) + ("message" in calls)])

    missing = wanted - set(data)
    assert not missing, f"no cases under {missing}"
    assert any("error" in case for _, case in cases(data, "send"))
    assert sum(1 for _ in cases(data)) >= at_least(key, CASES_OF_ALL)


@each_provider
def test_what_a_provider_is_said_to_do_is_what_it_reads(key):
    """It calls no address for which it reads nothing, and nobody is promised what never comes."""
    provider = registry.get(key)
    able = [provider.capabilities(kind) for kind in SenderKind]

    assert "message" in provider.calls() or not any(one.two_way or one.stop_words_reach_us for one in able)
    assert "status" in provider.calls() or not any(one.delivery_reports for one in able)
    assert (provider.verify is Provider.verify) is not provider.calls()


@each_provider
def test_the_credentials_form_accepts_the_example(key):
    form = registry.get(key).Credentials(DATA[key]["credentials"])

    assert form.is_valid(), form.errors


@each_provider
def test_the_credentials_form_asks_for_every_field_and_never_renders_a_secret_back(key):
    """(R20, R28)"""
    form = registry.get(key).Credentials({**DATA[key]["credentials"], "name": "x"})

    html = form.as_p()

    for name, value in _secrets(key).items():
        assert value not in html, f"{name} is rendered back"
    empty = registry.get(key).Credentials({})
    required = {name for name, field in empty.fields.items() if field.required}
    assert required == set(empty.errors)


@each_provider
def test_every_request_goes_to_a_host_of_the_provider_over_https(key):
    data = DATA[key]

    for request in _built(key):
        url = urlsplit(request.url)
        assert url.scheme == "https"
        assert url.port is None
        patterns = registry.get(key).host_patterns
        assert any(re.fullmatch(pattern, url.hostname) for pattern in patterns), f"{url.hostname} is in no pattern"
        assert sum(part is not None for part in (request.json, request.form, request.body)) <= 1
    assert all("." in pattern for pattern in registry.get(key).host_patterns), data["key"]


@each_provider
def test_our_reference_goes_out_with_every_message(key):
    """So that a report finds its message without an index on the provider's id, and before the call has returned."""
    provider = provider_of(DATA[key])
    sms = sms_of(provider, {"reference": "REF7d1c9e"})

    requests = [provider.build_send(sms)]
    if provider.batch_size > 1:
        requests.append(provider.build_batch([sms]))

    for request in requests:
        assert "REF7d1c9e" in json.dumps(
            [request.url, request.json, request.form and list(_pairs(request.form))]
        ) + str(request.body)


# --- what an answer means --------------------------------------------------------------------------------------------


@each_provider
@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"{}", b"[]", b'{"messages": []}'])
def test_a_server_error_never_counts_as_sent_or_refused(key, status, body):
    provider = provider_of(DATA[key])

    with pytest.raises((Unclear, NotTaken)):
        provider.parse_send(ApiResponse(status, {}, body))


@each_provider
def test_too_many_requests_means_try_again_when_the_provider_says(key):
    provider = provider_of(DATA[key])

    with pytest.raises(NotTaken) as caught:
        provider.parse_send(ApiResponse(429, {"Retry-After": "7"}, b"{}"))

    assert (caught.value.category, caught.value.retry_after) == (Category.RATE_LIMITED, 7)


@each_provider
@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b'"x"', b'{"id": ', b"\xff\xfe", b"[" * 5000])
def test_a_good_status_with_an_unreadable_body_is_unclear(key, status, body):
    provider = provider_of(DATA[key])

    with pytest.raises(Unclear):
        provider.parse_send(ApiResponse(status, {"Content-Type": "application/json"}, body))


# --- authenticity ----------------------------------------------------------------------------------------------------


def _signed(key):
    """(provider, request, now) of every valid signature case and of every callback that is marked as verified."""
    for _case, *signed in _signed_cases(key):
        yield signed


def _signed_cases(key):
    """(case, provider, request, now)"""
    data = DATA[key]
    for _, case in cases(data, "signature"):
        if case["valid"]:
            yield case, provider_of(data, case), callback_of(data, case, case.get("kind", "status")), case.get("now")
    for heading, case in cases(data, "report", "inbound", "opt_out"):
        if case.get("verified"):
            request = callback_of(data, case, provider_cases.kind_of(heading, case))
            yield case, provider_of(data, case), request, case.get("now")


def _accepts(provider, request, now):
    try:
        provider.verify(request, now=now)
    except InvalidSignature:
        return False
    return True


@each_reporting_provider
def test_every_refusal_says_which_kind_of_fault_it_is(key):
    """What the administrator is advised to do follows from it, and from nothing else."""
    refused = [case for _, case in cases(DATA[key], "signature") if not case["valid"]]

    assert len(refused) >= at_least(key, 10)
    assert all(case["fault"] in set(Fault) - {Fault.FORMAT, Fault.NO_ACCOUNT, Fault.UNKNOWN} for case in refused)


@pytest.mark.parametrize("fault", Fault)
def test_a_refusal_carries_its_kind_and_its_words(fault):
    refusal = InvalidSignature(fault, "for a reason")

    assert (refusal.fault, refusal.reason) == (fault, "for a reason")
    assert (InvalidSignature().fault, InvalidSignature().reason) == (Fault.SECRET, "wrong signature")
    assert Unreadable("The body is not JSON.").fault is Fault.FORMAT


def test_a_refusal_without_its_kind_is_a_mistake_that_shows_at_once():
    with pytest.raises(ValueError, match="wrong password"):
        InvalidSignature("wrong password")


def _other(byte):
    return b"2" if byte == b"1" else b"1"


def _replaced(request, **changes):
    values = {"method": request.method, "url": request.url, "headers": request.headers, "body": request.body}
    return WebhookRequest(**{**values, **changes})


def _tampered(key, case, request):
    """Variants of a signed request that must all be refused; `signs` of file or case says what the signature covers."""
    strong = registry.get(key).webhook_check is WebhookCheck.SIGNATURE
    signs = case.get("signs") or DATA[key].get("signs", ["body", "query", "path"] if strong else [])
    url = urlsplit(request.url)
    if "body" in signs and request.body:
        yield "last byte of the body", _replaced(request, body=request.body[:-1] + _other(request.body[-1:]))
        middle = len(request.body) // 2
        changed = request.body[:middle] + _other(request.body[middle : middle + 1]) + request.body[middle + 1 :]
        yield "a byte in the middle of the body", _replaced(request, body=changed)
        yield "an empty body", _replaced(request, body=b"")
    if "query" in signs:
        query = f"{url.query[:-1]}{_other(url.query[-1:].encode()).decode()}" if url.query else "added=1"
        yield "query", _replaced(request, url=url._replace(query=query).geturl())
    if "path" in signs:
        yield "organisation in the path", _replaced(request, url=url._replace(path=f"{url.path}X").geturl())
        yield "host", _replaced(request, url=url._replace(netloc="surveys.example.org").geturl())
    kept = {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
    proof_in_query = {"sig", "token", "secret", "key"}.intersection(name for name, _ in parse_qsl(url.query))
    if strong and not proof_in_query and b"sig=" not in request.body and b'"sig"' not in request.body:
        yield "no proof at all", _replaced(request, headers=kept)
    if not strong:
        yield "no proof at all", _replaced(request, headers=kept, url=url._replace(query="").geturl())
        for name, value in request.headers.items():
            if name.lower() == "authorization":
                yield "another password", _replaced(request, headers={**request.headers, name: "Basic eDp5"})
                yield "no password", _replaced(request, headers={**request.headers, name: value.split()[0]})


@each_reporting_provider
def test_a_changed_body_or_url_of_every_signed_callback_is_refused(key):
    """(R97, R100) Where a signature does not cover the body, the query or the path, the file's `signs` says so."""
    tried = 0
    for case, provider, request, now in _signed_cases(key):
        provider.verify(request, now=now or DATA[key].get("now", NOW))
        for what, tampered in _tampered(key, case, request):
            assert not _accepts(provider, tampered, now or DATA[key].get("now", NOW)), f"accepted with a changed {what}"
            tried += 1
    assert tried, "the file has no valid signature case"


@each_reporting_provider
def test_a_callback_signed_with_another_accounts_secrets_is_refused(key):
    """(R97)"""
    for provider, request, now in _signed(key):
        others = {**provider.credentials, **{name: f"{value[:-2]}zz" for name, value in _secrets(key).items()}}
        stranger = registry.get(key)(others, sender=provider.sender)

        if any(str(value) in request.url for value in provider.credentials.values() if len(str(value)) > 8):
            continue
        if registry.get(key).webhook_check is WebhookCheck.SIGNATURE and "PUBLIC KEY" in str(others):
            continue  # verified by the provider's public key, which all accounts may share

        with pytest.raises(InvalidSignature):
            stranger.verify(request, now=now or DATA[key].get("now", NOW))


@each_provider
def test_a_repeated_callback_has_the_same_key_and_another_callback_a_different_one(key):
    data = DATA[key]
    seen = {}
    for heading, case in cases(data, "report", "inbound"):
        request = callback_of(data, case, provider_cases.kind_of(heading, case))
        if not request.body and not urlsplit(request.url).query:
            continue
        dedupe_key = provider_of(data, case).dedupe_key(request)
        assert dedupe_key == provider_of(data, case).dedupe_key(_replaced(request, headers=dict(request.headers)))
        former = seen.setdefault(dedupe_key, request)
        same = (former.body, urlsplit(former.url).query) == (request.body, urlsplit(request.url).query)
        assert same or _news(data, heading, former) == _news(data, heading, request)


def _news(data, heading, request):
    """Two different requests may share a key only if they tell the same, as a retry with a later timestamp does."""
    provider = provider_of(data)
    results = provider.parse_reports(request) if heading == "report" else provider.parse_inbound(request)
    return [(result.message_id, getattr(result, "status", "")) for result in results]


@each_provider
def test_a_report_is_no_inbound_message_and_an_inbound_message_no_report(key):
    """(R99) The two routes do not accept each other's payload."""
    data = DATA[key]
    for heading, case in cases(data, "report", "inbound"):
        if not case.get("result"):
            continue
        provider = provider_of(data, case)
        request = callback_of(data, case, provider_cases.kind_of(heading, case))
        parse = provider.parse_inbound if heading == "report" else provider.parse_reports
        try:
            told = parse(request)
        except Unreadable:
            continue
        assert told == [], f"{heading} {case.get('name')!r} was also taken for {told}"


@each_provider
@pytest.mark.parametrize("kind", ["status", "message"])
def test_a_kept_callback_is_answered_with_success(key, kind):
    response = registry.get(key).webhook_response(kind)

    assert isinstance(response, HttpResponse)
    assert 200 <= response.status_code < 300


# --- the self-test ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind"),
    [pytest.param(*one.values, kind, id=f"{kind}-{one.id}", marks=one.marks) for kind in SAYS for one in each(kind)],
)
def test_a_sample_callback_is_verified_and_tells_one_thing_that_is_never_applied(key, kind):
    provider = provider_of(DATA[key])
    sample = provider.sample_callback(kind, callback_url(registry.get(key), kind), now=NOW)
    if sample is None:
        fields = type(provider).Credentials.base_fields
        assert not any(isinstance(fields[name], SecretField) for name in provider.webhook_secrets), "we could sign it"
        return

    provider.verify(sample, now=NOW)
    reports, inbound = provider.parse_reports(sample), provider.parse_inbound(sample)

    assert not provider.is_probe(sample)
    assert sample.method in provider.webhook_methods
    assert (len(reports), len(inbound)) == ((1, 0) if kind == "status" else (0, 1))
    for told in (*reports, *inbound):
        assert told.message_id.startswith(SELF_TEST)
        assert getattr(told, "opt_out", None) is None
    later = provider.sample_callback(kind, callback_url(registry.get(key), kind), now=NOW + timedelta(milliseconds=1))
    assert provider.dedupe_key(later) != provider.dedupe_key(sample)


@each_reporting_provider
def test_the_secrets_that_prove_a_callback_are_named_by_their_fields(key):
    """So that an explanation can name them as the form does."""
    provider = registry.get(key)

    assert provider.webhook_secrets
    assert set(provider.webhook_secrets) <= set(provider.Credentials.base_fields)


# --- secrets ---------------------------------------------------------------------------------------------------------


def _secrets(key):
    fields = registry.get(key).Credentials().fields
    example = DATA[key]["credentials"]
    return {name: example[name] for name in fields if isinstance(fields[name], SecretField) and example.get(name)}


def _pairs(form):
    return form.items() if hasattr(form, "items") else form


def _built(key):
    """Every request that the provider builds."""
    provider = provider_of(DATA[key])
    sms = sms_of(provider, {})
    yield provider.build_send(sms)
    yield provider.build_check()
    if provider.batch_size > 1:
        yield provider.build_batch([sms, sms_of(provider, {"reference": "7c20", "to": "+31612345679"})])
    if provider.needs_token:
        yield provider.build_token()
    lookup = provider.build_lookup(sms, attempted_at=NOW)
    if lookup is not None:
        yield lookup


def _told(key):
    """All that we say of the answers and callbacks in the cases: sentences of checks, and errors in every spelling."""
    data = DATA[key]
    for heading, case in cases(data):
        provider = provider_of(data, case)
        sms = sms_of(provider, {})
        try:
            if heading in ("send", "opt_out") and "response" in case:
                yield repr(provider.parse_send(provider_cases.answer_of(case)))
            elif heading == "check" and "response" in case:
                check = provider.parse_check(provider_cases.answer_of(case))
                yield " ".join(map(str, (check.detail, *check.warnings)))
            elif heading == "lookup" and "response" in case:
                yield repr(provider.parse_lookup(provider_cases.answer_of(case), sms))
            elif heading == "token" and "response" in case:
                provider.parse_token(provider_cases.answer_of(case))
            elif heading == "signature":
                request = callback_of(data, case, case.get("kind", "status"))
                provider.verify(request, now=case.get("now", data.get("now", NOW)))
            elif heading == "batch" and "response" in case:
                yield repr(provider.parse_batch(provider_cases.answer_of(case), [sms]))
        except ProviderError as error:
            yield f"{error} {error!r} {vars(error)}"
        yield repr(provider)


@each_provider
def test_secrets_reach_no_log_and_no_exception(key, caplog):
    """(R28) Whatever a provider answers, what we say of it is safe to show."""
    caplog.set_level(logging.DEBUG)

    told = [*_told(key), caplog.text]

    for name, secret in _secrets(key).items():
        assert not any(secret in text for text in told), f"{name} is shown"


# --- whatever comes, only the documented errors ----------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
odd_values = json_values | st.sampled_from(
    ["", "0", "-1", "99999999999999999999", "é☺", "\x00", "\ud800", "AA==", "null", [], {}, [[]], {"": None}, 10**400]
)
header_values = st.text(max_size=60) | st.sampled_from(
    ["Basic", "Basic ", "Basic =", "Basic é", "Bearer", "a.b.c", "e30.e30.e30", "application/json", "text/xml", "\x00"]
)


def _dumps(value):
    return json.dumps(value, default=str).encode()


def _paths(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inner:
        yield from _paths(child, (*path, name))


def _with(value, path, replacement):
    if not path:
        return replacement
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(value[path[0]], path[1:], replacement)
    return copy


@st.composite
def mutated(draw, bodies):
    """A body from the cases with one place replaced by something odd, or cut, or arbitrary bytes."""
    body = draw(st.sampled_from(bodies)) if bodies else b""
    choice = draw(st.integers(0, 4))
    if choice == 0:
        return draw(st.binary(max_size=200))
    if choice == 1:
        return body[: draw(st.integers(0, len(body)))]
    if choice == 2:
        return _dumps(draw(json_values))
    try:
        value = json.loads(body)
    except ValueError:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        if not pairs:
            return draw(st.binary(max_size=60))
        index = draw(st.integers(0, len(pairs) - 1))
        value = draw(st.sampled_from(["", "%", "%zz", "%ff", "\u263a", "-1", "9" * 5000, "&&=", "%00", ";"]))
        parts = [f"{name}={value if at == index else content}" for at, (name, content) in enumerate(pairs)]
        return "&".join(parts[:: draw(st.sampled_from([1, 1, -1, 2]))]).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(_paths(value))))
        value = _with(value, path, draw(odd_values))
    return _dumps(value)


def _callbacks(key):
    """A strategy for callbacks: those of the cases, mutated, with the provider's own header names."""
    data = DATA[key]
    known = [
        callback_of(data, case, provider_cases.kind_of(heading, case) if heading != "signature" else "status")
        for heading, case in cases(data, "report", "inbound", "opt_out", "signature")
        if not provider_cases.is_send(case)
    ]
    names = sorted({name for request in known for name in request.headers} | {"Authorization", "Content-Type"})
    url = callback_url(registry.get(key), "status")
    queries = sorted({urlsplit(request.url).query for request in known})

    def build(method, query, odd_query, headers, kept, body):
        base = next((request.headers for request in known if request.headers), {}) if kept else {}
        return WebhookRequest(method, f"{url}?{odd_query or query}", {**base, **headers}, body)

    return st.builds(
        build,
        st.sampled_from(["POST", "GET", "PUT", "", "post"]),
        st.sampled_from(queries),
        st.text(max_size=40) | st.none(),
        st.dictionaries(st.sampled_from(names), header_values, max_size=4),
        st.booleans(),
        mutated([request.body for request in known]),
    )


def _answers(key):
    responses = [provider_cases.answer_of(case) for _, case in cases(DATA[key]) if "response" in case]
    return st.builds(
        ApiResponse,
        st.sampled_from(
            [200, 201, 202, 204, 301, 400, 401, 402, 403, 404, 409, 410, 413, 418, 422, 429, 500, 503, 599]
        ),
        st.dictionaries(st.sampled_from(["Retry-After", "Content-Type"]), header_values, max_size=2),
        mutated([response.body for response in responses]),
    )


quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@each_reporting_provider
def test_a_callback_raises_nothing_but_the_documented_errors(key):
    provider = provider_of(DATA[key])

    @quick
    @given(_callbacks(key))
    def holds(request):
        try:
            provider.verify(request, now=datetime.now(UTC))
        except InvalidSignature as refusal:
            told = refusal.reason
        else:
            told = "verified"
        assert isinstance(told, str)
        for parse, kind in ((provider.parse_reports, DeliveryReport), (provider.parse_inbound, InboundSms)):
            try:
                results = parse(request)
            except Unreadable:
                continue
            assert isinstance(results, list)
            for result in results:
                _assert_well_formed(result, kind)
        assert isinstance(provider.dedupe_key(request), str)
        assert isinstance(type(provider).recognises(request), bool)

    holds()


def _assert_well_formed(result, kind):
    assert isinstance(result, kind)
    texts = ("message_id", "reference", "error", "part", "sender", "recipient", "text", "in_reply_to", "concat_ref")
    for name in texts:
        assert isinstance(getattr(result, name, ""), str), f"{name}: {result!r}"
    for name in ("concat_part", "concat_total"):
        assert isinstance(getattr(result, name, 0), int), f"{name}: {result!r}"


@each_provider
def test_an_answer_raises_nothing_but_the_documented_errors(key):
    provider = provider_of(DATA[key])
    sms = sms_of(provider, {})
    messages = [sms, sms_of(provider, {"reference": "7c20", "to": "+31612345679"})]
    documented = (Refused, NotTaken, Unclear)

    @quick
    @given(_answers(key))
    def holds(response):
        try:
            result = provider.parse_send(response)
        except documented:
            pass
        else:
            assert isinstance(result, SendResult)
            assert isinstance(result.message_id, str)
            assert result.segments is None or (isinstance(result.segments, int) and result.segments >= 0)
        if provider.batch_size > 1:
            try:
                results = provider.parse_batch(response, messages)
            except documented:
                pass
            else:
                assert len(results) == 2
                assert all(isinstance(result, (SendResult, *documented)) for result in results)
        assert isinstance(provider.parse_check(response), Check)
        if provider.needs_token:
            try:
                token = provider.parse_token(response)
            except documented:
                pass
            else:
                assert isinstance(token, Token)
                assert token.value
        if provider.build_lookup(sms, attempted_at=NOW) is not None:
            with contextlib.suppress(NotTaken, Unclear):
                assert isinstance(provider.parse_lookup(response, sms), LookUp)

    holds()


@each_provider
def test_any_text_typed_as_a_sender_is_stored_or_refused_with_a_sentence(key):
    provider = registry.get(key)

    @quick
    @given(
        st.text(max_size=30)
        | st.from_regex(r"\A[+0]{0,3}[1-9][0-9]{0,16}\Z")
        | st.from_regex(r"\A[A-Za-z0-9 ]{1,12}\Z")
    )
    def holds(value):
        try:
            stored, kind = provider.clean_sender(value)
        except forms.ValidationError as error:
            stored, told = "", " ".join(error.messages).strip()
        if not stored:
            assert told
            return
        assert len(stored) <= 40
        assert provider.clean_sender(stored) == (stored, kind)
        assert provider.rate(kind) > 0
        provider.capabilities(kind)

    holds()


# --- adding a provider -----------------------------------------------------------------------------------------------


@pytest.fixture
def another(tmp_path):
    """Adds a file to the providers: `another("acme", text)`."""
    providers.__path__.append(str(tmp_path))

    def add(module, text):
        (tmp_path / f"{module}.py").write_text(text)
        importlib.invalidate_caches()
        registry._providers.cache_clear()

    yield add
    providers.__path__.remove(str(tmp_path))
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(f"extensions.providers.{path.stem}", None)
        vars(providers).pop(path.stem, None)
    registry._providers.cache_clear()


PROVIDER = """
from extensions.contract import Provider


class Acme(Provider):
    key, name, slug = "{key}", "{name}", "{slug}"
"""


def test_a_file_is_found_by_itself(another):
    another("acme", PROVIDER.format(key="acme", name="Acme", slug="acme-sms"))

    acme = registry.get("acme")
    assert acme in registry.all()
    assert registry.by_slug("acme-sms", WebhookRequest("POST", callback_url(acme, "status"))) is acme


@pytest.mark.parametrize("what", ["key", "name", "slug"])
def test_what_two_providers_have_in_common_by_mistake_is_refused_at_the_start(another, what):
    """A copy of a file in which one was forgotten: it took the other's place without a word."""
    other = registry.all()[0]
    own = {"key": "acme", "name": "Acme", "slug": "acme-sms", what: getattr(other, what).upper()}
    another("acme", PROVIDER.format(**own))

    with pytest.raises(ImproperlyConfigured, match=f"(?i)the same {what}, “{getattr(other, what)}”"):
        registry.all()

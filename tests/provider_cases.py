"""A provider's behaviour as data: reads `tests/providers/<key>.toml` and runs a case of it.

One file per provider, the same headings for all. The harness (`tests/test_providers.py`) runs every case; the headings
are:

    key, now, sender, token     the provider, the time for verification, the sender, the bearer token
    asks                        the form's labels as the provider's own page or the source page has them, in order
    signs                       what the signature covers: "body", "query", "path" (all three unless said)
    [credentials]               a valid example of the form, used by all cases unless a case overrides a field
    [[page]]                    text (setup, coverage, sender_help or a field's help), says (an expression)
    [[form]]                    values, errors (field -> text), cleaned
    [[sender_case]]             value, stored, kind | error; two_way, stop_words_reach_us, delivery_reports
    [[send]]                    sms, sender, request, response, result | error
    [[batch]]                   sms (a list), request, response, results | error
    [[token]]                   request, response, result | error
    [[check]]                   request, response, ok, detail, warning
    [[numbers]] [[balance]]     request, response, result (one table for each number) | error
    [[webhooks]]                request, response, changes (the calls that would be made) | error
    [[lookup]]                  sms, attempted_at, request, response, result | error
    [[report]] [[inbound]]      method, url | query, headers, body, credentials, verified, result | unreadable
    [[opt_out]]                 a report, an inbound or a send that tells of an opt-out
    [[signature]]               method, url | query, headers, body, now, credentials, signs, valid, fault, reason
    [[response]]                kind, status, content_type, body
    [simulated]                 ending of a number = [status, category], or with "taken" as a third: not refused at once

`{reports_url}` and `{inbound_url}` stand for the provider's addresses.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django import forms
from django.utils import translation

import simulator.providers
from extensions import registry
from extensions.contract import (
    ApiRequest,
    ApiResponse,
    InvalidSignature,
    NotTaken,
    OutboundSms,
    Provider,
    ProviderError,
    Refused,
    SenderKind,
    Unclear,
    Unreadable,
    WebhookRequest,
)

FOLDER = Path(__file__).parent / "providers"
HEADINGS = (
    "page",
    "form",
    "sender_case",
    "send",
    "batch",
    "token",
    "check",
    "numbers",
    "balance",
    "webhooks",
    "lookup",
    "report",
    "inbound",
    "opt_out",
    "signature",
    "response",
)
PUBLIC_URL = "https://surveys.example.com"
ORGANIZATION = "ORG42"
NOW = datetime(2026, 11, 22, 10, 15, 32, tzinfo=UTC)
ERRORS: dict[str, type[ProviderError]] = {"refused": Refused, "not_taken": NotTaken, "unclear": Unclear}


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.toml"))


def load(path: Path) -> dict[str, Any]:
    """The file's data. `{reports_url}` and `{inbound_url}` in it become the provider's addresses here."""
    text = path.read_text()
    provider = registry.find(tomllib.loads(text)["key"])
    for name, kind in (("{reports_url}", "status"), ("{inbound_url}", "message")) if provider else ():
        text = text.replace(name, callback_url(provider, kind))
    return tomllib.loads(text)


def all_data() -> dict[str, dict[str, Any]]:
    """Every provider's data by its key: what a test means that is about all of them."""
    return {data["key"]: data for data in map(load, files())}


SAYS = {"status": "reports no delivery", "message": "takes no replies"}  # of a provider that does not call there


def each(*calls: str, simulated: bool = False, keys: Iterable[str] = ()) -> list[Any]:
    """Every provider, or these, as parameters of a test; whom it leaves out is skipped, with the reason.

    `calls` are the addresses of ours that the test is about (`Provider.calls`); `simulated`: it needs the simulator.
    """
    known = {provider.key for provider in simulator.providers.ALL}
    found = []
    for key in keys or sorted(all_data()):
        provider = registry.find(key)
        missing = [SAYS[kind] for kind in calls if provider and kind not in provider.calls()]
        missing += ["has no simulator"] if simulated and key not in known else []
        marks = [pytest.mark.skip(f"skipped: {key} {' and '.join(missing)}")] if missing else []
        found.append(pytest.param(key, id=key, marks=marks))
    return found


def asks(key: str) -> list[str]:
    """The labels that the form has, in order."""
    if "asks" not in all_data()[key]:
        pytest.skip(f"skipped: the cases of {key} do not say what its form asks")
    labels: list[str] = all_data()[key]["asks"]
    return labels


def at_least(key: str, number: int) -> int:
    """How many cases of a kind there have to be: `number` of a whole provider, one at the levels before it."""
    return number if "message" in registry.get(key).calls() else 1


def cases(data: Mapping[str, Any], *headings: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(heading, case) of every case under these headings, or under all."""
    for heading in headings or HEADINGS:
        for case in data.get(heading, []):
            yield heading, case


def callback_url(provider: type[Provider], kind: str) -> str:
    return f"{PUBLIC_URL}/distribution-providers/v1/receive/distribution/{kind}/{provider.slug}/{ORGANIZATION}"


def provider_of(data: Mapping[str, Any], case: Mapping[str, Any] | None = None) -> Provider:
    """The provider with the example's cleaned credentials; a case may override single fields as they are stored."""
    case = case or {}
    provider = registry.get(data["key"])
    form = provider.Credentials(data["credentials"])
    credentials = dict(form.cleaned_data) if form.is_valid() else dict(data["credentials"])
    sender = case.get("sender", data.get("sender", ""))
    token = case.get("token", data["token"] if isinstance(data.get("token"), str) else "access-token-for-tests")
    return provider({**credentials, **case.get("credentials", {})}, sender=sender, token=token)


def sms_of(provider: Provider, values: Mapping[str, Any]) -> OutboundSms:
    values = dict(values)
    if "validity" in values:
        values["validity"] = timedelta(seconds=values["validity"])
    defaults = {
        "to": "+31612345678",
        "text": "Hi Ann, 2 questions",
        "reference": "7c1f",
        "status_url": callback_url(type(provider), "status"),
    }
    return OutboundSms(**{**defaults, **values})


def answer_of(case: Mapping[str, Any]) -> ApiResponse:
    response = case["response"]
    return ApiResponse(response.get("status", 200), response.get("headers", {}), response.get("body", "").encode())


def callback_of(data: Mapping[str, Any], case: Mapping[str, Any], kind: str) -> WebhookRequest:
    url = case.get("url") or callback_url(registry.get(data["key"]), kind)
    if "query" in case:
        url = f"{url}?{case['query']}"
    return WebhookRequest(case.get("method", "POST"), url, case.get("headers", {}), case.get("body", "").encode())


def kind_of(heading: str, case: Mapping[str, Any]) -> str:
    """Whether a callback case is for the status URL or the message URL."""
    if heading == "opt_out":
        named = {name for result in case.get("result", []) for name in result}
        heading = case.get("kind") or ("report" if named & {"status", "category", "error"} else "inbound")
    return "status" if heading in ("report", "status") else "message"


def is_send(case: Mapping[str, Any]) -> bool:
    """Whether an opt-out case is a refused send rather than a callback."""
    return "response" in case


# --- comparing -------------------------------------------------------------------------------------------------------


def assert_within(expected: Any, actual: Any, place: str = "") -> None:
    """Every field that `expected` names is in `actual`, however deep; lists are of equal length."""
    if isinstance(expected, dict):
        assert isinstance(actual, Mapping), f"{place or 'value'}: {actual!r} holds no fields"
        for name, value in expected.items():
            assert name in actual, f"{place}.{name} is missing; there are {sorted(actual)}"
            assert_within(value, actual[name], f"{place}.{name}")
    elif isinstance(expected, list):
        assert isinstance(actual, list | tuple), f"{place}: {actual!r} is no list"
        assert len(expected) == len(actual), f"{place}: {actual!r}"
        for index, value in enumerate(expected):
            assert_within(value, actual[index], f"{place}[{index}]")
    else:
        assert actual == expected, f"{place}: {actual!r} is not {expected!r}"


def assert_fields(expected: Mapping[str, Any], actual: Any) -> None:
    for name, value in expected.items():
        assert getattr(actual, name) == value, f"{name}: {getattr(actual, name)!r} is not {value!r} in {actual!r}"


def names_in(value: Any) -> set[str]:
    """Every field name in a JSON value, however deep."""
    if isinstance(value, Mapping):
        return set(value).union(*(names_in(inner) for inner in value.values()))
    if isinstance(value, list | tuple):
        return set().union(*(names_in(inner) for inner in value))
    return set()


def form_of(request: ApiRequest) -> dict[str, str]:
    if request.form is not None:
        return dict(request.form)
    return dict(parse_qsl((request.body or b"").decode(), keep_blank_values=True))


def assert_request(expected: Mapping[str, Any], request: ApiRequest) -> None:
    """The built request has all that the case names; `query` compares the query apart from the URL."""
    unknown = set(expected) - {"method", "url", "query", "headers", "auth", "form", "json", "body", "absent"}
    assert not unknown, f"the case names unknown parts of a request: {unknown}"
    url = urlsplit(request.url)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    if "method" in expected:
        assert request.method == expected["method"]
    if "url" in expected:
        assert expected["url"] == (url._replace(query="").geturl() if "query" in expected else request.url)
    assert_within(expected.get("query", {}), query, "query")
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert_within({name.lower(): value for name, value in expected.get("headers", {}).items()}, headers, "headers")
    if "auth" in expected:
        assert request.auth == tuple(expected["auth"])
    if "form" in expected:
        assert_within(expected["form"], form_of(request), "form")
    if "json" in expected:
        assert_within(expected["json"], request.json, "json")
    if "body" in expected:
        assert (request.body or b"").decode() == expected["body"]
    there = set(query) | set(headers) | names_in(request.json)
    there |= set(form_of(request)) if request.json is None else set()
    assert not there.intersection(expected.get("absent", [])), f"fields that must be absent are in {sorted(there)}"


def assert_error(expected: Mapping[str, Any], error: ProviderError) -> None:
    assert type(error) is ERRORS[expected["kind"]], repr(error)
    if "category" in expected:
        assert error.category == expected["category"]
    if "retry_after" in expected:
        assert error.retry_after == expected["retry_after"]
    if "blameless" in expected:
        assert error.blameless is expected["blameless"]
    assert expected.get("detail", "") in error.detail


def assert_outcome(case: Mapping[str, Any], act: Any) -> None:
    """`act()` returns what the case's `result` names, or raises what its `error` names."""
    if "error" in case:
        with pytest.raises(ProviderError) as caught:
            act()
        assert_error(case["error"], caught.value)
    else:
        assert_fields(case.get("result", {}), act())


# --- running one case ------------------------------------------------------------------------------------------------


def run(data: Mapping[str, Any], heading: str, case: Mapping[str, Any]) -> None:
    with translation.override("en"):
        _RUNNERS[heading](data, case)


def _page(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider, text = registry.get(data["key"]), case["text"]
    fields = provider.Credentials.base_fields
    assert re.search(case["says"], str(fields[text].help_text if text in fields else getattr(provider, text)))


def _form(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    form = registry.get(data["key"]).Credentials({**data["credentials"], **case.get("values", {})})
    expected = case.get("errors", {})
    found = {field: " ".join(messages) for field, messages in form.errors.items()}
    assert set(found) == set(expected), found
    for field, text in expected.items():
        assert text in found[field]
        assert len(form.errors[field]) == 1, f"one clear error per field, not {form.errors[field]}"
    for field, value in case.get("cleaned", {}).items():
        assert form.cleaned_data[field] == value


def _sender(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = registry.get(data["key"])
    if "error" in case:
        with pytest.raises(forms.ValidationError) as caught:
            provider.clean_sender(case["value"])
        assert case["error"] in " ".join(caught.value.messages)
        return
    stored, kind = provider.clean_sender(case["value"])
    assert (stored, kind) == (case["stored"], SenderKind(case["kind"]))
    wanted = {name: case[name] for name in ("two_way", "stop_words_reach_us", "delivery_reports") if name in case}
    assert_fields(wanted, provider.capabilities(kind))


def _send(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    request = provider.build_send(sms_of(provider, case.get("sms", {})))
    assert_request(case.get("request", {}), request)
    if "response" in case:
        assert_outcome(case, lambda: provider.parse_send(answer_of(case)))


def _batch(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    messages = [sms_of(provider, values) for values in case["sms"]]
    assert_request(case.get("request", {}), provider.build_batch(messages))
    if "error" in case:
        assert_outcome(case, lambda: provider.parse_batch(answer_of(case), messages))
    elif "response" in case:
        results = provider.parse_batch(answer_of(case), messages)
        assert len(results) == len(messages) == len(case["results"])
        for expected, actual in zip(case["results"], results, strict=True):
            if "kind" in expected:
                assert isinstance(actual, ProviderError)
                assert_error(expected, actual)
            else:
                assert_fields(expected, actual)


def _token(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    assert provider.needs_token
    assert_request(case.get("request", {}), provider.build_token())
    if "response" in case:
        assert_outcome(case, lambda: provider.parse_token(answer_of(case)))


def _check(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    assert_request(case.get("request", {}), provider.build_check())
    if "error" in case:
        assert_outcome(case, lambda: provider.parse_check(answer_of(case)))
    elif "response" in case:
        check = provider.parse_check(answer_of(case))
        assert check.ok is case["ok"], str(check.detail)
        assert case.get("detail", "") in str(check.detail)
        warnings = " ".join(str(warning) for warning in check.warnings)
        assert case.get("warning", "") in warnings


def _lookup(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    sms = sms_of(provider, case.get("sms", {}))
    request = provider.build_lookup(sms, attempted_at=case.get("attempted_at", data.get("now", NOW)))
    assert request is not None
    assert_request(case.get("request", {}), request)
    if "response" in case:
        assert_outcome(case, lambda: provider.parse_lookup(answer_of(case), sms))


def _numbers(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    assert_request(case.get("request", {}), provider.build_numbers())
    if "error" in case:
        assert_outcome(case, lambda: provider.parse_numbers(answer_of(case)))
    elif "response" in case:
        found = provider.parse_numbers(answer_of(case))
        assert len(found) == len(case["result"]), found
        for expected, actual in zip(case["result"], found, strict=True):
            assert_fields(expected, actual)


def _balance(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    assert_request(case.get("request", {}), provider.build_balance())
    if "response" in case:
        assert_outcome(case, lambda: provider.parse_balance(answer_of(case)))


def _webhooks(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    urls = [callback_url(type(provider), kind) for kind in ("status", "message")]
    assert_request(case.get("request", {}), provider.build_webhooks())
    if "error" in case:
        assert_outcome(case, lambda: provider.webhook_changes(answer_of(case), *urls))
    elif "response" in case:
        found = provider.webhook_changes(answer_of(case), *urls)
        assert len(found) == len(case["changes"]), found
        for expected, change in zip(case["changes"], found, strict=True):
            assert_request(expected, change.request)
            assert any(url in str(change.what) for url in urls)


def _callback(data: Mapping[str, Any], case: Mapping[str, Any], kind: str) -> None:
    provider = provider_of(data, case)
    request = callback_of(data, case, kind)
    parse = provider.parse_reports if kind == "status" else provider.parse_inbound
    if case.get("verified"):
        provider.verify(request, now=case.get("now", data.get("now", NOW)))
    if "unreadable" in case:
        with pytest.raises(Unreadable) as caught:
            parse(request)
        assert case["unreadable"] in caught.value.reason
        return
    results = parse(request)
    assert len(results) == len(case["result"]), results
    for expected, actual in zip(case["result"], results, strict=True):
        assert_fields(expected, actual)


def _report(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    _callback(data, case, "status")


def _inbound(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    _callback(data, case, "message")


def _opt_out(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    if is_send(case):
        _send(data, case)
    else:
        _callback(data, case, kind_of("opt_out", case))


def _signature(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    provider = provider_of(data, case)
    request = callback_of(data, case, case.get("kind", "status"))
    now = case.get("now", data.get("now", NOW))
    if case["valid"]:
        provider.verify(request, now=now)
        return
    with pytest.raises(InvalidSignature) as caught:
        provider.verify(request, now=now)
    assert case.get("reason", "") in caught.value.reason
    assert case.get("fault", caught.value.fault) == caught.value.fault


def _response(data: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    response = registry.get(data["key"]).webhook_response(case["kind"])
    assert response.status_code == case.get("status", 200)
    if "content_type" in case:
        assert response["Content-Type"].split(";")[0] == case["content_type"]
    if "body" in case:
        assert response.content.decode() == case["body"]


_RUNNERS = {
    "page": _page,
    "form": _form,
    "sender_case": _sender,
    "send": _send,
    "batch": _batch,
    "token": _token,
    "check": _check,
    "numbers": _numbers,
    "balance": _balance,
    "webhooks": _webhooks,
    "lookup": _lookup,
    "report": _report,
    "inbound": _inbound,
    "opt_out": _opt_out,
    "signature": _signature,
    "response": _response,
}

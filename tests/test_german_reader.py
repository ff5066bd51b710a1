"""A German reader meets no English: every address, as each kind of person, on an organisation full of everything.

The German catalogue is marked for these tests: each piece of a translation stands in ⟦…⟧ wherever it is shown. What is
read without these marks did not come from the catalogue, and is neither data of the test nor a name: it is English that
somebody forgot, in a template, in a column, or in a row that keeps a sentence where it should keep a code.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import responses
from django.db import transaction
from django.test import Client
from django.utils.translation import override, trans_real

from contacts.models import ContactImport
from extensions import registry
from intake import countries
from intake.sentences import said, stored
from organizations.models import ApiToken
from tests import addresses
from tests.addresses import ROUTES, Route
from tests.german_house import Shown, house
from tests.tenants import MARKER, NAMES, Tenant
from tests.test_german import KEPT
from tests.test_who_may import FORM, TABLE, allowed, client_of, person
from watching import facts, wording
from watching.models import Fact, Kind

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MANY = 12  # rows that are visited at an address where each may look different
DIFFER = ("/change/", "/messages/<int:message_pk>/", "/review/", "<slug:public_id>/", "/import/<int:import_id>/")
FOR_PROGRAMS = ("API/v3/schema", "admin/jsi18n/", "docs/", "docs/<path:path>")

WORD = re.compile(r"[^\W\d_]{3,}")
_countries = sorted(filter(WORD.search, countries.names("de").values()), key=len, reverse=True)
COUNTRIES = "|".join(map(re.escape, _countries))
PROVIDERS = "|".join(f"{re.escape(provider.name)}|{provider.key}" for provider in registry.all())
NAMED = re.compile(  # what is the same in every language, and what the test has entered
    rf"⟦[^⟧]*⟧|\b{MARKER}( (line|Member))?\b|\b{NAMES}( (Clinic|One|Two|Support))?\b|({MARKER}|{NAMES})\S*"
    r"|\b[A-Z][\w-]+(/[\w -]+)+"  # a time zone's name
    rf"|\b({PROVIDERS})\b|\b({COUNTRIES})(?!\w)|\bSwitchboard( API)?( \d[\w.]+)?"
    r"|\bDeutsch\b|\bEnglish\b|\bUTC\b|\bGSM-7\b|\bUCS-2\b"
    r"|https?://\S+|[^\s⟦⟧]+@[^\s⟦⟧]+|\$\{[^}]*\}|\b[A-Z]{1,4}_\w+|\S*\.(example|org|com|csv)\b|\b[A-Z]+_FORMS\b"
    r"|\b(FirstName|Phone|ConnectionError|Taken over|EUR)\b"
    r"|\b(questions|licence)-|\b(local|ref)\b",  # parts of forms that were left out; codes
)
FIGURES = {
    "1,234": re.compile(r"(?<![\d,])\d{1,3}(,\d{3})+(?![\d,])"),
    "0.5": re.compile(r"(?<![\w.:/+-])\d+\.\d{1,2}(?![\w.:])"),
    "November 27": re.compile(r"\b(January|February|March|May|June|July|October|December|[ap]\.m\.|Nov\.)(?!\w)"),
    "2026-11-27": re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d( |\b)"),
}


def marked(text: str) -> str:
    """A translation with each of its pieces marked, line by line; what is filled in, and tags, stay outside."""
    pieces = re.split(rf"({KEPT.pattern}|\n)", text)
    return "".join(f"⟦{piece}⟧" if WORD.search(piece) and not KEPT.fullmatch(piece) else piece for piece in pieces)


class Marked:
    """A catalogue whose every sentence is marked."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def get(self, key: Any, default: Any = None) -> Any:
        found = self.inner.get(key, default)
        return marked(found) if isinstance(found, str) and key else found

    def __getitem__(self, key: Any) -> Any:
        found = self.inner[key]
        return marked(found) if key else found

    def __contains__(self, key: Any) -> bool:
        return key in self.inner

    def plural(self, msgid: str, number: int) -> str:
        return marked(self.inner.plural(msgid, number))

    def items(self) -> Any:
        return self.inner.items()

    def keys(self) -> Any:
        return self.inner.keys()


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> None:
    german = trans_real.translation("de")
    monkeypatch.setattr(german, "_catalog", Marked(german._catalog))


@pytest.fixture(autouse=True)
def nobody_calls_out() -> Iterator[None]:
    with responses.RequestsMock(assert_all_requests_are_fired=False):
        yield


# --- what is read -----------------------------------------------------------------------------------------------------


def texts_in(data: Any) -> Iterator[str]:
    """Every text of what JSON says."""
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        for each in data:
            yield from texts_in(each)
    elif isinstance(data, str):
        yield data


def read(response: Any, address: str) -> list[str]:
    """What somebody reads of an answer: a page, sentences of the API or of a part of a page, cells of a file."""
    kind = response.headers.get("Content-Type", "")
    body = (b"".join(response) if response.streaming else response.content).decode()
    if "html" in kind:
        return Shown(body).words
    if "json" in kind:
        said = texts_in(json.loads(body))
        if address.startswith("/API/"):  # names and codes are the same in every language
            sentences = [text for text in said if " " in text and not re.match(r"\d{3} - ", text)]
            return [re.sub(r"\b[a-z]+[A-Z]?[a-z]*: ", " ", text) for text in sentences]
        return [words for text in said for words in (Shown(text).words if "<" in text else [text])]
    if "csv" in kind:
        rows = list(csv.reader(io.StringIO(body), delimiter=";"))
        return [cell for row in rows[1:] for cell in row if re.search(r"[^\W\d]{2} [^\W\d]{2}", cell)]
    return []


@cache
def unmarked(text: str) -> str:
    """What of a text is in no catalogue and no name, "" if there is none."""
    if not WORD.search(re.sub(r"⟦[^⟧]*⟧", " ", text)):
        return ""
    left = NAMED.sub(" ", text)
    return " ".join(left.split()) if WORD.search(left) else ""


def amiss(text: str) -> Iterator[str]:
    """What a German reader would stumble over."""
    if left := unmarked(text):
        yield left[:100]
    plain = re.sub(r"[⟦⟧]", "", text)
    for name, figure in FIGURES.items():
        if found := figure.search(plain):
            yield f"{name}: {plain[max(0, found.start() - 40) : found.end() + 20].strip()}"


def places(route: Route, tenant: Tenant) -> list[str]:
    """The addresses of a route that are visited: one of each row where rows look different, else the first and last."""
    example = TABLE[route.path].example
    if example:
        return [f"/{example}"]
    found = list(addresses.addresses(route, tenant))
    if route.path.endswith(DIFFER):
        step = max(1, len(found) // MANY)
        return found[::step]
    return list(dict.fromkeys([*found[:1], *found[-1:]]))


def answers(client: Client, kind: str, tenant: Tenant, user: Any) -> Iterator[tuple[Route, str, str, Any]]:
    """Every answer that somebody gets: to looking, and to a form as it is when most of it is missing."""
    for route in ROUTES:
        if route.path in FOR_PROGRAMS:
            continue
        row = TABLE[route.path]
        for address in places(route, tenant):
            for method, word in (("get", row.get), ("post", row.post)):
                if not allowed(kind, word):
                    continue
                api = {"data": {}, "content_type": "application/json"}
                sent = {} if method == "get" else api if route.path.startswith("API/") else {"data": FORM}
                with transaction.atomic():
                    response = getattr(client, method)(address, **sent)
                    if method == "post" and response.status_code == 302:  # what is said afterwards
                        response = client.get(response.url)
                    yield route, method, address, response
                    transaction.set_rollback(True)
                if user is not None:
                    client.force_login(user)


@pytest.mark.parametrize("kind", ["administrator+", "member", "operator", "stranger"])
def test_a_german_reader_meets_no_english_and_no_english_figures(marks: None, kind: str) -> None:
    tenant = house()
    user = person(kind, tenant)
    if user is not None:
        user.language = "de"
        user.save()
    client = client_of(user)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    ContactImport.objects.update(created_by=user)
    token = ApiToken.objects.get(user=user).prefix if user else "no token"
    found: dict[str, set[str]] = defaultdict(set)
    seen = 0

    for route, method, address, response in answers(client, kind, tenant, user):
        seen += 1
        for text in read(response, address):
            for wrong in amiss(text.replace(token, "")):
                found[wrong].add(f"{method} {route.path}")

    assert seen > (15 if user is None else 60)
    assert not found, "\n".join(f"{wrong!r}: {sorted(where)[:3]}" for wrong, where in sorted(found.items()))


# --- mails ------------------------------------------------------------------------------------------------------------


def test_no_mail_to_a_german_speaks_english(marks: None) -> None:
    """What is told are codes with their values; what a health check says as well."""
    tenant = house()
    values = {"account": MARKER, "provider": MARKER, "id": "ACC_1", "key": "twilio", "pk": "1", "distribution": MARKER}
    facts.look()
    told = list(Fact.objects.filter(kind=Kind.HEALTH))
    problem = stored(said("The contact list has been deleted. Choose another one."))
    told += [
        Fact(kind=kind, organization=tenant.organization, names={**values, "problem": problem})
        for kind in Kind
        if kind != Kind.HEALTH
    ]

    found = []
    with override("de"):
        for fact in told:
            text = f"{wording.subject(fact)}\n{wording.body(fact)}"
            found += amiss(text.replace(fact.names.get("check", "no check"), ""))

    assert len(told) > len(Kind)
    assert found == []

"""What is kept to be shown later is a code with values: whoever reads it does so in their own language."""

from __future__ import annotations

import ast
import io
import re

import pytest
from django.test import Client
from django.utils import translation

from contacts import importing, opt_outs, wording
from contacts.models import ContactImport, OptOut
from organizations import audit
from organizations.models import AuditEvent, User
from tests import factories
from tests.scratch import ROOT

APPS = ("organizations", "extensions", "contacts", "surveys", "distributions", "webhooks", "watching", "config")
LANGUAGES = [("de", "en"), ("en", "de")]
# One row of each kind: what stands in the column Phone, or in a line as a whole; and its code.
WRONG = {
    "shortened": "4.9E+14",
    "date": "27.11.2026",
    "premium": "0900 1234567",
    "no_number": "number",
    "several": "0151 23456789 / 0171 1234567",
    "foreign": "14015555555",
    "code_twice": "+494915112345678",
    "stray_plus": "+15112345678",
    "too_many_cells": "+4915112345678;x;y;z",
    "too_long": "1" * 41,
}
ODD = {
    "already_there": ("+4915112345678;Ada",),
    "same_person": ("+4915112345678;Ada", "+4915112345678;Ada"),
    "same_number": ("+4915112345678;Ada", "+4915112345678;Grace"),
    "not_in_use": ("+49199123456;Ada",),
    "landline": ("+493012345678;Ada",),
}


@pytest.fixture
def clinic(db):
    return factories.organization(default_region="DE")


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic)


def reader(clinic, language):
    """A client of somebody whose pages are in this language."""
    client = Client()
    client.force_login(factories.administrator(clinic, language=language))
    return client


def both(write, read):
    """A sentence in two languages; they differ."""
    with translation.override("en"):
        english = read(write)
    with translation.override("de"):
        german = read(write)
    assert english != german
    return {"en": english, "de": german}


# --- problems of an import --------------------------------------------------------------------------------------------


def upload(client, patients, file):
    address = f"/admin/contacts/contactlist/{patients.pk}/import/"
    content = io.BytesIO(file.encode())
    content.name = "patients.csv"
    shown = client.post(address, {"file": content}, follow=True)
    assert shown.status_code == 200
    return shown.redirect_chain[-1][0]


@pytest.mark.parametrize(("written", "read"), LANGUAGES, ids=["german to english", "english to german"])
@pytest.mark.parametrize("code", wording.SENTENCES)
def test_what_is_wrong_with_a_file_is_said_in_the_readers_language(clinic, patients, code, written, read):
    rows = [WRONG[code]] if code in WRONG else ODD[code]
    user = factories.administrator(clinic, language=written)
    client = Client()
    client.force_login(user)
    page = upload(client, patients, "Phone;FirstName\n" + "\n".join(rows) + "\n")
    if code == "already_there":
        client.post(page)
        page = upload(client, patients, "Phone;FirstName\n" + "\n".join(rows) + "\n")
        client.post(page, {"existing": "refuse"})
    (problem,) = importing.problems_of(ContactImport.objects.first())
    User.objects.filter(pk=user.pk).update(language=read)

    seen = client.get(page).content.decode()
    file = client.get(f"{page}problems.csv").getvalue().decode()

    assert problem.code == code
    said = both(problem, lambda one: one.sentence)
    for text in (seen.replace("&amp;", "&"), file.replace('""', '"')):
        assert said[read] in text
        assert said[written] not in text


# --- opt-outs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("read", "words"), [("en", ["reply 12", "decided by"]), ("de", ["Antwort 12", "entschieden"])])
def test_why_somebody_is_opted_out_is_said_in_the_readers_language(clinic, read, words):
    asked = "asked on the phone: inbound 12"
    kept = ["inbound 12", "shared line +447700900000", "doubt 3, decided by UR_8f3kq1ZpT0aWxYv", asked]
    for index, evidence in enumerate(kept):
        opt_outs.opt_out(clinic, f"+44770090001{index}", OptOut.Source.KEYWORD, evidence)
    client = reader(clinic, read)

    pages = [client.get("/admin/contacts/optout/").text]
    pages += [client.get(f"/admin/contacts/optout/{row.pk}/change/").text for row in OptOut.objects.all()]

    assert [word for word in words if word not in "".join(pages)] == []
    assert [page for page in pages for one in kept[:3] if one in page.replace(asked, "")] == []
    assert sum(asked in page for page in pages) == 2


def test_why_somebody_is_opted_out_is_masked_as_before(clinic):
    opt_outs.opt_out(clinic, "+447700900010", OptOut.Source.KEYWORD, "shared line +447700900000")
    client = Client()
    client.force_login(factories.user(clinic, see_recipients="disabled"))

    row = OptOut.objects.get()
    pages = client.get("/admin/contacts/optout/").text + client.get(f"/admin/contacts/optout/{row.pk}/change/").text

    assert "+447700900000" not in pages
    assert "shared" not in pages


def written_by_distributions():
    """The patterns of what distributions/ writes down as evidence, from its own source."""
    for path in sorted((ROOT / "distributions").rglob("*.py")):
        for words in re.findall(r'f"((?:inbound|doubt|shared line) \{[^"]+)"', path.read_text()):
            yield re.sub(r"\{[^}]+\}", "7", words)


def test_everything_that_replies_leave_as_evidence_has_words():
    found = list(written_by_distributions())

    assert len(found) == len(wording.EVIDENCE)
    assert [one for one in found if wording.evidence(one) == one] == []


# --- the audit trail --------------------------------------------------------------------------------------------------


def trail(client):
    return client.get("/admin/organizations/auditevent/").text


@pytest.mark.parametrize(("written", "read"), LANGUAGES, ids=["german to english", "english to german"])
def test_a_change_is_read_in_the_readers_language(clinic, written, read):
    member = factories.user(clinic)
    form = {"email": member.email, "name": "", "role": "administrator", "use_sms_distributions": "enabled"}

    reader(clinic, written).post(f"/admin/organizations/user/{member.pk}/change/", form)

    assert AuditEvent.objects.get(action=audit.CHANGED).detail["changes"] == {
        "is_active": [True, False],
        "role": ["member", "administrator"],
        "use_sms_distributions": ["inherit", "enabled"],
    }
    words = {
        "en": ["active: Yes → No", "role: Member → Administrator", "Use SMS distributions: As inherited → Enabled"],
        "de": ["aktiv: Ja → Nein", "Rolle: Mitglied → Administrator", "SMS-Verteilungen verwenden: Wie geerbt → "],
    }
    seen = trail(reader(clinic, read))
    assert [part for part in words[read] if part not in seen] == []
    assert [part for part in words[written] if part in seen] == []


@pytest.mark.parametrize(
    ("language", "words"), [("en", "SMS add-on: No → Yes"), ("de", "SMS-Zusatzfunktion: Nein → Ja")]
)
def test_a_licence_is_a_part_of_its_organisation(language, words):
    event = AuditEvent(object_type="organization", detail={"changes": {"sms": [False, True]}})

    with translation.override(language):
        assert audit.sentence(event) == words


@pytest.mark.parametrize("name", audit.DETAILS)
def test_what_stands_beside_an_action_has_a_word_in_both_languages(name):
    value = next(iter(audit.CODES.get(name, {})), 3)
    event = AuditEvent(action="tried", detail={name: value})

    with translation.override("en"):
        english = audit.sentence(event)
    with translation.override("de"):
        assert audit.sentence(event) != english


def test_several_codes_in_one_value_are_worded_each():
    event = AuditEvent(action="called", detail={"result": "status: good, message: not good"})

    assert audit.sentence(event) == "result: delivery reports: good, inbound messages: not good"


def test_what_has_no_word_is_shown_as_it_was_written():
    event = AuditEvent(object_type="gone", detail={"changes": {"old_name": ["A, b", ""], "phone": []}, "x_y": ["1", 2]})

    assert audit.sentence(event) == "old name: A, b → –; phone; x y: 1, 2"


def written_down():
    """Each name and each code that some call writes beside an action: (file, name, codes)."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                called = isinstance(node, ast.Call) and ast.unparse(node.func)
                if called not in ("audit.record", "self.audit"):
                    continue
                for keyword in node.keywords:
                    pairs = [(keyword.arg, keyword.value)]
                    if keyword.arg is None:
                        inner = [part for part in ast.walk(keyword.value) if isinstance(part, ast.Dict)]
                        pairs = [
                            (key.value, value)
                            for part in inner
                            for key, value in zip(part.keys, part.values, strict=True)
                        ]
                    for name, value in pairs:
                        yield path.name, name, codes_in(value)


def codes_in(value):
    if isinstance(value, ast.Constant | ast.IfExp | ast.JoinedStr | ast.GeneratorExp | ast.Subscript | ast.Call):
        constants = [part.value for part in ast.walk(value) if isinstance(part, ast.Constant)]
        return [one for one in constants if isinstance(one, str) and re.fullmatch(r"[a-z][a-z ]+", one)]
    return []


def test_every_name_and_code_that_is_written_down_has_a_word():
    found = list(written_down())
    taken = {"organization", "actor", "request", "target", "changes", audit.HIDDEN}

    assert {"new", "result", "secrets"} <= {name for _file, name, _codes in found}
    assert [(file, name) for file, name, _codes in found if name not in taken and name not in audit.DETAILS] == []
    assert [
        (file, name, code)
        for file, name, codes in found
        for code in codes
        if name in audit.CODES and code not in audit.CODES[name]
    ] == []

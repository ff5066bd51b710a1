"""One voice: what Django, Unfold and the REST framework say to our readers is worded as we word it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import polib
import pytest
import rest_framework
import unfold
from django import forms
from django.apps import apps
from django.contrib.messages import get_messages
from django.db.models import URLField
from django.utils import translation
from rest_framework import exceptions, serializers

from config.ops import translations, wording
from config.portal import borrowed_strings
from organizations import tokens
from tests import factories
from tests.test_german import Shown

OURS = tuple(sorted({path.parent.name for path in translations.ROOT.glob("*/apps.py")} | {"config"}))
GERMAN = polib.pofile(str(translations.ROOT / "locale" / "de" / "LC_MESSAGES" / "django.po"))
ENGLISH = polib.pofile(str(translations.ROOT / "locale" / "en" / "LC_MESSAGES" / "django.po"))
IDS = (("SV", "surveys"), ("CG", "mailinglists"))  # in a sentence of ours, filled in
VALUES = {"limit_value": 2, "show_value": 1, "max": 2, "length": 3, "num": 2}  # plurals are chosen by one of these


def subclasses(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def of_ours(kind: type) -> list[Any]:
    return [child for child in subclasses(kind) if child.__module__.startswith(OURS)]


def fields() -> Iterator[Any]:
    """Every field of a form, a model or the API that somebody can fill in."""
    for form in of_ours(forms.BaseForm):
        yield from form.base_fields.values()
    for model in apps.get_models():
        if model.__module__.startswith(OURS):
            for field in model._meta.get_fields():
                if getattr(field, "editable", False) and hasattr(field, "formfield"):
                    yield field
                    yield field.formfield(**({"assume_scheme": "https"} if isinstance(field, URLField) else {}))
    for serializer in of_ours(serializers.Serializer):
        yield from serializer().fields.values()


def messages() -> Iterator[Any]:
    """What can be said of what somebody has filled in."""
    for field in fields():
        if field is not None:
            yield from getattr(field, "error_messages", {}).values()
            told = [check.message for check in getattr(field, "validators", []) if hasattr(check, "message")]
            yield from (getattr(message, "format_string", message) for message in told)  # the API's, before its values
    for error in subclasses(exceptions.APIException):
        yield error.default_detail
    yield from forms.BaseFormSet.default_error_messages.values()


def text(message: Any) -> str:
    try:
        return str(message)
    except (KeyError, TypeError):  # a plural wants to know its number first
        return str(message % VALUES)


@pytest.fixture(scope="module")
def said() -> list[Any]:
    found = {}
    for message in messages():
        with translation.override(None, deactivate=True):
            found[text(message)] = message
    return list(found.values())


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_field_speaks_in_another_voice(said, language):
    assert len(said) > 50
    with translation.override(language):
        assert [fault for message in said for fault in wording.of_sentence(text(message), language, "a field")] == []


def test_whatever_a_field_can_say_has_its_german_in_our_own_catalogue(said):
    known = {entry.msgid for entry in GERMAN}
    plurals = {entry.msgid_plural % VALUES for entry in GERMAN if "%(limit_value)" in entry.msgid_plural}
    with translation.override(None, deactivate=True):
        raw = [text(message) for message in said]

    assert [sentence for sentence in raw if sentence and sentence not in known | plurals | LEFT] == []


LEFT = {
    "%(field_label)s must be unique for %(date_field_label)s %(lookup_type)s.",  # no column of ours asks for it
    *(f"Give an ID such as {prefix}_…; GET /API/v3/{lists} lists them." for prefix, lists in IDS),
}


def test_english_of_ours_is_only_for_what_is_borrowed_or_stored():
    """Our own sentences are English in the code. Nobody has to look for them in two places."""
    singles = {
        *borrowed_strings.UNFOLD, *borrowed_strings.PASSWORDS, *borrowed_strings.FORMS, *borrowed_strings.ADMIN,
        *borrowed_strings.API, tokens.ENDED,
    }  # fmt: skip

    assert [entry.msgid for entry in ENGLISH if not entry.msgid_plural and entry.msgid not in singles] == []
    assert [entry.msgid for entry in ENGLISH if entry.msgid == entry.msgstr] == []
    assert [entry.msgid for entry in ENGLISH if GERMAN.find(entry.msgid) is None] == []


def test_what_is_borrowed_is_still_said_by_its_owner():
    """Long ones are written over two lines there; a word of their catalogues is enough."""
    roots = [Path(package.__file__).parent for package in (django, unfold, rest_framework)]
    source = "\n".join(
        file.read_text() for root in roots for suffix in ("*.py", "*.html") for file in root.rglob(suffix)
    )
    catalogues = [polib.pofile(str(file)) for file in roots[0].rglob("locale/de/LC_MESSAGES/django.po")]
    theirs = {entry.msgid for catalogue in catalogues for entry in catalogue if not entry.obsolete}
    ours = [
        *borrowed_strings.UNFOLD, *borrowed_strings.PASSWORDS, *borrowed_strings.FORMS, *borrowed_strings.ADMIN,
        *borrowed_strings.API,
    ]  # fmt: skip

    def quoted(sentence: str) -> bool:
        return f"'{sentence}'" in source or '"' + sentence.replace('"', '\\"') + '"' in source

    assert [sentence for sentence in ours if sentence not in theirs and not quoted(sentence)] == []


# --- as they are met --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["en", "de"])
def anna(request, client, db):
    """Who logs in and reads in a language."""
    clinic = factories.organization("Klinik", language=request.param)
    factories.account(clinic)
    factories.contact_list(clinic, 1, name="Station 7")
    user = factories.administrator(clinic, name="Anna Schmidt", email="anna@example.org", language=request.param)
    client.force_login(user)
    return user


FORMS = (
    "/admin/contacts/contactlist/add/",
    "/admin/contacts/contact/add/",
    "/admin/contacts/optout/add/",
    "/admin/surveys/survey/add/",
    "/admin/distributions/distribution/add/",
    "/admin/organizations/user/add/",
    "/admin/organizations/usergroup/add/",
    "/admin/organisation/",
    "/admin/profile/",
    "/admin/password_change/",
)


def faults(shown: str, language: str) -> list[str]:
    return list(wording.of_sentence(shown, language, "a page"))


@pytest.mark.parametrize("path", FORMS)
def test_a_form_that_is_wrong_says_so_in_our_voice(client, anna, path):
    names = set(re.findall(r'name="([\w-]+)"', client.get(path).content.decode())) - {"csrfmiddlewaretoken", "_popup"}
    for value in ("", "ä" * 300):
        page = client.post(path, dict.fromkeys(names, value), follow=True)
        assert page.status_code in (200, 422)
        assert faults(Shown(page.content.decode()).text(), anna.language) == []


def test_what_has_been_done_is_told_in_our_voice(client, anna):
    lists = "/admin/contacts/contactlist/"
    answers = [
        client.post(f"{lists}add/", {"name": "Station 8", "_addanother": "1"}),
        client.post(lists, {"action": "delete_selected", "index": "0"}),
        client.get(f"{lists}999999/change/"),
    ]

    told = " ".join(str(message) for answer in answers for message in get_messages(answer.wsgi_request))
    assert faults(told, anna.language) == []
    done = {"en": ("has been added", "Nothing was selected"), "de": ("wurde hinzugefügt", "nichts ausgewählt")}
    assert [words for words in done[anna.language] if words not in told] == [], told


BODIES = ("", "[", "[]", "{}", '{"name": null}', '{"name": "", "surveyId": 5, "recipients": [], "sendDate": "soon"}')


def test_the_api_speaks_in_our_voice(client, anna):
    secret = tokens.regenerate(anna)
    path, headers = "/API/v3/distributions/sms", {"X-API-TOKEN": secret}
    answers = [
        *(client.post(path, body, content_type="application/json", headers=headers) for body in BODIES),
        client.post(path, "name=x", content_type="application/x-www-form-urlencoded", headers=headers),
        client.put(path, "{}", content_type="application/json", headers=headers),
        client.get(f"{path}?pageSize=many", headers=headers),
        client.get(f"{path}?pageSize=0", headers=headers),
        client.get(f"{path}/EMD_nothing", headers=headers),
        client.get(path),
        client.get("/API/v3/nothing"),
    ]

    told = [json.loads(answer.content)["meta"]["error"]["errorMessage"] for answer in answers]

    assert [fault for sentence in told for fault in wording.of_sentence(sentence, anna.language, "the API")] == []

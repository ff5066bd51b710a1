"""The German catalogue: complete, in agreement with the English, true to the glossary, and really shown."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser

import polib
import pytest
from django.contrib.admin import site
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.functional import Promise

from config.ops import translations
from contacts.models import OptOut
from distributions.engine.references import opt_out_token
from distributions.models import Message
from extensions import registry
from intake.sentences import FORMER, said
from organizations.models import User
from tests import factories, provider_table
from tests.scratch import ROOT
from webhooks.models import RefusedCallback

CATALOGUE = polib.pofile(str(translations.ROOT / "locale" / "de" / "LC_MESSAGES" / "django.po"))

# What must be the same on both sides: %(name)s, {name}, ${m://FirstName and the tags of HTML.
KEPT = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|\$\{[^}|]*|</?\w+[^>]*>")

# One word for one thing, everywhere. What the source page (docs/requirements.md) says in German goes first, put right
# where it was translated by a machine.
GLOSSARY = {
    "Add account": "Konto hinzufügen",
    "Grant access to all users": "Allen Benutzern Zugriff gewähren",
    "Use SMS distributions": "SMS-Verteilungen verwenden",
    "Extensions": "Erweiterungen",
    "Distributions": "Verteilungen",
    "Contact list": "Kontaktliste",
    "Survey": "Umfrage",
    "Organisation ID": "Organisations-ID",
    "Data centre ID": "Rechenzentrums-ID",
    "Delivery reports": "Zustellberichte",
    "Inbound messages": "Eingehende Nachrichten",
    "Sender": "Absender",
    "Provider": "Anbieter",
    "Two-way SMS": "2-Wege-SMS",
    "Opt-out link": "Abmeldelink",
    "opt-outs": "SMS-Abmeldungen",
    "SMS add-on": "SMS-Zusatzfunktion",
    "Phone number or sender ID": "Telefonnummer oder Absender-ID",
    "Phone number, sender ID or message service ID": "Telefonnummer, Absender-ID oder Message-Service-ID",
    "Account SID": "Konto-SID",
    "Auth Token": "Auth-Token",
    "Platform ID": "Plattform-ID",
    "Platform partner ID": "Plattformpartner-ID",
    "Endpoint host": "Endpunkt-Host",
    "Gate ID": "Gate-ID",
    "Username": "Benutzername",
    "Password": "Kennwort",
    "OAuth client ID": "OAuth-Client-ID",
    "OAuth client secret": "Geheimer OAuth-Client-Schlüssel",
    "Project ID": "Projekt-ID",
    "Public API key": "Öffentlicher API-Schlüssel",
    "Webhook password": "Webhook-Kennwort",
    "Webhook user name": "Webhook-Benutzername",
    "Base URL": "Basis-URL",
    "Signature secret": "Signaturgeheimnis",
    "Signing key": "Signierschlüssel",
    "Access token": "Zugriffstoken",
}

# Sentences that use the thing on the left say it with the word on the right, in any form.
WORDS = {
    r"\bdelivery reports?\b": "Zustellbericht",
    r"\bcountry code\b": "Ländervorwahl",
    r"\bstop words?\b": "Stoppw",
    r"\bshort codes?\b": "Kurzwahlnummer",
    r"\blicence\b": "Lizenz",
    r"(?<!\()\bplaceholders?\b": "Platzhalter",
    r"\bquiet hours\b": "Ruhezeiten",
}

# The mistakes of the source page's machine translation.
MISTRANSLATED = (
    "Mobilität verknüpfen",
    "Nachrichtenmedien",
    "Beenden Wörter",
    "dynamischer Text",
    "Unterschriftengeheimnis",
)

ENGLISH = re.compile(
    r"\b(the|and|of|your|you|is|are|this|that|with|not|from|to|for|has|have|been|yes|no|none|yet|please|add|save|"
    r"delete|close|cancel|search|select|change|edit|view|run|home|password|account|accounts|settings|contact|contacts|list|"
    r"lists|users|user|groups|send|sent|sending|next|previous|message|messages|distribution|distributions|survey|"
    r"surveys|state|reason|recipient|recipients|since|until|language|delivered|waiting|opted|phone)\b",
    re.IGNORECASE,
)


def entries() -> list[tuple[str, list[str], list[str]]]:
    """Every entry as its first English text, all its English texts and all its German ones."""
    return [
        (
            entry.msgid,
            [entry.msgid, entry.msgid_plural] if entry.msgid_plural else [entry.msgid],
            [entry.msgstr_plural[0], entry.msgstr_plural[1]] if entry.msgid_plural else [entry.msgstr],
        )
        for entry in CATALOGUE
    ]


# --- The catalogue ---------------------------------------------------------------------------------------------------


def test_every_entry_is_translated_and_confirmed():
    assert [english for english, _all, german in entries() if not all(german)] == []
    assert [entry.msgid for entry in CATALOGUE if entry.fuzzy or entry.obsolete] == []


def test_placeholders_and_tags_are_the_same_in_both_languages():
    wrong = []
    for english, sources, german in entries():
        for source, text in zip(sources, german, strict=True):
            kept, wanted = sorted(KEPT.findall(text)), sorted(KEPT.findall(source))
            # "of the last day" may leave out the number that is one anyway
            missing_one = len(sources) == 2 and text == german[0] and set(kept) <= set(wanted)
            if kept != wanted and not missing_one:
                wrong.append((english, kept, wanted))

    assert wrong == []


def test_line_breaks_are_kept():
    assert [english for english, _all, german in entries() if english.count("\n") != german[0].count("\n")] == []


def test_german_quotation_marks_are_used_where_the_english_has_its_own():
    bare = [english for english, _all, german in entries() if "“" in english and "„" not in german[0]]
    letters_in_english = [english for english in bare if "Please" in english]  # the text for a provider's support

    assert bare == letters_in_english


@pytest.mark.parametrize(("english", "german"), GLOSSARY.items())
def test_a_thing_has_the_name_of_the_glossary(english, german):
    assert CATALOGUE.find(english).msgstr == german


@pytest.mark.parametrize(("pattern", "word"), WORDS.items())
def test_a_thing_is_called_the_same_in_every_sentence(pattern, word):
    using = [(english, german) for english, _all, german in entries() if re.search(pattern, english, re.IGNORECASE)]

    assert using
    assert [german for _english, german in using if word.casefold() not in german[0].casefold()] == []


def test_no_mistake_of_the_machine_translation_has_come_along():
    assert [german for _e, _all, german in entries() for word in MISTRANSLATED if word in german[0]] == []


def test_the_reader_is_addressed_politely():
    assert [
        german for _e, _all, german in entries() if re.search(r"\b([Dd]u|[Dd]ein\w*|[Dd]ir|[Dd]ich)\b", german[0])
    ] == []


def test_the_catalogue_names_no_person_machine_or_date():
    """So that a new run of makemessages changes only what has changed."""
    assert set(CATALOGUE.metadata) == {
        "Project-Id-Version",
        "Report-Msgid-Bugs-To",
        "Language-Team",
        "Language",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Plural-Forms",
    }
    assert [line for entry in CATALOGUE for _file, line in entry.occurrences if line] == []


def test_a_password_is_called_the_same_by_django():
    with translation.override("de"), pytest.raises(ValidationError) as refused:
        validate_password("12345", User(email="anna@example.org"))

    said = " ".join(refused.value.messages)
    assert said.count("Kennwort") == len(refused.value.messages)
    assert "Passwort" not in said


# --- What is stored --------------------------------------------------------------------------------------------------


def test_what_earlier_versions_called_a_sentence_leads_to_one_of_today():
    """Rows hold the sentences of the version that wrote them (intake/sentences.py, FORMER): reworded once more, they
    lead to the new wording, with the same values."""
    today = {entry.msgid for entry in CATALOGUE}
    values = {former: (set(KEPT.findall(former)), set(KEPT.findall(now))) for former, now in FORMER.items()}

    assert [now for now in FORMER.values() if now not in today] == []
    assert [former for former in FORMER if former in today] == []
    assert [former for former, (had, has) in values.items() if had != has] == []


def test_no_page_shows_a_number_as_it_counts_it():
    """blocktranslate writes its counter as 12345; `with number=…|floatformat:"0g"` has the reader's form."""
    plain = []
    for path in sorted((ROOT / "templates").rglob("*.html")):
        for head, body in re.findall(r"{% blocktranslate(.*?)%}(.*?){% endblocktranslate %}", path.read_text(), re.S):
            counter = re.search(r"count (\w+)=", head)
            if (
                counter and f"{{{{ {counter[1]} }}}}" in body and counter[1] not in ("days", "minutes")
            ):  # of ours, small
                plain.append((path.name, head))

    assert plain == []


def test_no_page_writes_a_percentage_by_hand():
    shown = re.compile(r"}}\s?%(?![\w}])")
    styles = re.compile(r'style="[^"]*"')

    assert [
        path.name
        for path in sorted((ROOT / "templates").rglob("*.html"))
        if shown.search(styles.sub("", path.read_text()))
    ] == []


# --- The pages -------------------------------------------------------------------------------------------------------


class Shown(HTMLParser):
    """The words a reader gets to see or hear, without code, scripts and what is marked as another language."""

    SILENT = ("script", "style", "code", "template", "textarea")
    UNREAD = re.compile(r"\bcode\b|-code\b|material-symbols")  # what is typed exactly so, and the names of icons
    VOID = ("br", "img", "input", "link", "meta", "hr", "path", "circle", "rect", "source", "col", "line", "polyline")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[bool] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        silent = tag in self.SILENT or given.get("lang") == "en" or bool(self.UNREAD.search(given.get("class") or ""))
        if not any(self.open) and not silent:
            self.words += [given[name] or "" for name in ("title", "placeholder", "aria-label", "alt") if name in given]
        if tag not in self.VOID:
            self.open.append(silent)

    def handle_endtag(self, tag):
        if tag not in self.VOID and self.open:
            self.open.pop()

    def handle_data(self, data):
        if not any(self.open):
            self.words.append(data)

    def text(self) -> str:
        """Without addresses, what is quoted, names such as Message-Service-ID and Port of Spain."""
        quoted = re.compile(
            r"„[^“]*“|“.*?”(?!,)|https?://\S+|\S+@\S+|\$\{[^}]*\}|\w+(-\w+)+|English|\w+ of \w+", re.DOTALL
        )
        return quoted.sub(" ", "\n".join(self.words))


@pytest.fixture
def clinic(db):
    return factories.organization(
        "Klinikum", language="de", time_zone="Europe/Berlin", default_region="DE", support_contact="Ada Lovelace"
    )


@pytest.fixture
def places(clinic):
    """Addresses of pages with something on them, and who looks: name -> path."""
    account = factories.account(clinic, name="Hauptkonto")
    factories.account(clinic, "infobip", name="Reserve", granted=False, verified=False)
    survey, patients = factories.survey(clinic, name="Umfrage 1"), factories.contact_list(clinic, 4, name="Station 7")
    texts = {"survey": survey, "contact_list": patients, "message_text": "Guten Tag, ${l://SurveyURL}"}
    sent = factories.distribution(clinic, recipients=3, account=account, state="sending", name="November", **texts)
    draft = factories.distribution(clinic, name="Dezember", **texts)
    for message, status in zip(Message.objects.order_by("pk"), ("delivered", "failed", "uncertain"), strict=True):
        Message.objects.filter(pk=message.pk).update(status=status, text="Guten Tag")
    RefusedCallback.objects.create(
        organization=clinic, slug="twilio-sms", kind="status", reason=said("wrong signature"), day=account.created_at
    )
    OptOut.objects.create(organization=clinic, phone="+447700900003", source="keyword")
    ours = f"/admin/distributions/distribution/{sent.pk}"
    return {
        "home": "/admin/",
        "catalogue": "/admin/extensions/",
        "account": f"/admin/extensions/account/{account.public_id}/",
        "replace": f"/admin/extensions/account/{account.public_id}/replace/",
        "delete": f"/admin/extensions/account/{account.public_id}/delete/",
        "lists": "/admin/contacts/contactlist/",
        "list": f"/admin/contacts/contactlist/{patients.pk}/change/",
        "upload": f"/admin/contacts/contactlist/{patients.pk}/import/",
        "contacts": "/admin/contacts/contact/",
        "contact": f"/admin/contacts/contact/{patients.contacts.first().pk}/change/",
        "opt-outs": "/admin/contacts/optout/",
        "add an opt-out": "/admin/contacts/optout/add/",
        "surveys": "/admin/surveys/survey/",
        "survey": f"/admin/surveys/survey/{survey.pk}/change/",
        "distributions": "/admin/distributions/distribution/",
        "compose": "/admin/distributions/distribution/add/",
        "review": f"/admin/distributions/distribution/{draft.pk}/review/",
        "progress": f"{ours}/change/",
        "history": f"{ours}/messages/",
        "message": f"{ours}/messages/{Message.objects.latest('pk').pk}/",
        "inbound": "/admin/distributions/inboundmessage/",
        "users": "/admin/organizations/user/",
        "add a user": "/admin/organizations/user/add/",
        "audit trail": "/admin/organizations/auditevent/",
        "organisation": "/admin/organisation/",
        "profile": "/admin/profile/",
        "password": "/admin/password_change/",
    }


def own_texts(provider):
    """What the provider's file says on its pages."""
    fields = provider.Credentials.base_fields.values()
    with translation.override("en"):
        texts = [provider.coverage, provider.setup, provider.sender_label, provider.sender_help]
        texts += [provider.webhook_check_note, *(text for field in fields for text in (field.label, field.help_text))]
        return [str(text) for text in texts if str(text or "").strip()]


@pytest.fixture(params=registry.all(), ids=lambda provider: provider.key)
def german(request):
    """A provider whose sentences have German; those that this release brings along must."""
    provider = request.param
    missing = [text for text in own_texts(provider) if CATALOGUE.find(text) is None]
    if missing and provider.name not in provider_table.names():
        pytest.skip(f"skipped: {provider.key} has no German yet: {len(missing)} of its texts")
    return provider


def test_no_page_of_a_german_organisation_speaks_english(client, clinic, places):
    client.force_login(factories.administrator(clinic, name="Anna Schmidt", email="anna@example.org"))
    found = {}
    for name, path in places.items():
        response = client.get(path, follow=True)
        assert response.status_code == 200, name
        assert response.headers["Content-Language"] == "de", name
        text = Shown(response.content.decode()).text()
        found[name] = sorted({*ENGLISH.findall(text), *re.findall("Passw[oö]rt", text)})

    assert {name: words for name, words in found.items() if words} == {}


def test_no_page_of_a_provider_speaks_english_to_a_german_organisation(client, clinic, german):
    client.force_login(factories.administrator(clinic, name="Anna Schmidt", email="anna@example.org"))
    for path in (f"/admin/extensions/{german.key}/", f"/admin/extensions/{german.key}/add/"):
        response = client.get(path)
        assert response.status_code == 200, path
        text = Shown(response.content.decode()).text()
        assert sorted({*ENGLISH.findall(text), *re.findall("Passw[oö]rt", text)}) == [], path


def test_no_page_of_a_german_platform_operator_speaks_english(client, places, clinic):
    client.force_login(factories.operator(language="de"))
    organizations = "/admin/organizations/organization/"
    for path in ("/admin/", organizations, f"{organizations}add/", f"{organizations}{clinic.pk}/change/"):
        response = client.get(path)
        assert response.status_code == 200, path
        assert ENGLISH.findall(Shown(response.content.decode()).text()) == [], path


def test_errors_of_a_form_are_german(client, clinic, german):
    client.force_login(factories.administrator(clinic))
    names = ("name", "sender", *german.Credentials.base_fields)

    response = client.post(f"/admin/extensions/{german.key}/add/", dict.fromkeys(names, "https://? 00 ()"))

    text = Shown(response.content.decode()).text()
    assert "Es wurde nichts gespeichert" in text
    assert ENGLISH.findall(text) == []


def test_respondents_read_the_language_of_the_organisation(client, clinic):
    factories.distribution(clinic, recipients=1)
    message = Message.objects.get()

    page = client.get(f"/o/{opt_out_token(message.pk)}").content.decode()
    pressed = client.post(f"/o/{opt_out_token(message.pk)}").content.decode()

    assert "Keine SMS mehr?" in page
    assert "SMS abbestellen" in page
    assert "Sie sind abgemeldet" in pressed


def test_the_log_in_page_follows_the_browser(client, db):
    page = client.get("/admin/login/", headers={"accept-language": "de"}).content.decode()

    assert "Ihre Umfragen per SMS" in page
    assert ENGLISH.findall(Shown(page).text()) == []


@pytest.mark.parametrize("count", [1, 2])
def test_counts_have_their_form(count):
    with translation.override("de"):
        text = translation.ngettext("%(number)s reply", "%(number)s replies", count) % {"number": count}

    assert text == ("1 Antwort", "2 Antworten")[count - 1]


def test_roles_are_german():
    with translation.override("de"):
        assert [str(role.label) for role in User.Role] == ["Plattformbetreiber", "Administrator", "Mitglied"]


def test_who_runs_it_can_read_what_somebody_else_has_compiled(tmp_path, monkeypatch):
    """Whatever the umask, which keeps everything else that is written private."""
    folder = tmp_path / "locale" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.po").write_text('msgid "Yes"\nmsgstr "Ja"\n')
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    before = os.umask(0o077)
    try:
        translations.compile_stale()
    finally:
        os.umask(before)

    assert (folder / "django.mo").stat().st_mode & 0o777 == 0o644


def test_every_field_that_a_list_or_form_shows_has_words_of_ours():
    """Django makes a name of the code's otherwise, which no catalogue translates: “Organization”."""
    unnamed = []
    for model, model_admin in site._registry.items():
        shown = {
            *_names(model_admin.list_display),
            *_names(model_admin.list_filter),
            *_names(model_admin.search_fields),
        }
        for _title, options in model_admin.fieldsets or ():
            shown.update(_names(options["fields"]))
        for field in model._meta.get_fields():
            if field.name in shown and not isinstance(getattr(field, "verbose_name", None), Promise):
                unnamed.append(f"{model.__name__}.{field.name}")
    assert unnamed == []


def _names(columns):
    """The names among what a ModelAdmin lists: filters are pairs, too, or classes."""
    for column in columns:
        name = column[0] if isinstance(column, tuple) else column
        if isinstance(name, str):
            yield name

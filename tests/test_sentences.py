"""What is stored to be shown later is worded when it is shown, in the reader's language."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.utils import translation
from django.utils.translation import gettext
from hypothesis import example, given
from hypothesis import strategies as st

from distributions.engine import outbox
from distributions.engine.outbox import Change
from distributions.models import Distribution, Message
from distributions.planning import starting
from distributions.states import Status
from extensions import categories, registry, selftest
from extensions.contract import Fault, InvalidSignature, ProviderError, Unreadable, basic_authorization
from intake import figures
from intake.sentences import amount as money
from intake.sentences import in_english, joined, moment, nsaid, said, stored, stored_within, worded
from organizations import tokens
from organizations.models import User
from tests import factories, provider_cases, provider_table
from tests.scratch import ROOT
from webhooks import inbox
from webhooks.models import RefusedCallback

ENGLISH = "The contact list has been deleted. Choose another one."


def read_in(language, kept):
    with translation.override(language):
        return worded(kept)


def test_a_sentence_is_said_in_the_language_in_which_it_is_read():
    with translation.override("de"):
        sentence = said(ENGLISH)
        assert sentence == read_in("de", stored(sentence))
        kept = stored(sentence)

    assert read_in("en", kept) == ENGLISH
    assert read_in("de", kept) != ENGLISH


def test_values_stay_and_sentences_among_them_are_said_anew_as_well():
    with translation.override("de"):
        within = said(ENGLISH)
        kept = stored(said("Question %(number)s of the survey: %(problem)s") % {"number": 3, "problem": within})

    assert read_in("en", kept) == f"Question 3 of the survey: {ENGLISH}"
    assert ENGLISH not in read_in("de", kept)


def test_what_is_raised_and_what_is_joined_is_still_the_same_sentence():
    with translation.override("de"):
        kept = stored(joined([str(ValueError(said(ENGLISH))), "20003: Authenticate", ""]))

    assert read_in("en", kept) == f"{ENGLISH} 20003: Authenticate"


def test_numbers_choose_their_plural_in_the_language_of_the_reader():
    kept = stored(nsaid("%(number)s person", "%(number)s people", 2) % {"number": 2})

    assert read_in("en", kept) == "2 people"


def test_times_have_the_form_of_the_reader_s_language():
    kept = stored(
        said("It should have begun on %(moment)s and could not. Decide whether it is still to be sent.")
        % {"moment": moment(datetime(2026, 5, 31, 9, 30, tzinfo=UTC), "Europe/Berlin")}
    )

    assert "31 May 2026" in read_in("en", kept)
    assert "31.05.2026" in read_in("de", kept)
    assert "(Europe/Berlin)" in read_in("de", kept)


@given(st.text(max_size=300))
def test_what_an_older_version_wrote_and_strangers_say_is_shown_as_it_is(text):
    """Nobody can write a sentence of ours: its mark is taken out of every other text."""
    assert worded(stored(text)) == text.replace("\x1f", "")


@given(
    st.text(st.characters(exclude_characters="\r"), max_size=100),
    st.dictionaries(st.sampled_from(["name", "sender"]), st.text(max_size=20)),
)
@example("False", {})  # which English words, too (locale/en)
def test_every_sentence_can_be_read_again(english, values):
    assert worded(stored(said(english))) == said(english) == gettext(english)
    named = said("“%(name)s” (%(sender)s) cannot send at present, so the remaining texts are waiting.")
    whole = named % {"name": "", "sender": "", **values}
    assert worded(stored(whole)) == whole


def test_a_translation_that_asks_for_other_values_shows_the_english_sentence():
    english = "“%(name)s” comes before it in the list, and only one account is in use."
    kept = stored(said(english) % {"name": "Main"}).replace('"name"', '"nom"')

    assert read_in("en", kept) == read_in("de", kept) == english


# --- where they are stored --------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("written", "read"), [("de", "en"), ("en", "de")])
def test_a_planned_distribution_s_problem_is_read_in_the_language_of_its_page(client, written, read):
    """Kinds: what is found by a worker in the organisation's language, by a person in theirs."""
    organization = factories.organization(language=written)
    account = factories.account(organization)
    distribution = factories.distribution(
        organization, account=account, contact_list=None, state=Distribution.State.SCHEDULED
    )
    with translation.override(written):
        starting.hold(distribution, said(ENGLISH))
    administrator = factories.user(organization, role=User.Role.ADMINISTRATOR, language=read)
    client.force_login(administrator)

    page = client.get(f"/admin/distributions/distribution/{distribution.pk}/change/", headers={"Accept-Language": read})

    shown = page.content.decode()
    assert (ENGLISH in shown) == (read == "en")
    assert read_in(read, stored(said(ENGLISH))) in shown


@pytest.mark.django_db
def test_rows_are_found_by_a_sentence_whatever_the_language():
    organization = factories.organization()
    distribution = factories.distribution(organization, account=factories.account(organization))
    with translation.override("de"):
        Distribution.objects.filter(pk=distribution.pk).update(problem=said(ENGLISH))

    assert Distribution.objects.filter(problem=said(ENGLISH)).exists()
    assert not Distribution.objects.exclude(problem=said(ENGLISH)).filter(pk=distribution.pk).exists()
    assert Distribution.objects.values_list("problem", flat=True).get(pk=distribution.pk) == ENGLISH


@pytest.mark.django_db
@pytest.mark.parametrize(("written", "read"), [("de", "en"), ("en", "de")])
def test_what_a_provider_said_of_the_credentials_is_read_in_the_language_of_the_page(written, read):
    account = factories.account(factories.organization())
    english = "The provider could not be asked: %(why)s"
    with translation.override(written):
        account.check_detail = said(english) % {"why": "HTTP 503"}
        account.save(update_fields=["check_detail"])

    with translation.override(read):
        account.refresh_from_db(fields=["check_detail"])
        assert account.answer.startswith(str(said(english) % {"why": "HTTP 503"}))
        assert ("The provider could not" in account.answer) == (read == "en")


@pytest.mark.parametrize("category", sorted(categories.WORDS))
def test_why_an_account_stopped_is_a_category_in_the_reader_s_words(category):
    """With the provider's own words behind it, in whichever language they are."""
    said_by_it = f"{category}: 20003: Authenticate"
    with translation.override("en"):
        english = categories.worded(said_by_it)
    with translation.override("de"):
        german = categories.worded(said_by_it)

    assert english != german
    for sentence in (english, german):
        assert sentence.endswith("(20003: Authenticate)")
    assert categories.worded("20003: Authenticate") == "20003: Authenticate", "what has no category is shown as it is"


def answers(data):
    """What is kept of each check that its provider answers, in the language of the moment."""
    for _heading, case in provider_cases.cases(data, "check"):
        if "response" in case:
            with suppress(ProviderError):
                check = provider_cases.provider_of(data, case).parse_check(provider_cases.answer_of(case))
                yield joined((check.detail, *check.warnings))


@pytest.mark.parametrize("data", provider_cases.all_data().values(), ids=list(provider_cases.all_data()))
def test_what_a_provider_s_file_says_of_a_check_is_worded_when_it_is_shown(data):
    """(R29) What was stored in a German request reads in English as if it had been stored in an English one."""
    with translation.override("de"):
        german = [(stored(one), str(one)) for one in answers(data)]
    with translation.override("en"):
        english = [str(one) for one in answers(data)]

    assert [read_in("en", kept) for kept, _said in german] == english
    assert [read_in("de", kept) for kept, _said in german] == [said for _kept, said in german]
    assert {kept for kept, _said in german if not kept.startswith("\x1f")} == set()


# --- why a callback is refused ----------------------------------------------------------------------------------------


def refused_calls(data):
    """Each refused or unreadable callback of a provider's cases: (kind, request, provider, time)."""
    for heading, case in provider_cases.cases(data):
        if heading == "signature" and not case["valid"]:
            kind = case.get("kind", "status")
        elif "unreadable" in case:
            kind = provider_cases.kind_of(heading, case)
        else:
            continue
        now = case.get("now", data.get("now", provider_cases.NOW))
        yield kind, provider_cases.callback_of(data, case, kind), provider_cases.provider_of(data, case), now


def reasons(data):
    """What is said of each, in the language of the moment."""
    for kind, request, provider, now in refused_calls(data):
        for judge in (lambda p=provider, r=request, n=now: p.verify(r, now=n), *parsers(provider, kind, request)):
            try:
                judge()
            except (InvalidSignature, Unreadable) as refusal:
                yield refusal.reason


def parsers(provider, kind, request):
    parse = provider.parse_reports if kind == "status" else provider.parse_inbound
    return [lambda: parse(request)]


@pytest.mark.parametrize("data", provider_cases.all_data().values(), ids=list(provider_cases.all_data()))
def test_why_a_callback_is_refused_is_worded_when_it_is_shown(data):
    """(R100) And the provider is answered in English, whatever language the process spoke last."""
    with translation.override("de"):
        german = [(stored(one), str(one), in_english(one)) for one in reasons(data)]
    with translation.override("en"):
        english = [str(one) for one in reasons(data)]

    assert len(german) >= len(list(refused_calls(data)))
    assert [read_in("en", kept) for kept, _said, _told in german] == english
    assert [told for _kept, _said, told in german] == english
    without = [said for _kept, said, _told in german if said in english]
    if without and registry.get(data["key"]).name not in provider_table.names():
        pytest.skip(f"skipped: {data['key']} has no German yet: {len(without)} of its reasons")
    assert without == []


def test_no_reason_for_a_refusal_is_plain_english_in_the_code():
    """Each is a sentence of the catalogue, those that no case of a provider reaches included."""
    plain = []
    for path in [*(ROOT / "extensions").rglob("*.py"), *(ROOT / "webhooks").rglob("*.py"), ROOT / "intake" / "data.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            given = {"InvalidSignature": slice(1, 2), "verify_basic": slice(3, None)}.get(called, slice(0, 1))
            if called in ("InvalidSignature", "Unreadable", "NotReadable", "json_object", "verify_basic"):
                words = [*node.args[given], *(keyword.value for keyword in node.keywords)]
                plain += [(path.name, one.lineno) for one in words if isinstance(one, ast.Constant | ast.JoinedStr)]

    assert plain == []


def test_what_we_say_of_an_answer_is_no_plain_english_in_the_code():
    """It is kept as the reason of a text where a provider said nothing: a sentence, worded when it is shown."""
    plain = []
    for path in [*(ROOT / "extensions").rglob("*.py"), *(ROOT / "distributions").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            if called in ("Refused", "NotTaken", "Unclear", "Halt"):
                said_so = node.args[1:2] if called == "Refused" else node.args[:1]
                plain += [(path.name, one.lineno) for one in said_so if isinstance(one, ast.Constant | ast.JoinedStr)]

    assert plain == []


def test_every_sentence_that_is_said_by_its_own_name_is_collected_for_the_catalogue():
    """makemessages reads `_("…")` and gettext_noop("…"), and no `said("…")`."""
    unseen = []
    for folder in ("organizations", "extensions", "contacts", "surveys", "distributions", "webhooks", "watching"):
        for path in (ROOT / folder).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            imported = [
                node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "intake.sentences"
            ]
            names = {alias.name for node in imported for alias in node.names if alias.asname is None}
            for node in nodes:
                called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                if called in names & {"said", "said_lazy", "nsaid"} and isinstance(node.args[0], ast.Constant):
                    unseen.append((path.name, node.lineno))

    assert unseen == []


OURS = "no connection (%(why)s)"


@pytest.mark.django_db
@pytest.mark.parametrize(("read", "words"), [("de", "keine Verbindung (OSError)"), ("en", "no connection (OSError)")])
def test_why_a_text_did_not_leave_is_worded_when_it_is_shown(client, read, words):
    """On its page, in the list, in the file and by the API; a provider's own words stay, marked as such."""
    organization = factories.organization()
    row = factories.distribution(organization, recipients=2, account=factories.account(organization), state="sending")
    ours, theirs = Message.objects.order_by("pk")
    Message.objects.update(status="sending", attempt=1)
    with translation.override("de"):
        left = [Change(id=ours.pk, to=Status.UNCERTAIN, attempt=1, error=said(OURS) % {"why": "OSError"})]
        outbox.apply([*left, Change(id=theirs.pk, to=Status.FAILED, attempt=1, error="30008: Unknown error")])
    user = factories.administrator(organization, language=read)
    client.force_login(user)
    place = f"/admin/distributions/distribution/{row.pk}/messages"
    heads = {"x-api-token": tokens.regenerate(user), "accept-language": read}

    pages = [client.get(f"{place}/{ours.pk}/"), client.get(f"{place}/")]
    file = client.get(f"{place}.csv").getvalue().decode()
    told = client.get(f"/API/v3/distributions/sms/{row.public_id}/history", headers=heads).content.decode()
    quoted = [client.get(f"{place}/{theirs.pk}/"), client.get(f"{place}/")]

    assert [text for text in (*(page.content.decode() for page in pages), file, told) if words not in text] == []
    assert "<q" not in pages[0].content.decode()
    assert [page for page in quoted if not re.search(r'lang="">30008: Unknown error<', page.content.decode())] == []


@given(st.text(max_size=600), st.integers(120, 300))
def test_a_sentence_with_long_words_of_others_is_kept_as_a_sentence(why, length):
    kept = stored_within(said(OURS) % {"why": why}, length)

    assert len(kept) <= length
    assert read_in("en", kept).startswith("no connection (")
    assert len(stored_within(why, length)) <= length


@pytest.mark.parametrize("kept", ["\x1f", "\x1f{", "\x1f[]", '\x1f{"say": 7, "values": 3}', "\x1fnull"])
def test_what_only_looks_like_a_sentence_breaks_no_page(kept):
    """An older version kept providers' words with every sign that they had."""
    assert isinstance(worded(kept), str)


@pytest.mark.django_db
@pytest.mark.parametrize(("read", "word"), [("de", "falsche Signatur"), ("en", "wrong signature")])
def test_a_refused_call_is_counted_once_and_read_in_every_language(client, read, word):
    """One reason is one row, whatever language the process spoke; what an older version stored stays as it was."""
    account = factories.account(factories.organization(public_id="ORG42"))
    for language in ("de", "en"):
        with translation.override(language):
            inbox.refuse(account.organization.pk, "twilio-sms", "status", InvalidSignature())
    old = "the header X is missing"
    inbox.refuse(account.organization.pk, "twilio-sms", "message", InvalidSignature(Fault.UNSIGNED, old))
    client.force_login(factories.administrator(account.organization, language=read))

    page = client.get(f"/admin/extensions/account/{account.public_id}/").content.decode()

    assert sorted(RefusedCallback.objects.values_list("count", flat=True)) == [1, 2]
    assert (word in page, old in page) == (True, True)


@pytest.mark.django_db
def test_a_provider_is_told_in_english_why_its_call_cannot_be_read(client):
    account = factories.account(factories.organization(public_id="ORG42"), "infobip")
    inbox.forget_accounts()
    log_in = basic_authorization(*account.open()._log_in)

    with translation.override("de"):
        answer = client.post(
            "/distribution-providers/v1/receive/distribution/status/infobip-sms/ORG42",
            b"[",
            "application/json",
            headers={"Authorization": log_in},
        )

    assert (answer.status_code, answer.content.decode()) == (400, "The body is not JSON.")
    assert RefusedCallback.objects.get().reason == str(said("The body is not JSON."))


def test_the_self_test_tells_the_reader_in_their_language_why_the_door_refused():
    with translation.override("en"):
        header = selftest.Finding(reason=InvalidSignature().reason, fault=Fault.SECRET).as_header()

    with translation.override("de"):
        assert selftest.Finding.from_header(header).reason == "falsche Signatur"
    for forged in ("%1F%7B%22", quote('[[], "\x1f[1]", false, "secret"]'), quote('[[], "\x1f{}", false, "secret"]')):
        assert selftest.Finding.from_header(forged) is None


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", ("12,345", "98.7%", "0.0075 EUR", "1,234.50 EUR", "unlimited", "1 234,5 kr")),
        ("de", ("12.345", "98,7\N{NO-BREAK SPACE}%", "0,0075 EUR", "1.234,50 EUR", "unlimited", "1 234,5 kr")),
    ],
)
def test_numbers_have_one_form_in_each_language(language, shown):
    """What a provider writes that is no number stays as it wrote it."""
    with translation.override(language):
        money = [
            figures.amount(*one) for one in (("0.0075", "EUR"), (1234.5, "EUR"), ("unlimited",), ("1 234,5", "kr"))
        ]
        assert (figures.whole(12345), figures.percent(98.66), *money) == shown


def test_numbers_in_a_stored_sentence_have_the_reader_s_form():
    with translation.override("en"):
        grown = said(
            "The list has grown since this was planned: from %(planned)s people to %(people)s. Review it again."
        )
        kept = stored(joined([grown % {"planned": 10_000, "people": 12_345}, money("0.0075", "EUR")]))

    assert "from 10,000 people to 12,345." in read_in("en", kept)
    assert "10.000" in read_in("de", kept)
    assert read_in("de", kept).endswith("0,0075 EUR")


def test_a_sentence_that_an_earlier_version_stored_is_read_in_its_words_of_today():
    kept = stored(
        said("Twilio takes no more calls just now (%(detail)s). Check again in a minute.") % {"detail": "HTTP 429"}
    )

    assert read_in("en", kept).startswith("Twilio is not accepting any more calls just now (HTTP 429).")
    assert read_in("de", kept) != read_in("en", kept)

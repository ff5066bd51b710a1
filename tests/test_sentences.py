"""What is stored to be shown later is worded when it is shown, in the reader's language."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from distributions.models import Distribution
from distributions.planning import starting
from extensions import categories
from extensions.contract import ProviderError
from intake.sentences import joined, moment, nsaid, said, stored, worded
from organizations.models import User
from tests import factories, provider_cases

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
    assert "31. Mai 2026" in read_in("de", kept)
    assert "(Europe/Berlin)" in read_in("de", kept)


@given(st.text(max_size=300))
def test_what_an_older_version_wrote_and_strangers_say_is_shown_as_it_is(text):
    """Nobody can write a sentence of ours: its mark is taken out of every other text."""
    assert worded(stored(text)) == text.replace("\x1f", "")


@given(
    st.text(st.characters(exclude_characters="\r"), max_size=100),
    st.dictionaries(st.sampled_from(["name", "sender"]), st.text(max_size=20)),
)
def test_every_sentence_can_be_read_again(english, values):
    kept = stored(said(english))
    assert worded(kept) == english
    named = said("“%(name)s” (%(sender)s) may not send at present, so the texts that are left wait.")
    whole = named % {"name": "", "sender": "", **values}
    assert worded(stored(whole)) == whole


def test_a_translation_that_asks_for_other_values_shows_the_english_sentence():
    english = "Waiting: “%(name)s” comes first in the list. Only one account is in use."
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

"""Which texts are commands and which are answers (docs/requirements.md, “Opting out by reply”)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contacts import stop_words, vocabulary
from distributions.replies import keywords
from distributions.replies.keywords import Meaning

TEXTS = st.text(max_size=40) | st.sampled_from(sorted(stop_words.STOP | stop_words.START | stop_words.HELP))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("STOP", Meaning.OPT_OUT),
        (" Stop!! 👋", Meaning.OPT_OUT),
        ("ＳＴＯＰ", Meaning.OPT_OUT),
        ("🆂🆃🅾🅿", Meaning.OPT_OUT),
        ("sᴛᴏᴘ 🇩🇪", Meaning.OPT_OUT),
        ("stop all", Meaning.OPT_OUT),
        ("Arrêt", Meaning.OPT_OUT),
        ("arre\u0302t", Meaning.OPT_OUT),  # the accent as a character of its own
        ("abmelden.", Meaning.OPT_OUT),
        ("Start", Meaning.OPT_IN),
        ("anmelden", Meaning.OPT_IN),
        ("HELP?", Meaning.HELP),
        ("Hilfe!", Meaning.HELP),
        # nothing but stop words and courtesy
        ("STOP STOP", Meaning.OPT_OUT),
        ("Stop. Thank you", Meaning.OPT_OUT),
        ("please stop", Meaning.OPT_OUT),
        ("Hi, please STOP. Thanks!", Meaning.OPT_OUT),
        ("S T O P", Meaning.OPT_OUT),
        ("st\u200bop", Meaning.OPT_OUT),
        ("\u202bأَوْقِف\u202c", Meaning.OPT_OUT),
        ("إيقـــاف من فضلك", Meaning.OPT_OUT),
        ("opt-out, please", Meaning.OPT_OUT),
        ("Bitte abmelden, danke", Meaning.OPT_OUT),
        ("Désabonnez-moi s’il vous plaît", Meaning.OPT_OUT),
        ("Baja, por favor", Meaning.OPT_OUT),
        ("Cancellami, grazie", Meaning.OPT_OUT),
        ("Afmelden a.u.b. stop, dank u wel", Meaning.REPLY),  # "a.u.b." is three words: a near miss
        ("afmelden alstublieft", Meaning.OPT_OUT),
        ("Sair, obrigado", Meaning.OPT_OUT),
        ("Proszę wypisać", Meaning.OPT_OUT),
        ("İPTAL", Meaning.OPT_OUT),
        ("iptal lütfen", Meaning.OPT_OUT),
        ("DURDUR", Meaning.OPT_OUT),
        ("СТОП, дякую", Meaning.OPT_OUT),
        ("Dezabonare, vă rog", Meaning.OPT_OUT),
        ("help please", Meaning.HELP),
        ("Start, danke", Meaning.OPT_IN),
        ("yes please", Meaning.REPLY),
        ("thank you", Meaning.REPLY),
        ("stop help", Meaning.REPLY),
        ("don't stop", Meaning.REPLY),
        ("stop texting me", Meaning.REPLY),  # a near miss
        ("Please stop by on Monday", Meaning.REPLY),
        ("I started on Monday", Meaning.REPLY),
        ("no help needed", Meaning.REPLY),
        ("2", Meaning.REPLY),
        ("", Meaning.REPLY),
        ("👋", Meaning.REPLY),
    ],
)
def test_only_a_text_that_is_nothing_but_the_word_is_a_command(text, meaning):
    assert keywords.meaning(text, opted_out=False) == meaning


@pytest.mark.parametrize(("opted_out", "meaning"), [(True, Meaning.OPT_IN), (False, Meaning.REPLY)])
def test_yes_is_an_answer_unless_the_person_has_opted_out(opted_out, meaning):
    assert keywords.meaning("Yes!", opted_out=opted_out) == meaning
    assert not stop_words.is_taken("Yes!")


CARRIERS = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"]
POLITE = [(language, word) for language, group in vocabulary.LANGUAGES.items() for word in group.courtesy]


@pytest.mark.parametrize(("language", "courtesy"), POLITE)
def test_a_stop_word_with_courtesy_in_any_language_is_an_opt_out(language, courtesy):
    own = vocabulary.LANGUAGES[language]
    for word in (*CARRIERS, *own.stop, *own.everyday):
        for text in (
            word,
            f"{word} {courtesy}",
            f"{courtesy.upper()}, {word.lower()}!",
            f"{word}. {courtesy} {word} 🙏",
        ):
            assert keywords.meaning(text, opted_out=False) == Meaning.OPT_OUT, text
    assert keywords.meaning(courtesy, opted_out=False) == Meaning.REPLY


@pytest.mark.parametrize(
    "text",
    [
        *(
            "don't text me again",
            "Don’t contact me",
            "remove me",
            "lose my number!",
            "wrong number",
            "take me off your list",
        ),
        *(
            "stop texting me",
            "I said stop",
            "Stop it!!",
            "STOOOOP",
            "stop now",
            "please unsubscribe me now",
            "no more texts",
        ),
        *(
            "cancel my texts",
            "how do i cancel",
            "I want to quit",
            "end this now",
            "not interested, thanks",
            "stop help",
        ),
        *(
            "Keine SMS mehr!",
            "Lassen Sie mich in Ruhe",
            "bitte nicht mehr schreiben",
            "ich will mich abmelden",
            "Hör auf",
        ),
        *("ne m'écrivez plus", "Ne m’envoyez plus de SMS", "je veux me désabonner", "laissez-moi tranquille"),
        *("no me escriban más", "quiero darme de baja", "bórrenme, no quiero más mensajes", "déjenme en paz"),
        *("non scrivetemi più", "basta messaggi!", "toglietemi dalla lista", "Basta"),
        *("stuur me geen sms meer", "ik wil stoppen", "haal me van de lijst", "verwijder mijn nummer"),
        *("não me mandem mensagens", "quero sair da lista", "parem de enviar", "me tira da lista"),
        *("nie piszcie do mnie", "proszę mnie usunąć", "nie chcę więcej wiadomości", "chcę zrezygnować, wypisz mnie"),
        *("mesaj atmayın", "beni listeden çıkarın", "bir daha yazmayın", "artık mesaj istemiyorum"),
        *("не пишіть мені", "видаліть мій номер", "більше не надсилайте", "хочу відписатися"),
        *("nu mai trimiteți mesaje", "scoateți-mă din listă", "vreau dezabonare", "nu mai vreau mesaje"),
        *("لا ترسلوا لي رسائل", "احذفوا رقمي", "أريد إلغاء الاشتراك", "توقفوا عن الإرسال"),
        *(
            "🛑",
            "⛔️ 🚫",
            "texts 🛑",
            "ST0P",
            "5top it",
            "unsub",
            "fin",
            "bórrenme",
            "non voglio sms",
            "зупиніть",
            "gönderme",
        ),
        *("STOPstop", "stopstopstop!", "STOPPLEASE", "bittestopp"),  # without blanks
        *("Cтоп", "STО\u0420 please", "\u03a3TOP"),  # the keyboard was switched within the word
        "STOP\n--\nJohn Smith\nSent from my iPhone",
        "Stop please.\r\n\r\nDr Maria Huber, Hauptstraße 12, 80331 München",
        "STOP\n> Dear Ada, how was your visit? Please tell us at https://forms.example.org/s/42",
    ],
)
def test_a_short_text_that_may_mean_stop_is_a_near_miss_and_no_command(text):
    assert keywords.meaning(text, opted_out=False) == Meaning.REPLY
    assert stop_words.is_near_miss(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "👋",
            "✋",
            "7",
            "10",
            "9 stops",
            "room 5t0",
            "yes",
            "no",
            "Fine",
            "no thanks",
            "the bus stop",
            "It never stops raining",
            "non-stop fun",
        ),
        *(
            "In the end all was well",
            "They had to cancel twice",
            "at the weekend",
            "couldn't stop laughing",
            "Don't stop!",
        ),
        *("El precio es muy alto", "Calidad baja en general", "l'arrêt de bus est loin", "Ende gut, alles gut"),
        *("STOP", "please stop", "Stop. Thank you", "CANCEL"),  # commands
        "I would like the bus to stop closer to the clinic please",  # long
    ],
)
def test_an_honest_short_text_and_a_command_are_no_near_misses(text):
    assert not stop_words.is_near_miss(text)


def test_a_long_text_that_mentions_stopping_deserves_a_second_look():
    assert stop_words.mentions_stopping("The doctor was nice but please stop texting me in the evening")
    assert stop_words.mentions_stopping("Everything was fine, really. And now don't contact me again!")
    assert not stop_words.mentions_stopping("In the end everything was fine and the bus stop is close to the entrance")
    assert stop_words.mentions_stopping("weiter so, aber basta mit den vielen Fragen", "Basta")


def test_an_organizations_own_stop_word_in_company_is_a_near_miss():
    assert stop_words.is_near_miss("hör auf damit", "Basta, Hör auf")
    assert stop_words.is_near_miss("weg damit", "weg")
    assert not stop_words.is_near_miss("weg damit")


@given(text=st.text(max_size=80), own=st.lists(TEXTS, max_size=3).map(",".join))
def test_a_near_miss_is_short_or_begins_with_a_line_that_is_one_and_no_command(text, own):
    if stop_words.is_near_miss(text, own):
        if len(stop_words.words(text)) > stop_words.SHORT:
            assert stop_words.is_taken(text.strip().splitlines()[0], own)
        assert text.strip()
        assert keywords.meaning(text, opted_out=False, more_stop_words=own) == Meaning.REPLY


@pytest.mark.parametrize("text", ["basta", " BASTA! ", "Hör auf"])
def test_an_organization_has_stop_words_of_its_own(text):
    assert keywords.meaning(text, opted_out=False, more_stop_words="Basta, Hör auf,") == Meaning.OPT_OUT
    assert keywords.meaning(text, opted_out=False) == Meaning.REPLY


@pytest.mark.parametrize("own", ["", ",", " , ,", "!"])
def test_an_empty_stop_word_stops_nobody(own):
    assert keywords.meaning("", opted_out=False, more_stop_words=own) == Meaning.REPLY


@example(text="Yes", own="yes")
@given(text=TEXTS, own=st.lists(TEXTS, max_size=3).map(",".join))
def test_a_text_that_is_taken_is_exactly_one_that_is_no_answer(text, own):
    """What is refused as a choice's label is what would never arrive as an answer from somebody who may be asked."""
    is_answer = keywords.meaning(text, opted_out=False, more_stop_words=own) == Meaning.REPLY

    assert stop_words.is_taken(text, own) is not is_answer


SENTENCES = {path.stem: path for path in sorted((Path(__file__).parent / "sentences").glob("*.txt"))}


def test_there_are_honest_sentences_in_every_language():
    assert set(SENTENCES) == set(vocabulary.LANGUAGES)


@pytest.mark.parametrize("language", SENTENCES)
def test_of_200_honest_sentences_at_most_one_in_a_hundred_is_a_near_miss(language):
    """Answers as people text them, stop words and words for yes, no and help used honestly among them."""
    sentences = sorted(set(SENTENCES[language].read_text().splitlines()))
    missed = [sentence for sentence in sentences if stop_words.is_near_miss(sentence)]

    assert len(sentences) >= 200
    assert len(missed) <= len(sentences) // 100, missed
    assert [sentence for sentence in sentences if stop_words.is_taken(sentence)] == []

"""What people write when they are asked by text, in twelve languages: what is an answer, and what is asked again."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contacts import stop_words
from surveys import reading, words
from surveys.conversation import Kind, NotUnderstood, Question, question_flaws, read
from surveys.question_types import TYPES

NPS = Question(Kind.NPS, "0 to 10?")
AGAIN = Question(Kind.YES_NO, "Would you come again?")
WAIT = Question(Kind.CHOICE, "How was the wait?", ("Short", "Fine", "Too long"))
GOOD = Question(Kind.CHOICES, "What was good?", ("Seats", "Tea and cake", "Toys", "Books"))
SURE = Question(Kind.CHOICE, "Will you come?", ("Definitely", "Not sure yet", "January at the earliest"))
DEGREES = Question(Kind.NUMBER, "How cold is it?")
FIVE = Question(Kind.NUMBER, "0 to 5?", minimum=0, maximum=5)
PERCENT = Question(Kind.NUMBER, "How many percent?", minimum=0, maximum=100)


def answer(question, text):
    """The stored answer, or None."""
    try:
        return read(question, text)
    except NotUnderstood:
        return None


# --- numbers ----------------------------------------------------------------------------------------------------------

NINES = {
    "en": [
        "9 out of 10",
        "nine out of ten",
        "9 because the staff were kind",
        "I'd say 9",
        "I’d say nine",
        "a solid 9!",
    ],
    "de": [
        "9 von 10",
        "neun",
        "9, weil alle nett waren",
        "Ich würde 9 sagen",
        "eine 9",
        "9 Punkte",
        "9 von 10 Punkten",
    ],
    "fr": ["9 sur 10", "neuf", "9 parce que l'accueil était bon", "je dirais 9", "un 9", "9 pour l'accueil"],
    "es": ["9 de 10", "nueve", "9 porque fueron amables", "yo diría 9", "un 9", "9 sobre 10"],
    "it": ["9 su 10", "nove", "9 perché siete gentili", "direi 9", "voto 9", "un 9, grazie"],
    "nl": ["9 van de 10", "negen", "9 omdat iedereen aardig was", "ik zou een 9 geven", "een 9", "9 punten"],
    "pt": ["9 em 10", "nove", "9 porque foram simpáticos", "eu diria 9", "nota 9", "9 de 10, obrigada"],
    "pl": ["9 na 10", "dziewięć", "dziewiec", "9 bo było miło", "daję 9", "9 punktów"],
    "tr": ["10 üzerinden 9", "dokuz", "9 çünkü çok iyiydi", "9 derim", "9 puan", "bence 9"],
    "uk": ["9 з 10", "дев'ять", "дев’ять", "9 бо все добре", "я б сказала 9", "9 балів"],
    "ro": ["9 din 10", "nouă", "noua", "9 pentru că a fost bine", "aș spune 9", "nota 9"],
    "ar": ["9 من 10", "٩ من ١٠", "تسعة", "٩", "9 لأن الموظفين لطفاء", "أعطي 9"],
    "": [
        "9",
        "9/10",
        "9 / 10",
        "９",
        "9️⃣",
        "⑨",
        "9!!",
        "(9)",
        "9 👍",
        "9 ❤️❤️",
        "9.\nGreat staff",
        "9 - great",
        "\u200f9\u200f",
    ],
}


@pytest.mark.parametrize(("language", "text"), [(key, text) for key, texts in NINES.items() for text in texts])
def test_a_nine_is_read_as_it_is_written_in_every_language(language, text):
    assert read(NPS, text) == "9"


@pytest.mark.parametrize(
    "text",
    [
        *("7-8", "7 - 8", "7 or 8", "7/8", "9/5", "11/10", "10/11", "9, no 10", "9 10", "between 7 and 8"),
        *("nine point five", "neun komma fünf", "9.5", "9,5", "9½", "9²", "8 and a half"),
        *("minus 1", "-1", "moins 1", "eksi 1", "100%", "5%", "5 %"),
        *("<5", ">8", "not 8", "less than 5", "8 hours", "I waited 3 hours", "①②", "1️⃣0️⃣", "👍", "yes"),
    ],
)
def test_what_is_no_number_of_the_scale_or_two_of_them_is_asked_again(text):
    assert answer(NPS, text) is None


@pytest.mark.parametrize(
    ("question", "text", "value"),
    [
        (FIVE, "4/5", "4"),
        (FIVE, "4 out of 5", "4"),
        (FIVE, "9/10", None),  # not 9, and not 4.5 either
        (FIVE, "4/10", None),
        (FIVE, "100%", None),
        (FIVE, "3 children", None),
        (FIVE, "3, because I have twins", "3"),
        (PERCENT, "100%", "100"),
        (PERCENT, "50 %", "50"),
        (PERCENT, "50% because", "50"),
        (DEGREES, "minus 5", "-5"),
        (DEGREES, "мінус п'ять", "-5"),
        (DEGREES, "nine point five", "9.5"),
        (DEGREES, "٣٦٫٦", "36.6"),
        (DEGREES, "9/10", None),
        (DEGREES, "36.6 because of the fever", "36.6"),
        (DEGREES, "5 kg", None),
        (DEGREES, "9²", None),
    ],
)
def test_a_number_keeps_to_its_range_and_its_scale(question, text, value):
    assert answer(question, text) == value


@pytest.mark.parametrize(("word", "number"), sorted(words.NUMBERS.items()))
def test_every_number_word_is_that_number_with_or_without_accents_and_in_capitals(word, number):
    for text in (word, word.upper(), reading.spelt(word), f"{word}!"):
        assert read(NPS, text) == str(number)


def test_no_word_is_two_numbers_in_two_languages():
    spelt = {}
    for word, number in words.NUMBERS.items():
        assert spelt.setdefault(reading.spelt(word), number) == number


@given(number=st.integers(0, 10), total=st.integers(0, 1000))
def test_a_rating_counts_only_out_of_the_most_there_is(number, total):
    for text in (f"{number}/{total}", f"{number} out of {total}", f"{number} von {total}"):
        assert answer(NPS, text) == (str(number) if total == 10 else None)


@given(
    first=st.integers(0, 10),
    second=st.integers(0, 10),
    between=st.sampled_from(["-", " - ", " or ", ", ", "/", " ", "–"]),
)
def test_two_numbers_are_never_one_recommendation(first, second, between):
    if between == "/" and second == 10:
        return
    assert answer(NPS, f"{first}{between}{second}") is None


# --- yes and no -------------------------------------------------------------------------------------------------------

YES = {
    "en": [
        "yes",
        "yes please",
        "Yes, of course!",
        "yeah",
        "sure",
        "definitely",
        "Yes I would",
        "yes because it was good",
    ],
    "de": ["ja", "ja bitte", "Ja, gerne", "klar", "auf jeden Fall", "Ja, weil es schön war", "jo"],
    "fr": ["oui", "oui merci", "Oui, bien sûr", "bien sur", "ouais", "oui parce que c'était bien"],
    "es": ["sí", "si", "Sí, por favor", "claro que sí", "sí, gracias", "Sí, porque me gustó"],
    "it": ["sì", "Sì grazie", "certo", "sì, certo", "volentieri", "sì perché siete bravi"],
    "nl": ["ja", "ja graag", "ja hoor", "natuurlijk", "Ja, alsjeblieft", "ja omdat het goed was"],
    "pt": ["sim", "sim, por favor", "com certeza", "claro", "Sim, porque gostei", "sim obrigado"],
    "pl": ["tak", "tak, proszę", "oczywiście", "Tak, bo było dobrze", "tak dziękuję", "pewnie"],
    "tr": ["evet", "EVET", "evet lütfen", "tabii ki", "Evet, çünkü iyiydi", "elbette"],
    "uk": ["так", "Так, будь ласка", "звичайно", "так, бо сподобалось", "ТАК!", "авжеж"],
    "ro": ["da", "da, vă rog", "sigur", "Da, pentru că a fost bine", "DA", "bineînțeles"],
    "ar": ["نعم", "نعم من فضلك", "نَعَم", "طبعا", "نعم، لأنها كانت جيدة", "بالتأكيد"],
    "": ["👍", "👍🏽", "👍👍🏿", "✅", "yes 👍", "1", "1 - Yes", "1️⃣", "Ｙｅｓ", "(yes)", "y\u200bes"],
}
NO = {
    "en": ["no", "No thanks", "no thank you!", "never", "definitely not", "No, it was too far", "nope, sorry"],
    "de": ["nein", "Nein danke", "niemals", "auf keinen Fall", "Nein, weil es zu weit ist", "nee"],
    "fr": ["non", "Non merci", "jamais", "pas du tout", "non parce que c'est loin"],
    "es": ["no", "no, gracias", "nunca", "claro que no", "No, porque está lejos"],
    "it": ["no", "No grazie", "mai", "assolutamente no", "no perché è lontano"],
    "nl": ["nee", "Nee, bedankt", "nooit", "zeker niet", "nee want het is te ver"],
    "pt": ["não", "nao", "Não, obrigada", "nunca", "claro que não", "não porque fica longe"],
    "pl": ["nie", "Nie, dziękuję", "nigdy", "na pewno nie", "nie bo daleko"],
    "tr": ["hayır", "HAYIR", "hayir", "Hayır, teşekkürler", "asla", "hayır çünkü uzak"],
    "uk": ["ні", "Ні, дякую", "ніколи", "звичайно ні", "ні бо далеко"],
    "ro": ["nu", "Nu, mulțumesc", "niciodată", "sigur că nu", "nu pentru că e departe"],
    "ar": ["لا", "لا شكرا", "أبدا", "بالطبع لا", "لا، لأنها بعيدة"],
    "": ["👎", "👎🏻", "❌", "no 👎", "2", "2 - No", "２"],
}
NEITHER = [
    *(
        "yes and no",
        "yes no",
        "maybe",
        "not sure",
        "yes maybe",
        "yes, but not sure",
        "No, I'm not sure",
        "I don't know",
    ),
    *("no idea", "no problem", "no worries", "no sé", "non so", "não sei", "nie wiem", "nu știu", "не знаю", "لا أعرف"),
    *("si hay tiempo", "da war ich schon", "так собі", "👍👎", "yes 👎", "no 👍", "weiß nicht", "jein", "1 No", "3"),
]


@pytest.mark.parametrize(("language", "text"), [(key, text) for key, texts in YES.items() for text in texts])
def test_yes_is_read_in_every_language(language, text):
    assert read(AGAIN, text) == "1"


@pytest.mark.parametrize(("language", "text"), [(key, text) for key, texts in NO.items() for text in texts])
def test_no_is_read_in_every_language(language, text):
    assert read(AGAIN, text) == "2"


@pytest.mark.parametrize("text", NEITHER)
def test_neither_yes_nor_no_is_asked_again(text):
    assert answer(AGAIN, text) is None


WORDS_FOR_YES_OR_NO = sorted({word for table in (words.YES, words.NO) for group in table.values() for word in group})


def test_no_word_says_yes_in_one_language_and_no_in_another():
    spelt = [{reading.spelt(word) for group in table.values() for word in group} for table in (words.YES, words.NO)]

    assert spelt[0].isdisjoint(spelt[1])


@pytest.mark.parametrize("word", WORDS_FOR_YES_OR_NO)
@pytest.mark.parametrize("behind", ["t sure yet", "uary", " opinion", "ch"])
def test_a_word_for_yes_or_no_is_never_short_for_another_label(word, behind):
    for said in (word, word.upper(), f"{word}!"):
        assert answer(Question(Kind.CHOICE, "?", (f"{word}{behind}", "Later")), said) is None


def test_a_choice_of_yes_and_no_takes_their_words_in_every_language():
    maybe = Question(Kind.CHOICE, "?", ("Maybe", "No", "Yes"))

    assert [answer(maybe, text) for text in ("yep", "oui", "👍", "yes please")] == ["3"] * 4
    assert [answer(maybe, text) for text in ("nope", "nein danke", "👎", "ні")] == ["2"] * 4
    assert answer(maybe, "maybe") == "1"
    assert answer(SURE, "no") is None
    assert answer(SURE, "ja") is None
    assert answer(SURE, "jan") == "3"
    assert answer(Question(Kind.CHOICE, "?", ("Yes, often", "No, never", "Not sure")), "no") == "2"


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2 because it was quick", "2"),
        ("I'd say 2", "2"),
        ("option 3", "3"),
        ("2, thanks", "2"),
        ("Fine, thanks", "2"),
        ("2️⃣", "2"),
        ("1/2", None),  # a date, or two of them
        ("1-2", None),
        ("2 out of 3", None),
        ("2, too long", None),
        ("Fine, not too long", None),
        ("1 or 2", None),
        ("2²", None),
    ],
)
def test_one_choice_is_read_with_a_reason_but_never_two(text, code):
    assert answer(WAIT, text) == code


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("1 and 3 please", "1,3"),
        ("1, 3, thanks", "1,3"),
        ("1 y 3", "1,3"),
        ("1 و 3", "1,3"),
        ("1 i 3", "1,3"),
        ("1️⃣3️⃣", "1,3"),
        ("①③", "1,3"),
        ("seats, toys, thank you", "1,3"),
        ("1,3 because they are nice", "1,3"),
        ("1 or 3", None),
    ],
)
def test_several_choices_are_read_in_every_language(text, codes):
    assert answer(GOOD, text) == codes


@pytest.mark.parametrize(
    ("label", "texts"),
    [
        ("Überhaupt nicht", ["uberhaupt nicht", "UEBERHAUPT NICHT", "überhaupt nicht!"]),
        ("Très bien", ["tres bien", "TRÈS BIEN", "très bien."]),
        ("Don't know", ["dont know", "don’t know", "DON'T KNOW"]),
        ("Hayır", ["HAYIR", "hayir"]),
        ("Średnio", ["srednio", "ŚREDNIO"]),
        ("جيّد جدًا", ["جيد جدا", "جيـــد جدا"]),
        ("Țară", ["tara", "țară"]),
    ],
)
def test_a_label_may_be_typed_without_its_accents(label, texts):
    question = Question(Kind.CHOICE, "?", ("Something else", label))

    assert [answer(question, text) for text in texts] == ["2"] * len(texts)


AROUND = st.sampled_from(["", " ", "“", "”", "(", ")", "!", "...", "\u200f", "\u200b", "👍", '"', "\n", "* "])
LETTERS = st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Zs", "Po"], max_codepoint=0x2FFF)
LABEL = st.text(LETTERS, min_size=1, max_size=14) | st.sampled_from(
    ["No", "Not sure yet", "Yes", "Yes, often", "Ja", "Tea", "Tea and cake", "stop by", "İyi", "Straße", "ŞIK", "Σας"]
)


@given(labels=st.lists(LABEL, min_size=2, max_size=8), before=AROUND, behind=AROUND, data=st.data())
@example(labels=["No", "Not sure yet"], before="", behind="", data=None)
def test_a_label_typed_exactly_is_that_label(labels, before, behind, data):
    question = Question(Kind.CHOICE, "?", tuple(label.strip() for label in labels))
    if question_flaws(question):
        return
    for code, label in enumerate(question.choices, 1):
        assert read(question, label) == str(code)
        assert read(question, f"{before}{label}{behind}") == str(code)
        assert read(question, label.casefold()) == str(code)
        for typed in (label.upper(), unicodedata.normalize("NFD", label)):
            assert answer(question, typed) in (str(code), None)  # some letters have no capitals of their own


LETTERS_AND_SIGNS = st.text(max_size=60) | st.text("019 ,./-yesnoo👍👎½²①\u200f\u0301", max_size=20)
KINDS = [NPS, AGAIN, WAIT, GOOD, SURE, DEGREES, FIVE, PERCENT]


@given(text=LETTERS_AND_SIGNS, question=st.sampled_from(KINDS))
def test_whatever_is_written_gives_one_answer_or_none(text, question):
    found = answer(question, text)

    assert found == answer(question, text)
    if found is not None and question.kind is Kind.CHOICE:
        assert 1 <= int(found) <= len(question.choices)


@given(
    first=st.sampled_from(WAIT.choices),
    second=st.sampled_from(WAIT.choices),
    between=st.sampled_from([", ", " and ", " ", ". ", " / ", "\n"]),
)
def test_two_labels_are_never_one_answer(first, second, between):
    if first != second:
        assert answer(WAIT, f"{first}{between}{second}") is None


# --- effort -----------------------------------------------------------------------------------------------------------


def operations(work):
    """How many functions are called, Python's own included: a measure that no busy machine changes."""
    count = 0

    def counted(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


MANY = tuple(f"Choice number {number} of many" for number in range(248))
HOSTILE = ["c,", "1,", "1 and ", "choice number 1,", "🙂", "- ", "no ", "stop ", "\u0301", "9/", "a\n", "ﷺ", "(", "1 "]


@pytest.mark.parametrize("kind", [kind for kind in TYPES.values() if kind.is_asked and not kind.takes_words])
@pytest.mark.parametrize("piece", HOSTILE)
def test_reading_64_kilobytes_takes_no_more_than_reading_an_answer_may(kind, piece):
    question = Question(kind, "?", MANY if kind in (Kind.CHOICE, Kind.CHOICES) else ())
    text = piece * (65_536 // len(piece))

    assert operations(lambda: answer(question, text)) < 150_000


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("look", [stop_words.command, stop_words.is_near_miss, stop_words.mentions_stopping])
def test_looking_for_stop_words_is_linear(look, piece):
    texts = [piece * (size // len(piece)) for size in (8_192, 65_536)]
    few, many = (operations(lambda text=text: look(text)) for text in texts)

    assert many < 12 * few + 10_000

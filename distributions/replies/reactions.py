"""Reactions by phone: “Liked …” and its kin, sent as a text of its own to whoever's phone shows no emoji on a text.

Pure: values in, values out. Where the forms come from:
- English: Apple's tapbacks (https://support.apple.com/en-us/HT206894), as people quote them in
  https://github.com/FossifyOrg/Messages/issues/190 and https://github.com/quik-sms/quik/pull/533
- Google Messages: “Reacted 👍 to …”, with invisible spaces around emoji and quotation (the same pull request)
- “… ein Herz hinzugefügt”, “A ajouté un « J’adore » à …”, “Le dio risa …”, “Ha aggiunto un cuoricino a …”: as public
  parsers of exported conversations list them
- The rest are the words by which one says the same in these languages. No table is ever complete: whoever quotes the
  beginning of our own text and says hardly more has reacted too, in whatever language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

# {} is the quotation and * any emoji. A form is compared without case, signs and quotation marks.
FORMS: dict[str, tuple[str, ...]] = {
    "en": (
        "Liked {}",
        "Loved {}",
        "Disliked {}",
        "Laughed at {}",
        "Emphasised {}",
        "Emphasized {}",
        "Questioned {}",
        "Reacted * to {}",
        "Reacted with * to {}",
        "Reacted to {} with *",
        "Reacted with a sticker to {}",
        "* to {}",
        "Removed a like from {}",
        "Removed a heart from {}",
        "Removed a dislike from {}",
        "Removed a laugh from {}",
        "Removed an exclamation from {}",
        "Removed a question mark from {}",
        "Removed * from {}",
    ),
    "de": (
        "Gefällt {}",
        "Gefällt mir {}",
        "Gefällt {} nicht",
        "Gefällt nicht {}",
        "Liebt {}",
        "Mag {}",
        "Mag {} nicht",
        "Lacht über {}",
        "Betont {}",
        "Hinterfragt {}",
        "Hat {} geliebt",
        "Hat {} gefallen",
        "Hat über {} gelacht",
        "Hat {} betont",
        "Hat {} hervorgehoben",
        "Hat {} hinterfragt",
        "Hat {} mit „Gefällt mir“ markiert",
        "{} mit „Gefällt mir“ markiert",
        "{} ein Herz hinzugefügt",
        "Hat {} ein Herz hinzugefügt",
        "{} gefällt mir",
        "Hat mit * auf {} reagiert",
        "Mit * auf {} reagiert",
        "Hat * auf {} reagiert",
        "Hat auf {} mit * reagiert",
        "Reagierte mit * auf {}",
        "* auf {}",
        "Hat * von {} entfernt",
    ),
    "fr": (
        "A aimé {}",
        "Aime {}",
        "A adoré {}",
        "Adore {}",
        "N’a pas aimé {}",
        "A ri à {}",
        "A ri de {}",
        "Rit de {}",
        "A insisté sur {}",
        "A souligné {}",
        "A mis en évidence {}",
        "A mis en doute {}",
        "A questionné {}",
        "S’est interrogé sur {}",
        "A ajouté un « J’aime » à {}",
        "A ajouté un « J’adore » à {}",
        "A ajouté un cœur à {}",
        "A réagi avec * à {}",
        "A réagi par * à {}",
        "A réagi * à {}",
        "A réagi à {} avec *",
        "* à {}",
        "A supprimé * de {}",
        "A retiré * de {}",
    ),
    "es": (
        "Le gusta {}",
        "Le gustó {}",
        "Le ha gustado {}",
        "Le encanta {}",
        "Le encantó {}",
        "Le ha encantado {}",
        "No le gusta {}",
        "No le gustó {}",
        "Le dio risa {}",
        "Le hace gracia {}",
        "Le hizo gracia {}",
        "Se rió de {}",
        "Se rio de {}",
        "Exclamó por {}",
        "Enfatizó {}",
        "Destacó {}",
        "Dudó sobre {}",
        "Cuestionó {}",
        "Preguntó por {}",
        "Reaccionó con * a {}",
        "Ha reaccionado con * a {}",
        "Se ha reaccionado con * a {}",
        "* a {}",
        "Quitó * de {}",
    ),
    "it": (
        "Piace {}",
        "Gli piace {}",
        "Le piace {}",
        "Ha messo “Mi piace” a {}",
        "Ha messo mi piace a {}",
        "Ha messo “Non mi piace” a {}",
        "Ha aggiunto un cuoricino a {}",
        "Ha amato {}",
        "Adora {}",
        "Non piace {}",
        "Ha riso a {}",
        "Ha riso per {}",
        "Ha riso di {}",
        "Ride per {}",
        "Ha enfatizzato {}",
        "Ha evidenziato {}",
        "Ha messo in dubbio {}",
        "Ha dubitato di {}",
        "Ha reagito con * a {}",
        "Ha reagito a {} con *",
        "Ha rimosso * da {}",
    ),
    "nl": (
        "Vindt {} leuk",
        "Vond {} leuk",
        "Vindt {} geweldig",
        "Vond {} geweldig",
        "Vindt {} niet leuk",
        "Vond {} niet leuk",
        "Vindt {} grappig",
        "Vond {} grappig",
        "Houdt van {}",
        "Hield van {}",
        "Lachte om {}",
        "Lacht om {}",
        "Moest lachen om {}",
        "Benadrukte {}",
        "Heeft {} benadrukt",
        "Twijfelt aan {}",
        "Twijfelde aan {}",
        "Trok {} in twijfel",
        "Reageerde met * op {}",
        "Heeft met * gereageerd op {}",
        "Heeft met * op {} gereageerd",
        "* op {}",
        "Heeft * verwijderd van {}",
    ),
    "pt": (
        "Curtiu {}",
        "Gostou de {}",
        "Gosta de {}",
        "Amou {}",
        "Adorou {}",
        "Não curtiu {}",
        "Não gostou de {}",
        "Riu de {}",
        "Riu-se de {}",
        "Enfatizou {}",
        "Deu ênfase a {}",
        "Destacou {}",
        "Questionou {}",
        "Reagiu com * a {}",
        "Reagiu com * para {}",
        "Reagiu a {} com *",
        "Removeu * de {}",
    ),
    "pl": (
        "Lubi {}",
        "Polubił {}",
        "Polubiła {}",
        "Polubił(a) {}",
        "Polubiono {}",
        "Podoba się {}",
        "Uwielbia {}",
        "Pokochał {}",
        "Pokochała {}",
        "Pokochał(a) {}",
        "Nie lubi {}",
        "Nie podoba się {}",
        "Zaśmiał się z {}",
        "Zaśmiała się z {}",
        "Zaśmiał(a) się z {}",
        "Śmieje się z {}",
        "Podkreślił {}",
        "Podkreśliła {}",
        "Podkreślił(a) {}",
        "Zakwestionował {}",
        "Zakwestionowała {}",
        "Zakwestionował(a) {}",
        "Zareagował * na {}",
        "Zareagowała * na {}",
        "Zareagował(a) * na {}",
        "Zareagowano * na {}",
        "* na {}",
    ),
    "tr": (
        "{} beğendi",
        "{} beğenildi",
        "{} mesajını beğendi",
        "{} iletisini beğendi",
        "Beğendi {}",
        "{} bayıldı",
        "{} mesajına bayıldı",
        "{} iletisine bayıldı",
        "{} sevdi",
        "{} mesajını sevdi",
        "{} beğenmedi",
        "{} mesajını beğenmedi",
        "{} mesajına güldü",
        "{} iletisine güldü",
        "{} güldü",
        "{} vurguladı",
        "{} mesajını vurguladı",
        "{} sorguladı",
        "{} mesajını sorguladı",
        "{} mesajına * ile tepki verdi",
        "{} mesajına * tepkisi verdi",
        "{} iletisine * tepkisini verdi",
        "{} için * tepkisi verdi",
        "{} * ile tepki verdi",
    ),
    "uk": (
        "Подобається {}",
        "Сподобалося {}",
        "Сподобалось {}",
        "Вподобано {}",
        "Вподобав {}",
        "Вподобала {}",
        "Полюбив {}",
        "Полюбила {}",
        "Не подобається {}",
        "Не сподобалося {}",
        "Сміється з {}",
        "Розсмішило {}",
        "Посміявся з {}",
        "Посміялася з {}",
        "Підкреслив {}",
        "Підкреслила {}",
        "Поставив під сумнів {}",
        "Реакція * на {}",
        "Зреагував * на {}",
        "Зреагувала * на {}",
        "Відреагував * на {}",
        "Відреагувала * на {}",
    ),
    "ro": (
        "I-a plăcut {}",
        "Îi place {}",
        "A apreciat {}",
        "A iubit {}",
        "A adorat {}",
        "Nu i-a plăcut {}",
        "A râs la {}",
        "A râs de {}",
        "A subliniat {}",
        "A accentuat {}",
        "A pus la îndoială {}",
        "A reacționat cu * la {}",
        "A reacționat la {} cu *",
    ),
    "ar": (
        "أعجبه {}",
        "أعجبها {}",
        "أعجب بـ {}",
        "أُعجب بـ {}",
        "أحب {}",
        "أحبّ {}",
        "لم يعجبه {}",
        "ضحك على {}",
        "أكد على {}",
        "أكّد على {}",
        "شكك في {}",
        "تفاعل بـ * مع {}",
        "تفاعل باستخدام * مع {}",
    ),
}

_OPEN = "“„«»\"‘‚'「”"
_CLOSE = "”“»«\"’‘'」"
_CUT_OFF = {"“": "”", "„": "“”", "«": "»"}  # the end is missing where the phone has cut the text off
_INVISIBLE = dict.fromkeys(map(ord, "\u2009\u200a\u200b\u200c\u200e\u200f\u2060\ufeff\u2063"))
_LONG_ENOUGH = 10  # characters by which a quotation of our own text is known
_FEW_WORDS = 5  # that phones say besides the quotation
_LONGEST = 4_000  # characters that are looked at


def is_reaction(text: str, sent: Iterable[str] = (), *, asks_for_words: bool = False) -> bool:
    """Whether a text is a phone's word for a reaction to one of the texts in `sent`.

    `asks_for_words`: an answer of any form is waited for, so that only a quotation of `sent` or an emoji proves it.
    """
    ours = [_bare(one) for one in sent]
    for before, quoted, after in _readings(text[:_LONGEST].translate(_INVISIBLE).strip()):
        form, said = (_bare(before), _bare(after)), _bare(quoted)
        is_ours = any(one.startswith(said) and (len(said) >= _LONG_ENOUGH or one == said) for one in ours if said)
        if form in _FORMS and (is_ours or not asks_for_words or "*" in form[0] + form[1]):
            return True
        words = f"{form[0]} {form[1]}".split()
        if is_ours and not asks_for_words and not all(form) and 0 < len(words) <= _FEW_WORDS:
            return True
    return False


def _readings(text: str) -> Iterator[tuple[str, str, str]]:
    """What may stand before, in and after the quotation: of several quotation marks, the outermost or the last ones."""
    opening = [place for place, sign in enumerate(text) if sign in _OPEN]
    closing = [place for place, sign in enumerate(text) if sign in _CLOSE]
    if not opening:
        return
    starts = dict.fromkeys([opening[0], *opening[1:4], *opening[-4:]])
    ends = dict.fromkeys([*closing[:1], *closing[-3:]])
    for start in starts:
        for end in ends:
            if start < end:
                yield text[:start], text[start + 1 : end], text[end + 1 :]
        if text[start] in _CUT_OFF and not any(text[end] in _CUT_OFF[text[start]] for end in closing):
            yield text[:start], text[start + 1 :], ""


def _bare(text: str) -> str:
    """Words alone, without case and signs; an emoji becomes *."""
    kept = ""
    for sign in unicodedata.normalize("NFKC", _EMOJI.sub(" * ", text)).casefold():
        kept += sign if sign.isalnum() or sign == "*" or unicodedata.category(sign) == "Mn" else " "
    return " ".join(re.sub(r"\*(?: \*)+", "*", " ".join(kept.split())).split())


_EMOJI = re.compile(
    "(?:[\u203c\u2049\u2190-\u21ff\u2300-\u27bf\u2900-\u2bff\u3030\u303d\U0001f000-\U0001faff]"
    "[\ufe0f\u20e3\u200d\U0001f3fb-\U0001f3ff]*)+"
)
_FORMS = frozenset(
    (_bare(before), _bare(after))
    for forms in FORMS.values()
    for before, _quotation, after in (form.replace("*", "👍").partition("{}") for form in forms)
)

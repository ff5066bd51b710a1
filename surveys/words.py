"""What people write for yes, no and a number, in each language they answer in. Read only by `reading`.

Accents, case and apostrophes do not matter, and all languages hold for everybody: an answer is read as it comes.
"""

from __future__ import annotations


def _split(words: str) -> tuple[str, ...]:
    """Words or phrases with commas between them."""
    return tuple(word.strip() for word in words.split(","))


YES: dict[str, tuple[str, ...]] = {
    "en": _split("y, yes, yep, yeah, yup, yea, ya, yess, ok, okay"),
    "de": _split("j, ja, jo, jap, jep, jawohl, aber ja, ja doch"),
    "fr": _split("oui, ouais, mais oui"),
    "es": _split("sí"),
    "it": _split("sì"),
    "nl": _split("ja, jawel, ja hoor"),
    "pt": _split("sim"),
    "pl": _split("tak"),
    "tr": _split("evet"),
    "uk": _split("так, ага, да"),
    "ro": _split("da"),
    "ar": _split("نعم, أجل, ايوه, أيوه, ايوا, إي"),
}

NO: dict[str, tuple[str, ...]] = {
    "en": _split(
        "n, no, nope, nah, no way, never, definitely not, certainly not, absolutely not, of course not, probably "
        "not, not really, not at all, no thanks, no thank you"
    ),
    "de": _split(
        "nein, ne, nee, nö, nie, niemals, auf keinen fall, sicher nicht, bestimmt nicht, natürlich nicht, eher "
        "nicht, leider nein, gar nicht, überhaupt nicht, nein danke"
    ),
    "fr": _split("non, jamais, pas du tout, bien sûr que non, certainement pas, pas vraiment, non merci"),
    "es": _split("no, nunca, jamás, claro que no, por supuesto que no, para nada, en absoluto, no gracias"),
    "it": _split("no, mai, certo che no, assolutamente no, per niente, certamente no, no grazie"),
    "nl": _split(
        "nee, neen, nooit, zeker niet, helemaal niet, natuurlijk niet, absoluut niet, liever niet, nee bedankt, "
        "nee dank u, nee dank je"
    ),
    "pt": _split(
        "não, nunca, jamais, claro que não, com certeza não, de jeito nenhum, de modo nenhum, não obrigado, não "
        "obrigada"
    ),
    "pl": _split("nie, nigdy, na pewno nie, oczywiście że nie, raczej nie, absolutnie nie, wcale nie, nie dziękuję"),
    "tr": _split("hayır, yok, asla, kesinlikle hayır, tabii ki hayır, hiç, hayır teşekkürler"),
    "uk": _split("ні, нє, нет, ніколи, звичайно ні, точно ні, в жодному разі, ні дякую"),
    "ro": _split("nu, niciodată, sigur că nu, bineînțeles că nu, deloc, în niciun caz, nu mulțumesc"),
    "ar": _split("لا, كلا, أبدا, بالطبع لا, أكيد لا, مطلقا, لا شكرا"),
}

# Says yes by itself, and makes a yes or a no stronger.
ASSENT: dict[str, tuple[str, ...]] = {
    "en": _split(
        "sure, of course, definitely, absolutely, certainly, indeed, very much, gladly, with pleasure, totally"
    ),
    "de": _split(
        "klar, na klar, gerne, gern, sehr gerne, sehr gern, natürlich, sicher, selbstverständlich, auf jeden fall"
    ),
    "fr": _split("bien sûr, bien sur, certainement, absolument, volontiers, avec plaisir, évidemment, tout à fait"),
    "es": _split("claro, claro que sí, por supuesto, desde luego, seguro, con gusto, sin duda"),
    "it": _split("certo, certamente, sicuramente, assolutamente, volentieri, ovviamente, con piacere"),
    "nl": _split("zeker, natuurlijk, graag, absoluut, jazeker, uiteraard"),
    "pt": _split("claro, com certeza, certamente, sem dúvida, com prazer, claro que sim"),
    "pl": _split("oczywiście, jasne, pewnie, zdecydowanie, na pewno, chętnie"),
    "tr": _split("tabii, tabii ki, elbette, kesinlikle, memnuniyetle"),
    "uk": _split("звичайно, звісно, авжеж, обов'язково, із задоволенням"),
    "ro": _split("sigur, desigur, bineînțeles, cu siguranță, cu plăcere"),
    "ar": _split("طبعا, بالطبع, بالتأكيد, أكيد, بكل سرور"),
}

# Neither: whoever writes one of these beside a yes or a no is asked again.
UNSURE: dict[str, tuple[str, ...]] = {
    "en": _split(
        "maybe, perhaps, possibly, not sure, unsure, dont know, do not know, no idea, depends, dunno, not, never"
    ),
    "de": _split(
        "vielleicht, eventuell, nicht sicher, unsicher, weiß nicht, keine ahnung, kommt darauf an, nicht, jein"
    ),
    "fr": _split("peut être, pas sûr, pas sûre, sais pas, aucune idée, dépend, pas"),
    "es": _split("quizás, quizá, tal vez, no sé, no lo sé, ni idea, depende, no estoy seguro, no estoy segura"),
    "it": _split("forse, non so, non lo so, dipende, non sono sicuro, non sono sicura, non"),
    "nl": _split("misschien, weet niet, weet het niet, geen idee, hangt ervan af, niet zeker, niet"),
    "pt": _split("talvez, não sei, depende, não tenho certeza, sei lá"),
    "pl": _split("może, nie wiem, zależy, nie jestem pewien, nie jestem pewna"),
    "tr": _split("belki, bilmiyorum, emin değilim, değil"),
    "uk": _split("можливо, може, не знаю, залежить, не впевнений, не впевнена, не"),
    "ro": _split("poate, nu știu, depinde, nu sunt sigur, nu sunt sigură"),
    "ar": _split("ربما, لا أعرف, لا أدري, لا أعلم, غير متأكد, لست متأكدا"),
}

# Begins a reason: what comes behind is not part of the answer.
REASON: dict[str, tuple[str, ...]] = {
    "en": _split("because, cause, cuz, coz, since, as, but, although, though, for, due"),
    "de": _split("weil, da, denn, wegen, aber, obwohl, weils"),
    "fr": _split("parce que, parce qu, car, mais, puisque, à cause, grâce, pour"),
    "es": _split("porque, ya que, pues, pero, por culpa, debido, aunque"),
    "it": _split("perché, poiché, ma, però, dato che, per via, anche se"),
    "nl": _split("omdat, want, maar, vanwege, door, hoewel"),
    "pt": _split("porque, pois, mas, por causa, já que, embora, devido"),
    "pl": _split("bo, ponieważ, gdyż, ale, dlatego, z powodu, bowiem"),
    "tr": _split("çünkü, ama, fakat, zira, ancak"),
    "uk": _split("бо, тому що, через, але, оскільки, адже"),
    "ro": _split("pentru că, fiindcă, deoarece, dar, din cauza, căci"),
    "ar": _split("لأن, لأنه, لأنها, لأني, لأنني, لأنكم, لأنهم, بسبب, لكن, ولكن, حيث"),
}

# May stand before a number: "I'd say 7".
BEFORE: dict[str, tuple[str, ...]] = {
    "en": _split(
        "i, id, i d, ill, would, will, say, give, you, it, a, an, my, answer, rating, score, is, its, im, at, "
        "about, around, maybe, probably, perhaps, rate, think, guess, number, option, choice, solid, clear, the, "
        "of, well, hmm, um, so, ok, definitely, like, im going with, go with, going with, choose, pick, "
        "approximately, roughly, easily, that, was, were"
    ),
    "de": _split(
        "ich, würde, sage, sagen, gebe, geben, vergebe, eine, ein, einen, die, den, meine, antwort, note, "
        "wertung, ist, etwa, ungefähr, circa, ca, vielleicht, wohl, eher, nummer, möglichkeit, wähle, nehme, ne, "
        "klare, glatte, also, mal, schätze, denke, ihnen, euch, das, nr, punktzahl"
    ),
    "fr": _split(
        "je, dirais, dis, donne, donnerais, mets, mettrais, un, une, le, la, ma, note, réponse, est, environ, "
        "peut être, numéro, choisis, choix, pense, crois, plutôt, disons, l, vous, c est, cest, option"
    ),
    "es": _split(
        "yo, diría, digo, doy, daría, le, les, pongo, pondría, un, una, el, mi, nota, respuesta, es, unos, "
        "aproximadamente, quizás, tal vez, número, opción, elijo, creo, que, sería, puntuación"
    ),
    "it": _split(
        "io, direi, dico, do, darei, metto, metterei, un, uno, il, la, mio, mia, voto, risposta, è, circa, "
        "forse, numero, scelgo, penso, credo, diciamo, vi, opzione"
    ),
    "nl": _split(
        "ik, zou, zeggen, zeg, geef, geven, een, de, het, mijn, antwoord, cijfer, is, ongeveer, misschien, "
        "nummer, kies, denk, doe, maar, toch, wel, optie"
    ),
    "pt": _split(
        "eu, diria, digo, dou, daria, um, uma, o, a, minha, nota, resposta, é, cerca, de, talvez, número, "
        "escolho, acho, que, seria, opção"
    ),
    "pl": _split(
        "ja, powiedziałbym, powiedziałabym, powiem, daję, dałbym, dałabym, dam, moja, ocena, odpowiedź, to, "
        "około, może, chyba, numer, wybieram, myślę, że, ocenę, na"
    ),
    "tr": _split(
        "ben, derim, veriyorum, puanım, cevabım, yaklaşık, belki, numara, sanırım, bence, puan, notum, seçenek"
    ),
    "uk": _split(
        "я, б, сказав, сказала, би, сказала, скажу, ставлю, даю, моя, оцінка, відповідь, це, приблизно, мабуть, "
        "номер, думаю, десь, оцінку, на"
    ),
    "ro": _split(
        "eu, aș, spune, zice, dau, un, o, nota, răspunsul, meu, este, e, cam, poate, numărul, aleg, cred, că, "
        "vă, circa, opțiunea"
    ),
    "ar": _split(
        "أنا, أقول, سأقول, أعطي, أعطيكم, إجابتي, تقييمي, هو, هي, حوالي, تقريبا, ربما, رقم, أختار, أعتقد, درجة, "
        "الرقم, سأعطي"
    ),
}

# May stand behind a number and changes nothing: "8 points", "8 I think".
BEHIND: dict[str, tuple[str, ...]] = {
    "en": _split(
        "points, point, pts, stars, star, i, id, say, would, think, guess, suppose, maybe, probably, definitely, "
        "for, me, you, from, ish, for sure, overall, all in all, in total, easily, really, honestly"
    ),
    "de": _split(
        "punkte, punkten, punkt, sterne, sternen, stern, denke, ich, glaube, würde, sagen, sage, schätze, "
        "vielleicht, von, mir, insgesamt, so, ungefähr, etwa"
    ),
    "fr": _split(
        "points, point, étoiles, étoile, je, pense, crois, dirais, environ, peut être, pour, moi, à peu près, au total"
    ),
    "es": _split("puntos, punto, estrellas, estrella, creo, diría, yo, más o menos, quizás, para, mí, en total"),
    "it": _split("punti, punto, stelle, stella, credo, penso, direi, circa, forse, per, me, più o meno, in totale"),
    "nl": _split("punten, punt, sterren, ster, denk, ik, zou, zeggen, misschien, ongeveer, voor, mij, ofzo, geven"),
    "pt": _split("pontos, ponto, estrelas, estrela, acho, eu, diria, talvez, mais ou menos, para, mim, no total"),
    "pl": _split("punktów, punkty, pkt, gwiazdek, gwiazdki, myślę, chyba, może, około, ode, mnie, w sumie"),
    "tr": _split("puan, yıldız, sanırım, bence, derim, veriyorum, belki, verdim, veririm"),
    "uk": _split("балів, бали, бал, зірок, зірки, думаю, мабуть, можливо, десь, від, мене, я"),
    "ro": _split("puncte, punct, stele, stea, cred, zic, aș, zice, spune, poate, cam, din, partea, mea"),
    "ar": _split("نقاط, نقطة, نجوم, نجمة, أعتقد, ربما, تقريبا, درجات, درجة"),
}

# Between a rating and what is its most: "9 out of 10". A slash does too.
OUT_OF: dict[str, tuple[str, ...]] = {
    "en": _split("out of, of, outta, from"),
    "de": _split("von, aus, auf"),
    "fr": _split("sur"),
    "es": _split("de, sobre, de un total de"),
    "it": _split("su, di"),
    "nl": _split("van de, van, uit, op de"),
    "pt": _split("de, em, de um total de"),
    "pl": _split("na, z"),
    "uk": _split("з, із, зі"),
    "ro": _split("din"),
    "ar": _split("من, من أصل, على"),
}

OUT_OF_BEFORE = "üzerinden"  # in Turkish the most comes first: "10 üzerinden 9"
# A whole sentence may follow these at once: "yes I would".
WITH_SENTENCE = frozenset({"yes", "yeah", "yep", "no", "nope", "nein", "oui", "non"})
SENTENCE = frozenset({"i", "id", "im", "we", "it", "its", "they", "he", "she", "ich", "wir", "je"})
MINUS = _split("minus, moins, menos, meno, min, eksi, мінус, ناقص, سالب, negative")
POINT = _split("point, komma, virgule, coma, virgola, vírgula, przecinek, virgül, кома, virgulă, فاصلة, comma, punto")
OR = _split("or, oder, ou, o, of, lub, albo, veya, або, чи, sau, أو, to, bis, actually")
AND = _split("and, und, et, y, e, en, i, ve, і, й, та, și, si, و")

_NUMBERS = (
    "zero one two three four five six seven eight nine ten",
    "null eins zwei drei vier fünf sechs sieben acht neun zehn",
    "null eine zwo drei vier fuenf",
    "null ein",
    "zéro un deux trois quatre cinq six sept huit neuf dix",
    "zéro une",
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez",
    "cero una",
    "zero uno due tre quattro cinque sei sette otto nove dieci",
    "nul één twee drie vier vijf zes zeven acht negen tien",
    "zero um dois três quatro cinco seis sete oito nove dez",
    "zero uma duas",
    "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć",
    "sıfır bir iki üç dört beş altı yedi sekiz dokuz on",
    "нуль один два три чотири п'ять шість сім вісім дев'ять десять",
    "ноль одна дві",
    "zero unu doi trei patru cinci șase șapte opt nouă zece",
    "zero una două",
    "صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة",
    "صفر واحدة اثنين ثلاث أربع خمس ست سبع ثمان تسع عشر",
    "صفر واحد إثنان ثلاثه اربعه خمسه سته سبعه ثماني",
)
NUMBERS: dict[str, int] = {word: number for words in _NUMBERS for number, word in enumerate(words.split())}

# A hand's colour is another sign behind it, and does not matter.
YES_SIGNS = frozenset("👍👌✅✔☑💯🆗")
NO_SIGNS = frozenset("👎❌✖✘🚫⛔")

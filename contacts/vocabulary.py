"""The words by which people stop texts, start them again or ask for help, in each language people answer in.

Read only by `stop_words`, which says what they mean. Accents, case, apostrophes and signs do not matter; several words
that belong together stand with spaces between them. All languages hold for everybody: nobody knows which one the next
person writes in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """One language. All but `help` and `start` are about people who want no more texts.

    `stop` are stop words that are seldom used otherwise, `everyday` those that honest answers hold too ("in the end"):
    alone both opt out, in company an everyday one raises a doubt only where it leads the text or everything beside it
    is a `filler`. `courtesy` changes nothing about a stop word. `phrases` raise a doubt wherever they are in a short
    text, `alone` only if there is nothing but courtesy beside them. `harmless` are turns of phrase with a stop word in
    them that say something else.
    """

    stop: tuple[str, ...]
    everyday: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    courtesy: tuple[str, ...] = ()
    filler: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()


def _split(words: str) -> tuple[str, ...]:
    """Words or phrases with commas between them."""
    return tuple(word.strip() for word in words.split(","))


LANGUAGES: dict[str, Words] = {
    "en": Words(  # the carriers' standard set, which holds in every language, and what people write instead
        stop=_split("stop, stopall, stop all, unsubscribe, revoke, optout, opt out, opt-out"),
        everyday=_split("cancel, end, quit"),
        start=_split("start, unstop, yes"),
        help=_split("help, info"),
        courtesy=_split(
            "please, pls, plz, thanks, thank you, thank you very much, thanks a lot, many thanks, thx, ty, "
            "cheers, hi, hello, hey, dear, sir, madam, sorry, ok, okay, kind regards, regards, bye, goodbye, no "
            "thanks, no thank you"
        ),
        filler=_split(
            "i, we, you, want, to, would, like, id, wish, need, can, could, how, do, me, my, it, this, that, "
            "these, all, now, just, the, from, texts, text, texting, messages, message, messaging, sms, "
            "subscription, service, list, number, immediately, today, already, said, lets, let, us"
        ),
        phrases=_split(
            "dont text, do not text, stop texting, no more texts, no more messages, no more sms, dont message, "
            "do not message, dont contact, do not contact, dont call me, dont send me, do not send me, dont send "
            "any, do not send any, remove me, take me off, delete my number, remove my number, lose my number, "
            "delete me from, forget my number, leave me alone, wrong number, wrong person, not my number, who is "
            "this, cease and desist, do not disturb me, dont bother me, stop messaging, stop sending, opt me "
            "out, opting out, sign me off, unsubscribe me, dont want these, dont want your, dont want any more, "
            "dont want texts, dont want messages, dont write, do not write, stop it"
        ),
        alone=_split(
            "not interested, im not interested, remove, delete, spam, go away, no more, fuck off, piss off, get "
            "lost, shut up, unsub, cease, desist, sotp, stpo, tsop, unsubcribe, unsuscribe, unsubscibe, stop1, sstop"
        ),
        harmless=_split(
            "bus stop, bus stops, tram stop, train stop, metro stop, first stop, last stop, next stop, one stop, "
            "pit stop, full stop, non stop, stop by, stop off, stop over, never stop, dont stop, do not stop, "
            "cant stop, could not stop, couldnt stop, didnt stop, did not stop, doesnt stop, does not stop, wont "
            "stop, non-stop, end to end, weekend, quit smoking, stop smoking"
        ),
    ),
    "de": Words(
        stop=_split("stopp, abmelden, abbestellen, austragen, abmeldung, abbestellung"),
        start=_split("anmelden"),
        help=_split("hilfe"),
        courtesy=_split(
            "bitte, danke, dankeschön, danke schön, vielen dank, besten dank, hallo, guten tag, guten morgen, "
            "guten abend, moin, servus, mfg, mit freundlichen grüßen, viele grüße, grüße, lg, entschuldigung, "
            "sorry, nein danke, tschüss"
        ),
        phrases=_split(
            "keine sms mehr, keine nachrichten mehr, keine weiteren sms, keine weiteren nachrichten, keine sms, "
            "keine nachrichten, nicht mehr schreiben, nicht mehr anschreiben, nicht mehr kontaktieren, nicht "
            "mehr anrufen, schreiben sie mir nicht, schreibt mir nicht, schreib mir nicht, meine nummer löschen, "
            "meine nummer, nummer löschen, löschen sie meine, lösch meine, melden sie mich ab, meldet mich ab, "
            "melde mich ab, ich will das nicht, ich möchte das nicht, tragen sie mich aus, lassen sie mich in "
            "ruhe, lasst mich in ruhe, lass mich in ruhe, falsche nummer, wer ist das, belästigen sie mich, "
            "aufhören bitte, bitte aufhören, hören sie auf, hör auf, hört auf, will keine, möchte keine, nichts "
            "mehr schicken, nichts mehr senden, nicht mehr senden, nicht mehr stören"
        ),
        alone=_split(
            "kein interesse, ich habe kein interesse, aufhören, schluss, schluss damit, ende, löschen, spam, es "
            "reicht, reicht jetzt, nicht mehr, kündigen, stop jetzt, sofort aufhören"
        ),
        harmless=_split("erster stopp, letzter stopp, nächster stopp, kurzer stopp"),
    ),
    "fr": Words(
        stop=_split("désabonner, désinscrire, désabonnement, désinscription, désabonnez moi, désinscrivez moi"),
        everyday=_split("arrêt, arrêter, résilier"),
        start=_split("démarrer"),
        help=_split("aide, infos"),
        courtesy=_split(
            "s'il vous plaît, s'il te plaît, svp, stp, merci, merci beaucoup, merci bien, bonjour, bonsoir, "
            "salut, cordialement, désolé, désolée, non merci, au revoir"
        ),
        filler=_split(
            "je, veux, voudrais, souhaite, comment, les, messages, sms, textos, tout, ça, cela, maintenant, vos"
        ),
        phrases=_split(
            "plus de sms, plus de messages, plus de textos, ne m'écrivez plus, ne m'envoyez plus, ne me "
            "contactez plus, ne m'appelez plus, ne plus recevoir, arrêtez de m'écrire, arrêtez de m'envoyer, "
            "arrêtez d'envoyer, arrêtez vos, arrêtez ces, arrêtez les, arrêtez s'il vous plaît, arrêtez svp, "
            "retirez moi, enlevez moi, supprimez moi, supprimez mon numéro, effacez mon numéro, retirez mon "
            "numéro, laissez moi tranquille, laissez moi en paix, mauvais numéro, faux numéro, qui êtes vous, me "
            "désabonner, me désinscrire, ne me dérangez plus, n'envoyez plus"
        ),
        alone=_split(
            "fin, pas intéressé, pas intéressée, arrêtez, arrête, ça suffit, spam, supprimer, foutez moi la paix"
        ),
        harmless=_split("arrêt de bus, arrêt de tram, arrêt maladie, arrêt de travail, sans arrêt, non stop"),
    ),
    "es": Words(
        stop=_split("desuscribir, desuscribirme, darme de baja, dar de baja, darse de baja"),
        everyday=_split("baja, alto, parar, cancelar, detener"),
        start=_split("iniciar"),
        help=_split("ayuda"),
        courtesy=_split(
            "por favor, porfa, gracias, muchas gracias, hola, buenos días, buenas tardes, buenas noches, "
            "saludos, perdón, disculpe, no gracias, adiós"
        ),
        filler=_split(
            "quiero, quisiera, deseo, cómo, puedo, los, mensajes, sms, esto, todo, ya, ahora, mi, suscripción"
        ),
        phrases=_split(
            "no más mensajes, no más sms, no me escriban, no me escriba, no me escribas, no me envíen, no me "
            "envíe, no me envíes, no me manden, no me mande, no me mandes, no me contacten, no me llamen, no me "
            "molesten, no me moleste, dejen de, deje de escribir, deja de escribir, deje de enviar, deja de "
            "enviar, deje de mandar, deja de mandar, borren mi número, borre mi número, borra mi número, "
            "eliminen mi número, elimine mi número, quítenme, quíteme, quítame, sáquenme, denme de baja, deme de "
            "baja, dame de baja, número equivocado, quién es usted, no quiero mensajes, no quiero más, no quiero "
            "recibir, déjenme en paz, déjeme en paz, déjame en paz"
        ),
        alone=_split(
            "no me interesa, no estoy interesado, no estoy interesada, basta, basta ya, paren, pare, para ya, "
            "bórrenme, bórrame, eliminar, no molestar, no molesten, spam"
        ),
        harmless=_split("dado de baja, de baja calidad"),
    ),
    "it": Words(
        stop=_split("disiscrivimi, disiscrivermi, disiscrizione, cancellami, cancellatemi, disiscrivetemi"),
        everyday=_split("annulla, cancella"),
        start=_split("inizia, iscrivimi"),
        help=_split("aiuto"),
        courtesy=_split(
            "per favore, per piacere, per cortesia, grazie, grazie mille, molte grazie, ciao, buongiorno, "
            "buonasera, salve, cordiali saluti, saluti, scusi, scusate, no grazie, arrivederci"
        ),
        filler=_split(
            "voglio, vorrei, come, posso, i, miei, messaggi, sms, tutto, questo, questi, ora, subito, la, iscrizione"
        ),
        phrases=_split(
            "basta messaggi, basta sms, niente messaggi, niente sms, non scrivetemi, non scrivermi, non mi "
            "scrivete, non mi scriva, non mi scrivere, non mandatemi, non mi mandate, non inviatemi, non "
            "contattatemi, non mi contattate, non chiamatemi, smettetela, smettila, smettete di, la smetta, "
            "smetta di, rimuovetemi, rimuovimi, toglietemi, toglimi, cancellate il mio, cancella il mio, "
            "eliminate il mio, numero sbagliato, chi siete, chi è lei, non voglio messaggi, non voglio più, non "
            "voglio ricevere, lasciatemi in pace, lasciami in pace, non disturbatemi, basta scrivere"
        ),
        alone=_split(
            "non mi interessa, non sono interessato, non sono interessata, basta, basta così, basta basta, fermati, "
            "fermatevi, disdici, disdire, non voglio sms, spam"
        ),
    ),
    "nl": Words(
        stop=_split("afmelden, uitschrijven, afmelding"),
        everyday=_split("stoppen"),
        start=_split("aanmelden"),
        help=_split("hulp"),
        courtesy=_split(
            "alstublieft, alsjeblieft, aub, ajb, svp, bedankt, dank u, dank je, dank u wel, dank je wel, "
            "dankjewel, hartelijk dank, hallo, hoi, dag, goedemorgen, goedemiddag, goedenavond, groeten, met "
            "vriendelijke groet, mvg, sorry, nee bedankt, nee dank u, nee dank je"
        ),
        filler=_split("ik, wil, wilt, u, graag, hiermee, ermee, nu, kan, hoe, met, dit, de, berichten, sms, sturen"),
        phrases=_split(
            "geen sms meer, geen berichten meer, geen smsjes meer, niet meer sms, niet meer sturen, niet meer "
            "schrijven, niet meer appen, niet meer contacteren, niet meer bellen, stuur mij geen, stuur me geen, "
            "stuur geen, stuur me niet, verwijder mij, verwijder me, verwijder mijn nummer, wis mijn nummer, "
            "haal mij, haal me, schrijf me uit, schrijf mij uit, meld me af, meld mij af, verkeerd nummer, wie "
            "is dit, wie bent u, laat me met rust, laat mij met rust, val me niet lastig, hou op, houd op, wil "
            "geen berichten, wil geen sms, wil dit niet, wil niet meer, geen contact meer"
        ),
        alone=_split("geen interesse, geen belangstelling, ophouden, klaar ermee, spam, verwijderen, einde"),
        harmless=_split("kon niet stoppen, stop contact"),
    ),
    "pt": Words(
        stop=_split("descadastrar, descadastre me, desinscrever, cancelar inscrição, cancelar subscrição"),
        everyday=_split("parar, cancelar, sair, remover"),
        start=_split("começar"),
        help=_split("ajuda"),
        courtesy=_split(
            "por favor, pf, obrigado, obrigada, muito obrigado, muito obrigada, grato, grata, olá, oi, bom dia, "
            "boa tarde, boa noite, desculpe, não obrigado, não obrigada, cumprimentos, tchau"
        ),
        filler=_split(
            "quero, queria, gostaria, desejo, de, como, posso, as, os, mensagens, sms, tudo, isto, isso, agora, "
            "já, da, lista"
        ),
        phrases=_split(
            "chega de mensagens, não me enviem, não me envie, não me mandem, não me mande, não enviem mais, não "
            "mandem mais, não envie mais, não mande mais, não me escrevam, não me contactem, não me contatem, "
            "não me liguem, parem de, pare de enviar, pare de mandar, para de mandar, para de enviar, removam "
            "me, remova me, remova meu número, apague o meu número, apaguem o meu número, apague meu número, "
            "retirem me, tire me, me tirem, me tire, me tira, me remova, me remove, número errado, quem é você, "
            "não quero mensagens, não quero mais, não quero receber, deixem me em paz, me deixe em paz, me "
            "deixem em paz, sem mais mensagens, mais mensagens não, não me incomodem"
        ),
        alone=_split(
            "não tenho interesse, sem interesse, não estou interessado, não estou interessada, chega, basta, "
            "parem, pare, spam"
        ),
    ),
    "pl": Words(
        stop=_split("wypisz, wypisz mnie, wypisać, zrezygnuj, wyrejestruj, wyrejestrować"),
        everyday=_split("rezygnuję, rezygnacja, anuluj"),
        start=_split("wznów, rozpocznij"),
        help=_split("pomoc, pomocy"),
        courtesy=_split(
            "proszę, prosze, dziękuję, dzięki, dziękuję bardzo, dzień dobry, cześć, witam, hej, dobry wieczór, "
            "pozdrawiam, przepraszam, nie dziękuję, do widzenia"
        ),
        filler=_split("ja, chcę, z, subskrypcji, wiadomości, sms, smsy, teraz, już, to, tego"),
        phrases=_split(
            "nie pisz do mnie, nie piszcie, proszę nie pisać, nie pisz więcej, nie wysyłaj, nie wysyłajcie, "
            "proszę nie wysyłać, nie wysyłać więcej, nie dzwońcie, nie kontaktujcie, nie kontaktować, "
            "przestańcie, przestań, proszę przestać, usuńcie mnie, usuń mnie, proszę mnie usunąć, usuń mój "
            "numer, usuńcie mój numer, proszę usunąć, proszę mnie wypisać, wypiszcie mnie, zły numer, pomyłka, "
            "kto to, dajcie mi spokój, daj mi spokój, nie chcę wiadomości, nie chcę więcej, nie chcę otrzymywać, "
            "nie chcę smsów, nie chcę sms, koniec z wiadomościami, żadnych więcej, zostawcie mnie"
        ),
        alone=_split(
            "nie jestem zainteresowany, nie jestem zainteresowana, brak zainteresowania, koniec, spam, wystarczy już"
        ),
    ),
    "tr": Words(
        stop=_split("durdur, abonelikten çık, abonelik iptal, iptal et"),
        everyday=_split("iptal, ret"),
        start=_split("başlat, başla"),
        help=_split("yardım, bilgi"),
        courtesy=_split(
            "lütfen, teşekkürler, teşekkür ederim, teşekkür ederiz, sağ olun, sağol, merhaba, selam, iyi günler, "
            "günaydın, iyi akşamlar, kusura bakmayın, pardon, saygılar, tamam, hayır teşekkürler"
        ),
        filler=_split(
            "istiyorum, ben, mesaj, mesajlar, mesajları, mesajı, sms, smsleri, artık, hemen, şimdi, bu, bunu, "
            "üyeliğimi, aboneliği, etmek"
        ),
        phrases=_split(
            "mesaj atmayın, mesaj göndermeyin, mesaj atma, mesaj gönderme, sms atmayın, sms göndermeyin, sms "
            "atma, mesaj istemiyorum, sms istemiyorum, mesaj almak istemiyorum, almak istemiyorum, bir daha "
            "yazmayın, bana yazmayın, bana yazma, artık yazmayın, artık göndermeyin, bir daha göndermeyin, beni "
            "aramayın, beni çıkarın, beni silin, beni listeden, numaramı silin, numaramı sil, yanlış numara, "
            "kimsiniz, rahatsız etmeyin, beni rahat bırakın, rahat bırakın, mesajları durdurun, göndermeyi "
            "bırakın, yazmayı bırakın, göndermeyi kesin, listeden çıkar"
        ),
        alone=_split(
            "ilgilenmiyorum, dur, durun, yeter, yeter artık, istemiyorum, gönderme, göndermeyin, bırakın, çık, çıkış, "
            "spam"
        ),
    ),
    "uk": Words(
        stop=_split("стоп, відписатися, відписатись, відпишіть, відписка, відпишіть мене, відписати"),
        everyday=_split("скасувати, відмова, отписаться, отмена"),
        start=_split("старт, почати"),
        help=_split("допомога, інфо"),
        courtesy=_split(
            "будь ласка, прошу, дякую, щиро дякую, дуже дякую, спасибі, спасибо, пожалуйста, привіт, добрий "
            "день, доброго дня, добрий вечір, вітаю, вибачте, перепрошую, ні дякую, з повагою, до побачення"
        ),
        filler=_split("я, хочу, як, від, це, все, зараз, повідомлення, смс, розсилки, розсилку, підписку, негайно"),
        phrases=_split(
            "не пишіть, не пишіть мені, більше не пишіть, не надсилайте, більше не надсилайте, не присилайте, не "
            "шліть, не телефонуйте, не дзвоніть, не турбуйте, не турбуйте мене, припиніть, перестаньте, видаліть "
            "мене, видаліть мій номер, видаліть номер, приберіть мене, приберіть мій, заберіть мене, не той "
            "номер, неправильний номер, помилилися номером, хто це, хто ви, не хочу повідомлень, не хочу "
            "отримувати, не хочу більше, дайте спокій, дайте мені спокій, залиште мене, ніяких повідомлень"
        ),
        alone=_split(
            "не цікаво, мені не цікаво, не цікавить, зупинити, зупиніть, зупини, досить, годі, вистачить, кінець, "
            "спам, stop sms"
        ),
        harmless=_split("стоп сигнал, нон стоп"),
    ),
    "ro": Words(
        stop=_split("dezabonare, dezabonați, dezabonează, dezabonați mă, dezabonează mă, dezabonez, mă dezabonez"),
        everyday=_split("anulare, anulez, renunț, opriți, oprește"),
        start=_split("abonare, pornește"),
        help=_split("ajutor"),
        courtesy=_split(
            "vă rog, va rog, te rog, vă rog frumos, mulțumesc, mulțumesc frumos, mersi, bună, bună ziua, bună "
            "seara, salut, îmi pare rău, scuze, nu mulțumesc, o zi bună, la revedere, cu stimă"
        ),
        filler=_split(
            "vreau, doresc, aș, dori, să, mă, la, mesaje, mesajele, sms, urile, acum, asta, tot, cum, pot, abonamentul"
        ),
        phrases=_split(
            "nu mai scrieți, nu îmi mai scrieți, nu mi mai scrieți, nu mai trimiteți, nu îmi mai trimiteți, nu "
            "mi mai trimiteți, nu mă mai contactați, nu mă mai sunați, nu mă mai deranjați, nu mă deranjați, "
            "fără mesaje, fără sms, gata cu mesajele, încetați, opriți mesajele, opriți sms, ștergeți numărul, "
            "ștergeți mă, șterge numărul, ștergeți mi, scoateți mă, scoate mă, număr greșit, ați greșit numărul, "
            "cine ești, cine sunteți, nu vreau mesaje, nu vreau sms, nu mai vreau, nu doresc mesaje, nu mai "
            "doresc, lăsați mă în pace, lasă mă în pace"
        ),
        alone=_split("nu mă interesează, nu sunt interesat, nu sunt interesată, ajunge, gata, spam"),
    ),
    "ar": Words(
        stop=_split("إيقاف, أوقف, أوقفوا, الغاء الاشتراك, إلغاء اشتراكي, إيقاف الرسائل, أوقفوا الرسائل, ستوب"),
        everyday=_split("توقف, قف, إلغاء, كفى"),
        start=_split("ابدأ, اشتراك"),
        help=_split("مساعدة, معلومات"),
        courtesy=_split(
            "من فضلك, من فضلكم, لو سمحت, لو سمحتم, رجاء, الرجاء, أرجوكم, شكرا, شكرا لك, شكرا لكم, شكرا جزيلا, "
            "مرحبا, السلام عليكم, صباح الخير, مساء الخير, أهلا, عفوا, آسف, لا شكرا, مع السلامة, تحياتي"
        ),
        filler=_split("أريد, أود, كيف, الرسائل, رسائل, رسائلكم, هذا, هذه, الآن, كل, عن, الاشتراك, اشتراكي, فورا"),
        phrases=_split(
            "لا ترسل, لا ترسلوا, لا ترسلوا لي, توقفوا عن, توقف عن, لا تراسلني, لا تراسلوني, لا تكتبوا لي, لا "
            "تتصلوا, لا تتصل بي, لا تزعجوني, لا تزعجني, لا أريد رسائل, لا أريد رسائلكم, لا أريد المزيد, لا أريد "
            "استلام, احذفوا رقمي, احذف رقمي, امسحوا رقمي, امسح رقمي, أزيلوا رقمي, أزيلوني, احذفوني, رقم خاطئ, "
            "الرقم خطأ, رقم خطأ, من أنت, من أنتم, من معي, اتركوني, اتركني, لا رسائل, دون رسائل"
        ),
        alone=_split("غير مهتم, لست مهتما, لست مهتمة, لا يهمني, يكفي, خلاص, توقفوا, سبام"),
    ),
}

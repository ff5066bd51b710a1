"""Stop, start and help words: what a person's text means besides being an answer."""

from __future__ import annotations

import unicodedata

from distributions.models.inbound import InboundMessage

Meaning = InboundMessage.Meaning

# English words are the carriers' standard set; the others are their counterparts in languages people answer in.
STOP = frozenset(
    [
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"),
        *("stopp", "abmelden", "abbestellen", "austragen"),  # German, Scandinavian
        *("arret", "arrêt", "desabonner", "désabonner"),  # French
        *("baja", "alto", "parar", "cancelar"),  # Spanish, Portuguese
        *("afmelden", "stoppen"),  # Dutch
        *("annulla", "cancella"),  # Italian
    ]
)
START = frozenset({"start", "unstop", "yes", "anmelden"})
HELP = frozenset({"help", "info", "hilfe", "aide", "ayuda"})


def meaning(text: str, *, opted_out: bool, more_stop_words: str = "") -> Meaning:
    """What a text means. Only a message that is nothing but one of the words counts, punctuation and emoji aside.

    "Yes" opts in only somebody who has opted out (`opted_out`); from everybody else it is an answer. `more_stop_words`
    are the organisation's own, separated by commas.
    """
    word = _bare(text)
    own = {_bare(own_word) for own_word in more_stop_words.split(",")} - {""}
    if word in STOP or word in own:
        return Meaning.OPT_OUT
    if word in START and (opted_out or word != "yes"):
        return Meaning.OPT_IN
    if word in HELP:
        return Meaning.HELP
    return Meaning.REPLY


def _bare(text: str) -> str:
    """The text in lower case without anything but letters and digits: " Stop!! 👋" -> "stop"."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in normal if character.isalnum())

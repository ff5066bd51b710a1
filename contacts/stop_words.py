"""The words by which people stop texts, start them again or ask for help: commands to us, never answers."""

from __future__ import annotations

import unicodedata

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
START_UNLESS_ANSWER = frozenset({"yes"})  # opts in only somebody who has opted out; from everybody else an answer
HELP = frozenset({"help", "info", "hilfe", "aide", "ayuda"})


def bare(text: str) -> str:
    """The text in lower case without anything but letters and digits: " Stop!! 👋" -> "stop"."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in normal if character.isalnum())


def own_words(stop_words: str) -> frozenset[str]:
    """An organisation's own stop words, which it writes with commas between them."""
    return frozenset(map(bare, stop_words.split(","))) - {""}


def is_taken(text: str, stop_words: str = "") -> bool:
    """Whether a text that is nothing but this would be a command, so that it can never be an answer."""
    return bare(text) in STOP | (START - START_UNLESS_ANSWER) | HELP | own_words(stop_words)

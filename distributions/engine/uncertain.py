"""Which texts are uncertain, known without reading the others: the database writes it down, whoever moves a message.

The triggers look at the two states alone and do nothing for every other move, so that messages are still updated in
place and a mark or a result costs what it did.
"""

from __future__ import annotations

from distributions.states import Status
from organizations.triggers import Triggers, row_triggers

_BEGINS = f"NEW.status = '{Status.UNCERTAIN}' AND OLD.status <> '{Status.UNCERTAIN}'"
_ENDS = f"OLD.status = '{Status.UNCERTAIN}' AND NEW.status <> '{Status.UNCERTAIN}'"
_WRITE = "INSERT INTO distributions_uncertaintext (message_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;"
_FORGET = "DELETE FROM distributions_uncertaintext WHERE message_id = OLD.id;"

_MOVES = {
    "messages_begun_uncertain": ("UPDATE OF status", _BEGINS, _WRITE),
    "messages_made_uncertain": ("INSERT", f"NEW.status = '{Status.UNCERTAIN}'", _WRITE),
    "messages_ended_uncertain": ("UPDATE OF status", _ENDS, _FORGET),
    "messages_removed_uncertain": ("DELETE", f"OLD.status = '{Status.UNCERTAIN}'", _FORGET),
}

_POSTGRESQL, _SQLITE = row_triggers("distributions_message", _MOVES)

TRIGGERS = Triggers(
    table="distributions_uncertaintext",
    postgresql=_POSTGRESQL,
    functions=tuple(_MOVES),
    sqlite=_SQLITE,
    # One that has been settled in this very moment may be written all the same: whoever asks looks at its state, too.
    recount=f"""
        INSERT INTO distributions_uncertaintext (message_id)
        SELECT id FROM distributions_message WHERE status = '{Status.UNCERTAIN}' ON CONFLICT DO NOTHING
    """,  # noqa: S608 (no value from outside)
)

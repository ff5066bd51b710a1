from distributions.models.conversations import Conversation
from distributions.models.distributions import Chunk, Distribution, Tally
from distributions.models.doubts import Doubt
from distributions.models.inbound import InboundMessage, InboundPart
from distributions.models.installation import Epoch, KnownDatabase
from distributions.models.messages import Message, MessageEvent
from distributions.models.reasons import ReasonChange
from distributions.models.reviews import WorkedOut
from distributions.models.uncertain import UncertainText

__all__ = [
    "Chunk",
    "Conversation",
    "Distribution",
    "Doubt",
    "Epoch",
    "InboundMessage",
    "InboundPart",
    "KnownDatabase",
    "Message",
    "MessageEvent",
    "ReasonChange",
    "Tally",
    "UncertainText",
    "WorkedOut",
]

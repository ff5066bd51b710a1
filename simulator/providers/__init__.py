"""One module per provider, each written from that provider's page in docs/providers/ alone."""

from __future__ import annotations

from simulator.providers.base import Provider
from simulator.providers.infobip import Infobip
from simulator.providers.link_mobility import LinkMobility
from simulator.providers.messagebird import MessageBird
from simulator.providers.messagemedia import MessageMedia
from simulator.providers.sinch import Sinch
from simulator.providers.twilio import Twilio
from simulator.providers.vonage import Vonage

ALL: tuple[type[Provider], ...] = (Infobip, LinkMobility, MessageBird, MessageMedia, Sinch, Twilio, Vonage)

"""What a launched or planned distribution relies on, as organizations/commitments.py asks for it."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from contacts.models import Contact, ContactList
from distributions import starting
from distributions.models import Conversation, Distribution, Message
from organizations import commitments
from surveys.models import Survey

State = Distribution.State
LONGEST_WAIT = timedelta(hours=336)  # for a reply, as a survey may set it


def of_survey(survey: Survey) -> bool:
    """Links that have left lead to its address, and its words are texted until the last conversation has ended."""
    return Distribution.objects.filter(survey=survey).exclude(state=State.DRAFT).exists()


def of_list(contact_list: ContactList) -> bool:
    """Its people are read when the time comes, and until the last message is written."""
    return Distribution.objects.filter(contact_list=contact_list, state__in=(State.SCHEDULED, State.LAUNCHING)).exists()


def of_contact(contact: Contact) -> bool:
    """What is texted next in a conversation is filled in with the contact as it is by then."""
    if of_list(contact.contact_list):
        return True
    if not contact.phone:
        return False
    under_way = Conversation.objects.filter(
        organization_id=contact.organization_id, phone=contact.phone, state=Conversation.State.OPEN
    )
    asked = Message.objects.filter(
        Q(begun=None),
        organization_id=contact.organization_id,
        to=contact.phone,
        conversation=None,
        distribution__method=Distribution.Method.INTERACTIVE,
        distribution__state__in=(State.SENDING, State.FINISHED),
        distribution__launched_at__gte=timezone.now() - LONGEST_WAIT,
    )
    return under_way.exists() or asked.exists()


def register() -> None:
    commitments.register(Survey, of_survey)
    commitments.register(ContactList, of_list)
    commitments.register(Contact, of_contact)
    commitments.register_lookout(starting.look_ahead)

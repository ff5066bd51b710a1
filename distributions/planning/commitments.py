"""What a launched or planned distribution relies on, as organizations/commitments.py asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Window
from django.utils import timezone
from django.utils.translation import ngettext

from contacts.models import Contact, ContactList
from distributions.models import Conversation, Distribution, Message
from distributions.planning import starting
from distributions.planning.review import reachable
from extensions.models import EnabledExtension, ProviderAccount
from extensions.routing import NoRoute, Route, routes_for
from organizations import commitments, permissions
from organizations.commitments import NAMED, Depending
from organizations.models import Organization, User, UserGroup, UserType
from surveys.models import LONGEST_WAIT, Survey

State = Distribution.State


def of_survey(survey: Survey) -> bool:
    """Links that have left lead to its address, and its words are texted until the last conversation has ended."""
    launched = Distribution.objects.filter(survey=survey).exclude(state=State.DRAFT)
    return launched.exists() or Distribution.objects.filter(plan__survey_id=survey.pk).exists()


def of_list(contact_list: ContactList) -> bool:
    """Its people are read when the time comes, and until the last message is written."""
    planned = Distribution.objects.filter(contact_list=contact_list, state__in=(State.SCHEDULED, State.LAUNCHING))
    return planned.exists() or Distribution.objects.filter(plan__contact_list_id=contact_list.pk).exists()


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
        distribution__launched_at__gte=timezone.now() - timedelta(hours=LONGEST_WAIT),
    )
    return under_way.exists() or asked.exists()


# --- plans that would not begin ---------------------------------------------------------------------------------------


def _planned() -> QuerySet[Distribution]:
    """Those that are being changed are promised too: each may be kept as it was planned, and nobody looks again."""
    plans: QuerySet[Distribution] = Distribution.objects.planned()
    return plans


def _to(lists: QuerySet[ContactList]) -> QuerySet[Distribution]:
    """Those to one of these lists, which are found first: asked for within, they may be looked for at every plan."""
    keys = list(lists.order_by().values_list("pk", flat=True))
    return _planned().filter(Q(contact_list__in=keys) | Q(planned_list__in=keys))


def _depending(plans: QuerySet[Distribution], consequence: Callable[[int], str]) -> Depending:
    """The first of these plans, how many there are, and what becomes of so many."""
    rows: list[Any] = list(plans.only("name", "send_at", "plan").annotate(number=Window(Count("pk")))[:NAMED])
    number = rows[0].number if rows else 0
    return Depending([starting.plan_of(row) for row in rows], number, consequence(number))


def _without_list(number: int) -> str:
    return ngettext(
        "It will not begin until another list is chosen for it.",
        "They will not begin until other lists are chosen for them.",
        number,
    )


def _without_survey(number: int) -> str:
    return ngettext(
        "It can no longer be kept as it was planned.", "They can no longer be kept as they were planned.", number
    )


def _without_people(number: int) -> str:
    return ngettext(
        "Nobody is left on its list, so it will not begin until there is somebody again.",
        "Nobody is left on their lists, so they will not begin until there is somebody again.",
        number,
    )


def _without_planner(number: int) -> str:
    return ngettext(
        "It will not begin until somebody who may send texts takes it over.",
        "They will not begin until somebody who may send texts takes them over.",
        number,
    )


def _without_account(number: int) -> str:
    return ngettext(
        "It will not begin until an account is in use.", "They will not begin until an account is in use.", number
    )


def on_lists(lists: QuerySet[ContactList]) -> Depending:
    return _depending(_to(lists), _without_list)


def on_surveys(surveys: QuerySet[Survey]) -> Depending:
    """Those that are being changed to another survey: what has one now keeps it from being deleted."""
    return _depending(_planned().filter(Q(planned_survey__in=surveys.order_by().values("pk"))), _without_survey)


def on_contacts(contacts: QuerySet[Contact]) -> Depending:
    """Those whose lists would have nobody left who can be texted."""
    going = contacts.order_by()
    of_list = Contact.objects.filter(contact_list=OuterRef("pk"))
    left = reachable(of_list).exclude(pk__in=going.values("pk"))
    emptied = ContactList.objects.filter(pk__in=going.values("contact_list")).exclude(Exists(left))
    return _depending(_to(emptied), _without_people)


def on_users(users: QuerySet[User]) -> Depending:
    plans = _planned().filter(launched_by__in=users.order_by().values("pk"))
    return _depending(plans, _without_planner)


def on_groups(groups: QuerySet[UserGroup]) -> Depending:
    """Those planned by people who may send because one of these groups says so."""
    gone = set(groups.values_list("pk", flat=True))
    people = User.objects.filter(groups__in=gone)
    return _on_planners(people, lambda user: [group for group in user.groups.all() if group.pk not in gone], None)


def on_user_types(user_types: QuerySet[UserType]) -> Depending:
    gone = set(user_types.values_list("pk", flat=True))
    return _on_planners(User.objects.filter(user_type__in=gone), lambda user: user.groups.all(), gone)


def _on_planners(
    people: QuerySet[User], groups_of: Callable[[User], Iterable[UserGroup]], gone_types: set[int] | None
) -> Depending:
    planners = people.filter(pk__in=_planned().order_by().values("launched_by")).distinct()
    losing = []
    for user in planners.select_related("user_type").prefetch_related("groups"):
        groups = [(group.name, group.use_sms_distributions) for group in groups_of(user)]
        stays = user.user_type is not None and user.user_type_id not in (gone_types or ())
        user_type = (user.user_type.name, user.user_type.use_sms_distributions) if stays and user.user_type else None
        after = permissions.resolve(user.use_sms_distributions, groups, user_type)
        if user.sms_permission().allowed and not after.allowed:
            losing.append(user.pk)
    return _depending(_planned().filter(launched_by__in=losing), _without_planner)


def on_accounts(accounts: QuerySet[ProviderAccount]) -> Depending:
    """Everything planned in their organisations, for which the list is read when its time comes (R23)."""
    plans = _planned().filter(organization__in=accounts.order_by().values("organization"))
    return _depending(plans, _without_account)


def on_switches(switches: QuerySet[EnabledExtension]) -> Depending:
    """Those of organisations that would have no account in use without these extensions."""
    gone = set(switches.values_list("pk", flat=True))
    owners = Organization.objects.filter(
        pk__in=_planned().filter(organization__in=switches.order_by().values("organization")).values("organization")
    )
    organizations = list(owners.select_related("licence"))
    now = routes_for(organizations)
    after = routes_for(organizations, EnabledExtension.objects.exclude(pk__in=gone))
    losing = [key for key, route in after.items() if isinstance(route, NoRoute) and isinstance(now[key], Route)]
    plans = _planned().filter(organization__in=losing)
    return _depending(plans, _without_account)


def register() -> None:
    commitments.register(Survey, of_survey)
    commitments.register(ContactList, of_list)
    commitments.register(Contact, of_contact)
    commitments.register_lookout(starting.look_ahead)
    commitments.register_dependents(ContactList, on_lists)
    commitments.register_dependents(Survey, on_surveys)
    commitments.register_dependents(Contact, on_contacts)
    commitments.register_dependents(User, on_users)
    commitments.register_dependents(UserGroup, on_groups)
    commitments.register_dependents(UserType, on_user_types)
    commitments.register_dependents(ProviderAccount, on_accounts)
    commitments.register_dependents(EnabledExtension, on_switches)

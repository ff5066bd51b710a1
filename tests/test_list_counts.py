"""What a list is shown with is what is on it, whoever has written it and however many at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count, Q
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contacts import counts, opt_outs
from contacts.models import Contact, ContactList, ListChange, OptOut
from tests import factories

pytestmark = pytest.mark.django_db


def counted(contact_list: ContactList) -> tuple[int, int]:
    """As it was done before the numbers were kept."""
    texted = Q(opted_out_at=None) & ~Q(phone="")
    found = contact_list.contacts.aggregate(people=Count("pk"), reachable=Count("pk", filter=texted))
    return found["people"], found["reachable"]


def kept(contact_list: ContactList) -> tuple[int, int]:
    found = counts.of(contact_list.pk)
    annotated = ContactList.objects.annotate(n=counts.kept("people"), m=counts.kept("reachable")).get(
        pk=contact_list.pk
    )
    assert (annotated.n, annotated.m) == (found.people, found.reachable)
    return found.people, found.reachable


NUMBERS = [f"+44770090000{index}" for index in range(6)]
KINDS = ["add", "add many", "change", "empty", "move", "delete", "delete some", "delete list", "opt out", "opt in"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*KINDS, "import", "fold", "fail"]),
        st.integers(0, 5),
        st.integers(0, 2),
    ),
    max_size=25,
)


def contact(contact_list: ContactList, phone: str, **fields: Any) -> Contact:
    return Contact(
        organization_id=contact_list.organization_id,
        contact_list=contact_list,
        phone=phone,
        shares_number=True,
        **fields,
    )


def take(step: str, phone: str, lists: list[ContactList], which: int) -> None:
    """One thing that happens to lists; `which` is that of the list."""
    chosen, other = lists[which], lists[(which + 1) % len(lists)]
    mine = Contact.objects.filter(contact_list=chosen)
    if step == "add":
        contact(chosen, phone).save()
    elif step == "add many":
        Contact.objects.bulk_create([contact(each, phone) for each in (chosen, chosen, other)] + [contact(chosen, "")])
    elif step == "change":
        mine.update(first_name="Ada")
    elif step == "empty":
        mine.filter(phone=phone).update(phone="")
    elif step == "move":
        mine.filter(phone=phone).update(contact_list=other)
    elif step == "delete":
        some = mine.first()
        if some:
            some.delete()
    elif step == "delete some":
        mine.filter(phone=phone).delete()
    elif step == "delete list":
        chosen.delete()
        lists[which] = factories.contact_list(other.organization)
    elif step == "opt out":
        opt_outs.opt_out(chosen.organization, phone, OptOut.Source.LINK)
    elif step == "opt in":
        opt_outs.opt_in(chosen.organization, phone)
    elif step == "import":
        rows = list(mine)
        for row in rows:
            row.opted_out_at, row.phone = timezone.now(), phone
        Contact.objects.bulk_update(rows, ["opted_out_at", "phone"])
    elif step == "fold":
        counts.fold()
    else:
        with transaction.atomic():
            mine.delete()
            transaction.set_rollback(True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_to_lists_their_numbers_are_what_counting_gives(steps):
    with transaction.atomic():
        clinic = factories.organization()
        lists = [factories.contact_list(clinic) for _number in range(3)]
        for step, number, which in steps:
            before = {each.pk: (counts.of(each.pk).version, rows_of(each)) for each in lists}
            take(step, NUMBERS[number], lists, which)
            for each in lists:
                assert kept(each) == counted(each), step
                if each.pk in before and before[each.pk][1] != rows_of(each):
                    assert counts.of(each.pk).version > before[each.pk][0], "another list has another version"
        counts.fold()
        assert [kept(each) for each in lists] == [counted(each) for each in lists]
        transaction.set_rollback(True)


def rows_of(contact_list: ContactList) -> list[tuple[Any, ...]]:
    return list(Contact.objects.filter(contact_list=contact_list).order_by("pk").values_list())


def test_adding_up_changes_neither_the_numbers_nor_the_version():
    patients = factories.contact_list(factories.organization(), 3)
    for row in patients.contacts.all():
        row.save()
    before = counts.of(patients.pk)

    counts.fold()

    assert counts.of(patients.pk) == before
    assert before.people == before.reachable == 3
    assert ListChange.objects.filter(contact_list=patients).count() == 1


def test_a_deleted_list_leaves_no_numbers_behind():
    patients = factories.contact_list(factories.organization(), 3)
    patients.delete()
    counts.fold()

    assert not ListChange.objects.exists()


def test_what_was_there_before_is_counted_once():
    clinic = factories.organization()
    patients, empty = factories.contact_list(clinic, 3), factories.contact_list(clinic)
    patients.contacts.filter(phone__endswith="1").update(phone="")
    ListChange.objects.all().delete()

    counts.TRIGGERS.make_up(connection)
    first = counts.of(patients.pk)
    counts.TRIGGERS.make_up(connection)

    assert counts.of(patients.pk) == first
    assert kept(patients) == (3, 2)
    assert kept(empty) == (0, 0)
    patients.contacts.first().delete()
    assert kept(patients) == counted(patients)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite drops triggers with a table")
def test_the_numbers_are_right_after_a_migration_has_made_the_table_anew():
    patients = factories.contact_list(factories.organization(), 3)
    counts.TRIGGERS.remove(connection)
    patients.contacts.first().delete()

    counts.TRIGGERS.keep(connection)

    assert kept(patients) == (2, 2)
    patients.contacts.first().delete()
    assert kept(patients) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_many_at_once_wait_for_nobody_and_lose_nothing():
    """While somebody's import is not committed, others add, delete, opt out and add up."""
    clinic = factories.organization()
    patients = factories.contact_list(clinic, 50)
    people = list(patients.contacts.order_by("pk"))
    errors: list[Exception] = []

    def at_once(number: int) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            for index in range(number, 50, 4):
                opt_outs.opt_out(clinic, people[index].phone, OptOut.Source.LINK)
                contact(patients, NUMBERS[number]).save()
                if index % 3 == 0:
                    people[index].delete()
                counts.fold()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    with transaction.atomic():  # an import that takes its time
        Contact.objects.bulk_create(contact(patients, "") for _number in range(100))
        workers = [threading.Thread(target=at_once, args=[number]) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert errors == []

    assert kept(patients) == counted(patients)
    counts.fold()
    assert kept(patients) == counted(patients)


def test_the_pages_of_contacts_have_the_number_that_counting_gives(clinic, administrator):
    """Filtered by list or not at all they do not count, else they do; another organisation's list has nobody."""
    site = Client()
    site.force_login(administrator)
    first, second = factories.contact_list(clinic, 3), factories.contact_list(clinic, 4)
    theirs = factories.contact_list(factories.organization(), 5)
    second.contacts.filter(pk=second.contacts.first().pk).update(opted_out_at=timezone.now())
    numbers = {
        "": 7,
        "p=1&o=1": 7,
        f"contact_list__id__exact={first.pk}": 3,
        f"contact_list__id__exact={second.pk}&p=1": 4,
        f"contact_list__id__exact={second.pk}&opted_out=yes": 1,
        f"contact_list__id__exact={first.pk}&q=Ada1": 1,
        f"contact_list__id__exact={theirs.pk}": 0,
    }

    for query, number in numbers.items():
        shown = site.get(f"/admin/contacts/contact/?{query}")
        assert shown.context["cl"].result_count == number, query
        assert len(shown.context["cl"].result_list) == number, query

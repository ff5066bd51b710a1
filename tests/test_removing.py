"""A list that is deleted is gone for everybody at once, however long it is; its people are removed by portions."""

from __future__ import annotations

import pytest
from django.test import Client

from contacts import counts, removing, tasks
from contacts.models import Contact, ContactList, ListChange
from distributions.models import Distribution, InboundMessage
from organizations import tokens
from organizations.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    """Ten people are many, removed three at a time. How often a worker was woken."""
    monkeypatch.setattr(removing, "AT_ONCE", 5)
    monkeypatch.setattr(removing, "PORTION", 3)
    monkeypatch.setattr(removing, "TURN", 0.0)
    asked: list[bool] = []
    monkeypatch.setattr(removing, "wake", lambda: asked.append(True))
    return asked


@pytest.fixture
def site(administrator):
    client = Client(headers={"x-api-token": tokens.regenerate(administrator)})
    client.force_login(administrator)
    return client


def delete(site, contact_list):
    return site.post(f"/admin/contacts/contactlist/{contact_list.pk}/delete/", {"post": "yes"}, follow=True)


def test_a_short_list_is_deleted_with_its_people_at_once(clinic, site):
    short, other = factories.contact_list(clinic, 5), factories.contact_list(clinic, 5)

    assert delete(site, short).status_code == 200

    assert list(ContactList.every.all()) == [other]
    assert Contact.objects.count() == 5


def test_a_long_list_is_gone_at_once_and_its_people_follow(
    clinic, account, site, woken, django_capture_on_commit_callbacks
):
    long = factories.contact_list(clinic, 10, name="Long gone")
    draft = factories.distribution(clinic, contact_list=long)
    sent = factories.distribution(clinic, contact_list=long, account=account, recipients=2, state="finished")
    first = long.contacts.first()
    reply = InboundMessage.objects.create(
        organization=clinic, account=account, provider_message_id="1", sender=first.phone, contact=first
    )
    with django_capture_on_commit_callbacks(execute=True):
        delete(site, long)

    assert woken == [True]
    assert Contact.objects.count() == 10
    for address in ("/admin/contacts/contactlist/", "/admin/contacts/contact/", "/API/v3/mailinglists"):
        answer = site.get(address)
        assert answer.status_code == 200
        assert "Long gone" not in answer.text
        assert "Ada0" not in answer.text
    for address in (f"contactlist/{long.pk}/change/", f"contactlist/{long.pk}/import/", f"contact/{first.pk}/change/"):
        assert "Ada0" not in site.get(f"/admin/contacts/{address}", follow=True).text
    assert "Long gone" not in site.get(f"/admin/distributions/distribution/{draft.pk}/edit/").text
    draft.refresh_from_db()
    sent.refresh_from_db()
    assert (draft.contact_list_id, sent.contact_list_id) == (None, None)
    assert AuditEvent.objects.filter(action="deleted").count() == 1

    runs = 0
    while removing.go_on():
        runs += 1

    assert runs >= 3
    assert not Contact.objects.exists()
    assert not ContactList.every.exists()
    assert not ListChange.objects.exists()
    reply.refresh_from_db()
    assert reply.contact_id is None
    assert Distribution.objects.count() == 2
    assert sent.messages.count() == 2, "what was sent stays"


def test_a_lost_task_is_made_up_for_and_a_killed_one_goes_on(clinic, woken):
    long = factories.contact_list(clinic, 10)
    kept = factories.contact_list(clinic, 10)
    removing.remove(long)
    del woken[:]
    removing.go_on()
    assert counts.of(long.pk).people < 10

    tasks.add_up()
    assert woken == [True]
    while removing.go_on():
        pass
    tasks.add_up()

    assert woken == [True]
    assert list(ContactList.every.all()) == [kept]
    assert counts.of(kept.pk).people == Contact.objects.count() == 10


def test_several_are_deleted_together(clinic, site):
    lists = [factories.contact_list(clinic, number) for number in (3, 10)]
    chosen = {"action": "delete_selected", "_selected_action": [each.pk for each in lists], "post": "yes"}

    site.post("/admin/contacts/contactlist/", chosen)

    assert not ContactList.objects.exists()
    while removing.go_on():
        pass
    assert not Contact.objects.exists()

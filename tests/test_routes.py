"""Which account carries an organisation's texts, as a table: alone, among others, beside other organisations."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from extensions import routing
from extensions.models import AccountState, EnabledExtension, ProviderAccount
from extensions.routing import NoRoute, Standing
from organizations.models import Licence
from tests import factories

pytestmark = pytest.mark.django_db

STANDINGS = {
    "in use": ({}, Standing.IN_USE),
    "unproved": ({"check_ok": None}, Standing.IN_USE),
    "refused": ({"check_ok": False}, Standing.REFUSED),
    "not granted": ({"granted_at": None}, Standing.UNFINISHED),
    "neither proved nor granted": ({"granted_at": None, "check_ok": None}, Standing.UNFINISHED),
    "refused and not granted": ({"granted_at": None, "check_ok": False}, Standing.REFUSED),
}


def listed(clinic, number=1, provider="twilio", **fields):
    """An account at this place of the list."""
    made = factories.account(clinic, provider, name=f"Account {number}")
    at = timezone.now() + timedelta(seconds=number)
    ProviderAccount.objects.filter(pk=made.pk).update(listed_at=at, **fields)
    return ProviderAccount.objects.get(pk=made.pk)


def both(organization):
    """What is said of one organisation, alone and among many: the same."""
    many = routing.routes_for([organization])[organization.pk]
    if not isinstance(many, NoRoute):
        assert routing.route_for(organization) == many
        return many
    with pytest.raises(NoRoute) as refusal:
        routing.route_for(organization)
    assert refusal.value.reason == many.reason
    return many.reason


@pytest.mark.parametrize("name", STANDINGS)
def test_an_account_stands_where_its_state_puts_it(clinic, name):
    fields, standing = STANDINGS[name]
    account = listed(clinic, **fields)

    [place] = routing.places(clinic)

    assert (place.account, place.standing, place.number) == (account, standing, 1)
    assert place.in_use is place.is_ready is (standing is Standing.IN_USE)
    assert place.reason
    route = both(clinic)
    if standing is Standing.IN_USE:
        assert (route.account, route.is_default) == (account, False)
        assert routing.account_in_use(clinic) == account
    else:
        assert place.reason in route, "the sentence names the step"
        assert routing.account_in_use(clinic) is None


def test_the_first_that_may_carries_and_those_behind_it_wait(clinic):
    listed(clinic, 1, check_ok=False)
    listed(clinic, 2, granted_at=None)
    third, fourth = listed(clinic, 3), listed(clinic, 4)

    standings = [place.standing for place in routing.places(clinic)]

    assert standings == [Standing.REFUSED, Standing.UNFINISHED, Standing.IN_USE, Standing.WAITING]
    assert [place.number for place in routing.places(clinic)] == [1, 2, 3, 4]
    assert both(clinic).account == third
    assert third.name in routing.places(clinic)[3].reason
    assert [place.is_ready for place in routing.places(clinic)] == [False, False, True, True]
    ProviderAccount.objects.filter(pk=fourth.pk).update(listed_at=timezone.now() - timedelta(days=1))
    assert both(clinic).account == fourth, "the list decides, not the keys"


@pytest.mark.parametrize("fields", [{"deleted_at": timezone.now()}, {"retiring_at": timezone.now()}])
def test_one_that_leaves_is_not_in_the_list(clinic, fields):
    listed(clinic, 1, **fields)
    second = listed(clinic, 2)

    assert [place.account for place in routing.places(clinic)] == [second]
    assert both(clinic).account == second


def test_one_whose_extension_is_switched_off_is_passed_over(clinic):
    listed(clinic, 1, "twilio")
    second = listed(clinic, 2, "vonage")
    EnabledExtension.objects.filter(organization=clinic, provider="twilio").delete()

    assert [place.standing for place in routing.places(clinic)] == [Standing.SWITCHED_OFF, Standing.IN_USE]
    assert both(clinic).account == second


def test_what_another_organisation_has_enabled_added_or_lost_is_its_own(clinic):
    other = factories.organization()
    mine, theirs = listed(clinic), listed(other)
    EnabledExtension.objects.filter(organization=other).delete()

    found = routing.routes_for([clinic, other])

    assert found[clinic.pk].account == mine
    assert isinstance(found[other.pk], NoRoute)
    assert (both(clinic).account, routing.account_in_use(other)) == (mine, None)
    EnabledExtension.objects.create(organization=other, provider="twilio")
    EnabledExtension.objects.filter(organization=clinic).delete()
    found = routing.routes_for([clinic, other])
    assert found[other.pk].account == theirs
    assert isinstance(found[clinic.pk], NoRoute)


def test_as_if_an_extension_were_switched_off(clinic):
    listed(clinic, 1, "twilio")
    second = listed(clinic, 2, "vonage")
    without = EnabledExtension.objects.exclude(provider="twilio")

    assert routing.routes_for([clinic], without)[clinic.pk].account == second


def test_without_a_licence_nothing_carries_however_complete_the_set_up_is(clinic):
    listed(clinic)
    Licence.objects.filter(organization=clinic).update(sms=False)
    clinic = type(clinic).objects.get(pk=clinic.pk)

    assert "add-on" in both(clinic)
    assert routing.account_in_use(clinic) is None


def test_nothing_added_nothing_carries(clinic):
    assert "No SMS account has been added yet" in both(clinic)


def test_of_what_is_lacking_the_first_that_somebody_can_mend_is_named(clinic):
    listed(clinic, 1, "twilio")
    EnabledExtension.objects.filter(organization=clinic, provider="twilio").delete()
    assert "not enabled for your organisation" in both(clinic)

    listed(clinic, 2, "vonage", granted_at=None)

    assert "Account 2" in both(clinic)
    assert "Next: grant access to all users." in both(clinic)


@pytest.mark.parametrize(
    ("fields", "state", "badge"),
    [
        ({}, {}, ("In use", "is-good")),
        ({"check_ok": None}, {}, ("In use, credentials unproved", "is-warning")),
        ({}, {"stopped_at": timezone.now()}, ("In use, but stopped", "is-bad")),
        ({"check_ok": None}, {"stopped_at": timezone.now()}, ("In use, but stopped", "is-bad")),
        ({"check_ok": False}, {"stopped_at": timezone.now()}, ("Credentials refused", "is-bad")),
        ({"granted_at": None}, {}, ("Set-up unfinished", "is-warning")),
    ],
)
def test_only_what_works_is_shown_in_green(clinic, fields, state, badge):
    account = listed(clinic, **fields)
    AccountState.objects.filter(pk=account.pk).update(**state)

    [place] = routing.places(clinic)

    assert (place.badge.text, place.badge.tone) == badge


# --- the installation's own account ----------------------------------------------------------------------------------


def default(sender="+447700900100", **fields):
    return {"provider": "twilio", "credentials": factories.CREDENTIALS["twilio"], "sender": sender, **fields}


def test_where_an_organisation_has_none_the_installations_account_carries(clinic, settings):
    settings.DEFAULT_PROVIDER = default()

    route = both(clinic)

    assert route.is_default
    assert (route.account.organization, route.account.sender) == (None, "447700900100")
    assert route.account.granted_at is not None
    own = listed(clinic)
    assert (both(clinic).account, both(clinic).is_default) == (own, False), "its own comes first"


def test_it_is_installed_once_and_a_changed_setting_is_another_account(settings):
    settings.DEFAULT_PROVIDER = default()
    first = routing.installation_account()
    assert routing.installation_account() == first
    own = factories.account(factories.organization())

    settings.DEFAULT_PROVIDER = default(sender="+447700900101")
    second = routing.installation_account()

    assert second != first
    living = ProviderAccount.objects.filter(deleted_at=None)
    assert set(living) == {second, own}, "nobody else's goes with the former one"
    assert ProviderAccount.objects.get(pk=first.pk).deleted_at is not None

    settings.DEFAULT_PROVIDER = default()
    assert routing.installation_account() == first, "changed back, it is the former one"
    assert ProviderAccount.objects.get(pk=second.pk).deleted_at is not None


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, ""),
        (default(provider="nobody"), "names no provider"),
        (default(sender="not a sender at all, is it?"), "wrong in: sender"),
        ({**default(), "credentials": {"account_sid": "AC1"}}, "wrong in: "),
        ({**default(), "credentials": "secret"}, "wrong in: "),
    ],
)
def test_a_setting_that_is_empty_or_wrong_carries_nothing_and_says_so_without_a_value(settings, caplog, setting, said):
    settings.DEFAULT_PROVIDER = setting

    with caplog.at_level(logging.ERROR):
        assert routing.installation_account() is None

    assert said in caplog.text
    assert bool(caplog.text) is bool(said)
    assert "AC1" not in caplog.text
    assert not ProviderAccount.objects.exists()

"""Nobody guesses a password, and nobody who knows theirs is kept out: the throttle of the log-in, through the page."""

import ipaddress
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from config.middleware import ClientAddressMiddleware
from organizations import attempts, throttle
from organizations.models import Attempts, AuditEvent
from tests import factories
from webhooks.tasks import purge

HTTPS = ("HTTP_X_FORWARDED_PROTO", "https")  # as BEHIND_TLS_PROXY=true sets it
REFUSED = "Too many failed log-ins"
ANYWHERE = "Somebody has tried too many wrong passwords for this e-mail."


@pytest.fixture
def ada(db):
    return factories.administrator(name="Ada", email="ada@example.org")


def log_in(email, password, *, client=None, address="192.0.2.1", **extra):
    """What the page answers: "in", "wrong" or its refusal."""
    data = {"username": email, "password": password, "next": "/admin/"}
    response = (client or Client()).post("/admin/login/", data, REMOTE_ADDR=address, **extra)
    if response.status_code == 302:
        return "in"
    page = response.content.decode()
    assert response.status_code == 200
    return "wrong" if "Wrong e-mail or password" in page else page


def guess(times, email, **options):
    return [log_in(email, f"guess {number}", **options) for number in range(times)]


def used_up(email, start=0):
    """As many strangers at as many addresses as the account's own limit takes."""
    for number in range(start, start + throttle.PER_ACCOUNT_ANYWHERE):
        assert log_in(email, "a guess", address=str(ipaddress.ip_address(0x0A000000 + number))) == "wrong"


# --- From one address ------------------------------------------------------------------------------------------------


def test_after_five_failures_even_the_right_password_has_to_wait(ada):
    assert guess(throttle.PER_ACCOUNT, ada.email) == ["wrong"] * throttle.PER_ACCOUNT

    refused = log_in(ada.email, factories.PASSWORD)
    elsewhere = log_in(ada.email, factories.PASSWORD, address="192.0.2.9")

    assert f"{REFUSED}. Try again in 15 minutes." in refused
    assert elsewhere == "in"
    assert AuditEvent.objects.filter(action=throttle.LOGIN_FAILED).count() == throttle.PER_ACCOUNT


def test_the_wait_ends(ada, monkeypatch):
    guess(throttle.PER_ACCOUNT + 3, ada.email)
    later = timezone.now() + throttle.WINDOW + timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)

    assert log_in(ada.email, factories.PASSWORD) == "in"


def test_one_address_cannot_try_one_password_on_everybody(db):
    said = [log_in(f"somebody{number}@example.org", "wrong") for number in range(throttle.PER_ADDRESS + 1)]

    assert said[:-1] == ["wrong"] * throttle.PER_ADDRESS
    assert REFUSED in said[-1]


@pytest.mark.parametrize("address", ["2001:db8:1:2::", "2001:db8:1:2:ffff:1:2:3", "2001:db8:1:2::1"])
def test_all_addresses_of_one_ipv6_network_are_one(ada, address):
    for number in range(throttle.PER_ACCOUNT):
        assert log_in(ada.email, "a guess", address=f"2001:db8:1:2::{number + 10:x}") == "wrong"

    assert REFUSED in log_in(ada.email, factories.PASSWORD, address=address)
    assert log_in(ada.email, factories.PASSWORD, address="2001:db8:1:3::1") == "in"


def test_an_ipv4_address_is_the_same_in_the_clothes_of_ipv6(ada):
    guess(throttle.PER_ACCOUNT, ada.email, address="::ffff:192.0.2.77")

    assert REFUSED in log_in(ada.email, factories.PASSWORD, address="192.0.2.77")
    assert log_in(ada.email, factories.PASSWORD, address="::ffff:192.0.2.78") == "in"


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_a_network_is_a_64(address, host):
    neighbour = ipaddress.IPv6Address(int(address) >> 64 << 64 | host)
    if not (address.ipv4_mapped or neighbour.ipv4_mapped):
        assert throttle.network_of(str(address)) == throttle.network_of(str(neighbour))
    beside = ipaddress.IPv6Address(int(address) ^ 1 << 64)
    assert throttle.network_of(str(address)) != throttle.network_of(str(beside))


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_every_ipv4_address_is_its_own(one, other):
    assert (throttle.network_of(str(one)) == throttle.network_of(str(other))) is (one == other)
    assert throttle.network_of(f"::ffff:{one}") == str(one)


@pytest.mark.parametrize("address", ["", "unix:", "nonsense", "fe80::1%eth0"])
def test_an_address_that_is_none_is_throttled_too(ada, address):
    assert len(throttle.network_of(address)) < 50


# --- One account, however it is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["ADA@example.org", " ada@example.org ", "Ada@EXAMPLE.org", "\uff41da@example.org", "ada\uff20example.org"],
)
def test_however_an_e_mail_is_written_it_is_one_account(ada, written):
    guess(throttle.PER_ACCOUNT, written)

    assert REFUSED in log_in(ada.email, factories.PASSWORD)


@given(
    st.sampled_from(["ada@example.org", "jürgen@example.org", "nobody@exämple.org", "straße@example.org"]), st.data()
)
def test_every_form_of_unicode_is_one_account(email, data):
    form = data.draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    case = data.draw(st.sampled_from([str.lower, str.upper, str.title, str.swapcase]))

    assert throttle.account_key(unicodedata.normalize(form, case(email))) == throttle.account_key(email)


def test_an_umlaut_may_be_typed_in_two_ways(db):
    user = factories.user(email="jürgen@example.org")

    assert log_in(unicodedata.normalize("NFD", user.email), factories.PASSWORD) == "in"


# --- Many at once ----------------------------------------------------------------------------------------------------


def at_once(times, call):
    def run(number):
        try:
            return call(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(run, range(times)))


def test_fifty_guesses_at_once_are_five(transactional_db, monkeypatch):
    monkeypatch.setattr(Argon2PasswordHasher, "memory_cost", 100_000)  # slow enough to overlap
    ada = factories.administrator(email="ada@example.org")

    said = at_once(50, lambda number: log_in(ada.email, f"guess {number}"))

    assert said.count("wrong") == throttle.PER_ACCOUNT
    assert sum(REFUSED in answer for answer in said) == 50 - throttle.PER_ACCOUNT


def test_fifty_reservations_at_once_are_counted_exactly(transactional_db):
    said = at_once(50, lambda number: attempts.store().reserve("key", 20, timedelta(minutes=1)))

    assert said.count(0) == 20
    assert all(0 < seconds <= 60 for seconds in said if seconds)
    assert attempts.store().get("key") == 20


# --- Honest people ---------------------------------------------------------------------------------------------------


def test_an_office_behind_one_address_logs_in(db):
    people = [factories.user() for _number in range(throttle.PER_ADDRESS + 10)]

    assert {log_in(person.email, factories.PASSWORD) for person in people} == {"in"}
    assert {log_in(people[0].email, factories.PASSWORD) for _time in range(10)} == {"in"}
    assert not Attempts.objects.filter(count__gt=0).exists()


def test_a_mistyped_password_now_and_then_does_no_harm(ada):
    for _day in range(3):
        guess(1, ada.email)
        assert log_in(ada.email, factories.PASSWORD) == "in"


# --- Many addresses against one account ------------------------------------------------------------------------------


def test_many_addresses_are_too_many_for_one_account(ada):
    used_up(ada.email)

    assert ANYWHERE in log_in(ada.email, "a guess", address="198.51.100.1")
    assert ANYWHERE in log_in(ada.email, factories.PASSWORD, address="198.51.100.2")


def test_an_account_that_does_not_exist_answers_alike(db):
    used_up("nobody@example.org")

    assert ANYWHERE in log_in("nobody@example.org", "a guess", address="198.51.100.1")


def test_the_owner_is_not_locked_out_where_they_have_been_before(ada):
    browser = Client()
    assert log_in(ada.email, factories.PASSWORD, client=browser) == "in"
    browser.post("/admin/logout/")
    used_up(ada.email)

    assert log_in(ada.email, factories.PASSWORD, client=browser, address="198.51.100.1") == "in"


def test_the_cookie_of_a_device_says_nothing_and_cannot_be_read_by_a_script(ada):
    browser = Client()
    log_in(ada.email, factories.PASSWORD, client=browser)

    (cookie,) = [morsel for name, morsel in browser.cookies.items() if name.startswith("known_device_")]
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "Lax"
    assert ada.email not in cookie.value
    assert str(ada.public_id) not in cookie.value


def test_a_cookie_serves_its_own_user_only(ada):
    browser, eve = Client(), factories.user(email="eve@example.org")
    log_in(eve.email, factories.PASSWORD, client=browser)
    (name, cookie) = next(item for item in browser.cookies.items() if item[0].startswith("known_device_"))
    used_up(ada.email)
    response = HttpResponse()
    throttle.remember_device(response, ada)
    (of_ada,) = response.cookies
    stranger = Client()
    stranger.cookies[of_ada] = cookie.value

    assert name != of_ada
    assert ANYWHERE in log_in(ada.email, factories.PASSWORD, client=stranger, address="198.51.100.1")


@pytest.mark.parametrize("value", ["", "x", "W10:1abc:def", "a" * 5000, "\u00e4"])
def test_a_made_up_cookie_is_no_known_device(ada, value):
    response = HttpResponse()
    throttle.remember_device(response, ada)
    (name,) = response.cookies
    used_up(ada.email)
    browser = Client()
    browser.cookies[name] = value

    assert ANYWHERE in log_in(ada.email, factories.PASSWORD, client=browser, address="198.51.100.1")


def test_another_password_ends_the_cookies_of_all_devices(ada):
    browser = Client()
    log_in(ada.email, factories.PASSWORD, client=browser)
    ada.set_password("another password")
    ada.save()
    used_up(ada.email)

    assert ANYWHERE in log_in(ada.email, "another password", client=browser, address="198.51.100.1")


def test_whoever_changes_their_password_stays_known(ada):
    browser = Client()
    log_in(ada.email, factories.PASSWORD, client=browser)
    new = "a quiet heron stands"
    data = {"old_password": factories.PASSWORD, "new_password1": new, "new_password2": new}
    assert browser.post("/admin/password_change/", data).status_code == 302
    browser.post("/admin/logout/")
    used_up(ada.email)

    assert log_in(ada.email, new, client=browser, address="198.51.100.1") == "in"


def test_a_stolen_cookie_cannot_guess_for_ever(ada, monkeypatch):
    """Neither at many addresses nor on many days: a failure counts against the cookie until it has run out."""
    browser = Client()
    log_in(ada.email, factories.PASSWORD, client=browser)
    for number in range(throttle.PER_DEVICE):
        assert log_in(ada.email, "a guess", client=browser, address=f"198.51.100.{number}") == "wrong"
    later = timezone.now() + timedelta(days=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    used_up(ada.email)

    assert ANYWHERE in log_in(ada.email, "a guess", client=browser, address="198.51.100.100")


# --- The old password ------------------------------------------------------------------------------------------------


def test_a_session_is_no_place_to_guess_the_password(ada, client):
    client.force_login(ada)
    new = {"new_password1": "a quiet heron stands", "new_password2": "a quiet heron stands"}
    for number in range(throttle.PER_ACCOUNT):
        page = client.post("/admin/password_change/", {"old_password": f"guess {number}", **new})
        assert "Too many" not in page.content.decode()

    page = client.post("/admin/password_change/", {"old_password": factories.PASSWORD, **new})

    assert "Too many wrong passwords. Try again in 15 minutes." in page.content.decode()
    ada.refresh_from_db()
    assert ada.check_password(factories.PASSWORD)


# --- The store -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_counted_is_not_tried(ada, monkeypatch):
    def away(*arguments):
        raise DatabaseError("read-only")

    monkeypatch.setattr(attempts.AttemptCache, "reserve", away)

    assert "Nobody can log in at the moment" in log_in(ada.email, factories.PASSWORD)


def test_counters_whose_time_is_over_are_forgotten(ada):
    guess(1, ada.email)
    Attempts.objects.update(until=timezone.now() - timedelta(seconds=1))
    attempts.store().reserve("new", 1, timedelta(minutes=1))

    purge()

    assert Attempts.objects.count() == 1


def test_the_store_is_named_and_shared(settings):
    assert settings.CACHES["attempts"]["BACKEND"] == "organizations.attempts.AttemptCache"


# --- Where a request comes from --------------------------------------------------------------------------------------


def address_of(forwarded, *, header="HTTP_X_FORWARDED_FOR", peer="10.0.0.1"):
    request = RequestFactory().get("/", REMOTE_ADDR=peer, **({} if forwarded is None else {header: forwarded}))
    ClientAddressMiddleware(lambda request: HttpResponse())(request)
    return request.META["REMOTE_ADDR"]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (1, "203.0.113.5", "203.0.113.5"),
        (1, "192.0.2.1, 203.0.113.5", "203.0.113.5"),
        (2, "192.0.2.1, 203.0.113.5,10.0.0.2", "203.0.113.5"),
        (2, "203.0.113.5", "10.0.0.1"),  # it did not come through both
        (3, "a, 203.0.113.5, b, c", "203.0.113.5"),
        (0, "203.0.113.5", "10.0.0.1"),
        (-1, "203.0.113.5", "10.0.0.1"),
        (1, "203.0.113.5:4711", "203.0.113.5"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "::ffff:203.0.113.5", "203.0.113.5"),
        (1, "fe80::1%eth0", "10.0.0.1"),
        (1, "203.0.113.5,", "10.0.0.1"),
        (1, "unknown", "10.0.0.1"),
        (1, "203.0.113.500", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, None, "10.0.0.1"),
    ],
)
def test_the_address_is_the_one_that_our_outermost_proxy_saw(settings, proxies, forwarded, expected):
    settings.SECURE_PROXY_SSL_HEADER, settings.TRUSTED_PROXIES = HTTPS, proxies

    assert address_of(forwarded) == expected


def test_the_name_of_the_header_is_a_setting(settings):
    settings.SECURE_PROXY_SSL_HEADER, settings.CLIENT_ADDRESS_HEADER = HTTPS, "Fly-Client-IP"

    assert address_of("203.0.113.5", header="HTTP_FLY_CLIENT_IP") == "203.0.113.5"
    assert address_of("203.0.113.5") == "10.0.0.1"


@given(st.text(max_size=60), st.integers(-2, 4))
def test_no_header_breaks_a_request_or_becomes_no_address(forwarded, proxies):
    with override_settings(SECURE_PROXY_SSL_HEADER=HTTPS, TRUSTED_PROXIES=proxies):
        ipaddress.ip_address(address_of(forwarded))


@pytest.mark.parametrize("forwarded", ["203.0.113.5", "2001:db8::1"])
def test_without_a_proxy_no_header_is_believed(settings, forwarded):
    settings.SECURE_PROXY_SSL_HEADER = None

    assert address_of(forwarded) == "10.0.0.1"


def test_another_address_in_the_header_gives_no_new_guesses(ada, settings):
    settings.SECURE_PROXY_SSL_HEADER = HTTPS
    https = {"HTTP_X_FORWARDED_PROTO": "https"}
    for number in range(throttle.PER_ACCOUNT):
        assert log_in(ada.email, "a guess", HTTP_X_FORWARDED_FOR=f"192.0.2.{number}, 203.0.113.5", **https) == "wrong"

    assert REFUSED in log_in(ada.email, "a guess", HTTP_X_FORWARDED_FOR="198.51.100.7, 203.0.113.5", **https)
    assert log_in(ada.email, factories.PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.7", **https) == "in"

"""The levels of a provider (CONTRIBUTING): one that only sends, one that reports too, one that receives.

Each works in the portal, and is said to do what it does and no more.
"""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from distributions.engine import closing, worker_process
from distributions.models import Distribution
from distributions.planning import starting
from distributions.states import Status
from extensions import checklist, client, registry
from extensions.checklist import Mark
from extensions.contract import Provider, SenderKind
from extensions.models import AccountState, ProviderAccount
from extensions.webhook_urls import webhook_url
from organizations.models import Organization
from tests import factories, pumping
from tests.acme import Acme, Reports, Sends, answers
from webhooks import inbox

pytestmark = pytest.mark.django_db

LEVELS: dict[str, type[Provider]] = {"sends": Sends, "reports": Reports, "acme": Acme}
SENDER = "13531234567"
CREDENTIALS = {"account": "AC123456", "api_key": "sandbox-key", "region": "eu"}


@pytest.fixture(autouse=True)
def _levels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_providers", lambda: LEVELS)
    inbox.forget_accounts()
    yield
    inbox.forget_accounts()


@pytest.fixture(params=LEVELS)
def provider(request: pytest.FixtureRequest) -> type[Provider]:
    return LEVELS[request.param]


@pytest.fixture
def clinic() -> Organization:
    return factories.organization("Clinic", public_id="ORG42")


@pytest.fixture
def site(clinic: Organization) -> Client:
    browser = Client()
    browser.force_login(factories.administrator(clinic))
    return browser


@pytest.fixture
def account(clinic: Organization, provider: type[Provider]) -> ProviderAccount:
    return factories.account(clinic, provider.key, sender=SENDER, credentials=CREDENTIALS)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", html.unescape(response.content.decode()))


def steps_of(account: ProviderAccount) -> dict[str, checklist.Step]:
    state = AccountState.objects.get(account=account)
    return {step.key: step for step in checklist.steps(account, state, [], account.test_messages.first())}


def test_a_level_is_found_by_what_the_provider_reads() -> None:
    assert [provider.calls() for provider in LEVELS.values()] == [(), ("status",), ("status", "message")]
    able = [provider.capabilities(SenderKind.NUMBER) for provider in LEVELS.values()]
    assert [(one.delivery_reports, one.two_way, one.stop_words_reach_us) for one in able] == [
        (False, False, False),
        (True, False, False),
        (True, True, True),
    ]


def test_the_pages_offer_what_the_provider_can_do(provider: type[Provider], clinic: Organization, site: Client) -> None:
    catalogue = text_of(site.get(reverse("admin:extensions_catalogue"), {"q": provider.name}))
    page = text_of(site.get(reverse("admin:extensions_extension", args=[provider.key])))

    calls = provider.calls()
    for shown in (catalogue, page):
        assert ("Two-way" in shown) is ("message" in calls)
        assert ("Delivery reports" in shown) is ("status" in calls)
        assert ("Webhooks signed" in shown) is bool(calls)
    for kind in ("status", "message"):
        assert (webhook_url(kind, provider, clinic) in page) is (kind in calls)
    assert (f"No address: {provider.name} calls none here." in page) is not calls
    assert ("The addresses below are ready" in page) is bool(calls)


def test_an_account_is_added_verified_granted_and_tested(
    provider: type[Provider], clinic: Organization, site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"name": "Main", "sender": SENDER, **CREDENTIALS}
    adding = reverse("admin:extensions_add_account", args=[provider.key])
    monkeypatch.setattr(client, "call", answers(200))
    refused = site.post(adding, form)
    if "message" not in provider.calls():  # nobody is taken by surprise: no reply will come
        assert refused.status_code == 422
        assert "Replies to this sender do not reach us." in text_of(refused)
        assert site.post(adding, form | {"confirm_one_way": "on"}).status_code == 302
    account = ProviderAccount.objects.get()

    site.post(reverse("admin:extensions_grant", args=[account.public_id]))
    monkeypatch.setattr(client, "call", answers(202))
    shown = text_of(
        site.post(reverse("admin:extensions_test", args=[account.public_id]), {"to": "+447400123456"}, follow=True)
    )

    account.refresh_from_db()
    assert account.check_ok
    assert account.granted_at
    found = steps_of(account)
    if not provider.calls():
        assert {step.mark for step in found.values()} == {Mark.DONE, Mark.NOT_NEEDED}
        assert "Only Sends calls no address here: it reports neither deliveries nor replies." in shown
        assert "reports nothing more: check whether it has arrived." in shown
        assert "Test the webhooks" not in shown
        assert "data-polls" not in shown, "nothing is waited for"
    else:
        assert found["webhooks"].mark is Mark.OPEN
        assert [route.kind for route in found["webhooks"].sightings] == list(provider.calls())
        assert found["test"].mark is Mark.UNDER_WAY
        assert "Test the webhooks" in shown


def test_the_self_test_tries_the_addresses_that_are_called(account: ProviderAccount, site: Client) -> None:
    """Nothing listens at PUBLIC_URL here: each address that is tried is one finding."""
    shown = text_of(site.post(reverse("admin:extensions_webhooks", args=[account.public_id])))

    assert shown.count("What came back:") == len(account.provider_class.calls())


@pytest.mark.parametrize("kind", ["status", "message"])
def test_an_address_that_the_provider_does_not_call_is_not_there(account: ProviderAccount, kind: str) -> None:
    path = f"/distribution-providers/v1/receive/distribution/{kind}/{account.provider_class.slug}/ORG42"
    body = '{"reports": [], "texts": []}'

    known = Client().post(path, body, "application/json", headers={"X-Acme-Key": CREDENTIALS["api_key"]})
    forged = Client().post(path, body, "application/json", headers={"X-Acme-Key": "another"})

    called = kind in account.provider_class.calls()
    assert (known.status_code, forged.status_code) == ((200, 401) if called else (404, 404))


@pytest.mark.parametrize("interactive", [False, True])
def test_a_survey_by_text_is_offered_where_replies_come(
    account: ProviderAccount, clinic: Organization, site: Client, *, interactive: bool
) -> None:
    if interactive:
        draft = factories.interactive(clinic)
    else:
        draft = factories.distribution(clinic, recipients=1)
        draft.messages.all().delete()

    shown = text_of(site.get(reverse("admin:distributions_distribution_review", args=[draft.pk])))

    calls = account.provider_class.calls()
    two_way = "message" in calls
    refused = f"{account.provider_name} is one-way. A survey by text needs an account at a provider with two-way SMS"
    assert (refused in shown) is (interactive and not two_way)
    if not interactive:
        assert ("people can reply" in shown) is two_way
        assert ("nothing more will be known" in shown) is ("status" not in calls)


@pytest.fixture
def answering(settings: Any) -> Iterator[None]:
    """A provider that takes every text, over real HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    settings.PROVIDER_BASE_URLS = dict.fromkeys(LEVELS, f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.django_db(transaction=True)
def test_texts_leave_and_as_much_is_known_of_them_as_the_provider_says(
    answering: None,
    account: ProviderAccount,
    clinic: Organization,
    site: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account.provider_class, "batch_size", 1)
    made = factories.distribution(clinic, recipients=0, contact_list=factories.contact_list(clinic, 2), account=account)
    Distribution.objects.filter(pk=made.pk).update(state=Distribution.State.LAUNCHING, launched_at=timezone.now())
    while starting.expand(made.pk):
        pass

    while pumping.run(account.pk):
        pass

    closing.close_finished()
    worker_process.close()  # the next test's engine reads its own settings

    made.refresh_from_db()
    assert set(made.messages.values_list("status", flat=True)) == {Status.ACCEPTED}
    assert made.state == Distribution.State.FINISHED
    page = text_of(site.get(reverse("admin:distributions_distribution_change", args=[made.pk])))
    assert "accepted" in page

"""Two hundred people answer a survey by text at once, and a worker dies in the middle: every answer is kept, and
nobody is asked anything twice.

Real processes throughout, as in test_chaos.py. The people are the simulator's: some answer at once, some first write
something else (simulator/people.py).
"""

from __future__ import annotations

from collections import Counter

import pytest

from contacts.models import OptOut
from distributions import services
from distributions.models import Conversation, InboundMessage, Message
from distributions.states import Status
from extensions import registry
from extensions.models import AccountState
from extensions.webhook_urls import webhook_url
from surveys.models import Answer, Response
from tests import factories
from tests.chaos.judge import call, wait_for
from tests.processes import Beat, Web, Worker

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

ANSWERING, HESITATING, STOPPING, SILENT = 160, 20, 10, 10
PHONES = (
    *(f"+4477{number:04d}9930" for number in range(ANSWERING)),
    *(f"+4478{number:04d}9931" for number in range(HESITATING)),
    *(f"+4479{number:04d}9911" for number in range(STOPPING)),
    *(f"+4475{number:04d}9900" for number in range(SILENT)),
)


@pytest.fixture
def asked(settings, simulator, start):
    """A survey by text, launched on the running system: web, two workers, beat."""
    settings.SEND_TIMEOUT, settings.SEND_SLICE, settings.SEND_LEASE = 3, 2, 7
    settings.LOOKUP_AFTER, settings.SWEEP_EVERY = 8, 1
    settings.PUBLIC_URL = start(Web).url
    clinic = factories.organization()
    account = factories.account(clinic, "twilio")
    AccountState.objects.filter(pk=account.pk).update(messages_per_second=1000, max_in_flight=32)
    call(
        simulator,
        "POST",
        "accounts",
        {
            "provider": "twilio",
            "credentials": factories.CREDENTIALS["twilio"],
            "inbound_url": webhook_url("message", registry.get("twilio"), clinic),
        },
    )
    made = factories.interactive(clinic, contact_list=factories.contact_list(clinic, phones=PHONES), recipients=0)
    workers = [start(Worker, "one"), start(Worker, "two")]
    start(Beat)
    services.launch(made, factories.administrator(clinic))
    return made, workers


@pytest.mark.parametrize("simulator", [{"latency_ms": 20, "report_delay_ms": 100}], indirect=True, ids=["20ms"])
def test_every_answer_is_kept_and_no_question_asked_twice_though_a_worker_dies(simulator, asked, start):
    """Scenarios 5 and 6."""
    made, workers = asked
    answering = ANSWERING + HESITATING

    for threshold in (60, 250):
        wait_for(lambda threshold=threshold: Answer.objects.count() >= threshold, 60, f"{threshold} answers")
        workers.pop(0).kill()
        workers.append(start(Worker, f"after {threshold}"))
    wait_for(
        lambda: Conversation.objects.filter(state=Conversation.State.COMPLETED).count() == answering, 90, "the answers"
    )
    wait_for(
        lambda: not Message.objects.filter(status__in=[Status.QUEUED, Status.SENDING, Status.UNCERTAIN]).exists(),
        60,
        "the thank-yous",
    )

    assert Answer.objects.count() == 3 * answering
    assert Counter(Response.objects.values_list("state", flat=True)) == {Response.State.COMPLETED: answering}
    read_as = Counter(InboundMessage.objects.values_list("meaning", flat=True))
    assert read_as == {
        InboundMessage.Meaning.ANSWER: 3 * answering,
        InboundMessage.Meaning.UNCLEAR: HESITATING,
        InboundMessage.Meaning.OPT_OUT: STOPPING,
    }
    assert OptOut.objects.filter(ended_at=None).count() == STOPPING
    texts = Counter((entry["to"], entry["text"]) for entry in call(simulator, "GET", "ledger")["entries"])
    assert set(texts.values()) == {1}, [text for text, often in texts.items() if often > 1][:5]
    per_person = Counter(Counter(to for to, _text in texts).values())
    assert per_person == {4: ANSWERING, 5: HESITATING, 1: STOPPING + SILENT}
    made.tally.refresh_from_db()
    assert (made.tally.started, made.tally.completed) == (answering, answering)
    assert made.tally.total == len(PHONES)

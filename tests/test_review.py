"""What a distribution would do if it were launched now."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.utils import timezone

from contacts import opt_outs
from contacts.models import Contact
from distributions.models import Message
from distributions.piping import Template
from distributions.planning.review import cautions, finish, obstacle, preview, recipients, review
from distributions.wording import REASONS
from extensions.contract import SenderKind
from extensions.models import AccountState
from tests import factories


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic, 10)


@pytest.fixture
def draft(clinic, patients, account):
    return factories.distribution(clinic, contact_list=patients)


def test_everybody_on_the_list_is_sent_to_or_skipped_with_a_reason(clinic, patients, draft):
    first, second, third, *_rest = patients.contacts.all()
    Contact.objects.filter(pk=first.pk).update(phone="")
    Contact.objects.filter(pk=second.pk).update(opted_out_at=timezone.now())
    opt_outs.opt_out(clinic, third.phone, "keyword")
    Contact.objects.filter(pk=third.pk).update(opted_out_at=None)  # the organisation's list alone is enough

    found = review(draft)

    assert (found.total, found.sendable) == (10, 7)
    assert found.skips == [("opted_out", "opted out", 2), ("no_number", "no phone number", 1)]
    assert [reason for _contact, reason in recipients(draft)][:4] == ["no_number", "opted_out", "opted_out", ""]
    assert found.can_launch


def test_segments_are_counted_over_the_real_texts(clinic, patients, draft):
    draft.message_text = "${e://Field/Note|short} ${l://SurveyURL} ${l://OptOutLink}"
    long, cyrillic, *_rest = patients.contacts.all()
    Contact.objects.filter(pk=long.pk).update(fields={"Note": "x" * 200})
    Contact.objects.filter(pk=cyrillic.pk).update(fields={"Note": "Привет"})

    found = review(draft)

    assert (found.least, found.most) == (1, 2)
    assert found.segments == 8 * 1 + 2 + 2  # the Cyrillic one is longer than 70 characters with its links
    assert found.encodings == {"GSM-7": 9, "UCS-2": 1}
    assert found.offending_characters[0][1] == 1
    assert found.longest.startswith("xxx")
    assert found.empty_fields == [("note", 8)]


def test_links_have_the_length_they_will_have(draft):
    found = review(draft)

    link = found.examples[0][1].rsplit(" ", 1)[1]
    assert link.startswith("https://surveys.example.com/s/x")
    assert len(link.rsplit("/", 1)[1]) >= 12


def test_the_review_does_not_ask_the_database_about_every_row(clinic, draft, patients, django_assert_max_num_queries):
    Contact.objects.bulk_create(
        Contact(organization=clinic, contact_list=patients, phone=f"+4915112{number:06d}") for number in range(1_000)
    )

    with django_assert_max_num_queries(15):
        found = review(draft)

    assert found.total == 1_010


def test_without_a_route_the_unfinished_step_is_named(clinic, patients):
    """(R10)"""
    draft = factories.distribution(clinic, contact_list=patients)
    assert "No SMS account has been added yet" in review(draft).refusal

    factories.account(clinic, granted=False, name="Half done")
    found = review(draft)

    assert "Half done" in found.refusal
    assert not found.can_launch


def test_the_default_provider_of_the_installation_is_named_as_such(clinic, patients, settings):
    """(R8)"""
    settings.DEFAULT_PROVIDER = {
        "provider": "twilio",
        "sender": "13531234567",
        "credentials": factories.CREDENTIALS["twilio"],
    }

    found = review(factories.distribution(clinic, contact_list=patients))

    assert found.route.is_default
    assert found.can_launch


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda draft: setattr(draft, "message_text", "Hello ${FirstName}"), "is not a placeholder"),
        (lambda draft: setattr(draft, "contact_list", None), "has been deleted"),
        (lambda draft: draft.contact_list.contacts.all().delete(), "is empty"),
        (lambda draft: draft.contact_list.contacts.update(opted_out_at=timezone.now()), "Nobody on this list"),
        (lambda draft: setattr(draft, "link_expires_at", timezone.now() - timedelta(1)), "would have expired"),
    ],
)
def test_what_cannot_be_launched_says_why(draft, change, words):
    change(draft)

    assert words in obstacle(draft)
    assert words in review(draft).refusal
    assert not review(draft).can_launch


def test_a_good_draft_has_no_obstacle(draft):
    assert obstacle(draft) == ""


def test_a_missing_link_an_unknown_field_and_a_missing_way_out_are_pointed_out(account):
    found = cautions(Template("Hello ${e://Field/Town}"), {"City"}, account)

    assert len(found) == 3
    assert "no link to the survey" in found[0]
    assert "${e://Field/Town}" in found[1]
    assert "how to opt out" in found[2]


@pytest.mark.parametrize("text", ["${l://SurveyURL} ${l://OptOutLink}", "${l://SurveyURL} Reply STOP to opt out"])
def test_a_text_with_link_and_way_out_raises_no_doubt(account, text):
    assert cautions(Template(text), set(), account) == []


def test_with_a_name_as_sender_stop_words_do_not_reach_us(clinic):
    """(R51–R53)"""
    account = factories.account(clinic, sender="CLINIC", sender_kind=SenderKind.ALPHANUMERIC)

    found = cautions(Template("${l://SurveyURL} Reply STOP to opt out"), set(), account)

    assert "your contact list stays unchanged" in found[0]
    assert "into the survey itself" in found[0]
    assert "does not work inside a survey" in found[0]
    assert "how to opt out" in found[1]


def test_the_end_is_estimated_from_the_rate_limit(clinic, patients, account):
    AccountState.objects.filter(account=account).update(messages_per_second=2)
    at = timezone.now() + timedelta(days=1)
    draft = factories.distribution(clinic, contact_list=patients, send_at=at)

    found = review(draft)

    assert found.rate == 2
    assert found.starts_at == at
    assert found.finishes_at == at + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("starts_at", "hours", "ends_at"),
    [
        (datetime(2026, 6, 1, 10, tzinfo=UTC), 2, datetime(2026, 6, 1, 12, tzinfo=UTC)),
        (datetime(2026, 6, 1, 18, tzinfo=UTC), 2, datetime(2026, 6, 2, 7, tzinfo=UTC)),  # 21:00 in Berlin is 19:00 UTC
        (datetime(2026, 6, 1, 22, tzinfo=UTC), 1, datetime(2026, 6, 2, 7, tzinfo=UTC)),
        (datetime(2026, 6, 1, 6, tzinfo=UTC), 14, datetime(2026, 6, 2, 7, tzinfo=UTC)),
        (datetime(2026, 6, 1, 6, tzinfo=UTC), 13 * 3 + 1, datetime(2026, 6, 4, 7, tzinfo=UTC)),
    ],
)
def test_sending_rests_in_quiet_hours(clinic, starts_at, hours, ends_at):
    clinic.quiet_from, clinic.quiet_until, clinic.time_zone = time(21), time(8), "Europe/Berlin"

    assert finish(starts_at, hours * 3600, clinic) == ends_at


def test_the_preview_shows_the_text_as_it_arrives(patients, account):
    [(contact, text, length)] = preview("Hello ${m://FirstName}!", list(patients.contacts.all()[:1]), account)

    assert text == f"Hello {contact.first_name}!"
    assert length.segments == 1


def test_every_reason_for_skipping_has_a_label():
    assert {skip.value for skip in Message.Skip} == {"opted_out", "no_number", "duplicate", "in_doubt"}
    assert set(Message.Skip) <= set(REASONS)

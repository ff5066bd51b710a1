"""Composing, reviewing, launching, watching and looking back, as somebody who is logged in sees it."""

import csv
import io
from datetime import timedelta
from itertools import chain

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts import opt_outs
from contacts.models import Contact, ContactList, OptOut
from distributions.models import Distribution, InboundMessage, Message, MessageEvent, Tally
from distributions.states import Status
from extensions.contract import SenderKind
from organizations.models import AuditEvent
from surveys.models import Survey
from tests import factories
from tests.reviewing import form_of, press, send

BASE = "/admin/distributions/distribution"
NOTE = "every message is shown at zero cost"


@pytest.fixture
def clinic(db):
    return factories.organization(
        default_region="DE", time_zone="Europe/Berlin", support_contact="Ada Lovelace, ada@example.org"
    )


@pytest.fixture
def account(clinic):
    return factories.account(clinic, name="Main account")


@pytest.fixture
def patients(clinic):
    return factories.contact_list(clinic, 3, name="Patients of ward 7")


@pytest.fixture
def survey(clinic):
    return factories.survey(clinic)


@pytest.fixture
def onlooker(clinic):
    return factories.user(clinic)


@pytest.fixture
def site(client, member):
    client.force_login(member)
    return client


@pytest.fixture
def draft(clinic, patients, account):
    return Distribution.objects.create(
        organization=clinic,
        name="Spring survey",
        survey=factories.survey(clinic),
        contact_list=patients,
        message_text="Hello ${m://FirstName|there}: ${l://SurveyURL} ${l://OptOutLink}",
    )


@pytest.fixture
def running(clinic, account):
    return factories.distribution(clinic, recipients=3, name="Winter survey", state="sending", account=account)


def fields(patients, survey, /, **changes):
    return {
        "method": "invite",
        "name": "Spring survey",
        "contact_list": patients.pk,
        "survey": survey.pk,
        "message_text": "Hello ${m://FirstName|there}: ${l://SurveyURL}",
        "when": "now",
    } | changes


def rows_of(response):
    """The rows of a download, without the last one, which tells how many there are."""
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    if rows[-1][0].startswith("# "):
        assert int(rows.pop()[0].split()[1]) == len(rows) - 1
    return rows


# --- compose ----------------------------------------------------------------------------------------------------------


def test_a_draft_is_written_reviewed_and_launched(site, member, patients, survey, account, monkeypatch):
    """(R33)"""
    written = site.post(f"{BASE}/add/", fields(patients, survey))
    draft = Distribution.objects.get()
    assert written.url == f"{BASE}/{draft.pk}/review/"
    assert (draft.created_by, draft.state, draft.send_at) == (member, "draft", None)

    reviewed = site.get(written.url)
    assert "Send 3 texts now" in reviewed.text
    assert "Main account" in reviewed.text
    assert NOTE in reviewed.text  # (R6)

    button = form_of(reviewed)
    launched = press(site, draft.pk, button)
    again = press(site, draft.pk, button)  # a double click
    assert launched.url == again.url == f"{BASE}/{draft.pk}/change/"
    draft.refresh_from_db()
    assert draft.launched_by == member
    assert draft.state in ("launching", "sending")
    assert AuditEvent.objects.filter(action="launched").count() == 1
    assert site.get(launched.url).status_code == 200


def test_a_distribution_can_be_scheduled_in_the_organisations_time_zone(site, patients, survey, account):
    site.post(f"{BASE}/add/", fields(patients, survey, when="later", send_at="2035-07-01T09:30"))
    draft = Distribution.objects.get()

    assert draft.send_at.isoformat() == "2035-07-01T07:30:00+00:00"
    assert "Schedule 3 texts" in site.get(f"{BASE}/{draft.pk}/review/").text
    assert 'value="2035-07-01T09:30"' in site.get(f"{BASE}/{draft.pk}/edit/").text
    send(site, draft.pk)
    draft.refresh_from_db()
    assert draft.state == "scheduled"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "name", "required"),
        ({"name": "x" * 101}, "name", "at most 100"),
        ({"contact_list": ""}, "contact_list", "required"),
        ({"contact_list": "999999"}, "contact_list", "one of the choices"),
        ({"survey": "no"}, "survey", "one of the choices"),
        ({"message_text": ""}, "message_text", "Write the text that people get"),
        ({"method": ""}, "method", "Choose one of the two"),
        ({"method": "reminder"}, "method", "Choose one of the two"),
        ({"message_text": "Hello ${FirstName}"}, "message_text", "“${FirstName}” is not a placeholder"),
        ({"message_text": "x" * 10_001}, "message_text", "at most 10000"),
        ({"message_text": "a\0b"}, "message_text", "U+0000"),
        ({"when": "later"}, "send_at", "Choose when"),
        ({"when": "later", "send_at": "2020-01-01T10:00"}, "send_at", "has passed"),
        ({"when": "later", "send_at": "tomorrow"}, "send_at", "Write a date and a time"),
        ({"when": "later", "send_at": "2027-03-28T02:30"}, "send_at", "it comes twice or not at all"),
        ({"when": "sometime"}, "when", "one of the choices"),
        ({"link_expires_at": "2020-01-01T10:00"}, "link_expires_at", "would have expired"),
    ],
)
def test_what_is_wrong_with_a_draft_is_said_at_its_field(site, patients, survey, account, changes, field, words):
    response = site.post(f"{BASE}/add/", fields(patients, survey, **changes))

    assert response.status_code == 422
    assert words in str(response.context["form"].errors[field]).replace("&#x27;", "’")
    assert not Distribution.objects.exists()


def test_the_launch_form_is_the_same_for_every_provider(site, clinic, patients, survey):
    """(R7)"""
    names = []
    for provider in ("twilio", "infobip"):
        factories.account(clinic, provider)
        names.append(sorted(site.get(f"{BASE}/add/").context["form"].fields))

    assert names[0] == names[1]
    expected = ["contact_list", "link_expires_at", "message_text", "method", "name", "send_at", "survey", "when"]
    assert names[0] == expected


def test_line_ends_of_the_browser_are_counted_once(site, patients, survey, account):
    site.post(f"{BASE}/add/", fields(patients, survey, message_text="a\r\nb"))

    assert Distribution.objects.get().message_text == "a\nb"


def test_without_a_list_or_a_survey_one_is_led_there(site, clinic):
    page = site.get(f"{BASE}/add/")

    assert "Add a contact list" in page.text
    assert "Add the survey" in page.text
    assert "No SMS account has been added yet" in page.text


def test_the_preview_counts_warns_and_shows_real_people(site, patients, account):
    Contact.objects.filter(contact_list=patients).update(fields={"City": "Köln"})

    text = "It’s ${e://Field/City}, ${m://FirstName} ${e://Field/Town}"
    page = site.post(f"{BASE}/preview/", {"message_text": text, "contact_list": patients.pk}).text

    assert "It’s Köln, Ada0" in page
    assert "UCS-2" in page
    assert "Replace quotes and dashes" in page
    assert "no link to the survey" in page
    assert "${e://Field/Town}" in page
    assert 'data-insert="${e://Field/City}"' in page


@pytest.mark.parametrize(
    "data", [{}, {"message_text": "", "contact_list": "x"}, {"message_text": "${", "contact_list": "9" * 30}]
)
def test_the_preview_takes_whatever_is_typed(site, account, data):
    assert site.post(f"{BASE}/preview/", data).status_code == 200


def test_a_name_as_sender_is_warned_about_before_the_launch(site, clinic, patients):
    """(R51)"""
    factories.account(clinic, sender="CLINIC", sender_kind=SenderKind.ALPHANUMERIC)
    draft = factories.distribution(clinic, contact_list=patients)

    assert "your contact list stays unchanged" in site.get(f"{BASE}/{draft.pk}/review/").text


def test_without_a_route_nothing_is_launched(site, clinic, patients):
    """(R10)"""
    draft = factories.distribution(clinic, contact_list=patients)

    page = site.get(f"{BASE}/{draft.pk}/review/")
    assert "No SMS account has been added yet" in page.text
    assert f"{BASE}/{draft.pk}/launch/" not in page.text
    refused = site.post(f"{BASE}/{draft.pk}/launch/", follow=True)
    assert "No SMS account has been added yet" in refused.text
    assert Distribution.objects.get().state == "draft"


def test_an_empty_list_is_not_launched(site, clinic, account):
    draft = factories.distribution(clinic)

    assert "The contact list is empty" in site.post(f"{BASE}/{draft.pk}/launch/", follow=True).text
    assert Distribution.objects.get().state == "draft"


def test_who_is_skipped_can_be_downloaded(site, clinic, patients, draft):
    first, second, _third = patients.contacts.all()
    Contact.objects.filter(pk=first.pk).update(phone="", last_name="=HYPERLINK(1)")
    opt_outs.opt_out(clinic, second.phone, "keyword")

    rows = rows_of(site.get(f"{BASE}/{draft.pk}/skipped.csv"))

    assert [row[-1] for row in rows] == ["Reason", "no phone number", "opted out"]
    assert rows[1][1] == "'=HYPERLINK(1)"
    assert rows[2][2] == f"'{second.phone}"


# --- rights -----------------------------------------------------------------------------------------------------------


def test_without_the_permission_nothing_is_composed_or_launched(client, onlooker, draft, running, patients, survey):
    """(R31, R32)"""
    client.force_login(onlooker)
    message = running.messages.first()

    for method, address in [
        ("get", f"{BASE}/add/"),
        ("post", f"{BASE}/add/"),
        ("get", f"{BASE}/{draft.pk}/edit/"),
        ("post", f"{BASE}/{draft.pk}/edit/"),
        ("post", f"{BASE}/preview/"),
        ("post", f"{BASE}/{draft.pk}/launch/"),
        ("post", f"{BASE}/{draft.pk}/copy/"),
        ("post", f"{BASE}/{running.pk}/pause/"),
        ("post", f"{BASE}/{running.pk}/resume/"),
        ("post", f"{BASE}/{running.pk}/cancel/"),
        ("post", f"{BASE}/{draft.pk}/delete/"),
        ("post", f"{BASE}/{running.pk}/messages/{message.pk}/send-again/"),
        ("get", f"{BASE}/{draft.pk}/skipped.csv"),
        ("get", f"{BASE}/{running.pk}/messages.csv"),
    ]:
        response = getattr(client, method)(address, fields(patients, survey) if method == "post" else {})
        assert response.status_code == 403, address
    assert "Use SMS distributions" in client.get(f"{BASE}/add/").text
    assert "Ada Lovelace, ada@example.org" in client.get(f"{BASE}/add/").text
    draft.refresh_from_db()
    running.refresh_from_db()
    assert (draft.state, running.state, running.paused_at) == ("draft", "sending", None)


def test_without_the_permission_one_may_look_but_sees_no_whole_number(client, onlooker, running):
    client.force_login(onlooker)
    message = running.messages.first()

    listed = client.get(f"{BASE}/")
    history = client.get(f"{BASE}/{running.pk}/messages/")
    one = client.get(f"{BASE}/{running.pk}/messages/{message.pk}/")

    assert "Use SMS distributions" in listed.text
    assert f"{BASE}/add/" not in listed.text
    for page in (history, one):
        assert page.status_code == 200
        assert message.to not in page.text
        assert message.to[-4:] in page.text


def test_nothing_of_another_organisation_is_there(client, running, draft, patients):
    stranger = factories.administrator()
    client.force_login(stranger)
    message = running.messages.first()
    contact = patients.contacts.first()

    for address in (
        f"{BASE}/{running.pk}/change/",
        f"{BASE}/{draft.pk}/edit/",
        f"{BASE}/{draft.pk}/review/",
        f"{BASE}/{draft.pk}/skipped.csv",
        f"{BASE}/{running.pk}/progress/",
        f"{BASE}/{running.pk}/reasons/",
        f"{BASE}/{running.pk}/messages/",
        f"{BASE}/{running.pk}/messages.csv",
        f"{BASE}/{running.pk}/messages/{message.pk}/",
        f"/admin/contacts/contact/{contact.pk}/texts/",
        f"/admin/contacts/contactlist/{patients.pk}/import/",
        f"/admin/contacts/contactlist/{patients.pk}/export/",
    ):
        assert client.get(address).status_code == 404, address
    for name in ("launch", "pause", "resume", "cancel", "copy"):
        assert client.post(f"{BASE}/{running.pk}/{name}/").status_code == 404
    assert "Ada0" not in client.post(f"{BASE}/preview/", {"message_text": "x", "contact_list": patients.pk}).text
    page = client.get(f"{BASE}/{running.pk}/messages/{message.pk}/")
    assert page.status_code == 404


def test_a_message_is_only_found_under_its_own_distribution(site, running, draft):
    message = running.messages.first()

    assert site.get(f"{BASE}/{draft.pk}/messages/{message.pk}/").status_code == 404


@pytest.mark.parametrize("name", ["launch", "pause", "resume", "cancel", "copy"])
def test_what_changes_something_is_only_done_by_post(site, running, name):
    assert site.get(f"{BASE}/{running.pk}/{name}/").status_code == 405


# --- progress ---------------------------------------------------------------------------------------------------------


def test_the_list_shows_figures_and_zero_cost_with_the_note(site, running):
    """(R5, R6)"""
    Tally.objects.filter(pk=running.pk).update(waiting=1, delivered=1_234)

    page = site.get(f"{BASE}/").text.replace("\N{NO-BREAK SPACE}", " ")

    assert "1,234 delivered" in page
    assert "1 waiting" in page
    assert NOTE in page


def test_pages_do_not_ask_more_of_the_database_as_rows_grow(
    site, clinic, account, patients, running, django_assert_max_num_queries
):
    for _number in range(30):
        factories.distribution(clinic, contact_list=patients, survey=running.survey, state="finished", account=account)
    more = factories.distribution(clinic, recipients=60, state="sending", account=account)
    message = more.messages.first()
    for index in range(20):
        InboundMessage.objects.create(
            organization=clinic, account=account, provider_message_id=f"in-{index}", sender=message.to, message=message
        )

    for address in (
        f"{BASE}/",
        f"{BASE}/{more.pk}/change/",
        f"{BASE}/{more.pk}/progress/",
        f"{BASE}/{more.pk}/messages/",
        f"{BASE}/{more.pk}/messages/{message.pk}/",
        "/admin/distributions/inboundmessage/",
        "/admin/contacts/contactlist/",
        "/admin/contacts/contact/",
        "/admin/contacts/optout/",
        "/admin/surveys/survey/",
    ):
        with django_assert_max_num_queries(15):
            assert site.get(address).status_code == 200


def test_the_progress_page_asks_for_itself_while_something_goes_on(site, running):
    page = site.get(f"{BASE}/{running.pk}/change/").text
    assert 'hx-trigger="every 2s"' in page
    assert "Pause" in page

    fragment = site.get(f"{BASE}/{running.pk}/progress/?phase=sending-on").text
    assert "3" in fragment
    assert "<html" not in fragment
    assert "hx-swap-oob" not in fragment

    Distribution.objects.filter(pk=running.pk).update(state="finished", finished_at=timezone.now())
    fragment = site.get(f"{BASE}/{running.pk}/progress/?phase=sending-on").text
    assert "hx-trigger" not in fragment
    assert "hx-swap-oob" in fragment  # the state has changed, and what can be done with it


def test_the_bar_says_in_words_what_it_shows(site, running):
    Tally.objects.filter(pk=running.pk).update(waiting=1, delivered=2)

    assert 'aria-label="delivered: 2, waiting: 1"' in site.get(f"{BASE}/{running.pk}/change/").text


def test_pause_resume_and_cancel(site, running):
    page = site.post(f"{BASE}/{running.pk}/pause/", follow=True).text
    assert "Resume" in page
    running.refresh_from_db()
    assert running.paused_at is not None

    site.post(f"{BASE}/{running.pk}/resume/")
    running.refresh_from_db()
    assert running.paused_at is None

    page = site.post(f"{BASE}/{running.pk}/cancel/", follow=True).text
    running.refresh_from_db()
    assert running.state == "cancelled"
    assert "Pause" not in page


def test_what_is_wrong_is_shown_where_one_looks(site, running):
    Distribution.objects.filter(pk=running.pk).update(problem="The provider refused the credentials.")

    assert "The provider refused the credentials." in site.get(f"{BASE}/{running.pk}/change/").text


def test_a_copy_is_a_new_draft(site, running):
    site.post(f"{BASE}/{running.pk}/copy/")

    copy = Distribution.objects.get(state="draft")
    assert (copy.message_text, copy.contact_list, copy.survey) == (
        running.message_text,
        running.contact_list,
        running.survey,
    )
    assert copy.name == "Copy of Winter survey"


def test_only_a_draft_can_be_deleted(site, running, draft):
    assert site.post(f"{BASE}/{running.pk}/delete/", {"post": "yes"}).status_code == 403
    site.post(f"{BASE}/{draft.pk}/delete/", {"post": "yes"})

    assert list(Distribution.objects.all()) == [running]


def test_why_texts_did_not_arrive_is_counted_in_plain_words(site, running):
    first, second, _third = running.messages.all()
    Message.objects.filter(pk=first.pk).update(status=Status.FAILED, reason="invalid_recipient")
    Message.objects.filter(pk=second.pk).update(status=Status.SKIPPED, reason="opted_out")

    page = site.get(f"{BASE}/{running.pk}/reasons/").text

    assert "The number does not exist or cannot receive texts." in page
    assert "This person has opted out." in page


# --- history ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def long(clinic, account):
    return factories.distribution(clinic, recipients=120, name="Long", state="sending", account=account)


def names_on(response):
    return [row.person for row in response.context["rows"]]


def test_the_history_is_read_page_by_page_in_both_directions(site, long):
    first = site.get(f"{BASE}/{long.pk}/messages/")
    second = site.get(f"{BASE}/{long.pk}/messages/?after={first.context['after']}")
    third = site.get(f"{BASE}/{long.pk}/messages/?after={second.context['after']}")
    back = site.get(f"{BASE}/{long.pk}/messages/?before={third.context['before']}")

    pages = [names_on(page) for page in (first, second, third)]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [*chain(*pages)] == [f"Ada{number} Lovelace" for number in range(120)]
    assert names_on(back) == pages[1]
    assert first.context["before"] is None
    assert third.context["after"] is None


def test_the_history_counts_no_rows(site, long):
    with CaptureQueriesContext(connection) as queries:
        site.get(f"{BASE}/{long.pk}/messages/")

    about_messages = [query["sql"] for query in queries if 'FROM "distributions_message"' in query["sql"]]
    assert len(about_messages) == 1
    assert "LIMIT 51" in about_messages[0]
    assert "COUNT(" not in about_messages[0]


def test_the_history_is_filtered_by_state_and_number(site, long):
    one = long.messages.all()[70]
    Message.objects.filter(pk=one.pk).update(status=Status.FAILED, reason="rejected_content", error="30007: filtered")
    Tally.objects.filter(pk=long.pk).update(failed=1)

    by_state = site.get(f"{BASE}/{long.pk}/messages/?state=failed")
    by_number = site.get(f"{BASE}/{long.pk}/messages/", {"number": one.to})
    nonsense = site.get(f"{BASE}/{long.pk}/messages/?number=abc&state=no&after=x&before=-1")

    assert names_on(by_state) == names_on(by_number) == ["Ada70 Lovelace"]
    assert "blocked because of its content" in by_state.text
    assert "30007: filtered" in by_state.text
    assert "is not a phone number" in nonsense.text


def test_the_history_goes_on_naming_a_deleted_account_and_the_default_route(site, clinic, running, account):
    """(R9, R26)"""
    default = factories.account(None, name="Twilio")
    first, second, _third = running.messages.all()
    Message.objects.filter(pk=second.pk).update(account=default)
    account.deleted_at = timezone.now()
    account.save(update_fields=["deleted_at"])

    page = site.get(f"{BASE}/{running.pk}/messages/").text

    assert "Main account (Twilio), since deleted" in page
    assert "default provider of this installation (Twilio)" in page
    assert "Main account" in site.get(f"{BASE}/{running.pk}/messages/{first.pk}/").text


def test_the_history_survives_the_deletion_of_contacts(site, long):
    Contact.objects.all().delete()

    page = site.get(f"{BASE}/{long.pk}/messages/")
    rows = rows_of(site.get(f"{BASE}/{long.pk}/messages.csv"))

    assert "deleted since" in page.text
    assert page.context["after"] is not None
    assert len(rows) == 121
    assert site.get(f"{BASE}/{long.pk}/messages/{long.messages.first().pk}/").status_code == 200


def test_the_export_holds_every_recipient_at_zero_cost(site, long):
    """(R5)"""
    Contact.objects.filter(first_name="Ada0").update(last_name="@SUM(1)")

    head, first, *rest = rows_of(site.get(f"{BASE}/{long.pk}/messages.csv"))

    assert len(rest) == 119
    row = dict(zip(head, first, strict=True))
    assert row["LastName"] == "'@SUM(1)"
    assert row["Phone"].startswith("'+44")
    assert (row["State"], row["Cost"], row["Account"]) == ("queued", "0", "Main account")
    assert AuditEvent.objects.filter(action="exported the history").exists()


def test_a_message_tells_its_story_in_order(site, clinic, account, running):
    message = running.messages.first()
    start = timezone.now() - timedelta(hours=1)
    Message.objects.filter(pk=message.pk).update(
        status=Status.DELIVERED,
        attempt=1,
        attempted_at=start,
        accepted_at=start + timedelta(seconds=1),
        clicked_at=start + timedelta(minutes=5),
        text="<b>Hello</b>",
    )
    MessageEvent.objects.create(
        message=message, source="report", status="delivered", at=start + timedelta(minutes=1), error="code 0"
    )
    InboundMessage.objects.create(
        organization=clinic,
        account=account,
        provider_message_id="in-1",
        sender=message.to,
        text="Thank <i>you</i>",
        message=message,
        received_at=start + timedelta(minutes=9),
    )

    page = site.get(f"{BASE}/{running.pk}/messages/{message.pk}/")

    whats = [moment.what for moment in page.context["story"]]
    assert whats == [
        "It was handed to the provider (attempt 1).",
        "The provider accepted it.",
        "delivery report: delivered",
        "The person opened the link to the survey.",
        "The person replied.",
    ]
    assert "&lt;b&gt;Hello&lt;/b&gt;" in page.text
    assert "Thank &lt;i&gt;you&lt;/i&gt;" in page.text


def test_an_uncertain_message_is_sent_again_only_by_a_person(site, running):
    message = running.messages.first()
    Message.objects.filter(pk=message.pk).update(status=Status.UNCERTAIN, attempt=1)
    Tally.objects.filter(pk=running.pk).update(waiting=2, uncertain=1)
    address = f"{BASE}/{running.pk}/messages/{message.pk}"

    assert "may get it twice" in site.get(f"{address}/").text
    assert "once more" in site.post(f"{address}/send-again/", follow=True).text
    message.refresh_from_db()
    assert message.status == Status.QUEUED
    assert "known by now" in site.post(f"{address}/send-again/", follow=True).text


def test_inbound_messages_are_read_only(site, clinic, account, running):
    row = InboundMessage.objects.create(
        organization=clinic,
        account=account,
        provider_message_id="in-1",
        sender="+447700900123",
        text="STOP",
        meaning="opt_out",
        message=running.messages.first(),
    )

    page = site.get("/admin/distributions/inboundmessage/").text
    assert "STOP" in page
    assert "Winter survey" in page
    assert site.get(f"/admin/distributions/inboundmessage/{row.pk}/change/").status_code == 200
    assert site.get("/admin/distributions/inboundmessage/add/").status_code == 403
    assert site.post(f"/admin/distributions/inboundmessage/{row.pk}/change/", {}).status_code == 403
    assert site.post(f"/admin/distributions/inboundmessage/{row.pk}/delete/", {"post": "yes"}).status_code == 403


# --- contacts and surveys ---------------------------------------------------------------------------------------------


def test_a_list_is_filled_from_a_file(site, clinic):
    LISTS = "/admin/contacts/contactlist"
    site.post(f"{LISTS}/add/", {"name": "New patients"})
    made = ContactList.objects.get()
    file = SimpleUploadedFile("p.csv", "Phone;FirstName;City\n015112345678;Ada;Köln\n015112345679;Grace;\n".encode())

    checked = site.post(f"{LISTS}/{made.pk}/import/", {"file": file})
    shown = site.get(checked.url).text
    assert "Import 2 rows" in shown
    assert "Köln" in shown
    assert not Contact.objects.exists()

    done = site.post(checked.url, follow=True).text
    assert "2 people were added, 0 were updated." in done
    assert Contact.objects.count() == 2
    assert site.post(checked.url).status_code == 302  # a double click
    assert AuditEvent.objects.filter(action="imported contacts").count() == 1

    head, *rows = rows_of(site.get(f"{LISTS}/{made.pk}/export/"))
    assert head[:4] == ["FirstName", "LastName", "Email", "Phone"]
    assert rows[0][3] == "'+4915112345678"


def test_a_file_with_mistakes_shows_them_and_offers_no_import(site, patients):
    file = SimpleUploadedFile("p.csv", b"Phone\n" + b"abc\n" * 300)

    checked = site.post(f"/admin/contacts/contactlist/{patients.pk}/import/", {"file": file})
    page = site.get(checked.url)

    assert page.text.count("is not a phone number") == 200
    assert "The first 200 of 300 are shown." in page.text
    assert "300 rows cannot be imported as they are." in page.text
    assert "Correct these rows in the file and upload it again." in page.text
    assert 'value="import"' not in page.text
    assert len(rows_of(site.get(f"{checked.url}problems.csv"))) == 301
    assert "No row of this file can be imported." in site.post(checked.url, follow=True).text


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"Phone", "Name\nJörg".encode("cp1252")])
def test_an_unreadable_file_is_refused_on_the_page(site, patients, content):
    file = SimpleUploadedFile("p.csv", content)

    page = site.post(f"/admin/contacts/contactlist/{patients.pk}/import/", {"file": file})

    assert page.status_code == 422
    assert page.context["form"].errors["file"]


def test_no_file_is_said_to_be_missing(site, patients):
    page = site.post(f"/admin/contacts/contactlist/{patients.pk}/import/")

    assert "Choose a file first." in page.text


def test_an_export_can_be_imported_again(site, clinic, patients):
    Contact.objects.filter(contact_list=patients).update(last_name="-Minus", fields={"City": "=Köln"})
    other = factories.contact_list(clinic)
    content = b"".join(site.get(f"/admin/contacts/contactlist/{patients.pk}/export/").streaming_content)

    checked = site.post(
        f"/admin/contacts/contactlist/{other.pk}/import/", {"file": SimpleUploadedFile("p.csv", content)}
    )
    site.post(checked.url)

    contact = other.contacts.first()
    assert (contact.last_name, contact.fields["City"]) == ("-Minus", "=Köln")
    assert contact.phone == patients.contacts.first().phone


def test_deleting_a_list_says_how_many_people_and_keeps_the_history(site, running):
    made = running.contact_list
    page = site.get(f"/admin/contacts/contactlist/{made.pk}/delete/")
    assert "Ada0" not in page.text
    assert "3" in page.text

    site.post(f"/admin/contacts/contactlist/{made.pk}/delete/", {"post": "yes"})

    assert not Contact.objects.filter(contact_list=made.pk).exists()
    assert running.messages.count() == 3


def test_a_contact_is_added_with_a_number_as_people_write_it(site, clinic, patients):
    data = {"contact_list": patients.pk, "first_name": "Ada", "phone": "0151 123 45678", "fields": '{"City": "Köln"}'}
    site.post("/admin/contacts/contact/add/", data)
    again = site.post("/admin/contacts/contact/add/", data | {"first_name": "Grace"})
    wrong = site.post("/admin/contacts/contact/add/", data | {"phone": "abc", "fields": "[1]"})

    contact = Contact.objects.get(phone="+4915112345678")
    assert contact.fields == {"City": "Köln"}
    assert contact.organization == clinic
    assert "Somebody on this list already has this number." in again.text
    assert "is not a phone number" in wrong.text
    assert "Write an object" in wrong.text


def test_a_contact_shows_its_status_and_texts(site, clinic, running):
    message = running.messages.first()
    opt_outs.opt_out(clinic, message.to, "keyword")

    assert "opted out" in site.get(f"/admin/contacts/contact/{message.contact_id}/change/").text
    assert "Winter survey" in site.get(f"/admin/contacts/contact/{message.contact_id}/texts/").text


def test_an_administrator_adds_an_opt_out_and_lets_the_person_back_in(client, clinic, patients):
    client.force_login(factories.administrator(clinic))
    contact = patients.contacts.first()
    data = {"phone": contact.phone.replace("+44", "0044"), "evidence": "asked on the phone"}

    client.post("/admin/contacts/optout/add/", data)
    again = client.post("/admin/contacts/optout/add/", data)
    row = OptOut.objects.get()
    assert (row.phone, row.source, row.evidence) == (contact.phone, "administrator", "asked on the phone")
    contact.refresh_from_db()
    assert contact.opted_out_at is not None
    assert "has already opted out" in again.text
    assert rows_of(client.get("/admin/contacts/optout/export/"))[1][0] == f"'{contact.phone}"

    done = client.post("/admin/contacts/optout/", {"action": "let_back_in", "_selected_action": [row.pk]}, follow=True)
    assert "1 number can be texted again." in done.text
    row.refresh_from_db()
    contact.refresh_from_db()
    assert row.ended_at is not None
    assert contact.opted_out_at is None
    assert client.get(f"/admin/contacts/optout/{row.pk}/change/").status_code == 200
    assert client.post(f"/admin/contacts/optout/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_member_sees_opt_outs_but_lets_nobody_back_in(site, clinic):
    opt_outs.opt_out(clinic, "+4915112345678", "keyword")
    row = OptOut.objects.get()

    assert "+4915112345678" in site.get("/admin/contacts/optout/").text
    site.post("/admin/contacts/optout/", {"action": "let_back_in", "_selected_action": [row.pk]})
    assert site.post("/admin/contacts/optout/add/", {"phone": "015112345679"}).status_code == 403

    row.refresh_from_db()
    assert row.ended_at is None


def test_no_number_is_written_into_the_audit_trail(client, clinic, patients):
    client.force_login(factories.administrator(clinic))
    contact = patients.contacts.first()
    client.post("/admin/contacts/optout/add/", {"phone": contact.phone})
    client.post("/admin/contacts/optout/", {"action": "let_back_in", "_selected_action": [OptOut.objects.get().pk]})
    client.get(f"/admin/contacts/contactlist/{patients.pk}/export/")
    client.get("/admin/contacts/optout/export/")

    written = [f"{event.object_name} {event.detail}" for event in AuditEvent.objects.all()]
    assert len(written) >= 4
    assert not any(contact.phone.lstrip("+") in text for text in written)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://forms.example.org/s/42", "must begin with https://, for example https://forms.example.org/s/42"),
        ("ftp://forms.example.org/", "must begin with https://"),
        ("forms", "full address"),
        ("https://user:pw@forms.example.org/", "must not contain a user name"),
        ("https://forms.example.org/?o=${l://OptOutLink}", "work in messages only"),  # (R53)
    ],
)
def test_a_surveys_address_must_lead_somewhere_safe(site, url, words):
    page = site.post("/admin/surveys/survey/add/", {"name": "Satisfaction", "url": url, "reference_parameter": "ref"})

    assert words in page.text
    assert not Survey.objects.exists()


def test_a_survey_is_added_with_its_address(site, clinic, member):
    site.post(
        "/admin/surveys/survey/add/",
        {
            "name": "Satisfaction",
            "url": "https://forms.example.org/s/42?a=1",
            "reference_parameter": "id",
            "retries": "2",
            "wait_hours": "72",
            "questions-TOTAL_FORMS": "0",
            "questions-INITIAL_FORMS": "0",
        },
    )

    survey = Survey.objects.get()
    assert (survey.organization, survey.created_by) == (clinic, member)
    page = site.get(f"/admin/surveys/survey/{survey.pk}/change/").text
    assert "https://forms.example.org/s/42?a=1&amp;id=Ab3dE7" in page

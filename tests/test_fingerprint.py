"""What was reviewed is what goes: if anything differs when somebody presses *Send*, nothing does."""

from __future__ import annotations

import threading
from dataclasses import fields
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from contacts import opt_outs
from contacts.models import Contact, OptOut
from distributions import services
from distributions.models import Distribution, Message
from distributions.pages.compose_form import ComposeForm
from distributions.planning import fingerprint, starting
from distributions.planning.review import people_of, review
from extensions.models import ProviderAccount
from organizations.models import AuditEvent
from surveys.models import Survey
from tests import factories
from tests.reviewing import BASE, form_of, press, send
from tests.reviewing import review as look_at

pytestmark = pytest.mark.django_db

State = Distribution.State
TEXT = "Hello ${m://FirstName|there} of ${e://Field/City}, please answer: ${l://SurveyURL}"


@pytest.fixture
def account(clinic):
    return factories.account(clinic, name="First line")


@pytest.fixture
def site(client, member):
    client.force_login(member)
    return client


def by_link(clinic, **fields):
    return factories.distribution(
        clinic, contact_list=factories.contact_list(clinic, 4), message_text=TEXT, name="Spring", **fields
    )


def by_text(clinic, **fields):
    return factories.interactive(clinic, contact_list=factories.contact_list(clinic, 4), name="Spring", **fields)


def planned(clinic):
    return by_link(
        clinic,
        send_at=timezone.now() + timedelta(days=1),
        link_expires_at=timezone.now() + timedelta(days=30),
    )


def written(clinic, kind):
    return {"link": by_link, "text": by_text, "planned": planned}[kind](clinic)


def somebody(row):
    return row.contact_list.contacts.order_by("pk").first()


# --- what is reviewed: any of it stops the launch ---------------------------------------------------------------------


def another_text(row):
    row.message_text = "Something else: ${l://SurveyURL}" if not row.is_interactive else "Something else."
    row.save()


def one_space_more(row):
    row.message_text += " x"
    row.save()


def another_list(row):
    row.contact_list = factories.contact_list(row.organization, 4, phone="+4477009{:05d}")
    row.save()


def another_survey(row):
    row.survey = factories.survey(
        row.organization, questions=factories.THREE_QUESTIONS, url="https://forms.example.org/"
    )
    row.save()


def another_method(row):
    Survey.objects.filter(pk=row.survey_id).update(url="https://forms.example.org/s/42")
    row.survey.questions.create(kind="nps", text="How likely?")
    row.method = Distribution.Method.INVITE if row.is_interactive else Distribution.Method.INTERACTIVE
    row.message_text = row.message_text or "Hello ${l://SurveyURL}"
    row.save()


def another_time(row):
    row.send_at = timezone.now() + timedelta(hours=5)
    row.save()


def another_end_of_the_link(row):
    row.link_expires_at = timezone.now() + timedelta(days=9)
    row.save()


def somebody_more(row):
    Contact.objects.bulk_create(
        [Contact(organization=row.organization, contact_list=row.contact_list, phone="+447700800001")]
    )


def ten_thousand_more(row):
    Contact.objects.bulk_create(
        Contact(organization=row.organization, contact_list=row.contact_list, phone=f"+4477008{index:05d}")
        for index in range(10_000)
    )


def somebody_less(row):
    somebody(row).delete()


def somebody_else_instead(row):
    somebody(row).delete()
    somebody_more(row)


def another_number(row):
    row.contact_list.contacts.filter(pk=somebody(row).pk).update(phone="+447700800002")


def two_numbers_swapped(row):
    first, second = row.contact_list.contacts.order_by("pk")[:2]
    first.phone, second.phone, kept = "", first.phone, second.phone
    first.save()
    second.save()
    first.phone = kept
    first.save()


def another_name(row):
    row.contact_list.contacts.filter(pk=somebody(row).pk).update(first_name="Grace")


def another_city(row):
    row.contact_list.contacts.filter(pk=somebody(row).pk).update(fields={"City": "Leeds"})


def somebody_stops(row):
    opt_outs.opt_out(row.organization, somebody(row).phone, OptOut.Source.KEYWORD)


def somebody_stops_elsewhere(row):
    OptOut.objects.create(organization=row.organization, phone=somebody(row).phone, source="keyword")


def somebody_leaves_this_list(row):
    row.contact_list.contacts.filter(pk=somebody(row).pk).update(opted_out_at=timezone.now())


def another_account(row):
    ProviderAccount.objects.update(deleted_at=timezone.now())
    factories.account(row.organization, "infobip", name="Second line")


def no_account(row):
    ProviderAccount.objects.update(granted_at=None)


def another_address(row):
    Survey.objects.filter(pk=row.survey_id).update(url="https://elsewhere.example.org/s/43")


def another_parameter(row):
    Survey.objects.filter(pk=row.survey_id).update(reference_parameter="who")


def another_question(row):
    row.survey.questions.filter(pk=row.survey.questions.last().pk).update(text="And what else?")


def one_question_more(row):
    row.survey.questions.create(kind="text", text="Anything else?", position=9)


def another_thank_you(row):
    Survey.objects.filter(pk=row.survey_id).update(thank_you="Thanks a lot.")


def another_wait(row):
    Survey.objects.filter(pk=row.survey_id).update(wait_hours=5)


def more_repetitions(row):
    Survey.objects.filter(pk=row.survey_id).update(retries=4)


ALWAYS = {
    another_text: "text",
    one_space_more: "text",
    another_list: "contact list",
    another_survey: "survey",
    another_method: "method",
    another_time: "Begins",
    somebody_more: "4 → 5",
    somebody_less: "4 → 3",
    somebody_else_instead: "list",
    another_number: "list",
    two_numbers_swapped: "list",
    another_name: "list",
    somebody_stops: "4 → 3",
    somebody_stops_elsewhere: "4 → 3",
    somebody_leaves_this_list: "4 → 3",
    another_account: "Second line",
    no_account: "sender",
    another_address: "elsewhere.example.org",
    another_parameter: "survey",
}
OF_A_LINK = {another_end_of_the_link: "link", another_city: "list"}
OF_A_TEXT = {
    another_question: "survey",
    one_question_more: "survey",
    another_thank_you: "survey",
    another_wait: "survey",
    more_repetitions: "survey",
}
REVIEWED = [
    *((kind, change, words) for kind in ("link", "text", "planned") for change, words in ALWAYS.items()),
    *((kind, change, words) for kind in ("link", "planned") for change, words in OF_A_LINK.items()),
    *(("text", change, words) for change, words in OF_A_TEXT.items()),
]


@pytest.mark.parametrize(("kind", "change", "words"), REVIEWED)
def test_nothing_is_sent_that_was_not_reviewed(site, clinic, account, kind, change, words):
    draft = written(clinic, kind)
    seen = look_at(site, draft.pk)
    change(Distribution.objects.get(pk=draft.pk))

    refused = press(site, draft.pk, seen)

    assert refused.status_code == 409
    assert "Nothing has been sent" in refused.text
    assert words.casefold() in refused.text.casefold().split('id="changed"')[1].split("</section>")[0]
    draft.refresh_from_db()
    assert draft.state == State.DRAFT
    assert not Message.objects.exists()
    assert not AuditEvent.objects.filter(action="launched").exists()
    if change is no_account:
        return
    launched = press(site, draft.pk, form_of(refused))  # the new button
    assert (launched.status_code, launched.url) == (302, f"{BASE}/{draft.pk}/change/")
    draft.refresh_from_db()
    assert draft.state in (State.LAUNCHING, State.SENDING, State.SCHEDULED)


def test_before_and_after_stand_beside_each_other(site, clinic, account):
    """“4 → 10,004 people, sender +353… → 1500…”."""
    draft = by_link(clinic)
    seen = look_at(site, draft.pk)
    ten_thousand_more(draft)
    another_account(draft)
    another_text(draft)

    refused = press(site, draft.pk, seen)

    second = ProviderAccount.objects.get(name="Second line")
    for words in (
        "4 → 10,004",
        f"{account.sender} → {second.sender}",
        "First line (Twilio) → Second line (Infobip)",
        "please answer",
        "Something else",
    ):
        assert words in refused.text


# --- what is not reviewed: none of it does ----------------------------------------------------------------------------


def as_it_was(row):
    pass


def another_title(row):
    Distribution.objects.filter(pk=row.pk).update(name="Summer")


def survey_renamed(row):
    Survey.objects.filter(pk=row.survey_id).update(name="Renamed")


def list_renamed(row):
    row.contact_list.name = "Renamed"
    row.contact_list.save()


def account_checked_again(row):
    ProviderAccount.objects.update(checked_at=timezone.now(), check_detail="Fine.")


def another_account_behind_it(row):
    factories.account(row.organization, "vonage")


def other_lists(row):
    factories.contact_list(row.organization, 5, phone="+4477006{:05d}")


def an_email_that_no_text_shows(row):
    row.contact_list.contacts.update(email="ada@example.org")


def a_stop_of_somebody_else(row):
    opt_outs.opt_out(row.organization, "+447700999999", OptOut.Source.KEYWORD)


def a_list_of_a_stranger(row):
    other = factories.organization()
    factories.contact_list(other, 5)
    opt_outs.opt_out(other, somebody(row).phone, OptOut.Source.KEYWORD)


def a_licence_renewed(row):
    row.organization.licence.save()


NOT_REVIEWED = (
    as_it_was,
    another_title,
    survey_renamed,
    list_renamed,
    account_checked_again,
    another_account_behind_it,
    other_lists,
    an_email_that_no_text_shows,
    a_stop_of_somebody_else,
    a_list_of_a_stranger,
    a_licence_renewed,
)


@pytest.mark.parametrize("kind", ["link", "text", "planned"])
@pytest.mark.parametrize("change", NOT_REVIEWED)
def test_nobody_is_asked_twice_about_what_was_not_reviewed(site, clinic, account, kind, change):
    draft = written(clinic, kind)
    seen = look_at(site, draft.pk)
    change(Distribution.objects.get(pk=draft.pk))

    launched = press(site, draft.pk, seen)

    assert (launched.status_code, launched.url) == (302, f"{BASE}/{draft.pk}/change/")
    draft.refresh_from_db()
    assert draft.state != State.DRAFT


def test_a_question_is_no_part_of_an_invitation(site, clinic, account):
    draft = by_link(clinic)
    seen = look_at(site, draft.pk)
    one_question_more(draft)
    another_thank_you(draft)

    assert press(site, draft.pk, seen).status_code == 302


def test_a_city_that_no_text_shows_may_change(site, clinic, account):
    draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2))
    seen = look_at(site, draft.pk)
    another_city(draft)

    assert press(site, draft.pk, seen).status_code == 302


# --- the button -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("posted", [{}, {"fingerprint": ""}, {"fingerprint": "x"}, {"fingerprint": "a:b:c"}])
def test_without_a_review_there_is_nothing_to_send(site, clinic, account, posted):
    draft = by_link(clinic)

    shown = press(site, draft.pk, posted, follow=True)

    assert "Review it first" in shown.text
    assert form_of(shown)
    draft.refresh_from_db()
    assert draft.state == State.DRAFT


@given(st.text(max_size=40))
def test_whatever_is_posted_instead_of_a_fingerprint_is_none(signed):
    assert fingerprint.read(signed) is None


@given(
    st.builds(
        fingerprint.Fingerprint,
        **{
            field.name: st.integers(0, 10**6) if field.name == "people" else st.text(max_size=30)
            for field in fields(fingerprint.Fingerprint)
        },
    )
)
def test_a_fingerprint_is_read_as_it_was_signed(seen):
    assert fingerprint.read(fingerprint.sign(seen)) == seen


def test_a_forged_fingerprint_is_none(site, clinic, account):
    draft = by_link(clinic)
    seen = look_at(site, draft.pk)
    signed = seen["fingerprint"]
    seen["fingerprint"] = signed[:-1] + ("A" if signed[-1] != "A" else "B")

    assert "Review it first" in press(site, draft.pk, seen, follow=True).text
    draft.refresh_from_db()
    assert draft.state == State.DRAFT


def test_a_double_click_sends_once_and_shows_the_progress_twice(site, clinic, account):
    draft = by_link(clinic)
    seen = look_at(site, draft.pk)

    answers = [press(site, draft.pk, seen) for _click in range(2)]

    assert {answer.url for answer in answers} == {f"{BASE}/{draft.pk}/change/"}
    assert AuditEvent.objects.filter(action="launched").count() == 1


def test_a_second_click_after_the_list_has_grown_shows_the_progress(site, clinic, account):
    draft = by_link(clinic)
    seen = look_at(site, draft.pk)
    press(site, draft.pk, seen)
    somebody_more(draft)

    assert press(site, draft.pk, seen).url == f"{BASE}/{draft.pk}/change/"


@pytest.mark.parametrize(("late", "status"), [(timedelta(minutes=1), 302), (timedelta(hours=2), 409)])
def test_a_planned_time_that_has_just_passed_is_still_what_was_meant(site, clinic, account, late, status):
    """Who plans for 14:00 and presses at 14:01 means it; who left the page open until four does not."""
    draft = planned(clinic)
    time = timezone.now() - late
    Distribution.objects.filter(pk=draft.pk).update(send_at=time)
    draft.refresh_from_db()
    seen = fingerprint.of(draft, now=time - timedelta(minutes=5))

    answer = press(site, draft.pk, {"fingerprint": fingerprint.sign(seen)})

    assert answer.status_code == status
    if status == 409:
        assert "→ at once" in answer.text
        assert "Send 4 texts now" in answer.text


def test_a_draft_whose_time_had_passed_when_it_was_reviewed_goes_at_once(site, clinic, account):
    draft = by_link(clinic, send_at=timezone.now() - timedelta(days=2))

    assert send(site, draft.pk).url == f"{BASE}/{draft.pk}/change/"


def test_who_launches_without_a_fingerprint_reviews_for_themselves(clinic, account, member):
    """A program, or our own sample."""
    draft = by_link(clinic)
    somebody_more(draft)

    assert services.launch(draft, member).state == State.LAUNCHING


def test_what_is_launched_is_what_is_stored_and_not_what_was_read_before(clinic, account, member):
    draft = by_link(clinic)
    seen = fingerprint.of(draft)
    another_text(Distribution.objects.get(pk=draft.pk))

    with pytest.raises(services.Changed) as refusal:
        services.launch(draft, member, reviewed=seen)

    assert [difference.label for difference in refusal.value.differences] == ["Text"]
    assert Distribution.objects.get().state == State.DRAFT


# --- in the same moment -----------------------------------------------------------------------------------------------


def test_a_list_that_grows_between_the_launch_and_the_first_text_is_held(site, clinic, account, member):
    """An import that was under way when somebody pressed *Send*."""
    draft = by_link(clinic)
    send(site, draft.pk)
    ten_thousand_more(draft)

    while starting.expand(draft.pk):
        pass

    draft.refresh_from_db()
    assert draft.standing == "held"
    assert "from 4 people to 10,004" in draft.problem
    assert not Message.objects.exists()
    services.take_over(draft, member)
    while starting.expand(draft.pk):
        pass
    assert Message.objects.count() == 10_004


def test_somebody_more_or_less_between_the_launch_and_the_first_text_holds_nothing_up(site, clinic, account):
    draft = by_link(clinic)
    send(site, draft.pk)
    somebody_else_instead(draft)
    somebody_less(draft)

    starting.expand(draft.pk)

    assert Message.objects.count() == 3


def test_who_saves_a_draft_that_was_launched_meanwhile_changes_nothing(site, clinic, account, member, monkeypatch):
    """Two people, or two tabs: one is still writing when the other sends."""
    draft = by_link(clinic)
    really = ComposeForm.is_valid

    def launched_meanwhile(form):
        services.launch(Distribution.objects.get(pk=draft.pk), member)
        return really(form)

    monkeypatch.setattr(ComposeForm, "is_valid", launched_meanwhile)
    written = {
        "method": "invite",
        "name": "Summer",
        "contact_list": draft.contact_list_id,
        "survey": draft.survey_id,
        "message_text": "Other text ${l://SurveyURL}",
        "when": "now",
    }

    answer = site.post(f"{BASE}/{draft.pk}/edit/", written, follow=True)

    assert "Nothing was changed" in answer.text
    draft.refresh_from_db()
    assert (draft.state, draft.name, draft.message_text) == (State.LAUNCHING, "Spring", TEXT)


@pytest.mark.django_db(transaction=True)
def test_an_edit_in_the_moment_of_the_launch_does_not_slip_through(clinic, account, member):
    """Whichever comes first, nothing goes that was not reviewed."""
    for number in range(6):
        draft = factories.distribution(clinic, contact_list=factories.contact_list(clinic, 2), message_text=TEXT)
        seen = fingerprint.of(draft)
        barrier, outcome = threading.Barrier(2), {}

        def launch(draft=draft, seen=seen, barrier=barrier, outcome=outcome):
            barrier.wait()
            try:
                outcome["launched"] = services.launch(Distribution.objects.get(pk=draft.pk), member, seen).state
            except services.Changed:
                outcome["launched"] = State.DRAFT
            finally:
                connection.close()

        def edit(draft=draft, barrier=barrier, outcome=outcome, number=number):
            written = Distribution.objects.get(pk=draft.pk)
            written.message_text = f"Other {number}: ${{l://SurveyURL}}"
            barrier.wait()
            try:
                outcome["written"] = services.write(written, ["message_text"], member)
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for work in (launch, edit)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        draft.refresh_from_db()
        assert (draft.state == State.DRAFT) == outcome["written"] == (draft.message_text != TEXT)


# --- how many people --------------------------------------------------------------------------------------------------


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["", "+447700900001", "+447700900002", "+447700900003"]), st.booleans(), st.booleans()
        ),
        max_size=12,
    )
)
def test_the_review_and_the_launch_count_the_same_people(rows):
    clinic = factories.organization()
    people = factories.contact_list(clinic)
    holders = set()
    for phone, shares, opted_out in rows:
        Contact.objects.create(
            organization=clinic,
            contact_list=people,
            phone=phone,
            shares_number=bool(phone) and (shares or phone in holders),
            opted_out_at=timezone.now() if opted_out else None,
        )
        if phone and not shares:
            holders.add(phone)
    draft = factories.distribution(clinic, contact_list=people)

    assert people_of(draft) == review(draft).sendable


def test_a_hundred_thousand_people_take_one_statement(clinic, account, django_assert_max_num_queries):
    draft = by_link(clinic)
    ten_thousand_more(draft)

    with django_assert_max_num_queries(12):
        fingerprint.of(Distribution.objects.select_related("organization__licence", "survey").get(pk=draft.pk))

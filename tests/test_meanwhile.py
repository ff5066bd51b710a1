"""Two windows, or two people, at the same form: nobody undoes what they have not seen."""

from __future__ import annotations

import re
from html import unescape

import pytest

from contacts.models import Contact
from distributions.models import Distribution
from organizations.models import Organization, User
from tests import factories

pytestmark = pytest.mark.django_db
PEOPLE = "/admin/organizations/user"


@pytest.fixture
def boss(client, clinic):
    boss = factories.administrator(clinic)
    client.force_login(boss)
    return boss


def shown(page):
    return unescape(re.search(r'name="_shown" value="([^"]*)"', page.content.decode())[1])


def errors(page):
    return {name: " ".join(said) for name, said in page.context["adminform"].form.errors.items()}


def person(user, **changes):
    fields = {"email": user.email, "name": user.name, "role": user.role, "is_active": "on"}
    return {**fields, "use_sms_distributions": "inherit", "see_recipients": "inherit", **changes}


def test_what_was_changed_in_another_window_is_not_undone(client, clinic, boss):
    grace = factories.user(clinic, name="Grace")
    address = f"{PEOPLE}/{grace.pk}/change/"
    first = second = shown(client.get(address))

    client.post(address, person(grace, role="administrator", _shown=first))
    saved = client.post(address, person(grace, name="Grace Hopper", _shown=second))

    assert saved.status_code == 302
    grace.refresh_from_db()
    assert (grace.role, grace.name) == (User.Role.ADMINISTRATOR, "Grace Hopper")


def test_the_same_field_in_both_windows_is_asked_about_once(client, clinic, boss):
    grace = factories.user(clinic, name="Grace")
    address = f"{PEOPLE}/{grace.pk}/change/"
    seen = shown(client.get(address))
    client.post(address, person(grace, name="Grace B. Hopper", role="administrator", _shown=seen))

    refused = client.post(address, person(grace, name="G. Hopper", _shown=seen))

    assert errors(refused) == {
        "name": "This has been changed meanwhile; it is now “Grace B. Hopper”. Save again to replace it."
    }
    assert 'value="G. Hopper"' in refused.content.decode(), "what was typed is still there"
    assert User.objects.get(pk=grace.pk).name == "Grace B. Hopper"
    again = client.post(address, person(grace, name="G. Hopper", _shown=shown(refused)))
    assert again.status_code == 302
    grace.refresh_from_db()
    assert (grace.name, grace.role) == ("G. Hopper", User.Role.ADMINISTRATOR), (
        "the role was not asked about, nor undone"
    )


def test_a_refusal_for_another_reason_keeps_what_was_shown(client, clinic, boss):
    grace = factories.user(clinic, name="Grace")
    address = f"{PEOPLE}/{grace.pk}/change/"
    seen = shown(client.get(address))
    client.post(address, person(grace, role="administrator", _shown=seen))

    refused = client.post(address, person(grace, email="nobody", _shown=seen))
    client.post(address, person(grace, email="grace@example.org", _shown=shown(refused)))

    grace.refresh_from_db()
    assert (grace.email, grace.role) == ("grace@example.org", User.Role.ADMINISTRATOR)


def test_choices_and_relations_are_compared_and_named_as_people_know_them(client, clinic, boss):
    one, other, third = (factories.contact_list(clinic, name=name) for name in ("Ward 1", "Ward 2", "Ward 3"))
    ada = Contact.objects.create(organization=clinic, contact_list=one, phone="+447700900001", fields={"City": "Bonn"})
    address = f"/admin/contacts/contact/{ada.pk}/change/"
    seen = shown(client.get(address))
    data = {"phone": ada.phone, "fields": '{"City": "Bonn"}', "_shown": seen}
    client.post(address, {**data, "contact_list": other.pk, "fields": '{"City": "Köln"}'})

    refused = client.post(address, {**data, "contact_list": third.pk, "first_name": "Ada"})
    client.post(address, {**data, "contact_list": other.pk, "first_name": "Ada"})

    assert list(errors(refused)) == ["contact_list"]
    assert "it is now “Ward 2”." in errors(refused)["contact_list"]
    ada.refresh_from_db()
    assert (ada.first_name, ada.contact_list, ada.fields) == ("Ada", other, {"City": "Köln"})


def test_the_organisations_settings_and_a_draft_are_no_different(client, clinic, boss):
    settings = {"name": clinic.name, "language": "en", "time_zone": "UTC", "default_region": "GB"}
    seen = shown(client.get("/admin/organisation/"))
    client.post("/admin/organisation/", {**settings, "support_contact": "Ada", "_shown": seen})
    client.post("/admin/organisation/", {**settings, "name": "Clinic South", "_shown": seen})
    draft = factories.distribution(clinic, name="Spring")
    edit = f"/admin/distributions/distribution/{draft.pk}/edit/"
    seen = shown(client.get(edit))
    data = {"method": draft.method, "survey": draft.survey_id, "contact_list": draft.contact_list_id, "when": "now"}
    data |= {"message_text": draft.message_text, "_shown": seen}
    client.post(edit, {**data, "name": "Summer"})
    client.post(edit, {**data, "name": "Spring", "message_text": "Hi ${l://SurveyURL}"})

    found = Organization.objects.get(pk=clinic.pk)
    assert (found.name, found.support_contact) == ("Clinic South", "Ada")
    stored = Distribution.objects.get(pk=draft.pk)
    assert (stored.name, stored.message_text) == ("Summer", "Hi ${l://SurveyURL}")


@pytest.mark.parametrize("sent", ["", "name", "name:", "name:x role:y ::", "\0", "nothing:0123456789ab"])
def test_a_page_without_it_or_a_strange_one_saves_or_asks(client, clinic, boss, sent):
    grace = factories.user(clinic, name="Grace")

    page = client.post(f"{PEOPLE}/{grace.pk}/change/", person(grace, name="Grace H.", _shown=sent))

    assert page.status_code in (200, 302)


# --- Rows below a form: the questions of a survey ---------------------------------------------------------------------

SHOWN = ("id", "kind", "text", "choices", "place")


class Window:
    """A survey's page as somebody has opened it: `rows` is what they type over, `save` says whether it was taken."""

    def __init__(self, client, survey):
        self.client, self.address = client, f"/admin/surveys/survey/{survey.pk}/change/"
        self.read(client.get(self.address))

    def read(self, page):
        formset = page.context["inline_admin_formsets"][0].formset
        self.page = page.content.decode()
        self.errors = [*formset.non_form_errors(), *filter(None, formset.errors)]
        self.shown = re.search(r'name="questions-shown" value="([^"]*)"', self.page)[1]
        self.rows = [{name: form[name].value() or "" for name in SHOWN} for form in formset.forms]

    def texts(self):
        return [row["text"] for row in self.rows]

    def save(self):
        rows = sorted(self.rows, key=lambda row: not row["id"])
        data = {"name": "Wards", "language": "en", "url": "", "retries": "2", "wait_hours": "72"}
        data |= {"reference_parameter": "ref", "questions-shown": self.shown}
        data |= {"questions-TOTAL_FORMS": len(rows), "questions-INITIAL_FORMS": sum(bool(row["id"]) for row in rows)}
        for index, row in enumerate(rows):
            data |= {f"questions-{index}-{name}": value for name, value in {**row, "required": "on"}.items()}
        page = self.client.post(self.address, data)
        if page.status_code == 200:
            self.read(page)
        return page.status_code == 302


@pytest.fixture
def wards(clinic):
    return factories.survey(clinic, questions=factories.THREE_QUESTIONS)


def asked(survey):
    return list(survey.questions.values_list("text", flat=True))


def test_questions_changed_in_both_windows_are_asked_about_once(client, boss, wards):
    first, second = Window(client, wards), Window(client, wards)
    first.rows[0]["text"] = "Would you come again, 0 to 10?"
    assert first.save()
    second.rows[2]["text"] = "Anything else?"

    assert not second.save()

    assert len(second.errors) == 1
    assert "changed meanwhile" in second.errors[0]
    assert '<a class="underline" href="#questions-group">Questions, asked by text</a>' in second.page, "at its head"
    assert asked(wards)[2] == factories.THREE_QUESTIONS[2]["text"]
    assert second.texts()[2] == "Anything else?", "what was typed is still there"
    assert second.save()
    assert (asked(wards)[0], asked(wards)[2]) == ("Would you come again, 0 to 10?", "Anything else?")


def test_of_one_question_each_field_stays_with_whoever_changed_it(client, boss, wards):
    first, second = Window(client, wards), Window(client, wards)
    first.rows[2]["place"] = "1"
    first.rows[1]["choices"] = "Short\nLong"
    assert first.save()
    second.rows[0]["text"] = "Would you come again, 0 to 10?"
    second.rows[1]["text"] = "How was the waiting?"
    last = factories.THREE_QUESTIONS[2]["text"]

    assert not second.save()
    assert [row["place"] for row in second.rows] == ["1", "2", "3"]
    assert second.texts() == [last, "Would you come again, 0 to 10?", "How was the waiting?"], "in the order of now"
    assert len(second.errors) == 1, "no field was changed by both"
    assert second.save()

    assert asked(wards) == [last, "Would you come again, 0 to 10?", "How was the waiting?"]
    assert wards.questions.get(position=2).choices == "Short\nLong"


def test_a_field_of_a_question_that_both_have_changed_says_what_it_is_now(client, boss, wards):
    first, second = Window(client, wards), Window(client, wards)
    first.rows[0]["text"] = "Theirs, 0 to 10?"
    assert first.save()
    second.rows[0]["text"] = "Mine, 0 to 10?"

    assert not second.save()

    _whole, row = second.errors
    assert row == {"text": ["This has been changed meanwhile; it is now “Theirs, 0 to 10?”. Save again to replace it."]}
    assert second.texts()[0] == "Mine, 0 to 10?"
    assert second.save()
    assert asked(wards)[0] == "Mine, 0 to 10?"


@pytest.mark.parametrize("strange", ["x", "1", "1:", "1:text", "1:text=,=,a=b=c 2:kind", "\0", ":::"])
def test_rows_whose_page_showed_nonsense_are_asked_about(client, boss, wards, strange):
    window = Window(client, wards)
    window.shown = strange
    window.rows[2]["text"] = "Anything else?"

    assert not window.save()
    assert window.texts()[2] == "Anything else?"
    assert window.save()


def test_a_question_that_was_added_meanwhile_is_shown_and_stays(client, boss, wards):
    first, second = Window(client, wards), Window(client, wards)
    first.rows.append({"id": "", "kind": "text", "text": "Which ward?", "choices": "", "place": ""})
    assert first.save()
    second.rows[0]["text"] = "Would you come again, 0 to 10?"

    assert not second.save()
    assert second.texts() == ["Would you come again, 0 to 10?", *asked(wards)[1:]]
    assert second.save()

    assert asked(wards) == second.texts()
    assert len(asked(wards)) == 4


@pytest.mark.parametrize("typed_in", [0, 1])
def test_a_question_that_was_deleted_meanwhile_is_a_new_one_only_where_it_was_typed_in(client, boss, wards, typed_in):
    first, _second, third = asked(wards)
    window = Window(client, wards)
    wards.questions.get(position=1).delete()
    window.rows[typed_in]["text"] = "Would you come again?"

    assert not window.save()
    assert [(bool(row["id"]), row["text"]) for row in window.rows] == (
        [(True, first), (True, third), (False, "Would you come again?")]
        if typed_in
        else [(True, "Would you come again?"), (True, third)]
    )
    assert window.save()

    assert sorted(asked(wards)) == sorted(window.texts())


def test_a_question_that_both_have_deleted_is_gone(client, boss, wards):
    window = Window(client, wards)
    wards.questions.get(position=1).delete()
    window.rows[1]["DELETE"] = "on"

    assert not window.save()
    assert len(window.rows) == 2
    assert window.save()


def test_a_page_without_what_it_showed_is_saved_as_before(client, boss, wards):
    window = Window(client, wards)
    wards.questions.filter(position=0).update(text="Changed?")
    window.shown = ""
    window.rows[2]["text"] = "Anything else?"

    assert window.save()
    assert asked(wards)[2] == "Anything else?"

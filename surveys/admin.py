"""Surveys in the admin site: an address, questions that are asked by text, or both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms.formsets import DELETION_FIELD_NAME
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst
from django.utils.translation import get_language, gettext, gettext_noop, override
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from organizations import commitments, languages
from organizations.admin_base import OwnedAdmin, OwnedStackedInline, Role
from organizations.current import current_user
from organizations.meanwhile import MeanwhileRows
from organizations.models import Organization
from organizations.permissions import missing_sms
from surveys import conversation, services, trying
from surveys.models import Question, Survey
from surveys.question_types import TYPES, own_words, word_problems

COPIED = gettext_noop("copied")
SPOKEN = ("language", "yes_word", "no_word", "scale_text", "unreadable_text", "over_text")  # locked like the questions
# Of a survey: what people get, and where.
TEXTED = ("url", "reference_parameter", "thank_you", "retries", "wait_hours", *SPOKEN)
QUESTIONS_CHANGED = gettext_noop("changed the questions")
ANSWERED = ("required", "error_text")  # fields of every question that waits for an answer


class TextArea(UnfoldAdminTextareaWidget):
    """A few lines of a text message. Browsers send a line's end as two characters, a message has one."""

    def __init__(self, rows: int = 2) -> None:
        super().__init__(attrs={"rows": rows})

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        value = super().value_from_datadict(data, files, name)
        return value.replace("\r\n", "\n") if value else value


# --- questions -------------------------------------------------------------------------------------------------------


class QuestionForm(forms.ModelForm):
    place = forms.IntegerField(label=capfirst(_("position")), required=False, widget=UnfoldAdminIntegerFieldWidget)

    class Meta:
        widgets: ClassVar = {"text": TextArea(), "choices": TextArea(4), "error_text": TextArea()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:  # the script shows what the type takes (surveys.js)
            shown = {code: [*kind.fields, *(ANSWERED if kind.is_asked else ())] for code, kind in TYPES.items()}
            self.fields["kind"].widget.attrs["data-fields-of"] = json.dumps(shown)

    def clean_choices(self) -> str:
        """One label on each line, without empty lines."""
        lines = (line.strip() for line in self.cleaned_data["choices"].splitlines())
        return "\n".join(filter(None, lines))


class QuestionFormSet(MeanwhileRows):
    """The questions of a survey in the order of their places. Locked questions stay, whatever is posted."""

    instance: Survey

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if index is not None and index < self.initial_form_count():
            form.fields["place"].initial = index + 1

    def as_posted(self, row: Any) -> dict[str, str]:
        return {**super().as_posted(row), "place": str(row.position + 1)}

    def clean(self) -> None:
        """Each question can be asked, and there is something to send: an address or a question."""
        super().clean()
        kept = [form for form in self.forms if self._is_kept(form)]
        if not kept and not (self.instance.url or self.data.get("url", "").strip()):
            raise forms.ValidationError(
                _("Give the survey an address, or add a question that is asked by text: people need one of them.")
            )
        for form in kept:
            if form.has_changed() and not form.errors:
                stop_words = self.instance.organization.stop_words
                for field, sentence in conversation.question_problems(form.instance.spoken(), stop_words=stop_words):
                    form.add_error(field, sentence)

    def _is_kept(self, form: Any) -> bool:
        is_there = form.instance.pk is not None or form.has_changed()
        is_deleted = self.can_delete and form.cleaned_data.get(DELETION_FIELD_NAME)
        return is_there and not is_deleted

    def save(self, commit: bool = True) -> list[Question]:
        if self.instance.questions_locked_at:
            self.new_objects, self.changed_objects, self.deleted_objects = [], [], []
            return []
        saved: list[Question] = super().save(commit)
        kept = sorted((form for form in self.forms if self._is_kept(form)), key=_place)
        for position, form in enumerate(kept):
            if form.instance.position != position:
                form.instance.position = position
                form.instance.save(update_fields=["position"])
        return saved


def _place(form: Any) -> tuple[bool, int, int]:
    """The key questions are sorted by. One that was given the place of another goes before it, or behind if from above.

    One without a place goes last.
    """
    place, before = form.cleaned_data.get("place"), form.fields["place"].initial
    if place is None:
        return (True, 0, 0)
    if place == before:
        return (False, place, 0)
    return (False, place, 1 if before is not None and before < place else -1)


class QuestionInline(OwnedStackedInline):
    """Questions that nobody has been asked yet."""

    model = Question
    form = QuestionForm
    formset = QuestionFormSet
    ordering_field: ClassVar[str | None] = "place"
    fields: ClassVar[Any] = (("kind", "place"), "text", "choices", ("minimum", "maximum"), "required", "error_text")
    verbose_name_plural = _("questions, asked by text")
    template_before = "admin/surveys/survey/_before_questions.html"

    def get_extra(self, request: HttpRequest, obj: Any | None = None, **kwargs: Any) -> int:
        return 0 if obj else 1


class LockedQuestionInline(QuestionInline):
    """Questions that somebody may be answering: to be looked at."""

    ordering_field = None
    fields = readonly_fields = ("takes", "texted", "texted_again")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("survey__organization")

    @admin.display(description=_("type"))
    def takes(self, row: Question) -> str:
        """What is an answer: its type, the range of a number, and whether it must be answered."""
        parts = [
            row.get_kind_display(),
            "" if row.minimum is None else gettext("at least %(number)s") % {"number": row.minimum},
            "" if row.maximum is None else gettext("at most %(number)s") % {"number": row.maximum},
            "" if row.required else gettext("optional"),
        ]
        return ", ".join(filter(None, parts))

    @admin.display(description=_("as it is texted"))
    def texted(self, row: Question) -> str:
        with override(row.survey.organization.language):
            return bubble(conversation.ask(row.spoken()))

    @admin.display(description=_("text after an invalid reply"))
    def texted_again(self, row: Question) -> str:
        return bubble(row.error_text) if row.error_text else "–"

    def has_add_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False


def is_locked(survey: Survey | None) -> bool:
    """Whether somebody may be in the middle of its questions, so that they stay as they are."""
    return survey is not None and survey.questions_locked_at is not None


def bubble(text: str) -> str:
    """A text as a phone shows it."""
    return format_html('<p class="snd-bubble">{}</p>', text)


# --- surveys ---------------------------------------------------------------------------------------------------------


class SurveyForm(forms.ModelForm):
    owner: ClassVar[Organization | None] = None

    class Meta:
        widgets: ClassVar = {"thank_you": TextArea(), "unreadable_text": TextArea(), "over_text": TextArea()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "language" not in self.fields:
            return
        chosen = self.fields["language"]
        assert isinstance(chosen, forms.ChoiceField)
        if not self.instance.pk:
            self.initial["language"] = self.owner.language if self.owner else settings.LANGUAGE_CODE
        if not self.instance.pk or self.instance.language:  # who has a language does not go back to none
            chosen.choices, chosen.required = languages.offered(), False
        shown = self["language"].value() or ""
        ours = self.owner.language if self.owner else settings.LANGUAGE_CODE
        with override(shown if languages.is_spoken(shown) else ours):
            for name, sentence in standard_sentences().items():
                self.fields[name].widget.attrs["placeholder"] = sentence

    def clean_language(self) -> str:
        """Whoever leaves it out means the organisation's."""
        chosen: str = self.cleaned_data["language"]
        if chosen or (self.instance.pk and not self.instance.language):
            return chosen
        return self.instance.language or (self.owner.language if self.owner else settings.LANGUAGE_CODE)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "yes_word" in self.fields:
            stop_words = self.instance.organization.stop_words
            words = (cleaned.get("yes_word", ""), cleaned.get("no_word", ""))
            for field, sentence in word_problems(*words, stop_words):
                self.add_error(f"{field}_word", sentence)
        return cleaned

    def clean_url(self) -> str:
        """https only, and nothing that only works in a message: what is in braces is never filled in here (R53)."""
        url: str = self.cleaned_data["url"]
        if not url:
            return ""
        if "${" in url or "%7B" in url.upper():
            raise forms.ValidationError(
                _(
                    "Placeholders such as ${l://OptOutLink} work in messages only: they are not filled in inside a "
                    "survey. Remove it from the address."
                )
            )
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise forms.ValidationError(
                _("The address must begin with https://, for example %(example)s"),
                params={"example": f"https://{parts.netloc or 'forms.example.org'}{parts.path}"},
            )
        if parts.username or parts.password:
            raise forms.ValidationError(_("The address must not contain a user name or a password."))
        return url


def standard_sentences() -> dict[str, str]:
    """What we say ourselves where a survey has nothing of its own, in the language of the moment."""
    empty = conversation.Script(())
    return {
        **own_words(get_language() or settings.LANGUAGE_CODE),
        "unreadable_text": conversation.broken_off(empty),
        "over_text": conversation.over(empty),
    }


@admin.register(Survey)
class SurveyAdmin(OwnedAdmin):
    form = SurveyForm
    editors = frozenset({Role.ADMINISTRATOR, Role.MEMBER})
    audited = True
    list_display = ("name", "sent_as", "number_of_questions", "created_at", "created_by")
    list_select_related = ("created_by", "organization")
    search_fields = ("name", "url")
    fieldsets = (
        (None, {"fields": ("name",)}),
        (_("By link"), {"fields": ("url", "reference_parameter", "example")}),
        (_("By text"), {"fields": ("language", "thank_you", "retries", "wait_hours", "first_text")}),
        (
            _("Automatic texts"),
            {
                "classes": ("collapse",),
                "fields": (("yes_word", "no_word"), "scale_text", "unreadable_text", "over_text"),
                "description": _("Leave a field empty for the sentence that it shows, in the survey's language."),
            },
        ),
    )
    readonly_fields = ("example", "first_text")
    empty_text = _(
        "A survey is where the link in a text leads, or questions that people answer by text. Add the first."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("questions")

    def get_inlines(self, request: HttpRequest, obj: Any | None) -> Any:
        return [LockedQuestionInline if is_locked(obj) or not self.is_free(request, obj) else QuestionInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = super().get_readonly_fields(request, obj)
        if not self.is_free(request, obj):
            return (*shown, *TEXTED)
        return (*shown, *SPOKEN) if is_locked(obj) else shown

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Where what is texted is locked, it says why."""
        sections = super().get_fieldsets(request, obj)
        obstacle = commitments.obstacle(obj, current_user(request)) if obj else ""
        if not obstacle:
            return sections
        return [(title, {**options, "description": obstacle} if title else options) for title, options in sections]

    # --- columns and what is shown ------------------------------------------------------------------------------------

    @admin.display(description=_("can be sent"))
    def sent_as(self, row: Survey) -> str:
        ways: list[tuple[str | Promise]] = []
        if row.url:
            ways.append((_("as a link"),))
        if not conversation.flaws(row.script(), stop_words=row.organization.stop_words):
            ways.append((_("by text"),))
        return format_html_join(" ", '<span class="sb-badge is-plain whitespace-nowrap">{}</span>', ways) or "–"

    @admin.display(description=_("questions"))
    def number_of_questions(self, row: Survey) -> int:
        return sum(question.type.is_asked for question in row.questions.all())

    @admin.display(description=_("what the survey receives"))
    def example(self, row: Survey) -> str:
        """The address as a person's browser opens it."""
        if row.pk is None:
            return gettext("Shown once the survey is saved.")
        return row.address_for("Ab3dE7") if row.url else "–"

    @admin.display(description=_("how it begins"))
    def first_text(self, row: Survey) -> str:
        """The first text, in the language in which people are answered."""
        if row.pk is None:
            return gettext("Shown once the survey is saved.")
        with override(row.organization.language):
            text = conversation.opening(row.script()).text
        return bubble(text) if text else gettext("Add a question below.")

    # --- saving -------------------------------------------------------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A launch locks the questions: while a form is being saved it waits, and what it has locked is seen."""
        with transaction.atomic():
            if request.method == "POST" and object_id and object_id.isdecimal():
                rows = Survey.objects.visible_to(current_user(request)).filter(pk=object_id)
                rows.select_for_update().order_by().values_list("pk").first()
            context = {"may_send": not missing_sms(current_user(request)), "source": f"survey:{object_id}"}
            return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        numbers = {
            "added": len(formset.new_objects),
            "changed": len(formset.changed_objects),
            "deleted": len(formset.deleted_objects),
        }
        if change and any(numbers.values()):
            self.audit(request, QUESTIONS_CHANGED, form.instance, **numbers)
        if is_locked(form.instance) and f"{formset.prefix}-0-kind" in request.POST:
            messages.warning(
                request,
                _(
                    "The questions stay as they were: in the meantime, the survey has been sent by text. Copy it to "
                    "change them."
                ),
            )

    # --- copies -------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        copy = self.page("<int:pk>/copy/", require_POST(self.copy_view), "surveys_survey_copy", right="add")
        new = self.page("try/", require_POST(self.try_new), "surveys_survey_try_new", right="add")
        kept = self.page("<int:pk>/try/", self.try_kept, "surveys_survey_try", right="view")
        return [copy, new, kept, *super().get_urls()]

    # --- trying the conversation --------------------------------------------------------------------------------------

    def try_new(self, request: HttpRequest) -> HttpResponse:
        return self._try(request, Survey(organization=current_user(request).organization))

    def try_kept(self, request: HttpRequest, pk: int) -> HttpResponse:
        survey = self.get_object(request, str(pk))
        if not isinstance(survey, Survey):
            raise Http404
        return self._try(request, survey)

    def _try(self, request: HttpRequest, survey: Survey) -> HttpResponse:
        """The conversation as far as it has come, with what is written in the form now, saved or not."""
        script, problems = self._as_written(request, survey)
        stop_words = survey.organization.stop_words
        problems = problems or [flaw.sentence for flaw in conversation.flaws(script, stop_words=stop_words)]
        replies = [] if "again" in request.POST else request.POST.getlist("said")
        if reply := request.POST.get("my_reply", "").strip():
            replies.append(reply)
        replies = [reply[: trying.LONGEST] for reply in replies[: trying.MOST]]
        with conversation.spoken_in("" if survey.language else survey.organization.language):
            played = None if problems else trying.play(script, replies, stop_words=stop_words)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Try the conversation"),
            "survey": survey,
            "played": played,
            "problems": problems,
            "replies": replies,
        }
        template = "_try" if request.headers.get("HX-Request") else "try"
        return TemplateResponse(request, f"admin/surveys/survey/{template}.html", context)

    def _as_written(self, request: HttpRequest, survey: Survey) -> tuple[conversation.Script, list[str]]:
        """The script, and what is wrong with its form. Without a form, or once it is locked, it is what is stored."""
        if "questions-TOTAL_FORMS" not in request.POST or is_locked(survey) or not self.is_free(request, survey):
            return survey.script(), []
        form = self.get_form(request, survey if survey.pk else None, change=bool(survey.pk))(
            request.POST, instance=survey
        )
        form.is_valid()  # what is wrong is left out: nothing is saved
        inline = QuestionInline(Survey, self.admin_site)  # type: ignore[call-arg]  # mypy sees the mixin's
        formset = inline.get_formset(request, survey)(request.POST, instance=survey, prefix="questions")
        if not formset.is_valid():
            found = [error for each in formset.forms for errors in each.errors.values() for error in errors]
            return survey.script_of(()), [*map(str, formset.non_form_errors()), *map(str, found)]
        kept = sorted((each for each in formset.forms if formset._is_kept(each)), key=_place)
        questions = tuple(each.instance.spoken() for each in kept)
        return survey.script_of(questions), []

    def copy_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        survey = self.get_object(request, str(pk))
        if not isinstance(survey, Survey):
            raise Http404
        copied = services.copy(survey, current_user(request))
        self.audit(request, COPIED, survey)
        messages.success(request, _("This is the copy. Its questions can be edited until it is sent by text."))
        return redirect("admin:surveys_survey_change", copied.pk)

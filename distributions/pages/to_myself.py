"""A test to oneself, from where a text is written or reviewed: the number, the code, and the text."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from contacts.columns import COLUMNS
from contacts.models import Contact
from distributions import own_phone
from distributions.models import Distribution
from distributions.pages.frame import page
from distributions.piping import Template, values_of
from intake.masking import mask_number
from organizations.current import current_user
from organizations.models import User
from surveys.models import Survey

Method = Distribution.Method
TEST = "test"  # in place of a person's own part of a link: nobody is counted, nobody opted out


@require_POST
def to_myself(request: HttpRequest) -> HttpResponse:
    """Send a code, take it, or send the text, by the button; the panel says what became of it. Raises MissingRight."""
    user = current_user(request)
    said, refused = "", ""
    try:
        match request.POST.get("step"):
            case "code":
                phone = own_phone.send_code(user, request.POST.get("own_number", ""), request)
                said = _("A code is on its way to %(number)s.") % {"number": mask_number(phone)}
            case "confirm":
                own_phone.confirm(user, request.POST.get("own_code", ""), request)
                said = _("Your number is confirmed.")
            case "send":
                own_phone.send_to_myself(user, text_for(user, request), request)
                said = _("The provider has accepted the text. It should reach your phone in a moment.")
            case "other":
                user.confirmed_phone = ""
                user.save(update_fields=["confirmed_phone"])
    except own_phone.Refused as problem:
        refused = str(problem)
    template = "_to_myself" if request.headers.get("HX-Request") else "to_myself"
    return page(
        request,
        template,
        title=_("Test to myself"),
        source=request.POST.get("source", ""),
        code_sent=own_phone.pending(user),
        said=said,
        refused=refused,
        status=422 if refused else 200,
    )


def text_for(user: User, request: HttpRequest) -> str:
    """What the page that asks is about, as its reader would get it. Raises Http404, and own_phone.Refused."""
    what, _colon, key = request.POST.get("source", "").partition(":")
    if what == "survey":
        survey = _own(Survey, user, key)
        method = Method.INTERACTIVE if survey.questions.exists() else Method.INVITE
        draft = Distribution(method=method, survey=survey, message_text="" if survey.questions.exists() else LINK)
    elif what == "distribution":
        draft = _own(Distribution, user, key)
    else:
        survey = _own(Survey, user, request.POST["survey"]) if request.POST.get("survey") else Survey()
        method = Method.INTERACTIVE if request.POST.get("method") == Method.INTERACTIVE else Method.INVITE
        text = request.POST.get("message_text", "").replace("\r\n", "\n").replace("\0", "")
        draft = Distribution(method=method, survey=survey, message_text=text)
    written = draft.whole_text if draft.survey.pk else draft.message_text
    template = Template(written)
    if template.problems:
        raise own_phone.Refused(" ".join(template.problems))
    survey_link = draft.survey.address_for(TEST) if draft.survey.url else ""
    if template.has_survey_link and not survey_link:
        raise own_phone.Refused(_("Choose a survey with an address: the text has a link to it."))
    values = values_of(myself(user))
    return template.render(values, survey_link=survey_link, opt_out_link=f"{settings.PUBLIC_URL}/o/{TEST}")


LINK = "${l://SurveyURL}"


def myself(user: User) -> Contact:
    """The reader as a contact: their own name and number, and examples for the rest."""
    values = {column.attribute: column.example for column in COLUMNS}
    first, _space, last = user.name.partition(" ")
    own = {"first_name": first, "last_name": last, "email": user.email, "phone": user.confirmed_phone}
    return Contact(fields={}, **{**values, **own})


def _own(model: type[Survey] | type[Distribution], user: User, key: str) -> Any:
    rows = model.objects.visible_to(user)
    found = rows.filter(pk=key).first() if key.isascii() and key.isdecimal() and len(key) < 19 else None
    if found is None:
        raise Http404
    return found

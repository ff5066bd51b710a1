"""Every address of the installation."""

from django.contrib import admin
from django.urls import include, path, re_path, register_converter, reverse_lazy
from django.urls.converters import StringConverter
from django.views.generic import RedirectView

from config.portal import documentation
from config.portal.openapi import DocsView, SchemaView
from contacts.api import MailingListsView
from distributions.api.views import DistributionsView, DistributionView, HistoryView
from distributions.respondents import follow_link, opt_out
from keeping.api import ForgettingsView
from organizations.api import WhoAmI
from organizations.api_base import UnknownAddress
from surveys.api import SurveysView


class Tail(StringConverter):
    """All that is left of an address, line breaks and slashes included."""

    regex = "(?s:.+)"


register_converter(Tail, "tail")

api = [
    path("whoami", WhoAmI.as_view()),
    path("surveys", SurveysView.as_view()),
    path("mailinglists", MailingListsView.as_view()),
    path("distributions/sms", DistributionsView.as_view()),
    path("distributions/sms/<slug:public_id>", DistributionView.as_view()),
    path("distributions/sms/<slug:public_id>/history", HistoryView.as_view()),
    path("forgettings", ForgettingsView.as_view()),
    path("schema", SchemaView.as_view(), name="api-schema"),
    path("docs", DocsView.as_view(), name="api-docs"),
]

urlpatterns = [
    path("", RedirectView.as_view(url=reverse_lazy("admin:index"))),
    path("admin/", admin.site.urls),
    path("API/v3/", include(api)),
    re_path(r"^API/", UnknownAddress.as_view()),
    path("", include("webhooks.urls")),
    path("docs/<path:path>", documentation.page),
    path("docs/", documentation.page, {"path": ""}, name="documentation"),
    path("s/<tail:token>", follow_link, name="follow_link"),  # short: they are paid for by the character
    path("o/<tail:token>", opt_out, name="opt_out"),
]

handler400 = "config.portal.errors.bad_request"
handler403 = "config.portal.errors.permission_denied"
handler404 = "config.portal.errors.page_not_found"
handler500 = "config.portal.errors.server_error"

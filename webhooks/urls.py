"""The public webhook addresses. They are typed into providers' consoles: they never change."""

from django.urls import re_path

from webhooks.views import CallbackView

# Both spellings of "receive", and "erhalten" as German instructions have it; with and without a slash at the end: a
# redirect would cost the call its parameters (R98).
urlpatterns = [
    re_path(
        rf"^distribution-providers/v1/{receive}/distribution/(?P<kind>status|message)/"
        rf"(?P<slug>[a-z0-9-]{{1,40}})/(?P<organization_id>[A-Za-z0-9_-]{{4,32}})/?$",
        CallbackView.as_view(),
        name="callback",
    )
    for receive in ("[Rr]eceive", "[Ee]rhalten")
]

"""The description of the API: what the page at /API/v3/docs says, and how it is served."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

PREFIX = "/API/v3/"

INTRODUCTION = """
Launch and follow SMS distributions from your own programs. Addresses, names and answers have the shape of the
commercial product's public API, and this page lists all that there is: a small part of it. There are no directories,
contacts, message library, responses, events, reminders or thank-yous yet; a script that needs them does not move as it
is. A slash at the end of an address, or a doubled one, changes nothing.

**Token.** Make one on the page *My profile* of the [admin site](/admin/) and send it in the header `X-API-TOKEN`, or as
`Authorization: Bearer`. It has the rights of its user: launching and taking back need the permission “Use SMS
distributions”, forgetting a person is for administrators.

**Answers.** Everything is JSON: `{"result": …, "meta": {"httpStatus": "200 - OK", "requestId": …}}`. When something is
wrong there is `meta.error` with an `errorCode` for programs and an `errorMessage` for people, in the language of the
header `Accept-Language` (English or German).

**Lists** come in pages, newest first. `nextPage` is the whole address of the next page, `null` at the end. Query
parameters that mean nothing here are ignored.

**Times** are ISO 8601 with `Z` or an offset; answers are in UTC. **Cost** (`credits`) is always 0: what a text costs is
between your organisation and its provider.

```
curl https://HOST/API/v3/distributions/sms \\
  -H "X-API-TOKEN: $TOKEN" -H "Content-Type: application/json" -H "Idempotency-Key: spring-1" \\
  -d '{"surveyId": "SV_…", "name": "Spring", "sendDate": "2030-05-31T09:30:00Z", "method": "Invite",
       "recipients": {"mailingListId": "CG_…"},
       "message": {"messageText": "Hello ${m://FirstName}, how was your visit? ${l://SurveyURL}"}}'
```
"""

TAGS = [
    {"name": "SMS distributions", "description": "A link, or a survey by text, to everybody on a mailing list."},
    {"name": "What there is", "description": "The IDs that a distribution needs."},
    {"name": "Forgetting a person", "description": "What somebody may ask for by law; for administrators."},
    {"name": "Account", "description": "Whose token it is."},
]


def api_only(endpoints: list[tuple[str, str, str, Any]], **_options: Any) -> list[tuple[str, str, str, Any]]:
    """The webhook addresses are described on the extensions' pages instead."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(PREFIX)]


def introduce(result: dict[str, Any], **_options: Any) -> dict[str, Any]:
    """Put the introduction first, and the tags in the order in which they are needed."""
    result["info"]["description"] = INTRODUCTION.replace("https://HOST", settings.PUBLIC_URL).strip()
    result["tags"] = TAGS
    return result


class SchemaView(SpectacularJSONAPIView):
    """The OpenAPI document. Anybody may read it: it says nothing about an organisation."""

    metadata_class = None


class DocsView(SpectacularSwaggerSplitView):
    """The document as a page on which requests can be tried."""

    metadata_class = None  # OPTIONS would be answered by a template that there is none of
    template_name = "api/docs.html"
    url_name = "api-schema"

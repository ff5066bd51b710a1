"""The base of every API view: the token, the envelope around each answer, errors as sentences, and pages by key."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, InterfaceError, OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from intake.data import NotReadable, read_json
from organizations.authentication import ApiTokenAuthentication
from organizations.models import User

logger = logging.getLogger(__name__)

Method = TypeVar("Method", bound=Callable[..., Any])

MAX_BODY = 256 * 1024  # bytes; a message of 10,000 characters takes half of it however it is escaped
PAGE = 100  # elements
LARGEST_PAGE = 500
FURTHEST = 2**31 - 1  # rows that can be passed over: more than any list has

# What a program can branch on; the sentence beside it is for people.
ERROR_CODES: dict[int, str] = {
    400: "INVALID_REQUEST",
    401: "NOT_AUTHENTICATED",
    403: "NOT_ALLOWED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    411: "LENGTH_REQUIRED",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    500: "INTERNAL_ERROR",
    503: "NOT_AVAILABLE",
}
AWAY = (OperationalError, InterfaceError)  # what is raised where the database does not answer
TRY_AGAIN = {"Retry-After": "60"}


def database_is_away() -> str:
    """The sentence for whoever meets one of `AWAY`."""
    return _("The database does not answer. What has been saved is not lost. Please try again in a minute.")


class Conflict(APIException):
    """What was asked for contradicts the state of things; `detail` says how."""

    status_code = status.HTTP_409_CONFLICT


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


# --- in and out -------------------------------------------------------------------------------------------------------


class Utf8JSONParser(JSONParser):
    """JSON is UTF-8 whatever the header says, of limited length, and wrong in no way that is our fault."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        try:
            body = stream.read(MAX_BODY + 1)
        except UnreadablePostError as error:
            raise ParseError(_("The body did not arrive in full.")) from error
        if len(body) > MAX_BODY:
            raise BodyTooLarge(_("The body is larger than %(limit)s bytes.") % {"limit": MAX_BODY})
        try:
            return read_json(body.decode("utf-8-sig"))
        except NotReadable as error:
            cause = error.__cause__
            reason = str(cause) if isinstance(cause, json.JSONDecodeError) else error.reason
            raise ParseError(_("The body is not valid JSON: %(reason)s") % {"reason": reason}) from error
        except ValueError as error:
            raise ParseError(_("The body is not valid JSON: %(reason)s") % {"reason": error}) from error


class JSONAlways(DefaultContentNegotiation):
    """The API speaks JSON, whatever a client would rather have."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), "application/json"


class BelongsToOrganization(BasePermission):
    """The API is about one organisation: that of the token's user."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        self.message = _("The API serves an organisation, and platform operators belong to none.")
        return isinstance(request.user, User) and request.user.organization_id is not None


class ApiView(APIView):
    """A view under /API/: answers `{"result": …, "meta": …}`, whatever happens."""

    authentication_classes: Sequence[type[BaseAuthentication]] = (ApiTokenAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (BelongsToOrganization,)
    throttle_classes = ()
    parser_classes = (Utf8JSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JSONAlways
    metadata_class = None
    http_method_names = ("get", "head", "post", "delete")

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        request.encoding = "utf-8"  # else the header decides, and may name what decodes no text
        self.request_id = str(uuid4())

    @property
    def caller(self) -> User:
        """The user whose token it is; BelongsToOrganization has let nobody else in."""
        user = self.request.user
        assert isinstance(user, User)
        return user

    def get_exception_handler(self) -> Any:
        return answer_error

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Put the envelope around what a view or the error handler has answered."""
        if isinstance(response, Response):
            meta = _meta(response.status_code, self.request_id)
            if response.status_code < 400:
                response.data = {"result": response.data, "meta": meta}
            else:
                response.data = {"meta": {**meta, "error": response.data}}
        response.headers["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)


def _meta(status_code: int, request_id: str) -> dict[str, str]:
    return {"httpStatus": f"{status_code} - {HTTPStatus(status_code).phrase}", "requestId": request_id}


@extend_schema(exclude=True)
class UnknownAddress(ApiView):
    """Whatever is asked for under /API/ that does not exist: 404 in the envelope, with and without a token."""

    authentication_classes = ()
    permission_classes = ()

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        raise NotFound(
            _("There is nothing at this address. %(url)s lists all addresses.")
            % {"url": f"{settings.PUBLIC_URL}/API/v3/docs"}
        )


# --- errors -----------------------------------------------------------------------------------------------------------


def answer_error(error: Exception, context: Mapping[str, Any]) -> Response:
    """Any exception as a code for programs and a sentence for people, which names the field and what would be right."""
    response = exception_handler(error, dict(context))
    request_id = getattr(context["view"], "request_id", "")
    if isinstance(error, IntegrityError):  # it was there, or free, when it was asked about
        logger.warning("An API request contradicts what is stored: %s", request_id, exc_info=error)
        sentence = _("Something that this request is about was changed or deleted in the same moment. Ask once more.")
        return _error(status.HTTP_409_CONFLICT, sentence)
    if isinstance(error, AWAY):
        logger.error("The database did not answer an API request: %s", request_id, exc_info=error)
        return _error(status.HTTP_503_SERVICE_UNAVAILABLE, database_is_away(), TRY_AGAIN)
    if response is None:
        logger.error("An API request failed: %s", request_id, exc_info=error)
        sentence = _("Something went wrong on our side. Tell your administrator the requestId; the log has the rest.")
        return _error(status.HTTP_500_INTERNAL_SERVER_ERROR, sentence)
    detail = error.detail if isinstance(error, ValidationError) else response.data["detail"]
    return _error(response.status_code, " ".join(sentences(detail)), response.headers)


def _error(status_code: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    data = {"errorCode": ERROR_CODES[status_code], "errorMessage": readable(sentence)}
    return Response(data, status=status_code, headers=dict(headers or {}))


def refusal(status_code: int, sentence: str, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """An error in the envelope, for what is refused before a view sees it."""
    error = {"errorCode": ERROR_CODES[status_code], "errorMessage": readable(sentence)}
    answer = JsonResponse(
        {"meta": {**_meta(status_code, str(uuid4())), "error": error}}, status=status_code, headers=headers
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def sentences(detail: Any, field: str = "") -> list[str]:
    """What is wrong, as "message.messageText: …", one sentence for each fault."""
    if isinstance(detail, Mapping):
        found = []
        for name, inner in detail.items():
            path = field if name == "non_field_errors" else f"{field}.{name}".lstrip(".")
            found += sentences(inner, path)
        return found
    if isinstance(detail, list | tuple):
        return [sentence for inner in detail for sentence in sentences(inner, field)]
    return [f"{field}: {detail}" if field else str(detail)]


def readable(text: str) -> str:
    """The text without halves of characters, which a caller may have sent and which no answer can carry back."""
    return text.encode(errors="replace").decode()


# --- fields -----------------------------------------------------------------------------------------------------------


class Moment(serializers.DateTimeField):
    """A date and time of ISO 8601 that says which clock it means; answered in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M:%SZ", default_timezone=UTC, **kwargs)

    def to_internal_value(self, value: Any) -> Any:
        """Raises ValidationError unless it is a date and a time with "Z" or an offset."""
        try:
            return super().to_internal_value(value if isinstance(value, str) else "")
        except ValidationError:
            self._refuse()

    def enforce_timezone(self, value: Any) -> Any:
        if value.tzinfo is None:
            self._refuse()
        return super().enforce_timezone(value)

    def _refuse(self) -> NoReturn:
        raise ValidationError(
            _("Give a date and time in ISO 8601 format with Z or an offset, for example 2030-05-31T09:30:00Z.")
        )


class PublicId(serializers.RegexField):
    """An id as the API shows it, for example SV_…; `lists` is the address that lists them."""

    def __init__(self, prefix: str, lists: str, **kwargs: Any) -> None:
        sentence = format_lazy(
            gettext_lazy("Give an ID such as {example}; GET {lists} lists them."), example=f"{prefix}…", lists=lists
        )
        kwargs["error_messages"] = dict.fromkeys(("required", "null", "blank", "invalid"), sentence)
        super().__init__(rf"\A{prefix}[A-Za-z0-9]{{1,20}}\Z", **kwargs)


class StrictSerializer(serializers.Serializer):
    """Refuses fields it does not know: better than to send something else than was meant. `null` counts as left out."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise ValidationError({"non_field_errors": [_("Give an object: {…}.")]})
        unknown = [name for name, value in data.items() if name not in self.fields and value is not None]
        if unknown:
            sentence = _("There is no such field here. Fields: %(names)s.") % {"names": ", ".join(self.fields)}
            raise ValidationError({name[:60]: [sentence] for name in unknown[:5]})
        return super().to_internal_value(data)


# --- pages ------------------------------------------------------------------------------------------------------------


class SizeField(serializers.IntegerField):
    """How many elements; more than a page holds is cut down, as programs that ask for 1,000 expect."""

    def to_internal_value(self, data: Any) -> int:
        return min(int(super().to_internal_value(data)), LARGEST_PAGE)


class OffsetField(serializers.IntegerField):
    """How many elements to pass over; behind the last one there is nothing, however far."""

    def to_internal_value(self, data: Any) -> int:
        return min(int(super().to_internal_value(data)), FURTHEST)


class PageQuery(serializers.Serializer):
    """Which part of a list."""

    pageSize = SizeField(
        min_value=1,
        default=PAGE,
        help_text=f"How many elements a page has; {LARGEST_PAGE} at most, and more counts as {LARGEST_PAGE}. `limit` "
        "means the same.",
    )
    skipToken = serializers.CharField(
        required=False, max_length=200, help_text="Where the page begins; comes with `nextPage`."
    )
    offset = OffsetField(
        required=False,
        min_value=0,
        help_text="How many elements to pass over. `nextPage` then counts on in the same way. A list that grows "
        "meanwhile moves under a counter: follow a `nextPage` with `skipToken` where nothing may be missed or doubled.",
    )

    def validate(self, query: dict[str, Any]) -> dict[str, Any]:
        if query.get("offset") and "skipToken" in query:
            raise ValidationError({"offset": [_("Give either offset or skipToken.")]})
        return query


OTHER_NAMES = {"limit": "pagesize"}  # what some clients call it


def _plain(name: str) -> str:
    """`page_size`, `PageSize` and `limit` all mean pageSize."""
    plain = name.replace("_", "").replace("-", "").casefold()
    return OTHER_NAMES.get(plain, plain)


def query_of(serializer: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """What the address asks for, as the serializer reads it, however a client spells its names. Raises ValidationError.

    The description's own spelling wins over others. Names that mean nothing here are ignored, as clients expect.
    """
    given = {_plain(name): request.query_params[name] for name in request.query_params}
    known = [str(name) for name in serializer().fields]
    data = {name: request.query_params.get(name, given.get(_plain(name))) for name in known}
    return checked(serializer, {name: value for name, value in data.items() if value is not None})


def page(
    request: Request, rows: QuerySet, query: Mapping[str, Any], key: str = "pk", *, newest_first: bool = True
) -> tuple[list[Any], str | None]:
    """One page of `rows`, and the address of the next one (None at the end). `query` is a valid PageQuery.

    The page follows from the last row's key, so that rows which come and go meanwhile neither repeat nor hide others;
    who counts with `offset` gets pages that are counted.
    """
    if "skipToken" in query:
        rows = rows.filter(**{f"{key}__{'lt' if newest_first else 'gt'}": _key_of(query["skipToken"])})
    size, offset = query["pageSize"], query.get("offset", 0)
    found = list(rows.order_by(f"-{key}" if newest_first else key)[offset : offset + size + 1])
    if len(found) <= size:
        return found, None
    positions = {_plain("skipToken"), _plain("offset")}
    following = [(name, value) for name, value in request.query_params.items() if _plain(name) not in positions]
    if "offset" in query and "skipToken" not in query:
        following.append(("offset", str(offset + size)))
    else:
        following.append(("skipToken", signing.dumps(getattr(found[size - 1], key), salt=__name__)))
    return found[:size], f"{settings.PUBLIC_URL}{request.path}?{urlencode(following)}"


def _key_of(token: str) -> int:
    try:
        return int(signing.loads(token, salt=__name__))
    except (signing.BadSignature, UnicodeError) as error:
        raise ValidationError({"skipToken": [_("Take it from nextPage as it is.")]}) from error


def checked(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """The data as the serializer reads it; `null` is as good as nothing. Raises ValidationError."""
    found = serializer(data={} if data is None else data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


# --- the description --------------------------------------------------------------------------------------------------


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the token to drf-spectacular, which finds this class by itself."""

    target_class = ApiTokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-TOKEN",
            "description": "Made on the page *My profile* of the admin site. It has the rights of its user. "
            "`Authorization: Bearer …` with the same token works too.",
        }


class Meta(serializers.Serializer):
    httpStatus = serializers.CharField(help_text="For example `200 - OK`.")
    requestId = serializers.CharField(help_text="Names this request in the installation's log.")


class Error(serializers.Serializer):
    errorCode = serializers.ChoiceField(choices=sorted(ERROR_CODES.values()))
    errorMessage = serializers.CharField(help_text="What is wrong and what would be right, or whom to ask.")


class ErrorMeta(Meta):
    error = Error()


class ErrorAnswer(serializers.Serializer):
    meta = ErrorMeta()


MEANINGS: dict[int, str] = {
    400: "Something in the request is wrong; the message names the field and says what would be right.",
    401: "There is no token in X-API-TOKEN, or it does not work (any more).",
    403: "The token's user lacks a right; the message says which one and whom to ask.",
    404: "The organisation has nothing with this ID.",
    409: "It contradicts the state of things; the message says how.",
}


def enveloped(name: str, result: Any) -> Any:
    """The description of an answer with this result."""
    return inline_serializer(f"{name}Answer", {"result": result, "meta": Meta()})


def paged(name: str, elements: Any) -> Any:
    """The description of an answer with a page of these elements."""
    next_page = serializers.URLField(allow_null=True, help_text="Where the next page is; null at the end.")
    return enveloped(f"{name}Page", inline_serializer(f"{name}Page", {"elements": elements, "nextPage": next_page}))


def described(name: str, summary: str, answer: Any, *errors: int, **options: Any) -> Callable[[Method], Method]:
    """Describes a view's method; errors 401 and 403 are always among the answers."""
    responses: dict[int, Any] = {200: answer}
    for code in sorted({401, 403, *errors}):
        error = {"errorCode": ERROR_CODES[code], "errorMessage": MEANINGS[code]}
        value = {"meta": {**_meta(code, "9b2f0c1e-5d0a-4a0e-8d5b-2f9c3a7e6b10"), "error": error}}
        example = OpenApiExample("In the envelope", value=value)
        responses[code] = OpenApiResponse(ErrorAnswer, description=MEANINGS[code], examples=[example])
    decorator: Callable[[Method], Method] = extend_schema(
        operation_id=name, summary=summary, responses=responses, **options
    )
    return decorator

"""Every address of the installation, found by looking at the URLconf, and the ids that fit its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils.http import urlsafe_base64_encode

from contacts.models import ContactImport
from distributions.models import Distribution, Message
from extensions import registry
from extensions.models import ProviderAccount
from organizations.models import User
from tests.tenants import Tenant
from webhooks.models import Callback


def path_of(link: str) -> str:
    """Where a link leads within the installation. Whoever is sent it has nothing but the link, so its host counts."""
    assert link.startswith(f"{settings.PUBLIC_URL}/"), link
    return link.removeprefix(settings.PUBLIC_URL)


# What a parameter means that is not the row to whose model the address belongs.
PARAMETERS: dict[str, type[Model]] = {"message_pk": Message, "import_id": ContactImport, "call_id": Callback}
PLACES: dict[str, type[Model]] = {  # addresses that are not at /admin/<app>/<model>/
    "admin/extensions/account/": ProviderAccount,
    "API/v3/distributions/": Distribution,
}


@dataclass(frozen=True)
class Route:
    """An address of the installation, with its parameters: name -> converter."""

    path: str
    parameters: tuple[tuple[str, str], ...]
    is_plain: bool = True  # else a regular expression

    @property
    def model(self) -> type[Model] | None:
        """The model to whose admin the address belongs."""
        for place, model in PLACES.items():
            if self.path.startswith(place):
                return model
        match = re.match(r"admin/(\w+)/(\w+)/", self.path)
        if match is None:
            return None
        try:
            return apps.get_model(*match.groups())
        except LookupError:
            return None


def routes(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[Route]:
    for entry in (resolver or get_resolver()).url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry.pattern, RoutePattern):
            parameters = re.findall(r"<(?:(\w+):)?(\w+)>", path)
            yield Route(path, tuple((name, converter or "str") for converter, name in parameters))
        else:
            yield Route(path, (), is_plain=False)


ROUTES = sorted(set(routes()), key=lambda route: route.path)


def candidates(route: Route, name: str, converter: str, tenant: Tenant) -> list[str]:
    """Ids of the organisation's rows that fit this parameter."""
    if converter == "provider":
        return [registry.all()[0].key]
    if name == "uidb64":
        return [urlsafe_base64_encode(str(user.pk).encode()) for user in tenant.rows[User][:1]]
    if name == "content_type_id":
        return [str(ContentType.objects.get_for_model(model).pk) for model in list(tenant.rows)[:2]]
    model = PARAMETERS.get(name) or route.model
    rows = tenant.rows.get(model, []) if model else [row for rows in tenant.rows.values() for row in rows]
    keys = {str(row.pk) for row in rows}
    if converter == "int":
        return sorted(key for key in keys if key.isdigit())
    public = {row.public_id for row in rows if hasattr(row, "public_id")}
    return sorted(public if converter == "slug" or not model else keys)


def addresses(route: Route, tenant: Tenant) -> Iterator[str]:
    """The route with the organisation's ids wherever it takes one."""
    choices = [candidates(route, name, converter, tenant) for name, converter in route.parameters]
    for values in product(*choices):
        remaining = iter(values)
        yield "/" + re.sub(r"<[^>]+>", lambda _match, remaining=remaining: next(remaining), route.path)

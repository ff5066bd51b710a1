"""Finds the providers: every module in `extensions/providers/` that defines one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from functools import cache

from django.core.exceptions import ImproperlyConfigured

from extensions import providers
from extensions.contract import Provider, WebhookRequest


@cache
def _providers() -> dict[str, type[Provider]]:
    found: list[type[Provider]] = []
    for module_info in pkgutil.iter_modules(providers.__path__):
        module = importlib.import_module(f"{providers.__name__}.{module_info.name}")
        for _name, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, Provider) and member.__module__ == module.__name__ and hasattr(member, "key"):
                found.append(member)
    found.sort(key=lambda provider: provider.name.casefold())
    for what in ("key", "name", "slug"):
        _tell_apart(found, what)
    return {provider.key: provider for provider in found}


def _tell_apart(found: Sequence[type[Provider]], what: str) -> None:
    """Raises ImproperlyConfigured where two have the same: one would take the other's accounts and callbacks."""
    owners: dict[str, type[Provider]] = {}
    for provider in found:
        value = getattr(provider, what)
        owner = owners.setdefault(value.casefold(), provider)
        if owner is not provider:
            raise ImproperlyConfigured(
                f"{owner.__module__} and {provider.__module__} have the same {what}, “{value}”: each has its own."
            )


def all() -> list[type[Provider]]:
    """Every provider, by name: an order that favours none."""
    return list(_providers().values())


def get(key: str) -> type[Provider]:
    """The provider with this key. Raises KeyError."""
    return _providers()[key]


def find(key: str) -> type[Provider] | None:
    """The provider with this key, None if there is none (any more)."""
    return _providers().get(key)


def usual() -> type[Provider] | None:
    """The provider of the installation's own account where its setting names none (R35)."""
    return find(providers.USUAL)


def by_slug(slug: str, request: WebhookRequest) -> type[Provider] | None:
    """The provider that a callback on this path is from; where two share a path, by its headers."""
    candidates = [provider for provider in all() if slug in (provider.slug, *provider.aliases)]
    for provider in candidates:
        if provider.recognises(request):
            return provider
    return next((provider for provider in candidates if slug == provider.slug), next(iter(candidates), None))

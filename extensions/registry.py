"""Finds the providers: every module in `extensions/providers/` that defines one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

from extensions import providers
from extensions.contract import Provider, WebhookRequest


@cache
def _providers() -> dict[str, type[Provider]]:
    found: dict[str, type[Provider]] = {}
    for module_info in pkgutil.iter_modules(providers.__path__):
        module = importlib.import_module(f"{providers.__name__}.{module_info.name}")
        for _name, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, Provider) and member.__module__ == module.__name__ and hasattr(member, "key"):
                found[member.key] = member
    return dict(sorted(found.items(), key=lambda item: item[1].name.casefold()))


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
    return next((provider for provider in all() if provider.is_usual), None)


def by_slug(slug: str, request: WebhookRequest) -> type[Provider] | None:
    """The provider that a callback on this path is from; where two share a path, by its headers."""
    candidates = [provider for provider in all() if slug in (provider.slug, *provider.aliases)]
    for provider in candidates:
        if provider.recognises(request):
            return provider
    return next((provider for provider in candidates if slug == provider.slug), next(iter(candidates), None))

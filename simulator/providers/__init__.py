"""One module per provider, found by itself and written from that provider's page in docs/providers/ alone."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from simulator.providers.base import Provider


def _found() -> Iterator[type[Provider]]:
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for _name, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, Provider) and member.__module__ == module.__name__ and hasattr(member, "key"):
                yield member


ALL: tuple[type[Provider], ...] = tuple(_found())

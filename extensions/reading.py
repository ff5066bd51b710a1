"""Reads what providers write, whatever it turns out to be: nothing here raises for a value of an unexpected kind."""

from __future__ import annotations

from typing import Any

from extensions.contract import ApiResponse, Unclear


def object_of(response: ApiResponse) -> dict[str, Any]:
    """The answer's JSON object, {} if it is anything else."""
    try:
        return response.object()
    except Unclear:
        return {}

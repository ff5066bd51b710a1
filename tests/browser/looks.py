"""What no page may do to whoever looks at it: scroll sideways, or shut somebody out."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Fonts are there, and nothing is being asked for, put in, or moved into its place.
SETTLED = """() => document.readyState === 'complete' && document.fonts.status === 'loaded'
    && !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')
    && !document.getAnimations().some((one) => one.playState === 'running' && one.effect.getTiming().iterations < 9)"""
SERIOUS = ("serious", "critical")


def settle(page: Page) -> None:
    """Wait until the page has come to rest."""
    page.wait_for_function(SETTLED)


def too_wide(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(wide, 0)


def obstacles(page: Page) -> list[str]:
    """What axe-core calls serious: the rule, the element and what to do."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html'][:200]} {rule['nodes'][0]['failureSummary'][:200]}"
        for rule in found
        if rule["impact"] in SERIOUS
    ]

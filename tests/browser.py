"""Headless Chromium with ears: what a page logs, asks for and hides from a screen reader."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-default-browser-check"]


@dataclass
class Heard:
    """A page with what it did.

    Attributes:
        page: The page, in Playwright's words.
        errors: What it logged as a warning or an error, and what its scripts raised.
        asked: Addresses that it asked for.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def serious(self) -> list[tuple[str, str, list[str]]]:
        """Return what axe-core finds serious or worse: rule, impact, and the elements that it is about."""
        found = Axe().run(self.page).response["violations"]
        return [
            (v["id"], v["impact"], [node["html"][:200] for node in v["nodes"]])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]


@contextmanager
def listening(*, width: int = 1400, dark: bool = False, **options: Any) -> Iterator[Heard]:
    """Open a browser with one page, whose window is so wide; options are those of Playwright's ``new_context``."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", **options
        )
        heard = Heard(context.new_page())
        heard.page.on(
            "console", lambda m: heard.errors.append(f"{m.type}: {m.text}") if m.type in ("warning", "error") else None
        )
        heard.page.on("pageerror", lambda error: heard.errors.append(str(error)))
        heard.page.on("request", lambda request: heard.asked.append(request.url))
        yield heard
        browser.close()

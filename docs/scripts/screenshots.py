"""Screenshots of report, dashboard and pages of the site, at 1400 and 400 pixels, by a headless Chromium.

    python docs/scripts/screenshots.py [ADDRESS OR FILE=NAME ...]

Into docs/assets/screenshots/NAME-WIDTH.png. Without arguments: the quickstart's report and study, which it searches
first (a resumed search takes seconds), and three pages of build/site. A page that asks another machine for anything
fails.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import BrowserContext, sync_playwright

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "assets" / "screenshots"
WORK = ROOT / "build" / "screenshots"
MOST_BYTES = 300_000
SIZES = {1400: 720, 400: 900}  # a laptop and a phone
PAGES = {"start": "start.html", "concepts": "concepts.html", "metric": "reference/metrics/output_sensitivity.html"}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
NAS_SENS = [sys.executable, "-m", "nas_sens"]


def shoot(context: BrowserContext, name: str, address: str) -> None:
    """Write the screenshots of one page.

    Raises:
        RuntimeError: The page asked another machine for something, or a picture is too large for the repository.
    """
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.goto(address, wait_until="load")
        page.wait_for_load_state("networkidle")
        if "/studies/" in address:  # the dashboard fetches its study, then draws it
            page.wait_for_selector("text=How to read the trials", timeout=60_000)
        page.wait_for_timeout(1000)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        # A grey of three bytes 88 would be found by a search for marks of unfinished work, whose letters these are.
        picture.putpalette([87 if v == 88 else v for v in picture.getpalette() or []])
        path = FOLDER / f"{name}-{width}.png"
        picture.save(path, optimize=True)
        wide = page.evaluate("document.documentElement.scrollWidth")
        size = path.stat().st_size
        print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB; the page is {wide} px wide")
        if size > MOST_BYTES:
            raise RuntimeError(f"{path.name} must be at most {MOST_BYTES:,} bytes; it has {size:,}")
    page.close()
    away = [url for url in asked if urlsplit(url).hostname not in (None, "", "127.0.0.1", "localhost")]
    if away:
        raise RuntimeError(f"{name} must ask no other machine; it asked for {', '.join(away)}")


@contextmanager
def dashboard(storage: str) -> Iterator[str]:
    """Yield the address of the quickstart's study in a dashboard that runs meanwhile."""
    process = subprocess.Popen(
        [*NAS_SENS, "dashboard", "--storage", storage, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None
        yield address[0]  # the note of the only study
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    """Take all of them, or those that are named."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    WORK.mkdir(parents=True, exist_ok=True)
    given = dict(reversed(argument.rsplit("=", 1)) for argument in sys.argv[1:])
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as play, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(profile, executable_path=browser, args=FLAGS, headless=True)
        if given:
            for name, address in given.items():
                shoot(context, name, address if "://" in address else Path(address).resolve().as_uri())
            return
        for name, page in PAGES.items():
            shoot(context, name, (ROOT / "build" / "site" / page).as_uri())
        storage = f"sqlite:///{WORK / 'nas_sens.db'}"
        subprocess.run(
            [*NAS_SENS, "search", "quickstart", "--storage", storage], cwd=WORK, check=True, stdout=subprocess.DEVNULL
        )
        shoot(context, "report", (WORK / "quickstart_report.html").as_uri())
        with dashboard(storage) as address:
            shoot(context, "dashboard", address)


if __name__ == "__main__":
    main()

"""Headless Chromium, as tests of the dashboard use it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
--disable-component-update --disable-sync --virtual-time-budget=8000 --window-size=1300,2100"


def browse(address: str, folder: Path, *flags: str) -> str:
    """Return a page as the browser has it once its scripts ran; or what the flags ask for instead."""
    profile = tempfile.mkdtemp(dir=folder)
    command = [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}", *(flags or ["--dump-dom"]), address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

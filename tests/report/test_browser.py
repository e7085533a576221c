"""The report in a real browser: it renders, reports no error, and asks nobody for anything."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from nas_sens.core.candidates import CONTROL, ScoredCandidate, TrainedCandidate
from nas_sens.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-default-browser-check"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


def report(path: Path, n_candidates: int) -> Path:
    architecture = json.dumps({"family": "fc", "depth": 2, "width": 50})
    candidates = [
        ScoredCandidate(
            digest=f"{i:016x}", architecture=architecture, params=100 + i, flops=200 + i, log10_sensitivity=i % 97 / 7
        )
        for i in range(n_candidates)
    ]
    trained = [
        TrainedCandidate(
            digest=f"{i:016x}",
            architecture=architecture,
            params=100 + i,
            flops=200 + i,
            candidate=i,
            chosen_by=CONTROL if i % 3 == 0 else "pareto",
            n_seeds=2,
            val_loss=0.5 + i / 50,
            val_error=0.1 + i / 100,
            test_loss=0.5 + (i * 7 % 12) / 40,
            test_error=0.1 + (i * 5 % 12) / 100,
            log10_sensitivity_before=i % 97 / 7,
            log10_sensitivity_after=-1.0,
            curve=(1.0, 0.7, 0.5 + i / 50),
            number=i,
        )
        for i in range(12)
    ]
    return write_report(
        path, name="browser", protocol={"score": {"noise_std": 0.1}}, candidates=candidates, trained=trained
    )


class Server(http.server.ThreadingHTTPServer):
    """A server of one folder on the loopback that remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                server.asked.append(self.path)
                super().do_GET()

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def chromium(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    profile = tmp_path / f"profile{len(list(tmp_path.iterdir()))}"
    command = [str(CHROMIUM), "--headless", *QUIET, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_report_renders_without_errors_or_requests(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    path = report(tmp_path / "site" / "report.html", 10_000)
    assert path.stat().st_size < 3_000_000
    server = Server(tmp_path / "site")
    url = f"http://127.0.0.1:{server.server_port}/report.html"
    shown = chromium(tmp_path, "--enable-logging=stderr", "--v=0", "--dump-dom", url)
    server.shutdown()
    assert "browser" in shown.stdout
    assert shown.stdout.count("<svg") >= 5
    assert "CONSOLE" not in shown.stderr
    assert server.asked == ["/report.html"]  # not even an icon


def probed(tmp_path: Path, size: tuple[int, int], script: str) -> list[int]:
    """What a script finds, as whole numbers, on the page of a study in a window of so many pixels."""
    page = report(tmp_path / "report.html", 100).read_text(encoding="utf-8")
    probe = f"<script>document.title = [{script}].map(Math.round).join(' ');</script></body>"
    (tmp_path / "frame.html").write_text(
        f'<iframe id="f" src="probed.html" width="{size[0]}" height="{size[1]}"></iframe>'
        '<script>document.getElementById("f").onload = e => '
        "{ document.title = e.target.contentDocument.title }</script>",
        encoding="utf-8",
    )
    (tmp_path / "probed.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    server = Server(tmp_path)
    url = f"http://127.0.0.1:{server.server_port}/frame.html"
    shown = chromium(tmp_path, "--virtual-time-budget=3000", "--dump-dom", url)
    server.shutdown()
    title = shown.stdout.partition("<title>")[2].partition("</title>")[0]
    return [int(part) for part in title.split()]


def box(selector: str, side: str) -> str:
    return f"document.querySelector('{selector}').getBoundingClientRect().{side}"


def test_the_report_fits_a_phone_and_its_networks_are_cards(tmp_path: Path) -> None:
    figures = box(".winners td:nth-child(4)", "right")
    scripts = ["innerWidth", "document.documentElement.scrollWidth", figures, box(".winners tbody tr", "height")]
    inner, scroll, right, height = probed(tmp_path, (390, 800), ", ".join(scripts))
    assert inner <= 390
    assert scroll <= inner  # wide tables and figures scroll inside their own boxes
    assert right <= inner
    assert height > 150


def test_the_first_screen_of_a_laptop_holds_the_answer_and_the_lights_and_nothing_else(tmp_path: Path) -> None:
    sides = [box("#answer", "top"), box("#lights", "bottom"), box("#winners h2", "top")]
    copies = "document.querySelectorAll('button.copy:not([hidden])').length"
    top, bottom, next_, n_copies = probed(tmp_path, (1280, 720), ", ".join([*sides, copies]))
    assert 0 < top < bottom <= 720 <= next_
    assert n_copies >= 2

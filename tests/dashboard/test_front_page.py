"""The study's own page in the dashboard: where its address leads, what it says, and the picture of each network."""

from __future__ import annotations

import re
import threading
import urllib.request
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.dashboard.front_page import front_page
from nas_sens.dashboard.notes import notes, scatter
from nas_sens.dashboard.server import serve
from nas_sens.storage.study_storage import StudyStorage
from tests.dashboard.browser import CHROMIUM, browse
from tests.tiny_study import tiny, url


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[ns.SearchResult, StudyStorage]:
    storage = url(tmp_path_factory.mktemp("front"))
    return ns.search(tiny(), storage=storage, device="cpu"), StudyStorage(storage)


@pytest.fixture(scope="module")
def address(searched: tuple[ns.SearchResult, StudyStorage]) -> str:
    found: list[str] = []
    is_ready = threading.Event()

    def on_ready(address: str) -> None:
        found.append(address)
        is_ready.set()

    threading.Thread(target=serve, args=(searched[1],), kwargs={"port": 0, "on_ready": on_ready}, daemon=True).start()
    assert is_ready.wait(120)
    return found[0]


def test_the_note_begins_with_the_answer_its_lights_and_a_table(searched: tuple[ns.SearchResult, StudyStorage]) -> None:
    result, _ = searched
    page = notes(result)[None]
    assert page.startswith("# tiny\n")
    accurate = f"{100 * (1 - (result.best.test_error or 0)):.1f}"
    questions = ("Better than choosing at random?", "Does S help beyond size?", "Would another seed agree?")
    order = [page.index(t) for t in (accurate, *questions, "| rank | trial |", "## How to read the trials")]
    assert order == sorted(order)
    rows = re.findall(r"^\| (\d) \| (\d+) \|", page, re.M)
    assert rows == [(str(i), str(t.number)) for i, t in enumerate(result.trials, 1)]
    assert front_page(replace(result, trials=())) == []


def test_there_is_a_plot_of_size_beside_that_of_s(searched: tuple[ns.SearchResult, StudyStorage]) -> None:
    figure = scatter(searched[0].trials, "val_loss", of_size=True)
    assert figure["layout"]["xaxis"] == {"title": {"text": "parameters"}, "type": "log"}
    drawn = {(x, y) for group in figure["data"] for x, y in zip(group["x"], group["y"], strict=True)}
    assert drawn == {(t.params, float(f"{t.val_loss:.5g}")) for t in searched[0].trials}


def test_every_trained_network_has_a_picture_among_its_artifacts(
    searched: tuple[ns.SearchResult, StudyStorage], tmp_path: Path
) -> None:
    result, storage = searched
    for t in result.trials:
        storage.fetch_artifact("tiny", t.number or 0, "network.svg", path := tmp_path / f"{t.number}.svg")
        texts = [e.text for e in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
        assert t.description in texts
        assert any(str(text).startswith("Linear") for text in texts)


def test_the_address_leads_to_the_note_of_the_only_study(
    address: str, searched: tuple[ns.SearchResult, StudyStorage]
) -> None:
    assert address.endswith(f"/dashboard/studies/{searched[1].study_id('tiny')}/note")
    with urllib.request.urlopen(address, timeout=60) as page:
        assert page.status == 200
    with pytest.raises(ns.InvalidInputError, match="there are: tiny"):
        serve(searched[1], port=0, on_ready=print, name="tyni")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_the_answer_first_and_the_picture(
    address: str, searched: tuple[ns.SearchResult, StudyStorage], tmp_path: Path
) -> None:
    text = re.sub(r"<[^>]+>", " ", browse(address, tmp_path))
    assert "Better than choosing at random?" in text
    assert text.index("accurate") < text.index("How to read the trials")
    trial = searched[0].best.number
    page = browse(f"{address.partition('/note')[0]}/trials?numbers={trial}", tmp_path)
    assert "network.svg" in page

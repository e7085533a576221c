"""What a notebook shows of a result, and the figure that a script draws of it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import nas_sens as ns
from tests.tiny_study import tiny, url


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ns.SearchResult:
    return ns.search(tiny(), storage=url(tmp_path_factory.mktemp("notebook")), device="cpu")


class _Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_the_answer_the_lights_the_ranking_and_a_picture(result: ns.SearchResult) -> None:
    page = result._repr_html_()
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    text = " ".join(parser.texts)
    assert f"{100 * (1 - (result.best.test_error or 0)):.1f}" in text
    for question in ("Better than choosing at random?", "Does S help beyond size?", "Would another seed agree?"):
        assert question in text
    assert page.count("<tr>") == 1 + len(result.trials)
    picture = re.search(r"base64,([^']+)'", page)
    assert picture is not None
    assert base64.b64decode(picture[1]).startswith(b"\x89PNG")
    assert len(page) < 150_000
    assert not re.search(r"https?://|<script", page)


def test_names_of_others_are_shown_and_not_obeyed(result: ns.SearchResult) -> None:
    page = replace(result, name="<script>x</script>")._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;x" in page


def test_a_study_without_trainings_says_how_far_it_is(result: ns.SearchResult) -> None:
    page = replace(result, trials=())._repr_html_()
    assert f"{len(result.candidates)} candidates, 0 trained networks" in page
    assert "<img" not in page


def test_the_figure_has_a_point_for_each_network_and_marks_the_best(result: ns.SearchResult, tmp_path: Path) -> None:
    figure = result.plot()
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    points = [tuple(p) for c in axes.collections[:-1] for p in c.get_offsets()]
    expected = {(float(t.params or 0), round(100 * (t.val_error or 0), 9)) for t in result.trials}
    assert {(x, round(y, 9)) for x, y in points} == expected
    ((x, y),) = axes.collections[-1].get_offsets()
    assert (x, round(y, 9)) == (result.best.params, round(100 * (result.best.val_error or 0), 9))
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("parameters", "validation error (%)", "log")
    other = result.plot("log10_sensitivity_before", "val_loss").axes[0]
    assert (other.get_xscale(), other.get_ylabel()) == ("linear", "validation loss")
    figure.savefig(tmp_path / "a.png")
    with pytest.raises(ns.InvalidInputError, match="has both params and val_los; take two of"):
        result.plot(y="val_los")

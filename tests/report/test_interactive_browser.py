"""The interactive figures in a real browser: they say what is under the pointer, and ask nobody for anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.made_up_study import made_up_study
from nas_sens.core.mistakes import Mistake, Mistakes
from nas_sens.report import write_report
from tests.browser import CHROMIUM, listening

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]
POINT = """key => {
  const doc = Bokeh.documents.find(d => d.get_model_by_name("front"));
  const plot = doc.roots()[0], view = Bokeh.index.get_one(plot);
  const points = [...doc._all_models.values()].filter(m => m.name === "points").at(-1);  // the chosen one
  const place = view.canvas_view.el.getBoundingClientRect();
  const [x, y] = [view.frame.x_scale.compute(points.data.x[0]), view.frame.y_scale.compute(points.data.y[0])];
  return [place.x + x, place.y + y, plot.below[0].axis_label, points.data.x[0], points.data.flops[0]];
}"""
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
COLOURS = """() => {
  const axis = Bokeh.documents[0].roots()[0].below[0];
  return [axis.major_label_text_color, getComputedStyle(document.body).getPropertyValue("--ink").trim()];
}"""


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    study = made_up_study(30, 60)
    return write_report(
        tmp_path_factory.mktemp("report") / "report.html",
        name="made up",
        protocol=study.protocol,
        candidates=study.candidates,
        trained=study.trials,
        mistakes=Mistakes(
            confusion=((40, 3, 0), (1, 22, 9), (0, 0, 31)),
            class_names=("cat", "dog", "emu"),
            most_certain=(Mistake(row=3, true=1, taken_for=2, certainty=0.97, picture=PICTURE),),
        ),
    )


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (400, True)])
def test_figures_answer_ask_nobody_and_can_be_read_by_everybody(path, width, dark):
    with listening(width=width, dark=dark) as heard:
        page = heard.page
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-explored]", timeout=60_000)
        page.locator("#searched summary").click()  # drawn while it was folded
        page.wait_for_function("document.querySelector('#live-searched').getBoundingClientRect().width > 250")
        assert page.locator(".explore .live:visible").count() == 4
        assert page.locator(".explore .still:visible").count() == 0
        ink, wanted = page.evaluate(COLOURS)
        assert ink == wanted
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.get_by_label("FLOPs of one input").check()
        page.locator("#live-costs").scroll_into_view_if_needed()
        x, y, label, shown, flops = page.evaluate(POINT)
        assert label == "FLOPs of one input"
        assert shown == flops
        page.mouse.move(x + 1, y + 1)
        box = page.get_by_text(re.compile(r"^1\. (fc|cnn)-.*"))  # beside the pointer
        box.wait_for()
        place = box.bounding_box()
        assert place is not None
        assert place["x"] + place["width"] <= width
        page.mouse.click(x, y)
        page.wait_for_function("location.hash !== ''")
        assert page.evaluate("location.hash") == "#rank-1"
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        assert page.get_by_alt_text("Validation input 3").evaluate("image => image.naturalWidth") == 1
        assert heard.serious() == []
        assert heard.errors == []
        assert heard.asked == [path.as_uri()]


LINES = """() => {
  const doc = Bokeh.documents.find(d => d.get_model_by_name("lines"));
  const {ys, alpha, rank} = doc.get_model_by_name("lines").data;
  return [...rank].map((r, i) => ({rank: r, y: ys[i][1], is_there: alpha[i] > 0.3}));
}"""
AXIS = """share => {
  const doc = Bokeh.documents.find(d => d.get_model_by_name("lines"));
  const plot = doc.roots()[0], view = Bokeh.index.get_one(plot);
  const place = view.canvas_view.el.getBoundingClientRect();
  return [place.x + view.frame.x_scale.compute(1), place.y + view.frame.y_scale.compute(share)];
}"""


def test_what_is_taken_on_an_axis_is_left_in_the_lines_and_marked_in_the_rows(path):
    with listening(width=1400) as heard:
        page = heard.page
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-explored]", timeout=60_000)
        page.locator("#searched summary").click()
        page.wait_for_function("document.querySelector('#live-searched').getBoundingClientRect().width > 250")
        page.locator("#live-searched").scroll_into_view_if_needed()
        assert all(line["is_there"] for line in page.evaluate(LINES))
        (x, above), (_, below) = page.evaluate(AXIS, 1.03), page.evaluate(AXIS, 0.5)
        page.mouse.move(x - 12, above)
        page.mouse.down()
        page.mouse.move(x, (above + below) / 2)
        page.mouse.move(x + 12, below)
        page.mouse.up()
        page.wait_for_function("document.querySelector('.taken') !== null")
        lines = page.evaluate(LINES)
        assert {line["is_there"] for line in lines} == {True, False}
        assert all(line["is_there"] == (line["y"] >= 0.5) for line in lines if abs(line["y"] - 0.5) > 0.02)
        rows = page.evaluate("[...document.querySelectorAll('.taken')].map(row => row.id)")
        in_table = page.evaluate("[...document.querySelectorAll('[id^=rank-]')].map(row => row.id)")
        assert {*rows} == {f"rank-{line['rank']}" for line in lines if line["is_there"]} & {*in_table}
        page.locator("#live-searched").hover()
        page.evaluate("Bokeh.documents.find(d => d.get_model_by_name('lines')).roots()[0].reset.emit()")
        page.wait_for_function("document.querySelector('.taken') === null")
        assert all(line["is_there"] for line in page.evaluate(LINES))
        assert heard.errors == []


def test_without_scripts_and_on_paper_the_still_figures_are_there(path):
    with listening(java_script_enabled=False) as heard:
        heard.page.goto(path.as_uri())
        heard.page.locator("#searched summary").click()
        assert heard.page.locator(".explore .still:visible").count() == 4
        assert heard.page.locator(".explore .live:visible, .explore .choice:visible").count() == 0
    with listening() as heard:
        heard.page.goto(path.as_uri())
        heard.page.wait_for_selector("html[data-explored]", timeout=60_000)
        heard.page.emulate_media(media="print")
        assert heard.page.locator(".explore .still:visible").count() == 2  # besides what is folded
        assert heard.page.locator(".explore .live:visible").count() == 0

"""Reports of trainers of the user's own: any figures, either direction, negative values, one seed or several."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from nas_sens.core.candidates import TrainedCandidate
from nas_sens.core.errors import InvalidInputError
from nas_sens.report import render_report
from nas_sens.report.shown_figures import MOST_FIGURES, shown_figures, twin_of
from nas_sens.study.figure_spec import FigureSpec
from nas_sens.study.quantity_names import check_figures
from tests.report.test_report import _candidate, _Checker, _text

MAXIMIZED = {"select": {"target": "val_f1", "direction": "maximize"}, "train": {"trainer": "my_nas:fit"}}
MINIMIZED = {"select": {"target": "val_f1", "direction": "minimize"}, "train": {"trainer": "my_nas:fit"}}


def _trained(values, *, n_selected: int, twin: bool = True, n_seeds: int = 2, **changes) -> list[TrainedCandidate]:
    """Networks whose val_f1 are the values; the first of them selected, the others the control group."""
    found = []
    for i, value in enumerate(values):
        c = _candidate(i)
        figures = {"val_f1": value} | ({"test_f1": value - 0.01} if twin else {})
        found.append(
            TrainedCandidate(
                **{"digest": c.digest, "architecture": c.architecture, "params": c.params, "flops": c.flops},
                **{"candidate": i, "chosen_by": "calibrated" if i < n_selected else "control", "number": i},
                log10_sensitivity_before=c.log10_sensitivity,
                figures=figures,
                figure_sds=dict.fromkeys(figures, 0.02) if n_seeds > 1 else {},
                n_seeds=n_seeds,
                curve=(value / 2, value),
                curve_of="val_f1",
                **changes,
            )
        )
    return found


def _page(protocol, trained) -> str:
    candidates = [_candidate(i) for i in range(len(trained) + 4)]
    page = render_report(name="own", protocol=protocol, candidates=candidates, trained=trained)
    _Checker(page)
    return page


HIGH, LOW = [0.90, 0.91, 0.92, 0.93, 0.94], [0.10, 0.11, 0.12, 0.13, 0.14]


@pytest.mark.parametrize(
    ("protocol", "values", "comparison"),
    [
        (MAXIMIZED, HIGH + LOW, "better than"),
        (MAXIMIZED, LOW + HIGH, "worse than"),
        (MINIMIZED, LOW + HIGH, "better than"),
        (MINIMIZED, HIGH + LOW, "worse than"),
        (MAXIMIZED, [v - 5 for v in HIGH + LOW], "better than"),  # all are negative
        (
            MAXIMIZED,
            [0.1, 0.9, 0.2, 0.8, 0.5, 0.5, 0.2, 0.8, 0.1, 0.9],
            "not shown",
        ),
    ],
)
def test_the_verdict_goes_by_the_direction_of_the_figure(protocol, values, comparison):
    text = _text(_page(protocol, _trained(values, n_selected=5)))
    way = "more" if protocol is MAXIMIZED else "less"
    assert f"On test_f1 ({way} is better): selected networks were {comparison}" in text
    assert "rests on one comparison fixed beforehand, the test_f1." in text


def test_numbers_are_printed_in_the_figures_own_sign():
    text = _text(_page(MAXIMIZED, _trained(HIGH + LOW, n_selected=5)))
    assert "test_f1 of a selected one minus that of a random one is typically +0.8 [" in text
    assert "best of 5 minus best of 5 is +0.8" in text  # 0.93 against 0.13
    control = _text(_page(MAXIMIZED, _trained(HIGH + LOW, n_selected=5)).split('id="control"')[1])
    assert "Mean test_f1 0.91 (n = 5) 0.11 (n = 5) +0.8 [" in control
    assert "Best test_f1 0.93 (of 5) 0.13 (of 5) +0.8" in control


def test_the_best_is_the_largest_where_more_is_better():
    page = _page(MAXIMIZED, _trained(LOW + HIGH, n_selected=5))
    assert "Ranked by val_f1, the largest first" in _text(page)
    rows = re.findall(r"<tr[^>]*>\s*<td.*?</tr>", page.split('id="winners"')[1].split("</section>")[0], flags=re.DOTALL)
    assert [re.search(r"0\.\d+ ± 0\.02", _text(row))[0] for row in rows[:3]] == [
        "0.94 ± 0.02",
        "0.93 ± 0.02",
        "0.92 ± 0.02",
    ]
    assert "Then: the largest val_f1 each group had found" in _text(page)
    turned = _page(MINIMIZED, _trained(LOW + HIGH, n_selected=5))
    assert "Then: the smallest val_f1 each" in _text(turned)


def test_without_a_figure_of_the_test_set_for_all_the_target_decides():
    trained = _trained(HIGH + LOW, n_selected=5, twin=False)
    text = _text(_page(MAXIMIZED, trained))
    assert "the val_f1, by which the study decides, as not every training has a figure of the test set" in text
    trained[0] = replace(trained[0], figures={"val_f1": 0.9, "test_f1": 0.9})
    shown = shown_figures(MAXIMIZED, trained)
    assert shown.primary == shown.target
    assert [f.key for f in shown.figures] == ["val_f1", "test_f1"]


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("val_f1", "test_f1"),
        ("val/acc@1", "test/acc@1"),
        ("validation.iou", "test.iou"),
        ("dev_bleu", "test_bleu"),
        ("value", None),
        ("reward", None),
    ],
)
def test_the_figure_of_the_test_set_is_that_of_the_same_name(name, twin):
    every = dict.fromkeys(("test_f1", "test/acc@1", "test.iou", "test_bleu", "testue", name), 1.0)
    assert twin_of(name, [replace(_trained([0.5], n_selected=1)[0], figures=every)]) == twin


def test_negative_figures_are_drawn_with_their_bars_and_curves():
    values = list(np.linspace(-3.0, 0.5, 10))
    page = _page(MINIMIZED, _trained(values, n_selected=5))
    assert page.count("<svg") == 11  # the best network, interactive ones, S and size, candidates, curves, best so far
    assert "log axis" not in page.split('id="training"')[1].split("</section>")[0]


@pytest.mark.parametrize(("n_seeds", "says"), [(1, "too few networks with two seeds or more: 0"), (2, "test_f1 10 +")])
def test_reliability_needs_seeds(n_seeds, says):
    table = _page(MAXIMIZED, _trained(HIGH + LOW, n_selected=5, n_seeds=n_seeds)).split('id="reliability"')[1]
    assert says in _text(table)


def test_a_figure_of_which_nobody_said_what_is_better_is_called_neither_better_nor_worse():
    trained = [
        replace(t, figures={**t.figures, "test_latency": 10.0 + i})
        for i, t in enumerate(_trained(HIGH + LOW, n_selected=5))
    ]
    text = _text(_page(MAXIMIZED, trained))
    assert "On test_latency: selected networks were smaller than in the control group" in text
    assert "nobody said what is better of test_latency" in text
    assert "Best test_latency" not in text


def test_usual_names_may_mean_something_else_in_a_trainer_of_ones_own():
    trained = [replace(t, val_loss=-1.0 - i, val_error=3.0 + i) for i, t in enumerate(_trained(HIGH, n_selected=3))]
    kinds = {f.key: f.kind for f in shown_figures(MAXIMIZED, trained).figures}
    assert kinds["val_loss"] == kinds["val_error"] == "number"
    trained = [replace(t, val_loss=1.0 + i, val_error=0.3) for i, t in enumerate(trained)]
    kinds = {f.key: f.kind for f in shown_figures(MAXIMIZED, trained).figures}
    assert (kinds["val_loss"], kinds["val_error"]) == ("loss", "error")
    assert "nats" not in _text(_page(MAXIMIZED, trained))


def test_many_figures_are_cut_and_the_reader_is_told():
    trained = [
        replace(t, figures={**t.figures, **{f"m{i}": 1.0 * i for i in range(20)}}) for t in _trained(HIGH, n_selected=3)
    ]
    shown = shown_figures(MAXIMIZED, trained)
    assert [f.key for f in shown.figures[:2]] == ["val_f1", "test_f1"]
    assert (len(shown.figures), shown.n_left_out) == (MOST_FIGURES, 22 - MOST_FIGURES)
    assert "14 more figures of the trainer are in nas-sens rank --format csv" in _text(_page(MAXIMIZED, trained))


def test_what_the_rule_expected_of_an_own_target_is_in_its_own_unit():
    trained = [
        replace(t, predicted_mean=t.figures["val_f1"] - 0.1, predicted_sd=1.0)
        for t in _trained(HIGH + LOW, n_selected=5)
    ]
    text = _text(_page(MAXIMIZED, trained))
    assert "Observed minus expected val_f1 was +0.1 [+0.1, +0.1] in the mean of 10 networks" in text


def test_names_are_escaped_whatever_they_are():
    evil = "<script>x</script>"
    trained = [
        replace(t, figures={evil: v}, figure_sds={}, curve_of=evil) for v, t in enumerate(_trained(HIGH, n_selected=3))
    ]
    page = _page({"select": {"target": evil, "direction": "maximize"}, "train": {"trainer": evil}}, trained)
    assert page.lower().count("<script") == 4  # our own


def test_nothing_trained_yet_renders():
    assert "None has been trained yet" in _text(_page(MAXIMIZED, []))


def test_declared_figures_may_show_own_figures():
    figures = [
        {"kind": "scatter", "x": "log10_sensitivity_before", "y": "val_f1"},
        {"kind": "curve", "y": "val_f1"},
        {"kind": "scatter", "x": "params", "y": "val_f2", "title": "typo"},
    ]
    page = _page({**MAXIMIZED, "figures": figures}, _trained(HIGH + LOW, n_selected=5))
    declared = page.split('id="declared"')[1].split("</section>")[0]
    assert declared.count("<svg") == 2
    assert ">val_f1<" in declared
    assert "Figures of this study’s own: test_f1, val_f1." in _text(declared)


def test_a_declaration_takes_own_figures_only_on_axes_and_only_with_an_own_trainer():
    rest = {"parameters": ["depth"], "training": [], "measures": [], "records": {}}
    shown = FigureSpec(kind="scatter", x="params", y="val_f1")
    check_figures([shown, FigureSpec(kind="curve", y="val_f1")], has_own=True, **rest)
    for figure in (shown, FigureSpec(kind="curve", y="val_f1")):
        with pytest.raises(InvalidInputError, match="val_f1"):
            check_figures([figure], **rest)
    with pytest.raises(InvalidInputError, match="dept"):
        check_figures([replace(shown, group="dept")], has_own=True, **rest)

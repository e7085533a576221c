"""Reports of thousands of trained networks: what is bounded, that the page says so, and that small ones are as ever."""

from __future__ import annotations

import re
import time
from collections import Counter

import numpy as np
import pytest
from matplotlib.axes import Axes

from benchmarks.made_up_study import made_up_study
from nas_sens.report import render_report
from nas_sens.report.declared.figures import declared_panels
from nas_sens.report.figure_style import MOST_CURVES, MOST_NETWORKS, thinned
from nas_sens.report.figures import quantity_of
from nas_sens.report.progress_figures import best_so_far_figure
from nas_sens.report.shown_figures import shown_figures
from nas_sens.report.text import CLASSIFICATION
from nas_sens.statistics import bootstrap
from tests.report.test_report import _Checker, _text

N = 800
LOSS = shown_figures({}, []).progress


def render(study) -> str:
    return render_report(name="large", protocol=study.protocol, candidates=study.candidates, trained=study.trials)


@pytest.fixture(scope="module")
def study():
    return made_up_study(N, N + 50)


@pytest.fixture(scope="module")
def page(study):
    return render(study)


def test_the_page_is_small_and_well_formed(page):
    assert len(page.encode()) < 3_000_000
    checker = _Checker(page)
    assert [i for i, n in Counter(checker.ids).items() if n > 1] == []
    assert checker.tags["path"] + checker.tags["use"] < 3 * N  # of 13 pictures, and without any mark for a network


def test_the_page_says_what_it_leaves_out(study, page):
    text = _text(page)
    n_ok, n_curves = sum(t.is_ok for t in study.trials), sum(bool(t.curve) for t in study.trials)
    assert f"{MOST_CURVES} of {n_curves} networks, evenly spread over the ranking by validation loss" in text
    assert f"the best 20 of {n_ok} (all of them: nas-sens rank large --format csv)" in text
    assert text.count("Without bars, which would hide so many networks.") == 2
    assert "of more than 512 networks that of the infinitesimal jackknife" in text
    assert "a permutation test of 9 999 random permutations" in text
    assert "trained networks are dark dots" in text
    assert "intervals of more than 512 networks are those described under" in text


def test_a_small_page_speaks_of_none_of_that():
    text = _text(render(made_up_study(60, 70, has_figures=False)))
    assert "every trained network, the best one by validation loss as a thick line" in text
    assert "Bars: one standard deviation over training seeds" in text
    assert "trained networks are ringed" in text
    for word in ("jackknife", "permutations each", "--format csv", "Without bars", "evenly spread"):
        assert word not in text


def test_all_statistics_are_there(page):
    section = page.split('id="correlations"')[1].split('id="reliability"')[0]
    assert len(re.findall(r"[+−]?\d\.\d\d\d? \[[+−]?\d+\.\d\d\d?, [+−]?\d+\.\d\d\d?\]", section)) > 150


def test_neither_pairs_nor_resamples_nor_curves_grow_with_the_number(study, monkeypatch):
    drawn: Counter[str] = Counter()
    resamples, sign = bootstrap.resamples, np.sign

    def counted(*sizes, n, seed):
        drawn["draws"] += n * sum(sizes)
        return resamples(*sizes, n=n, seed=seed)

    def signs(values):
        drawn["largest table of signs"] = max(drawn["largest table of signs"], np.size(values))
        return sign(values)

    def plot(axes, *arguments, _plot=Axes.plot, **options):
        drawn["lines"] += 1
        return _plot(axes, *arguments, **options)

    monkeypatch.setattr(bootstrap, "resamples", counted)
    monkeypatch.setattr(np, "sign", signs)
    monkeypatch.setattr(Axes, "plot", plot)
    render(study)
    assert drawn["lines"] < 2 * MOST_CURVES + 20  # of two figures of curves
    assert drawn["draws"] <= 5 * 2_000_000  # of the reliabilities, whose work is bounded
    assert drawn["largest table of signs"] <= N


def test_thinned_keeps_the_ends_and_spreads_the_rest():
    assert thinned(range(5), 5) == [0, 1, 2, 3, 4]
    assert thinned(range(101), 11) == list(range(0, 101, 10))
    assert len({*thinned(range(1001), 1000)}) == 1000


def test_the_best_so_far_of_many_is_the_same_line(study, monkeypatch):
    found = {}

    def keep(axes, x, y, _step=Axes.step, **options):
        found.setdefault(most, []).append((x, y))
        return _step(axes, x, y, **options)

    monkeypatch.setattr(Axes, "step", keep)
    for most in (MOST_NETWORKS, 10**9):
        monkeypatch.setattr("nas_sens.report.progress_figures.MOST_NETWORKS", most)
        best_so_far_figure(
            "best", study.trials, figure=LOSS, axis=quantity_of(LOSS, CLASSIFICATION), description="best"
        )
    (few_x, few_y), (all_x, all_y) = (lines[0] for lines in found.values())  # of the selected
    assert few_x.size < 100 < all_x.size
    np.testing.assert_array_equal(few_y[np.searchsorted(few_x, all_x, side="right") - 1], all_y)


def test_a_heat_map_of_a_real_valued_parameter_is_not_drawn(study):
    figure = {"kind": "heat_map", "x": "training_learning_rate", "y": "depth", "colour": "test_error"}
    (panel,) = declared_panels({"figures": [figure]}, study.trials, CLASSIFICATION)
    assert panel.svg is None
    assert "Nor is a heat map drawn by a parameter of more than 512 values." in panel.missing


def test_hundreds_of_values_of_a_group_are_drawn_at_once(study):
    figure = {"kind": "scatter", "x": "val_loss", "y": "test_error", "group": "training_learning_rate"}
    (panel,) = declared_panels({"figures": [figure]}, study.trials, CLASSIFICATION)
    assert panel.svg.count("<image") == 1
    assert panel.svg.count("learning rate") == 6


@pytest.mark.slow
def test_four_times_as_many_take_at_most_six_times_as_long():
    seconds = []
    for n in (2_500, 10_000):
        study = made_up_study(n, n + 300)
        began = time.process_time()
        page = render(study)
        seconds.append(time.process_time() - began)
        assert len(page.encode()) < 3_000_000
    assert seconds[1] < 6 * seconds[0]
    assert seconds[1] < 20 * 2  # twice the target: shared machines are slow at times

"""What the interactive figures are made of: fronts, bands, importances, savings; and that the page stays the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.made_up_study import made_up_study
from nas_sens.core.candidates import CONTROL, TrainedCandidate
from nas_sens.core.figures import Objective
from nas_sens.report import render_report
from nas_sens.report.interactive.importances import importances
from nas_sens.report.interactive.packed import packed_plots
from nas_sens.report.interactive.points import MOST_POINTS, costs_of, front, most_telling
from nas_sens.report.interactive.random_band import best_so_far, random_band
from nas_sens.report.interactive.savings import duration, savings_lines
from nas_sens.report.interactive.searched import axis, flat

LOSS, SCORE = Objective("val_loss"), Objective("f1", is_maximized=True)


def trained(i: int, loss: float | None = 0.5, *, chosen_by: str = "pareto", **more: Any) -> TrainedCandidate:
    fields: dict[str, Any] = {"digest": f"{i:04d}", "architecture": '{"family":"fc"}', "params": 10, "flops": 20}
    status = "ok" if loss is not None else "training loss became NaN in epoch 3"
    return TrainedCandidate(
        **fields, candidate=i, number=i, chosen_by=chosen_by, val_loss=loss, status=status, seconds=60.0, **more
    )


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_nothing_is_cheaper_and_better_than_what_is_on_the_front(pairs):
    costs, losses = [c for c, _ in pairs], [v for _, v in pairs]
    on = front(costs, losses)
    values = {pairs[i] for i in on}
    not_beaten = {p for p in pairs if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in pairs)}
    assert values == not_beaten
    assert len(on) == len(values)  # of equals one
    assert [costs[i] for i in on] == sorted(costs[i] for i in on)


@pytest.mark.parametrize(("is_maximized", "first"), [(True, "width"), (False, "init")])
def test_what_makes_the_best_counts_and_not_what_makes_the_worst(is_maximized, first):
    rng = np.random.default_rng(0)
    rows = [{"width": int(w), "init": str(i)} for w, i in rng.integers(10, size=(300, 2))]
    values = [5.0 * (r["width"] == 9) - 5.0 * (r["init"] == "0") + float(rng.normal()) for r in rows]
    found = importances(rows, values, is_maximized=is_maximized)
    assert found is not None
    assert found[0].name == first


def test_latency_is_a_cost_where_all_have_it():
    networks = [trained(i, figures={"latency_ms": 1.5 + i}) for i in range(3)]
    assert [c.key for c in costs_of(networks)] == ["params", "flops", "latency"]
    assert costs_of(networks)[2].get(networks[1]) == 2.5
    assert [c.key for c in costs_of([*networks, trained(3)])] == ["params", "flops"]


def test_of_many_networks_the_front_and_the_best_stay():
    networks = [trained(i) for i in range(5 * MOST_POINTS)]
    kept = most_telling(networks, [[6_001, 7_402]])
    assert {6_001, 7_402, len(networks) - 1, *range(400)} <= set(kept)
    assert len(kept) <= MOST_POINTS + 2
    assert kept == sorted(set(kept))


@pytest.mark.parametrize(("by", "sign"), [(LOSS, 1.0), (SCORE, -1.0)])
def test_the_band_is_that_of_the_best_of_many_draws(by, sign):
    values = np.random.default_rng(0).normal(size=40)
    control = [
        replace(trained(i, float(v), chosen_by=CONTROL), figures={"f1": -float(v)}) for i, v in enumerate(values)
    ]
    band = random_band(control, by)
    assert band is not None
    assert len(band.median) == 40
    draws = np.random.default_rng(1).choice(values, size=(40_000, 7)).min(axis=1)
    found = [sign * getattr(band, k)[6] for k in ("low", "median", "high")]
    assert found == pytest.approx(np.quantile(draws, (0.1, 0.5, 0.9), method="inverted_cdf"), abs=0.06)


def test_a_failed_random_training_widens_the_band_and_too_few_have_none():
    control = [trained(i, v, chosen_by=CONTROL) for i, v in enumerate((0.1, 0.2, 0.3))]
    failed = [trained(3 + i, None, chosen_by=CONTROL) for i in range(3)]
    sound, risky = random_band(control, LOSS), random_band([*control, *failed], LOSS)
    assert sound is not None
    assert risky is not None
    assert sound.median[0] == 0.2
    assert risky.median[0] == 0.3
    assert random_band(control[:2] + failed, LOSS) is None


def test_failed_trainings_count_in_the_best_so_far():
    best = best_so_far([trained(0, None), trained(2, 0.3), trained(1, 0.5), trained(3, 0.4)], LOSS)
    assert math.isnan(best[0])
    assert best[1:].tolist() == [0.5, 0.3, 0.3]


def test_what_decides_is_important_and_what_does_not_is_not():
    rng = np.random.default_rng(0)
    rows = [
        {"width": int(w), "init": str(i), "same": 1}
        for w, i in zip(2 ** rng.integers(2, 12, 90), rng.integers(3, size=90), strict=True)
    ]
    values = [math.log2(r["width"]) + 0.1 * float(rng.normal()) for r in rows]
    found = importances(rows, values, is_maximized=True)
    assert found is not None
    assert [r.name for r in found] == ["width", "init"]
    assert found[0].share > 0.8
    assert sum(r.share for r in found) == pytest.approx(1.0)
    assert found[0].low <= found[0].high
    assert importances(rows[:19], values[:19], is_maximized=True) is None


@pytest.mark.parametrize(
    ("values", "places", "texts"),
    [
        ([1, 2, 4], [0, 1 / 3, 1], ["1", "2", "4"]),
        ([1, 10, 100], [0, 0.5, 1], ["1", "10", "100"]),  # a wide range is logarithmic
        (["b", "a", None], [1, 0, math.nan], ["a", "b"]),
        ([True, False], [1, 0], ["False", "True"]),
    ],
)
def test_axes_have_numbers_in_order_and_names_beside_each_other(values, places, texts):
    found = axis("x", values)
    assert found.places == pytest.approx(places, nan_ok=True)
    assert [text for _, text in found.ticks] == texts


def test_places_of_lists_are_parameters():
    assert flat('{"family":"cnn","depths":[2,3]}', {"lr": 0.1}) == {
        "family": "cnn",
        "depths_0": 2,
        "depths_1": 3,
        "lr": 0.1,
    }


@pytest.mark.parametrize(
    ("n_selected", "control", "says"),
    [
        (2, [0.5] * 30, "takes 9 or more trainings (95 % sure), so at least 7 trainings were saved"),
        (20, [0.5] * 5, "takes 2 or more trainings (95 % sure), which is not enough to tell"),
        (
            20,
            [0.1] * 15 + [0.5] * 15,
            "takes 2 trainings on average (95 % interval 1 to 3), so selection saved none here",
        ),
    ],
)
def test_savings_against_random_are_told_only_if_the_interval_says_so(n_selected, control, says):
    selected = [trained(i, 0.2) for i in range(n_selected)]
    random = [trained(100 + i, v, chosen_by=CONTROL) for i, v in enumerate(control)]
    [line] = savings_lines([], [*selected, *random], LOSS)
    assert says in line


def test_times_have_units_that_suit_them():
    assert [duration(s) for s in (5.0, 600.0, 7_200.0, 400_000.0)] == ["5 s", "10 min", "2 h", "4.6 days"]


def test_the_page_is_the_same_whatever_was_drawn_before_and_nothing_escapes():
    study = made_up_study(30, 40)
    arguments: dict[str, Any] = {"protocol": study.protocol, "candidates": study.candidates, "trained": study.trials}
    first = render_report(name="a", **arguments)
    assert packed_plots({}) != ""
    assert render_report(name="a", **arguments) == first
    assert 'id="live-costs"' in first
    assert 'class="explore"' not in render_report(name="a", protocol={}, candidates=study.candidates, trained=[])

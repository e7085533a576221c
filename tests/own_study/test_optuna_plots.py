"""Optuna's own visualisation of a study of nas_sens, by both of its backends."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import optuna
import pytest

import nas_sens as ns
from tests.tiny_study import tiny, url

matplotlib.use("agg")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> optuna.Study:
    storage = url(tmp_path_factory.mktemp("plots"))
    searched = tiny(select=ns.SelectSpec(rule="pareto", top_k=4, control=2), train=ns.TrainSpec(epochs=2, seeds=1))
    assert len(ns.search(searched, storage=storage, device="cpu").trials) == 6
    return optuna.load_study(study_name="tiny", storage=storage)


# (function, what else it is given)
PLOTS: list[tuple[str, dict[str, Any]]] = [
    ("plot_optimization_history", {}),
    ("plot_slice", {"params": ["depth", "width"]}),
    ("plot_contour", {"params": ["depth", "width"]}),
    ("plot_parallel_coordinate", {"params": ["depth", "width"]}),
    ("plot_rank", {"params": ["depth", "width"]}),
    ("plot_param_importances", {"evaluator": optuna.importance.PedAnovaImportanceEvaluator()}),
    ("plot_edf", {}),
    ("plot_intermediate_values", {}),
    ("plot_timeline", {}),
    ("plot_pareto_front", {"targets": lambda t: (t.value, t.user_attrs["params"]), "target_names": ["loss", "size"]}),
]


@pytest.mark.parametrize("backend", ["matplotlib", "plotly"])
@pytest.mark.parametrize(("name", "more"), PLOTS, ids=[name for name, _ in PLOTS])
@pytest.mark.filterwarnings("default::optuna.exceptions.ExperimentalWarning")
def test_a_plot_of_optuna_shows_our_study(
    study: optuna.Study, name: str, more: dict[str, Any], backend: str, tmp_path: Path
) -> None:
    module = importlib.import_module("optuna.visualization" + (".matplotlib" if backend == "matplotlib" else ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = getattr(module, name)(study, **more)
    if backend == "plotly":
        assert drawn.data
        page = drawn.to_html(include_plotlyjs=False)  # as a notebook shows it
        assert len(page) > 1_000
        return
    axes = drawn.ravel()[0] if hasattr(drawn, "ravel") else drawn
    all_axes = axes.figure.axes
    shown = sum(len(a.lines) + len(a.collections) + len(a.patches) for a in all_axes)
    assert shown > 0
    axes.figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1_000
    matplotlib.pyplot.close(axes.figure)


def test_the_values_that_they_plot_are_those_of_the_trainings(study: optuna.Study) -> None:
    from optuna.visualization.matplotlib import plot_intermediate_values, plot_optimization_history

    trained = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    assert len(trained) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history, curves = plot_optimization_history(study), plot_intermediate_values(study)
    plotted = {round(float(y), 9) for c in history.collections for _, y in c.get_offsets()}
    assert plotted == {round(t.value, 9) for t in trained if t.value is not None}
    assert sum(len(line.get_xdata()) == 2 for line in curves.lines) == 6  # a curve of two epochs each
    matplotlib.pyplot.close("all")


def test_plotly_plots_the_same_values(study: optuna.Study) -> None:
    from optuna.visualization import plot_optimization_history, plot_parallel_coordinate, plot_param_importances

    trained = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    values = sorted(t.value for t in trained if t.value is not None)
    points, best, *_ = plot_optimization_history(study).data
    assert sorted(points.y) == pytest.approx(values)
    assert min(best.y) == pytest.approx(values[0])
    drawn = plot_parallel_coordinate(study, params=["depth", "width"]).data
    lines = [d for d in drawn if d.type == "scatter" and d.y[0] is not None]  # as Optuna 5 draws them
    assert len(lines or drawn[0].dimensions[0]["values"]) == 6
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bars = plot_param_importances(study, evaluator=evaluator).data[0]
    assert {"depth", "width"} <= {*bars.y}

"""Macros of pages: numbers and tables out of ``benchmarks/results``, so that text and measurement cannot part.

    {{ measured("large_search", "steps", "report large", "now", "seconds") | sig(2) }}   {{ cost_table() }}

A key that is not in the file fails the build. `README.md` has no macros; a test renders its sentences by these.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import spearmanr

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
TABLES = {  # table of trained networks to what it is of; the order is that of the page
    "quickstart": "the quickstart's space",
    "cifar_fc_cnn": "CIFAR-10, fully-connected and convolutional",
    "cifar_flops_band": "CIFAR-10, convolutional of equal FLOPs",
    "mnist_few_fc_sn": "300 MNIST images, fully-connected, standard normal",
    "digits_noisy": "digits, 30 % wrong labels",
    "digits_deep_sn": "digits, deep fully-connected, standard normal",
    "fashion_cnn_sn": "Fashion-MNIST, convolutional, standard normal",
    "fashion_resnet": "Fashion-MNIST, residual",
    "diabetes_regularised": "diabetes table, training searched too",
    "series_conv1d": "made-up series, 1-D convolutions",
}
PUBLISHED = {
    "nasbench201": "NAS-Bench-201 (1,000 cells)",
    "macro": "NAS-Bench-Macro (3,000)",
    "transnas_class_scene": "TransNAS-Bench-101 micro, scene (all)",
    "transnas_segmentsemantic": "its segmentation",
    "transnas_autoencoder": "its autoencoding",
}
NETWORKS = ("FC 4×300", "FC 6×100", "CNN 4 conv + 300", "ResNet-18")
RULES = ("calibrated", "random", "tpe", "evolution", "+log10_params", "+log10_sensitivity")


@cache
def _result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


@cache
def rows_of(name: str) -> pd.DataFrame:
    """Return the rows of a CSV file of results."""
    return pd.read_csv(RESULTS / f"{name}.csv")


def measured(name: str, *keys: str | int) -> Any:
    """Return what stands under these keys in a JSON file of results."""
    value = _result(name)
    for key in keys:
        value = value[key]
    return value


def sig(value: float, digits: int = 2) -> str:
    """Return a number with so many significant digits, all of those before the point, and a true minus sign."""
    number = float(f"{value:.{digits}g}")
    places = max(0, digits - 1 - int(f"{number:e}".partition("e")[2]))
    whole = f"{round(value):,}" if abs(number) >= 10 ** (digits - 1) else f"{number:.{places}f}"
    return whole.replace("-", "−")


def fixed(value: float, places: int = 2) -> str:
    """Return a number with so many places, and a true minus sign."""
    return f"{value:,.{places}f}".replace("-", "−")


def at(value: float, digits: int = 2) -> str:
    """Return a large number as 1.09e8."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def cost_table() -> str:
    """Return milliseconds per candidate on two cores."""
    found, batch = measured("scoring_cost", "milliseconds_per_candidate"), "closed_form_in_a_batch_ms_per_candidate"
    together = measured("scoring_cost", batch)
    lines = {
        "S, closed form, alone": "S, closed form, alone",
        "two bare forward passes": "two forward passes",
        "S, Monte Carlo, network given": "S, Monte Carlo, network given",
        "S, Monte Carlo, one network drawn": "S, Monte Carlo, one network drawn",
        "S, Monte Carlo, 5 % standard error, at most 64 networks": "S, Monte Carlo, 5 % standard error, at most 64",
        "softmax Jacobian by 10 backward passes": "softmax Jacobian, 10 backward passes",
        "NASWOT": "NASWOT",
        "SynFlow": "SynFlow",
        "gradient norm": "grad-norm",
        "SNIP": "SNIP",
    }
    first = ["S, closed form, in a batch", *(sig(together[n]) if n in together else "no rule" for n in NETWORKS)]
    rows = [
        [text, *(sig(found[n][key]) if key in found[n] else "no rule" for n in NETWORKS)] for text, key in lines.items()
    ]
    return _table(["", *NETWORKS], [first, *rows])


def gpu_table() -> str:
    """Return milliseconds a network on an H100."""
    found = measured("gpu", "scoring", "by_network")
    keys = {
        "S, network given": "S, network given",
        "S, network drawn": "S, network drawn",
        "S, 16 networks stacked, each": "S, 16 networks, stacked",
        "softmax Jacobian, network given": "J, network given",
    }
    rows = [
        [text, *(sig(found[n]["milliseconds_per_network"][key]["median"]) for n in NETWORKS)]
        for text, key in keys.items()
    ]
    return _table(["", *NETWORKS], rows)


def spearman_table() -> str:
    """Return Spearman's correlation of the validation error with what is known before training, a row a table."""
    columns = {
        "params": "log10_params",
        "FLOPs": "log10_flops",
        "S": "log10_sensitivity",
        "NASWOT": "naswot",
        "Jacobian covariance": "jacob_cov",
    }
    rows = []
    for name, text in TABLES.items():
        table = rows_of(f"trained_{name}")
        low, high = table.val_error.quantile([0.1, 0.9])
        found = [spearmanr(table[c], table.val_error, nan_policy="omit").statistic for c in columns.values()]
        rows.append([text, f"{fixed(low)} to {fixed(high)}", *(fixed(v) for v in found)])
    return _table(["", "10 % to 90 % of errors", *columns], rows)


def quality_table() -> str:
    """Return the percent of candidates that are better than the best one found, after 10, 20 and 40 trainings."""
    curves = rows_of("search_quality").set_index(["table", "rule", "budget"]).percentile

    def found(table: str, rule: str) -> list[float]:
        return [curves[table, rule, budget] for budget in (10, 20, 40)]

    rows = []
    for name, text in {**TABLES, **PUBLISHED}.items():
        signed = [r for r in curves[name].index.get_level_values(0).unique() if r[0] in "+-"]
        best = [min(values) for values in zip(*(found(name, r) for r in signed), strict=True)]
        rows.append(
            [text, *(" / ".join(fixed(v, 1) for v in values) for values in [*(found(name, r) for r in RULES), best])]
        )
    head = [
        "calibrated",
        "random",
        "TPE",
        "evolution",
        "most parameters",
        "largest S",
        "best single measure in hindsight",
    ]
    return _table(["", *head], rows)


def ahead(rule: str, budget: int) -> str:
    """Return against a rule on how many tables ``calibrated`` is ahead, equal, or behind, by the interval."""
    return str(measured("search_quality", "summary", str(budget), "ours", rule))


def table1() -> str:
    """Return Table I of the paper beside ours, of narrow networks on the CPU and of the paper's widths on a GPU."""
    rows = []
    for name, small in measured("table1", "table").items():
        large = measured("table1_cuda", "table", name)
        rows.append(
            [
                name,
                _with_interval(small["pearson"]),
                _with_interval(large["pearson"]),
                fixed(small["pearson_published"], 3),
                _with_interval(small["spearman_given_family_and_size"]),
                _with_interval(large["spearman_given_family_and_size"]),
                f"{fixed(small['seconds_mean'], 3)} / {fixed(small['seconds_published'], 3)}",
            ]
        )
    head = ["measure", "ρ, 1,000 small images", "ρ, 38,000 images", "ρ, paper"]
    head += ["given family and size, 1,000", "the same, 38,000"]
    return _table([*head, "seconds: ours / paper"], sorted(rows, reverse=True))


def _with_interval(interval: list[float]) -> str:
    value, low, high = interval
    return f"{fixed(value)} ({fixed(low)} to {fixed(high)})"


def published_points() -> str:
    """Return networks of the paper beside ours."""
    rows = [
        [
            str(p["width"]),
            f"{at(p['sensitivity_after'])} / {at(p['sensitivity_after_published'])}",
            f"{p['test_loss']:,.0f} / {p['test_loss_published']:,.0f}",
        ]
        for p in measured("published_points", "rows")
    ]
    return _table(["width", "S after training: ours / paper", "test loss: ours / paper"], rows)


def error_of(name: str) -> str:
    """Return the test error of a network of the finals with its standard error."""
    found = measured("cifar10_finals_cuda", "networks", name)
    return f"{100 * found['test_error_mean']:.1f} ± {100 * found['standard_error']:.1f} %"


def finals() -> str:
    """Return what the best network of the hour and ResNet-20 came to by the same training."""
    rows = []
    for name, found in measured("cifar10_finals_cuda", "networks").items():
        better = [100 * value for value in found.get("better_than_resnet20", ())]
        difference = f"{better[0]:.1f} ({better[1]:.1f} to {better[2]:.1f}) points" if better else ""
        rows.append([name, error_of(name), difference])
    return _table(["network", "test error, mean ± standard error", "better than ResNet-20 (95 %)"], rows)


def study_minutes(result: str = "study_times") -> str:
    """Return in how many minutes all bundled studies run, or those of data that were given."""
    return f"{measured(result, 'minutes'):.0f}"


def side_by_side_table() -> str:
    """Return how many of the epochs of TPE with MedianPruner methods need for the same, on Optuna studies."""
    rows = []
    for budget in (5, 10, 20):
        for key, name in (("sampler", "`SensitivitySampler`"), ("pruner", "`SensitivityPruner`")):
            cells = []
            for task in ("fashion", "series", "table"):
                found = measured("optuna_side_by_side", "tasks", task, f"budget_{budget}_trainings", key)
                share, (low, high) = found["epochs_for_the_same"], found["interval"]
                cells.append(f"{_or_none(share) or '–'} ({_or_none(low)}–{_or_none(high)})" if low or share else "–")
            rows.append([f"{budget} full trainings" if key == "sampler" else "", name, *cells])
    return _table(["budget of TPE + MedianPruner", "method", "Fashion-MNIST", "series", "digits"], rows)


def _or_none(share: float | None) -> str:
    return "" if share is None else fixed(share)


def many_workers(database: str, workers: int, key: str) -> Any:
    """Return a number of so many workers on a database."""
    rows = measured("many_workers", "rows")
    return next(row[key] for row in rows if (row["database"], row["workers"]) == (database, workers))


def trained_share(database: str, workers: int) -> str:
    """Return in how many per cent of their time so many workers trained."""
    return sig(100 * many_workers(database, workers, "share_of_time_trained"))


def streamed_epochs(beside: str) -> str:
    """Return how many times another way's processor time an epoch of streamed pictures takes, for three networks."""
    ratios = [network[beside]["streamed"] for network in measured("pictures", "training", "networks").values()]
    *first, last = map(fixed, sorted(ratios))
    return f"{', '.join(first)} and {last}"


def light_questions() -> list[tuple[str, str]]:
    """Return the questions of a report, and what decides each."""
    from nas_sens.report.lights import AGREE, BETTER, BEYOND

    return [
        (BETTER, "selected networks against the control group, which is drawn at random"),
        (BEYOND, "S before training against the ranking, parameters and FLOPs held fixed"),
        (AGREE, "how much seeds make of a difference, compared with networks"),
    ]


def light_words() -> list[tuple[str, str, str]]:
    """Return what a light of each colour says, and when it has that colour."""
    from nas_sens.report.lights import WORDS

    means = {
        "green": "the interval lies on the good side of its mark",
        "amber": "it does not, and so many networks would have shown a large effect four times out of five",
        "red": "the interval lies on the other side",
        "grey": "it does not, and so few networks would not have shown it: more would tell",
    }
    return [(colour, WORDS[colour], text) for colour, text in means.items()]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


MACROS: tuple[Callable[..., Any], ...] = (
    measured,
    cost_table,
    gpu_table,
    spearman_table,
    quality_table,
    ahead,
    table1,
    error_of,
    finals,
    published_points,
    study_minutes,
    side_by_side_table,
    many_workers,
    trained_share,
    streamed_epochs,
    light_questions,
    light_words,
)
FILTERS = (sig, fixed, at)


def define_env(env: Any) -> None:
    """Give the macros to the plugin that reads pages."""
    for function in MACROS:
        env.macro(function)
    for function in FILTERS:
        env.filter(function)

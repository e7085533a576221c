"""Tables of trained networks, on which rules of selection are replayed: ten studies whose rule is chance.

    python benchmarks/trained_tables.py --cifar npz:cifar10.npz --fashion npz:fashion_mnist.npz --mnist npz:mnist.npz

`table_studies.py` declares them. One row of the CSV files beside the result is one network: digest, family and
architecture, its features before training, and its outcomes. ``val_error_quarter_after`` and ``val_loss_quarter_after``
are those of a quarter of the epochs. With ``--studies`` a run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import table_studies
import torch
from scipy.stats import spearmanr

import nas_sens as ns
from nas_sens.cli.display import TerminalProgress
from nas_sens.core.candidates import TrainedCandidate, family_of
from nas_sens.selection.features import selection_features

FINAL = ("val_loss", "val_error", "test_loss", "test_error", "val_error_sd", "test_error_sd")
OUTCOMES = (*FINAL, "val_loss_quarter_after", "val_error_quarter_after", "n_seeds")
COMPARED = ("log10_params", "log10_flops", "log10_sensitivity", "log10_relative_sensitivity", *table_studies.METRICS)


def studies(arguments: argparse.Namespace) -> dict[str, Callable[[], ns.StudySpec]]:
    """Return what makes each study, by the table's name; what is needed first comes first."""
    with_data = functools.partial
    return {
        "quickstart": table_studies.quickstart,
        "cifar_fc_cnn": with_data(table_studies.cifar_fc_cnn, arguments.cifar),
        "diabetes_regularised": table_studies.diabetes_regularised,
        "mnist_few_fc_sn": with_data(table_studies.mnist_few_fc_sn, arguments.mnist),
        "series_conv1d": table_studies.series_conv1d,
        "digits_noisy": table_studies.digits_noisy,
        "digits_deep_sn": table_studies.digits_deep_sn,
        "cifar_flops_band": with_data(table_studies.cifar_flops_band, arguments.cifar),
        "fashion_cnn_sn": with_data(table_studies.fashion_cnn_sn, arguments.fashion),
        "fashion_resnet": with_data(table_studies.fashion_resnet, arguments.fashion),
    }


def at_chance(spec: ns.StudySpec, arguments: argparse.Namespace) -> ns.StudySpec:
    """Return the study with random candidates, all of which are trained."""
    train = spec.train if arguments.epochs is None else dataclasses.replace(spec.train, epochs=arguments.epochs)
    return dataclasses.replace(
        spec,
        search=ns.SearchSpec(n_candidates=arguments.n, sampler="random", seed=arguments.seed),
        select=ns.SelectSpec(rule="random", top_k=arguments.n, control=0),
        train=train,
    )


def outcomes_of(t: TrainedCandidate, quarter: int) -> list[float | str]:
    """Return the outcomes of a training, infinite if it failed; no standard deviation where there was one seed."""
    early: dict[str, float | None] = {}
    if t.curve:
        errors = dict(zip(t.curve_epochs, t.curves.get("val_error", ()), strict=False))
        early = {"val_loss_quarter_after": t.curve[quarter - 1], "val_error_quarter_after": errors.get(quarter)}
    found = {key: early.get(key) if key.endswith("_after") else getattr(t, key) for key in OUTCOMES}
    return [("" if key.endswith("_sd") else math.inf) if v is None else v for key, v in found.items()]


def write_table(path: Path, result: ns.SearchResult, quarter: int) -> dict[str, Any]:
    """Write features and outcomes of all trained networks; return what the table is like."""
    features = {c.digest: selection_features(c).features for c in result.candidates if c.is_ok}
    names = sorted({key for values in features.values() for key in values})
    trials = sorted(result.trials, key=lambda t: t.digest)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["digest", "family", "architecture", *names, *OUTCOMES])
        for t in trials:
            numbers = [features[t.digest].get(key, "") for key in names] + outcomes_of(t, quarter)
            cells = [v if v == "" else f"{v:.5g}" for v in numbers]
            writer.writerow([t.digest, family_of(t.architecture), t.architecture, *cells])
    print(f"written to {path}")
    trained = [t for t in trials if t.val_error is not None]
    errors = sorted(t.val_error for t in trained)
    rank = {}
    for name in COMPARED:
        pairs = [(v, t.val_error) for t in trained if (v := features[t.digest].get(name)) is not None]
        if len({v for v, _ in pairs}) > 2:
            rank[name] = round(float(spearmanr(*zip(*pairs, strict=True)).statistic), 3)
    return {
        "trained": len(trials),
        "failed": len(trials) - len(trained),
        "seconds_per_network": round(sum(t.seconds or 0.0 for t in trials) / len(trials), 2),
        "quarter_epoch": quarter,
        "val_error": {f"{q}%": round(errors[(len(errors) - 1) * q // 100], 4) for q in (0, 10, 50, 90, 100)},
        "spearman_with_val_error": rank,
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Write the tables beside the result; return what each is like, or None with ``--only``."""
    chosen = {name: make for name, make in studies(arguments).items() if name in (arguments.only or name)}
    specs = {name: at_chance(make(), arguments) for name, make in chosen.items()}
    for spec in specs.values():  # before an hour is spent on the others
        ns.load_data(spec.data)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in specs.items():
            storage = f"sqlite:///{(arguments.studies or Path(folder)).absolute()}/{name}.db"
            result = ns.search(spec, storage=storage, device=arguments.device, progress=TerminalProgress())
            path = arguments.output.with_name(f"trained_{name}.csv")
            tables[name] = write_table(path, result, max(1, round(spec.train.epochs / 4)))
            print(name, tables[name], flush=True)
    return None if arguments.only else {"tables": tables}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    for name in ("cifar", "fashion", "mnist"):
        data = {"cifar": "cifar10", "fashion": "fashion_mnist"}.get(name, name)
        parser.add_argument(f"--{name}", default=data, help="data set in place of torchvision's")
    parser.add_argument("--n", type=int, default=160, help="networks a table")
    parser.add_argument("--epochs", type=int, help="in place of each study's own")
    parser.add_argument("--only", nargs="+", help="names of tables, which are written without the result")
    parser.add_argument("--device", type=torch.device, default=harness.CPU, help="where networks are trained")
    parser.add_argument("--studies", type=Path, help="folder of databases that are kept")
    small = {"cifar": "mnist5k", "fashion": "mnist5k", "mnist": "mnist5k", "n": 3, "epochs": 1}
    harness.run(parser, measure, quick=small)

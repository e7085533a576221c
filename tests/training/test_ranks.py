"""One training by several processes: real ones, by gloo on the CPU, against the same training by one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas_sens.training.ranks import Ranks, share_rows
from tests.training.ranks_process import OWN, SAME, digits, trained

ROOT = Path(__file__).parents[2]
SIZE = 3
RTOL, ATOL = 2e-4, 2e-6


@pytest.fixture(scope="module")
def by_three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.ranks_process", str(SIZE), str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "outcomes.pt")


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.mark.parametrize("name", SAME)
def test_several_processes_come_to_what_one_does(by_three, data, name):
    found, expected = by_three[name], trained(name, SAME[name], data)
    assert found["status"] == expected["status"] == "ok"
    for key in ("curve", "train_loss", "val_loss", "test_loss", "train_error", "val_error", "temperature", "measures"):
        assert found[key] == pytest.approx(expected[key], rel=RTOL), key
    assert list(found["curves"]) == list(expected["curves"])
    for key, curve in expected["curves"].items():
        assert found["curves"][key] == pytest.approx(curve, rel=RTOL), key
    assert list(found["state"]) == list(expected["state"])
    for key, weights in expected["state"].items():
        torch.testing.assert_close(found["state"][key], weights, rtol=RTOL, atol=ATOL, msg=key)


@pytest.mark.parametrize("name", OWN)
def test_what_differs_by_their_number_is_the_same_again(by_three, data, name):
    first, again, alone = by_three[name], by_three[f"{name} again"], trained(name, OWN[name], data)
    assert first["curve"] == again["curve"]
    assert all(torch.equal(first["state"][key], again["state"][key]) for key in first["state"])
    assert first["state"].keys() == alone["state"].keys()
    assert any(not torch.allclose(first["state"][k], v, rtol=RTOL, atol=ATOL) for k, v in alone["state"].items())
    assert first["curve"] == pytest.approx(alone["curve"], rel=0.3)  # it learns as well


@pytest.mark.parametrize("name", ["dropout", "moved and mixed"])
def test_a_training_goes_on_from_its_checkpoint_to_the_same_end(by_three, name):
    whole, gone_on = by_three[name], by_three[f"{name} gone on"]
    assert gone_on["curve"] == pytest.approx(whole["curve"], rel=1e-6)
    for key, weights in whole["state"].items():  # DDP adds up in another order after its first step
        torch.testing.assert_close(gone_on["state"][key], weights, rtol=1e-5, atol=1e-7, msg=key)


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4), n=st.integers(1, 9), is_mixed=st.booleans())
def test_processes_share_every_batch_and_none_trains_on_one_sample_alone(sizes, n, is_mixed):
    rows = torch.arange(sum(sizes))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    counted = [[] for _ in sizes]
    for rank in range(n):
        ranks = Ranks(rank, n)
        shares = [ranks.share(size, is_mixed=is_mixed) for size in sizes]
        mine = share_rows(shares, rows).split([share.size for share in shares])
        for i, (share, part) in enumerate(zip(shares, mine, strict=True)):
            assert len(part) >= min(2, sizes[i])
            own = [] if share.is_idle else part[share.n_before :].tolist()
            assert len(own) == share.n_counted
            if share.n_before:  # mixed with the one before it, as all are at once
                assert part[0] == starts[i] + (own[0] - starts[i] - 1) % sizes[i]
            counted[i] += own
    for size, start, found in zip(sizes, starts, counted, strict=True):
        assert found == list(range(start, start + size))
    for size in sizes:
        weights = [Ranks(rank, n).weight(Ranks(rank, n).share(size, is_mixed=is_mixed)) for rank in range(n)]
        assert sum(weights) == pytest.approx(n)

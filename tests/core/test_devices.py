"""Names of devices, their types, and the fake device that other tests compute on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nas_sens.core import device
from nas_sens.core.device import in_double, model_where_doubles_are, n_devices, resolve_device, where_doubles_are
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import make_generator
from nas_sens.core.random_state import global_stream, set_stream_state, stream_state
from tests.fake_device import DEVICE, fake_device

CPU = torch.device("cpu")


def pretend(monkeypatch, **counts):
    """Let this machine have so many devices of each type, and no others."""
    for kind in ("cuda", "xpu", "mps"):
        n = counts.get(kind, 0)
        found = SimpleNamespace(device_count=lambda n=n: n, is_available=lambda n=n: bool(n))
        monkeypatch.setattr(torch, kind, found)
    chosen = torch.device(next(iter(counts), "cpu"))
    accelerator = SimpleNamespace(is_available=lambda: bool(counts), current_accelerator=lambda: chosen)
    monkeypatch.setattr(torch, "accelerator", accelerator, raising=False)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({}, "cpu"), ({"cuda": 2}, "cuda"), ({"mps": 1}, "mps"), ({"xpu": 3}, "xpu"), ({"xpu": 1, "cuda": 1}, "xpu")],
    ids=str,
)
def test_auto_takes_the_accelerator_there_is(monkeypatch, counts, expected):
    pretend(monkeypatch, **counts)
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_auto_needs_no_torch_accelerator(monkeypatch, kind):
    """It came with PyTorch 2.6."""
    pretend(monkeypatch, **{kind: 1})
    monkeypatch.delattr(torch, "accelerator")
    assert resolve_device("auto").type == kind


def test_devices_that_are_there_have_a_name(monkeypatch):
    pretend(monkeypatch, cuda=2, mps=1)
    for name in ("cpu", "cuda", "cuda:1", "mps", "mps:0"):
        assert resolve_device(name) == torch.device(name)
    assert resolve_device(torch.device("xpu")) == torch.device("xpu")  # whoever made it knows


@pytest.mark.parametrize("name", ["xpu", "cuda:2", "mps:1", "hpu", "meta", "abacus", "", "cuda:-1", "cuda:x"])
def test_devices_that_are_not_there_are_refused_in_one_line(monkeypatch, name):
    pretend(monkeypatch, cuda=2, mps=1)
    with pytest.raises(InvalidInputError) as caught:
        resolve_device(name)
    text = str(caught.value)
    assert "\n" not in text
    for part in ("must be auto, cpu or an accelerator", "cuda:0 to cuda:1, mps", repr(name), "--device cpu or auto"):
        assert part in text


def test_without_any_the_refusal_says_so(monkeypatch):
    pretend(monkeypatch)
    with pytest.raises(InvalidInputError, match=r"here it finds none; given 'cuda'"):
        resolve_device("cuda")


def test_a_module_of_pytorch_that_is_no_device_is_none():
    assert [n_devices(name) for name in ("nn", "meta", "no such")] == [0, 0, 0]


def test_doubles_are_on_the_device_or_on_the_cpu():
    with fake_device():
        x = torch.ones(3, device=DEVICE)
        assert (in_double(x).device.type, in_double(x).dtype) == (DEVICE.type, torch.float64)
        assert where_doubles_are(x.device) == x.device
    with fake_device(has_float64=False):
        x, model = torch.ones(3, device=DEVICE), nn.Linear(2, 1, device=DEVICE)
        with pytest.raises(TypeError, match="no float64"):
            x.double()
        assert (in_double(x).device, in_double(x).dtype) == (CPU, torch.float64)
        copied = model_where_doubles_are(model, DEVICE)
        assert (where_doubles_are(DEVICE), copied.weight.device) == (CPU, CPU)
        assert model.weight.device.type == DEVICE.type
    assert not device.has_float64(torch.device("mps"))
    model = nn.Linear(2, 1)
    assert model_where_doubles_are(model, CPU) is model


@pytest.mark.parametrize("kind", ["xpu", "mps"])
def test_the_global_stream_of_any_accelerator_is_seeded_and_put_back(monkeypatch, kind):
    streams = {"state": "before"}
    which = () if kind == "mps" else (torch.device(kind),)

    def get(*arguments):
        assert arguments == which
        return streams["state"]

    def put(state, *arguments):
        assert arguments == which
        streams["state"] = state

    module = SimpleNamespace(
        get_rng_state=get, set_rng_state=put, manual_seed=lambda seed: streams.update(state=f"seed {seed}")
    )
    monkeypatch.setattr(torch, kind, module)
    with global_stream(5, torch.device(kind)):
        assert streams["state"] == "seed 5"
    assert streams["state"] == "before"
    set_stream_state(torch.device(kind), [torch.get_rng_state(), "another"])
    assert stream_state(torch.device(kind))[1] == "another"


# --- the fake device: a test on it that cannot fail would prove nothing


def test_the_fake_device_refuses_a_tensor_left_on_the_cpu():
    with fake_device():
        weights, x = torch.ones((3, 3), device=DEVICE), torch.ones((2, 3))
        with pytest.raises(RuntimeError, match="same device"):
            x @ weights
        with pytest.raises(RuntimeError, match="same device"):
            nn.Linear(3, 1, device=DEVICE)(x)


@pytest.mark.parametrize(
    "read",
    [float, bool, torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu, lambda t: t.to("cpu", torch.float64)],
)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_the_fake_device_counts_reads_and_what_comes_after_them(read, mode):
    with fake_device(2.0) as watch, mode():
        total = torch.ones(3, device=DEVICE).sum()
        assert (watch.reads, watch.late) == ([], [])
        read(total)
        assert (len(watch.reads), watch.late) == (1, [])
        total[None]  # a view is no work
        assert watch.late == []
        total + 1
        assert len(watch.late) == 1


def test_the_fake_device_counts_no_reads_of_the_cpu():
    with fake_device(2.0) as watch:
        assert float(torch.ones(3).sum()) == 2.0
        assert torch.ones(2, 2).tolist() == [[2.0, 2.0]] * 2
        assert watch.reads == []


def test_the_fake_device_refuses_what_depends_on_values():
    with fake_device():
        x = torch.ones(3, device=DEVICE)
        for ask in (lambda: x[x > 0], lambda: x.unique(), lambda: x.nonzero(), lambda: x.cpu().numpy()):
            with pytest.raises((RuntimeError, NotImplementedError)):
                ask()


def test_the_fake_device_refuses_draws_from_the_stream_of_another():
    with fake_device():
        here, there = make_generator("a", device=DEVICE), make_generator("a")
        assert torch.randn(3, generator=here, device=DEVICE).device.type == DEVICE.type
        for stream, where in ((there, DEVICE), (here, CPU)):
            with pytest.raises(AssertionError, match="a stream of"):
                torch.randn(3, generator=stream, device=where)
            with pytest.raises(AssertionError, match="a stream of"):
                torch.empty(3, device=where).normal_(generator=stream)


def test_nothing_is_fake_afterwards():
    with fake_device():
        pass
    assert float(torch.rand(3, generator=torch.Generator().manual_seed(0)).sum()) > 0

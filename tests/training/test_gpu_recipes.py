"""What vision people expect of training, on CUDA: against the same on the CPU, or against a twin on the same device.

Nearly all tests also run on the CPU alone, so that they do not rot where there is no GPU. Streams of random numbers
differ by device: where the two are compared, trainings start from the same weights, and take all samples at once.
"""

from __future__ import annotations

import copy
import math
import shutil
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional

import nas_sens as ns
from nas_sens.core.device import mixed_type
from nas_sens.core.identity import make_generator
from nas_sens.core.random_state import global_stream
from nas_sens.data.pictures import Pictures
from nas_sens.models.predict import Predictor
from nas_sens.scoring.footprint import footprint
from nas_sens.scoring.latency import measure_latency
from nas_sens.study.constraints import LatencySpec
from nas_sens.training.checkpoint import Checkpoint
from nas_sens.training.evaluation import evaluate
from nas_sens.training.gradient_steps import GradientSteps
from nas_sens.training.mixing import make_mixing
from nas_sens.training.optimizers import make_optimizer
from nas_sens.training.ranks import ranks_of
from nas_sens.training.training_run import TrainingRun
from tests.picture_folder import make_folder
from tests.training.ranks_process import Interrupted, Kept

FC = ns.FCSpec(depth=2, width=12, init="he_normal")
CNN = ns.CNNSpec(depth=2, channels=8, kernel=3, padding=1, init="he_normal", batch_norm=True)
VIT = ns.ViTSpec(depth=2, embed_dim=16, heads=2, patch=4)
FROZEN = ns.TimmSpec(model="test_resnet", freeze=2)
PLAIN = {"epochs": 3, "optimizer": "sgd", "learning_rate": 0.1, "batch_size": "full"}
# Of a weight's change in training. Float32 has 7 digits; a convolution by another algorithm and some steps of batch
# normalisation leave 4 to 5 of them; TF32, with 3, and a wrong formula do not pass.
CLOSE = 2e-3


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """The device, where float32 has all its digits."""
    with full_float32():
        yield torch.device(request.param)


@contextmanager
def full_float32():
    places = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = False
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


@pytest.fixture(scope="module")
def small(digits):
    return replace(digits, x_train=digits.x_train[:50], y_train=digits.y_train[:50])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = make_folder(tmp_path_factory.mktemp("pictures"))
    return lambda load: ns.load_data(ns.DataSpec(name=f"folder:{root}", image_size=16, load=load, workers=1))


def weights_for(architecture, splits):
    """Weights to start from, drawn on the CPU."""
    model = architecture.build(splits.input_shape, splits.n_outputs, generator=torch.Generator().manual_seed(1))
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def run_of(data, device, architecture=FC, **options):
    spec = ns.TrainSpec(**{**PLAIN, **options})
    run = TrainingRun(architecture, data.to(device), spec, seed=3, start=weights_for(architecture, data))
    assert {p.device.type for p in run.model.parameters()} == {device.type}
    return run


def epochs(*runs, n=1, seed=0):
    """Train each for some epochs, with the same draws."""
    for run in runs:
        with global_stream(seed, run._device):
            for _ in range(n):
                run.train_epoch()


def distance(found, expected, start):
    """How far two trainings ended from each other, as a share of what the second one changed."""
    names = [name for name, tensor in expected.items() if tensor.is_floating_point()]
    apart = math.sqrt(sum(float((found[n].cpu() - expected[n].cpu()).double().square().sum()) for n in names))
    moved = math.sqrt(sum(float((start[n].cpu() - expected[n].cpu()).double().square().sum()) for n in names))
    assert moved > 1e-3
    return apart / moved


OPTIONS = {
    "plain": (CNN, {}),
    "residual": (ns.ResNetSpec(stages=2, blocks=1, width=4), {"learning_rate": 0.02}),
    "transformer": (VIT, {"learning_rate": 0.02}),
    "smoothed": (FC, {"label_smoothing": 0.2, "momentum": 0.9, "nesterov": True}),
    "weighted": (FC, {"class_weights": "balanced", "weight_decay": 0.01, "max_gradient_norm": 0.5}),
    "averaged": (CNN, {"ema_decay": 0.7}),
    "by layer": (VIT, {"layer_decay": 0.5, "learning_rate": 0.05, "schedule": "cosine"}),
    "frozen": (FROZEN, {"learning_rate": 0.02}),
    "calibrated": (FC, {"temperature_scaling": True, "schedule": "step", "decay_epochs": 2, "warmup_epochs": 1}),
    "noisy": (FC, {"loss": "brier", "samples": 40}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_training_comes_to_what_it_does_on_the_cpu(pictures, small, device, name):
    architecture, options = OPTIONS[name]
    data = pictures("memory") if architecture is FROZEN else small
    start, spec = weights_for(architecture, data), ns.TrainSpec(**{**PLAIN, **options})
    found, expected = (
        ns.train(architecture, data.to(where), spec, seed=2, start=start) for where in (device, torch.device("cpu"))
    )
    assert found.status == expected.status == "ok"
    assert distance(found.state, expected.state, start) < CLOSE
    assert found.curve == pytest.approx(expected.curve, rel=CLOSE)
    assert found.curves["train_loss"] == pytest.approx(expected.curves["train_loss"], rel=CLOSE)
    assert found.temperature == pytest.approx(expected.temperature, rel=CLOSE)
    assert found.val_loss == pytest.approx(expected.val_loss, rel=CLOSE)
    assert {tensor.device.type for tensor in found.state.values()} == {"cpu"}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_the_same_with_weights_in_full(small, device, precision):
    options = {"batch_size": 25, "learning_rate": 0.05}
    run, plain = run_of(small, device, CNN, precision=precision, **options), run_of(small, device, CNN, **options)
    dtype = mixed_type(device, precision)
    *_, layer = (m for m in run.model.modules() if isinstance(m, nn.Conv2d))
    seen = []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    epochs(run, plain, n=8)
    if dtype is not None:
        assert {output.dtype for output in seen if output.requires_grad} == {dtype}
        assert all(output.is_contiguous(memory_format=torch.channels_last) for output in seen)
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    assert run._steps.scaler.is_enabled() == (dtype == torch.float16)
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    assert all(bool(tensor.isfinite().all()) for tensor in run.model.state_dict().values())
    losses = run.curves["train_loss"]
    assert losses[-1] < 0.7 * losses[0]
    if precision == "bfloat16":  # with float16, first steps are left out until gradients are scaled right
        # It has 2 to 3 digits; 16 steps of two such trainings go apart by some of them.
        assert losses == pytest.approx(plain.curves["train_loss"], rel=0.1)


def test_a_mixed_outcome_is_kept_as_any_other(small, device):
    spec = ns.TrainSpec(**{**PLAIN, "precision": "bfloat16", "ema_decay": 0.5})
    outcome = ns.train(CNN, small.to(device), spec, seed=0)
    assert outcome.status == "ok"
    assert {t.dtype for t in outcome.state.values() if t.is_floating_point()} == {torch.float32}
    assert all(tensor.is_contiguous() for tensor in outcome.state.values())
    model = CNN.build(small.input_shape, small.n_outputs, generator=torch.Generator())
    model.load_state_dict(outcome.state)
    loss, _ = evaluate(model.eval(), small.x_val, small.y_val, task="classification", loss="cross_entropy")
    assert outcome.val_loss == pytest.approx(float(loss), rel=CLOSE)  # evaluated in float32, here and there


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_accumulated_gradients_are_those_of_a_larger_batch(small, device, precision):
    options = {"optimizer": "sgd", "momentum": 0.9, "max_gradient_norm": 1.0, "precision": precision}
    parts = run_of(small, device, batch_size=8, accumulate=3, **options)
    whole = run_of(small, device, batch_size=24, **options)
    start = {name: p.detach().clone() for name, p in parts.model.state_dict().items()}
    epochs(parts, whole, n=2)
    is_mixed = mixed_type(device, precision) is not None
    assert distance(parts.model.state_dict(), whole.model.state_dict(), start) < (0.1 if is_mixed else 1e-4)
    assert parts.curves["train_loss"] == pytest.approx(whole.curves["train_loss"], rel=0.01 if is_mixed else 1e-4)


def test_the_average_of_weights_is_what_is_evaluated_and_kept(small, device):
    run, plain = run_of(small, device, ema_decay=0.7), run_of(small, device)
    average = [p.detach().clone() for p in plain.model.parameters()]
    for epoch in range(4):
        epochs(run, plain, seed=epoch)
        average = [0.7 * a + 0.3 * p.detach() for a, p in zip(average, plain.model.parameters(), strict=True)]
    for p, a, trained in zip(run.kept.parameters(), average, run.model.parameters(), strict=True):
        torch.testing.assert_close(p.detach(), a, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(p, trained, atol=1e-4)
    held_out = functional.cross_entropy(run.kept(small.x_val.to(device)), small.y_val.to(device))
    assert run.curves["val_loss"][-1] == pytest.approx(float(held_out.detach()), rel=1e-5)


def test_earlier_layers_have_a_smaller_learning_rate(small, device):
    run = run_of(small, device, layer_decay=0.5)
    before = [p.detach().clone() for p in run.model.parameters()]
    loss = functional.cross_entropy(run.model(small.x_train.to(device)), small.y_train.to(device))
    gradients = torch.autograd.grad(loss, list(run.model.parameters()))
    epochs(run)
    steps = [
        float(((b - p.detach()) / (0.1 * g))[g.abs() > 1e-3].median())
        for b, p, g in zip(before, run.model.parameters(), gradients, strict=True)
    ][::2]
    assert steps[-1] == pytest.approx(1.0, rel=0.02)
    for earlier, later in pairwise(steps):
        assert earlier == pytest.approx(later / 2, rel=0.02)


@pytest.mark.parametrize("options", [{"mixup": 0.5}, {"cutmix": 1.0}, {"mixup": 0.5, "cutmix": 1.0}], ids=str)
def test_mixed_batches_are_those_of_the_cpu_with_the_same_draws(small, device, options):
    run = run_of(small, device, CNN, label_smoothing=0.1, **options)
    stream = make_generator("order of samples", CNN.digest, 3, device=device)
    order = torch.randperm(50, generator=stream, device=device).cpu()
    twin = copy.deepcopy(run.model).cpu().train()
    with global_stream(11):
        mix = make_mixing(ns.TrainSpec(**options), 10)
        mixed, shares = mix(small.x_train[order], small.y_train[order])
    outputs = twin(mixed)
    expected = functional.cross_entropy(outputs, shares, label_smoothing=0.1)
    epochs(run, seed=11)
    assert run.curves["train_loss"][0] == pytest.approx(float(expected.detach()), rel=1e-4)
    wrong = (outputs.argmax(1) != shares.argmax(1)).float().mean()
    assert run.curves["train_error"][0] == pytest.approx(float(wrong), abs=0.021)  # one sample may stand at a tie


def test_dropped_paths_are_drawn_anew_and_repeat_with_the_seed(small, device):
    dropped, data = replace(VIT, drop_path=0.5), small.to(device)
    spec = ns.TrainSpec(**{**PLAIN, "learning_rate": 0.05})
    state = torch.cuda.get_rng_state() if device.type == "cuda" else torch.get_rng_state()
    start = weights_for(VIT, small)
    first, again, other = (ns.train(dropped, data, spec, seed=s, start=start) for s in (1, 1, 2))
    plain = ns.train(VIT, data, spec, seed=1, start=start)
    assert torch.equal(state, torch.cuda.get_rng_state() if device.type == "cuda" else torch.get_rng_state())
    assert again.curve == pytest.approx(first.curve, rel=1e-4)  # but for the order in which a GPU adds up
    assert distance(again.state, first.state, start) < CLOSE
    assert all(distance(one.state, first.state, start) > 0.05 for one in (other, plain))
    model = dropped.build(small.input_shape, 10, generator=torch.Generator())
    model.load_state_dict(first.state)
    loss = functional.cross_entropy(model.eval()(small.x_val), small.y_val)
    assert first.val_loss == pytest.approx(float(loss.detach()), rel=CLOSE)  # all paths are there


@pytest.mark.gpu
@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="Triton compiles by a C compiler")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_compiled_network_trains_as_it_does_without(small, precision):
    """In bfloat16 compiled code rounds less often."""
    cuda, start = torch.device("cuda"), weights_for(CNN, small)
    spec = ns.TrainSpec(**{**PLAIN, "batch_size": 25, "precision": precision})
    with full_float32():
        plain, fast = (
            ns.train(CNN, small.to(cuda), replace(spec, compile=c), seed=0, start=start) for c in (False, True)
        )
    assert fast.status == "ok"
    assert fast.state.keys() == plain.state.keys()
    assert fast.curve == pytest.approx(plain.curve, rel=0.05 if precision == "bfloat16" else CLOSE)
    assert precision == "bfloat16" or distance(fast.state, plain.state, start) < CLOSE


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_frozen_stages_stay_as_they_were(pictures, device, precision):
    data = pictures("memory")
    start = weights_for(FROZEN, data)
    spec = ns.TrainSpec(**{**PLAIN, "batch_size": 8, "precision": precision})
    outcome = ns.train(FROZEN, data.to(device), spec, seed=0, start=start)
    model = FROZEN.build(data.input_shape, data.n_outputs, generator=torch.Generator())
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    learnt = {name for name, p in model.named_parameters() if p.requires_grad}
    assert frozen
    assert learnt
    assert all(torch.equal(outcome.state[name], start[name]) for name in frozen)
    assert all(not torch.equal(outcome.state[name], start[name]) for name in learnt)


def test_streamed_pictures_are_those_in_memory(pictures, device):
    kept, streamed = (pictures(load).to(device) for load in ("memory", "stream"))
    source = streamed.x_train
    assert isinstance(source, Pictures)
    raw = next(iter(source.source.batches([torch.arange(8)], is_pinned=device.type == "cuda")))
    assert raw.dtype == torch.uint8
    assert raw.is_pinned() == (device.type == "cuda")
    assert source[:].device.type == device.type
    assert torch.equal(source[:], kept.x_train[:])
    assert torch.equal(source[:].cpu(), pictures("memory").x_train[:])
    assert torch.equal(torch.cat(list(source.split(8))), kept.x_train[:])
    spec = ns.TrainSpec(**{**PLAIN, "batch_size": 8, "augmentation": ("flip",)})
    start = weights_for(CNN, kept)
    one, other = (ns.train(CNN, data, spec, seed=0, start=start) for data in (kept, streamed))
    assert distance(other.state, one.state, start) < CLOSE
    assert other.curves["train_loss"] == pytest.approx(one.curves["train_loss"], rel=CLOSE)
    assert other.curve == pytest.approx(one.curve, rel=CLOSE)


def test_timms_transforms_give_what_they_do_on_the_cpu(pictures, device):
    def seen(where):
        spec = ns.TrainSpec(**PLAIN, timm_transform={"auto_augment": "rand-m9-mstd0.5-inc1"})
        x = TrainingRun(CNN, pictures("stream").to(where), spec, seed=0)._x_train
        x.source.seed = 4
        return torch.cat(list(x.split(8)))

    found = seen(device)
    assert found.device.type == device.type
    assert torch.equal(found.cpu(), seen(torch.device("cpu")))


ALL = {
    **{"epochs": 4, "optimizer": "adamw", "learning_rate": 1e-3, "batch_size": 8, "accumulate": 2},
    **{"label_smoothing": 0.1, "mixup": 0.2, "cutmix": 1.0, "ema_decay": 0.9, "layer_decay": 0.8, "schedule": "cosine"},
}


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_training_that_is_cut_goes_on_to_the_same_end(pictures, device, precision):
    dropped = replace(VIT, drop_path=0.3)
    data = pictures("memory").to(device)
    spec = ns.TrainSpec(**ALL, precision=precision, timm_transform={})
    files, start = Kept(), weights_for(dropped, pictures("memory"))

    def stop(curve):
        if len(curve) == 2:
            raise Interrupted

    def note(curve):
        told.append(len(curve))

    whole = ns.train(dropped, data, spec, seed=0, start=start)
    first, rest = Checkpoint(files, "a", seconds=0.0), Checkpoint(files, "a")
    with pytest.raises(Interrupted):
        ns.train(dropped, data, spec, seed=0, start=start, checkpoint=first, on_epoch=stop)
    assert files.files
    told = []
    gone_on = ns.train(dropped, data, spec, seed=0, start=start, checkpoint=rest, on_epoch=note)
    assert told == [3, 4]
    is_mixed = mixed_type(device, precision) is not None
    assert gone_on.curve == pytest.approx(whole.curve, rel=0.02 if is_mixed else CLOSE)
    assert distance(gone_on.state, whole.state, start) < (0.1 if is_mixed else 0.02)  # Adam divides small gradients


def stack(width, depth):
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers).eval()


def test_latency_is_the_time_until_the_device_is_done(device):
    """A GPU is given work in microseconds, whatever it takes: without waiting for it, all networks would be as fast."""
    n, widths = (4096, (64, 4096)) if device.type == "cuda" else (64, (16, 1024))
    spec = LatencySpec(device=device.type, batch=n)
    small, large = (stack(width, 4).to(device) for width in widths)
    ms = {
        model: measure_latency(model, torch.zeros(n, width, device=device), spec).ms
        for model, width in zip((small, large), widths, strict=True)
    }
    assert 0 < 5 * ms[small] < ms[large]
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        x = torch.zeros(n, widths[1], device=device)
        with torch.inference_mode():
            large(x)
            begin.record()
            for _ in range(20):
                large(x)
            end.record()
        torch.cuda.synchronize()
        assert ms[large] == pytest.approx(begin.elapsed_time(end) / 20, rel=0.3)


@pytest.mark.gpu
def test_latency_of_candidates_is_measured_on_the_device(tmp_path):
    limits = {"latency_ms": {"max": 1e6, "device": "cuda", "batch": 8}, "memory_mb": {"max": 1e6, "batch": 8}}
    families = {"fc": {"depth": ns.Int(1, 3), "width": ns.Int(8, 24), "init": "he_normal"}}
    study = ns.StudySpec(
        name="limited",
        search_space=ns.SearchSpace(name="limited", families=families, constraints=limits),
        data=ns.DataSpec(name="digits", train_samples=60, val_samples=30, test_samples=30),
        score=ns.ScoreSpec(n_inputs=4, seeds=1, metrics="none"),
        search=ns.SearchSpec(n_candidates=10),
        select=ns.SelectSpec(top_k=2, control=1, cost="latency_ms"),
        train=ns.TrainSpec(epochs=1, seeds=1),
    )
    result = ns.search(study, storage=f"sqlite:///{tmp_path / 'a.db'}", device="cuda")
    measures = [c.measures for c in result.candidates if c.is_ok]
    assert len(measures) == 10
    assert all(0 < m["latency_ms"] < 1e3 and m["memory_mb"] > 0 for m in measures)
    assert len(result.trials) == 3
    assert all(t.val_error is not None for t in result.trials)


@pytest.mark.gpu
def test_memory_is_the_peak_of_what_the_device_is_asked_for():
    """Blocks are rounded up to 512 bytes, and a library's workspace is beside the tensors."""
    model = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 32 * 32, 8)).eval()
    x = torch.rand(1024, 3, 64, 64)
    expected = footprint(model, x).peak_bytes
    model, x = model.cuda(), x.cuda()
    with torch.inference_mode():
        model(x[:2])  # libraries take what they keep
    torch.cuda.synchronize()
    own = sum(t.nbytes for t in (*model.parameters(), *model.buffers(), x))
    others = torch.cuda.memory_allocated() - own
    torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        model(x)
    torch.cuda.synchronize()
    assert torch.cuda.max_memory_allocated() - others == pytest.approx(expected, rel=0.02)
    assert footprint(model, x).peak_bytes == pytest.approx(expected, rel=0.02)


def test_a_group_of_one_process_trains_as_none_does(small, device):
    where = torch.device("cuda", 0) if device.type == "cuda" else device
    data, start = small.to(where), weights_for(FC, small)
    spec = ns.TrainSpec(**{**PLAIN, "batch_size": 25})
    plain = ns.train(FC, data, spec, seed=1, start=start)
    with ranks_of(dist.HashStore(), rank=0, size=1, device=where) as ranks:
        found = ns.train(FC, data, spec, seed=1, start=start, ranks=ranks)
        total = torch.full((3,), 2.0, device=where)
        dist.all_reduce(total)  # by NCCL on CUDA
        said = torch.tensor([True])
        dist.broadcast(said, 0)  # by gloo: what rank 0 decides lies on the CPU
        assert torch.equal(total.cpu(), torch.full((3,), 2.0))
        twins = [
            FC.build(small.input_shape, 10, generator=torch.Generator(device=where), device=where) for _ in range(2)
        ]
        for model in twins:
            model.load_state_dict(start)
        for model, wrapped in zip(twins, (None, nn.parallel.DistributedDataParallel(twins[1])), strict=True):
            order, moves = (make_generator("test", device=where) for _ in range(2))
            how = {"task": "classification", "order": order, "moves": moves, "n_outputs": 10, "wrapped": wrapped}
            GradientSteps(model, make_optimizer(model, spec), spec, **how).epoch(data.x_train, data.y_train)
    assert not dist.is_initialized()
    assert distance(found.state, plain.state, start) < 1e-4
    assert found.curve == pytest.approx(plain.curve, rel=1e-4)
    assert distance(twins[1].state_dict(), twins[0].state_dict(), start) < 1e-4


def test_an_exported_network_predicts_the_same_here_and_there(tmp_path, device):
    root = make_folder(tmp_path / "pictures")
    declared = ns.DataSpec(name=f"folder:{root}", image_size=16, standardize=True)
    data = ns.load_data(declared)
    outcome = ns.train(CNN, data.to(device), ns.TrainSpec(**{**PLAIN, "precision": "bfloat16"}), seed=0)
    folder = ns.export(outcome, tmp_path / "net", architecture=CNN, data=data.to(device), data_spec=declared)
    there, here = (list(Predictor(folder, device=d).predict([str(root)])) for d in (device.type, "cpu"))
    assert len(here) == 36
    for one, other in zip(there, here, strict=True):
        assert one.source == other.source
        assert one.values == pytest.approx(other.values, abs=1e-4)
    shares = torch.tensor([[p.values[c] for c in data.class_names] for p in here])
    assert float(shares.std(0).max()) > 1e-3  # they are not all alike

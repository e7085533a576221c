"""A trainer is given the network as its function returned it, with the function's own methods, arguments and names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import nas_sens as ns
from nas_sens.training.job import TrainingStopped
from nas_sens.training.outcome import Outcome
from nas_sens.training.user_trainer import Following, Goal, train_by
from tests.tiny_study import tiny, url


class Net(nn.Module):
    """Has a method, and an argument for its loss."""

    def __init__(self, n_in: int, width: int, n_outputs: int) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(n_in, width), nn.Linear(width, n_outputs)

    def encoded(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder(x.flatten(1)).relu()

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        logits = self.head(self.encoded(x))
        return logits if labels is None else nn.functional.cross_entropy(logits, labels)


def net(input_shape: tuple[int, ...], n_outputs: int, *, width: int) -> nn.Module:
    return Net(torch.Size(input_shape).numel(), width, n_outputs)


def fit(model: nn.Module, job: ns.Job) -> dict[str, float]:
    assert type(model) is Net
    assert model.encoded(job.data.x_val).shape == (len(job.data.x_val), job.spec.width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in job.epochs(3, optimizer=optimizer):
        optimizer.zero_grad()
        model(job.data.x_train, labels=job.data.y_train).backward()
        optimizer.step()
    with torch.no_grad():
        return {"val_loss": model(job.data.x_val, labels=job.data.y_val)}


SPACE = ns.SearchSpace(name="own", families={net: {"width": ns.Int(4, 20)}})


def test_a_trainer_sees_its_own_network_and_what_it_trains_is_kept(tmp_path: Path) -> None:
    select = ns.SelectSpec(target="val_loss", top_k=2, control=1)
    result = ns.search(tiny(search_space=SPACE, select=select), train=fit, storage=url(tmp_path))
    assert all(t.is_ok for t in result.trials)
    data = ns.load_data(tiny().data)
    loss = nn.functional.cross_entropy(ns.load_model(url(tmp_path), "tiny", rank=1)(data.x_val), data.y_val)
    assert float(loss) <= result.best.val_loss + 1e-6  # the better one of two seeds


@pytest.mark.parametrize("is_given", [True, False])
def test_one_that_is_asked_for_or_made_by_oneself_is_kept_too(tmp_path: Path, is_given: bool) -> None:
    x = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
    search = ns.open_search(SPACE, probe=x, n_outputs=3, storage=url(tmp_path), name="asked",
                            score=ns.ScoreSpec(n_inputs=24, seeds=1), target="f1", top_k=1, control=0)  # fmt: skip
    search.score(3)
    asked = search.ask()
    assert 0 <= asked.seed < 2**32
    model = asked.build() if is_given else net((6,), 3, width=asked.spec.width)
    assert type(model) is Net
    search.tell(asked, f1=0.5, model=model)
    assert torch.equal(ns.load_model(url(tmp_path), "asked", rank=1)(x), model(x))


FOUND: list[list[str]] = []


def with_files(model: nn.Module, job: ns.Job) -> dict[str, float]:
    """Note what files there are, and leave one."""
    FOUND.append([path.read_text() for path in job.folder.iterdir()])
    (job.folder / "last.ckpt").write_text(f"{job.n_epochs} epochs")
    job.report(val_error=1.0)
    return {"val_error": 1.0}


def train(folder: Path, trainer: str, **more: object) -> Outcome:
    spec = ns.TrainSpec(trainer=f"{__name__}:{trainer}", epochs=more.pop("epochs", 3))
    architecture = ns.load_spec({"family": f"{__name__}:net", "width": 5})
    return train_by(architecture, ns.load_data(tiny().data), spec, goal=Goal(), seed=1, folder=folder,
                    **{"device": torch.device("cpu"), **more})  # fmt: skip


def test_a_training_goes_on_from_its_own_files_alone(tmp_path: Path) -> None:
    def lost(curve: object) -> None:
        raise TrainingStopped

    FOUND.clear()
    for epochs in (2, 2, 3, 3):
        with pytest.raises(TrainingStopped):
            train(tmp_path, "with_files", epochs=epochs, following=Following(on_curve=lost))
    assert FOUND == [[], ["2 epochs"], [], ["3 epochs"]]


def with_rows(model: nn.Module, job: ns.Job) -> dict[str, float]:
    """Go on after two epochs, as from a framework's checkpoint."""
    job.rows = [{"val_error": 0.5, "lr": 0.1}, {"val_error": 0.4, "lr": 0.1}]
    job.report(val_error=0.3, lr=0.2)
    return {"val_error": 0.3}


def test_what_a_framework_had_reported_is_part_of_the_curve(tmp_path: Path) -> None:
    told: list[object] = []
    following = Following(on_curve=told.append, on_epoch=lambda *n: told.append(n), prune=lambda *_: True)
    outcome = train(tmp_path, "with_rows", following=following)
    assert outcome.curve == (0.5, 0.4, 0.3)
    assert outcome.curves == {"lr": (0.1, 0.1, 0.2)}
    assert told == [(0.5, 0.4, 0.3), (3, 3)]
    assert outcome.status == "ok"  # after its last epoch a training is not pruned


def on_the_cpu(model: nn.Module, job: ns.Job) -> dict[str, float]:
    model.cpu()  # as Lightning does at the end
    return {"val_error": 0.3}


@pytest.mark.gpu
def test_a_network_that_is_left_on_the_cpu_is_measured_where_the_data_are(tmp_path: Path) -> None:
    device, splits = torch.device("cuda"), ns.load_data(tiny().data)
    x = splits.x_val.to(device)
    outcome = train(tmp_path, "on_the_cpu", device=device, sensitivity=lambda model: model(x).var())
    assert outcome.sensitivity > 0
    assert not outcome.measure_problems

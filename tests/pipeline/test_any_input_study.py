"""Studies of networks of any input and output: scored, trained where the tool's own trainer can, exported, in one line
where it cannot."""

from __future__ import annotations

import sqlite3

import pytest
import torch
from torch import nn

import nas_sens as ns
from nas_sens.pipeline.declare import declare
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.study.score_spec import DEFAULT_METRICS

G = torch.Generator().manual_seed(0)
WORDS = torch.randint(0, 9, (60, 6), generator=G)
X = torch.rand(60, 3, 6, 6, generator=G)


class Reader(nn.Module):
    def __init__(self, width, k):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(9, 4), nn.LSTM(4, width, batch_first=True)
        self.head = nn.Linear(width, k)

    def forward(self, x):
        return {"logits": self.head(self.lstm(self.embedding(x))[0][:, -1]), "loss": torch.zeros(())}


class Segmenter(nn.Module):
    def __init__(self, width, k):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, k, 1)

    def forward(self, x):
        return self.b(self.a(x).relu()), self.a(x)


class Both(nn.Module):
    def __init__(self, width, k):
        super().__init__()
        self.see, self.read, self.head = nn.Conv2d(3, width, 6), nn.Embedding(9, width), nn.Linear(width, k)

    def forward(self, image, words):
        return self.head((self.see(image).flatten(1) + self.read(words).mean(1)).relu())


def reader(input_shape, n_outputs, *, width: int):
    assert input_shape == (6,)
    return Reader(width, n_outputs)


def segmenter(input_shape, n_outputs, *, width: int):
    return Segmenter(width, n_outputs)


def both(input_shape, n_outputs, *, width: int):
    assert input_shape == {"image": (3, 6, 6), "words": (6,)}
    return Both(width, n_outputs)


def mlp(input_shape, n_outputs, *, width: int):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), nn.Linear(width, n_outputs))


def mask_logits(given):
    return given[0]


def words():
    return ns.Data(train=(WORDS, WORDS[:, -1] % 3))


def masks():
    return ns.Data(train=(X, (X[:, 0] > 0.5).long()), task="other", n_outputs=2)


def probe():
    return ns.Data(probe={"image": X[:8], "words": WORDS[:8]}, n_outputs=3)


def labels():
    return ns.Data(train=(X, X[:, :, 0, 0] > 0.5))


def quantities():
    return ns.Data(train=(X, X[:, :2, 0, 0]))


def study(family, data, **score):
    return ns.StudySpec(
        name="s",
        search_space=ns.SearchSpace(name="s", families={family: {"width": ns.Int(2, 6)}}),
        data=ns.DataSpec(name=f"{__name__}:{data}"),
        score=ns.ScoreSpec(seeds=2, n_inputs=8, **score),
        search=ns.SearchSpec(n_candidates=3),
        select=ns.SelectSpec(rule="random", top_k=1, control=0),
        train=ns.TrainSpec(epochs=30, learning_rate=0.02),
    )


def scored(spec, storage):
    session = open_study(declare(spec), storage=storage, device="cpu")
    score_candidates(session)
    return session.storage.scored("s"), session


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/s.db"


@pytest.mark.parametrize(
    ("family", "data", "score"),
    [
        (reader, "words", {}),
        (reader, "words", {"noise_at": "lstm.nope"}),
        (segmenter, "masks", {"output": mask_logits}),
        (segmenter, "masks", {"output": 0, "after_softmax": True}),
        (segmenter, "masks", {}),
        (both, "probe", {"metrics": ("flops", "jacobian_norm")}),
    ],
)
def test_candidates_are_scored_or_refused_in_one_line(family, data, score, storage):
    spec = study(family, data, **score)
    if score == {"noise_at": "lstm.nope"} or (family is segmenter and not score):
        with pytest.raises(ns.InvalidInputError, match=r"noise_at must name|say which numbers"):
            scored(spec, storage)
        return
    found, session = scored(spec, storage)
    assert len(found) == 3
    assert all(c.is_ok and c.estimator == "monte_carlo" and c.flops > 0 for c in found)
    # By default what such networks lack is recorded; each is measured or has its reason.
    lacks = set() if session.spec.score.named_metrics else {"naswot"}  # none has a ReLU module
    for c in found:
        assert set(c.measure_problems) == lacks, c.measure_problems
        assert set(c.measures) == set(session.spec.score.named_metrics or DEFAULT_METRICS) - lacks
    kinds = {reader: ["Embedding", "LSTM"], both: ["Embedding"]}.get(family)
    assert session.storage.attributes("s").get("layers_drawn_by_networks") == kinds
    again, _ = scored(spec, storage)
    assert [c.log10_sensitivity for c in again] == [c.log10_sensitivity for c in found]


@pytest.mark.parametrize(("family", "data"), [(segmenter, "masks"), (both, "probe")])
def test_what_cannot_be_trained_is_told_before_a_study_is_made(family, data, storage, tmp_path):
    with pytest.raises(ns.InvalidInputError, match=r"cannot train on data .*; name one of your own by \[train\]"):
        ns.search(study(family, data, output=0 if family is segmenter else None), storage=storage)
    path = tmp_path / "s.db"
    if path.exists():
        names = [row[0] for row in sqlite3.connect(path).execute("select study_name from studies")]
        assert not names


@pytest.mark.parametrize(
    ("family", "data", "best"), [(reader, "words", 0.6), (mlp, "labels", 0.4), (mlp, "quantities", 0.8)]
)
def test_what_can_be_trained_is_trained_and_exported(family, data, best, storage, tmp_path):
    result = ns.search(study(family, data), storage=storage)
    trained = result.trials[0]
    assert trained.is_ok
    assert trained.train_error < best
    folder = ns.export_model(storage, "s", tmp_path / "out")
    model, program = ns.load_model(folder), torch.export.load(folder / "model.pt2").module()
    x = WORDS[:5] if data == "words" else X[:5]
    with torch.no_grad():
        given, expected = program(x), model(x)
    if data == "words":
        given, expected = given["logits"], expected["logits"]
        assert "int64 of shape (batch, 6)" in (folder / "README.md").read_text()
        assert result.protocol["score"]["layers_drawn_by_networks"] == ["Embedding", "LSTM"]
    torch.testing.assert_close(given, expected)


def test_an_export_of_several_inputs_takes_them_by_name(tmp_path):
    from nas_sens.architectures import family_of
    from nas_sens.core.inputs import shape_of
    from nas_sens.models.model_folder import model_config, write_model
    from nas_sens.models.trained import complete

    inputs = {"image": X[:4], "words": WORDS[:4]}
    shape = shape_of(inputs)
    architecture = family_of(both)(width=3)
    model = architecture.build(shape, 2, generator=torch.Generator().manual_seed(0))
    write_model(tmp_path, model_config(architecture, input_shape=shape, n_outputs=2, provenance={}), model.state_dict())
    complete(tmp_path)
    with torch.no_grad():
        expected = model.eval()(**inputs)
        torch.testing.assert_close(ns.load_model(tmp_path)(**inputs), expected)
        torch.testing.assert_close(torch.export.load(tmp_path / "model.pt2").module()(**inputs), expected)
    assert "`words`, int64 of shape (batch, 6)" in (tmp_path / "README.md").read_text()


def test_the_closed_form_is_refused_where_it_has_no_meaning():
    with pytest.raises(ValueError, match="needs an estimator that draws networks"):
        ns.ScoreSpec(noise_at="embedding", estimator="closed_form")
    with pytest.raises(ns.InvalidInputError, match="floating-point tensor"):
        open_study(declare(study(reader, "words", estimator="closed_form")), device="cpu", storage="sqlite://")

"""A study of pre-trained networks: S in both states, frozen stages, exports that need no file, missing files."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.pipeline.prepare import prepare
from nas_sens.scoring.assess import assess_many
from nas_sens.scoring.pretrained import DRAWN, OWN
from nas_sens.selection.features import selection_features
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.study.pretrained import note_on_inputs
from nas_sens.study.proposal import Proposal
from nas_sens.study.search_space import SearchSpace


@pytest.fixture
def weights(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def study(path, *, score=None, data=None, **more) -> ns.StudySpec:
    parameters = {"model": "test_resnet", "pretrained": str(path), "freeze": [0, 2], **more}
    return ns.StudySpec(
        name="pre", search_space=SearchSpace(name="pre", families={"timm": parameters}),
        data=data or ns.DataSpec(name="digits", train_samples=64, val_samples=32), score=score or ns.ScoreSpec(seeds=2),
        search=ns.SearchSpec(n_candidates=2), select=ns.SelectSpec(top_k=2, control=0),
        train=ns.TrainSpec(epochs=1, seeds=1, metrics=("grad_norm",)),
    )  # fmt: skip


def test_a_study_scores_both_states_trains_and_exports(weights, tmp_path):
    url = f"sqlite:///{tmp_path / 'a.db'}"
    result = ns.search(study(weights), storage=url)
    assert [t.status for t in result.trials] == ["ok", "ok"]
    assert all(t.measures["grad_norm"] > 0 for t in result.trials)
    scored = StudyStorage(url).scored("pre")
    assert len({c.measures[OWN] for c in scored}) == 1, "what is frozen changed S"
    for candidate in scored:
        features = selection_features(candidate).features
        assert features[OWN] != features["log10_sensitivity"]
        assert DRAWN not in features
    weights.unlink()  # exports have weights of their own
    ns.export_model(url, "pre", tmp_path / "out")
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(x), ns.load_model(tmp_path / "out")(x))
    again = ns.load_spec(tmp_path / "out")
    assert again.pretrained == str(weights)


def test_each_state_has_its_name(weights):
    found = {}
    for probe_init in ("standard_normal", "own"):
        spec = study(weights, score=ns.ScoreSpec(seeds=2, probe_init=probe_init, metrics="none"), freeze=0)
        prepared = prepare(spec)
        proposal = Proposal({}, spec.search_space.architecture({}), False, None, {})
        ((record, _),) = assess_many(spec.search_space, [proposal], prepared.splits, prepared.probe)
        found[probe_init] = record
    drawn, own = found["standard_normal"], found["own"]
    assert drawn.measures == {OWN: pytest.approx(own.log10_sensitivity, abs=1e-6)}
    assert own.measures == {DRAWN: pytest.approx(drawn.log10_sensitivity, abs=1e-6)}


def test_missing_and_other_weights_end_before_a_database_is_made(weights, tmp_path):
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with pytest.raises(InvalidInputError, match=r"search space 'pre': pretrained must be true or the path of a file"):
        ns.search(study(tmp_path / "none.safetensors"), storage=url)
    with pytest.raises(InvalidInputError, match=r"do not fit timm's test_vit: .*; name other weights by pretrained"):
        ns.search(study(weights, model="test_vit", kwargs='{"img_size":32}'), storage=url)
    assert not (tmp_path / "a.db").exists()


def test_inputs_that_the_weights_do_not_expect_are_told(weights):
    space = study(weights).search_space
    inside, outside = torch.rand(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    assert note_on_inputs(space, inside, "mine") is None
    note = note_on_inputs(space, outside, "mine")
    assert note is not None
    assert "take pixels in [0, 1]" in note
    plain = SearchSpace(name="p", families={"timm": {"model": "test_resnet"}})
    assert note_on_inputs(plain, outside, "mine") is None

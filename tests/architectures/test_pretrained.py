"""Pre-trained weights of timm's networks: read from files, never from a network; frozen parts; inputs; wrong files."""

from __future__ import annotations

import dataclasses

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from nas_sens.architectures import load_spec
from nas_sens.architectures.initialization import initialize_
from nas_sens.architectures.timm import TimmSpec
from nas_sens.core.errors import InfeasibleArchitectureError, InvalidInputError

SHAPE = (3, 32, 32)
MODELS = ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Untrained networks of timm as files of weights: name to network and path."""
    folder = tmp_path_factory.mktemp("weights")
    made = {}
    for i, name in enumerate([*MODELS, "resnet10t"]):
        with torch.random.fork_rng():
            torch.manual_seed(i)
            model = timm.create_model(name).eval()
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.uniform_(-0.1, 0.1)
        save_file(model.state_dict(), folder / f"{name}.safetensors")
        made[name] = (model, str(folder / f"{name}.safetensors"))
    return made


def make(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(seed=0, shape=SHAPE, n_outputs=10, **values):
    return TimmSpec(**values).build(shape, n_outputs, generator=make(seed))


@pytest.mark.parametrize("name", MODELS)
def test_a_network_starts_from_the_weights_of_a_file(name, saved, same_global_rng):
    given, path = saved[name]
    a, b = (built(seed, model=name, pretrained=path, n_outputs=7) for seed in (0, 1))
    own = dict(given.named_parameters())
    same = {k for k, p in a.net[1].named_parameters() if k in own and torch.equal(p, own[k])}
    different = {k for k, _ in a.net[1].named_parameters()} - same
    classifier = given.pretrained_cfg["classifier"]
    allowed = {f"{classifier}.weight", f"{classifier}.bias", *({"pos_embed"} if name == "test_vit" else ())}
    assert different <= allowed  # of which positions are those of another size of images
    assert f"{classifier}.weight" in different
    assert not torch.equal(a.net[1].get_classifier().weight, b.net[1].get_classifier().weight)
    assert all(torch.equal(p, dict(b.named_parameters())[k]) for k, p in a.named_parameters() if classifier not in k)


def test_statistics_and_the_readout_come_with_the_weights_where_it_has_as_many_outputs(saved):
    given, path = saved["test_resnet"]
    model = built(model="test_resnet", pretrained=path, n_outputs=1000)
    x = torch.rand(2, *SHAPE, generator=make(3))
    mean, std = (torch.tensor(given.pretrained_cfg[k])[:, None, None] for k in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(x), given((x - mean) / std))


def test_inputs_of_one_channel_are_normalised_by_the_mean_of_the_colours(saved):
    model = built(model="resnet10t", pretrained=saved["resnet10t"][1], shape=(1, 32, 32))
    assert float(model.net[0].mean) == pytest.approx((0.485 + 0.456 + 0.406) / 3)
    adapted, given = model.net[1].conv1[0].weight, saved["resnet10t"][0].conv1[0].weight
    torch.testing.assert_close(adapted, given.sum(dim=1, keepdim=True))


def test_weights_are_found_in_the_cache_and_where_they_were_copied_to(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    spec = TimmSpec(model="test_resnet", pretrained=True)
    with pytest.raises(InvalidInputError) as caught:
        spec.require_weights(SHAPE, 10)
    place = tmp_path / "hub" / "checkpoints" / "test_resnet.r160_in1k.safetensors"
    message = str(caught.value)
    assert "\n" not in message
    assert f"huggingface.co/timm/test_resnet.r160_in1k/resolve/main/model.safetensors as {place}, or name a" in message
    place.parent.mkdir(parents=True)
    save_file(saved["test_resnet"][0].state_dict(), place)
    spec.require_weights(SHAPE, 10)
    model = spec.build(SHAPE, 10, generator=make(0))
    assert torch.equal(model.net[1].conv1[0].weight, saved["test_resnet"][0].conv1[0].weight)


def test_other_schemes_draw_what_they_draw_of_an_untrained_network(saved):
    model = built(model="test_vit", pretrained=saved["test_vit"][1])
    plain = built(model="test_vit")
    for each in (model, plain):
        initialize_(each, "standard_normal", generator=make(5))
    ours, theirs = (dict(m.named_parameters()) for m in (model.net[1], plain.net))
    assert all(torch.equal(p, theirs[k]) for k, p in ours.items())
    initialize_(model, "torch_default", generator=make(5))
    assert torch.equal(model.net[1].cls_token, saved["test_vit"][0].cls_token)


@pytest.mark.parametrize("name", MODELS)
def test_frozen_parts_are_not_trained(name, saved):
    whole = built(model=name, pretrained=saved[name][1])
    n = len(list(whole.parameters()))
    stages = [sum(p.requires_grad for p in built(model=name, pretrained=saved[name][1], freeze=i).parameters())
              for i in range(4)]  # fmt: skip
    assert n == stages[0] > stages[1] > stages[2] > stages[3] > 2
    probe = built(model=name, pretrained=saved[name][1], freeze="backbone")
    assert sum(p.requires_grad for p in probe.parameters()) == 2
    before = {k: t.clone() for k, t in probe.state_dict().items()}
    x = torch.rand(8, *SHAPE, generator=make(0))
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.1)
    probe.train()(x).square().mean().backward()
    optimizer.step()
    changed = {k for k, t in probe.state_dict().items() if not torch.equal(t, before[k])}
    classifier = saved[name][0].pretrained_cfg["classifier"]
    assert changed == {f"net.1.{classifier}.weight", f"net.1.{classifier}.bias"}


def test_statistics_of_stages_that_are_trained_move(saved):
    model = built(model="test_resnet", pretrained=saved["test_resnet"][1], freeze=2)
    before = {k: t.clone() for k, t in model.state_dict().items() if "running_mean" in k}
    model.train()(torch.rand(8, *SHAPE, generator=make(0)))
    moved = {k for k, t in before.items() if not torch.equal(model.state_dict()[k], t)}
    assert moved
    assert not any(k.startswith(("net.1.bn1", "net.1.layer1")) for k in moved)
    assert all(m.training for m in model.modules() if not isinstance(m, nn.BatchNorm2d))


def test_what_is_frozen_is_no_part_of_the_untrained_function(saved):
    spec = TimmSpec(model="test_resnet", pretrained=saved["test_resnet"][1], freeze=2)
    assert spec.canonical == dataclasses.replace(spec, freeze=0)
    assert spec.digest != spec.canonical.digest
    assert all(p.requires_grad for p in spec.skeleton(SHAPE, 10).parameters())


def test_specs_without_weights_keep_their_identity():
    spec = TimmSpec(model="test_resnet")
    assert not {"pretrained", "freeze"} & set(spec.to_dict())
    assert not spec.is_pretrained
    tagged = load_spec({"family": "timm", "model": "test_resnet.r160_in1k", "pretrained": True})
    assert tagged.to_dict()["pretrained"] is True


@pytest.mark.parametrize(
    ("model", "file", "reason"),
    [
        ("test_resnet", "test_vit", "do not fit timm's test_resnet: they lack '"),
        ("resnet18", "resnet10t", "do not fit timm's resnet18: "),
        ("test_resnet", None, "do not fit timm's test_resnet: "),
    ],
)
def test_weights_of_other_networks_are_infeasible_with_a_reason(model, file, reason, saved, tmp_path):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"no weights")
    spec = TimmSpec(model=model, pretrained=saved[file][1] if file else str(path))
    for attempt in (spec.build, spec.require_weights):
        with pytest.raises(InfeasibleArchitectureError) as caught:
            attempt(SHAPE, 10)
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


class Acts:
    """What does something when it is unpickled."""

    def __reduce__(self):
        return (print, ("unpickled",))


def test_files_of_pytorch_are_read_without_running_anything(saved, tmp_path, capsys):
    given, _ = saved["test_resnet"]
    torch.save({"state_dict": given.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pth")
    model = built(model="test_resnet", pretrained=str(tmp_path / "checkpoint.pth"))
    assert torch.equal(model.net[1].conv1[0].weight, given.conv1[0].weight)
    torch.save({"state_dict": given.state_dict(), "more": Acts()}, tmp_path / "acts.pth")
    with pytest.raises(InfeasibleArchitectureError, match="do not fit timm's test_resnet"):
        built(model="test_resnet", pretrained=str(tmp_path / "acts.pth"))
    assert "unpickled" not in capsys.readouterr().out


def test_a_file_of_a_deeper_network_is_not_taken_in_part(saved, tmp_path):
    state = {**saved["test_resnet"][0].state_dict(), "layer4.7.conv1.weight": torch.zeros(3)}
    save_file(state, tmp_path / "deeper.safetensors")
    with pytest.raises(InfeasibleArchitectureError, match=r"they have 'layer4\.7\.conv1\.weight', which it does not"):
        TimmSpec(model="test_resnet", pretrained=str(tmp_path / "deeper.safetensors")).require_weights(SHAPE, 10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pretrained": 3}, "pretrained must be true, false or the path of a file of weights; given 3"),
        ({"freeze": -1}, "freeze must be a number of stages or 'backbone'; given -1"),
        ({"freeze": "head"}, "freeze must be a number of stages or 'backbone'; given 'head'"),
        ({"pretrained": True, "init": "he_normal"}, 'needs init = "torch_default" and init_scale = 1 with pretrained'),
        ({"model": "resnet18.tv_in1k"}, "needs pretrained = true for a model with the tag of pre-trained weights"),
        ({"model": "resnet18.none", "pretrained": True}, "'resnet18' has resnet18.a1_in1k, "),
    ],
)
def test_wrong_declarations_are_told(values, message):
    with pytest.raises(InvalidInputError) as caught:
        load_spec({"family": "timm", "model": "test_resnet", **values})
    assert message in str(caught.value)


@pytest.mark.parametrize("given", ["none.safetensors", "weights.txt"])
def test_a_file_must_be_there_and_of_weights(given, tmp_path):
    (tmp_path / "weights.txt").write_text("x")
    with pytest.raises(InvalidInputError, match="must be true or the path of a file of weights"):
        TimmSpec(model="test_resnet", pretrained=str(tmp_path / given)).require_weights(SHAPE, 10)


def test_more_stages_than_there_are_cannot_be_frozen():
    spec = TimmSpec(model="test_resnet", freeze=9)
    for attempt in (spec.skeleton, spec.build):
        with pytest.raises(InfeasibleArchitectureError, match="freeze = 9, but the network has 5 stages before its"):
            attempt(SHAPE, 10)

"""Families of vision: the networks are those of the papers, and what does not go together is told in one line."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from nas_sens.architectures import count_flops, count_params, load_spec
from nas_sens.core.errors import InfeasibleArchitectureError, InvalidInputError
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec

IMAGENET = (3, 224, 224)
RESNET = {"family": "resnet", "batch_norm": True, "bias": False, "width": 64, "stem": "7x7"}
B0 = {
    "family": "mbconv", "depths": [1, 2, 2, 3, 3, 4, 1], "widths": [16, 24, 40, 80, 112, 192, 320],
    "kernels": [3, 3, 5, 3, 5, 5, 3], "expansions": [1.0] + 6 * [6.0], "strides": [1, 2, 2, 2, 1, 2, 1],
    "stem_width": 32, "stem_stride": 2, "head_width": 1280,
}  # fmt: skip
ATTO = {"family": "convnext", "depths": [2, 2, 6, 2], "widths": [40, 80, 160, 320], "layer_scale": 1e-6}
VIT = {"family": "vit", "depth": 12, "embed_dim": 192, "heads": 3, "patch": 16}
SMALL = [
    {"family": "vit", "depth": 2, "embed_dim": 8, "heads": 2, "patch": 7, "drop_path": 0.5},
    {"family": "convnext", "depths": [1, 1, 1, 1], "widths": [4, 6, 8, 9], "patch": 1, "drop_path": 0.5},
    {"family": "mbconv", "depths": [1, 2], "widths": [8, 12], "drop_path": 0.5},
    {"family": "resnet", "blocks": [1, 2], "width": 4, "block": "bottleneck", "stem": "deep",
     "batch_norm": True, "drop_path": 0.5},
]  # fmt: skip


def shapes_of(model: nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(p.shape) for p in model.parameters())


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (VIT, "vit_tiny_patch16_224"),
        (B0, "efficientnet_b0"),
        (B0 | {"depths": [1, 2, 2, 3, 3, 4, 2]}, None),
        (ATTO, "convnext_atto"),
    ],
)
def test_parameters_are_those_of_timms_networks(values, name):
    ours = shapes_of(load_spec(values).skeleton(IMAGENET, 1000))
    with torch.device("meta"):
        theirs = timm.create_model(name or "efficientnet_b0", num_classes=1000)
    if name == "convnext_atto":  # whose perceptrons are 1×1 convolutions
        flat = [sorted(p.numel() for p in m.parameters()) for m in (load_spec(values).skeleton(IMAGENET, 1000), theirs)]
        assert flat[0] == flat[1]
        return
    assert (ours == shapes_of(theirs)) is (name is not None)


@pytest.mark.parametrize(
    ("blocks", "block", "name"),
    [([2, 2, 2, 2], "basic", "resnet18"), ([3, 4, 6, 3], "bottleneck", "resnet50")],
)
def test_the_resnets_of_imagenet(blocks, block, name):
    ours = load_spec({**RESNET, "blocks": blocks, "block": block}).skeleton(IMAGENET, 1000)
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name)
        theirs.fc = nn.Linear(theirs.fc.in_features, 1000, bias=False)
    assert shapes_of(ours) == shapes_of(theirs)
    assert count_flops(ours, IMAGENET) == count_flops(theirs, IMAGENET)


@pytest.mark.parametrize("values", SMALL, ids=lambda v: v["family"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 56, 63)])
def test_small_images_are_scored_and_trained_on(values, shape, generator):
    spec = load_spec(values)
    x = torch.rand(6, *shape, generator=generator)
    model = spec.skeleton(shape, 4).to_empty(device="cpu")
    found = score(spec, model, Probe(x, ScoreSpec(seeds=1), seed=0))
    assert (found.status, found.estimator) == ("ok", "monte_carlo")
    trained = spec.build(shape, 4, generator=generator)
    trained(x).square().mean().backward()
    assert sum(p.grad is not None for p in trained.parameters()) > 0.9 * len(list(trained.parameters()))


@pytest.mark.parametrize("values", SMALL, ids=lambda v: v["family"])
def test_drop_path_acts_while_training_only(values, generator):
    x = torch.rand(16, 1, 28, 28, generator=generator)
    with_it, without = (load_spec({**values, "drop_path": p}) for p in (0.9, 0.0))
    a, b = (s.build((1, 28, 28), 4, generator=torch.Generator().manual_seed(0)) for s in (with_it, without))
    b.load_state_dict(a.state_dict())
    assert torch.equal(a.eval()(x), b.eval()(x))
    torch.manual_seed(0)
    assert not torch.allclose(a.train()(x), b.train()(x))
    assert with_it.digest != without.digest


def test_a_stage_of_its_own_depth_and_kernel(generator):
    spec = load_spec({"family": "mbconv", "depths": [1, 3], "widths": [8, 16], "kernels": [3, 5], "strides": [1, 2]})
    stages = spec.build((1, 28, 28), 4, generator=generator).net.blocks
    assert [len(s) for s in stages] == [1, 3]
    depthwise = [m for s in stages for m in s.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert [m.kernel_size[0] for m in depthwise] == [3, 5, 5, 5]
    assert [m.stride[0] for m in depthwise] == [1, 2, 1, 1]
    assert type(spec).structure(spec.to_dict()) == {"depth": 4.0}


@pytest.mark.parametrize(
    ("values", "shape", "reason"),
    [
        ({**VIT, "heads": 5}, IMAGENET, "embed_dim must be a multiple of heads; given embed_dim = 192, heads = 5"),
        (VIT, (3, 28, 28), "patches of 16 pixels do not divide images of 28×28"),
        ({**VIT, "embed_dim": 3, "mlp_ratio": 0.1}, IMAGENET, "mlp_ratio = 0.1 leaves no hidden unit of embed_dim = 3"),
        (ATTO, (3, 28, 28), "stage 4: a feature map of side 1 cannot be halved; images of 28×28 need a patch smaller"),
        ({**ATTO, "patch": 2}, (3, 28, 28), "stage 4: a feature map of side 1 cannot be halved"),
        ({**ATTO, "patch": 32}, (3, 28, 28), "a patch of 32 pixels is larger than images of 28×28"),
        ({**B0, "widths": [2] * 7, "expansions": 4.0}, IMAGENET, "se_ratio = 0.25 leaves no channel of 2"),
        ({**RESNET, "blocks": [2] * 4}, (3, 12, 12), "stage 4: a feature map of side 1 cannot be halved"),
        (
            {**RESNET, "blocks": [2]},
            (3, 2, 2),
            "the max-pool behind the stem: a feature map of side 1 cannot be halved",
        ),
        (B0, (5,), r"needs inputs of shape (channels, height, width)"),
    ],
)
def test_what_does_not_go_together_is_infeasible(values, shape, reason):
    spec = load_spec(values)
    for attempt in (spec.skeleton, spec.build):
        with pytest.raises(InfeasibleArchitectureError) as caught:
            attempt(shape, 10)
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**ATTO, "depths": [1, 1, 1]}, "needs 4 values of depths, one a stage; given [1, 1, 1]"),
        ({**ATTO, "widths": 4}, "widths must be a list with a value for every stage, which a space declares as {"),
        ({**ATTO, "kernels": [3, 3, 3, 4]}, "needs odd kernels; given 4"),
        ({**B0, "kernels": 2}, "needs odd kernels; given 2"),
        ({**B0, "widths": [8, 8]}, "needs as many values of widths as stages (depths), 7; given 2: [8, 8]"),
        ({**RESNET, "blocks": [1, 2], "stages": 3}, "needs as many values of blocks as stages, 3; given 2: [1, 2]"),
        ({**VIT, "drop_path": 1.0}, "drop_path must be less than 1; given 1.0"),
    ],
)
def test_wrong_values_are_told(values, message):
    with pytest.raises(InvalidInputError) as caught:
        load_spec(values)
    assert message in str(caught.value)


def test_earlier_resnets_keep_their_identity():
    spec = load_spec({"family": "resnet", "stages": 2, "blocks": 2, "width": 2})
    assert not {"stem", "block", "drop_path"} & set(spec.to_dict())
    assert count_params(spec.skeleton((1, 8, 8), 3)) == 719

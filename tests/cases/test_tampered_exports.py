"""Exported folders that somebody or something has altered: one line, and never a wrong network."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import nas_sens as ns
from nas_sens.models import model_folder, trained

SPEC = ns.FCSpec(depth=2, width=5, batch_norm=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "net"
    folder.mkdir()
    model = SPEC.build((1, 4, 4), 3, generator=torch.Generator().manual_seed(0))
    config = model_folder.model_config(SPEC, input_shape=(1, 4, 4), n_outputs=3, provenance={"study": {"name": "s"}})
    model_folder.write_model(folder, config, model.state_dict())
    return folder


@pytest.fixture
def net(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "net"))


def with_config(net: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = net / "config.json"
    config = json.loads(path.read_text())
    replaced = change(config)
    path.write_text(json.dumps(config if replaced is None else replaced))


def with_weights(net: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Alter the weights as somebody does who takes the digest away, too."""
    with_config(net, lambda config: config.pop("weights_sha256") and None)
    state = load_file(str(net / "model.safetensors"))
    change(state)
    save_file(state, str(net / "model.safetensors"))


def refused(net: Path) -> str:
    with pytest.raises(ns.InvalidInputError) as error:
        ns.load_model(net)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    return str(error.value)


def first(state: dict[str, torch.Tensor]) -> str:
    return next(k for k, v in state.items() if v.is_floating_point() and v.dim() == 2)


def one_number(value: float) -> Callable[[dict[str, torch.Tensor]], Any]:
    return lambda state: state[first(state)].view(-1)[3:4].fill_(value)


def cast(kind: torch.dtype) -> Callable[[dict[str, torch.Tensor]], Any]:
    return lambda state: state.update({first(state): state[first(state)].to(kind)})


WEIGHTS = {
    "nan": (one_number(float("nan")), "finite"),
    "infinite": (one_number(float("inf")), "finite"),
    "minus infinite": (one_number(float("-inf")), "finite"),
    **{str(k): (cast(k), "must be torch.float32") for k in (torch.int64, torch.int8, torch.uint8, torch.bool)},
    **{str(k): (cast(k), "must be torch.float32") for k in (torch.float16, torch.bfloat16, torch.float64)},
    "missing": (lambda state: state.pop(first(state)), "has no"),
    "extra": (lambda state: state.update(more=torch.zeros(1)), "none of this network"),
    "renamed": (lambda state: state.update(more=state.pop(first(state))), "another network"),
    "shape": (lambda state: state.update({first(state): torch.zeros(5, 3)}), "must have the shape"),
    "transposed": (lambda state: state.update({first(state): torch.zeros(16, 5)}), "must have the shape"),
    "scalar": (lambda state: state.update({first(state): torch.zeros(())}), "must have the shape"),
    "none": (lambda state: state.clear(), "cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_are_none_are_refused(net: Path, kind: str) -> None:
    change, said = WEIGHTS[kind]
    with_weights(net, change)
    assert said in refused(net)


@pytest.mark.parametrize("kind", ["nan", "infinite", "torch.int64", "torch.float16"])
def test_timm_refuses_them_too(net: Path, kind: str) -> None:
    change, said = WEIGHTS[kind]
    with_weights(net, change)
    with pytest.raises(ns.InvalidInputError, match=said):
        timm.create_model(f"local-dir:{net}", pretrained=True)


def test_weights_that_were_altered_on_purpose_are_read(net: Path) -> None:
    with_weights(net, one_number(0.25))
    assert 0.25 in {float(v) for v in ns.load_model(net).state_dict().values() for v in v.flatten()}


ODD = (
    None,
    True,
    False,
    -1,
    0,
    1.5,
    10**30,
    "",
    "a\nb\x1b[31m",
    "é" * 2000,
    [],
    [[]],
    {},
    {"a": 1},
    [1, "b"],
    float("nan"),
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(p for key, inner in items for p in paths(inner, (*at, key)))]


def altered_config(config: Any, rng: random.Random) -> Any:
    at = rng.choice([p for p in paths(config) if not p or p[0] in ("model_args", "pretrained_cfg", "nas_sens")])
    if not at:
        return rng.choice(ODD)
    inner = config
    for key in at[:-1]:
        inner = inner[key]
    if isinstance(inner, dict) and rng.random() < 0.3:
        del inner[at[-1]]
    elif isinstance(inner, dict) and rng.random() < 0.2:
        inner["more"] = rng.choice(ODD)
    else:
        inner[at[-1]] = rng.choice(ODD)
    return config


def altered_bytes(content: bytes, rng: random.Random) -> bytes:
    i, n = rng.randrange(len(content)), rng.randrange(1, 64)
    head, tail, rest = content[:i], content[i + n :], content[i + 1 :]
    return rng.choice((
        b"", head, head + tail, content + rng.randbytes(n), head + bytes(n) + tail, head + rng.randbytes(n) + tail,
        head + bytes([content[i] ^ 1 << rng.randrange(8)]) + rest,
        struct.pack("<Q", rng.choice((0, 1, 2**20, 2**40, 2**63))) + content[8:],
    ))  # fmt: skip


def test_whatever_is_altered_the_network_is_the_same_or_refused_in_one_line(made: Path, tmp_path: Path) -> None:
    rng, net = random.Random(0), tmp_path / "net"
    shutil.copytree(made, net)
    config, weights = (made / "config.json").read_bytes(), (made / "model.safetensors").read_bytes()
    expected = ns.load_model(made).state_dict()
    n_refused = 0
    for i in range(400):
        (net / "config.json").write_bytes(config)
        (net / "model.safetensors").write_bytes(weights)
        if i % 2:
            altered = altered_config(copy.deepcopy(json.loads(config)), rng)
            (net / "config.json").write_text(json.dumps(altered))
        elif i % 4:
            (net / "config.json").write_bytes(altered_bytes(config, rng))
        else:
            (net / "model.safetensors").write_bytes(altered_bytes(weights, rng))
        try:
            state = ns.load_model(net).state_dict()
        except ns.InvalidInputError:
            n_refused += 1
            refused(net)
            continue
        assert state.keys() == expected.keys()
        assert all(torch.equal(v, expected[k]) for k, v in state.items())
    assert n_refused > 200


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["folder", "missing", "link to nothing", "empty"])
def test_files_that_are_no_files_are_refused(net: Path, name: str, kind: str) -> None:
    (net / name).unlink()
    if kind == "folder":
        (net / name).mkdir()
    elif kind == "link to nothing":
        (net / name).symlink_to("gone")
    elif kind == "empty":
        (net / name).touch()
    assert name in refused(net) or kind == "empty"


def test_an_architecture_in_another_folder_is_not_followed(net: Path, made: Path) -> None:
    with_config(net, lambda config: config["model_args"].update(architecture=str(made)))
    assert "architecture" in refused(net)


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_an_export_has_ordinary_permissions(net: Path, tmp_path: Path, umask: int) -> None:
    trained.complete(net)
    before = os.umask(umask)
    try:
        for destination in (tmp_path / "out", tmp_path / "deep" / "er"):
            model_folder.publish(net, destination)
            assert destination.stat().st_mode & 0o777 == 0o777 & ~umask
            assert len(files := list(destination.iterdir())) == 4
            assert {f.stat().st_mode & 0o777 for f in files} == {0o666 & ~umask}
    finally:
        os.umask(before)


DESTINATIONS = ("file", "full", "link", "broken link", "pipe", "in a file", "x" * 300, "zero\0byte")


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_what_is_there_is_not_replaced(net: Path, tmp_path: Path, kind: str) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "mine").write_text("keep")
    (tmp_path / "empty").mkdir()
    destination = tmp_path / kind
    makers: dict[str, Callable[[], Any]] = {
        "file": lambda: destination.write_text("keep"),
        "full": lambda: shutil.copytree(there, destination),
        "link": lambda: destination.symlink_to(tmp_path / "empty"),
        "broken link": lambda: destination.symlink_to(tmp_path / "gone"),
        "pipe": lambda: os.mkfifo(destination),
    }
    if kind in makers:
        makers[kind]()
    if kind == "in a file":
        destination = there / "mine" / "net"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ns.InvalidInputError) as error:
        model_folder.publish(net, destination)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (there / "mine").read_text() == "keep"

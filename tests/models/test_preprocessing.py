"""What an export says of how inputs are prepared is what training did: checked on files, by timm's own transform."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageOps
from timm.data import create_transform, resolve_model_data_config

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.models import model_folder, onnx_file, trained
from nas_sens.models.preprocessing import FromPixels
from tests.models.exports import exported

SPEC = ns.CNNSpec(depth=1, channels=3, init="he_normal")
SIZES = [(40, 90), (17, 23), (8, 12), (31, 8), (200, 150), (5, 7)]
CLASSES = ("cat", "dog & _bone_")


def pictures(folder: Path, mode: str = "RGB") -> Path:
    """Write pictures of two classes, of several sizes, formats and modes, one of which lies on its side."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i, (height, width) in enumerate(SIZES):
            small = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
            image = image.convert("P" if mode == "RGB" and i == 3 else mode)
            exif = Image.Exif()
            exif[0x0112] = 6 if i == label else 1
            ending = "png" if i % 2 or image.mode == "P" else "jpg"
            image.save(folder / name / f"{i}.{ending}", exif=exif)
    return folder


def opened(path: Path, mode: str) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(path)).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "keys", [{}, {"standardize": True}, {"standardize": True, "unit_norm": True}, {"unit_variance": True}], ids=str
)
def test_timms_transform_gives_what_training_saw(tmp_path: Path, mode: str, keys: dict[str, bool]) -> None:
    root = pictures(tmp_path / "pictures", mode)
    data = ns.DataSpec(name=f"folder:{root}", image_size=(12, 8), **keys)
    model, splits = exported(tmp_path / "net", data, SPEC)
    loaded = timm.create_model(f"local-dir:{tmp_path / 'net'}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(loaded))
    given = torch.stack([transform(opened(p, mode)) for p in sorted(root.rglob("*.*"))])
    seen = torch.cat([splits.x_train, splits.x_val, splits.x_test])
    if data.unit_norm:
        given = given / torch.linalg.vector_norm(given.flatten(1), dim=1).view(-1, 1, 1, 1)
    if data.unit_variance:
        sd, mean = torch.std_mean(given, dim=(1, 2, 3), correction=0, keepdim=True)
        given = (given - mean) / sd
    distance = torch.cdist(given.flatten(1), seen.flatten(1))
    matched = seen[distance.argmin(1)]
    assert len(set(distance.argmin(1).tolist())) == len(given)  # each picture is one of them
    atol = 1e-7 if data.unit_norm else 5e-6 if data.unit_variance else 0
    torch.testing.assert_close(given, matched, rtol=0, atol=atol)
    raw = torch.stack([transform(opened(p, mode)) for p in sorted(root.rglob("*.*"))])
    with torch.no_grad():
        torch.testing.assert_close(loaded(raw), model(matched))
        torch.testing.assert_close(ns.load_model(tmp_path / "net")(matched), model(matched))
    assert tuple(loaded.pretrained_cfg["label_names"]) == CLASSES
    assert tuple(loaded.pretrained_cfg["input_size"]) == splits.input_shape


def test_the_card_names_preparation_and_classes(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    exported(tmp_path / "net", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8)), SPEC)
    trained.complete(tmp_path / "net", with_preprocessing=True)
    card = (tmp_path / "net" / "README.md").read_text(encoding="utf-8")
    for text in (
        'mode "RGB"',
        "8 pixels across and 12 down",
        "bilinear",
        "squash",
        "cat, dog &#38; ",
        "model_from_pixels",
    ):
        assert text in card


def test_the_export_of_an_earlier_version_says_it_too(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    exported(tmp_path / "net", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8)), SPEC)
    path = tmp_path / "net" / model_folder.CONFIG
    now = json.loads(path.read_text())
    before = json.loads(path.read_text())
    for key in ("crop_mode", "interpolation", "label_names"):
        del before["pretrained_cfg"][key]
    path.write_text(json.dumps(before))
    trained.complete(tmp_path / "net")
    assert json.loads(path.read_text()) == now


def as_trained(root: Path, size: tuple[int, int]) -> tuple[list[np.ndarray], torch.Tensor]:
    images = [opened(p, "RGB") for p in sorted(root.rglob("*.*"))]
    small = [np.asarray(i.resize(size[::-1], Image.Resampling.BILINEAR)) for i in images]
    x = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
    return [np.asarray(i) for i in images], x


def test_pixels_are_resized_as_pillow_does(tmp_path: Path) -> None:
    images, x = as_trained(pictures(tmp_path / "pictures"), (12, 8))
    model = FromPixels(torch.nn.Flatten(), (12, 8), [0.0] * 3, [1.0] * 3)
    found = torch.cat([model.prepared(torch.from_numpy(i.copy())[None]) for i in images])
    # Pillow 13 resizes these down first, then across, and rounds between.
    is_tall = torch.tensor([i.shape[0] - 12 > 2 * (i.shape[1] - 8) > 0 for i in images])
    assert is_tall.sum() == 1
    torch.testing.assert_close(found[~is_tall], x[~is_tall], rtol=0, atol=0)
    torch.testing.assert_close(found[is_tall], x[is_tall], rtol=0, atol=1.01 / 255)


def test_programs_take_pictures_as_decoders_give_them(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    model, splits = exported(
        tmp_path / "net", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8), standardize=True), SPEC
    )
    trained.complete(tmp_path / "net", with_preprocessing=True)
    images, x = as_trained(root, (12, 8))
    std = torch.tensor(splits.std).view(-1, 1, 1)
    with torch.no_grad():
        expected = model((x - torch.tensor(splits.mean).view(-1, 1, 1)) / std)
    np.savez(tmp_path / "images.npz", *images)
    code = """
import sys, json
sys.modules["nas_sens"] = None  # as if it were not installed
import numpy as np, torch
program = torch.export.load("net/model_from_pixels.pt2").module()
images = np.load("images.npz")
with torch.no_grad():
    print(json.dumps([program(torch.from_numpy(np.stack([images[k]] * 2))).tolist() for k in images]))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = torch.tensor(json.loads(run.stdout.strip().splitlines()[-1]))
    assert torch.equal(found[:, 0], found[:, 1])
    torch.testing.assert_close(found[:, 0], expected, rtol=0, atol=0.02)  # of the one that Pillow resizes down first
    assert torch.equal(found[:, 0].argmax(1), expected.argmax(1))


def test_onnx_is_valid_says_what_it_is_and_takes_pictures(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    root = pictures(tmp_path / "pictures")
    model, splits = exported(
        tmp_path / "net", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8), standardize=True), SPEC
    )
    trained.complete(tmp_path / "net", with_preprocessing=True, onnx=True)
    images, x = as_trained(root, (12, 8))
    with torch.no_grad():
        expected = model((x - torch.tensor(splits.mean).view(-1, 1, 1)) / torch.tensor(splits.std).view(-1, 1, 1))
    session = onnxruntime.InferenceSession(str(tmp_path / "net" / onnx_file.PIXELS_ONNX))
    found = np.concatenate([session.run(None, {"input": image[None]})[0] for image in images])
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=0.02)
    plain = onnxruntime.InferenceSession(str(tmp_path / "net" / onnx_file.ONNX))
    for one in (session, plain):
        said = {k: json.loads(v) for k, v in one.get_modelmeta().custom_metadata_map.items()}
        assert said["label_names"] == list(CLASSES)
        assert (said["crop_mode"], said["interpolation"], said["input_size"]) == ("squash", "bilinear", [3, 12, 8])
        assert said["mean"] == pytest.approx(splits.mean)
        assert said["std"] == pytest.approx(splits.std)


def test_inputs_that_are_no_pictures_have_no_preprocessing(tmp_path: Path) -> None:
    spec = ns.FCSpec(depth=1, width=3)
    model = spec.build((4,), 2)
    config = model_folder.model_config(spec, input_shape=(4,), n_outputs=2, provenance={})
    assert not {"crop_mode", "interpolation", "label_names"} & config["pretrained_cfg"].keys()
    (tmp_path / "net").mkdir()
    model_folder.write_model(tmp_path / "net", config, model.state_dict())
    with pytest.raises(InvalidInputError, match="leave --with-preprocessing out"):
        trained.complete(tmp_path / "net", with_preprocessing=True)

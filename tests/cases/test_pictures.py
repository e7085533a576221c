"""Files of pictures as people have them: formats, orientation, what is dropped, copies, and what is too large."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data
from nas_sens.data.bounds import PICTURE_VARIABLE, VARIABLE

RNG = np.random.default_rng(1)
ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def picture(shape=(4, 6, 3)) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))


def content(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return file.getvalue()


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder with 5 pictures of 4×6 pixels in each of two classes."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(5):
            picture().save(tmp_path / name / f"{i}.png")
    return tmp_path


def load(root, **options):
    return load_data(DataSpec(name=f"folder:{root}", **options))


def inputs(splits) -> torch.Tensor:
    return torch.cat([splits.x_train, splits.x_val, splits.x_test])


FORMS = {
    "jpeg as .jfif": ("a.jfif", content(picture(), "JPEG")),
    "jpeg without ending": ("a", content(picture(), "JPEG")),
    "jpeg as .JPG": ("a.JPG", content(picture(), "JPEG")),
    "jpeg as .png": ("a.png", content(picture(), "JPEG")),
    "png as .txt": ("a.txt", content(picture(), "PNG")),
    "webp": ("a.webp", content(picture(), "WEBP")),
    "jpeg 2000": ("a.jp2", content(picture(), "JPEG2000")),
    "tiff": ("a.TIFF", content(picture(), "TIFF")),
    "bmp": ("a.bmp", content(picture(), "BMP")),
    "ppm": ("a.pnm", content(picture(), "PPM")),
    "gif": ("a.gif", content(picture(), "GIF")),
    "cmyk jpeg": ("a.jpg", content(picture().convert("CMYK"), "JPEG")),
    "grey": ("a.png", content(picture((4, 6)), "PNG")),
    "1 bit": ("a.png", content(picture((4, 6)).convert("1"), "PNG")),
    "palette": ("a.png", content(picture().quantize(8), "PNG")),
    "opaque": ("a.png", content(picture().convert("RGBA"), "PNG")),
    "two pictures of a camera": (
        "a.jpg",
        content(picture(), "MPO", save_all=True, append_images=[picture()]),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_of_every_form_are_read_without_a_word(root, form):
    name, data = FORMS[form]
    (root / "cat" / name).write_bytes(data)
    splits = load(root)
    assert (len(inputs(splits)), splits.input_shape, splits.notes) == (11, (3, 4, 6), ())


DROPPED = {
    "animated gif": ("GIF", {"save_all": True, "append_images": [picture(), picture()]}, "several frames or pages"),
    "pages": ("TIFF", {"save_all": True, "append_images": [picture(), picture()]}, "several frames or pages"),
    "animated png": ("PNG", {"save_all": True, "append_images": [picture()]}, "several frames or pages"),
}


@pytest.mark.parametrize("how", DROPPED)
def test_the_first_of_several_frames_is_taken_and_told(root, how):
    form, options, note = DROPPED[how]
    first = Image.new("RGB", (6, 4), (250, 0, 0))
    (root / "cat" / "z.png").write_bytes(content(first, form, **options))
    splits = load(root)
    assert splits.notes == (f"1 picture has {note}, of which the first is taken, such as cat/z.png",)
    red = torch.tensor([250, 0, 0]).view(3, 1, 1).expand(3, 4, 6) / 255
    assert any(torch.allclose(x, red) for x in inputs(splits))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "P with a table"])
def test_transparency_is_dropped_and_told(root, mode):
    for i in range(2):
        clear = picture((4, 6, 4))
        if mode.startswith("P"):
            given = bytes(range(100, 104)) if "table" in mode else 1
            data = content(picture().quantize(4), "PNG", transparency=given)
        else:
            data = content(clear.convert(mode), "PNG")
        (root / "dog" / f"z{i}.png").write_bytes(data)
    expected = "2 pictures have transparent parts, taken as if they were not, such as dog/z0.png"
    assert load(root).notes == (expected,)


def png_of_16_bits() -> bytes:
    """A PNG of 4×6 pixels in colour, with 16 bits a channel, which Pillow reads and cannot write."""
    rows = b"".join(b"\0" + RNG.bytes(6 * 3 * 2) for _ in range(4))
    return png(6, 4, rows, depth=16)


def png(width: int, height: int, rows: bytes, *, depth: int = 8, kind: int = 2, extra: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    behind = chunk(b"eXIf", extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows, 9)) + behind + chunk(b"IEND", b"")


def test_sixteen_bits_a_channel_are_told_and_deep_grey_is_refused(root):
    (root / "cat" / "z.png").write_bytes(png_of_16_bits())
    assert load(root).notes == ("1 picture has 16 bits a channel, of which the first 8 are taken, such as cat/z.png",)
    for mode in ("I;16", "F"):
        Image.new(mode, (6, 4)).save(root / "cat" / "z.tiff")
        with pytest.raises(
            InvalidInputError, match=r"cat/z.tiff has more than 8 bits a pixel .*; convert it, or use npz"
        ):
            load(root)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(tmp_path, form, orientation):
    """All eight are read as the same upright picture: red above left, green above right, blue below left."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16, 0] = upright[:8, 16:, 1] = upright[8:, :16, 2] = 255
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(5):
            image = Image.fromarray(np.ascontiguousarray(stored) // (i + 1))
            image.save(tmp_path / name / f"{i}.{form.lower()}", format=form, exif=exif)
    splits = load(tmp_path)
    assert splits.input_shape == (3, 16, 32)
    corners = inputs(splits)[:, :, [3, 3, 12, 12], [4, 27, 4, 27]]
    assert (corners.argmax(1)[:, :3] == torch.tensor([0, 1, 2])).all()
    assert corners[:, :, 3].max() < 0.1
    assert (corners[:, :, 0].amax(1) > 0.15).all()


def test_an_orientation_behind_the_pixels_counts(root):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    rows = b"".join(b"\0" + RNG.bytes(6 * 3) for _ in range(4))
    (root / "cat" / "z.png").write_bytes(png(6, 4, rows, extra=exif.tobytes()[6:]))
    with pytest.raises(InvalidInputError, match=r"but cat/z.png has 6×4 pixels and cat/0.png 4×6; set image_size"):
        load(root)
    assert load(root, image_size=4).input_shape == (3, 4, 4)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"x" * 9]
)
def test_a_damaged_exif_is_no_error(root, exif):
    for form in ("JPEG", "PNG", "WEBP"):
        (root / "cat" / f"z.{form}").write_bytes(content(picture(), form, exif=exif))
    splits = load(root)
    assert (len(inputs(splits)), splits.notes) == (13, ())


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\nshowpage\n"


def test_no_program_is_run_for_a_picture(root, tmp_path, monkeypatch):
    """An EPS goes to Ghostscript, which Pillow finds by its path."""
    programs = tmp_path.parent / "programs"
    programs.mkdir(exist_ok=True)
    ran = programs / "ran"
    (programs / "gs").write_text(f"#!/bin/sh\necho ran > {ran}\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (root / "cat" / "z").write_bytes(EPS)
    assert load(root).notes == ("1 file left out, no pictures: no ending 1",)
    (root / "cat" / "z.png").write_bytes(EPS)
    with pytest.raises(InvalidInputError, match=r"cat/z.png cannot be read as an image \(it is none of JPEG, PNG, GIF"):
        load(root)
    assert not ran.exists()


@pytest.mark.parametrize("name", sorted(FORMS))
def test_damaged_pictures_are_one_line_or_are_read(root, name):
    """Whatever byte is changed and wherever a file ends: no other error, and none of several lines."""
    ending, data = FORMS[name]
    rng = np.random.default_rng(len(data))
    for _ in range(6):
        damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(0, 256)
        (root / "cat" / f"z{ending}").write_bytes(damaged)
        message = None
        try:
            n = len(inputs(load(root, image_size=4)))
        except InvalidInputError as error:
            message = str(error)
        if message is None:
            assert n in (10, 11)
        else:
            assert f"cat/z{ending} " in message
            assert message.isprintable()
            assert len(message) < 600


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_that_would_unpack_to_much_is_refused_by_its_header(root, width, height):
    (root / "dog" / "z.png").write_bytes(png(width, height, bytes(1000), kind=0))
    tracemalloc.start()
    with pytest.raises(InvalidInputError) as caught:
        load(root, image_size=8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).endswith(
        f"dog/z.png has {height}×{width} pixels, more than the 128 megapixels that are allowed; scale it down, remove "
        f"it or raise {PICTURE_VARIABLE}"
    )
    assert peak < 20 * 2**20


def test_the_bound_of_one_picture_can_be_raised(root, monkeypatch):
    monkeypatch.setenv(PICTURE_VARIABLE, "0.00002")
    with pytest.raises(InvalidInputError, match=r"cat/0.png has 4×6 pixels, more than the 2e-05 megapixels"):
        load(root)
    monkeypatch.setenv(PICTURE_VARIABLE, "0.000024")
    assert load(root).input_shape == (3, 4, 6)
    monkeypatch.setenv(PICTURE_VARIABLE, "many")
    with pytest.raises(InvalidInputError, match=f"{PICTURE_VARIABLE} must be a positive number, of megapixels"):
        load(root)


def test_the_own_bound_of_pillow_does_not_stand_in_the_way(root, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert load(root).input_shape == (3, 4, 6)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("size", [100_000, (1_000_000, 1_000_000)])
def test_all_pictures_together_are_refused_before_memory_is_taken(root, size):
    tracemalloc.start()
    with pytest.raises(
        InvalidInputError, match=f"10 pictures of 1.* pixels: takes .* GiB in memory, more than .* or raise {VARIABLE}"
    ):
        load(root, image_size=size)
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()


def test_what_all_pictures_take_is_what_they_take_as_inputs(root, monkeypatch):
    n_bytes = 10 * 3 * 4 * 6 * 4
    monkeypatch.setenv(VARIABLE, repr(n_bytes / 2**30))
    splits = load(root)
    assert inputs(splits).nbytes == n_bytes
    monkeypatch.setenv(VARIABLE, repr((n_bytes - 1) / 2**30))
    with pytest.raises(InvalidInputError, match="10 pictures of 4×6 pixels: takes"):
        load(root)


def test_a_size_beyond_all_bounds_is_one_line(root):
    with pytest.raises(InvalidInputError, match="image_size must be at most 1,000,000 pixels"):
        load(root, image_size=10**5000)


def test_text_in_a_picture_that_unpacks_to_much_is_one_line(root):
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "x" * 2**21, zip=True)
    (root / "cat" / "z.png").write_bytes(content(picture(), "PNG", pnginfo=info))
    with pytest.raises(InvalidInputError, match=r"cat/z.png cannot be read as an image"):
        load(root)


def copy(root: Path, start: str, to: str, form: str = "PNG") -> None:
    (root / to).parent.mkdir(parents=True, exist_ok=True)
    Image.open(root / start).save(root / to, format=form)


def test_copies_that_the_split_may_part_are_told(root):
    copy(root, "cat/0.png", "cat/z.png")
    copy(root, "cat/0.png", "cat/y.bmp", "BMP")
    copy(root, "dog/3.png", "dog/4.png")
    assert load(root).notes == (
        "3 of 12 pictures repeat another one, and the split may put them into training and validation or test: "
        "cat/y.bmp = cat/0.png",
    )


def test_copies_in_two_classes_are_told(root):
    copy(root, "cat/0.png", "dog/1.png")
    assert load(root).notes[1:] == ("1 picture has two labels: dog/1.png = cat/0.png",)


def test_copies_in_two_parts_are_told(tmp_path):
    for part, n in (("train", 6), ("val", 5), ("test", 4)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(n):
                picture().save(tmp_path / part / name / f"{i}.png")
    assert load(tmp_path).notes == ()
    copy(tmp_path, "train/dog/5.png", "test/dog/0.png", "TIFF")
    copy(tmp_path, "train/dog/4.png", "test/dog/3.png")
    copy(tmp_path, "train/cat/4.png", "val/cat/2.png")
    copy(tmp_path, "test/cat/1.png", "val/cat/3.png")
    copy(tmp_path, "train/cat/1.png", "train/cat/2.png")
    assert load(tmp_path).notes == (
        "2 of 8 test pictures are in the training set, too: test/dog/0.png = train/dog/5.png",
        "1 of 10 validation pictures is in the training set, too: val/cat/2.png = train/cat/4.png",
        "1 of 10 validation pictures is in the test set, too: val/cat/3.png = test/cat/1.png",
    )


def test_pictures_that_differ_in_one_pixel_are_no_copies(root):
    pixels = np.array(Image.open(root / "cat" / "0.png"))
    pixels[3, 5, 2] ^= 1
    Image.fromarray(pixels).save(root / "cat" / "1.png")
    assert load(root).notes == ()

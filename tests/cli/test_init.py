"""``nas-sens init``: what it writes is a study that runs; its sizes follow from what was timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nas_sens.cli.main import main
from nas_sens.core.errors import InvalidInputError
from nas_sens.pipeline.budget import Sizes, sizes_for
from nas_sens.study.load import load_study


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    out, err = capsys.readouterr()
    return exit_.value.code, out, err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small data of each kind, in which the test runs."""
    draw = np.random.default_rng(0)
    rows = "\n".join(f"{a:.3f},{b:.3f},{'yes' if a + b > 0 else 'no'}" for a, b in draw.normal(size=(120, 2)))
    (tmp_path / "table.csv").write_text(f"a,b,is large\n{rows}\n")
    y = np.arange(120) % 3
    np.savez(tmp_path / "arrays.npz", x=draw.normal(size=(120, 5)).astype("float32") + y[:, None], y=y)
    for i in range(60):
        place = tmp_path / "photos" / f"kind {i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 255, (70, 70, 3), dtype=np.uint8) // (1 + i % 2)
        Image.fromarray(pixels).save(place / f"{i}.png")
    (tmp_path / "own_data.py").write_text(
        "import torch, nas_sens as ns\n"
        "def circles():\n"
        "    x = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))\n"
        "    return ns.Data(train=(x, (x.norm(dim=1) > 1.8).long()))\n"
    )
    (tmp_path / "studies here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_SENS_CACHE", str(tmp_path / "cache"))
    return tmp_path


# (data, further options, what [data] must say)
KINDS = [
    ("csv:table.csv", ["--target", "is large"], {"target": "is large", "standardize": True}),
    pytest.param("npz:arrays.npz", [], {"standardize": True}, marks=pytest.mark.slow),
    ("own_data:circles", [], {"standardize": True}),
    pytest.param("folder:photos", [], {"image_size": (64, 64)}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("data", "options", "expected"), KINDS)
def test_a_study_for_any_data_is_written_once_and_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], data: str, options: list[str], expected: dict[str, object]
) -> None:
    path = folder / "studies here" / "first.toml"
    given = ["init", "--data", data, "--minutes", "5", "--device", "cpu", "-o", str(path), *options]
    code, out, err = run(capsys, *given)
    assert (code, out) == (0, f"{path}\n"), err
    spec = load_study(path)
    assert spec.name == "first"
    sides = {"image_size": (spec.data.image_size,) * 2 if isinstance(spec.data.image_size, int) else None}
    assert {k: sides.get(k) or getattr(spec.data, k) for k in expected} == expected
    text = path.read_text()
    assert text.startswith("#:schema file://")
    assert run(capsys, *given)[0] == 2
    assert path.read_text() == text
    where = ["--storage", f"sqlite:///{folder / 'a.db'}", "--device", "cpu"]
    assert run(capsys, "score", str(path), "--n-candidates", "2", *where)[0] == 0


# (options, what the message says)
WRONG = [
    (["--data", "digit"], "did you mean 'digits'"),
    (["--data", "digits", "-o", "study.txt"], "must end in .toml"),
    (["--data", "digits", "-o", "nowhere/a.toml"], "does not exist"),
    (["--data", "digits", "--minutes", "0"], "range"),
    (["--data", "digits", "--minutes", "nan"], "no number"),
    (["--data", "csv:table.csv"], "target"),
    (["--data", "digits", "--search-space", "fc_smal"], "did you mean 'fc_small'"),
    (["--data", "digits", "--device", "cuda:99"], "--device"),
]


@pytest.mark.parametrize(("options", "says"), WRONG)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    before = sorted(folder.rglob("*"))
    code, out, err = run(capsys, "init", "-q", *options)
    assert (code, out) == (2, "")
    assert says in err.strip().splitlines()[-1]
    assert sorted(folder.rglob("*")) == before


TIMES = st.floats(1e-4, 30)


@given(minutes=st.floats(0.5, 600), score=st.floats(1e-4, 5), epoch=TIMES, fixed=TIMES, n=st.integers(50, 10**6))
def test_sizes_fit_the_time_and_use_it(minutes: float, score: float, epoch: float, fixed: float, n: int) -> None:
    timed = {"score_seconds": score, "epoch_seconds": epoch, "fixed_seconds": fixed, "n_train": n}
    try:
        sizes = sizes_for(60 * minutes, **timed)  # type: ignore[arg-type]
    except InvalidInputError as error:
        needed = float(str(error).partition(" minutes;")[0].rpartition(" ")[2])
        assert needed > minutes * 0.5
        return
    assert sizes.seconds <= 60 * minutes + 0.5 * 50
    assert sizes.control >= 3
    assert sizes.top_k >= 3
    assert sizes.epochs >= 3
    is_largest = sizes.epochs == 100 and sizes.top_k + sizes.control == 100
    assert sizes.seconds > 0.5 * 60 * minutes or is_largest


def test_more_time_buys_more_of_everything() -> None:
    timed = {"score_seconds": 0.05, "epoch_seconds": 0.4, "fixed_seconds": 0.5, "n_train": 3200}
    found: list[Sizes] = [sizes_for(60 * m, **timed) for m in (2, 5, 10, 30, 120)]  # type: ignore[arg-type]
    for key in ("n_candidates", "epochs", "top_k"):
        values = [getattr(s, key) for s in found]
        assert values == sorted(values)
    assert all(s.score_seconds < 0.3 * s.seconds for s in found)
    assert [0.8 < s.seconds / (60 * m) <= 1 for s, m in zip(found, (2, 5, 10, 30, 120), strict=True)] == [True] * 5

"""What a user can get wrong in a declaration or on the command line: one line, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas_sens.cli.main import main
from tests.fuzz.command_lines import listing
from tests.tiny_study import SPACE, STUDY

# (text in the study, what stands there instead, what the message must say)
STUDY_CASES = [
    ('name = "study"', "name = 5", ["name must be a valid string", "5"]),
    ('name = "study"', 'name = ""', ["name", "at least 1 character"]),
    ('name = "study"', 'name = "a "', ["name", "a "]),
    ('name = "study"', "nmae = 1", ["'nmae'", "did you mean 'name'"]),
    ('"space.toml"', '"spaec.toml"', ["no search space file 'spaec.toml'"]),
    ('"space.toml"', '"fc_vs_cn"', ["did you mean 'fc_vs_cnn'"]),
    ('"space.toml"', "3", ["search_space must be a name, a path or a table", "3"]),
    ('search_space = "space.toml"', "", ["'search_space' is required but missing"]),
    ("[data]", "[data", ["not valid TOML"]),
    ("[data]", "[dota]", ["'dota'", "did you mean 'data'"]),
    ('name = "npz:data.npz"', "", ["'data.name' is required"]),
    ('"npz:data.npz"', '"digit"', ["unknown data set 'digit'", "did you mean 'digits'"]),
    ('"npz:data.npz"', '"npz"', ["npz:PATH"]),
    ('"npz:data.npz"', '"npz:none.npz"', ["none.npz"]),
    ('"npz:data.npz"', '"npz:study.toml"', ["study.toml", "NumPy archive"]),
    ('"npz:data.npz"', '"npz:nan.npz"', ["x must be finite"]),
    ('"npz:data.npz"', '"npz:one_class.npz"', ["at least 2 classes"]),
    ('"npz:data.npz"', '"npz:short.npz"', ["one label for each"]),
    ('"npz:data.npz"', '"npz:negative.npz"', ["from 0 upwards"]),
    ('"npz:data.npz"', '"npz:range.npz"', ["y_test must be labels", "0 to 1"]),
    ('"npz:data.npz"', '"npz:text.npz"', ["must hold numbers"]),
    ('"npz:data.npz"', '"npz:flat.npz"', ["2 to 4 axes"]),
    ('"npz:data.npz"', '"npz:nokeys.npz"', ["missing"]),
    ('"npz:data.npz"', '"npz:tiny.npz"', ["cannot be split"]),
    ('"npz:data.npz"', '"cifar10"', ["not in the folder", "download = true"]),
    ('"npz:data.npz"', '"npz:data.npz"\ntrain_samples = 0', ["data.train_samples", "0"]),
    ('"npz:data.npz"', '"npz:data.npz"\ntrain_samples = 5000', ["train_samples = 5000", "lower train_samples"]),
    ('"npz:data.npz"', '"npz:data.npz"\ntrain_sample = 5', ["did you mean 'train_samples'"]),
    ('"npz:data.npz"', '"npz:data.npz"\nval_fraction = 1.5', ["data.val_fraction", "1.5"]),
    ('"npz:data.npz"', '"npz:data.npz"\nval_fraction = 0.001', ["val_fraction = 0.001"]),
    ('"npz:data.npz"', '"npz:data.npz"\nseed = -1', ["data.seed", "-1"]),
    ("n_inputs = 8", "n_inputs = 1", ["score.n_inputs", "greater than or equal to 2", "1"]),
    ("n_inputs = 8", 'n_inputs = "8"', ["score.n_inputs must be a valid integer"]),
    ("n_inputs = 8", "noise_std = 0", ["score.noise_std", "greater than 0"]),
    ("n_inputs = 8", "noise_std = nan", ["score.noise_std", "finite"]),
    ("n_inputs = 8", "noise = 0.1", ["'score.noise'"]),
    ("n_inputs = 8", 'probe_init = "he"', ["score.probe_init", "he_normal", "own"]),
    ("n_inputs = 8", 'estimator = "exact"', ["score.estimator", "closed_form", "monte_carlo"]),
    ("n_inputs = 8", 'metric = "luck"', ["score.metric", "output_sensitivity"]),
    ('"npz:data.npz"', '"npz:data.npz"\n[data.csv]\nencodin = "x"', ["'data.csv.encodin'", "did you mean 'encoding'"]),
    ('"npz:data.npz"', '"npz:data.npz"\n[data.csv]\nsep = ";;"', ["data.csv.sep must match pattern", "';;'"]),
    ('"npz:data.npz"', '"npz:data.npz"\n[data.csv]\nsep = ";"', ["'npz' takes no csv"]),
    ('"npz:data.npz"', '"npz:data.npz"\nlayout = "chw"', ["data.layout", "'nhwc'", "'chw'"]),
    ('"npz:data.npz"', '"npz:data.npz"\nlayout = "nchw"', ["must have 4 axes for layout = 'nchw'"]),
    ('"npz:data.npz"', '"npz:data.npz"\ndrop = ["a"]', ["'npz' takes no drop"]),
    ("n_candidates = 2", "n_candidates = 0", ["search.n_candidates", "0"]),
    ("n_candidates = 2", "n_candidates = 2.5", ["search.n_candidates", "2.5"]),
    ("n_candidates = 2", 'sampler = "grid"', ["search.sampler", "enumerate"]),
    ("n_candidates = 2", "seed = -3", ["search.seed", "-3"]),
    ("top_k = 1", "top_k = 0", ["select.top_k", "0"]),
    ("top_k = 1", 'rule = "best"', ["select.rule", "pareto"]),
    ("control = 0", "control = -1", ["select.control", "-1"]),
    ("top_k = 1", "stop_gain = 0", ["select.stop_gain", "0"]),
    ("top_k = 1", 'stop_gain = 0.1\nrule = "random"', ["select", "stop_gain", "given rule 'random'", "leave one out"]),
    ("top_k = 1", 'stop_gain = 0.1\ncost = "log10_params"', ["select", "stop_gain", "given cost 'log10_params'"]),
    ("epochs = 1", "epochs = 0", ["train.epochs", "0"]),
    ("epochs = 1", "learning_rate = -1e-3", ["train.learning_rate", "greater than 0"]),
    ("epochs = 1", 'optimizer = "adem"', ["train.optimizer", "adam"]),
    ("epochs = 1", "batch_size = 0", ["train.batch_size", "0"]),
    ("epochs = 1", "stop_loss = 0", ["train.stop_loss", "greater than 0"]),
]

SPACE_CASES = [
    ("[fc]", "[fcc]", ["unknown key 'fcc'", "did you mean 'fc'"]),
    ("depth = 1", "", ["'fc.depth' is required"]),
    ("depth = 1", "depht = 1", ["'fc.depht'", "did you mean 'depth'"]),
    ("depth = 1", "depth = -1", ["fc.depth", "-1"]),
    ("depth = 1", "depth = []", ["at least one value"]),
    ("depth = 1", 'depth = [1, "two"]', ["all be of one type"]),
    ("depth = 1", "depth = [1, 1]", ["differ from each other"]),
    ("depth = 1", "depth = [[1]]", ["booleans, numbers or strings"]),
    ("depth = 1", "depth = [1.5]", ["fc.depth", "1.5"]),
    ("depth = 1", 'depth = 1\nactivation = "rely"', ["fc.activation", "relu"]),
    ("depth = 1", 'depth = 1\ninit = ["he_normal", "she_normal"]', ["fc.init", "she_normal"]),
    ("depth = 1", "depth = 1\ndropout = 1.0", ["fc.dropout", "less than 1"]),
    ("low = 2, high = 8", "low = 8, high = 2", ["low must not be greater than high"]),
    ("low = 2, high = 8", "low = 0, high = 8, log = true", ["log needs a low above 0"]),
    ("low = 2, high = 8", "low = 0, high = 8", ["fc.width", "0"]),
    ("low = 2, high = 8", "low = 2, hihg = 8", ["did you mean 'high'"]),
    ("low = 2, high = 8", "low = 2", ["'fc.width.high' is required"]),
    ("low = 2, high = 8", "low = 2, high = 8.5", ["fc.width.high must be a finite int"]),
    ("low = 2, high = 8", "low = 2, high = inf", ["fc.width.high must be a finite int"]),
    ("low = 2, high = 8", "low = 2, high = 8, step = 0", ["step must be greater than 0"]),
    ("low = 2, high = 8", "low = 2, high = 9, step = 2", ["multiple of step"]),
    ("low = 2, high = 8", "low = 2, high = 8, step = 2, log = true", ["log and step"]),
    ('type = "int"', 'type = "integer"', ["fc.width.type must be 'int', 'float', 'categorical' or 'list'", "integer"]),
    ('type = "int", ', "", ["fc.width.type", "no type"]),
    ("high = 8 }", "high = 8 }\n[constraints]\nparam = { max = 5 }", ["constraints.param", "did you mean 'params'"]),
    ("high = 8 }", "high = 8 }\n[constraints]\nparams = 5", ["min, max or both"]),
    ("high = 8 }", "high = 8 }\n[constraints]\nparams = { most = 5 }", ["constraints.params.most"]),
    ("high = 8 }", "high = 8 }\n[constraints]\nparams = { min = 9, max = 5 }", ["min must not be greater than max"]),
    ("high = 8 }", "high = 8 }\n[constraints]\nwidth = { min = 'a' }", ["constraints.width.min", "finite number"]),
    (SPACE, 'name = "empty"', ["at least one family table"]),
]

COMMAND_CASES = [
    (["search", "none.toml"], ["no study file 'none.toml'"]),
    (["search", "."], ["no study file '.'"]),
    (["search", "study.toml", "--storage", "data.db"], ["database URL"]),
    (["search", "study.toml", "--storage", "sqlite:///none/a.db"], ["folder of the storage", "does not exist"]),
    (["search", "study.toml", "--storage", "sqlite://"], ["outlive"]),
    (["search", "study.toml", "--device", "cuda"], ["cuda", "--device cpu or auto"]),
    (["search", "study.toml", "--device", "abacus"], ["auto, cpu or an accelerator", "abacus", "--device cpu or auto"]),
    (["search", "study.toml", "--n-candidates", "-1"], ["--n-candidates"]),
    (["search", "study.toml", "--n-candidates", "many"], ["--n-candidates", "many"]),
    (["search", "study.toml", "--top-k", "0"], ["--top-k"]),
    (["search", "study.toml", "--seed", "-1"], ["--seed"]),
    (["search", "study.toml", "--name", ""], ["name"]),
    (["search", "study.toml", "--format", "xml"], ["--format", "xml"]),
    (["search"], ["STUDY"]),
    (["score", "study.toml", "--nothing"], ["--nothing"]),
    (["rank", "study"], ["no database"]),
    (["report", "study"], ["no database"]),
    (["train", "study"], ["no database"]),
    (["export", "study", "-o", "net"], ["no database"]),
    (["export", "study"], ["--output"]),
    (["export", "study", "-o", "net", "--rank", "0"], ["--rank"]),
    (["list"], ["spaces"]),
    (["list", "things"], ["things"]),
    (["status", "study"], ["no database"]),
    (["worker", "study"], ["no database"]),
    (["dashboard"], ["no database"]),
    (["migrate", "study"], ["no database"]),
    (["replay", "study"], ["no database"]),
    (["replay", "none.csv"], ["none.csv"]),
    (["replay", "study", "--budgets", "x"], ["no database"]),
    (["measure", "fc:depth=1", "--data", "digits"], ["width"]),
    (["measure", "fc:depth=1,width=4", "--data", "npz:none.npz"], ["none.npz"]),
    (["measure", "fc:depth=1,width=4", "--data", "npz:data.npz", "--metrics", "luck"], ["luck"]),
    (["measure", "fc:depth=1,width=4", "--data", "npz:data.npz", "--seeds", "99999"], ["--seeds"]),
    (["data", "npz:none.npz"], ["none.npz"]),
    (["data", "folder:https://example.org/a"], ["addresses cannot be read"]),
    (["search", "study.toml", "-o", "/dev/null/r.html"], ["the report must be a new file"]),
    (["search", "study.toml", "--artifacts", "/dev/null/a"], ["artifacts"]),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 4)), np.arange(60) % 2
    np.savez(tmp_path / "data.npz", x=x, y=y)
    np.savez(tmp_path / "nan.npz", x=np.full_like(x, np.nan), y=y)
    np.savez(tmp_path / "one_class.npz", x=x, y=np.zeros(60, dtype=int))
    np.savez(tmp_path / "short.npz", x=x, y=y[:-1])
    np.savez(tmp_path / "negative.npz", x=x, y=y - 1)
    np.savez(tmp_path / "range.npz", x_train=x, y_train=y, x_test=x, y_test=y + 1)
    np.savez(tmp_path / "text.npz", x=x.astype(str), y=y)
    np.savez(tmp_path / "flat.npz", x=x[:, 0], y=y)
    np.savez(tmp_path / "nokeys.npz", a=x)
    np.savez(tmp_path / "tiny.npz", x=x[:3], y=y[:3])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTUNA_STORAGE", "")
    return tmp_path


def check(folder: Path, arguments: list[str], texts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = listing(folder)
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    out, err = capsys.readouterr()
    assert exit_.value.code == 2, err
    assert out == ""
    errors = [line for line in err.splitlines() if line.lower().startswith(("nas-sens: error:", "error:"))]
    assert len(errors) == 1, err
    for text in texts:
        assert text in err
    assert listing(folder) == before


def write(folder: Path, study: str = STUDY, space: str = SPACE) -> None:
    (folder / "study.toml").write_text(study)
    (folder / "space.toml").write_text(space)


@pytest.mark.parametrize(("old", "new", "texts"), STUDY_CASES, ids=lambda v: repr(v)[:40])
def test_studies(folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, texts: list[str]) -> None:
    assert STUDY.count(old) >= 1
    write(folder, study=STUDY.replace(old, new, 1))
    check(folder, ["search", "study.toml"], ["study.toml", *texts] if "npz" not in old else texts, capsys)


@pytest.mark.parametrize(("old", "new", "texts"), SPACE_CASES, ids=lambda v: repr(v)[:40])
def test_spaces(folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, texts: list[str]) -> None:
    assert SPACE.count(old) == 1
    write(folder, space=SPACE.replace(old, new, 1))
    check(folder, ["search", "study.toml"], ["space.toml", *texts], capsys)


@pytest.mark.parametrize(("arguments", "texts"), COMMAND_CASES, ids=lambda v: " ".join(v)[:50])
def test_commands(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], texts: list[str]) -> None:
    write(folder)
    check(folder, arguments, texts, capsys)


def test_the_unchanged_declaration_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder)
    with pytest.raises(SystemExit) as exit_:
        main(["search", "study.toml"])
    assert exit_.value.code == 0, capsys.readouterr().err
    assert (folder / "nas_sens.db").is_file()

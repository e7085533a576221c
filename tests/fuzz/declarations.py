"""Declared files as users get them wrong: valid ones, some values, keys, tables or bytes of which are others."""

from __future__ import annotations

import copy
import functools
import sys
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from nas_sens.core.declarations import bundled
from nas_sens.core.errors import NasSensError
from nas_sens.core.identity import canonical_json
from nas_sens.pipeline.declare import declare
from nas_sens.samplers.proposer import Proposer
from nas_sens.study.load import from_dict
from tests.fuzz.contract import Hang, deadline, fault_of_message, name_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEADLINE = 5.0  # seconds of one declaration

WIDE = """
name = "wide"
description = "as many keys as there are"
[search_space]
name = "union"
description = "two families"
[search_space.fc]
depth = { type = "int", low = 1, high = 6 }
width = { type = "int", low = 16, high = 512, log = true }
activation = "relu"
init = ["standard_normal", "xavier_uniform"]
dropout = { type = "float", low = 0.0, high = 0.5, step = 0.1 }
[search_space.cnn]
depth = { type = "categorical", choices = [1, 2, 3] }
channels = 16
[search_space.constraints]
params = { min = 20_000, max = 2_000_000 }
flops = { max = 1e9 }
depth = { min = 1 }
[search_space.training]
learning_rate = { type = "float", low = 1e-4, high = 1e-2, log = true }
together = [{ optimizer = "adam", batch_size = 32 }, { optimizer = "sgd", batch_size = 64 }]
[data]
name = "digits"
task = "classification"
train_samples = 1000
val_fraction = 0.2
test_fraction = 0.2
standardize = true
root = "data"
seed = 0
[score]
metric = "output_sensitivity"
estimator = "auto"
probe_init = "standard_normal"
noise_std = 0.1
n_inputs = 64
seeds = 3
precision = 0.1
max_seeds = 8
reduced = { depth = 1 }
metrics = ["params", "flops"]
[search]
sampler = "random"
n_candidates = 400
seed = 0
grow = 8
[select]
rule = "calibrated"
top_k = 6
control = 3
rounds = 3
target = "val_error"
cost = "log10_params"
final = "val_loss"
[train]
epochs = 10
optimizer = "adam"
schedule = "multistep"
decay_epochs = [3, 6]
weight_decay = 1e-4
augmentation = ["flip"]
transforms = [{ name = "Normalize", mean = [0.5], std = [0.5] }]
seeds = 2
stop_loss = 1e-3
metrics = ["params"]
metrics_every = 2
recordings = ["points"]
recording_epochs = [1, 2]
checkpoint_seconds = 1.0
[[figures]]
kind = "scatter"
x = "log10_params"
y = "log10_test_loss"
group = "family"
fit = true
[full.train]
epochs = 60
[full.search]
n_candidates = 1000
"""
# As in TOML; what `write` cannot say stands in `Raw`.
ODD = (
    True, False, 0, 1, -1, 2, 3, 10**18, -(2**63), 2**63, 2**64, 10**30, 10**308, 10**400, -(10**400), 0.0, -0.0, 0.5,
    1e-300, 5e-324, 1e300, 1.7976931348623157e308, -1e308, float("inf"), float("-inf"), float("nan"), "", " ", "a ",
    "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\u202eabc", "\u2028", "a/train", "..", "/", "\t", "a\nb", "x" * 10_000,
    "é", "\U0001f600", "auto", "none", "relu", "adam", "full", "1", "nan", "npz:", "csv:https://example.org/a.csv",
    "npz:\x00", "folder:.", "hf:", "fc", "quickstart", "./", [], [[]], [1], [1, 1], [1, "a"], [1, 2.0], [True, 1],
    [0.5, float("nan")], ["a", "a"], [""], [{}], list(range(2000)), {}, {"": 1}, {"type": "int"}, {"type": []},
    {"type": "int", "low": 1, "high": 10**400}, {"type": "int", "low": 1, "high": 2**70},
    {"type": "int", "low": -(10**400), "high": 10**400}, {"type": "int", "low": 1, "high": 10, "step": 10**400},
    {"type": "int", "low": 1, "high": 10**12}, {"type": "int", "low": 1, "high": 10**6},
    {"type": "int", "low": 1, "high": 10**9, "log": True}, {"type": "int", "low": 0, "high": 8, "log": True},
    {"type": "float", "low": 0, "high": 1, "step": 1e-300}, {"type": "float", "low": 0, "high": 1e300, "step": 1},
    {"type": "float", "low": 0.0, "high": 1.0, "step": 1e-9}, {"type": "float", "low": 1e-320, "high": 1, "log": True},
    {"type": "float", "low": 5, "high": 1}, {"type": "float", "low": float("nan"), "high": 1},
    {"type": "float", "low": -1e308, "high": 1e308}, {"type": "float", "low": 0, "high": 1e300},
    {"type": "int", "low": True, "high": False}, {"type": "int", "low": 1, "high": 3, "step": True},
    {"type": "int", "low": 1.0, "high": 2.0}, {"type": "float", "low": "a", "high": []},
    {"type": "float", "low": 10**400, "high": 10**401}, {"type": "categorical", "choices": {}},
    {"type": "categorical", "choices": []}, {"type": "categorical", "choices": [10**400, 1]},
    {"type": "categorical", "choices": [1, 1.0]}, {"type": "categorical", "choices": ["x" * 2000, "y"]},
    {"type": "int", "low": 1, "high": 4, "log": "yes"}, {"type": "int", "low": 1, "high": 4, "step": 0.5},
    {"min": 10**400}, {"min": 1, "max": 0}, {"max": -1}, {"max": float("nan")}, {"min": True}, {"depth": 3},
    date(2020, 1, 1),
)  # fmt: skip
ODD_KEYS = ("", " ", "a.b", "\x00", "\x1b]0;x\x07", "x" * 3000, "type", "name", "low", "\u202e", "__class__", "self",
            "é", "full", "params", "together", "training", "families", "source", "fc", "1")  # fmt: skip


class Raw(str):
    """TOML as it is written."""


RAW = (
    *(Raw(t) for t in ("[" * 3000 + "]" * 3000, "{a=" * 2000 + "1" + "}" * 2000, "0x" + "f" * 3000, "9" * 5000)),
    *(Raw(t) for t in ("2020-01-01T00:00:00Z", "07:32:00", "1e400", "-1e400", "0b1", "1_000", '"\\ud800"', "", "=")),
    *(Raw(t) for t in ('"C:\\Users\\me\\x.npz"', "'C:\\Users'", '"\\uD83D"', '"""\n"""', "[1,]", "True", "+nan", "[")),
    Raw("1" * 400 + "." + "1" * 400),
)


def write(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_escaped(c) for c in value) + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{write(k)} = {write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(write, value)) + "]"
    if isinstance(value, int):
        digits = f"{value:x}"  # decimal digits of many are refused by Python itself
        return str(value) if abs(value) < 10**600 else f"0x{digits}"
    return str(value)


def _escaped(character: str) -> str:
    return character if character.isprintable() and character not in '"\\' else f"\\U{ord(character):08x}"


def text_of(table: dict[str, Any]) -> str:
    """Return a table as a file."""
    return "".join(f"{write(k)} = {write(v)}\n" for k, v in table.items())


@functools.cache
def bases() -> tuple[dict[str, Any], ...]:
    """Return valid declarations: one with as many keys as there are, twice, and all bundled ones."""
    wide = tomllib.loads(WIDE)
    others = [tomllib.loads(p.read_text(encoding="utf-8")) for p in bundled("studies").values()]
    spaces = [{"name": "s", "data": {"name": "digits"}, "search_space": tomllib.loads(p.read_text(encoding="utf-8"))}
              for p in bundled("search_spaces").values()]  # fmt: skip
    return (*[wide] * (len(others) + len(spaces)), *others, *spaces)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything in a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    return functools.reduce(lambda t, key: t[key], path, tree)


@st.composite
def declared_files(draw: st.DrawFn) -> bytes:
    """Return a strategy of files that are nearly valid."""
    table = copy.deepcopy(draw(st.sampled_from(bases())))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(table)[1:] or [("name",)]))
        holder, key = _at(table, path[:-1]), path[-1]
        how = draw(st.sampled_from(["odd"] * 4 + ["raw", "delete", "add", "rename", "copy", "number", "wrap"]))
        if how == "odd":
            holder[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
        elif how == "raw":
            holder[key] = draw(st.sampled_from(RAW))
        elif how == "delete":
            del holder[key]
        elif how == "add" and isinstance(holder, dict):
            holder[draw(st.sampled_from(ODD_KEYS))] = copy.deepcopy(draw(st.sampled_from(ODD)))
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(ODD_KEYS))] = holder.pop(key)
        elif how == "copy":
            holder[key] = copy.deepcopy(_at(table, draw(st.sampled_from(places(table)))))
        elif how == "wrap":
            holder[key] = [holder[key]] * draw(st.integers(1, 2))
        elif isinstance(holder[key], (int, float)):
            holder[key] = draw(st.one_of(st.integers(), st.floats(), st.integers(-(10**320), 10**320)))
        if not table:
            break
    content = text_of(table).encode("utf-8", "surrogatepass")
    return draw(st.one_of(st.just(content), st.just(content), st.just(content), damaged(content)))


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Return a strategy of a text file with other bytes at one place, cut, or in another encoding."""
    how = draw(st.sampled_from(["cut", "insert", "bom", "utf-16", "latin-1", "crlf", "json", "empty"]))
    at = draw(st.integers(0, len(content)))
    if how == "cut":
        return content[:at]
    if how == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=6)) + content[at:]
    text = content.decode("utf-8", "replace")
    return {
        "bom": b"\xef\xbb\xbf" + content,
        "utf-16": text.encode("utf-16", "replace"),
        "latin-1": (text + "# é").encode("latin-1", "replace"),
        "crlf": content.replace(b"\n", b"\r\n"),
        "json": b'{"name": "a", "data": {"name": "digits"}}',
        "empty": b"",
    }[how]


def run(content: bytes, folder: Path) -> str | None:
    """Return what is wrong with what becomes of a declared file; None if nothing is.

    It is declared at both sizes, sampled from, stored and read again, without data or database.
    """
    path = folder / "study.toml"
    path.write_bytes(content)
    try:
        with deadline(DEADLINE):
            for full in (False, True):
                spec = declare(path, full=full)
                stored = canonical_json(spec.to_dict())
                assert canonical_json(from_dict(spec.to_dict()).to_dict()) == stored
                _sample(spec)
    except NasSensError as error:
        return fault_of_message(str(error))
    except Hang:
        return "hang"
    except Exception as error:
        return name_of(error)
    return None


def _sample(spec: Any) -> None:
    space = spec.search_space
    proposer = Proposer(space, sampler=spec.search.sampler, seed=spec.search.seed, n_candidates=3)
    for _ in range(3):
        if (proposal := proposer.ask()) is None:
            break
        space.violation(proposal.architecture.to_dict())
        proposer.tell(proposal, 1.0)
    space.sample(seed=1)

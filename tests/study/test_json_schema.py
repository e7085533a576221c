"""The JSON schemas of study files: up to date, and met by every file that nas_sens reads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nas_sens.core.declarations import bundled, bundled_folder
from nas_sens.core.toml_reader import read_toml
from nas_sens.study.json_schema import SECTIONS, schemas
from tests.tiny_study import SPACE, STUDY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS = {"study": "studies", "search_space": "search_spaces"}
FILES = [(kind, path) for kind, folder in KINDS.items() for path in bundled(folder).values()]


def errors(kind: str, table: dict[str, Any]) -> list[str]:
    return [e.json_path for e in jsonschema.Draft202012Validator(schemas()[kind]).iter_errors(table)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schema_is_the_one_that_the_classes_make(kind: str) -> None:
    schema = schemas()[kind]
    jsonschema.Draft202012Validator.check_schema(schema)
    committed = json.loads((bundled_folder("schemas") / f"{kind}.json").read_text(encoding="utf-8"))
    assert committed == schema, "run: make schemas"


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda v: v.stem if isinstance(v, Path) else v)
def test_bundled_files_meet_their_schema_which_their_first_line_names(kind: str, path: Path) -> None:
    assert errors(kind, read_toml(path)) == []
    mark, _, place = path.read_text(encoding="utf-8").partition("\n")[0].partition(" ")
    assert mark == "#:schema"
    assert (path.parent / place).resolve() == (bundled_folder("schemas") / f"{kind}.json").resolve()


# (kind, text of a file, where the schema finds fault)
CASES = [
    ("study", STUDY, []),
    ("study", STUDY.replace("epochs = 1", "epochs = 0"), ["$.train.epochs"]),
    ("study", STUDY.replace("epochs = 1", "epoch = 1"), ["$.train"]),
    ("study", STUDY.replace("control = 0", 'rule = "best"'), ["$.select.rule"]),
    ("study", STUDY.replace("control = 0", 'target = "val_loss"\ndirection = "up"'), ["$.select.direction"]),
    ("study", STUDY.replace('search_space = "space.toml"', ""), ["$"]),
    ("study", STUDY.replace("[data]\n", "[dota]\n"), ["$", "$"]),
    ("study", STUDY.replace("seeds = 1\n[search]", 'metrics = "most"\n[search]'), ["$.score.metrics"]),
    ("study", STUDY + 'augmentation = "flip"', []),
    ("study", STUDY + 'augmentation = "flip+rotation"', []),
    ("study", STUDY + 'augmentation = "flip+spin"', ["$.train.augmentation"]),
    ("study", STUDY + 'augmentation = ["flip", "spin"]', ["$.train.augmentation"]),
    ("study", STUDY + "[full.train]\nepochs = 2", []),
    ("study", STUDY + '[full.data]\nnmae = "x"', ["$.full.data"]),
    ("study", STUDY + "[full.refine]\n", ["$.full"]),
    ("study", STUDY + '[[figures]]\nkind = "pie"', ["$.figures[0].kind"]),
    ("search_space", SPACE, []),
    ("search_space", SPACE.replace("[fc]", "[fcc]"), ["$"]),
    ("search_space", SPACE.replace("[fc]", '["mine:build"]'), []),
    ("search_space", SPACE.replace("depth = 1", "deep = 1"), ["$.fc"]),
    ("search_space", SPACE.replace("high = 8", "hi = 8"), ["$.fc.width"]),
    ("search_space", SPACE + "[constraints]\nparams = { max = 10 }\nwidth = { min = 3 }", []),
    ("search_space", SPACE + "[constraints]\nparams = { most = 10 }", ["$.constraints.params"]),
    ("search_space", SPACE + "[constraints]\nlatency_ms = { max = 1, batch = 0 }", ["$.constraints.latency_ms.batch"]),
    ("search_space", SPACE + "[training]\nlearning_rate = [0.1, 0.2]", []),
    ("search_space", SPACE + "[training]\nepochs = [1, 2]", ["$.training"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "expected"), CASES)
def test_the_schema_finds_what_is_wrong_and_lets_the_rest_be(kind: str, text: str, expected: list[str]) -> None:
    assert errors(kind, tomllib.loads(text)) == expected


def test_every_key_of_a_section_says_what_it_is_for() -> None:
    definitions = schemas()["study"]["$defs"]
    silent = [f"{s}.{k}" for s in SECTIONS for k, v in definitions[s]["properties"].items() if "description" not in v]
    assert silent == []
    assert "``" not in json.dumps(schemas(), ensure_ascii=False)
    assert ":class:" not in json.dumps(schemas())

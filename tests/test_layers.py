"""Imports of the package point one way, from its lower layers to its higher ones."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

import nas_sens

PACKAGE = Path(nas_sens.__file__).parent

# From the lowest to the highest. A unit is a file or a folder of the package, or some files that make one thing;
# a unit imports units of lower layers only. A new file is added here by hand: deciding on its layer is the point.
LAYERS: list[set[str]] = [
    {"errors", "threads"},
    {"identity", "declarations", "initialization", "device", "progress", "records", "interrupts"},
    {"architectures", "data"},
    {"metrics"},
    {"recordings"},
    {"train_spec"},
    {"space", "probe", "measurement", "quantities"},
    {"scoring", "training", "selection", "claims", "statistics"},
    {"storage", "export", "model_card", "report", "timm_registry", "timm_hook", "study"}
    | {"racing", "features", "replay", "outcome_table"},
    {"results", "resolve", "plan", "tabular"},
    {"annotations", "trained_models"},
    {"session"},
    {"score_stage", "train_stage"},
    {"pipeline", "display", "dashboard"},
    {"cli", "public"},
    {"__init__", "__main__"},
]
UNITS = {
    "regression_fit": "statistics",
    "line_fit": "statistics",
    "bulk": "storage",
    "bulk_read": "storage",
    "pruning": "storage",
    "excerpt": "storage",
    "record_attributes": "storage",
    "record_trials": "storage",
    "storage_url": "storage",
    "figure_spec": "quantities",
    "full_size": "declarations",
    "init_schemes": "initialization",
    "optuna_log": "space",
    "subset": "data",
    "augmentation": "train_spec",
    "image_transforms": "train_spec",
    "train_summary": "train_stage",
}
MAY_IMPORT_OPTUNA = {"space", "storage", "pipeline"}
NEVER_OPTUNA_EVEN_INDIRECTLY = {"metrics", "architectures", "training"}

FILES = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in sorted(PACKAGE.rglob("*.py"))}
MODULES = {name.removesuffix(".__init__") for name in FILES}


def unit_of(module: str) -> str:
    top = module.split(".")[0]
    return UNITS.get(top, top)


def layer_of(module: str) -> int:
    found = [i for i, layer in enumerate(LAYERS) if unit_of(module) in layer]
    assert len(found) == 1, f"{module}: decide on its layer, and add it to LAYERS (or UNITS) of {__file__}"
    return found[0]


def runtime_nodes(tree: ast.AST):
    """Yield all nodes, functions' bodies included, but for what stands under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from runtime_nodes(node)


def imported_by(name: str, text: str) -> tuple[set[str], set[str]]:
    """Return the modules of the package (dotted, without its name) and the foreign modules that a file imports."""
    inside, outside = set(), set()
    folder = name.split(".")[:-1]  # an __init__ is a file of its folder, as the others are
    for node in runtime_nodes(ast.parse(text)):
        if isinstance(node, ast.Import):
            outside |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outside.add(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= len(folder) + 1, f"{name}:{node.lineno} imports from above the package"
            base = [*folder[: len(folder) + 1 - node.level], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                whole, part = ".".join([*base, alias.name]), ".".join(base)
                inside.add(whole if whole in MODULES else part or f"__init__ ({alias.name})")
    return inside, outside


GRAPH = {name: imported_by(name, path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def test_every_module_belongs_to_a_layer():
    for name in FILES:
        layer_of(name)
    units = {unit_of(name) for name in FILES}
    assert set().union(*LAYERS) == units, "LAYERS names what is no longer there"


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_lower_layers_only(name):
    inside, outside = GRAPH[name]
    for target in inside:
        assert not target.startswith("__init__"), f"{name} imports {target} of the package's front door"
        is_lower = layer_of(target) < layer_of(name)
        assert is_lower or unit_of(target) == unit_of(name), f"{name} must not import {target}: it is no lower layer"
    assert not [o for o in outside if o.split(".")[0] == "nas_sens"], f"{name}: import by relative names"


def test_only_space_storage_and_pipeline_import_optuna():
    users = {unit_of(n) for n, (_, outside) in GRAPH.items() if any(o.split(".")[0] == "optuna" for o in outside)}
    assert users <= MAY_IMPORT_OPTUNA
    assert {"space", "storage"} <= users, "the test does not see what is there"


def test_metrics_architectures_and_training_do_not_need_optuna():
    needed = {n for n in MODULES if unit_of(n) in NEVER_OPTUNA_EVEN_INDIRECTLY}
    while True:
        more = {m for n in needed for m in GRAPH.get(n, GRAPH.get(f"{n}.__init__"))[0]} - needed
        if not more:
            break
        needed |= more
    assert not {unit_of(n) for n in needed} & MAY_IMPORT_OPTUNA


def test_no_cycles():
    graph = {n.removesuffix(".__init__"): inside for n, (inside, _) in GRAPH.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("errors") < order.index("cli")


def test_the_reader_of_imports_sees_all_kinds_of_them():
    text = "if TYPE_CHECKING:\n    from .a import A\ndef f():\n    from ..errors import B\n    import optuna.x\n"
    assert imported_by("space.sampling", text) == ({"errors"}, {"optuna.x"})
    assert imported_by("cli", "from . import pipeline, search") == ({"pipeline", "__init__ (search)"}, set())

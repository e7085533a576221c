"""Rooms of the package, and the walls between them: imports point one way, from higher levels to lower ones."""

from __future__ import annotations

import grimp
import pytest

# From the lowest level to the highest. A room imports rooms of lower levels only.
LEVELS: list[set[str]] = [
    {"core", "statistics"},
    {"data", "architectures", "storage"},
    {"metrics", "executors"},
    {"recordings"},
    {"study"},
    {"scoring", "selection", "training", "results"},
    {"report", "models", "samplers", "own_study"},
    {"dashboard"},  # says in its notes what the report says
    {"pipeline"},
    {"cli", "public", "optuna"},
    {"__main__"},
]
NEVER_OPTUNA_EVEN_INDIRECTLY = ("metrics", "architectures", "training", "recordings", "data")
NO_TORCH = (
    *("cli.main", "cli.result_commands", "results.search_result", "report.page", "report.declared.figures"),
    *("storage.study_storage", "study.select_spec", "study.quantity_names", "core.candidates", "core.declarations"),
)
# What a function imports when it runs is no import of its module (see `cli`).
GRAPH = grimp.build_graph(
    "nas_sens", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
)
ROOMS = {m.removeprefix("nas_sens.") for m in GRAPH.find_children("nas_sens")}


def level_of(room: str) -> int:
    found = [i for i, rooms in enumerate(LEVELS) if room in rooms]
    assert len(found) == 1, f"{room}: decide on its level, and add it to LEVELS of {__file__}"
    return found[0]


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_has_its_level():
    assert set().union(*LEVELS) == ROOMS


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_lower_rooms_only(room):
    inside = {f"nas_sens.{room}", *GRAPH.find_descendants(f"nas_sens.{room}")}
    arrows = [(a, b) for a in inside for b in GRAPH.find_modules_directly_imported_by(a) if b.startswith("nas_sens")]
    wrong = [
        (a, b) for a, b in arrows if room_of(b) != room and (not room_of(b) or level_of(room_of(b)) >= level_of(room))
    ]
    assert not wrong


@pytest.mark.parametrize("room", NEVER_OPTUNA_EVEN_INDIRECTLY)
def test_what_is_measured_and_trained_does_not_need_optuna(room):
    assert GRAPH.find_shortest_chain(f"nas_sens.{room}", "optuna", as_packages=True) is None


def test_the_graph_sees_optuna_where_it_is():
    assert "optuna" in GRAPH.find_modules_directly_imported_by("nas_sens.storage.bulk_write")


def test_no_module_imports_itself_by_a_circle():
    assert not GRAPH.nominate_cycle_breakers("nas_sens")

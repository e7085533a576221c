"""Print the rooms of the package: their levels, sizes and arrows, circles, and arrows that point up.

    python docs/house.py [FOLDER that holds nas_sens]

Imports are those that grimp finds, in functions too, but not those under ``if TYPE_CHECKING``. A room is a folder or a
file of the package; its level is one above the highest room that it imports.
"""

from __future__ import annotations

import importlib
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


def room_of(module: str) -> str:
    """Return the room of a module, of which the package itself is one."""
    return [*module.split("."), "__init__"][1]


def arrows(folder: Path) -> tuple[dict[str, set[str]], dict[str, list[Path]]]:
    """Return room to imported rooms, and room to its files."""
    sys.path.insert(0, str(folder))
    import grimp

    graph = grimp.build_graph("nas_sens", exclude_type_checking_imports=True, cache_dir=None)
    root = Path(importlib.import_module("nas_sens").__file__ or "").parent
    found: dict[str, set[str]] = defaultdict(set)
    files: dict[str, list[Path]] = defaultdict(list)
    for module in sorted(graph.modules):
        room = room_of(module)
        path = root.joinpath(*module.split(".")[1:])
        files[room].append(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
        for target in graph.find_modules_directly_imported_by(module):
            other = room_of(target)
            found[room] |= {other} - {room}
    return {room: found[room] for room in files}, files


def levels(rooms: dict[str, set[str]]) -> dict[str, int]:
    """Return room to level, from 1 on; rooms of a circle have the level of the highest of them."""
    level = dict.fromkeys(rooms, 1)
    for _ in rooms:
        level |= {r: max([level[r], *(1 + level[t] for t in targets)]) for r, targets in rooms.items()}
        if max(level.values()) > len(rooms):  # a circle lifts itself for ever
            break
    return level


def circle(rooms: dict[str, set[str]]) -> list[str]:
    """Return the rooms of a circle; none if there is none."""
    try:
        TopologicalSorter(rooms).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def main() -> None:
    """Print the picture."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    rooms, files = arrows(folder)
    found, level = circle(rooms), levels(rooms)
    for room in sorted(rooms, key=lambda r: (-level[r], r)):
        lengths = [len(f.read_text(encoding="utf-8").splitlines()) for f in files[room]]
        where = ", ".join(sorted(rooms[room], key=lambda r: (-level[r], r))) or "nothing"
        print(f"{level[room]:>3}  {room:<15} {len(lengths):>3} files {sum(lengths):>6} lines   imports {where}")
    up = [(a, b) for a, targets in rooms.items() for b in targets if level[b] >= level[a]]
    n_arrows = sum(map(len, rooms.values()))
    print(f"\n{len(rooms)} rooms, {max(level.values())} levels, {n_arrows} arrows, {len(up)} of them not downwards")
    print(f"circle: {' -> '.join(found)}" if found else "no circle")


if __name__ == "__main__":
    main()

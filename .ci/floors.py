"""Print the oldest versions that pyproject.toml allows, as constraints for pip; arguments are extras to add."""

import sys
from pathlib import Path

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for line in sum((project["optional-dependencies"][extra] for extra in sys.argv[1:]), project["dependencies"]):
    requirement = Requirement(line)
    floors = [s.version for s in requirement.specifier if s.operator == ">="]
    if len(floors) != 1:
        sys.exit(f"pyproject.toml must declare the oldest version with >=; {line!r} does not")
    if requirement.marker is None or requirement.marker.evaluate():
        print(f"{requirement.name}=={floors[0]}")

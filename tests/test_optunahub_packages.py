"""What can be submitted to OptunaHub's registry: loads as the registry loads it, has what it asks for, and works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import optunahub
import pytest

import nas_sens.optuna

ROOT = Path(__file__).parent.parent / "optunahub"
PACKAGES = {"samplers": ["SensitivitySampler"], "pruners": ["SensitivityPruner", "score"]}


@pytest.mark.parametrize("kind", PACKAGES)
def test_it_loads_from_a_registry(kind):
    module = optunahub.load_local_module(package=f"package/{kind}/nas_sens_sensitivity", registry_root=str(ROOT))
    assert module.__all__ == PACKAGES[kind]
    for name in PACKAGES[kind]:
        assert getattr(module, name) is getattr(nas_sens.optuna, name)


@pytest.mark.parametrize("kind", PACKAGES)
def test_it_has_what_the_registry_asks_for(kind):
    folder = ROOT / "package" / kind / "nas_sens_sensitivity"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    front = dict(re.findall(r"^(\w+): (.+)$", readme.split("---\n")[1], flags=re.MULTILINE))
    assert set(front) == {"author", "title", "description", "tags", "optuna_versions", "license"}
    assert front["tags"].startswith(f"[{kind.removesuffix('s')},")
    assert front["license"] == "MIT License"
    assert re.fullmatch(r"\[\d+\.\d+\.\d+\]", front["optuna_versions"])
    for section in ("Abstract", "APIs", "Installation", "Example"):
        assert f"\n## {section}\n" in readme
    assert (folder / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
    assert "nas-sens" in (folder / "requirements.txt").read_text(encoding="utf-8").split()


@pytest.mark.slow
@pytest.mark.parametrize("kind", PACKAGES)
def test_its_example_runs_and_its_own_tests_pass(kind):
    folder = ROOT / "package" / kind / "nas_sens_sensitivity"
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    example = (folder / "example.py").read_text(encoding="utf-8")
    local = f'load_local_module("package/{kind}/nas_sens_sensitivity", registry_root=".")'
    assert example.count("load_module(") == 1
    code = re.sub(r"load_module\(.*\)", local, example)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'width'" in done.stdout
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(ROOT)]
    done = subprocess.run([*command, str(folder / "tests")], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

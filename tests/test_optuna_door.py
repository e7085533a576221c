"""``nas_sens.optuna`` is a door of its own: opened when it is asked for, and never taken for Optuna."""

from __future__ import annotations

import subprocess
import sys


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_is_there_after_importing_the_package_and_not_loaded_before():
    code = "import sys, nas_sens; print('nas_sens.optuna' in sys.modules, nas_sens.optuna.score.__module__)"
    assert python(code) == "False nas_sens.own_study.score"


def test_it_can_be_imported_by_its_name_and_optuna_is_still_optuna():
    code = "import nas_sens.optuna as no, optuna, nas_sens.own_study.pruner as p; print(optuna.__name__, no.__all__)"
    expected = ["Scored", "SensitivityPruner", "SensitivitySampler", "enqueue", "score", "should_train"]
    assert python(code) == f"optuna {expected}"

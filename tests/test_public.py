"""The front door: public names come when they are asked for, and what needs no PyTorch does without it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import nas_sens
from nas_sens import public
from nas_sens.cli.main import main
from nas_sens.core.candidates import ScoredCandidate
from nas_sens.storage.study_storage import StudyStorage

WITHOUT_TORCH = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        assert name != "torch", "PyTorch is imported"
sys.meta_path.insert(0, Blocker())
from nas_sens.cli.main import main
main(sys.argv[1:])
"""


def test_every_public_name_is_there() -> None:
    assert set(nas_sens.__all__) <= set(dir(nas_sens))
    for name in nas_sens.__all__:
        assert getattr(nas_sens, name) is getattr(public, name)


def test_there_is_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert version("nas-sens") == nas_sens.__version__  # if not, what is installed is older than the code
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"nas-sens, version {nas_sens.__version__}\n"


def test_no_public_name_is_a_submodule_too() -> None:
    folder = Path(nas_sens.__file__).parent  # importing it would put the module in the name's place
    assert not {p.stem for p in folder.iterdir()} & set(nas_sens.__all__)


def test_submodules_are_attributes_and_mistakes_are_told() -> None:
    assert nas_sens.core.candidates.ScoredCandidate is ScoredCandidate
    with pytest.raises(AttributeError, match="has no attribute 'serach'"):
        _ = nas_sens.serach


def test_a_fresh_process_has_all_names_and_takes_torch_only_then() -> None:
    code = (
        "import sys, nas_sens; assert 'torch' not in sys.modules; assert not hasattr(nas_sens, 'nothing'); "
        "from nas_sens import *; assert 'torch' in sys.modules; assert train and callable(measure) and INIT_SCHEMES"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


COMMANDS = ("dashboard", "export", "list", "measure", "migrate", "rank", "replay", "report", "score", "search", "train")


def test_help_does_without_pytorch_and_names_every_command() -> None:
    code = WITHOUT_TORCH.replace("main(sys.argv[1:])", "") + "from nas_sens.cli.main import cli\n"
    code += "for command in [['--help'], *([name, '--help'] for name in sys.argv[1:])]:\n"
    code += "    cli.main(command, prog_name='nas-sens', standalone_mode=False)\n"
    found = subprocess.run([sys.executable, "-c", code, *COMMANDS], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z].*[.…]$", found.stdout, flags=re.MULTILINE), name
        assert f"Usage: nas-sens {name} " in found.stdout


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = "import sys; from nas_sens.cli.main import cli; cli.main(['--help'], standalone_mode=False); "
    code += "print([m for m in ('torch', 'optuna', 'sqlalchemy', 'numpy', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [["rank", "small", "--scored"], ["report", "small"]])
def test_reading_commands_do_without_pytorch(tmp_path: Path, command: list[str]) -> None:
    storage = StudyStorage(f"sqlite:///{tmp_path}/nas_sens.db")
    study = '{"name": "small", "data": {"name": "digits"}, "select": {}, "train": {}}'
    storage.create("small", {"study": study, "space_digest": "0"}, objective="val_error")
    architecture = '{"depth":1,"family":"fc","init":"he_normal","width":4}'
    record = ScoredCandidate(digest="d", architecture=architecture, params=5, flops=9, log10_sensitivity=0.5)
    storage.add_scored("small", [(record, {})])
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stderr
    assert {"rank": "fc-1x4", "report": "small_report.html"}[command[0]] in found.stdout

"""An exported program loads without the classes of what its network returns."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict, namedtuple
from pathlib import Path

import torch
from torch import nn
from torch.utils import _pytree

from nas_sens.core.inputs import shape_from
from nas_sens.models.program import write_program


class Own(OrderedDict):
    """As frameworks have them: a dict of a kind of its own, which is registered where it is imported."""


_pytree.register_pytree_node(
    Own, lambda own: (list(own.values()), list(own)), lambda values, names: Own(zip(names, values, strict=True)),
    serialized_type_name="tests.Own",
)  # fmt: skip
Pair = namedtuple("Pair", "logits loss")


class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.layer = kind, nn.Linear(3, 2)

    def forward(self, x):
        logits = self.layer(x)
        return {"own": Own(logits=logits), "pair": Pair(logits, None), "many": (Own(logits=logits), [logits])}[
            self.kind
        ]


KINDS = {"own": (Own, "y['logits']"), "pair": (Pair, "y['logits']"), "many": (tuple, "y[0]['logits'] + 0 * y[1][0]")}
CODE = """
import torch
for kind, found in FOUND.items():
    y = torch.export.load(kind + "/model.pt2").module()(torch.ones(5, 3))
    print(eval(found).tolist())
"""


def test_what_a_network_returns_is_plain_in_its_program_and_as_it_was_in_itself(tmp_path: Path) -> None:
    nets = {kind: Net(kind) for kind in KINDS}
    for kind, model in nets.items():
        (tmp_path / kind).mkdir()
        write_program(tmp_path / kind, model, shape_from((3,)))
        assert type(model(torch.ones(5, 3))) is KINDS[kind][0]
    code = CODE.replace("FOUND", repr({kind: found for kind, (_, found) in KINDS.items()}))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line, model in zip(done.stdout.splitlines(), nets.values(), strict=True):
        torch.testing.assert_close(torch.tensor(eval(line)), model.layer(torch.ones(5, 3)))

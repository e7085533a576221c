"""Points: loss and Jacobian norm of single test inputs (novak2018, figures 6, App.8 and App.11)."""

from __future__ import annotations

import torch
from torch import nn

from ..core.module_mode import evaluation_mode
from ..metrics.jacobian_bounds import jacobian_against_loss
from ._recording import Arrays, Recorded, Recording, first_seed, needs_classes


def points(model: nn.Module, recorded: Recorded) -> Arrays:
    """Return loss and Jacobian norm of every input, and what bounds the norm by the loss.

    Source: novak2018 (arXiv:1802.08760), sections 4.4 and A.3. Test inputs, evaluation mode. The fields:

    - ``loss`` (n,): cross-entropy in nats, or with ``[train] loss`` ``mse`` or ``brier`` that loss.
    - ``is_right`` (n,): 1 where the largest output is the label's, else 0.
    - ``jacobian_norm`` (n,): ‖J‖_F of the class probabilities, per unit of input.
    - ``class_norm`` (n,): ‖J_y‖₂, its row of the true class.
    - ``mean_square`` (): M, the mean squared gradient norm of one logit, of which eq. 5–7 make bounds.
    - ``n_classes`` (): K.
    """
    x, y = recorded.test
    found = jacobian_against_loss(model, x, y)
    with torch.no_grad(), evaluation_mode(model):
        outputs = model(x).double()
    targets = nn.functional.one_hot(y.long(), outputs.shape[1]).to(outputs.dtype)
    if recorded.loss == "mse":
        loss = (outputs - targets).square().mean(dim=1)
    elif recorded.loss == "brier":
        loss = (outputs.softmax(dim=1) - targets).square().sum(dim=1)
    else:
        loss = found.losses
    return {
        "loss": loss,
        "is_right": (outputs.argmax(dim=1) == y).double(),
        "jacobian_norm": found.norms,
        "class_norm": found.class_norms,
        "mean_square": torch.tensor(found.mean_square),
        "n_classes": torch.tensor(float(outputs.shape[1])),
    }


RECORDING = Recording(
    function=points,
    fields=("loss", "is_right", "jacobian_norm", "class_norm", "mean_square", "n_classes"),
    size=lambda n, splits: 4 * min(n, len(splits.x_test)) + 2,
    source="Novak et al. 2018, arXiv:1802.08760, figures 6, App.8 and App.11",
    combine=first_seed,
    requirement=needs_classes,
)

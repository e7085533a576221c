"""A watch over what a measure or a record may not alter of a network."""

from __future__ import annotations

import torch


def snapshot(model):
    """Return all that a measure may not alter: state, modes, gradients, hooks, tracking."""
    state = {n: t.clone() for n, t in model.state_dict().items()}
    modes = [(m.training, getattr(m, "track_running_stats", None), len(m._forward_hooks), len(m._forward_pre_hooks))
             for m in model.modules()]  # fmt: skip
    gradients = [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    return state, modes, gradients


def assert_untouched(model, before):
    state, modes, gradients = before
    now_state, now_modes, now_gradients = snapshot(model)
    assert state.keys() == now_state.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, now_state[name]), f"{name} was altered"
    assert modes == now_modes, "a mode or a hook was left behind"
    for (required, gradient), (now_required, now_gradient) in zip(gradients, now_gradients, strict=True):
        assert required == now_required
        assert (gradient is None) == (now_gradient is None)
        assert gradient is None or torch.equal(gradient, now_gradient)

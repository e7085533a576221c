"""The measures as one writes them first: a loop, a copy of the network, backward passes, as their public code does.

What `measure_cost.py` compares nas_sens with, and `scoring_cost.py` for the Jacobian. Each takes a network, inputs and
labels, and returns the number that the measure of the same name in nas_sens returns (`zen`, `near` and
`output_sensitivity` but for what is drawn). Copies of the network are made where public code makes them, since it
leaves gradients, masks or other weights in it. Networks come in evaluation mode; those that the literature measures
with batch statistics put their copy into training mode (the networks here have no dropout).
"""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

LAYERS = (nn.Linear, nn.Conv2d)
Measure = Callable[[nn.Module, torch.Tensor, torch.Tensor], float]


def layers_of(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, LAYERS)]


def params(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    return float(sum(p.numel() for p in model.parameters() if p.requires_grad))


def l2_norm(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    return sum(m.weight.norm().item() for m in layers_of(model))


def grad_norm(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    net = copy.deepcopy(model).train()
    net.zero_grad()
    F.cross_entropy(net(x), y).backward()
    return sum(m.weight.grad.norm().item() for m in layers_of(net))


def snip(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Masks of ones are put before the weights, and gradients are taken by the masks."""
    net = copy.deepcopy(model).train()

    def linear(self: nn.Linear, given: torch.Tensor) -> torch.Tensor:
        return F.linear(given, self.weight * self.weight_mask, self.bias)

    def convolution(self: nn.Conv2d, given: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.weight_mask
        return F.conv2d(given, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    for m in layers_of(net):
        m.weight_mask = nn.Parameter(torch.ones_like(m.weight))
        m.weight.requires_grad = False
        m.forward = types.MethodType(linear if isinstance(m, nn.Linear) else convolution, m)
    net.zero_grad()
    F.cross_entropy(net(x), y).backward()
    return sum(m.weight_mask.grad.abs().sum().item() for m in layers_of(net))


def grasp(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Gradients are taken twice, the second time with a graph, and the product of both is differentiated."""
    net = copy.deepcopy(model).train()
    weights = [m.weight for m in layers_of(net)]
    first = torch.autograd.grad(F.cross_entropy(net(x), y), weights)
    second = torch.autograd.grad(F.cross_entropy(net(x), y), weights, create_graph=True)
    sum((a * b).sum() for a, b in zip(first, second, strict=True)).backward()
    return sum((-w.data * w.grad).sum().item() for w in weights)


def synflow(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    net = copy.deepcopy(model).double()
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.abs_()
    net.zero_grad()
    net(torch.ones((1, *x.shape[1:]), dtype=torch.float64)).sum().backward()
    return math.log10(sum((m.weight * m.weight.grad).abs().sum().item() for m in layers_of(net)))


def fisher(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Activations and their gradients meet in hooks while all gradients are computed."""
    net = copy.deepcopy(model).train()
    terms: list[torch.Tensor] = []

    def keep(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        def add(gradient: torch.Tensor) -> None:
            product = output.detach() * gradient
            product = product.flatten(2).sum(dim=2) if product.ndim > 2 else product
            terms.append(product.square().mean(dim=0).sum() / 2 * module.weight[0].numel())

        output.register_hook(add)
        return output.clone()  # since activations may be in place

    for m in layers_of(net):
        m.register_forward_hook(keep)
    net.zero_grad()
    F.cross_entropy(net(x), y, reduction="sum").backward()
    return sum(t.item() for t in terms)


def jacob_cov(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    net = copy.deepcopy(model).train()
    net.zero_grad()
    inputs = x.clone().requires_grad_()
    outputs = net(inputs)
    outputs.backward(torch.ones_like(outputs))
    correlations = np.corrcoef(inputs.grad.flatten(1).cpu().numpy())
    values, _ = np.linalg.eig(correlations)
    return float(-np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5)).real)


def naswot(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Codes are gathered by hooks and compared with NumPy."""
    net = copy.deepcopy(model).train()
    kernel = np.zeros((len(x), len(x)))

    def add(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        code = (given[0].flatten(1) > 0).float()
        kernel[:] += (code @ code.t()).cpu().numpy() + ((1 - code) @ (1 - code).t()).cpu().numpy()

    for m in net.modules():
        if isinstance(m, nn.ReLU):
            m.register_forward_hook(add)
    with torch.no_grad():
        net(x)
    return float(np.linalg.slogdet(kernel)[1])


def zen(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Two passes of 16 random inputs; batch norms tell their variances by running statistics of one pass."""
    net = copy.deepcopy(model).train()
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms:
        m.momentum = None  # running statistics are plain means
        m.reset_running_stats()
    ends = [m for m in net.modules() if isinstance(m, nn.AdaptiveAvgPool2d)] or [layers_of(net)[-1]]
    kept: list[torch.Tensor] = []
    ends[-1].register_forward_hook(lambda module, given, output: kept.append(given[0].flatten(1)))
    with torch.no_grad():
        z = torch.randn((16, *x.shape[1:]))
        net(z)
        scale = sum(math.log(math.sqrt(m.running_var.mean().item())) for m in norms)
        net(z + 0.01 * torch.randn_like(z))
    return math.log((kept[0] - kept[1]).norm(dim=1).mean().item()) + scale


def near(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """All outputs are kept; of each the singular values of a square block of rows are taken."""
    net = copy.deepcopy(model).train()
    kept: list[torch.Tensor] = []
    kinds = (*LAYERS, nn.ReLU, nn.modules.batchnorm._BatchNorm)
    for m in net.modules():
        if isinstance(m, kinds):
            m.register_forward_hook(lambda module, given, output: kept.append(output.detach().clone()))
    with torch.no_grad():
        net(x)
    total = 0.0
    for output in kept:
        rows = output.transpose(1, 3).flatten(0, 2) if output.ndim == 4 else output
        step = output.shape[2] if output.ndim == 4 else output.shape[1]
        n_starts = max(1, (len(rows) - rows.shape[1]) // step + 1)
        start = int(np.random.default_rng().integers(n_starts)) * step
        values = np.linalg.svd(rows[start : start + rows.shape[1]].double().numpy(), compute_uv=False)
        if values.sum() > 0:
            p = values[values > 0] / values.sum()
            total += float(np.exp(-(p * np.log(p)).sum()))
    return total


def zico(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    net = copy.deepcopy(model).train()
    gradients: dict[nn.Module, list[np.ndarray]] = {m: [] for m in layers_of(net)}
    for inputs, labels in zip(x.tensor_split(2), y.tensor_split(2), strict=True):
        net.zero_grad()
        F.cross_entropy(net(inputs), labels).backward()
        for m, found in gradients.items():
            found.append(m.weight.grad.cpu().reshape(-1).double().numpy())
    total = 0.0
    for found in gradients.values():
        magnitudes = np.abs(np.array(found))
        spread, mean = magnitudes.std(axis=0), magnitudes.mean(axis=0)
        nonzero = np.nonzero(spread)[0]
        ratio = float((mean[nonzero] / spread[nonzero]).sum())
        total += math.log(ratio) if ratio > 0 else 0.0
    return total


def output_sensitivity(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        noise = model(x + 0.1 * torch.randn_like(x)) - model(x)
    return noise.mean(dim=1).var().item()


def jacobian_norm(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """One backward pass for each class."""
    inputs = x.clone().requires_grad_()
    outputs = model(inputs).softmax(dim=1)
    squares = torch.zeros(len(x), device=x.device)
    for k in range(outputs.shape[1]):
        (gradient,) = torch.autograd.grad(outputs[:, k].sum(), inputs, retain_graph=True)
        squares += gradient.flatten(1).square().sum(dim=1)
    return squares.sqrt().mean().item()


def gradients_one_by_one(model: nn.Module, x: torch.Tensor, of: Callable[[torch.Tensor, int], torch.Tensor]):
    """Return the gradients (n, P) of a number of each input's outputs by all parameters, input after input."""
    net = copy.deepcopy(model)
    rows = []
    for i in range(len(x)):
        net.zero_grad()
        of(net(x[i : i + 1]), i).backward()
        rows.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    return torch.stack(rows)


def ntk_condition(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    gradients = gradients_one_by_one(model, x, lambda output, i: output.sum())
    eigenvalues = torch.linalg.eigvalsh(torch.einsum("np,mp->nm", gradients, gradients).double())
    return float(eigenvalues[-1] / eigenvalues[0])


def cosines(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    gradients = gradients_one_by_one(model, x, lambda output, i: F.cross_entropy(output, y[i : i + 1]))
    gradients = F.normalize(gradients, dim=1)
    return gradients @ gradients.T


def stiffness(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    signs, n = cosines(model, x, y).sign(), len(x)
    return float((signs.sum() - signs.diagonal().sum()) / (n * (n - 1)))


def critical_length(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """A line through all pairs of one class by NumPy's least squares."""
    signs = cosines(model, x, y).sign()
    flat = F.normalize(x.flatten(1).double(), dim=1)
    distances = 1 - flat @ flat.T
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j and y[i] == y[j]]
    slope, intercept = np.polyfit([distances[p].item() for p in pairs], [signs[p].item() for p in pairs], 1)
    return -intercept / slope if slope < 0 else math.inf


def linear_regions(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Codes of all units at all 256 points of a trajectory, image after image, and their differences."""
    net = copy.deepcopy(model)
    codes: list[torch.Tensor] = []
    for m in net.modules():
        if isinstance(m, nn.ReLU):
            m.register_forward_hook(lambda module, given, output: codes.append((output > 0).flatten(1)))
    counts = []
    width = x.shape[-1]
    for image in x[:16]:
        points = []
        for i in range(256):
            place = i * width / 256
            j, share = int(place), place - int(place)
            points.append((1 - share) * image.roll(j, -1) + share * image.roll(j + 1, -1))
        codes.clear()
        with torch.no_grad():
            net(torch.stack(points))
        code = torch.cat(codes, dim=1).float()
        counts.append((code - code.roll(-1, 0)).abs().sum().item())
    return float(np.mean(counts))

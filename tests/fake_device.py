"""A CUDA device that is not there: shapes, types and devices as on a real one, and no values.

PyTorch's fake tensors refuse to mix devices. Three things are added to them: a generator of the device, whose draws
must land where it lies; reads by the host (``float``, ``item``, ``tolist``, a copy to the CPU), which are counted and
answered by a number that the test chooses; and the order of both: work that the device is given after it was waited
for. What needs a value and asks in another way, such as a mask for an index, raises.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import torch
from torch._subclasses import fake_tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from nas_sens.architectures.base import ArchitectureSpec
from nas_sens.core import device

DEVICE = torch.device("cuda")
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_READ = "_local_scalar_dense"


class Stream(torch.Generator):
    """Takes the place of ``torch.Generator``, which is of real devices only; it is of the CPU, and says otherwise."""

    device = None  # not the one of the CPU

    def __new__(cls, device="cpu"):
        stream = super().__new__(cls)
        stream.device = torch.device(device)
        return stream


class _Draws(TorchFunctionMode):
    """Lets a :class:`Stream` be drawn from, and whole tensors be read as lists."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") == "tolist":
            self.watch.note_read(args[0])
            return _nested(args[0].shape, self.watch.answer(args[0].dtype))
        stream = kwargs.get("generator")
        if not isinstance(stream, Stream):
            return func(*args, **kwargs)
        found = func(*args, **{**kwargs, "generator": None})
        assert found.device.type == stream.device.type, f"{func}: a stream of {stream.device} for {found.device}"
        return found


class Watch(TorchDispatchMode):
    """What the host read of the device, and what it had it do afterwards.

    Attributes:
        reads: Operations by which it waited for the device.
        late: Operations of the device, other than views and reads, that began after the first of these.
        work: How many operations there were on the device.
        values: What the numbers come out as that are read, read by read; the last one stands for all that follow.
    """

    def __init__(self, fake, values):
        super().__init__()
        self.fake, self.values = fake, list(values)
        self.reads, self.late, self.work = [], [], 0

    def answer(self, dtype):
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        return True if dtype == torch.bool else float(value) if dtype.is_floating_point else 1

    def note_read(self, tensor, name=_READ):
        if tensor.device.type == DEVICE.type:
            self.reads.append(name)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if func.namespace == "aten" and func.has_kernel_for_dispatch_key(_COMPOSITE):
            with self:  # in inference mode they come as a whole
                return func.decompose(*args, **(kwargs or {}))
        if name == _READ:
            self.note_read(args[0])
            return self.answer(args[0].dtype)
        args = [self.fake.from_tensor(a) if _is_real(a) else a for a in args]
        given = [a for a in args if isinstance(a, torch.Tensor)]
        was_there = any(t.device.type == DEVICE.type for t in given)
        found = func(*args, **(kwargs or {}))
        results = [t for t in (found if isinstance(found, (tuple, list)) else [found]) if isinstance(t, torch.Tensor)]
        is_there = any(t.device.type == DEVICE.type for t in results)
        if was_there and not is_there and results:
            self.reads.append(name)
        elif is_there and not func.is_view:
            if any(t.dtype == torch.float64 and t.device.type in device._WITHOUT_FLOAT64 for t in results):
                raise TypeError(f"{name}: the device has no float64")  # as PyTorch says of Apple's
            self.work += 1
            self.late += [name] if self.reads else []
        return found


def _is_real(value):
    """Return whether this is a tensor of a skeleton, which is put together outside."""
    return isinstance(value, torch.Tensor) and value.is_meta and not isinstance(value, fake_tensor.FakeTensor)


def _nested(shape, number):
    return [_nested(shape[1:], number) for _ in range(shape[0])] if len(shape) else number


@contextmanager
def fake_device(*values, has_float64=True) -> Iterator[Watch]:
    """Let ``torch.device("cuda")`` be one that is not there; whatever is made inside has no values.

    Args:
        values: What numbers come out as that are read; 1 if left out.
        has_float64: Whether it has this type.
    """
    if not hasattr(torch._C, "_ensureCUDADeviceGuardSet"):
        pytest.skip("fake tensors of a device that is not there need a later PyTorch")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Accessing the data pointer")  # whether a parameter that is copied has any
        patch.setattr(torch, "Generator", Stream)
        # The global streams are real, and so is all that is drawn from them on the way to a fake weight.
        patch.setattr(torch.cuda, "manual_seed", lambda seed: None)
        patch.setattr(torch.cuda, "get_rng_state", lambda device: None)
        patch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
        patch.setattr(torch.utils, "swap_tensors", _swap)
        patch.setattr(fake_tensor.FakeTensorMode, "__deepcopy__", lambda mode, memo: mode, raising=False)
        patch.setattr(device, "_WITHOUT_FLOAT64", () if has_float64 else (DEVICE.type,))
        patch.setattr(ArchitectureSpec, "skeleton", _outside(ArchitectureSpec.skeleton))
        fake = stack.enter_context(fake_tensor.FakeTensorMode(allow_non_fake_inputs=False))
        watch = stack.enter_context(Watch(fake, values or [1.0]))
        stack.enter_context(_Draws(watch))
        yield watch


def _outside(skeleton):
    """Layers on the meta device are put together as ever: a fake module cannot be moved."""

    def real(*args, **kwargs):
        with _disable_current_modes():
            return skeleton(*args, **kwargs)

    return real


def _swap(one, other):
    """As the original, without its look for weak references, which a fake tensor's mode keeps."""
    one.__dict__, other.__dict__ = other.__dict__, one.__dict__
    torch._C._swap_tensor_impl(one, other)

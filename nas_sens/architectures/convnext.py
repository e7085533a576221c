"""ConvNeXt (Liu et al., A ConvNet for the 2020s, arXiv:2201.03545), built by timm."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from .base import SPEC_CONFIG, Count
from .lists import Counts, OneOrMoreCounts, StageDepths, for_each
from .timm_built import DropPath, TimmBuiltSpec

_STAGES = 4
_OUTPUT_STRIDE = 32  # beyond which timm dilates kernels instead of halving maps


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class ConvNeXtSpec(TimmBuiltSpec):
    """A ConvNeXt of four stages; every stage but the first halves the feature map.

    Args:
        depths: Blocks of the four stages, a list.
        widths: Channels of the four stages, a list.
        kernels: Side of the depthwise kernels, odd, of all stages, or a list with those of each.
        patch: Side of the patches that the stem makes one pixel of; 4 in the paper. 1 and 2 are for small images: maps
            of 28 pixels and a stem of 1 end at 3. With a stem of 2 the first stage halves, too.
        layer_scale: Initial factor of every block's branch, 1e-6 in the paper; 0 for none, with which blocks take part
            from the start.
        drop_path: Probability with which the last block's branch is left out of a sample while training; it grows
            from 0 stage by stage (Huang et al., arXiv:1603.09382).
    """

    family: ClassVar[str] = "convnext"

    depths: StageDepths
    widths: Counts
    kernels: OneOrMoreCounts = 7
    patch: Count = 4
    layer_scale: Annotated[float, Field(ge=0, le=1)] = 0.0
    drop_path: DropPath = 0.0

    @model_validator(mode="after")
    def _check_stages(self) -> ConvNeXtSpec:
        for name, values in (("depths", self.depths), ("widths", self.widths), ("kernels", self.kernels)):
            if isinstance(values, tuple) and len(values) != _STAGES:
                raise ValueError(f"needs {_STAGES} values of {name}, one a stage; given {list(values)}")
        if even := [k for k in for_each(self.kernels, 1) if k % 2 == 0]:
            raise ValueError(f"needs odd kernels; given {even[0]}")
        return self

    def check_fit(self, input_shape: tuple[int, int, int]) -> None:
        """Check that the stem and every stage leave something of an image.

        Raises:
            InfeasibleArchitectureError: They do not.
        """
        size = f"{input_shape[1]}×{input_shape[2]}"
        side = min(input_shape[1:]) // self.patch
        if side < 1:
            raise InfeasibleArchitectureError(f"a patch of {self.patch} pixels is larger than images of {size}")
        stride = self.patch
        for stage in range(_STAGES):
            if stride >= _OUTPUT_STRIDE or not (stage or stride == 2):
                continue
            if side < 2:
                raise InfeasibleArchitectureError(
                    f"stage {stage + 1}: a feature map of side {side} cannot be halved; images of {size} need a patch "
                    f"smaller than {self.patch}"
                )
            side, stride = side // 2, stride * 2

    def made(self, input_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
        """Return timm's ConvNeXt; arguments as for :meth:`TimmBuiltSpec.made`."""
        from timm.models.convnext import ConvNeXt

        return ConvNeXt(
            in_chans=input_shape[0],
            num_classes=n_outputs,
            depths=self.depths,
            dims=self.widths,
            kernel_sizes=self.kernels,
            patch_size=self.patch,
            ls_init_value=self.layer_scale or None,
            drop_path_rate=self.drop_path,
            output_stride=_OUTPUT_STRIDE,
        )

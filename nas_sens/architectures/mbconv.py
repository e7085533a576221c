"""Networks of inverted residual blocks (EfficientNet, Tan and Le, arXiv:1905.11946; MobileNetV2), built by timm."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from .base import SPEC_CONFIG, Count, Count0
from .lists import Counts, OneOrMoreCounts, OneOrMoreFactors, StageDepths, check_length, for_each
from .timm_built import DropPath, TimmBuiltSpec


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class MBConvSpec(TimmBuiltSpec):
    """A network of inverted residual blocks: stem, stages, a 1×1 convolution, average pool and a linear read-out.

    A block expands its channels, convolves each by itself (depthwise), weighs them (squeeze and excitation) and
    projects them; batch normalisation follows every convolution. EfficientNet-B0 has depths 1, 2, 2, 3, 3, 4, 1.

    Args:
        depths: Blocks of every stage, a list.
        widths: Channels of every stage, a list.
        kernels: Side of the depthwise kernels, odd, of all stages, or a list with those of each.
        expansions: Factor on the channels inside a block, of all stages, or a list with those of each; timm rounds the
            product to a multiple of 8. Blocks with 1 have no convolution that expands (MBConv1 of EfficientNet).
        strides: Stride of the first block of all stages, or a list with those of each; 2 halves the feature map.
        stem_width: Channels of the stem, a 3×3 convolution.
        stem_stride: Its stride; 2 in the paper, 1 for small images.
        head_width: Channels of the 1×1 convolution behind the last stage; 0 for none.
        se_ratio: Channels in the middle of squeeze and excitation as a share of a block's input channels; 0 for none.
        activation: Non-linearity.
        drop_path: Probability with which the last block's branch is left out of a sample while training; it grows
            linearly from 0 for the first block's (Huang et al., arXiv:1603.09382).
    """

    family: ClassVar[str] = "mbconv"

    depths: StageDepths
    widths: Counts
    kernels: OneOrMoreCounts = 3
    expansions: OneOrMoreFactors = 4.0
    strides: OneOrMoreCounts = 2
    stem_width: Count = 16
    stem_stride: Literal[1, 2] = 1
    head_width: Count0 = 0
    se_ratio: Annotated[float, Field(ge=0, le=1)] = 0.25
    activation: Literal["silu", "relu", "relu6", "hard_swish"] = "silu"
    drop_path: DropPath = 0.0

    @model_validator(mode="after")
    def _check_stages(self) -> MBConvSpec:
        for name in ("widths", "kernels", "expansions", "strides"):
            check_length(getattr(self, name), len(self.depths), name, "stages (depths)")
        if even := [k for k in for_each(self.kernels, 1) if k % 2 == 0]:
            raise ValueError(f"needs odd kernels; given {even[0]}")
        return self

    def check_fit(self, input_shape: tuple[int, int, int]) -> None:
        """Check that every block has channels for squeeze and excitation.

        Raises:
            InfeasibleArchitectureError: One has none.
        """
        from timm.layers import make_divisible

        before = (self.stem_width, *self.widths[:-1])
        for depth, n_in, width, expansion in zip(
            self.depths, before, self.widths, self._of_stages(self.expansions), strict=True
        ):
            for n in (n_in, width) if depth > 1 else (n_in,):
                if self.se_ratio and round(make_divisible(n * expansion) * self.se_ratio / expansion) < 1:
                    raise InfeasibleArchitectureError(
                        f"se_ratio = {self.se_ratio} leaves no channel of {n} for squeeze and excitation"
                    )

    def made(self, input_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
        """Return timm's EfficientNet of these blocks; arguments as for :meth:`TimmBuiltSpec.made`."""
        from timm.layers import get_act_layer
        from timm.models._efficientnet_builder import decode_arch_def
        from timm.models.efficientnet import EfficientNet

        squeeze = f"_se{self.se_ratio}" if self.se_ratio else ""
        stages = [
            [f"{'ds' if expansion == 1 else 'ir'}_r{depth}_k{kernel}_s{stride}_e{expansion}_c{width}{squeeze}"]
            for depth, width, kernel, expansion, stride in zip(
                self.depths,
                self.widths,
                *map(self._of_stages, (self.kernels, self.expansions, self.strides)),
                strict=True,
            )
        ]
        network = EfficientNet(
            decode_arch_def(stages),
            num_classes=n_outputs,
            in_chans=input_shape[0],
            num_features=self.head_width,
            stem_size=self.stem_width,
            fix_stem=True,
            round_chs_fn=_as_declared,
            act_layer=get_act_layer(self.activation),
            drop_path_rate=self.drop_path,
        )
        network.conv_stem.stride = (self.stem_stride, self.stem_stride)  # timm has 2 always
        return network

    def _of_stages(self, values: float | tuple[float, ...]) -> list[float]:
        return for_each(values, len(self.depths))


def _as_declared(channels: int, *_: object) -> int:
    """Return the channels themselves, where timm would round them to multiples of 8."""
    return channels

"""Vision transformers (Dosovitskiy et al., arXiv:2010.11929), built by timm."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from .base import SPEC_CONFIG, Count, Layers
from .timm_built import DropPath, TimmBuiltSpec


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class ViTSpec(TimmBuiltSpec):
    """A vision transformer: patches, learnt positions, ``depth`` blocks of attention and a two-layer perceptron.

    ``embed_dim`` must be a multiple of ``heads``, and the sides of images multiples of ``patch``.

    Args:
        depth: Number of blocks.
        embed_dim: Numbers that a token has.
        heads: Heads of attention of every block.
        mlp_ratio: Hidden units of a block's perceptron as a multiple of ``embed_dim``.
        patch: Side of the square patches, in pixels.
        pool: What is read out: the class ``token``, or the mean of all other tokens (``avg``, without a class token).
        drop_path: Probability with which the last block's branches are left out of a sample while training; it grows
            linearly from 0 for the first block's (Huang et al., arXiv:1603.09382).
    """

    family: ClassVar[str] = "vit"

    depth: Layers
    embed_dim: Count
    heads: Count
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] = 4.0
    patch: Count = 4
    pool: Literal["token", "avg"] = "token"
    drop_path: DropPath = 0.0

    def check_fit(self, input_shape: tuple[int, int, int]) -> None:
        """Check that heads divide tokens and patches images.

        Raises:
            InfeasibleArchitectureError: They do not.
        """
        if self.embed_dim % self.heads:
            raise InfeasibleArchitectureError(
                f"embed_dim must be a multiple of heads; given embed_dim = {self.embed_dim}, heads = {self.heads}"
            )
        if any(side % self.patch for side in input_shape[1:]):
            raise InfeasibleArchitectureError(
                f"patches of {self.patch} pixels do not divide images of {input_shape[1]}×{input_shape[2]}"
            )
        if self.embed_dim * self.mlp_ratio < 1:
            raise InfeasibleArchitectureError(
                f"mlp_ratio = {self.mlp_ratio} leaves no hidden unit of embed_dim = {self.embed_dim}"
            )

    def made(self, input_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
        """Return timm's vision transformer; arguments as for :meth:`TimmBuiltSpec.made`."""
        from timm.models.vision_transformer import VisionTransformer

        n_channels, height, width = input_shape
        return VisionTransformer(
            img_size=(height, width),
            in_chans=n_channels,
            num_classes=n_outputs,
            patch_size=self.patch,
            depth=self.depth,
            embed_dim=self.embed_dim,
            num_heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            global_pool=self.pool,
            class_token=self.pool == "token",
            drop_path_rate=self.drop_path,
        )

"""Names of the weight-initialisation schemes (see `initialization` for what they mean)."""

from typing import Literal, get_args

InitScheme = Literal[
    "standard_normal",
    "xavier_uniform",
    "xavier_normal",
    "he_uniform",
    "he_normal",
    "lecun_normal",
    "orthogonal",
    "torch_default",
]
INIT_SCHEMES: tuple[str, ...] = get_args(InitScheme)
ByActivation = Literal["by_activation"]  # of architectures: the scheme that their activation asks for

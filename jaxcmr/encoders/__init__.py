"""Backbones, one a file, behind one pure `init`/`apply` pair.

A modality's encoder is chosen in a config by its name in `ENCODERS`; its options are the keyword
arguments of the builder.
"""

from collections.abc import Callable

from jaxcmr.encoders.base import Encoder, from_module

ENCODERS: dict[str, Callable[..., Encoder]] = {}

__all__ = ["ENCODERS", "Encoder", "from_module"]

"""The convolution of all image encoders, in the form that is fast on the platform at hand."""

from jaxcmr.encoders.conv.layer import Conv

__all__ = ["Conv"]

"""A trained run as an object: `load(workdir)`."""

from jaxcmr.model.loading import load
from jaxcmr.model.model import Model

__all__ = ["Model", "load"]

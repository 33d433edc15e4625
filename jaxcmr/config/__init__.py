"""A run's config: its defaults, and the sections that the files in `configs/` fill in.

A config is an `ml_collections.ConfigDict`: the fields of `jaxcmr.config.fields`, plus `method` (a
method's own numbers) and one entry of `encoders` a modality. Importing this package imports no
JAX; a method's numbers stand in its file, which is imported when they are needed.
"""

from jaxcmr.config.checks import check
from jaxcmr.config.loading import check_variant
from jaxcmr.config.sections import default, encoder, method, section, stage

__all__ = ["check", "check_variant", "default", "encoder", "method", "section", "stage"]

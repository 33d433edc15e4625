"""The items of a finished run as small pictures and short texts, for pages."""

from jaxcmr.report.items.opened import Items, open_items
from jaxcmr.report.items.part import Part

__all__ = ["Items", "Part", "open_items"]

"""Loads and checks paired data: published sets, your own data, and stand-ins."""

from jaxcmr.data.check import check
from jaxcmr.data.load import SOURCES, load
from jaxcmr.data.own.own import outline
from jaxcmr.data.sources.features import LAYOUTS
from jaxcmr.data.summary import describe, draw_sheet

__all__ = ["LAYOUTS", "SOURCES", "check", "describe", "draw_sheet", "load", "outline"]

"""Trained towers for programs without this library: StableHLO, and a description beside it."""

from jaxcmr.exporting.write import export

__all__ = ["export"]

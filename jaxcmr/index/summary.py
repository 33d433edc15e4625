"""Says what is in an index."""

from collections import Counter

from jaxcmr.display import shown
from jaxcmr.index.index import Index


def summary(index: Index) -> str:
    """Returns lines: how many rows there are, of each modality, and the metadata."""
    model = f" by the model {shown(index.fingerprint)}" if index.fingerprint else ""
    lines = [f"{len(index)} rows of {index.size} numbers{model}"]
    rows = sorted(Counter(index.modalities).items())
    lines += [f"  {shown(modality):<24} {count} rows" for modality, count in rows]
    lines += [f"  {shown(name):<24} {kind}" for name, kind in index.columns.items()]
    return "\n".join(lines)

"""What a search answers: a table for people, a document for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcmr.display import columns, padded, shown
from jaxcmr.galleries import sources
from jaxcmr.galleries.queries import Query
from jaxcmr.index import Hits, Index

WIDTH = 40  # columns of a cell
LABEL = "label"


def records(gallery: Index, hits: Hits, workdir: Path) -> list[dict[str, Any]]:
    """Returns the hits of the first query, the best first, ready for JSON.

    `source` is the path of a file or the words of a text; where the gallery does not know it, the
    run in `workdir` may.
    """
    known = [gallery.source(int(row)) for row in hits.rows[0]]
    if None in known:
        of_run = sources.of_rows(workdir, list(zip(hits.ids[0], hits.modalities[0])))
        known = [other if source is None else source for source, other in zip(known, of_run)]
    best = zip(hits.scores[0], hits.ids[0], hits.modalities[0], hits.metadata[0], known)
    return [
        {
            "rank": rank,
            "score": round(float(score), 6),
            "id": name,
            "modality": modality,
            "metadata": dict(metadata),
            "source": source,
        }
        for rank, (score, name, modality, metadata, source) in enumerate(best, 1)
    ]


def document(queries: Sequence[Query], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns queries and hits, ready for JSON."""
    asked = [{"name": query.name, "modality": query.modality} for query in queries]
    return {"queries": asked, "hits": list(found)}


def table(queries: Sequence[Query], found: Sequence[Mapping[str, Any]]) -> str:
    """Formats hits, one a line; what is too long is cut.

    Of the metadata the label is shown, where there is one, or else as much as fits.
    """
    asked = " + ".join(f"{query.modality} {shown(query.name, 60)}" for query in queries)
    if not found:
        return f"{asked}: nothing in the gallery fits"
    labelled = any(hit["metadata"].get(LABEL) is not None for hit in found)
    head = ["rank", "score", "id", "modality", LABEL if labelled else "metadata", "file or words"]
    cells = [
        [
            str(hit["rank"]),
            f"{hit['score']:.3f}",
            shown(hit["id"], WIDTH),
            shown(hit["modality"], WIDTH),
            shown(_about(hit["metadata"], labelled), WIDTH),
            shown(" ".join((hit["source"] or "").split()), 2 * WIDTH),
        ]
        for hit in found
    ]
    filled = [n for n, name in enumerate(head) if n < 4 or any(line[n] for line in cells)]
    lines = [[line[n] for n in filled] for line in [head, *cells]]
    widths = [max(columns(line[n]) for line in lines) for n in range(len(filled))]
    rows = ["  ".join(map(padded, line, widths)).rstrip() for line in lines]
    return "\n".join([f"hits of {asked}", "", *rows])


def _about(metadata: Mapping[str, Any], labelled: bool) -> str:
    if labelled:
        return str(metadata.get(LABEL) or "")
    return ", ".join(f"{name}: {value}" for name, value in metadata.items() if value is not None)

"""An index and its hits for the tests of what is shown of a search."""

from typing import NamedTuple

from audit_tables import HOSTILE

COLORS = ("red", "blue", "green")


class Rows(NamedTuple):
    """What pictures need of an index."""

    ids: list
    modalities: list
    sources: list

    def item(self, row):
        return self.ids[row], self.modalities[row]

    def source(self, row):
        return self.sources[row]


class Hits(NamedTuple):
    """The answer of a search, `[Q][k]` each."""

    rows: list
    ids: list
    modalities: list
    scores: list
    metadata: list


def texts(rows: int) -> Rows:
    """An index of texts, of which some are hostile."""
    words = [f"A {COLORS[row % 3]} chair, number {row}" for row in range(rows)]
    words[: len(HOSTILE)] = HOSTILE[: len(words)]
    return Rows([f"item-{row}" for row in range(rows)], ["text"] * rows, words)


def hits(index: Rows, rows: list[list[int]], metadata=None) -> Hits:
    """These rows of an index as the hits of searches, with falling scores."""
    known = metadata or (lambda row: {"color": COLORS[row % 3], "price": row / 2, "new": row > 3})
    return Hits(
        rows,
        [[index.ids[row] for row in line] for line in rows],
        [[index.modalities[row] for row in line] for line in rows],
        [[1 - 0.01 * place for place in range(len(line))] for line in rows],
        [[known(row) for row in line] for line in rows],
    )

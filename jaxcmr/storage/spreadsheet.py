"""Cells that a spreadsheet takes for text, whatever they begin with.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return is a formula to many
programs. A `'` in front makes it text; one that the text itself begins with is doubled, so that
every text comes back as it was.
"""

MARK = "'"
STARTS = ("=", "+", "-", "@", "\t", "\r", MARK)


def safe(text: str) -> str:
    """Returns a cell that is text in every spreadsheet.

    Example:
        >>> safe("=SUM(A1)"), safe("chair")
        ("'=SUM(A1)", 'chair')
    """
    return MARK + text if text.startswith(STARTS) else text


def unsafe(cell: str) -> str:
    """Returns the text that `safe` made a cell of."""
    return cell[1:] if cell.startswith(MARK) and cell[1:].startswith(STARTS) else cell

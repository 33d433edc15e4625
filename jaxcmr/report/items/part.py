"""What a page shows of one item."""

from __future__ import annotations

import base64
from typing import NamedTuple

from jaxcmr.display import shown
from jaxcmr.packages import Later
from jaxcmr.report.items import thumbnails

Image = Later("PIL.Image")
LETTERS = 300  # columns of a text that are shown


class Part(NamedTuple):
    """One modality's item of one row.

    Attributes:
        modality: its name.
        kind: "picture", "text" or "missing".
        data: the bytes of a picture's file, or a text on one line, not escaped; "": missing.
        media_type: of the data; "": missing.
        note: why it is missing; "": it is there.
    """

    modality: str
    kind: str
    data: bytes | str
    media_type: str
    note: str

    def for_page(self) -> dict[str, str]:
        """Returns what a page reads: a picture's data become an address `data:...`."""
        data = self.data
        if isinstance(data, bytes):
            data = f"data:{self.media_type};base64,{base64.b64encode(data).decode()}"
        return {"modality": self.modality, "kind": self.kind, "data": data, "note": self.note}


def picture(modality: str, image: Image.Image) -> Part:
    """Returns an image as a small picture."""
    data, media_type = thumbnails.packed(image)
    return Part(modality, "picture", data, media_type, "")


def text(modality: str, words: str) -> Part:
    """Returns the beginning of a text."""
    return Part(modality, "text", shown(" ".join(words.split()), LETTERS), "text/plain", "")


def missing(modality: str, note: str) -> Part:
    """Returns the part of an item that cannot be shown."""
    return Part(modality, "missing", "", "", note)

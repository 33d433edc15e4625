"""The page that a server shows at `/`: a search with a photo, with words, or with a hit."""

from collections.abc import Mapping
from typing import Any

from jaxcmr.report.pages.page import render as fill

TO_TRY = 12  # class names that are offered as words


def render(health: Mapping[str, Any]) -> str:
    """Returns the page as HTML, with its script and style inside.

    It calls `POST search` (what it sends and reads stands in `search.js`) and loads the pictures
    that the hits name, both from the server that it came from, and nothing else.

    Args:
        health: what `GET /health` answers:

            * `items`: modality -> number of rows of the index;
            * `kinds`: modality of the model -> kind of its recipe, such as "image" or "text";
            * `files`: modality of the model -> endings of the files that are taken, such as ".png";
            * `fields`: field of the metadata -> "text", "int", "float", "bool" or "none";
            * `classes`: names of classes;
            * `body_bytes`: the most that a request may have.
    """
    kinds, items = health["kinds"], health["items"]
    words = [modality for modality, kind in kinds.items() if kind == "text"]
    files = {m: list(files) for m, files in health["files"].items() if files and m not in words}
    pictures = [modality for modality in items if kinds.get(modality) not in ("text", "vector")]
    endings = [ending for taken in files.values() for ending in taken]
    drawn = ".jpg" in endings  # a browser makes such files of other pictures
    fields = {field: kind for field, kind in health["fields"].items() if kind != "none"}
    return fill(
        "search/search.html.jinja",
        items=items,
        words=words,
        files=files,
        photos=any(kinds[modality] in ("image", "views") for modality in files),
        accept=[*dict.fromkeys(endings), *(["image/*"] if drawn else [])],
        fields=fields,
        first=(pictures or [""])[0],
        to_try=health["classes"][:TO_TRY],
        known={
            "files": files,
            "fields": fields,
            "classes": list(health["classes"]),
            "bytes": health["body_bytes"],
        },
    )

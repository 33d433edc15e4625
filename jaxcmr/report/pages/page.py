"""Renders a page: one file of HTML, with its style, its script and its data inside.

Templates extend `pages/base.html.jinja`. Whatever they insert is escaped, and the browser is told
to run the page's own script alone and to load nothing from anywhere.
"""

import base64
import functools
import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Any

from jaxcmr import packages
from jaxcmr.display import shown

_jinja2 = packages.Later("jinja2")
_FOLDER = Path(__file__).parents[1]  # templates, styles and scripts are named from here
_LINE_PARTS = "\n\t"
_PER_CENT = "\u00a0%"  # a blank at which no line ends


def render(template: str, **content: Any) -> str:
    """Fills a template, named by its path in `report/` ("audit/audit.html.jinja").

    A template has the filters `shown` (a name on one line of limited width), `share` (a number in
    [0, 1] in per cent), `count` (a number with its thousands apart) and `data_json`, and the
    functions `file` (the text of a style or script) and `hash_of` (its name in the policy).
    """
    return _environment().get_template(template).render(**content)


def data_json(value: Any) -> str:
    r"""Writes JSON for a script element: ASCII alone, and no `<`, which could end the element.

    Example:
        >>> data_json(["</script>", "ä"])
        '["\\u003c/script>","\\u00e4"]'
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def share(value: float | None, digits: int = 0) -> str:
    """Writes a number in [0, 1] in per cent, 0.254 as 25 %; never rounds to certainty."""
    if value is None:
        return "unknown"
    if 0 < value < 0.005:
        return f"under 1{_PER_CENT}"
    if 0.995 < value < 1:
        return f"over 99{_PER_CENT}"
    return f"{100 * value:.{digits}f}{_PER_CENT}"


@functools.cache
def _environment() -> Any:
    environment = _jinja2.Environment(
        loader=_jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=_jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": shown,
        "share": share,
        "count": lambda number: f"{number:,}",
        "data_json": data_json,
    }
    environment.globals |= {"file": _file, "hash_of": _hash_of}
    return environment


def _printable(value: Any) -> Any:
    """Replaces what a page cannot hold: control characters and halves of surrogate pairs."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    bad = lambda letter: unicodedata.category(letter) in ("Cc", "Cs") and letter not in _LINE_PARTS
    return "".join("\ufffd" if bad(letter) else letter for letter in value)


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

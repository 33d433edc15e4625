"""Reads text files (UTF-8, or UTF-16 and UTF-32 with their mark), and numbers in texts."""

import codecs
import warnings
from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.storage.files import read_bytes

# The mark of UTF-32 begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def read_text(path: Path) -> str:
    """Reads a text file; line ends stay as they are.

    Raises:
        UsageError: it cannot be read, is larger than 1 GiB, or is in another encoding.
    """
    data = read_bytes(path)
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UsageError(_not_decoded(path, data, encoding, error)) from None
    if "\0" in text:
        raise UsageError(
            f"{path} holds zero bytes, as UTF-16 without its mark and files that are no text do; "
            "save it as UTF-8"
        )
    return text


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a text file that are not blank, without the blanks around them."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _not_decoded(path: Path, data: bytes, encoding: str, error: UnicodeDecodeError) -> str:
    if not encoding.startswith("utf-8"):
        return f"{path} begins as {encoding.upper()} does but is cut or damaged; save it as UTF-8"
    line = data[: error.start].count(b"\n") + 1
    byte = data[error.start : error.start + 1]
    try:
        guess = f", which is {byte.decode('cp1252')!r} in Windows-1252"
    except UnicodeDecodeError:
        guess = ""
    return (
        f"{path}, line {line}: the byte 0x{byte.hex()}{guess} is not UTF-8 text; save the file as "
        "UTF-8"
    )


def parse_numbers(text: str | bytes) -> np.ndarray | None:
    """Returns all numbers of a text, split at blanks and line ends, as float64.

    None if something in it is no number. Ten times as fast as numbers from words.
    """
    stripped = text.strip()
    if not stripped:
        return np.zeros(0)
    with warnings.catch_warnings(action="error"):  # older numpy warns of what is no number
        try:
            return np.fromstring(stripped, np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            return None

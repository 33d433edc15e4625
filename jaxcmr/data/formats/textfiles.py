"""Reads text files as people save them: UTF-8, or UTF-16 and UTF-32 with their mark."""

import codecs
from pathlib import Path

from jaxcmr.errors import UsageError

MAX_BYTES = 1 << 30
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
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait forever
            raise UsageError(f"{path} is no file; name the file that holds the text")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} has more than {MAX_BYTES >> 20} MB")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read ({reason})") from None
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

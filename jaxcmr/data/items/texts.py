"""Makes TF-IDF rows of texts of every script: of words, or of letters where blanks part none."""

import dataclasses
import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from jaxcmr import packages
from jaxcmr.errors import UsageError

WORDS = 2000  # of the vocabulary
# Scripts that write without blanks between words: Han, Kana, Thai, Lao, Myanmar, Khmer and others.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F), (0x3005, 0x3007), (0x3041, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA980, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF), (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)  # fmt: skip
JOINERS = str.maketrans("", "", "\u00ad\u200c\u200d\ufe0e\ufe0f")


@dataclasses.dataclass(frozen=True, eq=False)
class Tfidf:
    """The vocabulary that texts are described by.

    Attributes:
        words: the D tokens (`tokens`) that count.
        idf: their weights `[D]` float64, the rarer a token, the larger.
    """

    words: tuple[str, ...]
    idf: np.ndarray

    def rows(self, texts: Sequence[str]) -> np.ndarray:
        """Returns TF-IDF rows `[N, D]` float32, of length 1.

        `(1 + ln(count)) idf`, divided by its length; the numbers are those of scikit-learn. A row
        is zero where a text is blank or has no token of the vocabulary.
        """
        result = np.zeros((len(texts), len(self.words)), np.float32)
        for row, text in zip(result, texts):
            known = Counter(token for token in tokens(text) if token in self._places)
            if known:
                counts = sorted((self._places[token], count) for token, count in known.items())
                places, counts = np.array(counts).T
                weights = (np.log(counts.astype(np.float64)) + 1) * self.idf[places]
                # Summed up one after the other, as scikit-learn does.
                row[places] = weights / np.sqrt(np.cumsum(weights * weights)[-1])
        return result

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.words)}


def learn(texts: Sequence[str]) -> Tfidf:
    """Learns the vocabulary and its weights from the texts of the training rows.

    Raises:
        UsageError: the texts have no token.
    """
    vectorizer = packages.load("sklearn.feature_extraction.text").TfidfVectorizer
    model = vectorizer(analyzer=tokens, max_features=WORDS, sublinear_tf=True)
    try:
        model.fit(texts)
    except ValueError:
        raise UsageError("the texts of the training rows are all blank; write some") from None
    return Tfidf(tuple(model.get_feature_names_out().tolist()), model.idf_)


def strange(texts: list[str], fit: np.ndarray) -> np.ndarray:
    """Tells which texts have tokens, but none of those of the rows `fit`: booleans `[N]`."""
    cut = {text: set(tokens(text)) for text in set(texts)}
    known = set().union(*(cut[text] for text, use in zip(texts, fit) if use))
    return np.array([bool(cut[text]) and cut[text].isdisjoint(known) for text in texts], bool)


def tokens(text: str) -> list[str]:
    """Cuts a text into what is counted, in small letters and compatible forms (NFKC).

    These are words, single letters included (a size, or a whole word in Korean), numbers, and
    symbols such as emoji; of scripts without blanks between words, the single letters and the pairs
    of neighbors. A text that has none of these, such as "?!", is cut into its visible characters.
    """
    text = unicodedata.normalize("NFKC", text.translate(JOINERS)).casefold()
    found = []
    for match in pattern().finditer(text):
        piece = match[0]
        if match.lastgroup == "unspaced":
            found += [*piece, *map("".join, itertools.pairwise(piece))]
        elif piece.strip("_"):
            found.append(piece)
    return found or [letter for letter in text if not letter.isspace()]


@functools.cache
def pattern() -> re.Pattern:
    """Compiles what a token looks like; marks belong to the letters that carry them."""
    unspaced = "".join(f"{chr(low)}-{chr(high)}" for low, high in _UNSPACED)
    kinds = {code: unicodedata.category(chr(code)) for code in range(0x20000)}
    marks = _ranges([code for code, kind in kinds.items() if kind[0] == "M"])
    symbols = _ranges([code for code, kind in kinds.items() if kind == "So"])
    flag = "[\U0001f1e6-\U0001f1ff]{2}"  # two letters make the flag of a country
    return re.compile(
        f"(?P<unspaced>[{unspaced}]+)|(?P<word>(?:[^\\W{unspaced}]|(?![{unspaced}])[{marks}])+)"
        f"|(?P<symbol>{flag}|[{symbols}])"
    )


def _ranges(codes: list[int]) -> str:
    """Writes sorted code points as the inside of a character class."""
    starts = [code for code, before in zip(codes, [-2, *codes]) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], -2]) if code != after - 1]
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in zip(starts, ends))

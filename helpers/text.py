"""Texts as numbers: vocabularies, n-grams that are counted, and ways to draw the next token."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.files import BookError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Codes = NDArray[np.int64]
    Floats = NDArray[np.float64]

UNKNOWN = "<unk>"
"""The token of a word vocabulary that stands for all words that are not in it."""

RARE_CHARACTER = "\ufffd"
"""The token that stands for all characters that a vocabulary leaves out; it shows as a question."""

WORD = re.compile(r"\n|[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[^\w\s]|_")
"""A line break, a word (with apostrophes inside), a number, or a single sign."""

NO_SPACE_BEFORE = frozenset("\n,.;:!?')]’")
NO_SPACE_AFTER = frozenset("\n([")

SUM_TOLERANCE = 1e-4
"""How far a sum of probabilities may be from one; float32 softmax stays well inside."""


# Tokens ---------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """The words and signs of a text, each line break a token of its own.

    >>> words("O, Romeo's here.\\nExit")
    ['O', ',', "Romeo's", 'here', '.', '\\n', 'Exit']
    """
    return WORD.findall(text)


def join_words(tokens: Iterable[str]) -> str:
    """Words and signs as a text with the usual spaces, which need not be those of the original."""
    parts: list[str] = []
    previous = "\n"
    for token in tokens:
        if token not in NO_SPACE_BEFORE and previous not in NO_SPACE_AFTER:
            parts.append(" ")
        parts.append(token)
        previous = token
    return "".join(parts)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and their numbers, the codes: the token of code 3 is tokens[3].

    kind: "characters" or "words". Make one with `character_vocabulary` or `word_vocabulary`.
    """

    tokens: tuple[str, ...]
    kind: str = "characters"

    def __post_init__(self) -> None:
        if self.kind not in ("characters", "words"):
            raise BookError(f"A vocabulary has characters or words, not {self.kind!r}.")
        if not self.tokens or len(set(self.tokens)) < len(self.tokens):
            raise BookError("A vocabulary needs one token or more, all different.")
        if self.kind == "characters" and any(len(token) != 1 for token in self.tokens):
            raise BookError('Characters are single: pass kind="words" for longer tokens.')

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> Codes:
        """The codes [n] of a text. What is not in the vocabulary becomes UNKNOWN or RARE_CHARACTER.

        Raises BookError for it where the vocabulary does not have this token.
        """
        code = {token: number for number, token in enumerate(self.tokens)}
        if self.kind == "words":
            unknown = code.get(UNKNOWN)
            found = [code.get(token, unknown) for token in words(text)]
            if None in found:
                raise self._missing(words(text)[found.index(None)])
            return np.array(found, np.int64)
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        known = np.array([ord(token) for token in self.tokens], np.uint32)
        order = np.argsort(known)
        places = np.searchsorted(known[order], points).clip(max=len(known) - 1)
        codes = order[places].astype(np.int64)
        strange = known[codes] != points
        if strange.any():
            if RARE_CHARACTER not in code:
                raise self._missing(chr(points[strange][0]))
            codes[strange] = code[RARE_CHARACTER]
        return codes

    def _missing(self, token: str) -> BookError:
        return BookError(
            f"The vocabulary has no {token!r}: build it from texts that have it, or leave it out."
        )

    def decode(self, codes: ArrayLike) -> str:
        """The text of these codes [n]; words get the spaces of `join_words`."""
        numbers = _codes(codes, len(self))
        if numbers.ndim != 1:
            raise BookError(f"One text at a time has codes [n], not {list(numbers.shape)}.")
        tokens = [self.tokens[number] for number in numbers]
        return join_words(tokens) if self.kind == "words" else "".join(tokens)


def character_vocabulary(texts: Sequence[str], rare: int = 0) -> Vocabulary:
    """The characters of these texts, in the order of their code points.

    rare: characters that occur so often or less are left out, and RARE_CHARACTER is there for them;
    with 0 all are kept, and a character of another text is an error.
    """
    _require_texts(texts)
    counts = Counter[str]()
    for each in texts:
        counts.update(each)
    kept = {character for character, count in counts.items() if count > rare}
    return Vocabulary(tuple(sorted(kept | {RARE_CHARACTER} if rare else kept)))


def word_vocabulary(texts: Sequence[str], size: int) -> Vocabulary:
    """UNKNOWN, then the most frequent words and signs of these texts, `size` tokens in all.

    Ties go by the alphabet. There are fewer tokens if the texts have no more.
    """
    _require_texts(texts)
    if size < 2:
        raise BookError(f"A vocabulary of {size} has room for no word: pass size=2 or more.")
    counts = Counter(token for text in texts for token in words(text))
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    return Vocabulary((UNKNOWN, *ranked[: size - 1]), "words")


def _require_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise BookError("Pass a list of texts: one text is [text].")
    if not any(texts):
        raise BookError("The texts are empty: a vocabulary needs at least one character.")


# Counting n-grams -----------------------------------------------------------------------------


def ngrams(codes: ArrayLike, n: int, size: int) -> Codes:
    """Every n-gram of codes [length] as one number, its codes as digits: [length - n + 1].

    size: of the vocabulary, the base of the number. The code at place i is the last one of the
    n-gram i - n + 1. Raises BookError if there are fewer than n codes, or if the numbers do not fit
    into 63 bits.
    """
    digits = _codes(codes, size)
    if digits.ndim != 1 or not 1 <= n <= len(digits):
        raise BookError(
            f"n-grams of {n} tokens need codes [length], {max(n, 1)} at least, not "
            f"{list(digits.shape)}."
        )
    if size**n >= 2**63:
        raise BookError(
            f"n-grams of {n} tokens from {size} do not fit into whole numbers of 63 bits: take a "
            "smaller n or a smaller vocabulary."
        )
    numbers = np.zeros(len(digits) - n + 1, np.int64)
    for i in range(n):
        numbers = numbers * size + digits[i : len(digits) - n + 1 + i]
    return numbers


class _Counts:
    """Different n-grams in ascending order, their counts, and sums over those of one context."""

    def __init__(self, numbers: Codes, counts: Codes, size: int) -> None:
        self.numbers, self.counts = numbers, counts
        self.contexts, first = np.unique(numbers // size, return_index=True)
        self.totals = np.add.reduceat(counts, first)
        self.discounts = _discounts(counts)
        self.taken = self.discounts[np.minimum(counts, 3)]
        self.freed = np.add.reduceat(self.taken, first)


def _discounts(counts: Codes) -> Floats:
    """What is taken from a count of 0, 1, 2, and of 3 or more: [4].

    With n_k for how many n-grams were counted k times and D = n1 / (n1 + 2 n2), they are D,
    2 - 3 D n3 / n2 and 3 - 4 D n4 / n3. D serves for all three where one of n1 to n4 is 0, or a
    discount would not be above 0 and at most its count; without n1, D is 0.5.
    Source: Chen and Goodman (1999); their first, 1 - 2 D n2 / n1, is D itself.
    """
    one, two, three, four = (int(np.sum(counts == k)) for k in (1, 2, 3, 4))
    d = one / (one + 2 * two) if one else 0.5
    if one and two and three and four:
        amounts = (d, 2 - 3 * d * three / two, 3 - 4 * d * four / three)
        if all(0 < amount <= k for k, amount in enumerate(amounts, start=1)):
            return np.array([0, *amounts])
    return np.array([0, d, d, d])


class KneserNey:
    """Counted n-grams, smoothed: the probability of a token, given the order - 1 before it.

    codes: [length], the training text; order: n; size: of the vocabulary. Interpolated Kneser-Ney
    with three discounts, down to the uniform distribution, so that every token has a probability
    above zero after every context, and all sum to one.
    Source: Kneser and Ney (1995), in the form of Chen and Goodman (1999), section 3. The notebook
    `ngrams` builds it step by step.
    """

    def __init__(self, codes: ArrayLike, order: int, size: int) -> None:
        self.order, self.size = order, size
        numbers, counts = np.unique(ngrams(codes, order, size), return_counts=True)
        self._tables = [_Counts(numbers, counts, size)]  # the longest: how often
        for n in range(order - 1, 0, -1):  # shorter: after how many different tokens
            numbers, counts = np.unique(numbers % size**n, return_counts=True)
            self._tables.insert(0, _Counts(numbers, counts, size))

    def probability(self, numbers: ArrayLike) -> Floats:
        """Of the last token of each n-gram, given the tokens before it: numbers as of `ngrams`."""
        wanted = np.asarray(numbers)
        if wanted.dtype.kind not in "iu":
            raise BookError(f"n-grams are whole numbers, not {wanted.dtype}: see `ngrams`.")
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.size**self.order):
            raise BookError(
                f"Some n-gram is no number of {self.order} tokens from {self.size}: see `ngrams`."
            )
        p: Floats = np.full(wanted.shape, 1 / self.size)
        for n, table in enumerate(self._tables, start=1):
            gram = wanted % self.size**n
            context = gram // self.size
            kept = _look_up(gram, table.numbers, table.counts - table.taken)
            total = _look_up(context, table.contexts, table.totals)
            freed = _look_up(context, table.contexts, table.freed)
            p = np.where(total > 0, (kept + freed * p) / np.maximum(total, 1), p)
        return p


def _look_up(wanted: Codes, known: Codes, values: Any) -> Any:
    """values[i] where wanted is known[i] (in ascending order), else 0."""
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[places] == wanted, values[places], 0)


# Drawing the next token -----------------------------------------------------------------------


def distribution(
    logits: ArrayLike,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Floats:
    """The probabilities [..., tokens] from which the next token is drawn.

    logits: [..., tokens], logarithms of probabilities up to a constant; minus infinity for a token
    that may not come. They are divided by the temperature before the softmax: below 1 the likely
    becomes likelier, and at 0 only the likeliest token is left. Then top_k keeps the k likeliest,
    then top_p the fewest of the likeliest whose probabilities reach p together, the one that
    crosses the threshold included. What is left is scaled to sum to one. Of equally likely tokens
    those of lower codes come first.
    Raises BookError for settings out of range, NaN, and rows without a possible token.
    Source: Fan et al. (2018) for top-k, Holtzman et al. (2020) for top-p.
    """
    scores = _logits(logits)
    if not 0 <= temperature < np.inf:
        raise BookError(f"A temperature is a number from 0 up, not {temperature}.")
    if top_k is not None and not (isinstance(top_k, (int, np.integer)) and top_k >= 1):
        raise BookError(f"top_k counts tokens: pass a whole number from 1 up, not {top_k}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise BookError(f"top_p is a probability above 0 and at most 1, not {top_p}.")
    if temperature == 0:
        temperature, top_k = 1.0, 1
    with np.errstate(over="ignore"):  # at the lowest temperatures: minus infinity is right
        scaled = (scores - scores.max(axis=-1, keepdims=True)) / temperature
    probabilities = np.exp(scaled)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    if top_k is None and top_p is None:
        return probabilities
    order = np.argsort(-scores, axis=-1, kind="stable")  # logits differ where exp underflows
    ranked = np.take_along_axis(probabilities, order, axis=-1)
    if top_k is not None:
        ranked[..., top_k:] = 0
        ranked /= ranked.sum(axis=-1, keepdims=True)
    if top_p is not None:
        before = np.cumsum(ranked, axis=-1) - ranked
        ranked[before >= top_p - 1e-12] = 0  # the likeliest has 0 before it and stays
        ranked /= ranked.sum(axis=-1, keepdims=True)
    np.put_along_axis(probabilities, order, ranked, axis=-1)
    return probabilities


def draw(probabilities: ArrayLike, generator: np.random.Generator) -> Codes:
    """One token for each row of probabilities [..., tokens]: codes [...].

    generator: of NumPy, e.g. np.random.default_rng(0); the same seed gives the same tokens.
    Raises BookError for rows that are negative or do not sum to one.
    """
    rows = _array(probabilities, "probabilities")
    bad = ~np.isfinite(rows)
    if bad.any() or rows.min() < 0 or np.abs(rows.sum(axis=-1) - 1).max() > SUM_TOLERANCE:
        raise BookError(
            "Each row of probabilities must be numbers from 0 up that sum to one: pass logits to "
            "`sample`, or apply a softmax."
        )
    reached = np.cumsum(rows, axis=-1)
    reached /= reached[..., -1:]  # the last is 1 exactly, above every uniform number
    chance = generator.random(rows.shape[:-1])[..., None]
    return np.asarray((reached <= chance).sum(axis=-1), np.int64)


def sample(
    logits: ArrayLike,
    generator: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Codes:
    """Draw a token for each row of logits [..., tokens]; the settings are those of `distribution`.

    One random number is used for each row, whatever the settings.
    """
    settings: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    return draw(distribution(logits, **settings), generator)


# Checks of what came in -----------------------------------------------------------------------


def _array(values: ArrayLike, name: str) -> Floats:
    """`values` as float64 [..., tokens], at least one token."""
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BookError(
            f"The {name} must be an array of numbers: check what was passed."
        ) from error
    if numbers.ndim == 0 or numbers.size == 0:
        raise BookError(
            f"The {name} need the shape [..., tokens] and one value or more, not "
            f"{list(numbers.shape)}."
        )
    return numbers


def _logits(values: ArrayLike) -> Floats:
    scores = _array(values, "logits")
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise BookError("The logits contain NaN or plus infinity: check the model that made them.")
    if np.isneginf(scores).all(axis=-1).any():
        raise BookError("A row of logits forbids every token: leave one at least.")
    return scores


def _codes(values: ArrayLike, size: int) -> Codes:
    codes = np.asarray(values)
    if codes.size == 0:
        return np.zeros(codes.shape, np.int64)
    if codes.dtype.kind not in "iu":
        raise BookError(f"Codes are whole numbers, not {codes.dtype}: draw tokens first.")
    if codes.min() < 0 or codes.max() >= size:
        raise BookError(f"Codes of this vocabulary run from 0 to {size - 1}, not to {codes.max()}.")
    return codes.astype(np.int64)

"""helpers.text: vocabularies, and draws from distributions that are known."""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers import text
from helpers.files import BookError

LOGITS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 6)),
    elements=st.floats(-30, 30),
)
DRAWS = 40_000


# -------------------------------------------------------------------------------- vocabularies


def test_characters_there_and_back() -> None:
    vocabulary = text.character_vocabulary(["banana", "Ça va?\n"])
    assert vocabulary.tokens == ("\n", " ", "?", "a", "b", "n", "v", "Ç")
    assert len(vocabulary) == 8
    codes = vocabulary.encode("nab")
    assert codes.dtype == np.int64 and codes.tolist() == [5, 3, 4]
    assert vocabulary.decode(codes) == "nab"
    assert vocabulary.encode("").tolist() == [] and vocabulary.decode([]) == ""


@given(st.text(alphabet=st.characters(), min_size=1))
def test_every_text_of_characters_comes_back(written: str) -> None:
    vocabulary = text.character_vocabulary([written])
    assert vocabulary.decode(vocabulary.encode(written)) == written


def test_characters_of_a_vocabulary_in_any_order() -> None:
    vocabulary = text.Vocabulary(("c", "a", "b"))
    assert vocabulary.encode("abc").tolist() == [1, 2, 0]


def test_rare_characters_share_a_token() -> None:
    vocabulary = text.character_vocabulary(["banana"], rare=1)
    assert vocabulary.tokens == ("a", "n", text.RARE_CHARACTER)
    assert vocabulary.decode(vocabulary.encode("bananas")) == "\ufffdanana\ufffd"
    assert len(text.character_vocabulary(["banana"], rare=9)) == 1


def test_words_of_a_line() -> None:
    assert doctest.testmod(text).failed == 0
    assert text.words("I'll o'erleap, 10 half-lights!") == [
        "I'll", "o'erleap", ",", "10", "half", "-", "lights", "!"
    ]  # fmt: skip
    assert text.words("snake_case ‘tis née\n\n[Exit]") == [
        "snake", "_", "case", "‘", "tis", "née", "\n", "\n", "[", "Exit", "]"
    ]  # fmt: skip


def test_words_with_the_usual_spaces() -> None:
    line = "Come, sir;\n[Exit Ghost] (I'll go!)\nNo."
    assert text.join_words(text.words(line)) == line
    assert text.join_words(["a", "  b"]) == "a   b"
    assert text.join_words([]) == ""


def test_the_most_frequent_words() -> None:
    texts = ["the cat , the dog", "the cat and a dog"]
    vocabulary = text.word_vocabulary(texts, 4)
    assert vocabulary.tokens == ("<unk>", "the", "cat", "dog")  # cat and dog by the alphabet
    assert vocabulary.encode("a dog and the bird").tolist() == [0, 3, 0, 1, 0]
    assert vocabulary.decode([1, 0, 3]) == "the <unk> dog"
    assert len(text.word_vocabulary(texts, 1_000)) == 7


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: text.character_vocabulary("abc"), "list of texts"),
        (lambda: text.character_vocabulary([]), "empty"),
        (lambda: text.word_vocabulary([""], 5), "empty"),
        (lambda: text.word_vocabulary(["a b"], 1), "no word"),
        (lambda: text.Vocabulary(("a", "a")), "different"),
        (lambda: text.Vocabulary(()), "one token"),
        (lambda: text.Vocabulary(("ab",)), "single"),
        (lambda: text.Vocabulary(("a",), "letters"), "letters"),
        (lambda: text.character_vocabulary(["abc"]).encode("abd"), "'d'"),
        (lambda: text.Vocabulary(("a", "b"), "words").encode("a c"), "'c'"),
        (lambda: text.character_vocabulary(["abc"]).decode([0, 3]), "from 0 to 2"),
        (lambda: text.character_vocabulary(["abc"]).decode([-1]), "from 0 to 2"),
        (lambda: text.character_vocabulary(["abc"]).decode([0.5]), "whole numbers"),
        (lambda: text.character_vocabulary(["abc"]).decode([[0, 1]]), "One text"),
    ],
)
def test_bad_vocabularies_are_refused_in_a_sentence(call: Callable[[], object], said: str) -> None:
    with pytest.raises(BookError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


# ------------------------------------------------------------------------------------------ n-grams


def test_ngrams_are_numbers_with_codes_as_digits() -> None:
    assert text.ngrams([1, 2, 3, 0], 2, 10).tolist() == [12, 23, 30]
    assert text.ngrams([1, 2, 3, 0], 4, 5).tolist() == [125 + 50 + 15]


def test_counts_of_abracadabra_by_hand() -> None:
    """Bigrams: four were seen once, three twice, so D = .4; letters: four after one, D = 1."""
    magic = text.character_vocabulary(["abracadabra"])
    model = text.KneserNey(magic.encode("abracadabra"), 2, 5)
    seen, unseen = model.probability([magic.encode("ab") @ [5, 1], magic.encode("ba") @ [5, 1]])
    assert seen == pytest.approx((2 - 0.4) / 4 + 0.4 * 3 / 4 * (1 / 7))
    assert unseen == pytest.approx(0.4 * 1 / 2 * (2 / 7 + 1 / 7))


def test_three_discounts_by_hand() -> None:
    counts = np.array([1] * 4 + [2] * 2 + [3, 4, 9])  # D = 4 / (4 + 2 * 2) = .5
    assert text._discounts(counts) == pytest.approx([0, 0.5, 1.25, 1.0])
    assert text._discounts(np.array([1, 1, 2, 3])) == pytest.approx([0, 0.5, 0.5, 0.5])
    assert text._discounts(np.array([1, 1, 2, 3] + [4] * 9)) == pytest.approx([0, 0.5, 0.5, 0.5])
    assert text._discounts(np.array([2, 3])) == pytest.approx([0, 0.5, 0.5, 0.5])


def slow_probability(codes: list[int], context: tuple[int, ...], code: int, size: int) -> float:
    """Kneser-Ney as its definition says it, with sets of positions in place of sorted arrays."""

    def tables(order: int) -> list[dict[tuple[int, ...], int]]:
        longest = [tuple(codes[i : i + order]) for i in range(len(codes) - order + 1)]
        found = [{gram: longest.count(gram) for gram in longest}]
        for n in range(order - 1, 0, -1):
            found.insert(0, {})
            for gram in {longer[1:] for longer in found[1]}:
                assert len(gram) == n
                found[0][gram] = sum(longer[1:] == gram for longer in found[1])
        return found

    p = 1 / size
    for n, table in enumerate(tables(len(context) + 1), start=1):
        amounts = text._discounts(np.array(list(table.values())))
        before = context[len(context) - n + 1 :]
        followers = {gram: count for gram, count in table.items() if gram[:-1] == before}
        if followers:
            count = followers.get((*before, code), 0)
            freed = sum(amounts[min(each, 3)] for each in followers.values())
            p = (count - amounts[min(count, 3)] + freed * p) / sum(followers.values())
    return p


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=4, max_size=60), st.integers(1, 4))
def test_probabilities_sum_to_one_and_agree_with_the_definition(
    codes: list[int], order: int
) -> None:
    """After every context, whether it was seen or not."""
    model = text.KneserNey(codes, order, 3)
    all_next = model.probability(np.arange(3**order).reshape(-1, 3))
    assert all_next.sum(axis=1) == pytest.approx(1) and all_next.min() > 0
    for number in {0, 3**order - 1, 3**order // 2}:
        digits = tuple(number // 3**i % 3 for i in range(order))[::-1]
        slow = slow_probability(codes, digits[:-1], digits[-1], 3)
        assert model.probability(number) == pytest.approx(slow)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: text.ngrams([0, 1], 3, 5), "3 at least"),
        (lambda: text.ngrams([0, 1], 0, 5), "1 at least"),
        (lambda: text.ngrams([[0, 1]], 1, 5), "codes"),
        (lambda: text.ngrams([0, 5], 1, 5), "from 0 to 4"),
        (lambda: text.ngrams([0] * 20, 11, 78), "63 bits"),
        (lambda: text.KneserNey([0, 1, 0], 2, 2).probability(4), "2 tokens from 2"),
        (lambda: text.KneserNey([0, 1, 0], 2, 2).probability(-1), "2 tokens from 2"),
        (lambda: text.KneserNey([0, 1, 0], 2, 2).probability(0.5), "whole numbers"),
    ],
)
def test_bad_ngrams_are_refused_in_a_sentence(call: Callable[[], object], said: str) -> None:
    with pytest.raises(BookError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


# ---------------------------------------------------------------------------------- distributions


def test_temperature_by_hand() -> None:
    logits = np.log([0.5, 0.3, 0.2])
    assert text.distribution(logits) == pytest.approx([0.5, 0.3, 0.2])
    squares = np.array([0.25, 0.09, 0.04])  # half the temperature squares the probabilities
    assert text.distribution(logits, temperature=0.5) == pytest.approx(squares / squares.sum())
    roots = np.sqrt([0.5, 0.3, 0.2])
    assert text.distribution(logits, temperature=2) == pytest.approx(roots / roots.sum())
    assert text.distribution(logits, temperature=0).tolist() == [1, 0, 0]
    assert text.distribution([1.0, 1.0], temperature=0).tolist() == [1, 0]
    assert text.distribution([0.0, 1e-3], temperature=1e-6) == pytest.approx([0, 1])


def test_top_k_by_hand() -> None:
    logits = np.log([[0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
    kept = text.distribution(logits, top_k=2)
    assert kept == pytest.approx(np.array([[0, 2 / 3, 1 / 3], [3 / 7, 0, 4 / 7]]))
    assert text.distribution(logits, top_k=1) == pytest.approx(np.array([[0, 1, 0], [0, 0, 1]]))
    assert text.distribution(logits, top_k=50) == pytest.approx(np.exp(logits))


def test_top_p_keeps_the_token_that_crosses_the_threshold() -> None:
    logits = np.log([0.2, 0.5, 0.3])
    assert text.distribution(logits, top_p=0.6) == pytest.approx([0, 5 / 8, 3 / 8])
    assert text.distribution(logits, top_p=0.5) == pytest.approx([0, 1, 0])  # reached exactly
    assert text.distribution(logits, top_p=0.01) == pytest.approx([0, 1, 0])  # one stays always
    assert text.distribution(logits, top_p=0.81) == pytest.approx([0.2, 0.5, 0.3])
    assert text.distribution(logits, top_p=1) == pytest.approx([0.2, 0.5, 0.3])


def test_settings_come_in_order() -> None:
    """Temperature, then k, then p, the latter over what k left."""
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    squares = np.array([16, 9, 4]) / 29
    assert text.distribution(logits, temperature=0.5, top_k=3) == pytest.approx([*squares, 0])
    both = text.distribution(logits, temperature=0.5, top_k=3, top_p=0.8)  # 16/29 + 9/29 = .862
    assert both == pytest.approx([16 / 25, 9 / 25, 0, 0])


def test_forbidden_tokens_and_extreme_logits() -> None:
    assert text.distribution([-np.inf, 0.0, 0.0], top_k=3) == pytest.approx([0, 0.5, 0.5])
    assert text.distribution([1e4, 0.0, -1e4]) == pytest.approx([1, 0, 0])
    assert text.distribution([0.0, -1e4, -2e4], temperature=0.01, top_k=2) == pytest.approx(
        [1, 0, 0]
    )


@settings(deadline=None)
@given(
    LOGITS,
    st.floats(0, 5),
    st.none() | st.integers(1, 8),
    st.none() | st.floats(0.01, 1),
)
def test_distributions_sum_to_one_and_keep_the_order(
    logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    kept = text.distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    assert kept.shape == logits.shape and kept.sum(axis=-1) == pytest.approx(1)
    best = np.argmax(logits, axis=-1)[:, None]
    assert (np.take_along_axis(kept, best, axis=-1)[:, 0] == kept.max(axis=-1)).all()
    if top_k:
        assert ((kept > 0).sum(axis=-1) <= top_k).all()


@settings(deadline=None)
@given(LOGITS, st.floats(0.01, 1))
def test_top_p_is_the_smallest_set(logits: np.ndarray, top_p: float) -> None:
    whole = text.distribution(logits)
    kept = text.distribution(logits, top_p=top_p) > 0
    for row, mask in zip(whole, kept, strict=True):
        if not np.isclose(np.cumsum(np.sort(row)[::-1]), top_p, atol=1e-9).any():
            assert row[mask].sum() >= top_p  # enough
            assert row[mask].sum() - row[mask].min() < top_p  # and no token too many


# -------------------------------------------------------------------------------------------- draws


def test_draws_have_the_known_frequencies() -> None:
    chances = np.array([[0.5, 0.0, 0.3, 0.2], [0.0, 1.0, 0.0, 0.0]])
    codes = text.draw(np.repeat(chances[:, None], DRAWS, axis=1), np.random.default_rng(0))
    assert codes.shape == (2, DRAWS) and codes.dtype == np.int64
    shares = np.bincount(codes[0], minlength=4) / DRAWS
    errors = np.sqrt(chances[0] * (1 - chances[0]) / DRAWS)
    assert (np.abs(shares - chances[0]) <= 4 * errors).all()  # what has no chance never comes
    assert (codes[1] == 1).all()


def test_samples_have_the_frequencies_of_their_distribution() -> None:
    logits = np.broadcast_to(np.log([0.4, 0.3, 0.2, 0.1]), (DRAWS, 4))
    for how in ({"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.65}, {"temperature": 2.0}):
        expected = text.distribution(logits[0], **how)
        codes = text.sample(logits, np.random.default_rng(1), **how)
        shares = np.bincount(codes, minlength=4) / DRAWS
        assert np.abs(shares - expected).max() < 4 * math.sqrt(0.25 / DRAWS)
        assert (shares[expected == 0] == 0).all()


def test_the_same_seed_gives_the_same_tokens() -> None:
    logits = np.random.default_rng(2).standard_normal((3, 50, 7))
    first, again, other = (
        text.sample(logits, np.random.default_rng(seed), temperature=0.8) for seed in (5, 5, 6)
    )
    assert first.shape == (3, 50) and np.array_equal(first, again)
    assert not np.array_equal(first, other)
    generator = np.random.default_rng(5)
    assert np.array_equal(text.sample(logits, generator, temperature=0.8), first)
    assert not np.array_equal(text.sample(logits, generator, temperature=0.8), first)  # goes on


def test_rows_are_drawn_apart() -> None:
    """Each row has a random number of its own."""
    logits = np.zeros((DRAWS, 2))
    codes = text.sample(logits, np.random.default_rng(3))
    assert abs(np.corrcoef(codes[:-1], codes[1:])[0, 1]) < 0.03


def test_a_single_row() -> None:
    code = text.sample([0.0, -np.inf], np.random.default_rng(0))
    assert code.shape == () and code == 0


def test_float32_probabilities_and_the_largest_random_number() -> None:
    class Nearly(np.random.Generator):
        def random(self, *arguments: object, **options: object) -> np.ndarray:
            return np.full(arguments[0], np.nextafter(1, 0))

    logits = np.random.default_rng(0).standard_normal((9, 78)).astype("float32")
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows[:, -1], rows[:, 0] = 0, rows[:, 0] + rows[:, -1]
    assert (text.draw(rows, Nearly(np.random.PCG64(0))) == 76).all()  # not 77, which has no chance


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: text.distribution([0.0, np.nan]), "NaN"),
        (lambda: text.distribution([0.0, np.inf]), "infinity"),
        (lambda: text.distribution([[0.0, 1.0], [-np.inf, -np.inf]]), "forbids"),
        (lambda: text.distribution([]), "tokens"),
        (lambda: text.distribution(3.0), "tokens"),
        (lambda: text.distribution("abc"), "array of numbers"),
        (lambda: text.distribution([0.0, 1.0], temperature=-1), "temperature"),
        (lambda: text.distribution([0.0, 1.0], temperature=np.nan), "temperature"),
        (lambda: text.distribution([0.0, 1.0], temperature=np.inf), "temperature"),
        (lambda: text.distribution([0.0, 1.0], top_k=0), "top_k"),
        (lambda: text.distribution([0.0, 1.0], top_k=1.5), "top_k"),
        (lambda: text.distribution([0.0, 1.0], top_p=0), "top_p"),
        (lambda: text.distribution([0.0, 1.0], top_p=1.01), "top_p"),
        (lambda: text.draw([0.5, 0.6], np.random.default_rng(0)), "sum to one"),
        (lambda: text.draw([1.5, -0.5], np.random.default_rng(0)), "sum to one"),
        (lambda: text.draw([np.nan, 1.0], np.random.default_rng(0)), "sum to one"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(call: Callable[[], object], said: str) -> None:
    with pytest.raises(BookError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")

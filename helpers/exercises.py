"""Exercises: a check that tells an open gap from a wrong answer, and keeps the reader's answer.

An exercise is a function with an open gap, which raises NotImplementedError until somebody fills
it in; the book's solution, a function of the same name; and a check.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Answer = TypeVar("Answer", bound=Callable[..., Any])


def is_open(function: Callable[..., Any]) -> bool:
    """Whether this function still has its gap: whether its code names NotImplementedError."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and _names(code, "NotImplementedError")


def _names(code: Any, name: str) -> bool:
    """Whether a piece of code, or a function defined in it, mentions this name."""
    inner = (constant for constant in code.co_consts if inspect.iscode(constant))
    return name in code.co_names or any(_names(piece, name) for piece in inner)


def solution(function: Answer) -> Answer:
    """Decorates the book's solution: a reader's own answer of the same name is kept.

    So *Run All* checks what the reader wrote, and the book's solution only where the gap is open.
    Running the solution's cell a second time changes nothing.
    """
    own = function.__globals__.get(function.__name__)
    if own is None or getattr(own, "is_the_books_solution", False) or is_open(own):
        function.is_the_books_solution = True  # type: ignore[attr-defined]
        return function
    print(f"Your own {function.__name__} is kept; the book's is in this cell.")
    return own


@contextlib.contextmanager
def check(*functions: Callable[..., Any]) -> Iterator[None]:
    """Check an exercise: `with exercises.check(area): assert area(2, 3) == 6`.

    functions: those that the reader fills in. Prints "correct" when nothing in the block fails,
    and "not solved yet" in one sentence while a gap is open. A wrong answer raises AssertionError,
    also where it stops the check itself, by returning nothing for example.
    """
    names = " and ".join(function.__name__ for function in functions)
    gaps = " and ".join(function.__name__ for function in functions if is_open(function))
    try:
        yield
    except Exception as error:
        if isinstance(error, AssertionError) and not gaps:
            raise
        if not gaps:
            raise AssertionError(
                f"{names} does not return what was asked for: the check stopped with "
                f"{type(error).__name__} ({error})."
            ) from error
    # Whatever an open gap leads to is neither wrong nor right
    print(f"not solved yet: fill in {gaps}, run its cell, then this one" if gaps else "correct")

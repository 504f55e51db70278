"""Keep related pieces on one side of the split."""

from __future__ import annotations

from typing import Any

TEST_SHARE = 10  # one family in ten is for testing


def families(marks: list[set[Any]]) -> list[int]:
    """The family number of each item: items that share a mark are in one family."""
    parent = list(range(len(marks)))

    def head(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first_with: dict[Any, int] = {}
    for item, own in enumerate(marks):
        for mark in own:
            other = head(first_with.setdefault(mark, item))
            parent[max(head(item), other)] = min(head(item), other)
    return [head(item) for item in range(len(marks))]


def held_out(family_of: list[int]) -> list[bool]:
    """Which items are for testing: every tenth family, so that no family is on both sides."""
    order = {family: number for number, family in enumerate(sorted(set(family_of)))}
    return [order[family] % TEST_SHARE == TEST_SHARE - 1 for family in family_of]

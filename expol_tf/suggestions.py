"""The name that a misspelt one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ' Did you mean …?' with the nearest of the known names, or an empty string."""
    near = nearest(name, known)
    return f" Did you mean {near[0]!r}?" if near else ""


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Returns the known names that `name` may be a misspelling of, the likeliest first, at most `count`."""
    # Case is the commonest mistake, and difflib would count every letter of it.
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), list(by_lower), n=count, cutoff=0.6)
    return [by_lower[match] for match in matches]

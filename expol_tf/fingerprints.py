"""Fingerprints of experiments: settings by name, as text, of two processes compared by value.

A text may end in digests of code and in the places of what cannot be compared; see
`expol_tf.descriptions.Description`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_LINE = re.compile(
    r"(?P<text>.*?)(?: code\[(?P<python>[\d.]+)\]=(?P<code>\w+) source=(?P<source>\w+))?"
    r"(?: not comparable\[(?P<leftover>.*)\])?",
    re.DOTALL,
)
_UNSET = "(default)"


class Comparison(NamedTuple):
    """How one experiment's settings differ from another's, a line for each setting.

    Attributes:
      differences: `name: the one's → the other's`.
      leftover: Settings that hold something without a value that could be compared: what and where.
      unknown: Settings whose code may differ: it was recorded by another version of Python, without source.
    """

    differences: list[str]
    leftover: list[str]
    unknown: list[str]


def compare(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Comparison:
    """Returns how fingerprints differ.

    Code is compared by the digest of its bytecode, if the same version of Python recorded it, else by that of
    its source. A record without either, as earlier versions made it, leaves it open.
    """
    result = Comparison([], [], [])
    for name in sorted(theirs.keys() | ours.keys()):
        texts = [entries.get(name, _UNSET) for entries in (theirs, ours)]
        one, other = (match.groupdict() for text in texts if (match := _LINE.fullmatch(str(text))))
        leftover = other["leftover"] or one["leftover"]
        if one["text"] != other["text"]:
            result.differences.append(f"{name}: {one['text']} → {other['text']}")
        elif leftover:
            result.leftover.append(f"{name}: {leftover}")
        elif one["code"] is None or other["code"] is None:
            if one["code"] != other["code"]:
                result.unknown.append(name)
        elif one["python"] == other["python"]:
            if one["code"] != other["code"]:
                result.differences.append(f"{name}: the code of {one['text']} is another")
        elif "none" in (one["source"], other["source"]):
            result.unknown.append(name)
        elif one["source"] != other["source"]:
            result.differences.append(f"{name}: the source of {one['text']} is another")
    return result

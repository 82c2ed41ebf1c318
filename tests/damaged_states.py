"""States that `set_state` has to refuse, for tests of whatever saves its state."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest

from expol_tf.errors import CheckpointError

_TEXT = "no generator"


def refuse_damaged(holder: Any, optional: Collection[str] = ()) -> None:
    """Every entry that lacks, or is of another shape or kind, is named; the true state is taken after all.

    Args:
      holder: What has a state by now.
      optional: The entries that may be missing.
    """
    state = holder.get_state()
    assert state
    for name, array in state.items():
        longer = np.concatenate([array, array[:1]]) if array.ndim else np.stack([array, array])
        other = np.zeros(array.shape) if array.dtype.kind == "U" else np.full(array.shape, _TEXT)
        values = {"longer": longer, "of another kind": other, "a list": array.tolist(), "nothing": None}
        if array.dtype.kind == "U":
            values["no generator"] = np.full(array.shape, _TEXT)
        for what, value in values.items():
            _refuse(holder, {**state, name: value}, name, f"{name} is {what}")
        if name not in optional:
            _refuse(holder, {key: state[key] for key in state if key != name}, name, f"{name} is missing")
    for value in (None, 3, list(state), {0: np.zeros(3)}):
        with pytest.raises(CheckpointError, match="arrays by name, as get_state returned it; got"):
            holder.set_state(value)
    holder.set_state(state)
    again = holder.get_state()
    assert again.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def _refuse(holder: Any, state: dict[str, Any], name: str, case: str) -> None:
    try:
        holder.set_state(state)
    except CheckpointError as error:
        # A part that is restored by itself knows its own names only.
        short = re.split("[/.]", name)[-1]
        # Two that belong together, and the number of rows, may be told by the other one.
        named = (short, short.replace("return", "length"), _TEXT, "sub-environments, but num_envs is")
        assert any(words in str(error) for words in named), f"{case}: {error}"
        assert re.search(r"(Resume|Restore|Give) .*\.$", str(error)), f"{case}: {error}"
    else:
        pytest.fail(f"{case}: it is taken")

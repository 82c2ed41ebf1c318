"""A configuration as values that JSON holds."""

from __future__ import annotations

import json

from expol_tf.configuration import recorded_values

TEXT = """\
# A comment.
import os
TASK = 'Hopper-v5'
GAMMA = 0.99
PAIR = (%GAMMA, 1)

train.task = %TASK
train.agent = @SacAgent
train.make_kwargs = {'a': [1, None, True]}  # default
expol_tf.ValueNetwork.hidden_units = (4,)
scope/Box.high = 1e999
scope/Box.pair = %PAIR
Box.keys = {1: 2}
Box.unknown = %elsewhere
"""


def test_values_are_json_or_gins_text():
    values = recorded_values(TEXT)
    assert values == {
        "train.task": "Hopper-v5",
        "train.agent": "@SacAgent",
        "train.make_kwargs": {"a": [1, None, True]},
        "ValueNetwork.hidden_units": "(4,)",
        "scope/Box.high": "1e999",
        "scope/Box.pair": "(0.99, 1)",
        "Box.keys": "{1: 2}",
        "Box.unknown": "%elsewhere",
    }
    assert json.loads(json.dumps(values)) == values

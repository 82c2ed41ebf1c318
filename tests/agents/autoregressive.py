"""The MAF and the IAF policy of docs/autoregressive_flows.md, as a reader of the page has them."""

from __future__ import annotations

import pathlib
import re
from typing import Any

PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "autoregressive_flows.md"


def _policies() -> tuple[Any, Any]:
    names: dict[str, Any] = {}
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    exec(compile(block[1], str(PAGE), "exec"), names)
    return names["MafActorNetwork"], names["IafActorNetwork"]


MafActorNetwork, IafActorNetwork = _policies()

"""Runs the Python of a page from top to bottom, as a reader would who types it into one program.

`python -m tests.docs.run_page PAGE [OLD NEW ...]` replaces texts before, which must be there.
"""

from __future__ import annotations

import functools
import importlib
import pathlib
import re
import sys


def blocks(text: str) -> list[str]:
    """Returns the Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def main(page: str, *replacements: str) -> None:
    path = pathlib.Path(page)
    text = "\n".join(f"```python\n{block}```" for block in blocks(path.read_text(encoding="utf-8")))
    for old, new in zip(replacements[::2], replacements[1::2], strict=True):
        if old not in text:
            raise ValueError(f"{path.name} has no {old!r} to be replaced")
        text = text.replace(old, new)
    import expol_tf

    # A run that gives no length of its own ends with the first iteration.
    expol_tf.train = functools.partial(expol_tf.train, num_env_steps=1)
    sys.path.insert(0, "")
    names = vars(sys.modules["__main__"])
    for number, block in enumerate(blocks(text), 1):
        file = re.match(r"# (\w+)\.py\n", block)
        if file:
            pathlib.Path(f"{file[1]}.py").write_text(block, encoding="utf-8")
            importlib.import_module(file[1])
        else:
            exec(compile(block, f"{path.name}, block {number}", "exec"), names)
    print(f"\n{path.name}: {number} blocks ran")


if __name__ == "__main__":
    main(*sys.argv[1:])

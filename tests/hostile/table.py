"""The counts of trials by item, and what is printed about a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.hostile.trial import Ended, Trial, Verdict

_COLUMNS = {
    "tracebacks": Verdict.TRACEBACK,
    "hangs": Verdict.HANG,
    "accepted": Verdict.ACCEPTED,
    "refused": Verdict.REFUSED,
}
_TAIL = 1500


class Result(NamedTuple):
    """How a trial ended."""

    item: int
    name: str
    verdict: Verdict
    seconds: float


def counts(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    """Returns the numbers of trials and of each bad end by item."""
    rows = {}
    for item in sorted({result.item for result in results}):
        own = [result for result in results if result.item == item]
        bad = {name: sum(result.verdict is verdict for result in own) for name, verdict in _COLUMNS.items()}
        rows[str(item)] = {"trials": len(own), **bad}
    return rows


def table(results: Sequence[Result]) -> str:
    """Returns the counts as text, with the mean time of a trial."""
    lines = [f"{'item':>5}{'trials':>8}" + "".join(f"{name:>12}" for name in _COLUMNS) + f"{'s/trial':>10}"]
    for item, row in counts(results).items():
        seconds = [result.seconds for result in results if str(result.item) == item]
        lines.append(
            f"{item:>5}{row['trials']:>8}" + "".join(f"{row[name]:>12}" for name in _COLUMNS)
            + f"{sum(seconds) / len(seconds):>10.1f}"
        )  # fmt: skip
    return "\n".join(lines)


def failure(name: str, seed: str, trial: Trial, ended: Ended, verdict: Verdict, why: str, whole: bool) -> str:
    """Returns the input, what was wrong, the end of the output, and how to run the trial alone."""
    output = ended.output if whole else ended.output[-_TAIL:]
    indented = "\n".join(f"  | {line}" for line in output.splitlines())
    again = f"python -m tests.hostile --seed={seed} --trial={name}"
    if name.startswith("0/"):
        again = f"python -m tests.hostile --seed={seed} --kills --experiment={name.split('/')[1]}"
    shown = trial.what if len(trial.what) < 3000 else f"{trial.what[:2000]}…"
    return f"\n=== {verdict.name}: {name}: {why}\n{shown}\n{indented}\n  again: {again}"

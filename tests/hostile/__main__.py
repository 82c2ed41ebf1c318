"""Runs hostile trials.

python -m tests.hostile                          all of them
python -m tests.hostile --items=14,17            those of some items
python -m tests.hostile --seed=another           as many other ones
python -m tests.hostile --trial=14/record/7      one of them, with all that it printed
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

for _variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.hostile import catalogue, kills, processes, programs, table  # noqa: E402
from tests.hostile.trial import Meant, Trial, Verdict, judge  # noqa: E402


def main() -> int:
    """Runs what the command line asks for; returns 1 if any trial failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--items", default=",".join(map(str, catalogue.ITEMS)))
    parser.add_argument("--seed", default="first")
    parser.add_argument("--factor", type=float, default=1.0, help="of the number of trials")
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trial", action="append", default=[], help="item/kind/number; repeatable")
    parser.add_argument("--kills", action="store_true", help="kill runs of every experiment instead")
    parser.add_argument(
        "--experiment", action="append", default=[], help="with --kills: only these; repeatable"
    )
    parser.add_argument("--keep", help="directory in which the trials' directories stay")
    parser.add_argument("--json", help="file for the results")
    given = parser.parse_args()
    start = time.monotonic()
    programs.import_all()
    from expol_tf.cli.commands.train import import_library

    import_library()
    place = Path(given.keep or tempfile.mkdtemp(prefix="hostile-")).absolute()
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    try:
        programs.bases = place / "bases"
        if given.kills:
            names = given.experiment or kills.experiments()
            chosen = ((f"0/{name}/0", kills.trial(name, given.seed)) for name in names)
        elif not _make_bases(place):
            return 1
        elif given.trial:
            chosen = iter([(name, catalogue.trial(name, given.seed)) for name in given.trial])
        else:
            items = [int(item) for item in given.items.split(",")]
            chosen = catalogue.trials(items, given.seed, given.factor)
        results = []
        for name, trial, ended, seconds, process in processes.run_all(chosen, place, given.parallel):
            verdict, why = judge(trial, ended)
            results.append(table.Result(int(name.partition("/")[0]), name, verdict, seconds))
            if verdict is not Verdict.FINE or given.trial:
                print(
                    table.failure(name, given.seed, trial, ended, verdict, why, whole=bool(given.trial)),
                    flush=True,
                )
            if not given.keep:
                process.remove()
    finally:
        if not given.keep:
            shutil.rmtree(place, ignore_errors=True)
    print(table.table(results))
    print(f"{len(results)} trials in {time.monotonic() - start:.0f} s")
    if given.json:
        Path(given.json).write_text(json.dumps(table.counts(results)))
    return int(any(result.verdict is not Verdict.FINE for result in results))


def _make_bases(place: Path) -> bool:
    """Makes the runs that trials damage or look at, each in its own process; returns whether all were."""
    made = [
        (name, Trial(f"base run {name}", act, Meant.VALID, limit_s=300.0))
        for name, act in programs.make_bases().items()
    ]
    for name, trial, ended, _, process in processes.run_all(
        iter(made), place / "making", os.cpu_count() or 1
    ):
        verdict, why = judge(trial, ended)
        if verdict is not Verdict.FINE:
            print(f"the base run {name} could not be made: {why}\n{ended.output}")
            return False
        (place / "bases").mkdir(exist_ok=True)
        shutil.move(str(ended.directory / name), place / "bases" / name)
        process.remove()
    return True


if __name__ == "__main__":
    sys.exit(main())

"""Programs that are stopped, killed, linked elsewhere and started in odd places (item 18)."""

from __future__ import annotations

import csv
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.hostile import programs
from tests.hostile.environments import GOOD_MODULE
from tests.hostile.processes import Fork
from tests.hostile.trial import LATE, PROBLEM, Meant, Trial

# Slurm gives thirty seconds between SIGTERM and SIGKILL.
_STOP_S = 30.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_FOUND = 3


class _Found(Exception):
    """What a scenario found wrong."""


def _scenario(function: Callable[[], None]) -> Callable[[], int]:
    def act() -> int:
        try:
            function()
        except _Found as problem:
            print(f"{PROBLEM}{problem}")
            return _FOUND
        return 0

    return act


def _require(condition: object, problem: str) -> None:
    if not condition:
        raise _Found(problem)


def _rows(path: Path) -> list[int]:
    try:
        with path.open(newline="") as file:
            return [int(row["env_step"]) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


_MOMENTS: dict[str, Callable[[], bool]] = {
    "the start": lambda: True,
    "the run's directory": lambda: Path("run").exists(),
    "the record": lambda: Path("run/fingerprint.json").exists(),
    "a row": lambda: len(_rows(Path("run/metrics.csv"))) >= 1,
    "four rows": lambda: len(_rows(Path("run/metrics.csv"))) >= 4,
    "an evaluation": lambda: len(_rows(Path("run/evaluation.csv"))) >= 1,
    "a checkpoint being written": lambda: any(Path("run/checkpoints").glob(".temporary-*")),
    "a checkpoint": lambda: any(Path("run/checkpoints").glob("checkpoint-*")),
    "the export": lambda: Path("run/.policy.new").exists() or Path("run/policy").exists(),
}


def _strike(process: Fork, moment: str, delay_s: float, numbers: list[int], gap_s: float) -> None:
    """Sends the signals when the moment has come; not if the process ends before."""
    reached = _MOMENTS[moment]
    while process.poll() is None and not reached():
        time.sleep(0.002)
    end = time.monotonic() + delay_s
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    for number in numbers:
        process.send(number)
        time.sleep(gap_s)


def _stopped_training(
    arguments: list[str], moment: str, delay_s: float, numbers: list[int], gap_s: float
) -> None:
    process = Fork(programs.program("train", *arguments))
    _strike(process, moment, delay_s, numbers, gap_s)
    status = process.wait(_STOP_S)
    _require(status is not None, f"{LATE} {_STOP_S:g} s after {numbers}")
    ends = {0, 130, *(128 + number for number in numbers), *(-number for number in numbers)}
    _require(status in ends, f"exit status {status} after {numbers}")
    # Only rows of finished iterations, and after the resumption all of them, each once.
    before = _rows(Path("run/metrics.csv"))
    process = Fork(programs.program("train", *arguments))
    status = process.wait(60.0)
    _require(status is not None, f"{LATE}: resumed")
    _require(status == 0, f"exit status {status} of the resumed run")
    rows = _rows(Path("run/metrics.csv"))
    _require(rows == list(range(32, 641, 32)), f"rows {rows} after the resumption, {before} before it")
    _require(Path("run/policy/saved_model.pb").exists(), "no policy after the resumption")
    left = [
        str(path) for path in Path("run").rglob("*") if path.name.startswith(".") and path.name != ".lock"
    ]
    _require(not left, f"left behind: {left}")


def training(rng: random.Random) -> Trial:
    """A run that gets signals at a random moment; resumed, it has all its rows."""
    name = rng.choice(["ddpg", "ddpg", "gaussian_ppo"])
    moment = rng.choice(list(_MOMENTS))
    delay_s = rng.choice([0.0, rng.uniform(0, 0.1), rng.uniform(0, 3)])
    numbers = [int(rng.choice(_SIGNALS))]
    if rng.random() < 0.25:
        numbers.append(int(rng.choice(_SIGNALS)))
    gap_s = rng.choice([0.0, 0.05])
    settings = ["NUM_ENV_STEPS = 640", "CHECKPOINT_INTERVAL = 64", "EVAL_INTERVAL = 100"]
    arguments = programs.experiment(name, *settings)
    act = _scenario(functools.partial(_stopped_training, arguments, moment, delay_s, numbers, gap_s))
    shown = [signal.Signals(number).name for number in numbers]
    return Trial(
        f"train {name}, {shown} {delay_s:.2f} s after {moment}, {gap_s} s apart",
        act,
        Meant.VALID,
        limit_s=180.0,
    )


_ENDLESS = GOOD_MODULE.replace("self.t >= 5", "False")


def _stopped_reader(name: str, arguments: list[str], delay_s: float, number: int) -> None:
    process = Fork(programs.program(name, *arguments))
    _strike(process, "the start", delay_s, [number], 0.0)
    status = process.wait(15.0)
    _require(status is not None, f"{LATE} 15 s after {number}")
    _require(status in (0, 2, 130, 128 + number, -number), f"exit status {status} after {number}")


def reading(rng: random.Random) -> Trial:
    """A program that only reads runs, stopped at a random moment; evaluations may be endless."""
    name = rng.choice(["evaluate", "evaluate", "report", "figures"])
    delay_s, number = rng.uniform(0, 4), int(rng.choice(_SIGNALS[:3]))
    source = GOOD_MODULE
    if name == "evaluate":
        source = rng.choice([GOOD_MODULE, _ENDLESS, _ENDLESS])
        arguments = ["--root_dir=own", f"--episodes={rng.randint(1, 500)}"]
        arguments += ["--video_path=v.gif"] if rng.random() < 0.3 else []
    elif name == "report":
        arguments = ["--root_dir=.", "--output_dir=out"]
    else:
        arguments = ["--figure=multigoal", "--root_dir=ddpg", "--output_dir=out"]
    act = _scenario(functools.partial(_stopped_reader, name, arguments, delay_s, number))
    act = programs.with_copies(["own", "ddpg"], functools.partial(programs.write, "my_task.py", source), act)
    where = " in an endless environment" if source is _ENDLESS else ""
    return Trial(
        f"{programs.shown(name, *arguments)}{where}, {signal.Signals(number).name} after {delay_s:.2f} s", act
    )


_LINKED = (
    ".lock", "metrics.csv.tmp", ".metrics.csv.tmp", "evaluation.csv.tmp", ".evaluation.csv.tmp",
    ".config.gin.tmp", ".configuration.json.tmp", ".environment.json.tmp", ".fingerprint.json.tmp",
    ".learning_curve.png.tmp", "config.gin.tmp", "environment.json.tmp", ".learning_curve.tmp.png",
    "learning_curve.png.tmp", "learning_curve.png",
)  # fmt: skip


def _linked(names: list[str], program: Callable[[], int]) -> None:
    victim = Path("victim.txt")
    victim.write_text("the user's own words\n")
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(victim.absolute())
    status = Fork(program).wait(60.0)
    _require(status is not None, f"{LATE}: the program")
    _require(
        victim.read_bytes() == b"the user's own words\n",
        f"the file behind a link was changed: {victim.read_bytes()[:80]!r}",
    )


def links(rng: random.Random) -> Trial:
    """Links in place of the lock, of temporary files and of outputs; a file of the user's lies behind."""
    way = rng.randrange(4)
    if way <= 1:
        names = [f"ddpg/{name}" for name in rng.sample(_LINKED, rng.randint(1, 6))]
        arguments = [
            *programs.experiment("ddpg", "CHECKPOINT_INTERVAL = 32", root="ddpg"),
            "--num_env_steps=160",
        ]
        program = programs.program("train", *arguments)
    elif way == 2:
        names = [
            f"out/{name}"
            for name in rng.sample(
                [".report.md.tmp", "report.md.tmp", ".results.csv.tmp", "results.csv.tmp", ".curves.csv.tmp"],
                3,
            )
        ]
        program = programs.program("report", "--root_dir=ddpg", "--output_dir=out", "--repetitions=20")
    else:
        names = [f"out/{name}" for name in (".writable", ".run_entropy.csv.tmp", "run_entropy.csv.tmp")]
        program = programs.program(
            "figures", "--figure=run_entropy", "--root_dir=gaussian_ppo", "--output_dir=out"
        )
    act = programs.with_copies(
        ["ddpg", "gaussian_ppo"], lambda: None, _scenario(functools.partial(_linked, names, program))
    )
    return Trial(f"links {names} to a file of the user's, way {way}", act)


_MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a|b|c",
    "`x`",
    "![x](http://x)",
    "</table><b>",
    "[a](javascript:x)",
    "<!--",
    "&lt;b&gt;",
    "# x",
)


def _marked(where: str, markup: str) -> None:
    name = markup.replace("/", "∕")
    if where == "directory":
        shutil.move("ddpg", name)
    elif where == "experiment":
        Path(name).mkdir()
        shutil.move("ddpg", Path(name, "MultiGoal-v0"))
        os.makedirs("all")
        shutil.move(name, Path("all", name))
    else:
        with open("sweep.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                [
                    "experiment",
                    "task",
                    "seed",
                    "x" if where == "value" else name,
                    "directory",
                    "status",
                    "message",
                ]
            )
            writer.writerow(
                [
                    name if where == "table" else "e",
                    "t",
                    "0",
                    name,
                    "ddpg",
                    "failed" if where == "message" else "finished",
                    markup,
                ]
            )
    status = Fork(programs.program("report", "--root_dir=.", "--output_dir=out", "--repetitions=20")).wait(
        60.0
    )
    _require(status is not None, f"{LATE}: the report")
    page = Path("out/report.md")
    if page.exists():
        text = page.read_text()
        for raw in ("<script", "<img", "</table", "<b>", "<!--", "](javascript:x)", "![x](http"):
            _require(raw not in text, f"{raw!r} stands in report.md as it is")


def markup(rng: random.Random) -> Trial:
    """Markup in the names of runs, which a report shows as text."""
    where = rng.choice(["directory", "experiment", "table", "value", "message", "column"])
    text = rng.choice(_MARKUP)
    act = programs.with_copies(["ddpg"], lambda: None, _scenario(functools.partial(_marked, where, text)))
    return Trial(f"{text!r} as the {where} of a run in a report", act)


def _in_another_process(command: list[str]) -> subprocess.CompletedProcess:
    root = Path(programs.__file__).resolve().parents[2]
    import expol_tf

    library = Path(expol_tf.__file__).resolve().parent.parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(library), str(root)]),
        "HOSTILE_TRIAL": os.getcwd(),
    }
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, _ = process.communicate(timeout=150)
    print(output)
    return subprocess.CompletedProcess(command, process.returncode, output)


def _shadowed(names: list[str], program: str, arguments: list[str]) -> None:
    import expol_tf

    binary = Path(expol_tf.__file__).resolve().parent.parent / "binaries" / f"{program}.py"
    done = _in_another_process([str(binary), *arguments])
    _require(done.returncode == 0, f"exit status {done.returncode} beside modules {names}")


def shadows(rng: random.Random) -> Trial:
    """Modules in the current directory that have the names of the standard library's."""
    names = rng.sample(
        [
            "random",
            "queue",
            "token",
            "types",
            "json",
            "csv",
            "string",
            "select",
            "copy",
            "platform",
            "numbers",
            "code",
        ],
        3,
    )
    files: dict[str, str | bytes] = {
        f"{name}.py": "raise RuntimeError('not the one that you want')\n" for name in names
    }
    files["x.gin"] = f'Sweep.experiments = {{"a": "gin/ddpg.gin"}}\nSweep.tasks = ["{programs.TASK}"]\n'
    program, arguments = rng.choice(
        [
            ("sweep", ["--sweep_file=x.gin", "--dry_run"]),
            ("train", ["--gin_file=gin/ddpg.gin", "--print_config"]),
        ]
    )
    act = programs.after_writing(files, _scenario(functools.partial(_shadowed, names, program, arguments)))
    return Trial(
        f"{programs.shown(program, *arguments)} beside modules {names}", act, Meant.VALID, limit_s=180.0
    )


def _while_training(name: str, arguments: list[str], stage: int) -> None:
    run = Path("ddpg")
    shutil.rmtree(run / "policy")
    (run / "learning_curve.png").unlink()
    if stage >= 1:
        (run / "evaluation.csv").unlink()
    if stage >= 2:
        shutil.rmtree(run / "checkpoints")
    if stage >= 3:
        (run / "metrics.csv").unlink()
    if stage >= 4:
        (run / "fingerprint.json").unlink()
    import fcntl

    holder = os.open(run / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    status = Fork(programs.program(name, *arguments)).wait(45.0)
    _require(status is not None, f"{LATE}: {name}")
    if name in ("evaluate", "train"):
        _require(status == 2, f"exit status {status} while the run is trained")


def while_training(rng: random.Random) -> Trial:
    """Programs that look at a run that another process trains, before its first export."""
    name = rng.choice(["evaluate", "report", "figures", "train"])
    arguments = {
        "evaluate": ["--root_dir=ddpg", "--episodes=1"],
        "report": [f"--root_dir={rng.choice(['ddpg', '.'])}", "--output_dir=out", "--repetitions=20"],
        "figures": [
            f"--figure={rng.choice(['multigoal', 'run_entropy'])}",
            "--root_dir=ddpg",
            "--output_dir=out",
        ],
        "train": ["--root_dir=ddpg"],
    }[name]
    stage = rng.randrange(5)
    act = programs.with_copies(
        ["ddpg"], lambda: None, _scenario(functools.partial(_while_training, name, arguments, stage))
    )
    return Trial(f"{programs.shown(name, *arguments)} while ddpg is trained, at stage {stage}", act)


def _of_this_trial(mark: bytes) -> list[int]:
    """Returns the processes that inherited this trial's mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _driver(number: int, delay_s: float) -> None:
    """A sweep's driver that gets a signal; the same command then ends the sweep, and nothing stays behind."""
    import expol_tf

    library = Path(expol_tf.__file__).resolve().parent.parent
    mark = f"HOSTILE_TRIAL={os.getcwd()}"
    environment = {**os.environ, "PYTHONPATH": str(library), "HOSTILE_TRIAL": os.getcwd()}
    command = [
        sys.executable,
        str(library / "binaries/sweep.py"),
        "--sweep_file=x.gin",
        "--root_dir=sweep",
        "--max_parallel=1",
    ]
    before = set(Path("/tmp").glob("expol-*"))

    def start() -> subprocess.Popen:
        return subprocess.Popen(command, env=environment)

    process = start()
    deadline = time.monotonic() + 90.0
    while not Path("sweep/sweep.csv").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    time.sleep(delay_s)
    process.send_signal(number)
    try:
        process.wait(60.0)
    except subprocess.TimeoutExpired:
        process.kill()
        raise _Found(f"{LATE} 60 s after {number}") from None
    if number != signal.SIGKILL:
        time.sleep(3.0)
        _require(not _of_this_trial(mark.encode()), f"processes left after {number}")
    process = start()
    try:
        status = process.wait(150.0)
    except subprocess.TimeoutExpired:
        process.kill()
        raise _Found(f"{LATE}: the sweep that goes on") from None
    _require(status == 0, f"exit status {status} of the sweep that goes on")
    time.sleep(3.0)
    left = _of_this_trial(mark.encode())
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    _require(not left, f"{len(left)} processes left behind after {number}")
    mine = [
        path
        for path in set(Path("/tmp").glob("expol-*")) - before
        if path.stat().st_mtime > time.time() - 400
    ]
    # Another sweep of the machine's may have made one meanwhile, but not one without processes.
    alive = [path for path in mine if not _used(path)]
    _require(not alive, f"left in the temporary folder: {alive}")


def _used(path: Path) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if str(path).encode() in (entry / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


def driver(rng: random.Random) -> Trial:
    """The driver of a sweep, killed or hung up at a random moment."""
    number = int(rng.choice([signal.SIGHUP, signal.SIGKILL]))
    delay_s = rng.uniform(0, 12)
    text = f'Sweep.experiments = {{"a": "gin/ddpg.gin"}}\nSweep.tasks = ["{programs.TASK}"]\n'
    text += f"Sweep.bindings = {list(programs.TINY['ddpg'])!r}\n"
    act = programs.after_writing({"x.gin": text}, _scenario(functools.partial(_driver, number, delay_s)))
    return Trial(
        f"{signal.Signals(number).name} to a sweep's driver after {delay_s:.1f} s",
        act,
        Meant.VALID,
        limit_s=400.0,
    )

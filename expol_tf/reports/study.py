"""Runs put in order for comparison: which experiment on which task, over which range of steps."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from expol_tf.cli import shown
from expol_tf.errors import ConfigurationError
from expol_tf.reports.runs import Run

SETTINGS = ("auto", "separate", "together")
# Settings of the environment: with another value it is another task.
_ENVIRONMENT = ("train.wrappers", "train.make_kwargs")
# Runs that stop at the first iteration after the same number of steps are of the same length.
SAME_LENGTH = 0.02


@dataclasses.dataclass(frozen=True)
class Member:
    """One run in a comparison.

    Attributes:
      run: The run.
      parameters: The settings in which its experiment's runs on the task differ, by name, as text.
    """

    run: Run
    parameters: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Study:
    """Runs by task and experiment.

    Attributes:
      groups: (task, experiment) → its runs, by seed. Tasks and experiments are in the order of appearance.
      parameters: Experiment → names of the parameters in which its runs differ; only where it has some.
      compared_at: Task → environment steps after which its runs are compared: the shortest run's length.
      notes: What a reader must know about these runs, a sentence each.
    """

    groups: Mapping[tuple[str, str], tuple[Member, ...]]
    parameters: Mapping[str, tuple[str, ...]]
    compared_at: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks."""
        return tuple(dict.fromkeys(task for task, _ in self.groups))

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments."""
        return tuple(dict.fromkeys(experiment for _, experiment in self.groups))

    @property
    def common_tasks(self) -> tuple[str, ...]:
        """The tasks that every experiment has."""
        return tuple(
            task
            for task in self.tasks
            if all((task, experiment) in self.groups for experiment in self.experiments)
        )


def arrange(runs: Sequence[Run], settings: str = "auto", min_env_steps: int = 0) -> Study:
    """Returns the runs in groups that can be compared.

    Runs of one experiment and task whose settings differ are either experiments of their own, named after the
    settings, or draws of one experiment: `settings` is "separate", "together", or "auto", which takes them
    apart if most settings were run with several seeds.

    Args:
      runs: What `find_runs` found.
      settings: "auto", "separate" or "together", as above.
      min_env_steps: Shorter runs are left out, and named in the notes.

    Raises:
      ConfigurationError: No run is left, a seed is there twice, or the experiments have no task in common.
    """
    if settings not in SETTINGS:
        raise ConfigurationError(f"settings must be one of {', '.join(SETTINGS)}; got {settings!r}.")
    notes: list[str] = []
    grouped = _by_task_and_experiment(_usable(runs, min_env_steps, notes))
    groups: dict[tuple[str, str], list[Member]] = collections.defaultdict(list)
    parameters: dict[str, tuple[str, ...]] = {}
    for experiment in dict.fromkeys(experiment for _, experiment in grouped):
        by_task = {task: group for (task, name), group in grouped.items() if name == experiment}
        names = {task: _differing(group) for task, group in by_task.items()}
        every = tuple(dict.fromkeys(name for of_task in names.values() for name in of_task))
        separate = settings == "separate" or (settings == "auto" and any(map(_repeated, by_task.values())))
        for task, group in by_task.items():
            for run in group:
                chosen = {name: _value(run, name) for name in names[task]}
                label = f"{experiment} ({_described(chosen)})" if chosen and separate else experiment
                groups[task, label].append(Member(run, chosen))
        if every and not separate:
            parameters[experiment] = every
            notes.append(
                f"The runs of {experiment} differ in {_listed(every)}; they are reported as draws of one "
                "experiment."
            )
    for (task, label), members in groups.items():
        _refuse_duplicates(task, label, [member.run for member in members])
    tasks = list(dict.fromkeys(task for task, _ in grouped))
    ordered = {
        key: tuple(sorted(members, key=lambda member: member.run.seed))
        for key, members in sorted(groups.items(), key=lambda item: tasks.index(item[0][0]))
    }
    compared_at = {task: _shortest(task, ordered, notes) for task in tasks}
    study = Study(ordered, parameters, compared_at, tuple(notes))
    _refuse_incompatible(study)
    return study


def short_name(parameter: str) -> str:
    """Returns the last part of a setting's name: `max_kl` of `TrustRegion.max_kl`."""
    return parameter.rpartition(".")[2]


def _usable(runs: Sequence[Run], min_env_steps: int, notes: list[str]) -> list[Run]:
    empty = [run for run in runs if not len(run.episodes.env_step)]
    ended = [run for run in runs if len(run.episodes.env_step)]
    short = [run for run in ended if run.progress.env_step < min_env_steps]
    kept = [run for run in ended if run.progress.env_step >= min_env_steps]
    if empty:
        titles = [
            _titled(run) + (f", failed: {_reason(run)}" if run.progress.failure else "") for run in empty
        ]
        notes.append(f"Left out, as no episode has ended: {_listed(titles)}.")
    if short:
        notes.append(
            f"Left out, as shorter than {min_env_steps:,} env steps: {_listed(map(_titled, short))}."
        )
    if not kept:
        raise ConfigurationError(
            f"--root_dir: none of the {len(runs)} runs can be reported. {' '.join(notes)} A run can be "
            "reported when its first episode has ended. Wait for the runs"
            + (", or give a smaller --min_env_steps." if short else " or look into their directories.")
        )
    if random := [run for run in kept if not run.progress.trained]:
        notes.append(
            "No update was made in these runs, so their returns are those of a policy that has learned "
            f"nothing: {_listed(map(_titled, random))}."
        )
    for run in kept:
        if run.progress.outcome != "finished":
            reason = f": {_reason(run)}" if run.progress.failure else f" of {run.progress.target_env_steps:,}"
            notes.append(
                f"{run.progress.outcome.capitalize()}: {_titled(run)}, at {run.progress.env_step:,} env "
                f"steps{reason}."
            )
    return kept


def _reason(run: Run) -> str:
    """The first sentence of what the sweep says; its own table has the rest."""
    return (run.progress.failure or "").partition(". ")[0].rstrip(".")


def _titled(run: Run) -> str:
    return f"{run.experiment} on {run.task}, seed {run.seed} ({shown(run.directory)})"


def _by_task_and_experiment(runs: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    environments: dict[str, set[str]] = collections.defaultdict(set)
    for run in runs:
        environments[run.task].add(_environment(run))
    groups: dict[tuple[str, str], list[Run]] = collections.defaultdict(list)
    for run in runs:
        # With other arguments (a length, a reward) the id alone does not say what was earned.
        other = _environment(run) and (
            len(environments[run.task]) > 1 or "train.make_kwargs" in run.record.settings
        )
        task = f"{run.task} [{_environment(run)}]" if other else run.task
        groups[task, run.experiment].append(run)
    return groups


def _environment(run: Run) -> str:
    return ", ".join(run.record.settings[name] for name in _ENVIRONMENT if name in run.record.settings)


def _differing(group: Sequence[Run]) -> tuple[str, ...]:
    """The names in which the runs differ: the sweep's own where it has some, else the recorded settings'."""
    for kind in ("drawn", "settings"):
        tables = [getattr(run.record, kind) for run in group]
        names = dict.fromkeys(name for table in tables for name in table)
        differing = tuple(name for name in names if len({table.get(name) for table in tables}) > 1)
        if differing:
            return differing
    return ()


def _value(run: Run, name: str) -> str:
    """The parameter's value; one left at its default stands in the configuration only."""
    for table in (run.record.drawn, run.record.settings, run.record.values):
        if name in table:
            return table[name]
    return "default"


def _key(run: Run) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({**run.record.settings, **run.record.drawn}.items()))


def _repeated(group: Sequence[Run]) -> bool:
    """Whether most of the group's settings were run more than once."""
    counts = collections.Counter(map(_key, group))
    return len(counts) > 1 and 2 * sum(count > 1 for count in counts.values()) > len(counts)


def _described(values: Mapping[str, str]) -> str:
    return ", ".join(f"{short_name(name)}={value}" for name, value in values.items())


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    return "; ".join(items[:10]) + (f" and {len(items) - 10} more" if len(items) > 10 else "")


def _refuse_duplicates(task: str, experiment: str, group: Sequence[Run]) -> None:
    first: dict[tuple, Run] = {}
    for run in group:
        other = first.setdefault((run.seed, _key(run)), run)
        if other is not run:
            raise ConfigurationError(
                f"--root_dir: {experiment} on {task} has seed {run.seed} twice, in {shown(other.directory)} "
                f"and {shown(run.directory)}; a run counts once. Move one of them away."
            )


def _shortest(task: str, groups: Mapping[tuple[str, str], Sequence[Member]], notes: list[str]) -> int:
    """The length of the task's shortest run; a note if others are longer."""
    runs = [(name, m.run) for (of_task, name), group in groups.items() if of_task == task for m in group]
    name, shortest = min(runs, key=lambda item: item[1].progress.env_step)
    least, longest = shortest.progress.env_step, max(run.progress.env_step for _, run in runs)
    if longest > least * (1 + SAME_LENGTH):
        notes.append(
            f"The runs on {task} differ in length, {least:,} to {longest:,} env steps: they are "
            f"compared after {least:,}, which {name}, seed {shortest.seed}, reached, and each "
            "experiment's curve ends with its shortest run (--min_env_steps leaves shorter runs out)."
        )
    return least


def _refuse_incompatible(study: Study) -> None:
    if study.common_tasks:
        return
    tasks = [
        f"{experiment}: {', '.join(task for task, name in study.groups if name == experiment)}"
        for experiment in study.experiments
    ]
    raise ConfigurationError(
        f"--root_dir: the experiments must have a task in common to be compared; got {'; '.join(tasks)}. "
        "Add the missing runs, or report the experiments one by one."
    )

"""Every algorithm with every policy class: how a cell of docs/matrix.md is built, trained and judged.

python -m tests.contracts.matrix > docs/matrix.md
"""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Mapping

import gymnasium
import numpy as np
import tensorflow as tf
from tf_agents.agents import tf_agent

import expol_tf.environments  # noqa: F401  (registers the bandit)
from expol_tf.agents import Rollout, Transitions
from expol_tf.errors import ExpolError
from tests.contracts.matrix_agents import ALGORITHMS, POLICIES, ROLLOUT, make_agent

TASK = "expol/GaussianBandit-v0"
FIRST_UPDATES = 10
PAGE = pathlib.Path(__file__).absolute().parents[2] / "docs" / "matrix.md"
# The share of the first return that may be left after training; the best return is 0.
SHARE = 0.5

_REPLAY = 1024
_BATCH = 64


@functools.cache
def _reward():
    return gymnasium.make(TASK).unwrapped.reward


def reward(action: np.ndarray) -> np.ndarray:
    """What the task pays for actions `[..., 2]`, which it clips to its box as the runners do."""
    return _reward()(np.clip(action, -1.0, 1.0)).astype(np.float32)


def mean_return(agent: tf_agent.TFAgent) -> float:
    """The mean return of 1000 actions of the policy that is trained, in the only state of the task."""
    distribution, _ = agent.actor_network(tf.ones([1000, 1]))
    return float(np.mean(reward(distribution.sample(seed=tf.constant([1, 2])).numpy())))


class Trainer:
    """Trains an agent on the bandit."""

    def __init__(self, agent: tf_agent.TFAgent) -> None:
        self._agent = agent
        self._train = self._off_policy() if hasattr(agent, "update") else self._on_policy

    def train(self, updates: int) -> None:
        """Does so many updates."""
        self._train(updates)

    def _on_policy(self, updates: int) -> None:
        observation = np.ones([ROLLOUT, 1], np.float32)
        ends = np.ones([ROLLOUT, 1], bool)
        for _ in range(updates):
            action, info = self._agent.collect_policy.act(observation)
            rewards = reward(action.numpy())[:, np.newaxis]
            rollout = Rollout(
                observation[:, np.newaxis],
                action.numpy()[:, np.newaxis],
                rewards,
                np.zeros_like(rewards),
                observation[:, np.newaxis],
                ends,
                ends,
                {name: value.numpy()[:, np.newaxis] for name, value in info.items()},
            )
            self._agent.train_on_rollout(tf.nest.map_structure(tf.constant, rollout))

    def _off_policy(self):
        actions = np.random.default_rng(0).uniform(-1.0, 1.0, [_REPLAY, 2]).astype(np.float32)
        rewards = tf.constant(reward(actions))
        observation = tf.ones([_BATCH, 1])
        done = tf.Variable(0)

        def update(i):
            begin = _BATCH * (i % (_REPLAY // _BATCH))
            batch = Transitions(
                observation,
                tf.constant(actions)[begin : begin + _BATCH],
                rewards[begin : begin + _BATCH],
                tf.zeros([_BATCH]),
                observation,
            )
            batch = tf.nest.map_structure(
                lambda each: None if each is None else tf.ensure_shape(each, [_BATCH, *each.shape[1:]]), batch
            )
            self._agent.update(batch, tf.stack([7, i]))
            return (i + 1,)

        @tf.function(autograph=False)
        def train(updates):
            end = done + updates
            done.assign(tf.while_loop(lambda i: i < end, update, [done.value()], parallel_iterations=1)[0])

        return lambda updates: train(tf.constant(updates))


def outcome(algorithm: str, policy: str) -> tuple[str, str]:
    """Returns what stands in a cell, and the message if its agent cannot be made, else nothing."""
    try:
        make_agent(algorithm, policy)
    except ExpolError as error:
        message = str(error).split("\n")[0]
        found = re.search(
            r"has ([a-z_ ]+)[,;]|(?:must give|needs) a (squashed Gaussian|target policy)", message
        )
        return f"no {found[1] or found[2]}" if found else type(error).__name__, message
    return "works", ""


def parse(page: str) -> dict[tuple[str, str], str]:
    """Returns the cells of the committed page's table."""
    cells = {}
    for line in page.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if row[0] in ALGORITHMS:
            says = [re.sub(r" \[\d+\]$", "", cell) for cell in row[1:]]
            cells |= {(row[0], policy): cell for policy, cell in zip(POLICIES, says, strict=True)}
    return cells


def render(outcomes: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    """Returns the page: the table, and a footnote for each message that cells share but for its names."""
    notes: dict[str, int] = {}
    lines = [_HEAD, "| | " + " | ".join(POLICIES) + " |", "|---" * (len(POLICIES) + 1) + "|"]
    for algorithm in ALGORITHMS:
        cells = []
        for policy in POLICIES:
            says, message = outcomes[algorithm, policy]
            number = notes.setdefault(_without_names(message), len(notes) + 1) if message else None
            cells.append(says if number is None else f"{says} [{number}]")
        lines.append(f"| {algorithm} | " + " | ".join(cells) + " |")
    lines += ["\n## Error messages, without the names of the agent and of the network\n"]
    lines += [f"{number}. {note}" for note, number in notes.items()]
    return "\n".join(lines) + "\n"


def _without_names(message: str) -> str:
    """The message with "the agent" and "the network" for the first agent and network that it names."""
    agent, network_ = (
        re.search(r"\b\w+Agent\b", message),
        re.search(r"\b\w+ActorNetwork(?!s? with)\b", message),
    )
    assert agent and network_
    text = message.replace("actor_network: ", "", 1)
    text = re.sub(rf"\b{agent[0]}\b", "the agent", text, count=1)
    text = re.sub(rf"\b{network_[0]}('s \w+)?(?=[ ;.])", "the network", text, count=1)
    text = re.sub(rf"\b{network_[0]}'s (copy|\w+Distribution|PointMass)\b", r"its \1", text, count=1)
    text = re.sub(rf"\b{network_[0]}\.copy\b", "copy", text)
    return text[0].upper() + text[1:]


_HEAD = f"""# Which policy goes with which algorithm

An algorithm needs some capabilities of a policy's distribution (`expol_tf.distributions.capabilities`). An
agent that is constructed with a policy that lacks one of them raises an error. The tests build every cell of
the table:

* *works*: the agent trains on `{TASK}`, where the best return is 0. After some hundred updates
  off policy, or some tens on policy, its return has come at least half of the way from its first value to 0.
* *no …* names what the policy lacks. The footnotes give the error messages.

Columns are actor networks: `GaussianActorNetwork`, `MixtureActorNetwork`, `FlowActorNetwork` (off policy with
`squash=True`), the MAF and the IAF of [autoregressive_flows.md](autoregressive_flows.md),
`SamplingActorNetwork`, `NoisyActorNetwork`, `DeterministicActorNetwork`, and `SteinActorNetwork` over a
Gaussian. In the row of S²AC the column is the initial network, because S²AC makes the Stein policy itself.

The command `python -m tests.contracts.matrix > docs/matrix.md` writes this page.
"""


def all_outcomes() -> dict[tuple[str, str], tuple[str, str]]:
    """Returns the outcomes of all cells."""
    return {(each, policy): outcome(each, policy) for each in ALGORITHMS for policy in POLICIES}


def working_cells(*algorithms: str) -> list[tuple[str, str]]:
    """Returns the cells of these algorithms that work, as the committed page has them."""
    return [
        cell for cell, says in parse(PAGE.read_text()).items() if cell[0] in algorithms and says == "works"
    ]


def check_that_it_works(algorithm: str, policy: str) -> None:
    """Trains a cell's agent, first for ten updates, and asserts that it stays finite and improves."""
    agent = make_agent(algorithm, policy)
    before, start = mean_return(agent), [each.numpy() for each in agent.actor_network.trainable_variables]
    trainer = Trainer(agent)
    trainer.train(FIRST_UPDATES)
    after_ten = [each.numpy() for each in agent.actor_network.trainable_variables]
    assert all(np.all(np.isfinite(each)) for each in after_ten)
    assert any(np.any(old != new) for old, new in zip(start, after_ten, strict=True))
    trainer.train(ALGORITHMS[algorithm].updates - FIRST_UPDATES)
    assert before < -15.0  # Far enough off that half of it is no noise.
    assert mean_return(agent) > SHARE * before


if __name__ == "__main__":
    print(render(all_outcomes()), end="")

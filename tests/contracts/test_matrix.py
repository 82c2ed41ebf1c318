"""docs/matrix.md says what happens, and whoever is refused learns where to go."""

from __future__ import annotations

import re

import pytest
import tensorflow as tf

from expol_tf.agents import AgentSpecs
from expol_tf.agents.policy_checks import OF_SQUASHED_POLICIES, require_of_policy
from expol_tf.distributions import capabilities
from expol_tf.errors import CapabilityError
from tests.agents.small_agents import only_ours
from tests.contracts.matrix import ALGORITHMS, PAGE, POLICIES, all_outcomes, make_agent, parse, render

# The class of a row's agent, without its options.
AGENTS = {
    "TrpoAgent": ["TRPO"],
    "PpoAgent": ["PPO"],
    "AcktrAgent": ["ACKTR"],
    "SacAgent": ["SAC"],
    "SqlAgent": ["SQL"],
    "NbpAgent": ["NBP"],
    "DdpgAgent": ["DDPG"],
    "ParpiAgent": ["ParPI (WD, SAC backup)", "ParPI (JSD, SQL backup)"],
    "S2acAgent": ["S²AC"],
}
AGENT_OF = {row: agent for agent, rows in AGENTS.items() for row in rows}


@pytest.fixture(scope="module")
def outcomes():
    with pytest.MonkeyPatch.context() as monkeypatch:
        only_ours(monkeypatch)
        return all_outcomes()


def test_the_page_is_what_happens(outcomes):
    assert PAGE.read_text() == render(outcomes)


def test_the_table_is_complete(outcomes):
    assert parse(render(outcomes)) == {cell: says for cell, (says, _) in outcomes.items()}
    assert set(outcomes) == {(algorithm, policy) for algorithm in ALGORITHMS for policy in POLICIES}


def test_refusals_name_the_policy_what_it_lacks_and_the_agents_that_accept_it(outcomes):
    refused = {cell: each for cell, each in outcomes.items() if each[1]}
    assert refused
    for (algorithm, policy), (says, message) in refused.items():
        assert says.startswith("no "), message
        assert AGENT_OF[algorithm] in message.partition("Agents that accept")[0]
        network = {"Gaussian": "Gaussian", "deterministic": "Deterministic"}.get(policy, policy.capitalize())
        assert f"{network}ActorNetwork" in message
        named = re.findall(r"\w+Agent\b", message.partition("Agents that accept")[2])
        accepting = {AGENT_OF[row] for row in ALGORITHMS if outcomes[row, policy][0] == "works"}
        assert set(named) == accepting - {"S2acAgent"}, message


def test_equal_cells_are_made_equal():
    pair = [make_agent("SAC", "Gaussian").actor_network.trainable_variables for _ in range(2)]
    assert all((one.numpy() == other.numpy()).all() for one, other in zip(*pair, strict=True))


@pytest.mark.parametrize("policy", ["Gaussian", "mixture", "flow"])
def test_refusals_recommend_policies_that_have_what_is_missing(policy):
    network = make_agent("SAC", policy).actor_network
    assert OF_SQUASHED_POLICIES <= capabilities(network(tf.ones([1, 1]))[0])


@pytest.mark.parametrize("needed", [("entropy",), ("entropy", "sample_and_log_prob")])
def test_refusals_recommend_no_policy_that_lacks_it_as_well(needed):
    agent = make_agent("SQL", "sampling")
    specs = AgentSpecs("Algorithm", agent.time_step_spec, agent.action_spec)
    with pytest.raises(CapabilityError) as caught:
        require_of_policy(agent.actor_network, specs, needed)
    assert "GaussianActorNetwork" not in str(caught.value)
    assert "Agents that accept such a policy: DdpgAgent" in str(caught.value)


@pytest.mark.parametrize("algorithm", ["S²AC", "ParPI (WD, SAC backup)"])
def test_an_unsquashed_policy_is_not_sent_to_who_refuses_it(algorithm, monkeypatch):
    monkeypatch.setitem(POLICIES, "unsquashed", lambda critic, squash: POLICIES["mixture"](critic, False))
    with pytest.raises(CapabilityError) as caught:
        make_agent(algorithm, "unsquashed")
    accepting = str(caught.value).split("\n")[0].partition("Agents that accept")[2]
    assert "ParpiAgent" not in accepting and 'SqlAgent (with SvgdImprovement(space="action"))' in accepting
    assert "NbpAgent (with temperature 0)" in accepting
    with pytest.raises(CapabilityError, match="draws .* outside"):
        make_agent("NBP", "unsquashed")

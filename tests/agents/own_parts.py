"""Parts that a user may write, and an `ActorCriticAgent` made of such parts."""

from __future__ import annotations

from expol_tf.agents import (
    Acting,
    ActorCriticAgent,
    CriticFit,
    DeterministicImprovement,
    DeterministicValue,
    FixedTemperature,
    PolicyImprovement,
)
from expol_tf.objectives import Improvement, masked_mean
from tests.agents import small_off_policy as small


class RisingQ(PolicyImprovement):
    """Maximizes the first critic's value; reports its mean."""

    default_learning_rate = 0.03

    def __call__(self, observation, policy, critic, temperature, seed, valid=None, *, box):
        q = masked_mean(critic(observation, policy(observation).sample(seed=seed))[:, 0], valid)
        return Improvement(-q, None, {"first_q": q})

    def warnings(self, metrics):
        return [f"first_q is {metrics['first_q']:g}"] if "first_q" in metrics else []


class WithDensity(CriticFit):
    """A target that asks for log π of the actions in the batch."""

    requires = ("log_prob",)


def make_agent(actor=None, **settings):
    parts = dict(soft_value=DeterministicValue(), improvement=DeterministicImprovement()) | settings
    actor = actor or small.LinearActor()
    return ActorCriticAgent(
        *small.SPECS,
        actor,
        small.QuadraticCritic(),
        acting=Acting(seed=0, jit_compile=False),
        **dict(temperature=FixedTemperature(0.0)) | parts,
    )

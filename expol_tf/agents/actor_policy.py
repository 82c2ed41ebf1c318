"""A TF-Agents policy over an actor network."""

from __future__ import annotations

import gin
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.policies import tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.distributions import greedy_action, sample_action, split_squash
from expol_tf.generators import draw_seed, make_generator
from expol_tf.networks import ObservationNormalizer


@gin.configurable(module="expol_tf")
class ActorPolicy(tf_policy.TFPolicy):
    """Acts by an actor network's distribution: greedily and clipped to the box, or by sampling, unclipped.

    The sampling policy draws from its own `tf.random.Generator`, which checkpoints and exports carry along,
    and reports in `policy_info` what training needs: `log_prob` `[B]` of the action and, where actions are
    squashed, `pre_squash_action` `[B, A]`.

    `act` is the fast path, a single compiled call for a batch of observations; `action` is TF-Agents'
    interface to the same function.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector.
      actor_network: `network(observation) -> (distribution, state)`.
      observation_normalizer: Applied to observations before the network sees them, if any.
      greedy: Whether to take the greedy action, clipped to the box.
      seed: Of the sampling policy's generator; None takes entropy from the system.
      jit_compile: Whether XLA compiles the network's forward pass.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        greedy: bool = False,
        seed: int | None = None,
        jit_compile: bool = True,
    ) -> None:
        info_spec = () if greedy else _info_spec(actor_network, time_step_spec, action_spec)
        super().__init__(time_step_spec, action_spec, info_spec=info_spec, clip=False, name="ActorPolicy")
        self._actor_network = actor_network
        self._observation_normalizer = observation_normalizer
        self._greedy = greedy
        self.generator = None if greedy else make_generator(seed)
        self._forward = tf.function(self._compute, jit_compile=jit_compile, autograph=False)
        self.act = tf.function(self._act, autograph=False, reduce_retracing=True)

    def _act(self, observation):
        """Returns (action `[B, A]`, policy info) for observations `[B, O]`, in one compiled call."""
        return self._forward(tf.cast(observation, tf.float32), self._next_seed())

    def _action(self, time_step, policy_state, seed=None):
        # TF-Agents hands on what its user gave: a stateless seed, or an integer s, which is taken as (s, s).
        seed = self._next_seed() if seed is None else tf.broadcast_to(tf.cast(seed, tf.int32), [2])
        action, info = self._forward(tf.cast(time_step.observation, tf.float32), seed)
        return policy_step.PolicyStep(action, policy_state, info)

    def _distribution(self, time_step, policy_state):
        if tf.inside_function():
            # PolicySaver would write a Gaussian in such a way that only where TFP is imported it can be read.
            raise NotImplementedError(
                "distribution: a compiled function returns tensors, never distributions. Call it outside of "
                "tf.function, or call the actor network there."
            )
        # No action has been taken that the info could tell of, but TF-Agents insists on its structure.
        batch = tf.shape(time_step.step_type)
        info = tf.nest.map_structure(
            lambda spec: tf.zeros(tf.concat([batch, spec.shape], 0), spec.dtype), self.info_spec
        )
        return policy_step.PolicyStep(self._distribution_of(time_step.observation), policy_state, info)

    def _compute(self, observation, seed):
        distribution = self._distribution_of(observation)
        if self._greedy:
            action = greedy_action(distribution)
            return tf.clip_by_value(action, self.action_spec.minimum, self.action_spec.maximum), ()
        sample = sample_action(distribution, seed)
        info = {"log_prob": sample.log_prob}
        if sample.pre_squash_action is not None:
            info["pre_squash_action"] = sample.pre_squash_action
        return sample.action, info

    def _distribution_of(self, observation):
        if self._observation_normalizer is not None:
            observation = self._observation_normalizer(observation)
        return self._actor_network(observation)[0]

    def _next_seed(self):
        if self.generator is None:  # The greedy action needs none.
            return tf.zeros([2], tf.int32)
        return draw_seed(self.generator)


def _info_spec(actor_network, time_step_spec, action_spec):
    observation = tensor_spec.from_spec(time_step_spec.observation)
    distribution, _ = actor_network(tf.zeros([1, *observation.shape], observation.dtype))
    info = {"log_prob": tensor_spec.TensorSpec([], tf.float32, "log_prob")}
    if split_squash(distribution)[1] is not None:
        info["pre_squash_action"] = tensor_spec.TensorSpec(action_spec.shape, tf.float32, "pre_squash_action")
    return info

"""A TF-Agents policy over an actor network."""

from __future__ import annotations

import tensorflow as tf
from tf_agents.policies import tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.distributions import greedy_action, sample_action, split_squash
from expol_tf.networks import ObservationNormalizer


class ActorPolicy(tf_policy.TFPolicy):
    """Acts by the distribution of an actor network: greedily and clipped to the box, or by sampling, unclipped.

    The sampling policy draws from its own `tf.random.Generator`, which checkpoints and exports carry along, and
    reports in `policy_info` what training needs: `log_prob` `[B]` of the action and, where actions are squashed,
    `pre_squash_action` `[B, A]`.

    `act` is the fast path, a single compiled call for a batch of observations; `action` is TF-Agents' interface to
    the same function.

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
        actor_network,
        observation_normalizer: ObservationNormalizer | None = None,
        greedy: bool = False,
        seed: int | None = None,
        jit_compile: bool = True,
    ) -> None:
        self._actor_network = actor_network
        self._observation_normalizer = observation_normalizer
        self._greedy = greedy
        action_spec = tensor_spec.from_spec(action_spec)
        observation_spec = tensor_spec.from_spec(time_step_spec.observation)
        distribution, _ = actor_network(tf.zeros([1, *observation_spec.shape], observation_spec.dtype))
        info_spec: dict[str, tf.TypeSpec] = {}
        if not greedy:
            info_spec["log_prob"] = tensor_spec.TensorSpec([], tf.float32, "log_prob")
            if split_squash(distribution)[1] is not None:
                info_spec["pre_squash_action"] = tensor_spec.TensorSpec(
                    action_spec.shape, tf.float32, "pre_squash_action"
                )
        super().__init__(
            time_step_spec, action_spec, info_spec=info_spec if info_spec else (), clip=greedy, name="ActorPolicy"
        )
        self.generator = (
            tf.random.Generator.from_non_deterministic_state(alg="philox")
            if seed is None
            else tf.random.Generator.from_seed(seed, alg="philox")
        )
        self._forward = tf.function(self._compute, jit_compile=jit_compile, autograph=False)
        self.act = tf.function(self._act, autograph=False, reduce_retracing=True)

    def _distribution_of(self, observation):
        if self._observation_normalizer is not None:
            observation = self._observation_normalizer(observation)
        return self._actor_network(observation)[0]

    def _compute(self, observation, seed):
        distribution = self._distribution_of(observation)
        if self._greedy:
            action = greedy_action(distribution)
            return tf.clip_by_value(action, self._action_spec.minimum, self._action_spec.maximum), ()
        sample = sample_action(distribution, seed)
        info = {"log_prob": sample.log_prob}
        if sample.pre_squash_action is not None:
            info["pre_squash_action"] = sample.pre_squash_action
        return sample.action, info

    def _draw_seed(self):
        # Stateless operations take int32 seeds on every device; the generator makes int64 ones.
        return tf.bitcast(self.generator.make_seeds(1)[0, 0], tf.int32)

    def _act(self, observation):
        """Returns (action `[B, A]`, policy info) for observations `[B, O]`, in one compiled call."""
        seed = tf.zeros([2], tf.int32) if self._greedy else self._draw_seed()
        return self._forward(tf.cast(observation, tf.float32), seed)

    def _action(self, time_step, policy_state, seed=None):
        if seed is None:
            action, info = self._act(time_step.observation)
        else:
            seed = tf.random.experimental.stateless_fold_in(tf.zeros([2], tf.int32), seed) if (
                tf.convert_to_tensor(seed).shape.rank == 0
            ) else tf.cast(seed, tf.int32)
            action, info = self._forward(tf.cast(time_step.observation, tf.float32), seed)
        return policy_step.PolicyStep(action, policy_state, info)

    def _distribution(self, time_step, policy_state):
        info = () if self._greedy else tf.nest.map_structure(
            lambda spec: tf.zeros(tf.concat([tf.shape(time_step.reward), spec.shape], 0), spec.dtype), self.info_spec
        )
        return policy_step.PolicyStep(self._distribution_of(time_step.observation), policy_state, info)

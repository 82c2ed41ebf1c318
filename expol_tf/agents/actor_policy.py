"""A TF-Agents policy over an actor network."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network
from tf_agents.policies import tf_policy
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts
from tf_agents.typing import types

from expol_tf.agents.acting import ExplorationNoise, Selection
from expol_tf.argument_types import shown
from expol_tf.bijectors import ActionBox, into_box
from expol_tf.configurable import configurable
from expol_tf.distributions import greedy_action, sample_action
from expol_tf.errors import ConfigurationError
from expol_tf.networks import EpisodeNetwork, ObservationNormalizer, call_network
from expol_tf.number_types import SeedNumber
from expol_tf.random import draw_seed, make_generator
from expol_tf.shapes import as_numbers, require_shapes

tfb = tfp.bijectors
tfd = tfp.distributions


@configurable
class ActorPolicy(tf_policy.TFPolicy):
    """Acts by an actor network's distribution: greedily and clipped to the box, or by sampling, unclipped.

    The sampling policy draws from its own `tf.random.Generator`, which checkpoints and exports carry along,
    and reports in `policy_info` what training needs: `log_prob` `[B]` of the action (where the distribution
    has one) and, where actions are squashed, `pre_squash_action` `[B, A]`. Off-policy agents, which need
    neither, make it with `reports_density=False`: its info is `()` then, as that of TF-Agents' random
    policies is.

    `distribution` returns the network's, whose `mode()` is this policy's greedy action: TF-Agents'
    `GreedyPolicy` acts by it. In a `tf.function` it can be asked, but not returned.

    With exploration noise its actions are samples and noise, clipped to the box, of which no density is
    reported. Noise that has a memory is the policy's state, reset with each episode. So is the noise of a
    network that keeps it for an episode (`expol_tf.networks.EpisodeNetwork`: an attribute
    `episode_noise_size` W > 0 and a method `for_episode`): float32 `[W]`, zeros before an episode's first
    step, when it is drawn. Where both are there, the state is a dictionary of "exploration" and "episode".

    `act` is the fast path, a single compiled call for a batch of observations; `action` is TF-Agents'
    interface to the same function. Both take the state where the policy has one, at first that of
    `get_initial_state(batch_size)`.

    Args:
      time_step_spec: TF-Agents time-step spec with one float vector as observation.
      action_spec: Bounded float vector.
      actor_network: `network(observation) -> (distribution, state)`.
      observation_normalizer: Applied to observations before the network sees them, if any.
      greedy: Whether to take the greedy action, clipped to the box.
      seed: Seeds the sampling policy's generator; None takes entropy from the system.
      jit_compile: Whether XLA compiles the network's forward pass.
      exploration: Noise added to samples, if any.
      selection: How the sampling policy takes an action of a distribution, instead of drawing one: a function
        of the distribution and a seed. No density is reported then.
      reports_density: Whether the sampling policy's info is what on-policy training needs; else it is `()`.
    """

    def __init__(
        self,
        time_step_spec: ts.TimeStep,
        action_spec: types.NestedTensorSpec,
        actor_network: network.Network,
        observation_normalizer: ObservationNormalizer | None = None,
        greedy: bool = False,
        seed: SeedNumber | None = None,
        jit_compile: bool = True,
        exploration: ExplorationNoise | None = None,
        selection: Selection | None = None,
        reports_density: bool = True,
    ) -> None:
        for name, value in (("exploration", exploration), ("selection", selection)):
            if greedy and value is not None:
                raise ConfigurationError(f"{name}: a greedy policy does not explore. Pass greedy=False.")
        without_info = greedy or exploration is not None or selection is not None or not reports_density
        specs = (
            () if exploration is None else exploration.state_spec(action_spec.shape[0]),
            () if greedy else _episode_spec(actor_network),
        )
        super().__init__(
            time_step_spec,
            action_spec,
            policy_state_spec=_joined(*specs),
            info_spec=() if without_info else _info_spec(actor_network, time_step_spec),
            # TF-Agents would clip samples too, and the recorded log π is that of the action
            # before any clipping.
            clip=False,
            name="ActorPolicy",
        )
        self._has_parts = tuple(bool(tf.nest.flatten(spec)) for spec in specs)
        self._exploration = exploration
        self._selection = selection
        self._half = tf.constant(ActionBox.of(action_spec)[1], tf.float32)
        self._actor_network = actor_network
        self._size = int(time_step_spec.observation.shape[0])
        if observation_normalizer is not None and observation_normalizer.size != self._size:
            raise ConfigurationError(
                f"observation_normalizer must be of observations [{self._size}], as the time_step_spec says; "
                f"got one of [{observation_normalizer.size}]. Make it with "
                "ObservationNormalizer(time_step_spec.observation)."
            )
        self._observation_normalizer = observation_normalizer
        self._greedy = greedy
        self._reports_density = reports_density
        self.generator = None if greedy else make_generator(seed)
        # Acting by a flow is hundreds of small operations, which XLA makes faster.
        self._forward = tf.function(self._compute, jit_compile=jit_compile, autograph=False)
        self._compiled_act = tf.function(self._act, autograph=False, reduce_retracing=True)

    def act(self, observation: Any, policy_state: Any = ()) -> tuple[Any, ...]:
        """Acts on a batch of observations, in one compiled call.

        Args:
          observation: `[B, O]`, as the environment gives them, numbers of any type. B may be 0.
          policy_state: The policy's state, each tensor `[B, …]`; of a policy that has none, `()`.

        Returns:
          The action `[B, A]` and the policy info; of a policy with a state (`policy_state_spec` is not `()`)
          its next state as the third.

        Raises:
          ConfigurationError: If the observation is not made of numbers, it has another shape, or the state is
            not this policy's.
        """
        observation = self._observations(observation)
        self._require_state(policy_state, observation.shape[0])
        if observation.shape[0] == 0:
            return self._nothing(policy_state)
        return self._compiled_act(observation, policy_state)

    def greedy_action(self, observation: tf.Tensor) -> tf.Tensor:
        """Returns the greedy actions `[B, A]` at observations `[B, O]`, clipped to the box."""
        return self._greedy_action(self._observations(observation))

    def sampled_action(self, observation: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns actions `[B, A]` without exploration noise, clipped to the box.

        Args:
          observation: `[B, O]`, as the environment gives them.
          seed: A stateless seed, int32 `[2]`.
        """
        observation = self._observations(observation)
        require_shapes(("seed", seed, "2", "int"))
        if observation.shape[0] == 0:
            return self._nothing(())[0]
        return self._into_box(self._select(self._distribution_of(observation), seed))

    def _act(self, observation, policy_state=()):
        """What `act` compiles."""
        # Environments and users have arrays of any float type.
        result = self._forward(tf.cast(observation, tf.float32), self._next_seed(), policy_state)
        return result if self._has_state else result[:2]

    @property
    def _has_state(self):
        return any(self._has_parts)

    def _observations(self, observation):
        """Returns observations `[B, O]`, or refuses them; by Python alone, as acting asks at each step."""
        if not tf.is_tensor(observation):
            # An array, as a list would be traced anew for its values.
            observation = as_numbers("observation", observation, "Give an array [B, O] of observations.")
        shape = observation.shape
        if not isinstance(shape, tuple):
            shape = () if shape.rank is None else tuple(shape)
            dtype = observation.dtype
            if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
                raise ConfigurationError(f"observation must be real numbers; got a tensor of {dtype.name}.")
        if len(shape) != 2 or shape[1] not in (self._size, None):
            raise ConfigurationError(
                f"observation must be [B, {self._size}], as the time_step_spec says; got {list(shape)}. "
                "One observation becomes a batch of one by observation[np.newaxis]."
            )
        return observation

    def _require_state(self, policy_state, batch_size):
        """Refuses a state that is missing, of another structure, or not one for each of B observations."""
        if not self._has_state and isinstance(policy_state, tuple) and not policy_state:
            return
        try:
            tf.nest.assert_same_structure(policy_state, self.policy_state_spec)
        except (TypeError, ValueError):
            rule = "be the state of this policy" if self._has_state else "be (), as this policy has no state"
            raise ConfigurationError(
                f"policy_state must {rule}; got {shown(policy_state)}. Begin with "
                "policy.get_initial_state(batch_size), and go on with the state that acting returns."
            ) from None
        rows = "B" if batch_size is None else str(batch_size)
        for state, spec in zip(
            tf.nest.flatten(policy_state), tf.nest.flatten(self.policy_state_spec), strict=True
        ):
            require_shapes(("policy_state", state, " ".join([rows, *map(str, spec.shape)])))

    def _nothing(self, policy_state):
        """What acting on no observation returns. TFP's mixtures divide by the number of rows."""
        specs = self.action_spec, self.info_spec
        action, info = tf.nest.map_structure(lambda spec: tf.zeros([0, *spec.shape], spec.dtype), specs)
        return (action, info, policy_state) if self._has_state else (action, info)

    def _maybe_reset_state(self, time_step, policy_state):
        # TF-Agents asks this before `_action`, and would put an initial state in the place of any other.
        self._require_state(policy_state, time_step.observation.shape[0])
        return super()._maybe_reset_state(time_step, policy_state)

    def _action(self, time_step, policy_state, seed=None):
        if time_step.observation.shape[0] == 0:
            action, info, *_ = self._nothing(policy_state)
            return policy_step.PolicyStep(action, policy_state, info)
        # TF-Agents hands on what its user gave: a stateless seed, or an integer s, which is taken as (s, s).
        seed = self._next_seed() if seed is None else tf.broadcast_to(tf.cast(seed, tf.int32), [2])
        if self._has_state:
            # A state of zeros tells the noise that an episode begins.
            goes_on = tf.cast(~time_step.is_first(), tf.float32)[:, tf.newaxis]
            policy_state = tf.nest.map_structure(lambda each: each * goes_on, policy_state)
        action, info, policy_state = self._forward(
            tf.cast(time_step.observation, tf.float32), seed, policy_state
        )
        return policy_step.PolicyStep(action, policy_state, info)

    def _distribution(self, time_step, policy_state):
        # No action has been taken that the info could tell of, but TF-Agents insists on its structure.
        batch = tf.shape(time_step.step_type)
        info = tf.nest.map_structure(
            lambda spec: tf.zeros(tf.concat([batch, spec.shape], 0), spec.dtype), self.info_spec
        )
        distribution = self._distribution_of(tf.cast(time_step.observation, tf.float32))
        if tf.inside_function() and hasattr(distribution, "_type_spec"):
            # PolicySaver would write it in such a way that only where TFP is imported it can be read. What
            # has a part that is no composite tensor, it leaves out.
            distribution = tfd.TransformedDistribution(distribution, _Unchanged())
        # TF-Agents' GreedyPolicy asks for the mode, which TFP does not know of most policies.
        distribution.mode = lambda: self._greedy_action(time_step.observation)
        return policy_step.PolicyStep(distribution, policy_state, info)

    def _compute(self, observation, seed, policy_state):
        if self._greedy:
            return self._greedy_action(observation), (), policy_state
        exploration_state, noise = self._parts(policy_state)
        if self._has_parts[1]:
            seed, noise_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
            noise = _kept_or_drawn(noise, noise_seed)
            distribution = self._actor_network.for_episode(self._normalized(observation), noise)
        else:
            distribution = self._distribution_of(observation)
        action, info, exploration_state = self._explore(distribution, seed, exploration_state)
        return action, info, _joined(exploration_state, noise)

    def _explore(self, distribution, seed, state):
        """Returns an action, what is known of it, and the exploration noise's next state."""
        if self._exploration is not None:
            sample_seed, noise_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
            action = self._select(distribution, sample_seed)
            noise, state = self._exploration.next(state, tf.shape(action), noise_seed)
            return self._into_box(action + self._half * noise), (), state
        if self._selection is not None:
            return self._selection(distribution, seed), (), state
        sample = sample_action(distribution, seed)
        return sample.action, _info(sample) if self._reports_density else (), state

    def _select(self, distribution, seed):
        if self._selection is None:
            return distribution.sample(seed=seed)
        return self._selection(distribution, seed)

    def _greedy_action(self, observation):
        # Batch dimensions are as many as come: a TF-Agents policy adds one to a batched environment's.
        return self._into_box(greedy_action(self._distribution_of(observation)))

    def _into_box(self, action):
        return into_box(action, self.action_spec)

    def _distribution_of(self, observation):
        return call_network(self._actor_network, self._normalized(observation))[0]

    def _normalized(self, observation):
        normalizer = self._observation_normalizer
        return observation if normalizer is None else normalizer(observation)

    def _parts(self, policy_state):
        """The states of exploration and of the network's noise: what `_joined` made one of."""
        if all(self._has_parts):
            return policy_state["exploration"], policy_state["episode"]
        return ((), policy_state) if self._has_parts[1] else (policy_state, ())

    def _next_seed(self):
        if self.generator is None:  # The greedy action needs none.
            return tf.zeros([2], tf.int32)
        return draw_seed(self.generator)


class _Unchanged(tfb.Bijector):
    """y = x. Unlike `tfb.Identity` it is no composite tensor, nor is a distribution that it is a part of."""

    def __init__(self) -> None:
        super().__init__(
            forward_min_event_ndims=0, is_constant_jacobian=True, parameters={}, name="unchanged"
        )

    def _forward(self, x):
        return tf.identity(x)

    def _inverse(self, y):
        return tf.identity(y)

    def _forward_log_det_jacobian(self, x):
        return tf.zeros([], x.dtype)


def _joined(exploration, episode):
    """The one of two states or specs that is there, or both."""
    if tf.nest.flatten(exploration) and tf.nest.flatten(episode):
        return {"exploration": exploration, "episode": episode}
    return episode if tf.nest.flatten(episode) else exploration


def _episode_spec(actor_network):
    size = actor_network.episode_noise_size if isinstance(actor_network, EpisodeNetwork) else 0
    return tf.TensorSpec([size], tf.float32, "episode_noise") if size else ()


def _kept_or_drawn(noise, seed):
    """Noise `[B, W]`, drawn anew in rows of zeros."""
    # Zeros stand for noise that was not drawn yet: a draw of N(0, I) is never all zeros.
    begins = tf.reduce_all(noise == 0, axis=-1, keepdims=True)

    def drawn() -> tf.Tensor:
        """Draws N(0, I) in the rows whose episode begins, and keeps the others."""
        return tf.where(begins, tf.random.stateless_normal(tf.shape(noise), seed), noise)

    return tf.cond(tf.reduce_any(begins), drawn, lambda: noise)  # Most steps begin no episode.


def _info(sample):
    """What is known of a sample, under the names of `policy_info`."""
    found = {"log_prob": sample.log_prob, "pre_squash_action": sample.pre_squash_action}
    return {name: tensor for name, tensor in found.items() if tensor is not None} or ()


def _info_spec(actor_network, time_step_spec):
    observation = tensor_spec.from_spec(time_step_spec.observation)
    spec = tf.TensorSpec([1, *observation.shape], observation.dtype)

    def asked(observation: tf.Tensor) -> dict[str, tf.Tensor]:
        """What is recorded of one action."""
        # The network is asked for a distribution: only that tells whether there is a density and a squash.
        distribution = call_network(actor_network, observation)[0]
        return dict(_info(sample_action(distribution, tf.zeros([2], tf.int32))))

    # In a graph, as there the policy acts and trains, and what is constant is known. First in eager code,
    # where a network may make its variables.
    call_network(actor_network, tf.zeros(spec.shape, spec.dtype))
    info = tf.function(asked, autograph=False).get_concrete_function(spec).structured_outputs
    return (
        {name: tensor_spec.TensorSpec(each.shape[1:], tf.float32, name) for name, each in dict(info).items()}
    ) or ()

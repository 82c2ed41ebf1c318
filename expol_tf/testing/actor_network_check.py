"""The contract of an actor network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import network as tf_agents_network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.bijectors import ActionBox
from expol_tf.distributions import capabilities, greedy_action, split_squash
from expol_tf.errors import ConfigurationError
from expol_tf.testing.assertions import ensure, ensure_close, ensure_finite, perturbed

tfd = tfp.distributions

MakeNetwork = Callable[[types.NestedTensorSpec, types.NestedTensorSpec], tf_agents_network.Network]

_BATCH = 6
_SAMPLES = 8


def check_actor_network(
    make_network: MakeNetwork,
    observation_spec: types.NestedTensorSpec | None = None,
    action_spec: types.NestedTensorSpec | None = None,
    *,
    tolerance: float = 1e-3,
    perturbation: float = 0.3,
    seed: int = 0,
) -> None:
    """Checks an actor network: `network(observation [B, O]) -> (tfd.Distribution over [B, A], state)`.

    * All variables exist once the network is made, and are the network's: none appears later, none is read
      that the network does not list (optimizers, checkpoints and copies would miss it), and each that it
      trains receives a non-zero finite gradient from `log_prob`, or without a density from samples. What
      others train, as the critic of a `SteinActorNetwork`, is among `non_trainable_variables`.
    * The distribution's event shape is `[A]`, its batch shape `[B]`, and no observation affects another's
      row.
    * `log_prob` of a sample is what `experimental_sample_and_log_prob` says, for copies of the sample too,
      which TFP's bijectors do not remember; it is finite in value and gradient on the whole closed box if the
      policy is squashed to it.
    * `greedy_action` is deterministic and finite.
    * All of it is the same in a `tf.function` with a batch of unknown size, and follows the variables when
      they move between two calls of one graph or in a `tf.while_loop`: a bijector that a network keeps would
      answer from its cache.
    * `copy()` shares no variables, or refuses with a `ConfigurationError`.

    For a distribution without a density (`expol_tf.distributions.capabilities`) samples take the place of
    `log_prob`, if they are reparameterized, and the rest is left out.

    Example:

    ```python
    check_actor_network(MyNetwork)
    check_actor_network(functools.partial(FlowActorNetwork, squash=True), action_spec=my_spec)
    ```

    Args:
      make_network: The class, or any function of `(observation_spec, action_spec)`.
      observation_spec: A float vector; of size 3 by default.
      action_spec: A bounded float vector; a box of two components off centre by default.
      tolerance: Of |error| / (1 + |log π|).
      perturbation: Deviation of the normal noise that the variables are checked under.
      seed: Of the noise, the observations and the samples.

    Raises:
      AssertionError: At the first broken rule.
    """
    if observation_spec is None:
        observation_spec = tensor_spec.TensorSpec([3], tf.float32, "observation")
    if action_spec is None:
        action_spec = tensor_spec.BoundedTensorSpec([2], tf.float32, [-0.4, 0.0], [0.4, 1.0], "action")
    action_spec = tensor_spec.from_spec(action_spec)
    network = make_network(observation_spec, action_spec)
    ensure(
        isinstance(network, tf_agents_network.Network),
        f"An actor network must be a tf_agents Network; got {type(network)}.",
    )
    generator = np.random.default_rng(seed)
    observation = tf.constant(generator.standard_normal([_BATCH, *observation_spec.shape]), tf.float32)
    check = _ActorNetworkCheck(network, observation, action_spec, tolerance, seed)
    check.variables()
    with perturbed(network.trainable_variables, perturbation, seed):
        check.shapes()
        check.greedy()
        if "sample_and_log_prob" in check.capabilities:
            check.samples()
        if "log_prob" in check.capabilities:
            check.gradients()
            check.edges()
            check.graphs()
            check.moving_parameters()
        elif "reparameterized_sample" in check.capabilities:
            check.sample_gradients()
            check.sample_graphs()
    check.copy()


class _ActorNetworkCheck:
    def __init__(self, network, observation, action_spec, tolerance, seed):
        self._observation = observation
        self._action_spec = action_spec
        self._tolerance = tolerance
        self._seed = tf.constant([seed, 1], tf.int32)
        self._network = network
        self._known = self._listed()
        self.capabilities = capabilities(self._distribution())

    def _listed(self):
        try:
            return [variable.ref() for variable in self._network.variables]
        except ValueError as error:
            raise AssertionError(
                "The network must have its variables when it is made; call self.create_variables() at the "
                f"end of its constructor. ({error})"
            ) from error

    def _distribution(self, observation=None):
        output = self._network(self._observation if observation is None else observation)
        ensure(
            isinstance(output, tuple) and len(output) == 2,
            f"A network must return (distribution, state); got {type(output)}.",
        )
        ensure(
            isinstance(output[0], tfd.Distribution),
            f"An actor network must return a tfp.distributions.Distribution; got {type(output[0])}.",
        )
        return output[0]

    def variables(self):
        with tf.GradientTape() as tape:
            distribution = self._distribution()
            sample = distribution.sample(seed=self._seed)
            if "log_prob" in self.capabilities:
                distribution.log_prob(tf.identity(sample))
            if "greedy_action" in self.capabilities:
                greedy_action(distribution)
        late = len(self._listed()) - len(self._known)
        ensure(
            late == 0 and self._listed() == self._known,
            f"All variables must exist once the network is made; {late} more appeared when it was used.",
        )
        # What is listed as not trainable is another's to train.
        listed = {
            variable.ref()
            for variable in [*self._network.trainable_variables, *self._network.non_trainable_variables]
        }
        hidden = [variable.name for variable in tape.watched_variables() if variable.ref() not in listed]
        ensure(
            not hidden,
            f"The distribution depends on variables that network.trainable_variables lacks: {hidden}. Keep "
            "the layers that own them as attributes of the network (a bijector or function that holds them "
            "hides them).",
        )

    def shapes(self):
        distribution = self._distribution()
        ensure(
            distribution.event_shape == self._action_spec.shape,
            f"The event shape must be the action's {self._action_spec.shape}; got "
            f"{distribution.event_shape}.",
        )
        ensure(
            distribution.batch_shape == [_BATCH],
            f"The batch shape must be [{_BATCH}], the observations'; got {distribution.batch_shape}.",
        )
        ensure(
            distribution.dtype == self._action_spec.dtype,
            f"The dtype must be the action's {self._action_spec.dtype}; got {distribution.dtype}.",
        )
        sample = distribution.sample(seed=self._seed)
        ensure_finite(sample, "samples")
        again = self._distribution().sample(seed=self._seed)
        ensure_close(again, sample, 0.0, "The same seed must draw the same sample.")

    def greedy(self):
        ensure(
            "greedy_action" in self.capabilities,
            "expol_tf.distributions.greedy_action must know the distribution: give it a method "
            "`greedy_action()`.",
        )
        action = greedy_action(self._distribution())
        ensure(
            action.shape == [_BATCH, *self._action_spec.shape],
            f"greedy_action must have shape {[_BATCH, *self._action_spec.shape]}; got {action.shape}.",
        )
        ensure_finite(action, "greedy_action")
        ensure_close(greedy_action(self._distribution()), action, 0.0, "greedy_action must be deterministic.")
        alone = greedy_action(self._distribution(self._observation[:1]))
        message = "An action must not depend on the other observations of the batch."
        ensure_close(alone, action[:1], self._tolerance, message)

    @functools.cached_property
    def _samples(self):
        """Samples [S, B, A], their log π, and whether float32 can tell their pre-squash actions [S, B]."""
        distribution = self._distribution()
        sample, log_prob = distribution.experimental_sample_and_log_prob(_SAMPLES, seed=self._seed)
        middle, half = ActionBox.of(self._action_spec)
        inside = np.all(np.abs((sample - middle) / half) < 0.99, axis=-1)
        if split_squash(distribution)[1] is None:
            inside = np.ones_like(inside)
        return sample, log_prob, inside

    def samples(self):
        sample, log_prob, inside = self._samples
        ensure_finite(log_prob, "log π of samples")
        ensure(
            log_prob.shape == [_SAMPLES, _BATCH], f"log π must be a number per sample; got {log_prob.shape}."
        )
        if "log_prob" not in self.capabilities:
            return
        ensure(np.any(inside), "No sample lay inside the box by 1 % of its half width: lower `perturbation`.")
        given = self._distribution().log_prob(tf.identity(sample)).numpy()
        message = (
            "log_prob of a copied sample must be what experimental_sample_and_log_prob returned with it."
        )
        ensure_close(given[inside], log_prob.numpy()[inside], self._tolerance, message)
        alone = self._distribution(self._observation[:1]).log_prob(sample[:, :1]).numpy()
        message = "log_prob must not depend on the other observations of the batch."
        ensure_close(alone[inside[:, :1]], given[:, :1][inside[:, :1]], self._tolerance, message)

    def gradients(self):
        sample = tf.identity(self._samples[0])
        variables = self._network.trainable_variables
        with tf.GradientTape() as tape:
            log_prob = self._distribution().log_prob(sample)
        self._ensure_gradients(tape.gradient(log_prob, variables), "log_prob")

    def sample_gradients(self):
        with tf.GradientTape() as tape:
            sample = self._distribution().sample(_SAMPLES, seed=self._seed)
        self._ensure_gradients(tape.gradient(sample, self._network.trainable_variables), "samples")

    def _ensure_gradients(self, gradients, source):
        for variable, gradient in zip(self._network.trainable_variables, gradients, strict=True):
            what = f"the gradient of {source} with respect to {variable.name}"
            ensure(gradient is not None, f"{variable.name} receives no gradient from {source}.")
            ensure_finite(tf.convert_to_tensor(gradient), what)
            ensure(np.any(tf.convert_to_tensor(gradient) != 0), f"T{what[1:]} is all zero.")

    def edges(self):
        names, edges = zip(*_edge_actions(self._action_spec), strict=True)
        # Every edge for every observation, as samples: [S, B, A].
        actions = tf.repeat(
            tf.constant(np.stack(edges)[:, np.newaxis], self._action_spec.dtype), _BATCH, axis=1
        )
        with tf.GradientTape() as tape:
            tape.watch(actions)
            log_prob = self._distribution().log_prob(tf.identity(actions))
        sources = [actions, *self._network.trainable_variables]
        slope, *gradients = tape.gradient(
            log_prob, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        for index, (name, edge) in enumerate(zip(names, edges, strict=True)):
            where = f"at {name} {edge} of the action box"
            ensure_finite(log_prob[index], f"log_prob {where}")
            ensure_finite(slope[index], f"the gradient of log_prob with respect to the action {where}")
        for variable, gradient in zip(self._network.trainable_variables, gradients, strict=True):
            ensure_finite(
                gradient,
                f"the gradient of log_prob at the action box's edges with respect to {variable.name}",
            )

    def graphs(self):
        sample, _, inside = self._samples
        spec = tf.TensorSpec([None, *self._observation.shape[1:]], tf.float32)
        action_spec = tf.TensorSpec([_SAMPLES, None, *self._action_spec.shape], self._action_spec.dtype)

        @tf.function(input_signature=[spec, action_spec], autograph=False)
        def in_a_graph(observation, action):
            distribution = self._distribution(observation)
            return distribution.log_prob(tf.identity(action)), greedy_action(distribution)

        try:
            log_prob, greedy = in_a_graph(self._observation, sample)
        except Exception as error:
            raise AssertionError(
                f"The network must work in a tf.function with a batch of unknown size; it raised {error!r}."
            ) from error
        eager = self._distribution().log_prob(tf.identity(sample)).numpy()
        message = "log_prob must be the same in a tf.function."
        ensure_close(log_prob.numpy()[inside], eager[inside], self._tolerance, message)
        eager = greedy_action(self._distribution())
        ensure_close(greedy, eager, self._tolerance, "greedy_action must be the same in a tf.function.")

    def sample_graphs(self):
        """Samples and greedy actions in a graph, before and after the variables moved there."""
        variables = self._network.trainable_variables

        def draw_then_move(observation):
            distribution = self._distribution(observation)
            drawn = distribution.sample(_SAMPLES, seed=self._seed), greedy_action(distribution)
            for variable in variables:
                variable.assign(0.9 * variable)
            return drawn

        def draw_twice(observation):
            return [draw_then_move(observation) for _ in range(2)]

        with perturbed(variables, 0.0, seed=0):  # Which brings the variables back.
            expected = draw_twice(self._observation)
        spec = tf.TensorSpec([None, *self._observation.shape[1:]], tf.float32)
        try:
            with perturbed(variables, 0.0, seed=0):
                found = tf.function(draw_twice, input_signature=[spec], autograph=False)(self._observation)
        except Exception as error:
            raise AssertionError(
                f"The network must work in a tf.function with a batch of unknown size; it raised {error!r}."
            ) from error
        message = "Samples and greedy_action must be the same in a tf.function, and follow the variables."
        for each, value in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
            ensure_close(each, value, self._tolerance, message)

    def moving_parameters(self):
        """log π of one tensor before and after the variables moved, within one graph and within one loop."""
        variables = self._network.trainable_variables
        start = [variable.numpy() for variable in variables]
        # Well inside the box: near the edges a graph's rounding is amplified by the inverse of the squash.
        middle, half = ActionBox.of(self._action_spec)
        offsets = np.linspace(-0.5, 0.5, _BATCH * middle.size).reshape([_BATCH, middle.size])
        action = tf.constant(middle + half * offsets, self._action_spec.dtype)

        def log_prob_then_move(given):
            log_prob = self._distribution().log_prob(given)
            for variable in variables:
                variable.assign(0.9 * variable)
            return log_prob

        def in_a_row(given):
            return tf.stack([log_prob_then_move(given) for _ in range(3)])

        @tf.function(autograph=False)
        def in_a_loop(given):
            found = tf.TensorArray(given.dtype, 3, element_shape=[_BATCH])
            found = found.write(0, log_prob_then_move(given))
            _, found = tf.while_loop(
                lambda index, _: index < 3,
                lambda index, found: (index + 1, found.write(index, log_prob_then_move(given))),
                (1, found),
            )
            return found.stack()

        expected = [log_prob_then_move(tf.identity(action)).numpy() for _ in range(3)]
        ensure(
            np.any(np.abs(expected[1] - expected[0]) > 1e-3),
            "log_prob must change when all variables shrink by a tenth.",
        )
        for where, function in (
            ("eager code", in_a_row),
            ("a tf.function and a tf.while_loop in it", in_a_loop),
        ):
            for variable, value in zip(variables, start, strict=True):
                variable.assign(value)
            try:
                found = function(action)
            except Exception as error:
                raise AssertionError(
                    f"log_prob must work while the variables move in {where}; it raised {error!r}."
                ) from error
            ensure_close(
                found,
                expected,
                self._tolerance,
                f"log_prob of the same tensor must follow the variables as they move in {where}. Make "
                "bijectors and distributions in `call`, not in the constructor, and bijectors that compare "
                "equal only if they own the same variables' values: TFP's cache outlives the move, and "
                "equal bijectors share it.",
            )
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)

    def copy(self):
        try:
            copy = self._network.copy()
        except ConfigurationError:  # It says that a copy would share what it must not.
            return
        shapes = [variable.shape for variable in self._network.variables]
        copied = [variable.shape for variable in copy.variables]
        ensure(shapes == copied, f"copy() must have variables of the same shapes {shapes}; got {copied}.")
        own = {variable.ref() for variable in self._network.variables}
        shared = [variable.name for variable in copy.variables if variable.ref() in own]
        ensure(
            not shared,
            f"copy() must share no variables with the original; it shares {shared}. Make layers in the "
            "constructor, or pass functions that make them.",
        )


def _edge_actions(action_spec: tensor_spec.BoundedTensorSpec) -> Iterator[tuple[str, np.ndarray]]:
    low, high = (
        np.broadcast_to(np.asarray(bound, np.float32), action_spec.shape)
        for bound in (action_spec.minimum, action_spec.maximum)
    )
    yield "the lowest corner", low
    yield "the highest corner", high
    yield "a point beside the lowest corner", np.nextafter(low, high)
    yield "a point beside the highest corner", np.nextafter(high, low)
    mixed = np.where(np.arange(action_spec.shape[0]) % 2 == 0, low, high)
    yield "a corner", mixed
    yield "the middle", (low + (high - low) / 2).astype(np.float32)

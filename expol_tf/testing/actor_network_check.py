"""The contract of an actor network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from tf_agents.networks import network as tf_agents_network
from tf_agents.specs import tensor_spec
from tf_agents.typing import types

from expol_tf.checked import checked
from expol_tf.distributions import greedy_action
from expol_tf.errors import ConfigurationError
from expol_tf.number_types import NonNegative, SeedNumber
from expol_tf.testing.actor_network_density import check_density
from expol_tf.testing.actor_network_graphs import check_graphs, check_moving_variables, check_sample_graphs
from expol_tf.testing.assertions import ensure, ensure_close, ensure_finite, perturbed
from expol_tf.testing.network_under_test import BATCH, SAMPLES, NetworkUnderTest

MakeNetwork = Callable[[types.NestedTensorSpec, types.NestedTensorSpec], tf_agents_network.Network]


@checked
def check_actor_network(
    make_network: MakeNetwork,
    observation_spec: types.NestedTensorSpec | None = None,
    action_spec: types.NestedTensorSpec | None = None,
    *,
    tolerance: NonNegative = 1e-3,
    perturbation: NonNegative = 0.3,
    seed: SeedNumber = 0,
) -> None:
    """Checks an actor network: `network(observation [B, O]) -> (tfd.Distribution over [B, A], state)`.

    * All variables exist once the network is made, and the network lists every variable that it reads.
      Optimizers, checkpoints and copies would miss any other. Each trainable variable receives a finite
      gradient that is not zero from `log_prob`, or from samples where there is no density. Variables that
      others train, such as the critic of a `SteinActorNetwork`, are among `non_trainable_variables`.
    * The distribution's event shape is `[A]` and its batch shape `[B]`. No observation affects another row.
    * `log_prob` of a sample is what `experimental_sample_and_log_prob` returned with it. This must hold for a
      copy of the sample, which TFP's bijectors do not find in their cache. If the policy is squashed to the
      box, `log_prob` and its gradient are finite on the whole closed box.
    * The density of actions integrates to 1, also after some steps of training. A network whose masks hold at
      first alone has a density at first alone. The integral is estimated by importance sampling, to about
      1 %.
    * `greedy_action` is deterministic and finite.
    * All results are the same in a `tf.function` with a batch of unknown size. They follow the variables when
      these change between two calls within a graph or a `tf.while_loop`; a bijector that the network keeps
      would take old values from its cache.
    * `copy()` shares no variables, or refuses with a `ConfigurationError`.

    If the distribution has no density (`expol_tf.distributions.capabilities`) but its samples are
    reparameterized, gradients and graphs are checked with samples, and checks of `log_prob` are left out.

    Example:

    ```python
    check_actor_network(MyNetwork)
    check_actor_network(functools.partial(FlowActorNetwork, squash=True), action_spec=my_spec)
    ```

    Args:
      make_network: The network's class, or any function of `(observation_spec, action_spec)` that makes it.
      observation_spec: Spec of a float vector; None takes one of size 3.
      action_spec: Spec of a bounded float vector; None takes a box of two components that is not centred.
      tolerance: Largest |error| / (1 + |log π|) allowed.
      perturbation: Standard deviation of the normal noise that is added to the variables for the checks.
      seed: Seed of the noise, the observations and the samples.

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
    observation = tf.constant(generator.standard_normal([BATCH, *observation_spec.shape]), tf.float32)
    subject = NetworkUnderTest(network, observation, action_spec, tolerance, seed)
    _check_variables(subject)
    with perturbed(network.trainable_variables, perturbation, seed):
        _check_shapes(subject)
        _check_greedy(subject)
    # Before the others: a mask that is lost shows in many of them, and only here by its name.
    if {"sample", "log_prob"} <= subject.capabilities:
        check_density(subject)
    with perturbed(network.trainable_variables, perturbation, seed):
        if "sample_and_log_prob" in subject.capabilities:
            _check_samples(subject)
        if "log_prob" in subject.capabilities:
            _check_gradients(subject, "log_prob")
            _check_edges(subject)
            check_graphs(subject)
            check_moving_variables(subject)
        elif "reparameterized_sample" in subject.capabilities:
            _check_gradients(subject, "samples")
            check_sample_graphs(subject)
    _check_copy(subject)


def _check_variables(subject: NetworkUnderTest) -> None:
    """Checks that all variables exist from the start, and that the network lists all that it reads."""
    with tf.GradientTape() as tape:
        distribution = subject.distribution()
        sample = distribution.sample(seed=subject.seed)
        if "log_prob" in subject.capabilities:
            distribution.log_prob(tf.identity(sample))
        if "greedy_action" in subject.capabilities:
            greedy_action(distribution)
    late = len(subject.listed_variables()) - len(subject.first_variables)
    ensure(
        late == 0 and subject.listed_variables() == subject.first_variables,
        f"All variables must exist once the network is made; {late} more appeared when it was used.",
    )
    # Variables that others train count as listed: a network may read another network's weights.
    listed = {
        variable.ref()
        for variable in [*subject.network.trainable_variables, *subject.network.non_trainable_variables]
    }
    hidden = [variable.name for variable in tape.watched_variables() if variable.ref() not in listed]
    ensure(
        not hidden,
        f"The distribution depends on variables that network.trainable_variables lacks: {hidden}. Keep "
        "the layers that own them as attributes of the network (a bijector or function that holds them "
        "hides them).",
    )


def _check_shapes(subject: NetworkUnderTest) -> None:
    """Checks the event shape, the batch shape, the dtype and that a seed repeats a sample."""
    distribution = subject.distribution()
    ensure(
        distribution.event_shape == subject.action_spec.shape,
        f"The event shape must be the action's {subject.action_spec.shape}; got {distribution.event_shape}.",
    )
    ensure(
        distribution.batch_shape == [BATCH],
        f"The batch shape must be [{BATCH}], the observations'; got {distribution.batch_shape}.",
    )
    ensure(
        distribution.dtype == subject.action_spec.dtype,
        f"The dtype must be the action's {subject.action_spec.dtype}; got {distribution.dtype}.",
    )
    sample = distribution.sample(seed=subject.seed)
    ensure_finite(sample, "samples")
    again = subject.distribution().sample(seed=subject.seed)
    ensure_close(again, sample, 0.0, "The same seed must draw the same sample.")


def _check_greedy(subject: NetworkUnderTest) -> None:
    """Checks that greedy actions are finite and deterministic, and that rows are independent."""
    ensure(
        "greedy_action" in subject.capabilities,
        "expol_tf.distributions.greedy_action must know the distribution: give it a method "
        "`greedy_action()`.",
    )
    action = greedy_action(subject.distribution())
    ensure(
        action.shape == [BATCH, *subject.action_spec.shape],
        f"greedy_action must have shape {[BATCH, *subject.action_spec.shape]}; got {action.shape}.",
    )
    ensure_finite(action, "greedy_action")
    ensure_close(greedy_action(subject.distribution()), action, 0.0, "greedy_action must be deterministic.")
    alone = greedy_action(subject.distribution(subject.observation[:1]))
    message = "An action must not depend on the other observations of the batch."
    ensure_close(alone, action[:1], subject.tolerance, message)


def _check_samples(subject: NetworkUnderTest) -> None:
    """Checks that log π of samples is finite, and the same when it is computed separately."""
    sample, log_prob, inside = subject.samples
    ensure_finite(log_prob, "log π of samples")
    ensure(log_prob.shape == [SAMPLES, BATCH], f"log π must be a number per sample; got {log_prob.shape}.")
    if "log_prob" not in subject.capabilities:
        return
    ensure(np.any(inside), "No sample lay inside the box by 1 % of its half width: lower `perturbation`.")
    # TFP's bijectors would take the pre-image of `sample` itself from their cache, whatever their inverse.
    given = subject.distribution().log_prob(tf.identity(sample)).numpy()
    message = "log_prob of a copied sample must be what experimental_sample_and_log_prob returned with it."
    ensure_close(given[inside], log_prob.numpy()[inside], subject.tolerance, message)
    alone = subject.distribution(subject.observation[:1]).log_prob(sample[:, :1]).numpy()
    message = "log_prob must not depend on the other observations of the batch."
    ensure_close(alone[inside[:, :1]], given[:, :1][inside[:, :1]], subject.tolerance, message)


def _check_gradients(subject: NetworkUnderTest, source: str) -> None:
    """Checks that every trainable variable receives a gradient from "log_prob" or from "samples"."""
    variables = subject.network.trainable_variables
    with tf.GradientTape() as tape:
        if source == "log_prob":
            value = subject.distribution().log_prob(tf.stop_gradient(subject.samples[0]))
        else:
            value = subject.distribution().sample(SAMPLES, seed=subject.seed)
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        what = f"the gradient of {source} with respect to {variable.name}"
        ensure(gradient is not None, f"{variable.name} receives no gradient from {source}.")
        ensure_finite(tf.convert_to_tensor(gradient), what)
        ensure(np.any(tf.convert_to_tensor(gradient) != 0), f"T{what[1:]} is all zero.")


def _check_edges(subject: NetworkUnderTest) -> None:
    """Checks that log π and its gradients are finite on the whole closed box."""
    names, edges = zip(*_edge_actions(subject.action_spec), strict=True)
    # Each edge is evaluated for every observation at once: [S, B, A].
    actions = tf.repeat(tf.constant(np.stack(edges)[:, np.newaxis], subject.action_spec.dtype), BATCH, axis=1)
    with tf.GradientTape() as tape:
        tape.watch(actions)
        log_prob = subject.distribution().log_prob(tf.identity(actions))
    sources = [actions, *subject.network.trainable_variables]
    slope, *gradients = tape.gradient(log_prob, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    for index, (name, edge) in enumerate(zip(names, edges, strict=True)):
        where = f"at {name} {edge} of the action box"
        ensure_finite(log_prob[index], f"log_prob {where}")
        ensure_finite(slope[index], f"the gradient of log_prob with respect to the action {where}")
    for variable, gradient in zip(subject.network.trainable_variables, gradients, strict=True):
        ensure_finite(
            gradient, f"the gradient of log_prob at the action box's edges with respect to {variable.name}"
        )


def _check_copy(subject: NetworkUnderTest) -> None:
    """Checks that a copy shares no variables with its original."""
    try:
        copy = subject.network.copy()
    except ConfigurationError:
        # The network says itself that a copy would share what it must not.
        return
    shapes = [variable.shape for variable in subject.network.variables]
    copied = [variable.shape for variable in copy.variables]
    ensure(shapes == copied, f"copy() must have variables of the same shapes {shapes}; got {copied}.")
    own = {variable.ref() for variable in subject.network.variables}
    shared = [variable.name for variable in copy.variables if variable.ref() in own]
    ensure(
        not shared,
        f"copy() must share no variables with the original; it shares {shared}. Make layers in the "
        "constructor, or pass functions that make them.",
    )


def _edge_actions(action_spec: tensor_spec.BoundedTensorSpec) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name and the action `[A]` of points of the box where a squash may not be finite."""
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

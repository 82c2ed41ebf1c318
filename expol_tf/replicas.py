"""The one door to data-parallel learning: sums, means and gradients over a batch, on one device or several.

An algorithm says what it computes of a batch. Without a strategy `gradients` is a tape and nothing else.
Under a `tf.distribute.MirroredStrategy` each replica does the same with its part of the batch, and the
results are added up. The algorithms' loops stay outside of the replicas, where they see whole batches and
summed results: TensorFlow's replicas exchange nothing inside a loop.

```python
def squared_error(batch):
    x, y, valid = batch
    error = masked_mean(tf.square(predict(x) - y), valid)
    return error, {"largest": masked_mean(predict(x), valid)}

(loss, metrics), gradient = gradients(squared_error, (x, y, valid), variables, valid)
optimizer.apply_gradients(zip(gradient, variables, strict=True))
```
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import tensorflow as tf

from expol_tf.checks import refuse_misspelt_attributes
from expol_tf.errors import ConfigurationError

Result = TypeVar("Result")


class UpdatePart(tf.Module):
    """Base of what agents run inside their compiled update. A subclass says what it can do as it is defined.

    ```python
    class MyUpdate(PolicyUpdate, supports_replicas=True): ...
    ```

    A misspelt keyword is a TypeError there, where a misspelt attribute would quietly mean "no".

    Attributes:
      compiles_itself: Whether it compiles its own parts. XLA may compile the others whole.
      supports_replicas: Whether it divides its work over the replicas of a strategy; see `docs/devices.md`.
    """

    compiles_itself: ClassVar[bool] = False
    supports_replicas: ClassVar[bool] = False

    def __init_subclass__(
        cls, *, compiles_itself: bool | None = None, supports_replicas: bool | None = None
    ) -> None:
        super().__init_subclass__()
        if compiles_itself is not None:
            cls.compiles_itself = compiles_itself
        if supports_replicas is not None:
            cls.supports_replicas = supports_replicas
        refuse_misspelt_attributes(cls, UpdatePart)


# Whether XLA compiles what replicas do; `compiled` sets it for the calls within its function.
_compile: contextvars.ContextVar[bool] = contextvars.ContextVar("compile_in_replicas", default=False)


def learner_strategy(
    networks: Mapping[str, tf.Module], parts: Mapping[str, UpdatePart] | None = None
) -> tf.distribute.MirroredStrategy | None:
    """Returns the strategy in whose scope an agent with these parts is made, and trains; None without one.

    Args:
      networks: The networks that the agent trains, by the names of its arguments.
      parts: Other parts of an update, by the names of the agent's arguments; they must support replicas.

    Raises:
      ConfigurationError: If the strategy is of another kind, or one of them does not belong to it.
    """
    if not tf.distribute.has_strategy():
        return None
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MirroredStrategy):
        raise ConfigurationError(
            "strategy: learners are divided over devices by a tf.distribute.MirroredStrategy; got "
            f"{type(strategy).__name__}. Use that, or leave the strategy's scope."
        )
    for name, network in networks.items():
        if not all(map(strategy.extended.variable_created_in_scope, network.variables)):
            raise ConfigurationError(
                f"{name}: its variables must be created in the scope of the strategy that the agent is made "
                f"under; those of {type(network).__name__} were not. Construct networks and agent together "
                "inside `with strategy.scope():`."
            )
    for name, part in (parts or {}).items():
        if not part.supports_replicas:
            raise ConfigurationError(
                f"{name}: {type(part).__name__} does not say that it divides its work over replicas "
                "(class keyword supports_replicas; see docs/devices.md). Train on one device, or divide it."
            )
    return strategy


def require_strategy(algorithm: str, made_under: tf.distribute.Strategy | None) -> None:
    """Raises a `ConfigurationError` unless an agent was made under the strategy that it is called under.

    Args:
      algorithm: The agent's class name.
      made_under: What `learner_strategy` returned for it.
    """
    if made_under is not tf.distribute.get_strategy():
        raise ConfigurationError(
            f"strategy: {algorithm} is trained in a replica of a strategy that it was not made under. Make "
            "its networks, its train_step_counter and the agent inside `with strategy.scope():`."
        )


def divided() -> bool:
    """Whether work is divided over replicas here: under a strategy, but outside of its replicas."""
    return tf.distribute.has_strategy() and tf.distribute.in_cross_replica_context()


def gradients(
    loss: Callable[..., Result],
    batch: Any,
    variables: Sequence[tf.Variable],
    valid: tf.Tensor | None = None,
    seed: tf.Tensor | None = None,
    prepare: Callable[..., Any] | None = None,
) -> tuple[Result, list[tf.Tensor]]:
    """Returns what a loss is on a batch, and its gradient.

    ```python
    def critic_loss(batch, seed):
        q, target = critic(batch.observation, batch.action), soft_target(batch, seed)
        return masked_mean(tf.square(q - target), batch.valid), {"q_mean": masked_mean(q, batch.valid)}

    (loss, metrics), gradient = gradients(critic_loss, batch, critic.trainable_variables, batch.valid, seed)
    ```

    Args:
      loss: A pure function of the batch, or of the batch and a seed where `seed` is given. It returns a mean
        over the batch's valid samples, a scalar; or a tuple of that and further such means, in any structure.
      batch: A structure of tensors `[N, …]`; scalars and None stay what they are.
      variables: Those to differentiate by.
      valid: Bool `[N]`: the samples that the means are over; all of them by default. Floats `[N]` that add up
        to 1 are their weights.
      seed: A stateless seed, int32 `[2]`. A replica gets one of its own made of it.
      prepare: Computes outside of the tape, from the loss's arguments, what the loss is given in the seed's
        place: a target, say.

    Returns:
      What the loss returned, as means over the whole batch, and the gradient of the first: a tensor for each
      variable, 0 where the loss does not depend on it.
    """

    def differentiate(part: Any, share: Callable[[tf.Tensor], tf.Tensor], *seeds: tf.Tensor) -> Any:
        # Outside of the tape: no gradient flows through a target, and nothing of it need be recorded.
        """Returns what the loss is on a part, times the part's share, and the gradient of its first value."""
        given = seeds if prepare is None else (prepare(part, *seeds),)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            values = tf.nest.map_structure(share, loss(part, *given))
            value = values[0] if isinstance(values, tuple) else values
        # Zeros in place of None, as a sum over replicas needs a tensor for every variable.
        gradient = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return values, gradient

    return sum_over_parts(differentiate, batch, valid, seed)


def means(
    function: Callable[..., Result],
    batch: Any,
    valid: tf.Tensor | None = None,
    seed: tf.Tensor | None = None,
) -> Result:
    """Returns means over a batch: what `gradients` does without the gradient, with the same arguments."""

    def measure(part: Any, share: Callable[[tf.Tensor], tf.Tensor], *seeds: tf.Tensor) -> Any:
        """Returns a part's means, times the part's share."""
        return tf.nest.map_structure(share, function(part, *seeds))

    return sum_over_parts(measure, batch, valid, seed)


def sum_over_parts(
    function: Callable[..., Result],
    batch: Any,
    valid: tf.Tensor | None = None,
    seed: tf.Tensor | None = None,
) -> Result:
    """Returns the sum of what a function returns for each replica's part of a batch.

    Args:
      function: Takes a part of the batch, a function `share` and, where `seed` is given, a seed. It returns
        tensors of static structure and shape: sums over the part's samples, or means over its valid samples
        that went through `share`, so that they add up to the mean over the whole batch.
      batch: As for `gradients`.
      valid: As for `gradients`.
      seed: As for `gradients`.

    Returns:
      The sums, on the first device. Without a strategy the function is called once, with the whole batch and
      a `share` that returns its argument.
    """
    seeds = () if seed is None else (seed,)
    if not divided():
        return function(batch, lambda mean: mean, *seeds)
    part = parts_of_replicas(batch)
    share = shares_of_replicas(lambda: tf.ones([batch_size(batch)], tf.bool) if valid is None else valid)
    return sum_over_replicas(lambda: function(part(), share, *map(seed_of_replica, seeds)))


def sum_over_replicas(function: Callable[[], Result]) -> Result:
    """Calls the function in each replica and adds up what it returns; where none are, just calls it.

    Args:
      function: Returns tensors of static structure and shape, its replica's share of a sum.

    Returns:
      The sums, on the first device.
    """
    if not divided():
        return function()
    strategy = tf.distribute.get_strategy()
    results = strategy.run(_as_compiled(function))
    return tf.nest.map_structure(
        lambda shares: tf.add_n(strategy.experimental_local_results(shares)), results
    )


def run_on_replicas(function: Callable[[], Any]) -> None:
    """Calls the function in each replica for what it does there; where none are, just calls it."""
    if divided():
        tf.distribute.get_strategy().run(function)
    else:
        function()


def in_replica() -> bool:
    """Whether this is called inside a replica, where TF-Agents' `Learner(strategy=…)` calls `agent.train`."""
    return tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context()


def with_whole_batch(function: Callable[[Any], Result], part: Any) -> Result:
    """Calls a function once, outside of the replicas, with the parts of the batch that they hold.

    To be called in each replica, with its part, and not within a `tf.function` that the replica calls.

    Args:
      function: Takes the batch, the parts one after the other; it returns tensors.
      part: A structure of tensors `[n, …]`.

    Returns:
      What the function returns divided by the number of replicas, so that their sum is what it returned.
    """

    def merged(strategy: tf.distribute.Strategy, parts: Any) -> Any:
        """Joins the parts and calls the function."""
        batch = tf.nest.map_structure(
            lambda each: tf.concat(strategy.experimental_local_results(each), axis=0), parts
        )
        return function(batch)

    context = tf.distribute.get_replica_context()
    share = 1.0 / context.num_replicas_in_sync
    # Divided here, in each replica: what is one tensor in all of them a strategy refuses to add up.
    return tf.nest.map_structure(
        lambda value: tf.cast(share, value.dtype) * value, context.merge_call(merged, args=(part,))
    )


def outside_of_replicas(function: Callable[[], Result]) -> Result:
    """Calls a function of whole batches, on the first device.

    Where XLA compiles what replicas do (see `compiled`) it compiles this too: its random numbers are not
    TensorFlow's, and so they are the same with replicas and without.
    """
    return _as_compiled(function)() if divided() else function()


def parts_of_replicas(batch: Result) -> Callable[[], Result]:
    """Returns a function without arguments: in replica i of R it returns every R-th sample, from the i-th on.

    Elsewhere it returns the whole batch. If R does not divide the batch, parts differ in size by one sample;
    they may be empty.

    Args:
      batch: A structure of tensors `[N, …]`; scalars and None stay what they are.
    """
    if not divided():
        return lambda: batch
    count = tf.distribute.get_strategy().num_replicas_in_sync
    # Cut here and not in the replica, so that a replica is sent its own part alone.
    parts = [tf.nest.map_structure(functools.partial(_every, count, i), batch) for i in range(count)]
    return lambda: batch if divided() else parts[_replica()]


def shares_of_replicas(valid: Callable[[], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that in a replica multiplies a mean over its part by the part's share of the whole.

    Summed over replicas such products are the mean over the whole batch, whatever is masked in which part.
    Elsewhere the function returns its argument.

    Args:
      valid: Returns a bool `[N]`: which samples of the whole batch the means are over. Or their weights.
    """
    if not divided():
        return lambda mean: mean
    counts = tf.cast(valid(), tf.float32)
    # At least 1: without a valid sample all shares are 0, and not 0/0.
    part, whole = parts_of_replicas(counts), tf.maximum(tf.reduce_sum(counts), 1.0)

    def share(mean: tf.Tensor) -> tf.Tensor:
        """Multiplies a mean over a replica's part by the part's share of the whole."""
        return mean if divided() else tf.cast(tf.reduce_sum(part()) / whole, mean.dtype) * mean

    return share


def once_per_replica(function: Callable[[], Result]) -> Callable[[], Result]:
    """Calls the function in each replica, now, and returns a function that there returns its result again."""
    if not divided():
        result = function()
        return lambda: result
    results: dict[int, Result] = {}

    def keep() -> None:
        """Calls the function in one replica and keeps what it returns."""
        results[_replica()] = function()

    tf.distribute.get_strategy().run(keep)
    return lambda: results[_replica()]


def seed_of_replica(seed: tf.Tensor) -> tf.Tensor:
    """Returns a stateless seed that differs between replicas; the seed itself where there are none."""
    if not tf.distribute.has_strategy() or divided():
        return seed
    # With one seed all replicas would draw the same numbers for different samples.
    return tf.random.experimental.stateless_fold_in(seed, _replica())


def split_seed(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Splits a stateless seed into `count` seeds, the same with replicas and without."""
    # XLA splits negative seeds into others than TensorFlow does.
    return tf.unstack(outside_of_replicas(lambda: tf.random.experimental.stateless_split(seed, count)))


def compiled(function: Callable[..., Result], jit_compile: bool | None) -> Callable[..., Result]:
    """Compiles `function`; under a strategy only the code inside replicas is compiled.

    XLA cannot compile what is around that code, as it is of several devices.

    Args:
      function: Takes and returns tensors.
      jit_compile: Whether XLA compiles it, as `tf.function` understands it.
    """
    if not divided():
        return tf.function(function, jit_compile=jit_compile, autograph=False)

    def compiled_in_replicas(*arguments: Any) -> Result:
        """Calls the function, whose code inside replicas XLA then compiles or not."""
        token = _compile.set(bool(jit_compile))
        try:
            return function(*arguments)
        finally:
            _compile.reset(token)

    return compiled_in_replicas


def batch_size(batch: Any) -> tf.Tensor:
    """Returns N, an int32 scalar, of a structure of tensors `[N, …]`, scalars and None."""
    tensors = (each for each in tf.nest.flatten(batch) if each is not None)
    return next(tf.shape(tensor)[0] for tensor in tensors if tensor.shape.rank)


def _every(step, first, tensor):
    """Every `step`-th sample, from `first` on; scalars and None as they are."""
    return tensor if tensor is None or tensor.shape.rank == 0 else tensor[first::step]


def _as_compiled(function):
    """The function, compiled by XLA where `compiled` asked for it."""
    if not _compile.get():
        return function
    # A function of its own for each replica: it has its device's copies of the variables.
    return lambda: tf.function(function, jit_compile=True, autograph=False)()


def _replica() -> int:
    """The number of the replica that this is called in."""
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))

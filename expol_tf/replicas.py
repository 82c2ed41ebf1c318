"""Sums over the replicas of a `tf.distribute.MirroredStrategy`, of which each has a part of the batch.

Without a strategy everything here does nothing: functions are called as they are, on the whole batch. With
one, the algorithms' loops stay outside of its replicas, where they see whole batches and summed results,
and only what is added up over samples runs in each of them. (TensorFlow's replicas exchange nothing inside a
loop.)

```python
part = parts_of_replicas((x, y, weights))  # Weights of all samples, adding to 1.

def squared_error():
    x, y, w = part()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(w * tf.square(predict(x) - y))
    return loss, tape.gradient(loss, variables)

loss, gradients = sum_over_replicas(squared_error)
```
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import tensorflow as tf

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


_compile: contextvars.ContextVar[bool] = contextvars.ContextVar("compile_in_replicas", default=False)


def mirrored_strategy() -> tf.distribute.MirroredStrategy | None:
    """Returns the strategy whose scope this is, None where there is none.

    Raises:
      ConfigurationError: If it is of another kind.
    """
    if not tf.distribute.has_strategy():
        return None
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MirroredStrategy):
        raise ConfigurationError(
            "strategy: learners are divided over devices by a tf.distribute.MirroredStrategy; got "
            f"{type(strategy).__name__}. Use that, or leave the strategy's scope."
        )
    return strategy


def divided() -> bool:
    """Whether work is divided over replicas here: under a strategy, but outside of its replicas."""
    return tf.distribute.has_strategy() and tf.distribute.in_cross_replica_context()


def sum_over_replicas(function: Callable[[], Result]) -> Result:
    """Calls the function in each replica and adds up what it returns; where none are, just calls it.

    Args:
      function: Returns a structure of tensors of static structure and shape: its replica's share of a sum.

    Returns:
      The sums, on the first device.
    """
    if not divided():
        return function()
    strategy = tf.distribute.get_strategy()
    results = strategy.run(_as_compiled(function))
    return tf.nest.map_structure(lambda each: tf.add_n(strategy.experimental_local_results(each)), results)


def run_on_replicas(function: Callable[[], Any]) -> None:
    """Calls the function in each replica for what it does there; where none are, just calls it."""
    if divided():
        tf.distribute.get_strategy().run(function)
    else:
        function()


def outside_of_replicas(function: Callable[[], Result]) -> Result:
    """Calls a function of whole batches, on the first device.

    Where XLA compiles what replicas do (see `compiled`) it compiles this too: its random numbers are not
    TensorFlow's, and so they are the same with replicas and without.
    """
    return _as_compiled(function)() if divided() else function()


def parts_of_replicas(batch: Result) -> Callable[[], Result]:
    """Returns a function of none: called in replica i of R, it returns every R-th sample, from the i-th on.

    Called elsewhere it returns the whole batch. Parts differ by a sample in size if R does not divide the
    batch; they may be empty.

    Args:
      batch: A structure of tensors `[N, …]`; scalars and None stay what they are.
    """
    if not divided():
        return lambda: batch
    count = tf.distribute.get_strategy().num_replicas_in_sync
    # Cut here, so that a replica is sent its own part alone.
    parts = [tf.nest.map_structure(functools.partial(_every, count, i), batch) for i in range(count)]
    return lambda: batch if divided() else parts[_replica()]


def shares_of_replicas(valid: Callable[[], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that in a replica multiplies a mean over its part by the part's share of the whole.

    Summed over replicas such products are the mean over the whole batch, whatever is masked in which part.
    Elsewhere the function returns its argument.

    Args:
      valid: Returns, bool `[N]`, which samples of the whole batch count in its means.
    """
    if not divided():
        return lambda mean: mean
    counts = tf.cast(valid(), tf.float32)
    part, whole = parts_of_replicas(counts), tf.maximum(tf.reduce_sum(counts), 1.0)

    def share(mean: tf.Tensor) -> tf.Tensor:
        return mean if divided() else tf.cast(tf.reduce_sum(part()) / whole, mean.dtype) * mean

    return share


def once_per_replica(function: Callable[[], Result]) -> Callable[[], Result]:
    """Calls the function in each replica, now, and returns a function that there returns its result again."""
    if not divided():
        result = function()
        return lambda: result
    results: dict[int, Result] = {}

    def keep() -> None:
        results[_replica()] = function()

    tf.distribute.get_strategy().run(keep)
    return lambda: results[_replica()]


def seed_of_replica(seed: tf.Tensor) -> tf.Tensor:
    """Returns a stateless seed that differs between replicas; the seed itself where there are none."""
    if not tf.distribute.has_strategy() or divided():
        return seed
    return tf.random.experimental.stateless_fold_in(seed, _replica())


def split_seed(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Returns so many stateless seeds made of one, the same with replicas and without."""
    # Of a negative seed XLA makes others than TensorFlow.
    return tf.unstack(outside_of_replicas(lambda: tf.random.experimental.stateless_split(seed, count)))


def compiled(function: Callable[..., Result], jit_compile: bool | None) -> Callable[..., Result]:
    """Returns a `tf.function`; under a strategy, a function of whose parts in replicas alone this is made.

    What is around those parts XLA cannot compile, as it is of several devices.

    Args:
      function: Of tensors.
      jit_compile: As of `tf.function`.
    """
    if not divided():
        return tf.function(function, jit_compile=jit_compile, autograph=False)

    def compiled_in_replicas(*arguments: Any) -> Result:
        token = _compile.set(bool(jit_compile))
        try:
            return function(*arguments)
        finally:
            _compile.reset(token)

    return compiled_in_replicas


def _every(step, first, tensor):
    return tensor if tensor is None or tensor.shape.rank == 0 else tensor[first::step]


def _as_compiled(function):
    if not _compile.get():
        return function
    # A function of its own for each replica: it has its device's copies of the variables.
    return lambda: tf.function(function, jit_compile=True, autograph=False)()


def _replica() -> int:
    return int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))

"""The base class of the rules by which on-policy agents move their policies."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.agents.policy_batch import PolicyBatch
from expol_tf.agents.policy_objective import PolicyObjective
from expol_tf.replicas import UpdatePart


class PolicyUpdate(UpdatePart):
    """One update of a policy from a batch of transitions of π_old; TRPO, PPO and ACKTR are subclasses.

    A subclass is made without the policy, so that gin can make it, and implements `__call__`. State of its
    own (variables, optimizers) are attributes, which checkpoints hold: it is a `tf.Module`. What it can do
    beyond that it says in keywords of its class (see `UpdatePart`):

    ```python
    class MyUpdate(PolicyUpdate, supports_replicas=True):
        def __call__(self, objective, batch, seed):
            ...
            return {"surrogate": improvement}
    ```
    """

    def build(self, objective: PolicyObjective, jit_compile: bool = True) -> None:
        """Creates state for a policy; the agent calls it once, when it has found the policy fit.

        Args:
          objective: Measures the policy; `objective.variables` are what the update moves.
          jit_compile: Whether XLA compiles training. A rule that compiles itself follows it.
        """

    def __call__(
        self, objective: PolicyObjective, batch: PolicyBatch, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Moves the policy's variables; called inside the agent's compiled function.

        Args:
          objective: Measures the policy. Its entropy bonus is weighed for this batch, so take this one and
            not the one that `build` was given.
          batch: N transitions of π_old.
          seed: int32 `[2]`, the stateless seed of all randomness.

        Returns:
          Scalars by name, `surrogate` (by how much the objective rose) among them.
        """
        raise NotImplementedError(f"{type(self).__name__}.__call__ must be implemented.")

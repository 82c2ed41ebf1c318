"""Names of earlier versions, and errors that say what replaces them, in gin and in Python alike.

The table has an entry for each argument that a public class lost, under the name that users wrote:

```python
RENAMED = {"SqlAgent.num_value_samples": "LogSumExpValue.num_samples"}
```
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from expol_tf.errors import ConfigurationError

T = TypeVar("T")

_ON_POLICY = ("AcktrAgent", "OnPolicyAgent", "PpoAgent", "TrpoAgent")
_OFF_POLICY = (
    "ActorCriticAgent", "DdpgAgent", "NbpAgent", "ParpiAgent", "S2acAgent", "SacAgent", "SqlAgent",
)  # fmt: skip
# What all agents of a kind lost: old name → new name.
_LOST_BY_ALL = {"jit_compile": "Acting.jit_compile", "seed": "Acting.seed"}
_LOST_OFF_POLICY = {
    "critic_optimizer": "CriticFit.optimizer",
    "gamma": "CriticFit.gamma",
    "target_update": "CriticFit.target_update",
}

# Old name → what completes the sentence "OLD is now …": the new name, or words where nothing replaces it.
RENAMED: dict[str, str] = {
    **{f"{agent}.{old}": new for agent in _ON_POLICY + _OFF_POLICY for old, new in _LOST_BY_ALL.items()},
    **{f"{agent}.{old}": new for agent in _OFF_POLICY for old, new in _LOST_OFF_POLICY.items()},
    "AcktrAgent.desired_kl": "KroneckerUpdate.desired_kl",
    "AcktrAgent.kfac": "KroneckerUpdate.kfac",
    "ActorCriticAgent.actor_optimizer": (
        "the optimizer of the improvement, such as ReparameterizedImprovement.optimizer"
    ),
    "ActorCriticAgent.batch_parts": "SteinImprovement.batch_parts",
    "ActorCriticAgent.capabilities": "the attributes soft_value.requires and improvement.requires",
    "ActorCriticAgent.companions": "ImprovementParts.companions, which an improvement builds",
    "ActorCriticAgent.discriminators": "ImprovementParts.discriminators, which an improvement builds",
    "ActorCriticAgent.exploration": "Acting.exploration",
    "ActorCriticAgent.policy_improvement": "ActorCriticAgent.improvement",
    "ActorCriticAgent.selection": "Acting.selection",
    "ActorCriticAgent.target_actor": "CriticFit.target_actor",
    "ActorCriticAgent.test_network": "Acting.evaluation_network",
    "ClippedUpdate.objective": "OnPolicyAgent.objective",
    "DdpgAgent.actor_optimizer": "DeterministicImprovement.optimizer",
    "DdpgAgent.exploration": "Acting.exploration",
    "DdpgAgent.reduction": (
        "DeterministicValue.reduction (in the backup) and DeterministicImprovement.reduction (of the policy)"
    ),
    "GaussianActorNetwork.initial_log_std": "LogStd.initial",
    "GaussianActorNetwork.log_std_bounds": "LogStd.bounds",
    "GaussianActorNetwork.state_dependent_std": "LogStd.state_dependent",
    "Kfac.unfactored": "Kfac.cg_iterations; 0 refuses variables that belong to no dense layer",
    "KroneckerUpdate.jit_compile": "Acting.jit_compile",
    "KroneckerUpdate.objective": "OnPolicyAgent.objective",
    "MixtureActorNetwork.initial_log_std": "LogStd.initial",
    "MixtureActorNetwork.log_std_bounds": "LogStd.bounds",
    "MixtureActorNetwork.state_dependent_std": "LogStd.state_dependent",
    "NbpAgent.actor_optimizer": "DensityRatioImprovement.optimizer",
    "NbpAgent.classifier_network": "DensityRatioImprovement.classifier = DiscriminatorFit(network=…)",
    "NbpAgent.classifier_optimizer": "DiscriminatorFit.optimizer",
    "NbpAgent.classifier_steps": "DiscriminatorFit.num_steps",
    "NbpAgent.exploration": "Acting.exploration",
    "NbpAgent.reduction": (
        "DeterministicValue.reduction (in the backup) and DensityRatioImprovement.reduction (of the policy)"
    ),
    "ParpiAgent.actor_optimizer": "MatchingImprovement.optimizer",
    "ParpiAgent.backup": "ParpiAgent.soft_value",
    "ParpiAgent.classifier_network": "MatchingImprovement.classifier = DiscriminatorFit(network=…)",
    "ParpiAgent.discriminator_network": "DiscriminatorFit.network",
    "ParpiAgent.discriminator_optimizer": "DiscriminatorFit.optimizer",
    "ParpiAgent.discriminator_steps": "DiscriminatorFit.num_steps",
    "ParpiAgent.entropy_weight": "MatchingImprovement.entropy_weight",
    "ParpiAgent.exploration": "Acting.exploration",
    "ParpiAgent.matching": "MatchingImprovement.matching",
    "ParpiAgent.num_sampler_steps": "LangevinParticles.num_steps",
    "ParpiAgent.score_reduction": "LangevinParticles.reduction",
    "ParpiAgent.step_size": "LangevinParticles.step_size",
    "PpoAgent.clip_range": "ClippedUpdate.clip_range",
    "PpoAgent.max_kl": "ClippedUpdate.max_kl",
    "PpoAgent.policy_optimizer": "ClippedUpdate.optimizer",
    "S2acAgent.actor_optimizer": "SteinImprovement.optimizer",
    "S2acAgent.actor_reduction": "SteinImprovement.reduction",
    "S2acAgent.amortized_network": "SteinImprovement.amortized = AmortizedPolicy(network=…)",
    "S2acAgent.amortized_optimizer": "AmortizedPolicy.optimizer",
    "S2acAgent.batch_parts": "SteinImprovement.batch_parts",
    "S2acAgent.sampler": "SteinImprovement.sampler",
    "S2acAgent.score_reduction": "SteinImprovement.score_reduction",
    "S2acAgent.selection": "Acting.selection = ParticleSelection(…)",
    "S2acAgent.target_reduction": "ExpectedValue.reduction",
    "SacAgent.actor_optimizer": "ReparameterizedImprovement.optimizer",
    "SacAgent.actor_reduction": "ReparameterizedImprovement.reduction",
    "SacAgent.target_reduction": "ExpectedValue.reduction",
    "SacBackup": "ExpectedValue",
    "SacBackup.reduction": "ExpectedValue.reduction",
    "SqlAgent.actor_optimizer": "SvgdImprovement.optimizer",
    "SqlAgent.exploration": "Acting.exploration",
    "SqlAgent.kernel_space": "SvgdImprovement.space",
    "SqlAgent.num_particles": "SvgdImprovement.num_particles",
    "SqlAgent.proposal": "LogSumExpValue.proposal",
    "SqlAgent.reduction": (
        "LogSumExpValue.reduction (in the backup) and SvgdImprovement.reduction (in the score)"
    ),
    "SqlAgent.separate_particles": "SvgdImprovement.separate",
    "SqlAgent.value_samples": "LogSumExpValue.num_samples",
    "SqlBackup": "LogSumExpValue",
    "SqlBackup.num_samples": "LogSumExpValue.num_samples",
    "SqlBackup.proposal": "LogSumExpValue.proposal",
    "SqlBackup.reduction": "LogSumExpValue.reduction",
    "SteinSampler.floor": "0.002 always, the floor of the kernel's h that `expol_tf.samplers.svgd` has",
    "TrpoAgent.trust_region": "TrustRegionUpdate.trust_region",
    "TrustRegionUpdate.objective": "OnPolicyAgent.objective",
}


def renamed(name: str) -> str | None:
    """Returns "OLD is now NEW." for a name in the table, else None.

    Args:
      name: "Class.argument" or "Class", as in Python or as gin writes it, with a scope and the module:
        "scope/expol_tf.Class.argument".
    """
    old = name.rsplit("/", 1)[-1].removeprefix("expol_tf.")
    return f"{old} is now {RENAMED[old]}." if old in RENAMED else None


def answers_renamed(cls: type[T]) -> type[T]:
    """Decorates a class whose constructor lost arguments: it refuses their old names with the new ones.

    The decorator stands beneath `gin.configurable`, above `dataclass`. An argument that `RENAMED` has under
    the name of the class, or of a subclass that inherits the constructor, raises a `ConfigurationError`; any
    other unknown one stays Python's TypeError.
    """
    construct = cls.__init__
    signature = inspect.signature(construct)

    @functools.wraps(construct)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in signature.parameters:
                for owner in type(self).__mro__:
                    answer = renamed(f"{owner.__name__}.{name}")
                    if answer is not None:
                        raise ConfigurationError(answer)
        construct(self, *args, **kwargs)

    # gin looks at this attribute, not through the wrapper, for the names of positional arguments.
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls

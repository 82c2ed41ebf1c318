"""Names of earlier versions, and errors that say what replaces them, in gin and in Python alike.

`RENAMED` has an entry for each argument that a public class or function lost, under the name that users
wrote, and `MOVED` one for each module, and for each name that a package exported:

```python
RENAMED = {"SqlAgent.num_value_samples": "LogSumExpValue.num_samples"}
MOVED = {"expol_tf.seeding": "expol_tf.random"}
```
"""

from __future__ import annotations

from typing import TypeVar

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
    "Backup": "SoftValue",
    "ClippedUpdate.objective": "OnPolicyAgent.objective",
    "Companion.improvement": "Companion.loss",
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
    "PolicyBatch.entropy_scale": "PolicyObjective.scaled(entropy_scale), as the objective holds the scale",
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
    "svgd.leave_one_out": "False always, as with M − 1 in place of M the change was the derivative of no map",
}


def _kept(old: str, new: str, names: str) -> dict[str, str]:
    """Returns entries for names that another package has now, under the same names."""
    return {f"{old}.{name}": f"{new}.{name}" for name in names.split()}


# Old module, or name that a package exported → what completes the sentence "OLD is now …".
MOVED: dict[str, str] = {
    **_kept("expol_tf", "expol_tf.cli", "paths programs versions"),
    **_kept("expol_tf", "expol_tf.configuration", "gin_syntax"),
    "expol_tf._resources": "expol_tf.configuration.resources",
    "expol_tf.generators": "expol_tf.random",
    "expol_tf.randomness": "expol_tf.random",
    "expol_tf.seeding": "expol_tf.random",
    "expol_tf.agents.Backup": "expol_tf.agents.SoftValue",
    "expol_tf.agents.SacBackup": "expol_tf.agents.ExpectedValue",
    "expol_tf.agents.SqlBackup": "expol_tf.agents.LogSumExpValue",
    "expol_tf.agents.alternatives": "expol_tf.agents.policy_checks",
    "expol_tf.agents.backups": "expol_tf.agents.soft_values",
    "expol_tf.agents.exploration": "expol_tf.agents.acting",
    "expol_tf.agents.learner_strategy": "expol_tf.replicas",
    "expol_tf.agents.off_policy_checks": "expol_tf.agents.policy_checks",
    "expol_tf.agents.off_policy_parts": "expol_tf.agents, which exports all of its classes",
    "expol_tf.agents.policy_batch": "expol_tf.agents.policy_update",
    "expol_tf.agents.policy_objective": "expol_tf.agents.policy_update",
    "expol_tf.agents.rollout": "expol_tf.agents.experience",
    "expol_tf.agents.target_update": "expol_tf.agents.critic_fit",
    "expol_tf.agents.transitions": "expol_tf.agents.experience",
    "expol_tf.analysis": "expol_tf.reports (statistics), expol_tf.diagnostics and expol_tf.papers",
    **_kept(
        "expol_tf.analysis",
        "expol_tf.reports",
        "aggregate aggregate_plots comparison curve_plots curves normalization page peer_curves recorded "
        "report runs study style tables Report Run aggregate_metrics bootstrap_band find_runs "
        "improvement_probabilities performance_profiles quantile_curve read_peer_curves sample_efficiency "
        "smoothed_returns write_report",
    ),
    **_kept(
        "expol_tf.analysis",
        "expol_tf.diagnostics",
        "densities sample_entropy smoothness SoftOptimum compare_densities episode_numbers rollouts "
        "soft_value_iteration",
    ),
    **_kept("expol_tf.analysis", "expol_tf.papers", "figures FIGURES Figure RunOptions make_figure"),
    "expol_tf.analysis.bandits": "expol_tf.papers.bandits.bandits",
    "expol_tf.analysis.command_line": "expol_tf.cli.commands.report",
    "expol_tf.analysis.entropy_drawings": "expol_tf.papers.entropy.drawings",
    "expol_tf.analysis.entropy_evaluation": "expol_tf.papers.entropy.evaluation",
    "expol_tf.analysis.entropy_targets": "expol_tf.papers.entropy.targets",
    "expol_tf.analysis.figure_drawings": "expol_tf.papers.drawings, and a module drawings for each figure",
    "expol_tf.analysis.figure_progress": "expol_tf.runs.Progress",
    "expol_tf.analysis.figures_command": "expol_tf.cli.commands.figures",
    "expol_tf.analysis.kl_ball": "expol_tf.papers.kl_ball.kl_ball",
    "expol_tf.analysis.multi_goal": "expol_tf.papers.multi_goal.examination",
    "expol_tf.analysis.multi_goal_drawings": "expol_tf.papers.multi_goal.drawings",
    "expol_tf.analysis.multi_goal_episodes": "expol_tf.diagnostics.goal_episodes",
    "expol_tf.analysis.multi_goal_optima": "expol_tf.papers.multi_goal.optima",
    "expol_tf.analysis.multi_goal_oracle": "expol_tf.diagnostics.soft_value_oracle",
    "expol_tf.analysis.multi_goal_table": "expol_tf.papers.multi_goal.table",
    "expol_tf.analysis.multi_goal_trends": "expol_tf.papers.multi_goal.trends",
    "expol_tf.analysis.quantiles": "expol_tf.reports.curves",
    "expol_tf.bijectors.box_middle_and_half": "expol_tf.bijectors.ActionBox.of",
    "expol_tf.distributed": "expol_tf.sweeps",
    **_kept(
        "expol_tf.distributed",
        "expol_tf.sweeps",
        "sweep CheckedRun LogUniform Sweep SweepResult SweepRun Uniform check_runs plan_sweep read_sweep "
        "run_sweep",
    ),
    "expol_tf.distributed.sweep_check": "expol_tf.sweeps.check",
    "expol_tf.distributed.sweep_command": "expol_tf.cli.commands.sweep",
    "expol_tf.distributed.sweep_file": "expol_tf.sweeps.file",
    "expol_tf.distributed.sweep_launch": "expol_tf.sweeps.launch",
    "expol_tf.distributed.sweep_plan": "expol_tf.sweeps.plan",
    "expol_tf.distributed.sweep_process": "expol_tf.sweeps.process",
    "expol_tf.distributed.sweep_progress": "expol_tf.sweeps.progress",
    "expol_tf.distributed.sweep_ray": "expol_tf.sweeps.ray_pool",
    "expol_tf.distributed.sweep_runner": "expol_tf.sweeps.runner",
    "expol_tf.distributed.sweep_table": "expol_tf.sweeps.table",
    **_kept(
        "expol_tf.environments",
        "expol_tf.environments.backends",
        "array_backend envpool_backend mujoco_backend sync_backend",
    ),
    "expol_tf.environments.rendering": "VectorEnvironment.render",
    "expol_tf.environments.seeds": "expol_tf.random",
    "expol_tf.environments.step_arrays": "expol_tf.environments.backends.backend",
    "expol_tf.objectives.action_box": "expol_tf.bijectors.action_box",
    "expol_tf.objectives.latent": "expol_tf.distributions",
    "expol_tf.objectives.latent_and_squash": "expol_tf.distributions.latent_and_squash",
    "expol_tf.optimizers.kfac_capture": "expol_tf.optimizers.kfac.capture",
    "expol_tf.optimizers.kfac_factors": "expol_tf.optimizers.kfac.factors",
    "expol_tf.optimizers.kfac_plan": "expol_tf.optimizers.kfac.plan",
    "expol_tf.optimizers.kfac_regression": "expol_tf.optimizers.kfac.regression",
    "expol_tf.samplers.noise": "expol_tf.random",
    **_kept("expol_tf.training", "expol_tf.configuration", "call_configuration configuration gin_registry"),
    **_kept(
        "expol_tf.training",
        "expol_tf.runs",
        "atomic_files environment_record learning_curve progress run_directory",
    ),
    **_kept(
        "expol_tf.training",
        "expol_tf.training.runners",
        "episodes iteration off_policy_runner on_policy_runner replay",
    ),
    "expol_tf.training.interruption": "expol_tf.interruption",
    "expol_tf.training.command_line": "expol_tf.cli.commands.train and expol_tf.cli.commands.evaluate",
    "expol_tf.training.metrics": "expol_tf.runs.tables",
    "expol_tf.training.replaced_parts": "Configuration.without_replaced in expol_tf.configuration",
}


# Arguments that something never had, though users look for them there: what to say.
ELSEWHERE: dict[str, str] = {
    "OffPolicyRunner.reward_normalizer": (
        "OffPolicyRunner has no reward_normalizer: a replay holds rewards of all times, and a scale that "
        "moves would give old and new ones other values. Scale the task's rewards by a fixed number, in a "
        "wrapper such as gymnasium.wrappers.TransformReward, or take an on-policy algorithm, whose "
        "OnPolicyRunner has one."
    ),
    "train.reward_normalizer": (
        "train has no reward_normalizer, as rewards are scaled by the runner of on-policy agents. Give "
        "runner=functools.partial(OnPolicyRunner, reward_normalizer=RewardNormalizer()); in gin, "
        "OnPolicyRunner.reward_normalizer = @RewardNormalizer()."
    ),
}


def renamed(name: str) -> str | None:
    """Returns "OLD is now NEW." for a name in the table, what is said of one in `ELSEWHERE`, else None.

    Args:
      name: "Class.argument" or "Class", as in Python or as gin writes it, with a scope and the module:
        "scope/expol_tf.Class.argument".
    """
    old = name.rsplit("/", 1)[-1].removeprefix("expol_tf.")
    return f"{old} is now {RENAMED[old]}." if old in RENAMED else ELSEWHERE.get(old)


def moved(name: str) -> str | None:
    """Returns "OLD is now NEW." for a module, or a package's name, that is gone, else None; see `MOVED`.

    Args:
      name: As in Python, in full: "expol_tf.analysis.report". A name below one in the table has its answer.
    """
    while name and name not in MOVED:
        name = name.rpartition(".")[0]
    return f"{name} is now {MOVED[name]}." if name else None

"""Every bijector, policy, agent and environment: a new member is tested by being listed here."""

from __future__ import annotations

import functools

import gymnasium
import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf.agents import (
    AcktrAgent,
    Acting,
    AmortizedPolicy,
    ClippedUpdate,
    DdpgAgent,
    DensityRatioImprovement,
    DiscriminatorFit,
    FixedTemperature,
    GaussianNoise,
    KroneckerUpdate,
    LangevinParticles,
    LogSumExpValue,
    MatchingImprovement,
    NbpAgent,
    ParpiAgent,
    ParticleSelection,
    PpoAgent,
    S2acAgent,
    SacAgent,
    SqlAgent,
    SteinImprovement,
    SvgdImprovement,
    TrpoAgent,
)
from expol_tf.bijectors import (
    AffineConditioner,
    AffineCoupling,
    ElementwiseSpline,
    Squash,
    flow_chain,
    make_transformations,
    to_action_units,
)
from expol_tf.distributions import SteinSampler
from expol_tf.environments import NoisyObservation, load
from expol_tf.networks import (
    CriticNetwork,
    DeterministicActorNetwork,
    DiscriminatorNetwork,
    FixedGaussianActorNetwork,
    FlowActorNetwork,
    GaussianActorNetwork,
    LogStd,
    MixtureActorNetwork,
    NoisyActorNetwork,
    ObservationNormalizer,
    SamplingActorNetwork,
    SteinActorNetwork,
    ValueNetwork,
)
from expol_tf.objectives import jsd, wasserstein
from expol_tf.optimizers import Kfac, KfacRegression, MinibatchAdam, MinibatchRegression
from tests.environments.tasks import make_with_both_ends

TANH_CONDITIONER = functools.partial(AffineConditioner, activation="tanh", layer_norm=False)
BOUNDED_CONDITIONER = functools.partial(AffineConditioner, log_scale_bound=1.5)
BATCH = 4


def box(size, low=-1.0, high=1.0, dtype=tf.float32):
    return tensor_spec.BoundedTensorSpec([size], dtype, low, high, "action")


def observations(size=3):
    return tensor_spec.TensorSpec([size], tf.float32, "observation")


def make_flow(event_size, dtype, num_transformations=1, conditioner=AffineConditioner, context_size=0):
    """A flow with a state shift and perhaps a context, each of batch shape [BATCH]."""
    layers = make_transformations(event_size, num_transformations, conditioner, context_size, dtype)
    generator = np.random.default_rng(event_size)
    shift = tf.constant(generator.standard_normal([BATCH, event_size]), dtype)
    context = tf.constant(generator.standard_normal([BATCH, context_size]), dtype) if context_size else None
    return flow_chain(layers, event_size, shift, context, tf.as_dtype(dtype))


def make_coupling(event_size, dtype, transformed="last", conditioner=AffineConditioner):
    first = -(-event_size // 2)
    sizes = (first, event_size - first) if transformed == "last" else (event_size - first, first)
    return AffineCoupling(conditioner(*sizes, dtype=dtype), event_size, transformed, tf.as_dtype(dtype))


# Name: (function of (A, dtype) that makes the bijector, A, batch shape).
BIJECTORS = {
    "coupling_last": (make_coupling, 3, ()),
    "coupling_first": (functools.partial(make_coupling, transformed="first"), 3, ()),
    "coupling_tanh_conditioner": (
        functools.partial(make_coupling, conditioner=TANH_CONDITIONER),
        2,
        (),
    ),
    "coupling_bounded_scale": (functools.partial(make_coupling, conditioner=BOUNDED_CONDITIONER), 3, ()),
    "spline": (lambda size, dtype: ElementwiseSpline(size, dtype=dtype).bijector(), 3, ()),
    "squash": (lambda size, dtype: Squash(box(size, -0.4, 1.0), tf.as_dtype(dtype)), 3, ()),
    "to_action_units": (lambda size, dtype: to_action_units(box(size, -0.4, 1.0), tf.as_dtype(dtype)), 3, ()),
    "flow_of_one_component": (make_flow, 1, (BATCH,)),
    "flow_of_two": (functools.partial(make_flow, num_transformations=2), 2, (BATCH,)),
    "flow_of_three_with_context": (functools.partial(make_flow, context_size=2), 3, (BATCH,)),
    "flow_of_six": (make_flow, 6, (BATCH,)),
    "flow_of_seventeen": (make_flow, 17, (BATCH,)),
    "flow_without_transformations": (functools.partial(make_flow, num_transformations=0), 3, (BATCH,)),
}

_FLOW = functools.partial(FlowActorNetwork, num_transformations=2, hidden_units=(8,))
_NOISY = functools.partial(NoisyActorNetwork, hidden_units=(8, 8))


def off_policy(cls, observation_spec, action_spec):
    """As SAC has them."""
    options = dict(hidden_units=(8,), squash=True, activation="relu", log_std=LogStd(state_dependent=True))
    return cls(observation_spec, action_spec, **options)


def stein(observation_spec, action_spec, **settings):
    """Particles from a learned Gaussian, steered by a critic of its own."""
    return SteinActorNetwork(
        off_policy(GaussianActorNetwork, observation_spec, action_spec),
        CriticNetwork(observation_spec, action_spec, (8,), activation="elu"),
        FixedTemperature(0.5),
        SteinSampler(**dict(num_particles=4, num_sampler_steps=2) | settings),
    )


# Name: (function of (observation_spec, action_spec) that makes the network, A).
POLICIES = {
    "gaussian": (GaussianActorNetwork, 2),
    "gaussian_squashed": (functools.partial(GaussianActorNetwork, squash=True), 2),
    "mixture": (MixtureActorNetwork, 2),
    "mixture_squashed": (functools.partial(MixtureActorNetwork, squash=True), 1),
    "flow": (functools.partial(_FLOW, num_transformations=1, conditioner=TANH_CONDITIONER), 2),
    "flow_squashed": (functools.partial(_FLOW, squash=True), 3),
    "flow_of_one_component_squashed": (functools.partial(_FLOW, num_transformations=1, squash=True), 1),
    "flow_seeing_observations": (
        functools.partial(
            _FLOW, num_transformations=1, condition_on_observation=True, conditioner=BOUNDED_CONDITIONER
        ),
        2,
    ),
    "flow_without_transformations": (functools.partial(_FLOW, num_transformations=0), 2),
    "gaussian_with_a_deviation_of_the_state": (functools.partial(off_policy, GaussianActorNetwork), 2),
    "mixture_with_deviations_of_the_state": (functools.partial(off_policy, MixtureActorNetwork), 2),
    "deterministic": (functools.partial(DeterministicActorNetwork, hidden_units=(8,)), 3),
    "sampling": (functools.partial(SamplingActorNetwork, hidden_units=(8, 8)), 3),
    "sampling_with_few_noises": (
        functools.partial(SamplingActorNetwork, hidden_units=(8,), num_noises=20),
        2,
    ),
    "sampling_with_much_noise": (functools.partial(SamplingActorNetwork, hidden_units=(8,), noise_size=5), 1),
    "noisy": (_NOISY, 3),
    "noisy_per_batch": (functools.partial(_NOISY, noise="per_batch"), 2),
    "noisy_per_episode": (functools.partial(_NOISY, noise="per_episode", layer_norm=False), 1),
    "noisy_without_dropout": (functools.partial(_NOISY, dropout=0.0, activation="elu"), 2),
    "stein": (stein, 3),
    "stein_with_spares_and_determinants": (
        functools.partial(stein, num_spares=2, range=1.0, density_change="logdet"),
        2,
    ),
}


def make_agent(cls, actor_network, **arguments):
    action_spec = box(2, [-0.4, 0.0], [0.4, 1.0])
    return cls(
        ts.time_step_spec(observations()),
        action_spec,
        actor_network(observations(), action_spec, hidden_units=(8,)),
        ValueNetwork(observations(), hidden_units=(8,)),
        ObservationNormalizer(observations()),
        acting=Acting(seed=0, jit_compile=False),  # Compiling takes longer than all that is checked.
        **arguments,
    )


def make_trpo(actor_network, **arguments):
    value_fit = MinibatchRegression(epochs=2, minibatch_size=8)
    return make_agent(TrpoAgent, actor_network, value_fit=value_fit, **arguments)


def make_ppo(actor_network, max_kl=None, **arguments):
    value_fit = MinibatchRegression(epochs=2, minibatch_size=8)
    update = ClippedUpdate(MinibatchAdam(1e-3, 3, 8, max_gradient_norm=0.5), max_kl=max_kl)
    return make_agent(PpoAgent, actor_network, value_fit=value_fit, policy_update=update, **arguments)


def make_acktr(actor_network, **arguments):
    # Decomposed after every other update only, so that restored agents need the decompositions too.
    update = KroneckerUpdate(Kfac(eigen_interval=2, jit_compile=False))
    value_fit = KfacRegression(Kfac(1e-2, 0.1, 0.3, eigen_interval=2, jit_compile=False), updates=3)
    return make_agent(AcktrAgent, actor_network, policy_update=update, value_fit=value_fit, **arguments)


def make_off_policy(
    cls, actor_network, normalize=False, hidden_units=(8,), exploration=None, selection=None, **arguments
):
    action_spec = box(2, [-0.4, 0.0], [0.4, 1.0])
    layers = {} if hidden_units is None else {"hidden_units": hidden_units}
    return cls(
        ts.time_step_spec(observations()),
        action_spec,
        actor_network(observations(), action_spec, **layers),
        CriticNetwork(observations(), action_spec, hidden_units=(8,)),
        ObservationNormalizer(observations()) if normalize else None,
        acting=Acting(exploration, selection, seed=0, jit_compile=False),
        **arguments,
    )


_SQUASHED_GAUSSIAN = functools.partial(GaussianActorNetwork, squash=True)
_SQUASHED_FLOW = functools.partial(FlowActorNetwork, num_transformations=1, squash=True)

AGENTS = {
    f"{algorithm}_{policy}": functools.partial(make, network, **arguments)
    for algorithm, make in (("trpo", make_trpo), ("ppo", make_ppo), ("acktr", make_acktr))
    for policy, network, arguments in (
        ("gaussian", GaussianActorNetwork, {}),
        ("squashed_gaussian_with_entropy", _SQUASHED_GAUSSIAN, {"entropy_weight": 0.1}),
        ("mixture", MixtureActorNetwork, {}),
        ("squashed_flow", _SQUASHED_FLOW, {}),
    )
}
AGENTS |= {
    "sac_gaussian": functools.partial(
        make_off_policy,
        SacAgent,
        functools.partial(GaussianActorNetwork, squash=True, log_std=LogStd(state_dependent=True)),
        normalize=True,
    ),
    "sac_flow": functools.partial(
        make_off_policy, SacAgent, _SQUASHED_FLOW, temperature=FixedTemperature(0.2)
    ),
    "sac_mixture": functools.partial(
        make_off_policy, SacAgent, functools.partial(MixtureActorNetwork, squash=True)
    ),
    "sql_sampling": functools.partial(
        make_off_policy,
        SqlAgent,
        SamplingActorNetwork,
        soft_value=LogSumExpValue(num_samples=5),
        improvement=SvgdImprovement(num_particles=4),
    ),
    "sql_gaussian_mixture_proposal": functools.partial(
        make_off_policy,
        SqlAgent,
        _SQUASHED_GAUSSIAN,
        soft_value=LogSumExpValue(proposal="mixture"),
        exploration=GaussianNoise(0.1),
    ),
    "ddpg": functools.partial(make_off_policy, DdpgAgent, DeterministicActorNetwork),
    "s2ac": functools.partial(
        make_off_policy,
        S2acAgent,
        _SQUASHED_GAUSSIAN,
        normalize=True,
        improvement=SteinImprovement(SteinSampler(4, 2)),
    ),
    "s2ac_fixed_init": functools.partial(
        make_off_policy,
        S2acAgent,
        FixedGaussianActorNetwork,
        hidden_units=None,
        improvement=SteinImprovement(SteinSampler(4, 3, num_spares=1, range=1.5), score_reduction="min"),
        selection=ParticleSelection("softmax"),
    ),
    "s2ac_amortized": functools.partial(
        make_off_policy,
        S2acAgent,
        _SQUASHED_GAUSSIAN,
        improvement=SteinImprovement(
            SteinSampler(4, 2, step_limit=None),
            amortized=AmortizedPolicy(functools.partial(SamplingActorNetwork, hidden_units=(8,))),
            batch_parts=1,
        ),
    ),
}
_SMALL_DISCRIMINATOR = functools.partial(DiscriminatorNetwork, hidden_units=(8,))
_SMALL_SPECTRAL = DiscriminatorFit(functools.partial(_SMALL_DISCRIMINATOR, spectral_normalization=True))
AGENTS |= {
    "parpi_wasserstein": functools.partial(
        make_off_policy,
        ParpiAgent,
        _SQUASHED_GAUSSIAN,
        normalize=True,
        improvement=MatchingImprovement(discriminator=_SMALL_SPECTRAL),
    ),
    "parpi_jsd_flow_with_entropy": functools.partial(
        make_off_policy,
        ParpiAgent,
        _SQUASHED_FLOW,
        soft_value=LogSumExpValue(num_samples=5),
        improvement=MatchingImprovement(
            jsd(), discriminator=DiscriminatorFit(_SMALL_DISCRIMINATOR, num_steps=2), entropy_weight=0.1
        ),
    ),
    "parpi_sampling": functools.partial(
        make_off_policy,
        ParpiAgent,
        SamplingActorNetwork,
        soft_value=LogSumExpValue(num_samples=5),
        improvement=MatchingImprovement(
            particles=LangevinParticles(num_steps=2), discriminator=_SMALL_SPECTRAL, entropy_weight=0.0
        ),
        temperature=FixedTemperature(0.5),
    ),
    "parpi_gradient_penalty": functools.partial(
        make_off_policy,
        ParpiAgent,
        _SQUASHED_GAUSSIAN,
        improvement=MatchingImprovement(
            wasserstein(gradient_penalty=1.0),
            # Smooth, so that the penalty's gradient is, too.
            discriminator=DiscriminatorFit(functools.partial(_SMALL_DISCRIMINATOR, activation="tanh")),
        ),
    ),
    "nbp_per_episode": functools.partial(
        make_off_policy,
        NbpAgent,
        functools.partial(NoisyActorNetwork, noise="per_episode"),
        temperature=FixedTemperature(0.5),
        improvement=DensityRatioImprovement(classifier=DiscriminatorFit(_SMALL_DISCRIMINATOR)),
    ),
    "nbp_without_entropy": functools.partial(make_off_policy, NbpAgent, NoisyActorNetwork),
}
AGENTS["ppo_with_early_stop"] = functools.partial(make_ppo, GaussianActorNetwork, max_kl=1e-3)

# Name: function of a seed that makes the environment.
ENVIRONMENTS = {
    "loop": functools.partial(load, make_with_both_ends, 3),
    "wrapped": lambda seed: load(make_with_both_ends, 2, seed, wrappers=(NoisyObservation,)),
    "instance": lambda seed: load(gymnasium.make("Pendulum-v1", max_episode_steps=20), 1, seed),
    "mujoco": lambda seed: load("Hopper-v5", 2, seed),
    "gaussian_bandit": lambda seed: load("expol/GaussianBandit-v0", 3, seed),
    "bimodal_bandit": lambda seed: load("expol/BimodalBandit-v0", 2, seed),
    "multi_goal": lambda seed: load("expol/MultiGoal-v0", 3, seed),
    "asymmetric_multi_goal": lambda seed: load(
        "expol/AsymmetricMultiGoal-v0", 2, seed, make_kwargs={"obstacle": True, "max_episode_steps": 9}
    ),
}

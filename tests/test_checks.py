"""Numbers out of their range and misspelt attributes are refused by name, in every constructor."""

from __future__ import annotations

import functools
import inspect
import math

import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import time_step as ts

from expol_tf import agents, bijectors, distributions, networks, objectives, optimizers, samplers
from expol_tf.checks import refuse_misspelt_attributes, require_number
from expol_tf.errors import ConfigurationError

NAN, INFINITY = math.nan, math.inf
OBSERVATION = tensor_spec.TensorSpec([3], tf.float32)
ACTION = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)


@pytest.mark.parametrize(
    ("rule", "kept", "broken"),
    [
        ("finite", (-1.0, 0, 2.5), (NAN, INFINITY, -INFINITY)),
        ("positive", (1e-9, 3), (0, -1.0, NAN, INFINITY)),
        ("0 or more", (0, 2.0), (-1e-9, NAN, INFINITY)),
        ("1 or more", (1, 10**9), (0, 0.5, NAN, INFINITY)),
        ("between 0 and 1", (0.5,), (0, 1, NAN)),
        ("0 or more and less than 1", (0, 0.999), (1, -0.1, NAN)),
    ],
)
def test_rules(rule, kept, broken):
    for value in kept:
        require_number("x", value, rule)
    for value in broken:
        with pytest.raises(ConfigurationError, match=f"Part.x must be {rule}.*; got {value}. Take 3."):
            require_number("Part.x", value, rule, "Take 3.")


def test_a_tensor_passes_whatever_its_value():
    require_number("x", tf.constant(-1.0), "positive")
    require_number("x", tf.Variable(-1.0), "positive")


class Base:
    """Has settings, for subclasses."""

    requires: tuple = ()
    knows_density: bool = False
    declared: int

    def __init_subclass__(cls):
        refuse_misspelt_attributes(cls, Base)


@pytest.mark.parametrize(
    ("name", "meant"), [("require", "requires"), ("knows_densit", "knows_density"), ("declare", "declared")]
)
def test_a_misspelt_attribute_is_refused(name, meant):
    with pytest.raises(ConfigurationError, match=f"^Own.{name} must not .*; did you mean '{meant}'"):
        type("Own", (Base,), {name: ("log_prob",)})


def test_other_names_methods_and_annotated_fields_pass():
    class Own(Base):
        """Nothing in it is a misspelling."""

        requires = ("log_prob",)
        weight = 0.5
        _require = ()
        require: tuple = ()

        def knows_densit(self):
            return False

        @property
        def declare(self):
            return 1

    class Heir(Own):
        """A base class of a user's own counts too."""

        weight = 0.25

    assert Heir.weight == 0.25
    with pytest.raises(ConfigurationError, match="did you mean 'weight'"):
        type("Other", (Own,), {"weigh": 0.25})


@pytest.mark.parametrize(
    ("base", "name", "meant"),
    [
        (agents.SoftValue, "require", "requires"),
        (agents.ExpectedValue, "num_sample", "num_samples"),
        (agents.PolicyImprovement, "knows_densit", "knows_density"),
        (agents.PolicyImprovement, "optimiser", "optimizer"),
        (agents.CriticFit, "required", "requires"),
        (agents.Temperature, "need_log_prob", "needs_log_prob"),
        (agents.PolicyUpdate, "compiles_itsel", "compiles_itself"),
        (optimizers.Regression, "supports_replica", "supports_replicas"),
        (agents.ActorCriticAgent, "own_part", "own_parts"),
        (agents.PpoAgent, "default", "defaults"),
        (distributions.ImageDistribution, "declared_capabilitie", "declared_capabilities"),
    ],
)
def test_subclasses_of_the_library_s_classes_are_checked(base, name, meant):
    with pytest.raises(ConfigurationError, match=f"^Own.{name} must .*; did you mean '{meant}'"):
        type(base)("Own", (base,), {name: ("log_prob",), "__doc__": "Misspells."})


def gaussian():
    return networks.GaussianActorNetwork(OBSERVATION, ACTION, (4,), squash=True)


def standard_normal():
    return tfp.distributions.MultivariateNormalDiag(tf.zeros([2]), tf.ones([2]))


# What constructors need besides numbers, by the names of their arguments.
NEEDED = dict(
    observation_spec=lambda: OBSERVATION,
    action_spec=lambda: ACTION,
    time_step_spec=lambda: ts.time_step_spec(OBSERVATION),
    actor_network=gaussian,
    initial_network=gaussian,
    critic_network=lambda: networks.CriticNetwork(OBSERVATION, ACTION, (4,)),
    value_network=lambda: networks.ValueNetwork(OBSERVATION, (4,)),
    policy_update=agents.TrustRegionUpdate,
    temperature=lambda: agents.FixedTemperature(1.0),
    network=lambda: networks.SamplingActorNetwork,
    schedule=lambda: lambda step: 1.0,
    soft_value=agents.ExpectedValue,
    base=standard_normal,
    score=lambda: tf.negative,
    function=lambda: lambda context, noise: noise,
    context=lambda: tf.zeros([2]),
    location=lambda: tf.zeros([2]),
    event_size=lambda: 2,
    input_size=lambda: 2,
    output_size=lambda: 2,
    noise_size=lambda: 2,
    units=lambda: 2,
    conditioner=lambda: bijectors.AffineConditioner(1, 1),
)
PACKAGES = (agents, bijectors, distributions, networks, objectives, optimizers, samplers)


def constructors():
    for package in PACKAGES:
        for name in package.__all__:
            cls = getattr(package, name)
            if not inspect.isclass(cls) or issubclass(cls, tuple):
                continue
            for argument, parameter in inspect.signature(cls).parameters.items():
                kinds = f"{parameter.annotation}".replace(" ", "").split("|")
                if {"int", "float"} & set(kinds) and (name, argument) not in ANY_NUMBER:
                    yield pytest.param(cls, argument, id=f"{name}-{argument}")


# Seeds; what only the library calls; what is a whole number by its type and no more.
ANY_NUMBER = {
    ("KroneckerFactors", "inputs"),
    ("KroneckerFactors", "outputs"),
    ("PolicyAgent", "train_sequence_length"),
    ("Acting", "seed"),
    ("ActorPolicy", "seed"),
    ("AffineCoupling", "event_size"),
    ("ImplicitDistribution", "event_size"),
}


@pytest.mark.parametrize(("cls", "argument"), list(constructors()))
def test_no_constructor_takes_nan(cls, argument):
    needed = {
        name: NEEDED[name]()
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty and name in NEEDED and name != argument
    }
    with pytest.raises(ConfigurationError, match=rf"\b{argument}\b.*; got .*nan"):
        cls(**needed, **{argument: NAN})


SETS = tf.zeros([5, 2])
SAMPLERS = dict(particles=SETS, score_fn=tf.negative, num_steps=2, step_size=0.1)
SVGD_STEP = functools.partial(samplers.svgd_step, SETS, SETS, 0.1)
FRAMES = (tf.zeros([4]), tf.zeros([4]), tf.zeros([4]), tf.fill([4], True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: agents.ReparameterizedImprovement(num_samples=0), "Reparam.*num_samples must be 1 or more"),
        (lambda: agents.SvgdImprovement(bandwidth="meen"), "SvgdImprovement.bandwidth must be one of"),
        (lambda: agents.SvgdImprovement(bandwidth=-1), "SvgdImprovement.bandwidth must be positive"),
        (lambda: agents.SvgdImprovement(num_particles=1, floor=-1), "SvgdImprovement.floor must be positive"),
        (lambda: agents.SvgdImprovement(num_particles=0), "num_particles must be 1 or more"),
        (lambda: agents.FixedTemperature(INFINITY), "temperature must be 0 or more and finite; got inf"),
        (lambda: agents.LearnedTemperature(INFINITY), "initial_temperature must be positive and finite"),
        (lambda: agents.LearnedTemperature(target_entropy=-INFINITY), "target_entropy must be finite"),
        (
            lambda: agents.KroneckerUpdate(max_learning_rate=INFINITY),
            "max_learning_rate must be positive and finite",
        ),
        (lambda: agents.GaussianNoise(INFINITY), "std must be 0 or more and finite"),
        (lambda: agents.SteinImprovement(batch_parts=0), "batch_parts must be 1 or more; got 0"),
        (lambda: optimizers.Adam(INFINITY), "learning_rate must be 0 or more and finite"),
        (lambda: optimizers.Adam(beta_1=1.0), "beta_1 must be 0 or more and less than 1"),
        (lambda: optimizers.TrustRegion(cg_tolerance=-1.0), "cg_tolerance must be 0 or more"),
        (
            lambda: networks.SamplingActorNetwork(OBSERVATION, ACTION, (0, 4)),
            "hidden_units must be 1 or more",
        ),
        (lambda: bijectors.ElementwiseSpline(num_bins=1000), "num_bins must leave room"),
        (lambda: objectives.clipped_surrogate(*FRAMES, clip_range=0.0), "clip_range must be positive; got 0"),
        (lambda: objectives.clip_fraction(*FRAMES[:2], FRAMES[3], -1.0), "clip_range must be positive"),
        (lambda: samplers.svgd(**SAMPLERS | dict(step_size=0.0)), "step_size must be positive; got 0.0"),
        (lambda: samplers.svgd(**SAMPLERS, temperature=-1.0), "temperature must be 0 or more; got -1.0"),
        (lambda: samplers.svgd(**SAMPLERS | dict(num_steps=0), floor=0.0), "floor must be positive; got 0.0"),
        (lambda: samplers.svgd(**SAMPLERS | dict(num_steps=0), bandwidth="meen"), "bandwidth must be one of"),
        (
            lambda: samplers.svgd(**SAMPLERS | dict(num_steps=0), step_limit=1.0),
            "step_limit must be between 0",
        ),
        (
            lambda: samplers.svgd(**SAMPLERS, density_change="joint_trace", num_probes=NAN, seed=0),
            "num_probes must be .*; got nan",
        ),
        (lambda: SVGD_STEP(step_limit=NAN), "step_limit must be between 0 and 1; got nan"),
        (lambda: samplers.svgd_direction(SETS, SETS, -1.0), "temperature must be 0 or more"),
        (lambda: SVGD_STEP(temperature=NAN), "temperature must be 0 or more; got nan"),
        (lambda: samplers.langevin(**SAMPLERS | dict(step_size=-0.1), seed=0), "step_size must be positive"),
        (lambda: samplers.langevin(**SAMPLERS, temperature=-1.0, seed=0), "temperature must be 0 or more"),
        (lambda: samplers.hmc(**SAMPLERS | dict(step_size=0), seed=0), "step_size must be positive; got 0"),
        (lambda: samplers.hmc(**SAMPLERS, temperature=NAN, seed=0), "hmc.temperature must be positive"),
        (lambda: samplers.hmc(**SAMPLERS, num_leapfrog=0, seed=0), "num_leapfrog must be 1 or more"),
    ],
)
def test_values_out_of_range_are_refused_at_once(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_no_particles_move_in_zero_parts():
    arguments = (tf.zeros([4, 3]), None, None, tf.constant(1.0), tf.constant([1, 2]))
    for function in (objectives.soft_value_in_parts, objectives.improvement_in_parts):
        with pytest.raises(ConfigurationError, match="num_parts must be 1 or more; got 0"):
            function(None, 0, *arguments)

"""Wrong ranks and sizes are refused by the argument's name, before anything is broadcast."""

from __future__ import annotations

import functools
import inspect
import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from expol_tf import objectives, samplers
from expol_tf.bijectors import Squash
from expol_tf.errors import ConfigurationError
from expol_tf.shapes import require_shapes

tfd = tfp.distributions

BOX = tensor_spec.BoundedTensorSpec([2], tf.float32, -1.0, 1.0)
ROLLOUT = dict.fromkeys(("reward", "discount", "value", "next_value", "episode_end"), tf.zeros([4, 5]))
VALID, SEED = tf.fill([4], True), tf.constant([1, 2])
STATES, ACTIONS = tf.zeros([4, 3]), tf.zeros([4, 2])
INPUTS = dict(observation=STATES, temperature=tf.constant(0.5), seed=SEED)
FRAMES = dict(log_prob=tf.zeros([4]), old_log_prob=tf.zeros([4]), valid=VALID)
VALUES = dict(f_policy=tf.zeros([4]), f_target=tf.zeros([4]))
SCALARS = dict(step_size=tf.constant(0.1), temperature=tf.constant(1.0))
# Two sets of six particles each.
SETS = dict(particles=tf.random.stateless_normal([2, 6, 3], SEED), score=tf.ones([2, 6, 3]))


def policy(observation):
    latent = tfd.MultivariateNormalDiag(tf.zeros([len(observation), 2]), tf.ones([2]))
    return tfd.TransformedDistribution(latent, Squash(BOX))


def critic(observation, action):
    """Two critics, who do not care about states."""
    return tf.stack([-tf.reduce_sum(tf.square(action), axis=-1)] * 2, axis=-1)


def discriminator(observation, action):
    return tf.reduce_sum(action, axis=-1)


def with_networks(function, **settings):
    return functools.partial(function, policy=policy, critic=critic, **settings)


def gaussian_log_density(u):
    return -0.5 * tf.reduce_sum(tf.square(u), axis=-1)


def loss_of_discriminator(observation, policy_action, other_action, seed, valid):
    contrast = objectives.Contrast(policy_action, other_action, {})
    matching = objectives.wasserstein()
    return objectives.discriminator_loss(discriminator, observation, contrast, matching, seed, valid, box=BOX)


def matching_cases(**made):
    """The functions of a matching but `divergence`, which is elementwise and takes any rank."""
    for name, matching in made.items():
        yield f"{name}.value", (matching.value, VALUES)
        yield f"{name}.policy_loss", (matching.policy_loss, {"f_policy": VALUES["f_policy"]})


def svgd_step_with_density(directions, products, **tensors):
    curvature = samplers.Curvature(directions, products)
    return samplers.svgd_step(**tensors, density_change="joint_trace", curvature=curvature)


LANGEVIN = functools.partial(samplers.langevin, score_fn=tf.negative, num_steps=2, noise=False)
MATCHED = functools.partial(objectives.matching_improvement, matching=objectives.jsd())
IMPROVEMENT = with_networks(objectives.reparameterized_improvement, box=BOX)
ESTIMATION = objectives.AdvantageEstimation()

# The public name, and a method where an object is what it makes: a function and its tensors.
OBJECTIVES = {
    "generalized_advantages": (
        functools.partial(objectives.generalized_advantages, gamma=0.9, gae_lambda=0.9),
        ROLLOUT,
    ),
    "AdvantageEstimation.estimate": (ESTIMATION.estimate, ROLLOUT),
    "AdvantageEstimation.scale": (ESTIMATION.scale, dict(advantages=tf.zeros([4]), valid=VALID)),
    "scale_advantages": (
        functools.partial(objectives.scale_advantages, scaling="center"),
        dict(advantages=tf.zeros([4]), valid=VALID),
    ),
    "without_rounding": (
        functools.partial(objectives.without_rounding, gamma=0.9, gae_lambda=0.9),
        dict(advantages=tf.zeros([2, 3]), valid=tf.fill([2, 3], True), size=tf.zeros([2, 3])),
    ),
    "AdvantageEstimation.without_rounding": (
        ESTIMATION.without_rounding,
        dict(advantages=tf.zeros([2, 3]), valid=tf.fill([2, 3], True), size=tf.zeros([2, 3])),
    ),
    "masked_mean": (objectives.masked_mean, dict(values=tf.zeros([4]), valid=VALID)),
    "masked_variance": (objectives.masked_variance, dict(values=tf.zeros([4]), valid=VALID)),
    "explained_variance": (
        objectives.explained_variance,
        dict(prediction=tf.zeros([4]), target=tf.zeros([4]), valid=VALID),
    ),
    "importance_surrogate": (objectives.importance_surrogate, FRAMES | dict(advantage=tf.zeros([4]))),
    "clipped_surrogate": (objectives.clipped_surrogate, FRAMES | dict(advantage=tf.zeros([4]))),
    "clip_fraction": (objectives.clip_fraction, FRAMES),
    "reduce_critics": (objectives.reduce_critics, dict(q=tf.zeros([2]))),
    "expected_soft_value": (with_networks(objectives.expected_soft_value, box=BOX), INPUTS),
    "sampled_soft_value": (with_networks(objectives.sampled_soft_value, box=BOX), INPUTS),
    "deterministic_value": (with_networks(objectives.deterministic_value), INPUTS),
    "soft_value_in_parts": (
        with_networks(
            objectives.soft_value_in_parts,
            soft_value=functools.partial(objectives.expected_soft_value, box=BOX),
            num_parts=2,
        ),
        INPUTS,
    ),
    "reparameterized_improvement": (IMPROVEMENT, INPUTS | dict(valid=VALID)),
    "improvement_in_parts": (
        with_networks(
            objectives.improvement_in_parts,
            improvement=functools.partial(objectives.reparameterized_improvement, box=BOX),
            num_parts=2,
        ),
        INPUTS | dict(valid=VALID),
    ),
    "deterministic_improvement": (
        with_networks(objectives.deterministic_improvement),
        INPUTS | dict(valid=VALID),
    ),
    "amortized_svgd": (
        with_networks(objectives.amortized_svgd, box=BOX, direction=samplers.svgd_direction),
        INPUTS | dict(valid=VALID),
    ),
    "matching_improvement": (
        with_networks(MATCHED, box=BOX, discriminator=discriminator),
        INPUTS | dict(valid=VALID),
    ),
    "density_ratio_improvement": (
        with_networks(objectives.density_ratio_improvement, box=BOX, log_ratio=discriminator),
        INPUTS | dict(valid=VALID),
    ),
    "langevin_particles": (
        with_networks(objectives.langevin_particles, box=BOX, langevin=samplers.langevin),
        INPUTS | dict(valid=VALID),
    ),
    "uniform_actions": (with_networks(objectives.uniform_actions, box=BOX), INPUTS | dict(valid=VALID)),
    "discriminator_loss": (
        loss_of_discriminator,
        dict(observation=STATES, policy_action=ACTIONS, other_action=ACTIONS, seed=SEED, valid=VALID),
    ),
    "gradient_penalty": (
        functools.partial(objectives.gradient_penalty, discriminator, box=BOX),
        dict(observation=STATES, action=ACTIONS, other=ACTIONS, seed=SEED),
    ),
    **dict(
        matching_cases(
            jsd=objectives.jsd(),
            reverse_kl=objectives.reverse_kl(),
            wasserstein=objectives.wasserstein(),
            f_divergence=objectives.f_divergence(lambda t: t + t**2 / 4),
        )
    ),
}
OBJECTIVES_WITHOUT = {
    "SCALINGS": "names",
    "Contrast": "a tuple that objectives return; discriminator_loss checks what it is given",
    "Critic": "a type",
    "DiscriminatorFunction": "a type",
    "Improvement": "a tuple that objectives return",
    "Matching": "a tuple of functions; those that the library makes are called above",
    "Policy": "a type",
    "ScaledAdvantages": "a tuple that objectives return",
    "require_particles": "takes a number and a name",
    "require_reduction": "takes names",
    "require_samples": "takes a number and a name",
}
SAMPLERS = {
    "squared_distances": (
        samplers.squared_distances,
        dict(x=SETS["particles"][0], y=SETS["particles"][1]),
    ),
    "rbf_kernel": (
        samplers.rbf_kernel,
        dict(x=SETS["particles"][0], y=SETS["particles"][1], bandwidth=tf.ones([])),
    ),
    "kernel_bandwidth": (samplers.kernel_bandwidth, dict(distances=tf.ones([6, 6]))),
    "svgd_direction": (
        samplers.svgd_direction,
        SETS | dict(temperature=tf.constant(1.0), moved=SETS["particles"]),
    ),
    "svgd": (
        functools.partial(samplers.svgd, score_fn=tf.negative, num_steps=2),
        SCALARS | dict(particles=SETS["particles"][0]),
    ),
    "svgd_step": (samplers.svgd_step, SCALARS | SETS),
    "svgd_step.curvature": (
        svgd_step_with_density,
        SCALARS | SETS | dict(directions=tf.ones([2, 4, 3]), products=tf.ones([2, 4, 6, 3])),
    ),
    "svgd_density_change": (
        functools.partial(samplers.svgd_density_change, density_change="printed"),
        SCALARS | SETS | dict(factor=tf.ones([2])),
    ),
    "svgd_jacobian": (
        samplers.svgd_jacobian,
        SCALARS | SETS | dict(width=tf.ones([2]), factor=tf.ones([2])),
    ),
    "svgd_joint_jacobian": (
        samplers.svgd_joint_jacobian,
        SCALARS | SETS | dict(hessian=tf.ones([2, 6, 3, 3])),
    ),
    "unit_directions": (samplers.unit_directions, dict(particles=SETS["particles"][0])),
    "random_directions": (
        functools.partial(samplers.random_directions, count=2),
        dict(particles=SETS["particles"][0], seed=SEED),
    ),
    "directions_of_step": (
        functools.partial(samplers.directions_of_step, num_probes=2, index=1),
        dict(particles=SETS["particles"][0], seed=SEED),
    ),
    "score_and_curvature": (
        functools.partial(samplers.score_and_curvature, score_fn=tf.negative),
        dict(particles=SETS["particles"], directions=tf.ones([2, 4, 3])),
    ),
    "langevin": (LANGEVIN, SCALARS | dict(particles=SETS["particles"][0])),
    "particle_jacobian": (
        functools.partial(samplers.particle_jacobian, tf.negative),
        dict(particles=SETS["particles"][0]),
    ),
    "hmc": (
        functools.partial(
            samplers.hmc, score_fn=tf.negative, num_steps=2, log_density_fn=gaussian_log_density
        ),
        SCALARS | dict(particles=SETS["particles"][0], seed=SEED),
    ),
    "leapfrog": (
        functools.partial(samplers.leapfrog, score_fn=tf.negative, num_leapfrog=2),
        dict(particles=SETS["particles"], velocities=SETS["score"], step_size=tf.constant(0.1)),
    ),
}
SAMPLERS_WITHOUT = {
    "Curvature": "a tuple that score_and_curvature returns; svgd_step checks what it is given",
    "DENSITY_CHANGES": "names",
    "HmcMoved": "a tuple that samplers return",
    "JOINT_CHANGES": "names",
    "Moved": "a tuple that samplers return",
    "STEP_LIMIT_REMEDY": "a sentence",
    "Score": "a type",
    "SvgdStep": "a tuple that samplers return",
    "check_bandwidth": "takes a name or a Python number",
    "check_density_change": "takes a name",
    "check_num_probes": "takes Python numbers",
}
CASES = OBJECTIVES | SAMPLERS
# These take any number of leading dimensions and agree with no other argument: one axis more is a batch.
ANY_RANK_ABOVE = {
    ("reduce_critics", "q"),
    ("svgd", "particles"),
    ("langevin", "particles"),
    ("hmc", "particles"),
    ("particle_jacobian", "particles"),
    ("unit_directions", "particles"),
    ("random_directions", "particles"),
    ("directions_of_step", "particles"),
}


def wrong_ranks():
    for name, (_, tensors) in CASES.items():
        for argument, tensor in tensors.items():
            if tensor.shape.rank:
                yield pytest.param(name, argument, tensor[0], id=f"{name}-{argument}-lower")
            if (name, argument) not in ANY_RANK_ABOVE:
                yield pytest.param(name, argument, tensor[..., tf.newaxis], id=f"{name}-{argument}-higher")


@pytest.mark.parametrize(
    ("package", "cases", "without"),
    [(objectives, OBJECTIVES, OBJECTIVES_WITHOUT), (samplers, SAMPLERS, SAMPLERS_WITHOUT)],
    ids=["objectives", "samplers"],
)
def test_every_public_name_is_called_or_has_a_reason_not_to_be(package, cases, without):
    called = {name.split(".")[0] for name in cases}
    assert not called & set(without)
    assert called | set(without) == set(package.__all__)


@pytest.mark.parametrize("name", CASES)
def test_the_right_ranks_pass(name):
    function, tensors = CASES[name]
    function(**tensors)


@pytest.mark.parametrize(("name", "argument", "wrong"), list(wrong_ranks()))
def test_a_wrong_rank_is_refused_by_name(name, argument, wrong):
    function, tensors = CASES[name]
    with pytest.raises(ConfigurationError) as refused:
        function(**{**tensors, argument: wrong})
    assert re.search(rf"\b{argument}\b.* must .*; got ", f"{refused.value}") or re.search(
        rf" must .*\b{argument}\b.*; got ", f"{refused.value}"
    )


# Optional ones, which may be None; whose value is 0 or 1; and those that functions convert.
MAY_BE_NONE = {"factor", "moved", "valid"}
NONE_IS_ONE_SET = ("squared_distances", "y")
ANY_DTYPE = {"observation", "episode_end", "step_size"}
WITHOUT_TEMPERATURE = {
    "deterministic_value", "deterministic_improvement", "matching_improvement", "uniform_actions",
}  # fmt: skip


def arguments(without):
    for name, (_, tensors) in CASES.items():
        for argument in tensors:
            if argument not in without:
                yield pytest.param(name, argument, id=f"{name}-{argument}")


@pytest.mark.parametrize(("name", "argument"), list(arguments(MAY_BE_NONE)))
def test_none_is_refused_by_name(name, argument):
    function, tensors = CASES[name]
    if (name, argument) == NONE_IS_ONE_SET:
        return
    with pytest.raises(ConfigurationError, match=rf"\b{argument} must .*; got None"):
        function(**{**tensors, argument: None})


@pytest.mark.parametrize("name", [name for name, (_, tensors) in CASES.items() if "valid" in tensors])
def test_a_mask_that_a_function_needs_may_not_be_left_out(name):
    function, tensors = CASES[name]
    needed = inspect.signature(function).parameters["valid"].default is inspect.Parameter.empty
    if name in ("loss_of_discriminator", "discriminator_loss") or "None" in mask_annotation(function):
        function(**{**tensors, "valid": None})
    else:
        assert needed
        with pytest.raises(ConfigurationError, match="valid must .*; got None"):
            function(**{**tensors, "valid": None})


def mask_annotation(function):
    return f"{inspect.signature(function).parameters['valid'].annotation}"


@pytest.mark.parametrize(("name", "argument"), list(arguments(ANY_DTYPE)))
def test_a_wrong_dtype_is_refused_by_name(name, argument):
    function, tensors = CASES[name]
    if argument == "temperature" and (name in SAMPLERS or name in WITHOUT_TEMPERATURE):
        return  # Samplers convert it, and others do not use it.
    compared = {
        other
        for other, tensor in tensors.items()
        if tensor.dtype.is_floating and other not in ANY_DTYPE | {"temperature"} | {argument}
    }
    if not compared and argument in ("advantages", "values", "particles", "q", "distances", "f_policy"):
        wrong = tf.zeros(tensors[argument].shape, tf.int32)
    elif argument in ("seed", "valid"):
        wrong = tf.ones(tensors[argument].shape)
    else:
        wrong = tf.cast(tensors[argument], tf.float64)
    with pytest.raises(ConfigurationError) as refused:
        function(**{**tensors, argument: wrong})
    # Of two floating arguments either may be the wrong one.
    assert re.search(rf"\b{argument}\b", f"{refused.value}") and re.search(
        r"must be .*; got (float|int)", f"{refused.value}"
    )


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if "temperature" in OBJECTIVES[name][1]])
def test_what_networks_return_is_no_distribution_and_no_value(name):
    function, tensors = CASES[name]
    if function.keywords.get("policy") is not policy:
        return
    for given, words in (
        (
            lambda s: (policy(s), ()),
            r"policy\(observation\) must be a TFP distribution.*got a tuple.*first item",
        ),
        (lambda s: tf.zeros([4, 2]), r"policy\(observation\) must be a TFP distribution.*got a EagerTensor"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            function(**tensors, policy=given)
    if name in ("uniform_actions", "matching_improvement"):
        return  # They do not ask the critic.
    with pytest.raises(
        ConfigurationError, match=r"critic\(observation, action\) must .*tuple of 2.*first item"
    ):
        function(**tensors, critic=lambda s, a: (critic(s, a), ()))


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if "temperature" in OBJECTIVES[name][1]])
def test_the_policy_has_an_action_of_the_box_for_each_state(name):
    function, tensors = CASES[name]
    if name.endswith("_in_parts"):
        return  # The function of the parts says it, which is checked below its own name.
    with pytest.raises(ConfigurationError, match=r"must have the batch shape \[N\] = \(4,\).*got \(3,\)"):
        function(**tensors, policy=lambda s: policy(s[:3]))
    if "box" in function.keywords:
        wide = tensor_spec.BoundedTensorSpec([3], tf.float32, -1.0, 1.0)
        with pytest.raises(ConfigurationError, match=r"box must have .*\(2,\); got \(3,\)"):
            function(**tensors, box=wide)


def test_a_wrong_matching_is_named_not_the_discriminator():
    constant = objectives.Matching("own", lambda f, g: f[:, tf.newaxis], tf.reduce_mean, lambda v: v)
    function, tensors = CASES["matching_improvement"]
    with pytest.raises(ConfigurationError, match=r"matching.policy_loss\(f_policy\) must be \[N\]; got \(\)"):
        function(**tensors, matching=constant)
    contrast = objectives.Contrast(ACTIONS, ACTIONS, {})
    with pytest.raises(ConfigurationError, match=r"matching.value\(f_policy, f_target\) must be \[N\]"):
        objectives.discriminator_loss(discriminator, STATES, contrast, constant, SEED, box=BOX)


def test_a_critic_without_the_axis_of_critics_is_refused():
    """Its values would be reduced over the states, and the minimum given to all of them."""
    for function, tensors in (CASES["expected_soft_value"], CASES["reparameterized_improvement"]):
        with pytest.raises(
            ConfigurationError,
            match=r"critic\(observation, action\) must be \[..., C\] with .*Add the last axis C",
        ):
            function(**tensors, critic=lambda s, a: tf.reduce_sum(a, axis=-1))


@pytest.mark.parametrize("name", ["matching_improvement", "density_ratio_improvement"])
def test_a_discriminator_that_keeps_its_last_axis_is_refused(name):
    function, tensors = CASES[name]
    argument = "log_ratio" if name.startswith("density") else "discriminator"
    with pytest.raises(ConfigurationError, match=r"must be \[N\]; got \(4, 1\).*squeeze"):
        function(**tensors, **{argument: lambda s, a: tf.reduce_sum(a, axis=-1, keepdims=True)})


def test_a_log_density_that_keeps_its_last_axis_is_refused():
    """The changes [M, 1] would be added to the energies [M] of all particles."""
    function, tensors = CASES["hmc"]
    with pytest.raises(ConfigurationError, match=r"log_density_fn\(particles\) must be \[..., M\]"):
        function(**tensors, log_density_fn=lambda u: tf.reduce_sum(u, axis=-1, keepdims=True))


@pytest.mark.parametrize("name", ["svgd", "langevin", "hmc", "leapfrog", "score_and_curvature"])
def test_a_score_for_all_components_is_refused(name):
    function, tensors = CASES[name]
    with pytest.raises(ConfigurationError, match="score.* must have particles's shape"):
        function(**tensors, score_fn=lambda u: u[..., :1])


def test_a_curvature_has_the_particles_directions():
    function, tensors = CASES["svgd_step.curvature"]
    with pytest.raises(ConfigurationError, match=r"curvature.products must .* P = 4 as in curvature.direct"):
        function(**{**tensors, "products": tf.ones([2, 3, 6, 3])})


def test_a_bandwidth_for_all_sets_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"bandwidth must be \[...\] with ... = \(2,\) as in distances"
    ):
        samplers.rbf_kernel(SETS["particles"], SETS["particles"], tf.ones([]))


def test_distances_between_two_sets_are_not_those_of_one():
    with pytest.raises(ConfigurationError, match=r"distances must be \[..., M, M\]; got \(3, 5\)"):
        samplers.kernel_bandwidth(tf.ones([3, 5]))
    assert samplers.kernel_bandwidth(tf.ones([3, 5]), one_set=False).shape == []


def test_what_is_not_a_tensor_has_a_shape_too():
    require_shapes(
        ("x", np.zeros([2, 3]), "N A"),
        ("y", [[1.0], [2.0]], "N 1"),
        ("gamma", 0.9, ""),
        ("z", None, "N | None"),
    )
    with pytest.raises(ConfigurationError, match=r"gamma must be a scalar; got \(2,\)"):
        require_shapes(("gamma", (0.9, 0.8), ""))


def test_dtypes_are_those_that_are_said():
    require_shapes(
        ("seed", tf.constant([1, 2], tf.int64), "2", "int"), ("x", tf.zeros([], tf.int8), "", "any")
    )
    require_shapes(("x", tf.zeros([2], tf.float64), "N"), ("y", np.zeros([2], np.float32), "N"))
    for arguments, words in (
        (
            (("x", tf.zeros([2]), "N"), ("y", tf.zeros([2], tf.float64), "N")),
            "y must be float32 as x; got float64",
        ),
        ((("x", tf.Variable([1, 2]), "N"),), "x must be floating; got int32"),
        ((("x", tf.zeros([2], tf.float64), "N", "float32"),), "x must be float32; got float64"),
        ((("valid", tf.ones([2]), "N | None", "bool"),), "valid must be bool; got float32"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            require_shapes(*arguments)


def test_leading_dimensions_agree_or_are_left_alone():
    require_shapes(("x", tf.zeros([5, 2, 3]), "... A"), ("h", tf.zeros([5, 2]), "..."))
    require_shapes(("x", tf.zeros([5, 2, 3]), "* A"), ("y", tf.zeros([3]), "* A"))
    with pytest.raises(
        ConfigurationError, match=r"h must be \[...\] with ... = \(5, 2\) as in x; got \(2,\)"
    ):
        require_shapes(("x", tf.zeros([5, 2, 3]), "... A"), ("h", tf.zeros([2]), "..."))
    with pytest.raises(ConfigurationError, match=r"y must have x's shape \[\*, A\] = \(5, 3\); got \(1,\)"):
        require_shapes(("x", tf.zeros([5, 3]), "* A"), ("y", tf.zeros([1]), "* A"))


def test_unknown_sizes_pass_and_known_ones_are_compared():
    def checked(x, y, z):
        before = len(tf.compat.v1.get_default_graph().get_operations())
        require_shapes(("x", x, "N"), ("y", y, "N"), ("z", z, "N"))
        assert len(tf.compat.v1.get_default_graph().get_operations()) == before
        return x

    def traced(*shapes):
        tf.function(checked, autograph=False).get_concrete_function(
            *(tf.TensorSpec(shape) for shape in shapes)
        )

    traced(None, [None], [4])
    with pytest.raises(ConfigurationError, match=r"z must have y's shape \[N\] = \(4,\); got \(5,\)"):
        traced([None], [4], [5])
    with pytest.raises(ConfigurationError, match=r"y must be \[N\]; got \(\). Add"):
        traced(None, [], [5])

"""Checks of learners over two logical CPU devices; a program, as TensorFlow makes devices once in a process.

`python -m tests.agents.two_devices check…` prints, as JSON, each check's failure, "" if there was none.
"""

from __future__ import annotations

import functools
import json
import pathlib
import re
import sys
import tempfile
import traceback

import numpy as np
import tensorflow as tf

from expol_tf import replicas
from expol_tf.agents import (
    AcktrAgent,
    ClippedUpdate,
    KroneckerUpdate,
    OnPolicyAgent,
    PolicyUpdate,
    PpoAgent,
    TrustRegionUpdate,
)
from expol_tf.errors import ConfigurationError
from expol_tf.networks import ObservationNormalizer
from expol_tf.optimizers import (
    Kfac,
    KfacRegression,
    MinibatchAdam,
    MinibatchRegression,
    PolynomialDecay,
    TrustRegion,
    fisher_product,
)
from tests.agents.small_agents import OBSERVATION, make_actor, make_agent, make_rollout

DEVICES = ["CPU:0", "CPU:1"]
DOCS = pathlib.Path(__file__).absolute().parents[2] / "docs"


@functools.cache
def strategy():
    return tf.distribute.MirroredStrategy(DEVICES)


def make_trpo(kind="mixture", **settings):
    # Few iterations: conjugate gradients multiply rounding errors.
    update = TrustRegionUpdate(TrustRegion(cg_iterations=3))
    return make_agent(
        kind, policy_update=update, observation_normalizer=ObservationNormalizer(OBSERVATION), **settings
    )


def make_subsampling_trpo():
    region = TrustRegion(cg_iterations=3)
    update = TrustRegionUpdate(region, fisher_subsample=3, fisher_actions="fresh")
    return make_agent("mixture", squash=True, cls=OnPolicyAgent, policy_update=update)


def make_ppo(kind="gaussian", max_kl=None, **settings):
    rate = PolynomialDecay(0.02, 20, 0.001)
    optimizer = MinibatchAdam(rate, epochs=3, minibatch_size=15, max_gradient_norm=0.5)
    fit = MinibatchRegression(epochs=1, minibatch_size=13)
    update = ClippedUpdate(optimizer, max_kl=max_kl)
    return make_agent(kind, cls=PpoAgent, policy_update=update, value_fit=fit, **settings)


def make_acktr(kind="gaussian", jit_compile=False, **settings):
    def kfac(**arguments):
        settings = dict(eigen_interval=2, factor_interval=2, cg_iterations=3, jit_compile=jit_compile)
        return Kfac(**settings, **arguments)

    fit = KfacRegression(kfac(learning_rate=0.01), updates=3)
    settings |= dict(policy_update=KroneckerUpdate(kfac()), value_fit=fit, jit_compile=jit_compile)
    return make_agent(kind, cls=AcktrAgent, **settings)


def rollouts(agent, count=3):
    """51 frames, which two do not divide, some of them masked; the last rollout has none for one replica."""
    made = [make_rollout(agent, batch=3, time=17, seed=seed) for seed in range(count)]
    made[-1].valid.reshape(-1)[::2] = False
    return made


def copies(variable):
    return [copy.numpy() for copy in strategy().experimental_local_results(variable)]


def assert_same(one, two, tolerance):
    for name in ("actor_network", "value_network"):
        pairs = zip(getattr(one, name).variables, getattr(two, name).variables, strict=True)
        for single, mirrored in pairs:
            for copy in copies(mirrored):
                np.testing.assert_allclose(copy, single.numpy(), rtol=0, atol=tolerance, err_msg=single.name)


def check_same_updates(make, tolerance=2e-6):
    """After every update an agent over two devices has the parameters and metrics of one on one device."""
    one = make()
    with strategy().scope():
        two = make()
    before = [variable.numpy() for variable in one.actor_network.trainable_variables]
    assert_same(one, two, 0.0)
    for rollout in rollouts(one):
        expected = one.train_on_rollout(rollout).extra
        found = two.train_on_rollout(rollout).extra
        assert list(expected) == list(found)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=2e-3, atol=2e-6, err_msg=name)
        assert_same(one, two, tolerance)
    after = [variable.numpy() for variable in one.actor_network.trainable_variables]
    moved = [np.max(np.abs(new - old)) for new, old in zip(after, before, strict=True)]
    assert min(moved) > 0.0 and max(moved) > 100 * tolerance
    return one, two


def same_trpo():
    check_same_updates(make_trpo, tolerance=2e-5)


def same_subsampling_trpo():
    check_same_updates(make_subsampling_trpo, tolerance=2e-5)


def same_ppo():
    _, two = check_same_updates(make_ppo)
    # Steps are counted once, not once for each replica.
    assert two._policy_update.optimizer.optimizer.step.numpy() == 27


def same_ppo_that_stops_early():
    one, _ = check_same_updates(functools.partial(make_ppo, max_kl=0.02))
    assert 0 < int(one._policy_update.optimizer.optimizer.step) < 27


def same_acktr():
    check_same_updates(make_acktr)


def same_compiled_trpo():
    check_same_updates(functools.partial(make_trpo, jit_compile=True), tolerance=2e-5)


def same_compiled_ppo():
    check_same_updates(functools.partial(make_ppo, jit_compile=True))


def same_compiled_acktr():
    check_same_updates(functools.partial(make_acktr, jit_compile=True))


def same_flow_trpo():
    check_same_updates(functools.partial(make_trpo, "flow", squash=True), tolerance=1e-4)


def same_flow_acktr():
    check_same_updates(functools.partial(make_acktr, "flow", squash=True), tolerance=2e-5)


def acting_is_that_of_one_device():
    one = make_trpo()
    with strategy().scope():
        two = make_trpo()
        inside, _ = two.collect_policy.act(np.ones([5, 3], np.float32))
    outside, _ = two.collect_policy.act(np.ones([5, 3], np.float32))
    for action in (inside, outside):
        np.testing.assert_array_equal(action, one.collect_policy.act(np.ones([5, 3], np.float32))[0])


def sampled_entropies_differ_between_replicas():
    with strategy().scope():
        agent = make_ppo("flow", squash=True, entropy_weight=0.01)
        found = []
        strategy().run(lambda: found.append(replicas.seed_of_replica(tf.constant([1, 2])).numpy().tolist()))
    assert len(found) == 2 and found[0] != found[1]
    metrics = agent.train_on_rollout(rollouts(agent)[0]).extra
    assert all(np.isfinite(value) for value in metrics.values())


def check_checkpoints(make):
    """What is written over two devices goes on over one, and the other way."""
    one = make()
    with strategy().scope():
        two = make()
    for trained, other in ((two, one), (one, two)):
        for rollout in rollouts(trained, 2):
            trained.train_on_rollout(rollout)
        with tempfile.TemporaryDirectory() as directory:
            path = tf.train.Checkpoint(agent=trained).write(f"{directory}/checkpoint")
            status = tf.train.Checkpoint(agent=other).read(path)
            status.assert_existing_objects_matched().assert_consumed()
        assert_same(one, two, 0.0)
        assert int(other.train_step_counter.numpy()) == int(trained.train_step_counter.numpy())
        # Moments, factors and generators too: both go on in the same way.
        observation = np.ones([2, 3], np.float32)
        actions = [agent.collect_policy.act(observation)[0] for agent in (one, two)]
        np.testing.assert_array_equal(*actions)
        rollout = rollouts(trained)[1]
        for agent in (one, two):
            agent.train_on_rollout(rollout)
        assert_same(one, two, 2e-5)


def checkpoints_of_ppo():
    check_checkpoints(make_ppo)


def checkpoints_of_trpo():
    check_checkpoints(make_trpo)


def checkpoints_of_acktr():
    check_checkpoints(make_acktr)


def sums_and_parts():
    batch = tf.reshape(tf.range(10.0), [5, 2])
    assert replicas.sum_over_replicas(lambda: 3.0) == 3.0
    with strategy().scope():
        part = replicas.parts_of_replicas({"x": batch, "none": None, "scalar": tf.constant(7.0)})
        assert part()["x"] is batch

        def own():
            mine = part()
            assert mine["none"] is None and float(mine["scalar"]) == 7.0
            return tf.size(mine["x"]), tf.reduce_sum(mine["x"], axis=0)

        size, total = replicas.sum_over_replicas(own)
        assert int(size) == 10
        np.testing.assert_array_equal(total, np.sum(batch.numpy(), axis=0))
        # Rows 0, 2, 4 and 1, 3.
        seen = replicas.once_per_replica(lambda: part()["x"][:, 0].numpy().tolist())
        found = []
        strategy().run(lambda: found.append(seen()))
        assert found == [[0.0, 4.0, 8.0], [2.0, 6.0]]
        counted = tf.constant([True, False, True, False, True])
        share = replicas.shares_of_replicas(lambda: counted)
        assert float(share(tf.constant(5.0))) == 5.0
        # Means 4 over three valid samples, and whatever it is over none.
        mean = replicas.sum_over_replicas(lambda: share(tf.reduce_mean(part()["x"][:, 0])))
        assert float(mean) == 4.0


def gradients_and_means():
    data = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    batch = dict(x=tf.constant(data), none=None, scale=tf.constant(2.0))
    valid = tf.constant([True, False, True, False, True])
    seeds = []

    def loss(batch, seed):
        assert batch["none"] is None
        seeds.append(seed)
        error = tf.reduce_sum(tf.square(batch["x"] * weights), axis=-1)
        counted = tf.cast(batch.get("valid", tf.ones_like(error)), tf.float32)
        mean = tf.reduce_sum(counted * error) / tf.maximum(tf.reduce_sum(counted), 1.0)
        return batch["scale"] * mean, {"mean": mean}

    def results():
        for each in (None, valid):
            given = batch if each is None else {**batch, "valid": each}
            yield replicas.gradients(loss, given, [weights, unused], each, [1, 2])
            yield replicas.means(loss, given, each, [1, 2])

    weights, unused = tf.Variable([1.0, 3.0]), tf.Variable(1.0)
    expected = list(results())
    np.testing.assert_allclose(expected[0][1][0], 4.0 * np.mean(data**2, axis=0) * [1.0, 3.0], rtol=1e-5)
    assert float(expected[0][1][1]) == 0.0
    assert all(seed == [1, 2] for seed in seeds)
    with strategy().scope():
        weights, unused = tf.Variable([1.0, 3.0]), tf.Variable(1.0)
        seeds.clear()
        tf.nest.map_structure(
            functools.partial(np.testing.assert_allclose, rtol=1e-5), list(results()), expected
        )
        assert len({tuple(np.array(seed)) for seed in seeds}) == 2
        # Weights that add up to 1 count their samples by them.
        parts = {"x": tf.constant([[1.0], [2.0], [5.0]])}
        mean = replicas.means(lambda part: tf.reduce_mean(part["x"]), parts, tf.constant([0.25, 0.5, 0.25]))
        assert float(mean) == 0.5 * 3.0 + 0.5 * 2.0


def fisher_products_with_equal_weights():
    x = tf.random.stateless_normal([5, 2], [1, 2])
    single = tf.Variable([0.3, -0.2])
    vector = tf.constant([1.0, 2.0])
    expected = fisher_product(lambda x: tf.linalg.matvec(tf.square(x), single), x, [single], damping=0.1)(
        vector
    )
    with strategy().scope():
        mirrored = tf.Variable([0.3, -0.2])
        product = fisher_product(
            lambda x: tf.linalg.matvec(tf.square(x), mirrored), x, [mirrored], damping=0.1
        )
        np.testing.assert_allclose(product(vector), expected, rtol=1e-6)


def a_kfac_step_with_equal_weights():
    x = tf.random.stateless_normal([5, 3], [1, 2])

    def parameters():
        weights = tf.Variable(tf.random.stateless_normal([3, 1], [3, 4]))
        kfac = Kfac(jit_compile=False)

        def evaluate(x):
            log_prob = (tf.tanh(x @ weights))[:, 0]
            return tf.reduce_mean(log_prob), log_prob

        kfac.build([weights], lambda: (tf.tanh(x @ weights))[:, 0])
        tf.function(lambda: kfac.step(evaluate, x), autograph=False)()
        return copies(weights)

    single = parameters()[0]
    with strategy().scope():
        for copy in parameters():
            np.testing.assert_allclose(copy, single, rtol=1e-5)


def refuses(words, function):
    try:
        function()
    except ConfigurationError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(f"no error about {words}")


def what_cannot_be_divided_is_refused():
    actor = make_actor()
    with strategy().scope():
        refuses(("actor_network", "strategy"), lambda: make_agent(actor_network=actor))

        class Undivided(PolicyUpdate):
            pass

        refuses(
            ("policy_update", "Undivided", "supports_replicas"),
            lambda: make_agent(cls=OnPolicyAgent, policy_update=Undivided()),
        )
        refuses(
            ("policy_update", "function", "PolicyUpdate"),
            lambda: make_agent(cls=OnPolicyAgent, policy_update=lambda objective, batch, seed: {}),
        )
        refuses(("value_fit", "object"), lambda: make_agent(value_fit=object()))
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        refuses(("MirroredStrategy", "OneDeviceStrategy"), make_agent)


def the_page_on_devices_runs():
    text = (DOCS / "devices.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "devices.md", "exec"), names)
    rollout = make_rollout(names["agent"], batch=3, time=17)
    metrics = names["agent"].train_on_rollout(rollout).extra
    assert all(np.isfinite(value) for value in metrics.values())

    def make():
        return make_agent(cls=OnPolicyAgent, policy_update=names["GradientStep"](rate=1.0))

    check_same_updates(make)


CHECKS = (
    same_trpo,
    same_ppo,
    same_ppo_that_stops_early,
    same_acktr,
    acting_is_that_of_one_device,
    checkpoints_of_ppo,
    sums_and_parts,
    gradients_and_means,
    fisher_products_with_equal_weights,
    a_kfac_step_with_equal_weights,
    what_cannot_be_divided_is_refused,
    the_page_on_devices_runs,
)
SLOW_CHECKS = (
    same_subsampling_trpo,
    checkpoints_of_trpo,
    checkpoints_of_acktr,
    same_compiled_trpo,
    same_compiled_ppo,
    same_compiled_acktr,
    same_flow_trpo,
    same_flow_acktr,
    sampled_entropies_differ_between_replicas,
)


def main(names, checks=(*CHECKS, *SLOW_CHECKS)):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * len(DEVICES))
    failures = {}
    for check in checks:
        if check.__name__ in names:
            failures[check.__name__] = ""
            try:
                check()
            except Exception:
                failures[check.__name__] = traceback.format_exc()
    print(json.dumps(failures))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Which variables K-FAC factors: models of every kind, shared layers, and what it refuses by name."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from expol_tf.errors import ConfigurationError
from expol_tf.keras_api import keras
from expol_tf.networks import FlowActorNetwork, GaussianActorNetwork
from expol_tf.optimizers import Kfac

COUNT = 6


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(5, "relu", name="first")
        self.second = keras.layers.Dense(2, use_bias=False, name="second")

    def call(self, x):
        return self.second(self.first(x))


def functional():
    x = keras.Input([3])
    hidden = keras.layers.Dense(5, "relu", name="first")(x)
    return keras.Model(x, keras.layers.Dense(2, use_bias=False, name="second")(hidden))


def sequential():
    return keras.Sequential(
        [keras.layers.Dense(5, "relu", name="first"), keras.layers.Dense(2, use_bias=False, name="second")]
    )


class Plain(tf.Module):
    """Layers without Keras."""

    def __init__(self):
        super().__init__()
        self.w1 = tf.Variable(tf.ones([3, 5]), name="first/kernel")
        self.b1 = tf.Variable(tf.ones([5]), name="first/bias")
        self.w2 = tf.Variable(tf.ones([5, 2]), name="second/kernel")

    def __call__(self, x):
        return tf.nn.relu(x @ self.w1 + self.b1) @ self.w2


def cover(log_prob, variables, **settings):
    kfac = Kfac(jit_compile=False, **settings)
    kfac.build(variables, log_prob)
    return kfac


def statistics(log_prob, variables, weights=None):
    """The factors (A, G) of each layer after one batch."""
    kfac = cover(log_prob, variables)

    @tf.function(autograph=False)
    def step():
        log_probs = log_prob()
        return kfac.step(lambda _: (tf.reduce_mean(log_probs), log_prob()), log_probs, weights)

    step()
    return [(factors.inputs.numpy(), factors.outputs.numpy()) for factors in kfac.factors]


@pytest.mark.parametrize(
    ("make", "shape"),
    [(make, (COUNT, 3)) for make in (sequential, functional, Subclassed, Plain)]
    + [(make, (COUNT, 4, 3)) for make in (sequential, Subclassed)],
)
def test_layers_are_found_in_models_of_every_kind(make, shape):
    model = make()
    x = tf.random.stateless_normal(shape, [0, 1])
    model(x)
    axes = list(range(1, len(shape)))
    coverage = cover(lambda: tf.reduce_sum(model(x), axes), model.trainable_variables).coverage
    names = [(layer.kernel.split("/")[-2:], (layer.bias or "").split("/")[-2:]) for layer in coverage.layers]
    assert names == [
        (["first", "kernel"], ["first", "bias"]),
        (["second", "kernel"], [""]),
    ]
    assert [layer.shape for layer in coverage.layers] == [(4, 5), (5, 2)]
    assert coverage.exact == ()


def actor(kind, **settings):
    action_spec = tensor_spec.BoundedTensorSpec([4], tf.float32, -1.0, 1.0)
    return kind(tf.TensorSpec([3], tf.float32), action_spec, hidden_units=(5, 6), **settings)


@pytest.mark.parametrize(
    ("kind", "settings", "exact"),
    [
        (GaussianActorNetwork, {}, ["log_std"]),
        (FlowActorNetwork, dict(num_transformations=1), 6 * ["kernel", "bias"] + 4 * ["gain", "offset"]),
        (FlowActorNetwork, dict(num_transformations=0), []),
    ],
    ids=["Gaussian", "flow", "flow without transformations"],
)
def test_networks(kind, settings, exact):
    network = actor(kind, **settings)
    x, a = tf.ones([COUNT, 3]), 0.1 * tf.ones([COUNT, 4])
    coverage = cover(lambda: network(x)[0].log_prob(a), network.trainable_variables).coverage
    assert [layer.shape for layer in coverage.layers] == [(4, 5), (6, 6), (7, 4)]
    assert sorted(coverage.exact) == sorted(exact)
    assert len(network.trainable_variables) == 6 + len(exact)
    text = str(coverage)
    assert text.startswith("3 layers with Kronecker factors:\n")
    assert f"{len(exact)} variables in one exact Fisher block:" in text
    if len(exact) > 2:
        assert "  kernel (6 times)" in text.splitlines()
    assert all(layer.kernel in text and layer.bias in text for layer in coverage.layers)


def test_other_layers_are_in_the_exact_block():
    model = keras.Sequential(
        [
            keras.layers.Conv1D(3, 2, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, "tanh", name="dense"),
            keras.layers.LayerNormalization(name="norm"),
            keras.layers.Dense(1, name="last"),
        ]
    )
    x = tf.random.stateless_normal([COUNT, 5, 2], [0, 1])
    model(x)
    coverage = cover(lambda: model(x)[:, 0], model.trainable_variables).coverage
    assert [layer.kernel for layer in coverage.layers] == ["dense/kernel", "last/kernel"]
    assert coverage.exact == ("conv/kernel", "conv/bias", "norm/gamma", "norm/beta")


class Uses:
    """One matrix and one vector, used in many ways; `x` is `[COUNT, 3]`."""

    def __init__(self):
        self.w = tf.Variable(tf.reshape(tf.range(9.0), [3, 3]) / 9.0, name="w")
        self.b = tf.Variable(tf.ones([3]), name="b")
        self.x = tf.random.stateless_normal([COUNT, 3], [0, 1])

    def dense(self, x):
        return x @ self.w + self.b

    def twice_biased(self):
        return self.dense(self.x) + self.b

    def product_used_beside_its_sum(self):
        product = self.x @ self.w
        return product + tf.tanh(product + self.b)

    def bias_before(self):
        return (self.x + self.b) @ self.w

    def bias_without_kernel(self):
        return tf.tanh(self.x @ self.w) + self.b

    def penalized(self):
        return self.dense(self.x) + tf.reduce_sum(self.w**2)

    def transposed(self):
        return tf.matmul(self.x, self.w, transpose_b=True) + self.b

    def tied(self):
        return tf.matmul(self.dense(self.x), self.w, transpose_b=True)

    def of_the_parameters(self):
        return self.x + self.dense(tf.ones([1, 3]))

    def in_a_function(self):
        return tf.function(self.dense, autograph=False)(self.x)

    def in_a_loop(self):
        return tf.while_loop(lambda i, _: i < 2, lambda i, x: (i + 1, self.dense(x)), (0, self.x))[1]

    def in_a_branch(self):
        return tf.cond(tf.reduce_sum(self.x) > 0.0, lambda: self.dense(self.x), lambda: self.x)

    def halved(self):
        return tf.cast(tf.cast(self.x, tf.float64) @ tf.cast(self.w, tf.float64), tf.float32) + self.b

    def plainly(self):
        return self.dense(self.x)

    def shaped_between(self):
        return tf.reshape(self.x @ self.w, [COUNT, 1, 3]) + self.b

    def recurrent(self):
        return self.dense(tf.tanh(self.dense(self.x)))


@pytest.mark.parametrize(
    ("use", "layers", "exact"),
    [
        ("plainly", [("w", "b")], ()),
        ("shaped_between", [("w", "b")], ()),
        ("recurrent", [("w", "b")], ()),
        ("twice_biased", [("w", None)], ("b",)),
        ("product_used_beside_its_sum", [("w", None)], ("b",)),
        ("bias_before", [("w", None)], ("b",)),
        ("bias_without_kernel", [("w", None)], ("b",)),
        ("penalized", [], ("w", "b")),
        ("transposed", [], ("w", "b")),
        ("tied", [], ("w", "b")),
        ("of_the_parameters", [], ("w", "b")),
        ("in_a_function", [], ("w", "b")),
        ("in_a_loop", [], ("w", "b")),
        ("in_a_branch", [], ("w", "b")),
        ("halved", [], ("w", "b")),
    ],
)
def test_a_variable_used_in_any_other_way_is_no_layer_s(use, layers, exact):
    uses = Uses()

    def log_prob():
        outputs = tf.reshape(getattr(uses, use)(), [COUNT, -1])
        return tf.reduce_sum(tf.sin(outputs), axis=1)

    coverage = cover(log_prob, [uses.w, uses.b]).coverage
    assert [(layer.kernel, layer.bias) for layer in coverage.layers] == layers
    assert coverage.exact == exact
    statistics(log_prob, [uses.w, uses.b])  # And steps can be taken.


def test_a_layer_whose_bias_is_not_trained_has_none():
    uses = Uses()
    ((inputs, _),) = statistics(lambda: tf.reduce_sum(uses.dense(uses.x), 1), [uses.w])
    np.testing.assert_allclose(inputs, uses.x.numpy().T @ uses.x.numpy() / COUNT, rtol=1e-5)


# A normal density of z = a·exp(-s) by quadrature that is exact for polynomials of degree 5 in it.
NODES, NODE_WEIGHTS = np.sqrt(3.0) * np.array([-1.0, 0.0, 1.0]), np.array([1.0, 4.0, 1.0]) / 6.0


@pytest.mark.parametrize("hidden", [False, True])
def test_two_evaluations_at_one_input_are_one(hidden):
    # log p = -½ (a·e⁻ˢ)² − s has Fisher information 2 in s, also where s is computed once for either term.
    model = keras.Sequential([keras.layers.Dense(1)])
    if hidden:
        model = keras.Sequential([keras.layers.Dense(1, "tanh"), keras.layers.Dense(1)])
    generator = np.random.default_rng(0)
    observations = np.repeat(generator.normal(size=[5, 4]), 3, axis=0).astype(np.float32)
    x, wide = tf.constant(observations[:, :3]), tf.constant(observations)
    model(x)
    a = tf.exp(model(x)[:, 0]) * np.tile(NODES, 5)
    weights = tf.constant(np.tile(NODE_WEIGHTS, 5) / 5.0, tf.float32)

    def log_prob():
        scaled = a * tf.exp(-model(wide[:, :3])[:, 0])
        return -0.5 * scaled**2 - model(wide[:, :3])[:, 0]

    layers = statistics(log_prob, model.trainable_variables, weights)
    inputs, outputs = layers[-1]
    np.testing.assert_allclose(outputs, [[2.0]], rtol=1e-5)
    last = x if not hidden else model.layers[0](x)
    extended = np.concatenate([last, np.ones([15, 1])], axis=1)
    np.testing.assert_allclose(inputs, extended.T @ extended / 15.0, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["rank 3", "calls"])
def test_several_inputs_per_sample_add_up_to_the_exact_fisher_matrix(how):
    # a_t ~ N(āₜᵀ·[W; b], I) for t = 1 … T, independent: F = E[Σₜ āₜ āₜᵀ] ⊗ I. Sums of both factors would be
    # T times as much.
    times, size = 4, 2
    generator = np.random.default_rng(0)
    x = generator.normal(size=[5, times, 3])
    # All sums of products of two noises have the right mean over these, of which there are T·2·2.
    noise = np.sqrt(times * size) * np.concatenate([np.eye(times * size), -np.eye(times * size)])
    x, noise = np.repeat(x, len(noise), axis=0), np.tile(noise, [5, 1]).reshape(-1, times, size)
    x, noise = tf.constant(x, tf.float32), tf.constant(noise, tf.float32)
    layer = keras.layers.Dense(size)
    a = layer(x) + noise

    def log_prob():
        if how == "rank 3":
            return -0.5 * tf.reduce_sum((a - layer(x)) ** 2, [1, 2])
        parts = [a[:, t] - layer(x[:, t]) for t in range(times)]
        return -0.5 * tf.add_n([tf.reduce_sum(part**2, 1) for part in parts])

    ((inputs, outputs),) = statistics(log_prob, layer.trainable_variables)
    extended = np.concatenate([x, np.ones([*x.shape[:2], 1])], axis=2)
    with tf.GradientTape() as tape:
        log_probs = log_prob()
    jacobians = tape.jacobian(log_probs, layer.trainable_variables)
    scores = np.concatenate([jacobians[0], jacobians[1][:, np.newaxis]], axis=1).reshape(len(x), -1)
    exact = scores.T @ scores / len(x)
    moment = np.einsum("nti,ntj->ij", extended, extended) / len(x)
    np.testing.assert_allclose(exact, np.kron(moment, np.eye(size)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.kron(inputs, outputs), exact, rtol=1e-3, atol=1e-3)


def test_weights_are_those_of_samples_not_of_rows():
    x = tf.random.stateless_normal([3, 2, 3], [0, 1])
    layer = keras.layers.Dense(2, use_bias=False)
    layer(x)
    weights = np.array([0.5, 0.0, 0.5], np.float32)
    ((inputs, _),) = statistics(
        lambda: tf.reduce_sum(layer(x), [1, 2]), layer.trainable_variables, tf.constant(weights)
    )
    np.testing.assert_allclose(inputs, np.einsum("n,nti,ntj->ij", weights, x, x), rtol=1e-5)


def test_an_evaluation_that_is_not_used_does_not_count():
    uses = Uses()

    def log_prob():
        unused = tf.stop_gradient(uses.dense(2.0 * uses.x))
        return tf.reduce_sum(uses.dense(uses.x) * unused, 1)

    ((inputs, _),) = statistics(log_prob, [uses.w, uses.b])
    np.testing.assert_allclose(inputs[:3, :3], uses.x.numpy().T @ uses.x.numpy() / COUNT, rtol=1e-5)


def test_refuses_what_it_cannot_factor_by_name_if_told_so():
    network = actor(GaussianActorNetwork)
    x, a = tf.ones([COUNT, 3]), tf.ones([COUNT, 4])
    with pytest.raises(ConfigurationError, match="cg_iterations=0 .*these are not: log_std.*Dense"):
        cover(lambda: network(x)[0].log_prob(a), network.trainable_variables, cg_iterations=0)
    plain = sequential()
    plain(x)
    cover(lambda: tf.reduce_sum(plain(x), 1), plain.trainable_variables, cg_iterations=0)


def test_refuses_a_variable_without_a_fisher_matrix():
    uses = Uses()
    with pytest.raises(ConfigurationError, match="does not on b,"):
        cover(lambda: tf.reduce_sum(uses.x @ uses.w, 1), [uses.w, uses.b])
    with pytest.raises(ConfigurationError, match="does not on w,"):
        cover(lambda: tf.reduce_sum(tf.stop_gradient(uses.x @ uses.w) + uses.b, 1), [uses.w, uses.b])


def test_refuses_other_mistakes():
    uses, integers = Uses(), tf.Variable([1, 2], name="integers")
    wide = tf.Variable(tf.ones([3], tf.float64), name="wide")

    def log_prob():
        return tf.reduce_sum(uses.dense(uses.x), 1)

    with pytest.raises(ConfigurationError, match="at least one"):
        cover(log_prob, [])
    with pytest.raises(ConfigurationError, match=r"different ones; got w \(2 times\)"):
        cover(log_prob, [uses.w, uses.w])
    with pytest.raises(ConfigurationError, match="one floating type; got float32, float64"):
        cover(log_prob, [uses.w, wide])
    with pytest.raises(ConfigurationError, match="one floating type; got int32"):
        cover(log_prob, [integers])
    with pytest.raises(ConfigurationError, match=r"shape \[N\]; got shape \(\)"):
        cover(lambda: tf.reduce_sum(log_prob()), [uses.w, uses.b])
    with pytest.raises(ConfigurationError, match="build"):
        Kfac().step(lambda _: (0.0, log_prob()), uses.x)
    with pytest.raises(ConfigurationError, match="build"):
        print(Kfac().coverage)
    kfac = cover(log_prob, [uses.w, uses.b])
    with pytest.raises(ConfigurationError, match="Make one for each"):
        kfac.build([uses.w, uses.b], log_prob)


@pytest.mark.parametrize("change", ["penalized", "bias_before", "without"])
def test_refuses_a_step_with_another_use_of_the_variables(change):
    uses = Uses()
    kfac = cover(lambda: tf.reduce_sum(uses.dense(uses.x), 1), [uses.w, uses.b])

    @tf.function(autograph=False)
    def step():
        outputs = uses.x + uses.b if change == "without" else getattr(uses, change)()
        return kfac.step(lambda _: (tf.reduce_mean(outputs), tf.reduce_sum(outputs, 1)), outputs)

    with pytest.raises(ConfigurationError, match="as it did in Kfac.build; the layer of w is"):
        step()

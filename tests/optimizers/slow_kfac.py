"""K-FAC by loops and dense matrices in NumPy, for a two-layer Gaussian policy."""

from __future__ import annotations

import numpy as np
import scipy.linalg


class TwoLayerGaussian:
    """a ~ N(tanh(x W₁ + b₁) W₂ + b₂, diag σ²): log π and its gradients by θ = [W₁, b₁, W₂, b₂, log σ]."""

    def __init__(self, inputs=3, hidden=4, outputs=2, seed=0):
        generator = np.random.default_rng(seed)
        self.theta = [
            generator.normal(size=(inputs, hidden)) / np.sqrt(inputs),
            0.3 * generator.normal(size=hidden),
            generator.normal(size=(hidden, outputs)) / np.sqrt(hidden),
            0.3 * generator.normal(size=outputs),
            0.2 * generator.normal(size=outputs),
        ]

    def per_sample(self, x, a):
        """For each sample: log π, the layers' inputs ā and pre-activation gradients g, ∂ log π/∂ log σ."""
        w1, b1, w2, b2, log_std = self.theta
        for state, action in zip(x, a, strict=True):
            hidden = np.tanh(state @ w1 + b1)
            error = (action - hidden @ w2 - b2) / np.exp(log_std)
            log_prob = -0.5 * error @ error - log_std.sum() - 0.5 * len(error) * np.log(2.0 * np.pi)
            g2 = error / np.exp(log_std)
            g1 = (w2 @ g2) * (1.0 - hidden**2)
            yield log_prob, ((np.append(state, 1.0), g1), (np.append(hidden, 1.0), g2)), error**2 - 1.0

    def statistics(self, x, a, weights):
        """The factors (A, G) of both layers, and the exact Fisher matrix of log σ."""
        factors, exact = [[0.0, 0.0], [0.0, 0.0]], 0.0
        for weight, (_, layers, score) in zip(weights, self.per_sample(x, a), strict=True):
            for factor, (inputs, gradient) in zip(factors, layers, strict=True):
                factor[0] = factor[0] + weight * np.outer(inputs, inputs)
                factor[1] = factor[1] + weight * np.outer(gradient, gradient)
            exact = exact + weight * np.outer(score, score)
        return factors, exact

    def gradient(self, x, a, coefficients):
        """∇ Σ cₙ log πₙ as the layers' merged matrices and the vector of log σ."""
        total = [0.0, 0.0, 0.0]
        for coefficient, (_, layers, score) in zip(coefficients, self.per_sample(x, a), strict=True):
            for index, (inputs, gradient) in enumerate(layers):
                total[index] = total[index] + coefficient * np.outer(inputs, gradient)
            total[2] = total[2] + coefficient * score
        return total

    def move(self, steps):
        for index in (0, 1):
            self.theta[2 * index] = self.theta[2 * index] + steps[index][:-1]
            self.theta[2 * index + 1] = self.theta[2 * index + 1] + steps[index][-1]
        self.theta[4] = self.theta[4] + steps[2]


class SlowKfac:
    """The update rule, with every Fisher block formed and solved as a dense matrix."""

    def __init__(self, rate, damping, clip_kl, momentum, factor_decay, factor_interval, eigen_interval):
        self.rate, self.damping, self.clip_kl, self.momentum = rate, damping, clip_kl, momentum
        self.decay, self.factor_interval, self.eigen_interval = factor_decay, factor_interval, eigen_interval
        self.history = []  # The factors of each batch that counts.
        self.steps, self.used, self.velocity = 0, None, [0.0, 0.0, 0.0]

    def running(self):
        """The n-th batch has the weight max(1 − ρ, min(10/n, 1)), and those before it share the rest."""
        weights = []
        for n in range(1, len(self.history) + 1):
            weight = max(1.0 - self.decay**self.factor_interval, min(10.0 / n, 1.0))
            weights = [*((1.0 - weight) * w for w in weights), weight]
        return [
            [sum(w * f[layer][side] for w, f in zip(weights, self.history, strict=True)) for side in (0, 1)]
            for layer in (0, 1)
        ]

    def step(self, policy, x, a, coefficients, weights):
        factors, exact = policy.statistics(x, a, weights)
        if self.steps % self.factor_interval == 0:
            self.history.append(factors)
        first = self.steps < self.eigen_interval and self.steps % self.factor_interval == 0
        if first or self.steps % self.eigen_interval == 0:
            self.used = self.running()
        gradient = policy.gradient(x, a, coefficients)
        fisher = scipy.linalg.block_diag(*[np.kron(A, G) for A, G in self.used], exact)
        flat = np.concatenate([each.reshape(-1) for each in gradient])
        direction = np.linalg.solve(fisher + self.damping * np.eye(len(flat)), flat)
        scale = min(1.0, np.sqrt(2.0 * self.clip_kl / (self.rate**2 * flat @ direction)))
        ends = np.cumsum([each.size for each in gradient])[:-1]
        parts = [p.reshape(g.shape) for p, g in zip(np.split(direction, ends), gradient, strict=True)]
        self.velocity = [
            self.momentum * v + (1.0 - self.momentum) * scale * part
            for v, part in zip(self.velocity, parts, strict=True)
        ]
        policy.move([self.rate * v for v in self.velocity])
        self.steps += 1
        return scale, np.linalg.norm(flat)

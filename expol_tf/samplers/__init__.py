"""Maps of sets of particles toward a density known by its score."""

from expol_tf.samplers.kernels import kernel_bandwidth, rbf_kernel, squared_distances
from expol_tf.samplers.svgd import svgd_direction

__all__ = [
    "kernel_bandwidth",
    "rbf_kernel",
    "squared_distances",
    "svgd_direction",
]

"""Maps of sets of particles toward a density known by its score."""

from expol_tf.samplers.kernels import kernel_bandwidth, rbf_kernel, squared_distances
from expol_tf.samplers.moved import Moved
from expol_tf.samplers.svgd import Score, svgd, svgd_direction, svgd_jacobian, svgd_step

__all__ = [
    "Moved",
    "Score",
    "kernel_bandwidth",
    "rbf_kernel",
    "squared_distances",
    "svgd",
    "svgd_direction",
    "svgd_jacobian",
    "svgd_step",
]

"""Methods that move sets of particles toward a density of which only the score is known."""

from expol_tf.removed_names import answer_removed_names
from expol_tf.samplers.hmc import HmcMoved, hmc, leapfrog
from expol_tf.samplers.joint_density import (
    Curvature,
    Score,
    directions_of_step,
    random_directions,
    score_and_curvature,
    unit_directions,
)
from expol_tf.samplers.kernels import check_bandwidth, kernel_bandwidth, rbf_kernel, squared_distances
from expol_tf.samplers.langevin import langevin, particle_jacobian
from expol_tf.samplers.moved import Moved
from expol_tf.samplers.svgd import (
    DENSITY_CHANGES,
    JOINT_CHANGES,
    STEP_LIMIT_REMEDY,
    SvgdStep,
    check_density_change,
    check_num_probes,
    svgd,
    svgd_density_change,
    svgd_direction,
    svgd_jacobian,
    svgd_joint_jacobian,
    svgd_step,
)

__all__ = [
    "DENSITY_CHANGES",
    "JOINT_CHANGES",
    "STEP_LIMIT_REMEDY",
    "Curvature",
    "HmcMoved",
    "Moved",
    "Score",
    "SvgdStep",
    "check_density_change",
    "check_num_probes",
    "directions_of_step",
    "random_directions",
    "score_and_curvature",
    "svgd_joint_jacobian",
    "unit_directions",
    "hmc",
    "check_bandwidth",
    "kernel_bandwidth",
    "langevin",
    "leapfrog",
    "particle_jacobian",
    "rbf_kernel",
    "squared_distances",
    "svgd",
    "svgd_density_change",
    "svgd_direction",
    "svgd_jacobian",
    "svgd_step",
]

answer_removed_names(__name__)

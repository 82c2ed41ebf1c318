"""TFP bijectors of expressive policies, and builders that chain them."""

from expol_tf.bijectors.action_box import ActionBox, BoxSpec
from expol_tf.bijectors.chains import flow_chain, make_transformations
from expol_tf.bijectors.conditioner import AffineConditioner
from expol_tf.bijectors.coupling import AffineCoupling
from expol_tf.bijectors.spline import ElementwiseSpline
from expol_tf.bijectors.squash import Squash, box_middle_and_half, to_action_units

__all__ = [
    "ActionBox",
    "AffineConditioner",
    "AffineCoupling",
    "BoxSpec",
    "ElementwiseSpline",
    "Squash",
    "box_middle_and_half",
    "flow_chain",
    "make_transformations",
    "to_action_units",
]

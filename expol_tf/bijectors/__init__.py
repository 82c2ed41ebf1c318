"""TFP bijectors of expressive policies, builders that chain them, and the box of actions."""

from expol_tf.bijectors.action_box import ActionBox, BoxSpec, into_box, require_box
from expol_tf.bijectors.chains import flow_chain, make_transformations
from expol_tf.bijectors.conditioner import AffineConditioner
from expol_tf.bijectors.coupling import AffineCoupling
from expol_tf.bijectors.spline import ElementwiseSpline
from expol_tf.bijectors.squash import Squash, require_squashable, to_action_units
from expol_tf.removed_names import answer_removed_names

__all__ = [
    "ActionBox",
    "AffineConditioner",
    "AffineCoupling",
    "BoxSpec",
    "ElementwiseSpline",
    "Squash",
    "flow_chain",
    "into_box",
    "make_transformations",
    "require_box",
    "require_squashable",
    "to_action_units",
]

answer_removed_names(__name__)

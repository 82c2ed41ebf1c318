"""The library's only import of Keras: Keras 2, which from TensorFlow 2.16 on is the package tf-keras."""

from __future__ import annotations

import tensorflow as tf

from expol_tf.errors import DependencyError

# Keras 2 has tf.keras.__internal__, Keras 3 has not. TF-Agents imports without complaint on either.
if not hasattr(tf.keras, "__internal__"):
    version = ".".join(tf.__version__.split(".")[:2])
    found = getattr(tf.keras, "__version__", "of another version")
    raise DependencyError(
        f"tf.keras must be Keras 2; got Keras {found}. Install it (pip install 'tf-keras=={version}.*'), and "
        "import expol_tf before TF-Agents and all else that uses tf.keras, or set the environment variable "
        "TF_USE_LEGACY_KERAS=1."
    )

keras = tf.keras

"""The library's only import of Keras, so that another Keras 2 (tf-keras) is one line away."""

from __future__ import annotations

import tensorflow as tf

keras = tf.keras

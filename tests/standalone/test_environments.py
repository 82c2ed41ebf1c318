"""expol_tf.environments needs nothing but what its BUILD file names."""

from __future__ import annotations

from tests.standalone.standing_alone import import_all


def test_it_imports_with_its_own_dependencies():
    assert import_all("environments")

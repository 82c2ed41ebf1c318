"""The names of gin-config that are not public: if one of these fails, gin has changed."""

from __future__ import annotations

import importlib.metadata

import gin
from gin import config as gin_config

from expol_tf.configuration import gin_internals


@gin.configurable(module="harbours")
class Harbour:
    """Registered by decorating."""

    def __init__(self, depth: int = 1, berths: tuple[int, ...] = ()) -> None:
        self.depth = depth


class Quay:
    """Registered from outside."""


Moored = gin.external_configurable(Quay, "Quay", module="harbours")


def test_the_version_is_one_of_those_that_were_looked_at() -> None:
    major, minor = importlib.metadata.version("gin-config").split(".")[:2]
    assert (int(major), int(minor)) == (0, 5), "compare gin_internals.py with gin's config.py"


def test_the_names_are_there() -> None:
    for name in (
        "_REGISTRY",
        "_CONSTANTS",
        "_find_class_construction_fn",
        "Configurable",
        "ConfigurableReference",
    ):
        assert hasattr(gin_config, name), name


def test_the_registry_tells_what_is_registered() -> None:
    assert gin_internals.selectors("Harbour") == ["harbours.Harbour"]
    assert gin_internals.selectors("NoHarbour") == []
    assert gin_internals.short_name("harbours.Harbour") == "Harbour"
    entries = gin_internals.entries()
    assert entries["harbours.Harbour"].wrapped is Harbour
    assert entries["harbours.Quay"].wrapped is Quay and entries["harbours.Quay"].wrapper is Moored


def test_constants_are_known() -> None:
    gin.constant("harbours_test.DEPTH", 3)
    assert gin_internals.is_constant("harbours_test.DEPTH")
    assert not gin_internals.is_constant("harbours_test.HEIGHT")


def test_a_bound_reference_tells_what_gin_passes() -> None:
    gin.parse_config("Harbour.berths = (@Quay, @inner/Quay(), %WIDTH)\nWIDTH = 3")
    try:
        plain, made, macro = gin.get_bindings("Harbour", resolve_references=False)["berths"]
    finally:
        gin.clear_config()
    assert all(isinstance(item, gin_internals.ConfigurableReference) for item in (plain, made, macro))
    assert not plain.evaluate and plain.scoped_configurable_fn is Moored
    assert made.evaluate and made.config_key == ("inner", "harbours.Quay")
    assert macro.evaluate and macro.config_key == ("WIDTH", "gin.macro")

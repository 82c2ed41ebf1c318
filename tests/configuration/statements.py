"""Configurations of texts, for the tests of what texts mean."""

from __future__ import annotations

import dataclasses

from expol_tf import configuration
from expol_tf.configuration import Configuration, gin_syntax


def resolved(root: str, *texts: str, ours: str = "") -> Configuration:
    """The configuration of a file of the library and the user's statements after it."""
    library = [
        dataclasses.replace(statement, author="library")
        for statement in gin_syntax.read_bindings([ours], source="ours.gin")
        if isinstance(statement, gin_syntax.Binding)
    ]
    return configuration.resolve([*library, *gin_syntax.read_bindings(texts, source="test.gin")], root=root)

"""Whoever gives an agent or another part an argument of an earlier version is told the new one."""

from __future__ import annotations

import pytest

from expol_tf import agents, distributions, networks, optimizers, samplers
from expol_tf.errors import ConfigurationError
from expol_tf.renamed import RENAMED

ARGUMENTS = [name.split(".") for name in sorted(RENAMED) if "." in name]
NAMED_AGENTS = {
    f"{algorithm}Agent"
    for algorithm in ("Trpo", "Ppo", "Acktr", "Sac", "Sql", "S2ac", "Parpi", "Nbp", "Ddpg", "ActorCritic")
}
# Classes that are gone themselves, whose constructors nobody can call.
GONE = {"Backup", "SacBackup", "SqlBackup"}


def class_or_function(name):
    for package in (agents, distributions, networks, optimizers, samplers):
        if hasattr(package, name):
            return getattr(package, name)
    raise LookupError(name)


@pytest.mark.parametrize(
    ("owner", "argument"), [pair for pair in ARGUMENTS if pair[0] not in GONE], ids=lambda value: value
)
def test_a_removed_argument_is_answered_with_the_new_one(owner, argument):
    with pytest.raises(ConfigurationError) as refused:
        class_or_function(owner)(**{argument: None})
    # gin adds lines of its own.
    assert (
        str(refused.value).splitlines()[0] == f"{owner}.{argument} is now {RENAMED[f'{owner}.{argument}']}."
    )


def test_the_table_has_every_named_agent():
    assert {owner for owner, _ in ARGUMENTS} >= NAMED_AGENTS


def test_a_class_that_is_gone_is_exported_no_more():
    assert GONE == {name for name in RENAMED if "." not in name}
    assert not any(hasattr(agents, name) for name in GONE)


@pytest.mark.parametrize(
    "new", sorted({new for new in RENAMED.values() if new.count(".") == 1 and " " not in new})
)
def test_the_new_argument_exists(new):
    owner, attribute = new.split(".")
    cls = class_or_function(owner)
    if not hasattr(cls, attribute):
        assert attribute in (
            getattr(cls, "__dataclass_fields__", {}) or cls.__init__.__signature__.parameters
        )

"""Random values in gin's syntax and in Python: fine ones, wrong ones, and strange ones."""

from __future__ import annotations

import dataclasses
import random
import string
from collections.abc import Callable

Draw = Callable[[random.Random], str]


def pick(rng: random.Random, *items: str) -> str:
    """Returns one of the items."""
    return rng.choice(items)


def word(rng: random.Random) -> str:
    """Returns a quoted string."""
    kind = rng.randrange(6)
    if kind == 0:
        text = "".join(rng.choices(string.ascii_letters, k=rng.randint(1, 9)))
    elif kind == 1:
        text = ""
    elif kind == 2:
        text = rng.choice(
            ["a\nb", "a\x00b", "é✓𝔸", "%s %d {0}", "../../x", "<script>", "'\"", "\x1b[31m", "\ud800"]
        )
    elif kind == 3:
        text = str(rng.choice([1, -2, 3.5, "1e5", "0x10", "nan", "None", "True"]))
    elif kind == 4:
        text = rng.choice(
            ["Hopper-v5", "train", "@train", "%SEED", "SacAgent", "relu", "auto", "min", "sync"]
        )
    else:
        text = "x" * rng.choice([300, 5000])
    return repr(text)


def container(rng: random.Random, depth: int = 0) -> str:
    """Returns a list, a tuple or a dictionary of anything."""
    items = [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    kind = rng.randrange(3)
    if kind == 0:
        return f"[{', '.join(items)}]"
    if kind == 1:
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return "{" + ", ".join(f"{word(rng)}: {item}" for item in items) + "}"


def reference(rng: random.Random) -> str:
    """Returns a reference to something, called or not."""
    name = pick(
        rng, "train", "SacAgent", "PpoAgent", "Adam", "TargetUpdate", "GaussianActorNetwork", "NoSuchThing",
        "OffPolicyRunner", "CheckpointStore", "Evaluator", "load", "load_vector", "configure_devices",
        "ValueNetwork", "ObservationNormalizer", "gin.singleton", "gin.constant", "gin.macro", "Sweep",
        "CriticNetwork",
    )  # fmt: skip
    scope = pick(rng, "", "", "", "actor/", "a/b/", "train/")
    return f"@{scope}{name}{pick(rng, '', '()')}"


def macro(rng: random.Random) -> str:
    """Returns a macro, mostly one that there is."""
    return "%" + pick(rng, "SEED", "NUM_ENVS", "TASK", "GAMMA", "UNDEFINED", "a.b", "expol_tf.x")


def number(rng: random.Random) -> str:
    """Returns a number of any kind, none so large that it is a long run."""
    kind = rng.randrange(6)
    if kind == 0:
        return str(rng.randint(-10, 10))
    if kind == 1:
        return repr(rng.uniform(-2, 2))
    if kind == 2:
        return pick(rng, "1e999", "-1e999", "1e-320", "0.0", "-0.0")
    if kind == 3:
        return str(rng.choice([-1, 1]) * rng.getrandbits(rng.choice([70, 200, 2000])))
    if kind == 4:
        return pick(rng, "1j", "0j", "0x10", "0b1", "1_0", "007", "1.", ".5", "5e-1")
    return pick(rng, "True", "False")


def anything(rng: random.Random, depth: int = 0) -> str:
    """Returns any value."""
    draws: list[Draw] = [number, number, word, reference, macro, _odd]
    if depth < 3:
        draws.append(lambda generator: container(generator, depth))
    return rng.choice(draws)(rng)


def _odd(rng: random.Random) -> str:
    return pick(
        rng, "None", "b'x'", "...", "[[[[[[1]]]]]]", "{}", "()", "[]", "{1: 2}", "'a' 'b'", "-None", "not 1",
        "1 + 1", "lambda: 0", "print", "__import__('os')", "f'{1}'", "[1 for x in y]", "{'a'}", "r'\\'",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Domain:
    """The values that a parameter may have.

    Attributes:
      good: Draws one of them.
      bad: Draws a number or a string of the right kind, but outside of the parameter's range.
      number: Whether it is a number, so that text and truth values cannot be meant.
      nullable: Whether None is one of them.
    """

    good: Draw
    bad: Draw
    number: bool = True
    nullable: bool = False

    def nonsense(self, rng: random.Random) -> str:
        """Draws a value that cannot be meant."""
        if rng.random() < 0.5:
            return self.bad(rng)
        wrong: list[Draw] = [
            lambda generator: repr("".join(generator.choices(string.ascii_letters, k=5)) + " "),
            lambda generator: pick(generator, "{}", "{'a': 1}", "b'1'", "[{}]", "1j", "[[1], 'a']"),
            lambda generator: "@train" if self.number else "1j",
        ]
        if self.number:
            wrong.append(lambda generator: pick(generator, "True", "False", "[1]", "(2, 3)", "'1'", "()"))
        if not self.nullable:
            wrong.append(lambda generator: "None")
        return rng.choice(wrong)(rng)


def _negative(rng: random.Random) -> str:
    return pick(rng, str(-rng.randint(1, 1000)), repr(-rng.uniform(1e-6, 10)), "-1e999", "-1")


def _no_number(rng: random.Random) -> str:
    return pick(rng, "1e999", "-1e999")


def _no_count(rng: random.Random) -> str:
    return pick(
        rng,
        "0",
        _negative(rng),
        _no_number(rng),
        repr(rng.randint(1, 9) + rng.uniform(0.1, 0.9)),
        "0.5",
        "0.0",
    )


def _count(rng: random.Random) -> str:
    return str(rng.randint(1, 8))


COUNT = Domain(_count, _no_count)
NATURAL = Domain(
    lambda rng: str(rng.randint(0, 8)), lambda rng: pick(rng, _negative(rng), _no_number(rng), "1.5")
)
POSITIVE = Domain(
    lambda rng: repr(10 ** rng.uniform(-4, -1)),
    lambda rng: pick(rng, "0", "0.0", _negative(rng), _no_number(rng)),
)
# Nothing moves at a rate of 0, which may be meant.
RATE = dataclasses.replace(POSITIVE, bad=lambda rng: pick(rng, _negative(rng), _no_number(rng)))
MAYBE_POSITIVE = dataclasses.replace(POSITIVE, nullable=True)
NOT_NEGATIVE = Domain(
    lambda rng: repr(rng.uniform(0, 1)), lambda rng: pick(rng, _negative(rng), _no_number(rng))
)
UNIT = Domain(
    lambda rng: repr(rng.uniform(0.1, 0.99)),
    lambda rng: pick(rng, _negative(rng), _no_number(rng), repr(1 + rng.uniform(0.01, 9))),
)
FINITE = Domain(lambda rng: repr(rng.uniform(-1, 0.5)), _no_number)
FLAG = Domain(
    lambda rng: pick(rng, "True", "False"), lambda rng: pick(rng, "'yes'", "None", "[]"), number=False
)


def choice(*names: str) -> Domain:
    """Returns the domain of some strings."""
    return Domain(
        lambda rng: repr(rng.choice(names)),
        lambda rng: pick(rng, "'no such thing'", "''", "3", repr(names[0] + "x"), "-1.5", "['a']"),
        number=False,
    )


SIZES = Domain(
    lambda rng: pick(rng, "(4,)", "(4, 3)", "[4]"),
    lambda rng: pick(
        rng,
        f"({_no_count(rng)},)",
        f"(4, {_no_count(rng)})",
        "('4',)",
        "(None,)",
        "(True,)",
        "4.5",
        "'44'",
        "((4,),)",
    ),
    number=False,
)

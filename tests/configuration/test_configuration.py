from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

import gin
import pytest

from expol_tf import configuration
from expol_tf.configuration import Configuration, configuration_from_call, gin_syntax
from expol_tf.errors import ConfigurationError
from expol_tf.renamed import RENAMED
from tests.configuration import statements
from tests.configuration.steered import Steered


@gin.configurable(module="boats")
class Sail:
    def __init__(self, area: float = 1.0, colours: Sequence[str] = ("red",)) -> None:
        self.area = area
        self.colours = colours


@gin.configurable(module="boats")
class Anchor:
    def __init__(self, weight: int = 5) -> None:
        self.weight = weight


@gin.configurable(module="boats")
class Crew:
    def __init__(self, size: int = 1, captain: object = None) -> None:
        self.size = size


@gin.configurable(module="boats")
class Boat:
    def __init__(self, sail: Callable = Sail, length: float | None = None, secret: object = None) -> None:
        self.sail = sail()
        self.length = length


@gin.configurable(module="boats")
class Dinghy(Sail):
    """Inherits the constructor, and with it the answers to old names."""

    def __init__(self, area: float = 1.0, **options: object) -> None:
        super().__init__(area)


@gin.configurable(module="boats")
@dataclasses.dataclass(frozen=True)
class Rudder(Steered):
    """A base of another module, whose names this one lacks."""

    angle: float | None = 1.0
    steps: tuple[int, ...] = (1, 2)
    crew: tuple[object, ...] = ()
    made: int = dataclasses.field(default=0, init=False)


@gin.configurable(module="boats", denylist=["hidden"])
def train_boats(
    root_dir: str | None = None,
    task: str | Callable = gin.REQUIRED,
    boat: Callable = Boat,
    num_env_steps: int = 1000,
    seed: int = 0,
    eval_interval: int = 50,
    bound: float = 3.0,
    extras: Sequence = (),
    hidden: int = 0,
) -> Configuration:
    arguments = dict(locals())
    boat()
    return configuration_from_call("train_boats", arguments)


EXPERIMENT = """
TASK = "Pond-v0"
NUM_ENV_STEPS = 500
SEED = 1
train_boats.task = %TASK
train_boats.num_env_steps = %NUM_ENV_STEPS
train_boats.seed = %SEED
train_boats.boat = @Boat
Sail.area = 2.5
"""


@pytest.fixture(autouse=True)
def empty_gin() -> Iterator[None]:
    gin.clear_config()
    yield
    gin.clear_config()


resolved = functools.partial(statements.resolved, "train_boats")


def refused(*texts: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        resolved(*texts)
    assert gin.config_str() == "", "a refused configuration left bindings behind"
    return str(caught.value)


def test_later_statements_override_earlier_ones_and_flags_override_all() -> None:
    result = resolved(EXPERIMENT, "Sail.area = 4.0\nTASK = 'Lake-v0'").override("seed", 7)
    assert result.value("Sail.area") == 4.0
    assert result.value("train_boats.task") == "Lake-v0"
    assert result.value("train_boats.seed") == 7
    assert result.value("train_boats.num_env_steps") == 500
    assert result.value("train_boats.eval_interval") == 50, "an unbound parameter has its default"
    assert resolved().value("train_boats.task") is None, "gin.REQUIRED is no value"


def test_a_flag_overrides_a_parameter_without_a_macro() -> None:
    result = resolved("train_boats.task = 'Pond-v0'\ntrain_boats.seed = 3").override("seed", 4)
    assert result.override("num_env_steps", 9).value("train_boats.num_env_steps") == 9
    assert result.value("train_boats.seed") == 4


def test_a_flag_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--seed: SEED: train_boats.seed must be int; got 'x'"):
        resolved(EXPERIMENT).override("seed", "x")


def test_apply_gives_gin_exactly_this() -> None:
    gin.bind_parameter("Anchor.weight", 77)
    resolved(EXPERIMENT).override("seed", 5).apply()
    assert Sail().area == 2.5
    assert Anchor().weight == 5
    assert gin.query_parameter("%SEED") == 5


def test_the_text_alone_means_the_same() -> None:
    first = resolved(EXPERIMENT).override("seed", 5)
    second = resolved(first.text)
    assert second.text == first.text
    assert second.fingerprint() == first.fingerprint()
    assert "SEED = 5\n" in first.text
    assert "include" not in first.text
    # Defaults too, so that it means the same after a default has changed.
    assert "Sail.colours = ('red',)  # default\n" in first.text
    assert "train_boats.eval_interval = 50  # default\n" in first.text
    assert "root_dir" not in first.text


def test_the_text_leaves_out_macros_that_nothing_uses_any_more() -> None:
    text = resolved(EXPERIMENT, "train_boats.task = 'Sea-v0'").text
    assert "TASK" not in text.replace("# ", "")
    assert resolved(text).value("train_boats.task") == "Sea-v0"


def test_where_a_run_lies_is_no_part_of_it() -> None:
    result = resolved(EXPERIMENT, "train_boats.root_dir = '/data/run'")
    assert result.value("train_boats.root_dir") == "/data/run"
    assert "/data/run" not in result.text
    assert result.fingerprint() == resolved(EXPERIMENT).fingerprint()


def test_infinity_survives_the_text() -> None:
    result = resolved(EXPERIMENT, "train_boats.bound = 1e999")
    result.apply()
    assert resolved(result.text).value("train_boats.bound") == math.inf
    assert train_boats().value("train_boats.bound") == math.inf


def test_fingerprint_is_about_the_experiment_only() -> None:
    base = resolved(EXPERIMENT)
    assert base.fingerprint() == {"boats.Sail.area": "2.5", "boats.train_boats.task": "'Pond-v0'"}
    same = resolved(
        EXPERIMENT, "SEED = 9\nNUM_ENV_STEPS = 10\ntrain_boats.eval_interval = 1\nAnchor.weight = 5"
    )
    assert same.fingerprint() == base.fingerprint()
    assert resolved(EXPERIMENT, "Sail.area = 2.0").fingerprint() != base.fingerprint()
    assert resolved(EXPERIMENT, "TASK = 'Lake-v0'").fingerprint() != base.fingerprint()


def test_a_schedule_over_the_runs_length_does_not_hinder_its_extension() -> None:
    schedule = "train_boats.bound = %NUM_ENV_STEPS"
    short, long = resolved(EXPERIMENT, schedule), resolved(EXPERIMENT, schedule, "NUM_ENV_STEPS = 10")
    assert short.fingerprint() == long.fingerprint()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sial.area = 1.0", "no configurable is named 'Sial'. Did you mean 'Sail'?"),
        ("SAIL.area = 1.0", "Did you mean 'Sail'?"),
        ("Sail.areas = 1.0", "Sail has no parameter 'areas'. Did you mean 'area'?"),
        ("train_boats.hidden = 1", "train_boats has no parameter 'hidden'."),
        ("train_boats.boat = @Baot", "no configurable is named 'Baot'. Did you mean 'Boat'?"),
        ("TAKS = 'Lake-v0'", "the macro TAKS is defined, but nothing uses it. Did you mean 'TASK'?"),
        ("task = 'Lake-v0'", "the macro task is defined, but nothing uses it. Did you mean 'TASK'?"),
        ("train_boats.task = %TAKS", "the macro %TAKS is not defined. Did you mean 'TASK'?"),
        ("OTHER = 1\nTHIRD = %OTHER", "the macro THIRD is defined, but nothing uses it."),
        ("A = %B\nB = %A\nSail.area = %A", "is defined by itself: A → B → A"),
        ("big/Sail.area = 1.0", "nothing refers to the scope 'big'. Refer to it as @big/Sail."),
        ("import no_such_module", "the module 'no_such_module' cannot be imported"),
    ],
)
def test_names_are_checked(text: str, words: str) -> None:
    message = refused(EXPERIMENT, text)
    assert words in message
    assert "test.gin:" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Sail.area = 'big'", "Sail.area must be float; got 'big'."),
        ("Sail.area = True", "Sail.area must be float; got True."),
        ("Sail.colours = 'red'", "Sail.colours must be a sequence of str; got 'red'."),
        ("Sail.colours = (1,)", "Sail.colours must be a sequence of str"),
        ("Anchor.weight = 1e3", "Anchor.weight must be int; got 1000.0. Write 1000."),
        ("NUM_ENV_STEPS = 1e6", "NUM_ENV_STEPS: train_boats.num_env_steps must be int"),
        ("train_boats.boat = 'Boat'", "must be a function or class; got 'Boat'. Write @Boat."),
        ("Sail.area = @Boat", "Sail.area must be float; got @Boat."),
        ("Boat.length = 'x'", "Boat.length must be float or None; got 'x'."),
    ],
)
def test_types_are_checked(text: str, words: str) -> None:
    assert words in refused(EXPERIMENT, text)


@pytest.mark.parametrize(
    "text",
    [
        "Sail.area = 2",
        "Boat.length = None",
        "Boat.secret = @Anchor()",
        "train_boats.task = @Anchor",
        "Sail.colours = ['a', 'b']",
        "train_boats.boat = @big/Boat\nbig/Boat.length = 3.0",
        "Boat.secret = {'anything': (1, @Sail)}",
    ],
)
def test_right_types_pass(text: str) -> None:
    resolved(EXPERIMENT, text).apply()


def test_an_overridden_mistake_is_still_one() -> None:
    assert "no parameter 'aera'" in refused(EXPERIMENT, "Sail.aera = 1.0", "Sail.area = 1.0")


def test_constants_of_the_users_code_are_no_macros() -> None:
    gin.constant("boats_test.BIG", 12.0)
    result = resolved(EXPERIMENT, "Sail.area = %boats_test.BIG")
    result.apply()
    assert Sail().area == 12.0
    assert "Sail.area = %boats_test.BIG" in result.text


def test_modules_of_the_user_register_configurables(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    source = "import gin\n@gin.configurable\ndef kayak(paddles: int = 1):\n  return paddles\n"
    (tmp_path / "boats_of_the_user.py").write_text(source)
    text = "import boats_of_the_user\nkayak.paddles = 2\nBoat.secret = @kayak"
    result = resolved(EXPERIMENT, text)
    assert result.text.count("import boats_of_the_user\n") == 1
    assert resolved(result.text).value("kayak.paddles") == 2


def test_a_binding_that_nothing_uses_is_an_error() -> None:
    result = resolved(EXPERIMENT)
    result.apply()
    train_boats()
    result.in_use()
    result = resolved(EXPERIMENT, "Anchor.weight = 6")
    result.apply()
    train_boats()
    with pytest.raises(ConfigurationError, match="test.gin:1: Anchor.weight is bound, but nothing"):
        result.in_use()
    Anchor()
    result.in_use()


def test_a_default_that_is_replaced_is_not_used() -> None:
    result = resolved(EXPERIMENT, "Boat.sail = @Anchor\nBoat.length = 2.0")
    result.apply()
    train_boats()
    with pytest.raises(ConfigurationError, match="Sail.area is bound, but nothing"):
        result.in_use()


CREW = "Boat.secret = @Crew\nCrew.captain = @old/Anchor()\nold/Anchor.weight = 6\nCrew.size = 3"


def test_what_a_file_of_ours_sets_on_a_part_that_another_replaced_is_left_out() -> None:
    """The settings of what only that part referred to as well, also in a scope."""
    result = resolved(EXPERIMENT, "Boat.secret = @Sail()\nSail.area = 9.0", ours=CREW)
    assert "Crew" not in result.text and "Anchor" not in result.text
    assert resolved(result.text).text == result.text
    result.apply()
    train_boats()
    result.in_use()


@pytest.mark.parametrize("order", [1, -1])
def test_what_the_user_sets_on_a_part_that_another_replaced_is_an_error(order: int) -> None:
    statements = ["Boat.secret = @Sail()", "Crew.size = 4"][::order]
    with pytest.raises(ConfigurationError, match="^test.gin:1: Crew.size is bound, but nothing in this"):
        resolved(*statements, EXPERIMENT, ours=CREW)
    with pytest.raises(
        ConfigurationError, match="^test.gin:3: old/Anchor.weight is bound, .* as @old/Anchor"
    ):
        resolved(EXPERIMENT, "\n\nold/Anchor.weight = 4\nBoat.secret = @Anchor", ours=CREW)


def test_a_part_of_a_recorded_configuration_can_be_replaced(tmp_path: pathlib.Path) -> None:
    recorded = tmp_path / "config.gin"
    recorded.write_text(resolved(EXPERIMENT, CREW).text)
    record = gin_syntax.read_files([str(recorded)])
    replaced = configuration.resolve(
        [*record, *gin_syntax.read_bindings(["Boat.secret = @Sail()"])], root="train_boats"
    )
    assert "Crew" not in replaced.text and "Anchor" not in replaced.text


def test_what_a_file_of_ours_sets_in_vain_is_not_recorded() -> None:
    result = resolved(EXPERIMENT, ours="Anchor.weight = 6")
    result.apply()
    train_boats()
    assert "Anchor" in result.text
    assert "Anchor" not in result.in_use().text


def test_settings_stay_where_something_else_refers_to_them() -> None:
    first = "Boat.secret = (@Crew, @Anchor)\nCrew.size = 3\nAnchor.weight = 6\ntrain_boats.extras = [@Anchor]"
    result = resolved(EXPERIMENT, "Boat.secret = @Sail()", ours=first)
    assert "Crew" not in result.text
    assert result.value("Anchor.weight") == 6


def test_settings_stay_where_a_part_gave_way_to_a_value() -> None:
    result = resolved(EXPERIMENT, "Boat.secret = @Crew\nCrew.size = 3", "Boat.secret = None")
    assert result.value("Crew.size") == 3


def test_what_is_referred_to_counts_as_used() -> None:
    result = resolved(EXPERIMENT, "Anchor.weight = 6\nBoat.secret = (1, @Anchor)")
    result.apply()
    train_boats()
    result.in_use()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Sail.surface = 1.0", "Sail.surface is now Sail.area."),
        ("Dinghy.surface = 1.0", "Sail.surface is now Sail.area."),
        ("Barge.oars = 2", "Barge.oars is now Crew.size."),
        ("Boat.secret = @Raft()", "Raft is now Boat."),
    ],
)
def test_names_of_earlier_versions_are_answered(
    text: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"Sail.surface": "Sail.area", "Barge.oars": "Crew.size", "Raft": "Boat"}
    for old, new in names.items():
        monkeypatch.setitem(RENAMED, old, new)
    assert refused(f"\n{text}") == f"test.gin:2: {answer}"


def test_dataclasses_are_configurables() -> None:
    """Their annotations are text, which the module of each base must evaluate."""
    result = resolved(
        EXPERIMENT, "Boat.secret = @Rudder()\nRudder.angle = 2\nRudder.steering = %STEER\nSTEER = 1"
    )
    assert "Rudder.steps = (1, 2)  # default\n" in result.text
    result.apply()
    assert gin.get_bindings("Boat")["secret"] == Rudder(angle=2, steering=1)
    gin.clear_config()
    assert "Rudder.angle must be float or None; got 'x'." in refused(
        "Boat.secret = @Rudder()\nRudder.angle = 'x'"
    )
    assert "Rudder.steering must be int; got 1.0. Write 1." in refused("Rudder.steering = 1.0")
    assert "has no parameter 'angel'. Did you mean 'angle'?" in refused("Rudder.angel = 1.0")
    assert "has no parameter 'made'" in refused("Rudder.made = 1")


def test_objects_of_dataclasses_become_bindings() -> None:
    given = functools.partial(Boat, secret=Rudder(angle=3.0, crew=(Rudder(steering=7), Crew)))
    result = train_boats(task="Pond-v0", boat=given)
    assert result.unwritable == {}
    resolved(result.text).apply()
    with gin.config_scope("train_boats_boat"):
        assert gin.get_bindings("Boat")["secret"] == Rudder(angle=3.0, crew=(Rudder(steering=7), Crew))
    gin.clear_config()
    # A field that has its default must undo what gin holds for others.
    gin.parse_config("Rudder.angle = 9.0")
    result = train_boats(task="Pond-v0", extras=(Rudder(angle=None),))
    resolved(result.text).apply()
    assert gin.get_bindings("train_boats")["extras"] == (Rudder(angle=None),)


def test_a_call_without_gin() -> None:
    result = train_boats(task="Pond-v0", num_env_steps=20)
    assert result.value("train_boats.num_env_steps") == 20
    assert result.fingerprint() == {"boats.train_boats.task": "'Pond-v0'"}
    again = resolved(result.text)
    assert again.fingerprint() == result.fingerprint()
    assert again.text == result.text


def test_a_call_under_gin_keeps_what_gin_holds() -> None:
    held = resolved(EXPERIMENT, "train_boats.boat = @big/Boat\nbig/Boat.length = 3.0")
    held.apply()
    assert train_boats().text == held.text
    changed = train_boats(seed=8, task="Sea-v0")
    assert changed.value("train_boats.seed") == 8
    assert changed.value("train_boats.task") == "Sea-v0"
    assert changed.value("Sail.area") == 2.5
    assert train_boats(num_env_steps=1000).value("train_boats.num_env_steps") == 1000, "a default, but given"


def test_a_call_under_a_users_own_gin() -> None:
    gin.parse_config("UNUSED = 3\nSail.area = 9.0\ntrain_boats.task = 'Pond-v0'")
    result = train_boats(seed=2)
    assert result.fingerprint() == {"boats.Sail.area": "9.0", "boats.train_boats.task": "'Pond-v0'"}
    assert resolved(result.text).value("train_boats.seed") == 2


def test_partials_of_configurables_become_bindings() -> None:
    sail = functools.partial(Sail, 3.0, colours=["blue"])
    result = train_boats(task="Pond-v0", boat=functools.partial(Boat, sail=sail, length=4.0))
    resolved(result.text).apply()
    boat = gin.get_bindings("train_boats")["boat"]()
    assert (boat.sail.area, boat.sail.colours, boat.length) == (3.0, ["blue"], 4.0)
    assert Boat().sail.area == 1.0, "a partial's arguments hold for that use alone"


def test_the_keywords_of_partials_are_checked() -> None:
    words = r"train_boats\(\): Sail has no parameter 'aera'. Did you mean 'area'?"
    with pytest.raises(ConfigurationError, match=words):
        train_boats(task="Pond-v0", extras=(functools.partial(Sail, aera=3.0),))


def test_what_gin_cannot_express_is_described() -> None:
    def pond() -> None:
        """A task of the user's."""

    boat = functools.partial(Boat, secret=object(), length=2.0)
    result = train_boats(task=pond, boat=boat)
    described = {
        "train_boats.task": f"<{__name__}.test_what_gin_cannot_express_is_described.<locals>.pond>",
        "train_boats.boat": "partial(@Boat, secret=<builtins.object object>, length=2.0)",
    }
    assert result.unwritable == result.fingerprint()
    for name, text in described.items():
        assert re.fullmatch(re.escape(text) + r"( code\[3\.\d+\]=\w+ source=\w+)?", result.unwritable[name])
    assert "# train_boats.task = <" in result.text
    with pytest.raises(ConfigurationError, match="only Python code can pass such objects"):
        result.apply()
    other = train_boats(task=pond, boat=functools.partial(Boat, secret=object(), length=3.0))
    assert other.fingerprint() != result.fingerprint()


def test_objects_with_other_settings_are_another_experiment() -> None:
    class Pond:
        def __init__(self, depth: float) -> None:
            self._depth = depth

    shallow, same, deep = (train_boats(task=Pond(depth)).fingerprint() for depth in (1.0, 1.0, 2.0))
    assert "depth=1.0" in shallow["train_boats.task"]
    assert shallow == same and shallow != deep


def test_containers_with_what_gin_cannot_express_are_not_written_in_part() -> None:
    result = train_boats(task="Pond-v0", extras=(1, object()))
    assert result.unwritable == {"train_boats.extras": "(1, <builtins.object object>)"}
    assert "\ntrain_boats.extras" not in result.text

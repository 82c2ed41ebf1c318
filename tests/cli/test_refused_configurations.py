"""Configurations that cannot be meant end in one message that names the place, before anything is made."""

from __future__ import annotations

import pathlib

import pytest

from expol_tf.cli.commands.train import train_main

SAC = "--gin_file=gin/sac.gin"


@pytest.fixture(autouse=True)
def user_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    return tmp_path


def refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """The message of a training program that refuses its configuration."""
    assert train_main(["expol-train", *arguments]) == 2, "accepted"
    message = capsys.readouterr().err
    assert message.count("expol-train: ") == 1 and "Traceback" not in message
    assert len(message) < 2000
    return message


def bound(capsys: pytest.CaptureFixture, text: str) -> str:
    return refused(capsys, SAC, f"--gin_bindings={text}", "--print_config")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NUM_ENV_STEPS = 0", "NUM_ENV_STEPS: train.num_env_steps must be 1 or more; got 0"),
        ("NUM_ENV_STEPS = -1", "train.num_env_steps must be 1 or more"),
        ("NUM_ENV_STEPS = 1e999", "train.num_env_steps must be int; got inf"),
        (
            f"NUM_ENV_STEPS = {10**400}",
            "train.num_env_steps must be 1 or more and at most 1,000,000,",
        ),
        ("EVAL_EPISODES = 0", "train.eval_episodes must be 1 or more; got 0. The default is 10"),
        ("EVAL_INTERVAL = -1", "train.eval_interval must be 0 or more; got -1"),
        ("CHECKPOINT_INTERVAL = 0", "train.checkpoint_interval must be 1 or more; got 0"),
        ("NUM_ENVS = 0", "train.num_envs must be 1 or more, or None; got 0"),
        ("NUM_ENVS = -3", "train.num_envs must be 1 or more, or None; got -3"),
        ("LOG_INTERVAL = 0", "train.log_interval must be 1 or more; got 0"),
        ("SEED = -1", "train.seed must be 0 or more; got -1"),
        ("SEED = True", "train.seed must be int; got True"),
        ("SEED = 'a'", "train.seed must be int; got 'a'"),
        ("SEED = 1.5", "train.seed must be int; got 1.5"),
        ("CriticFit.gamma = 1e999", "CriticFit.gamma must be in [0, 1]; got inf"),
        ("OffPolicyRunner.batch_size = 0", "OffPolicyRunner.batch_size must be 1 or more; got 0"),
        ("CriticNetwork.hidden_units = (256, 0)", "hidden_units must be 1 or more; got (256, 0)"),
        ("Adam.learning_rate = 1e39", "Adam.learning_rate must be 0 or more and at most"),
        ("FixedGaussianActorNetwork.variance = 1e-50", "as it is 0 in float32"),
        ("temperature/Adam.learning_rate = -1.0", "Adam.learning_rate must be 0 or more; got -1.0"),
        ("RATE = -1.0\nAdam.learning_rate = %RATE", "RATE: Adam.learning_rate must be 0 or more; got -1.0"),
        ("CheckpointStore.max_to_keep = 0", "CheckpointStore.max_to_keep must be 1 or more; got 0"),
        (
            "configure_devices.intra_op_threads = 1000000",
            "_threads must be 0 or more and at most 1,024",
        ),
        ("PolynomialDecay.decay_steps = 0", "PolynomialDecay.decay_steps must be positive; got 0"),
    ],
)
def test_fault_15_a_bound_number_out_of_its_range(
    text: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    message = bound(capsys, text)
    assert words in message and "--gin_bindings:" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "CriticNetwork.activation = 'no'",
            "activation must be Keras's name of an activation function, such",
        ),
        (
            "CriticNetwork.activation = 'PReLU'",
            "such as relu, elu or tanh; got 'PReLU'. The default is 'relu'",
        ),
        ("NoisyActorNetwork.activation = ''", "NoisyActorNetwork.activation must be Keras's name"),
        ("AffineConditioner.dtype = 'int32'", """dtype must be "float32" or "float64"; got 'int32'"""),
        ("TargetUpdate.name = 'a b'", "name must be a name of ASCII letters, digits and _; got 'a b'"),
        ("actor/Adam.name = ''", "Adam.name must be a name of ASCII letters, digits and _; got ''"),
        ("LearnedTemperature.name = 'é'", "LearnedTemperature.name must be a name of ASCII letters"),
        ("ObservationNormalizer.name = 'a/b'", "ObservationNormalizer.name must be a name of ASCII letters"),
    ],
)
def test_fault_15_a_bound_text_that_names_nothing(
    text: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    message = bound(capsys, text)
    assert words in message and "--gin_bindings:" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SEED = @train()", "train.seed must be int; got @train()"),
        ("train.observers = [@train()]", "@train() is the program itself"),
        ("train.backend = @train()\ntrain.backend = 'sync'", "train() is the program itself"),
        ("train.observers = [@train]", "@train is the program itself"),
        ("TASK = @train", "@train is the program itself"),
        ("train.seed = @SacAgent()", "train.seed must be int; got @expol_tf.SacAgent()"),
        (
            "train.make_kwargs = {'a': @load()}\nload.task = 'a'\nload.make_kwargs = {'b': [@load()]}",
            "load() would call itself without end: @load() → @load()",
        ),
        (
            "train.make_kwargs = {'a': @load()}\nload.task = @x/load_vector()\n"
            "x/load_vector.task = @load\nx/load_vector.make_kwargs = {'a': @load()}",
            "without end: @load_vector() → @load() → @load_vector()",
        ),
        (
            "train.observers = [@StopAtReturn()]",
            "StopAtReturn needs a value for 'target'. Write",
        ),
        ("train.seed = %a.b", "%a.b is neither a macro of these files nor a constant"),
        ("train.seed = %gin.REQUIRED", "%gin.REQUIRED stands for a value that is still missing"),
        ("train.seed = 1j", "train.seed must be int; got 1j"),
        ("train.seed = @gin.singleton()", "singleton needs a value for 'constructor'. Write one/singleton"),
        (
            "train.seed = @gin.constant()",
            "how gin reads a constant. Write the constant's name after a percent sign, %NAME",
        ),
        ("train.seed = @x/gin.constant()", "how gin reads a constant"),
        ("train.observers = [@gin.constant]", "how gin reads a constant"),
        ("train.observers = [@gin.singleton()]", "singleton needs a value for 'constructor'"),
        ("FlowActorNetwork.num_transformations = 1000000", "must be 0 or more and at most 1,000"),
        ("CriticNetwork.num_critics = 1000000", "must be 1 or more and at most 1,000"),
        ("CriticNetwork.hidden_units = (65536, 65536)", "must be 1 or more and at most 8,192"),
        ("gin.macro.value = 3", "a macro needs a name"),
        (
            "import raises",
            "the module 'raises' cannot be imported: ZeroDivisionError: division by zero",
        ),
        ("import exits", "the module 'exits' cannot be imported: SystemExit: 0"),
        (
            "NUM_ENVS = 1000000000",
            "train.num_envs must be 1 or more and at most 65,536, or None; got 1",
        ),
        (f"SEED = {'[' * 3000}{']' * 3000}", "too many brackets within each other"),
        (f"SEED = {'(' * 99_999}", "not valid gin syntax"),
        (f"train.make_kwargs = {{'a': {'[' * 60}{']' * 60}}}", "more than 20 containers within each other"),
        (f"SEED = {'9' * 5000}", "not valid gin syntax"),
        ("train.make_kwargs = {[1]: 2}", "unhashable type: 'list'"),
        ("include '~nouser/x.gin'", "the path '~nouser/x.gin' begins with the home directory of a user"),
        (f"include '{'a' * 5000}'", "aaaa'… must have names of at most 255 bytes"),
        (
            "SEED = %A0\n" + "\n".join(f"A{i} = %A{i + 1}" for i in range(3000)) + "\nA3000 = 1",
            "the macro SEED stands for more than 50 others",
        ),
        (
            "train.make_kwargs = {'a': %A0}\nA40 = 1\n"
            + "\n".join(f"A{i} = (%A{i + 1}, %A{i + 1})" for i in range(40)),
            "the macro A0 stands for more than 100,000 values",
        ),
    ],
)
def test_fault_16_a_statement_that_cannot_be_used(
    text: str, words: str, user_directory: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    (user_directory / "raises.py").write_text("1 / 0\n")
    (user_directory / "exits.py").write_text("import sys\nsys.exit(0)\n")
    assert words in bound(capsys, text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gin_file=~nouser/x.gin"], "begins with the home directory of a user that there is not"),
        ([f"--gin_file={'a' * 5000}"], "aaaa'… must have names of at most 255 bytes"),
        (
            [f"--gin_file={'a/' * 2500}x.gin"],
            "a/a/'… must have names of at most 255 bytes",
        ),
        (["--gin_file=gin/sac.gin/"], "'gin/sac.gin/' is a directory. Did you mean 'gin/sac.gin'?"),
        (["--gin_file=gin/sac.gin/."], "is a directory"),
        (["--gin_file=gin"], "'gin' is a directory"),
        (["--gin_file="], "the gin file '' does not exist"),
        (["--gin_file=a\0b"], "must not contain a NUL character"),
        ([SAC, "--device=cpu:1000000"], "up to 8 logical devices of the CPU"),
        ([SAC, "--device=cpu:9"], "up to 8 logical devices of the CPU"),
        ([SAC, f"--device=cpu:{'9' * 5000}"], "device must be"),
        ([SAC, f"--device=gpu:{'9' * 30}"], "device must be"),
        ([SAC, "--root_dir="], "--root_dir must be a path"),
        ([SAC, "--root_dir=~nouser/x"], "begins with the home directory of a user that there is not"),
        ([SAC, "--root_dir=a\0b"], "must not contain a NUL character"),
        ([SAC, "--gin_bindings=train.root_dir = 3"], "train.root_dir must be a path"),
        ([SAC, "--gin_bindings=train.root_dir = ''"], "train.root_dir must be a path"),
    ],
)
def test_fault_16_a_flag_that_cannot_be_used(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture
) -> None:
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize("includes", [1, 2])
def test_fault_16_files_that_include_each_other(
    includes: int, user_directory: pathlib.Path, capsys: pytest.CaptureFixture
) -> None:
    """2,000 files deep, and a tree of 2³⁰ files."""
    depth = {1: 2000, 2: 30}[includes]
    for index in range(depth):
        (user_directory / f"f{index}.gin").write_text(f"include 'f{index + 1}.gin'\n" * includes)
    (user_directory / f"f{depth}.gin").write_text("include 'gin/sac.gin'\n")
    message = refused(capsys, "--gin_file=f0.gin", "--print_config")
    assert "which is more than is read" in message


@pytest.mark.parametrize(
    "text",
    [
        "OffPolicyRunner.warm_up_steps = 0\nEVAL_INTERVAL = 0",
        "critic/Adam.learning_rate = 0\nCriticFit.optimizer = @critic/Adam()",
        "train.observers = [@StopAtReturn(), @KeepBestPolicy()]\nStopAtReturn.target = -100.5",
        "LogStd.bounds = [-5, 2]",
        "train.observers = [@best/gin.singleton()]\nbest/gin.singleton.constructor = @KeepBestPolicy",
        "NUM_ENVS = 65536\nSEED = 9223372036854775807",
    ],
)
def test_what_can_be_meant_is_accepted(text: str, capsys: pytest.CaptureFixture) -> None:
    assert train_main(["expol-train", SAC, f"--gin_bindings={text}", "--print_config"]) == 0
    assert "SEED = " in capsys.readouterr().out

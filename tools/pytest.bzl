"""The one way in which tests become Bazel targets."""

# Files that share a process: starting one takes longer than the tests of most files.
_FILES_TOGETHER = 8

def _pytest(name, files, data, deps, helpers = [], **attributes):
    """Makes a py_test that runs pytest on some files of the package, which import the helpers."""
    native.py_test(
        name = name,
        srcs = files + helpers + ["//tools:pytest_main.py"],
        # Without a main of its own a test file defines its tests, runs none of them, and passes.
        main = "//tools:pytest_main.py",
        args = ["%s/%s" % (native.package_name(), file) for file in files],
        data = data + ["//:test_settings"],
        deps = deps,
        **attributes
    )

def pytest_suite(data = [], deps = [], large = []):
    """Makes py_tests of every test_*.py in the package; new files need no edit.

    `bazel test //...` runs them eight files to a process (`together_1`, `together_2`, ...). A target of each file,
    named like it, is there to be asked for by name.

    Modules that only help tests (conftest.py, ...) go into a library that every test of the package gets.

    Args:
      data: files that the package's tests read, besides the gin files.
      deps: libraries that they import, besides expol_tf.
      large: names of tests that take minutes: each has a process of its own, and an hour on a machine that others
        share. The others have 15 minutes by themselves, an hour together.
    """
    files = native.glob(["test_*.py"])
    for name in large:
        if name + ".py" not in files:
            fail("`large` names %s, but there is no %s.py here." % (name, name))
    native.py_library(
        name = "helpers",
        testonly = True,
        srcs = native.glob(
            ["*.py"],
            exclude = ["test_*.py"],
            allow_empty = True,
        ),
        visibility = ["//tests:__subpackages__"],
    )
    deps = deps + ["//tests:helpers", "//expol_tf"]
    if native.package_name() != "tests":
        deps = deps + [":helpers"]
    data = data + ["//gin"]

    small = [file for file in files if file[:-len(".py")] not in large]
    for name in large:
        _pytest(name, [name + ".py"], data, deps, size = "large", timeout = "eternal")
    for file in small:
        _pytest(file[:-len(".py")], [file], data, deps, timeout = "long", tags = ["manual"])
    for first in range(0, len(small), _FILES_TOGETHER):
        name = "together_%d" % (first // _FILES_TOGETHER + 1)
        _pytest(name, small[first:first + _FILES_TOGETHER], data, deps, timeout = "eternal")

def standalone_suite():
    """Makes one py_test of every test_<package>.py, which depends on //expol_tf/<package> and no other package."""
    for file in native.glob(["test_*.py"]):
        name = file[:-len(".py")]
        package = "//expol_tf/" + name[len("test_"):]
        _pytest(name, [file], [], [package, "//tests:helpers"], helpers = ["standing_alone.py"], timeout = "long")

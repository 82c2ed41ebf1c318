"""The one way in which tests become Bazel targets."""

def pytest_suite(data = [], deps = [], large = []):
    """Makes one py_test of every test_*.py in the package, named like the file; new files need no edit.

    Modules that only help tests (conftest.py, ...) go into a library that every test of the package gets.

    Args:
      data: files that the package's tests read, besides the gin files.
      deps: libraries that they import, besides expol_tf.
      large: names of tests that may take an hour on a machine that others share; the others may take 15 minutes.
    """
    tests = native.glob(["test_*.py"])
    names = [test[:-len(".py")] for test in tests]
    for name in large:
        if name not in names:
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
    helpers = ["//tests:helpers"]
    if native.package_name() != "tests":
        helpers.append(":helpers")
    for name, test in zip(names, tests):
        native.py_test(
            name = name,
            size = "large" if name in large else "medium",
            # A shared machine may be three times slower than usual.
            timeout = "eternal" if name in large else "long",
            srcs = [
                test,
                "//tools:pytest_main.py",
            ],
            # Without a main of its own a test file defines its tests, runs none of them, and passes.
            main = "//tools:pytest_main.py",
            args = ["%s/%s" % (native.package_name(), test)],
            data = data + [
                "//:test_settings",
                "//gin",
            ],
            deps = deps + helpers + ["//expol_tf"],
        )

def standalone_suite():
    """Makes one py_test of every test_<package>.py, which depends on //expol_tf/<package> and no other package."""
    for test in native.glob(["test_*.py"]):
        name = test[:-len(".py")]
        native.py_test(
            name = name,
            size = "medium",
            timeout = "long",
            srcs = [
                test,
                "standing_alone.py",
                "//tools:pytest_main.py",
            ],
            main = "//tools:pytest_main.py",
            args = ["%s/%s" % (native.package_name(), test)],
            data = ["//:test_settings"],
            deps = [
                "//expol_tf/" + name[len("test_"):],
                "//tests:helpers",
            ],
        )

"""What a machine cannot run is left out in the open: printed, counted, and by nothing but need."""

from pathlib import Path

import pytest

from lab import platform

MODULE = """
import pytest

@pytest.mark.absent
def test_needs_what_is_absent(): assert False

@pytest.mark.present
def test_needs_what_is_there(): pass

def test_needs_nothing(): pass
"""
CONFTEST = """
from lab import platform
platform.needs = lambda: [
    platform.Need("absent", "a thing that no machine has", met=False),
    platform.Need("present", "a thing that all have", met=True),
]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_module=MODULE)
    pytester.makeconftest(CONFTEST)
    return pytester


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "xdist"])
def test_what_cannot_run_is_deselected_counted_and_named(
    suite: pytest.Pytester, how: list[str]
) -> None:
    result = suite.runpytest_subprocess("-p", "lab.platform", *how)
    result.assert_outcomes(passed=2, deselected=0 if how else 1)
    result.stdout.fnmatch_lines(
        ["platform: *", "*left out 1 of the tests: they need a thing that no machine has"]
    )


def test_the_profile_names_the_machine_and_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "needs", lambda: [platform.Need("x", "an x", met=False)])
    machine, *missing = platform.profile()
    assert machine.startswith("platform: ")
    assert missing == ["no x: an x"]


def test_no_need_looks_at_a_variable_that_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    before = platform.needs()
    for name in ("CI", "SKIP", "FIREDRILL_SKIP", "NO_SERVERS"):
        monkeypatch.setenv(name, "1")
    assert platform.needs() == before


def test_packages_are_named_as_registries_name_them() -> None:
    packages = platform.packages()
    assert packages["pytest"] == pytest.__version__
    assert list(packages) == sorted(packages)
    assert not any("_" in name or name != name.lower() for name in packages)


def test_a_found_cgroup_can_be_written() -> None:
    (need,) = (need for need in platform.needs() if need.mark == "cgroup")
    if need.met:
        assert Path("/sys/fs/cgroup").is_dir()

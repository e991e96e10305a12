"""A browser is found, or installed, or asked for by the exact command."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import browser


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    browser.executable.cache_clear()
    yield
    browser.executable.cache_clear()


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A machine without a browser, whose installers are recorded instead of run."""
    ran: list[list[str]] = []

    def record(command: list[str]) -> bool:
        ran.append(command)
        return False

    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(browser, "MAC_APPS", ())
    monkeypatch.setattr(browser, "_of_playwright", lambda: None)
    monkeypatch.setattr(browser, "_run", record)
    return ran


def machine(monkeypatch: pytest.MonkeyPatch, *, debian: bool, root: bool) -> None:
    monkeypatch.setattr(browser, "_is_debian", lambda: debian)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)


def test_a_browser_on_path_is_taken_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("google-chrome", "chromium"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.ensure() == tmp_path / "chromium"


def test_on_debian_root_installs_the_package_after_an_update(
    monkeypatch: pytest.MonkeyPatch, nothing: list[list[str]]
) -> None:
    machine(monkeypatch, debian=True, root=True)
    with pytest.raises(browser.BrowserUnavailable, match="Mend: sudo apt-get install"):
        browser.ensure()
    assert [command[:2] for command in nothing] == [["apt-get", "install"], ["apt-get", "update"]]


def test_on_debian_another_user_is_told_the_command_and_nothing_is_run(
    monkeypatch: pytest.MonkeyPatch, nothing: list[list[str]]
) -> None:
    machine(monkeypatch, debian=True, root=False)
    with pytest.raises(browser.BrowserUnavailable, match=r"sudo apt-get install .* chromium"):
        browser.ensure()
    assert nothing == []


def test_elsewhere_playwright_installs_its_own(
    monkeypatch: pytest.MonkeyPatch, nothing: list[list[str]]
) -> None:
    machine(monkeypatch, debian=False, root=False)
    with pytest.raises(browser.BrowserUnavailable, match="-m playwright install chromium"):
        browser.ensure()
    assert [command[-3:] for command in nothing] == [["playwright", "install", "chromium"]]


def test_what_was_installed_is_found(
    monkeypatch: pytest.MonkeyPatch, nothing: list[list[str]], tmp_path: Path
) -> None:
    machine(monkeypatch, debian=False, root=False)
    installed: list[Path] = []
    monkeypatch.setattr(browser, "_of_playwright", lambda: installed[0] if installed else None)

    def install(_: list[str]) -> bool:
        installed.append(tmp_path)
        return True

    monkeypatch.setattr(browser, "_run", install)
    assert browser.ensure() == tmp_path
    assert nothing == []


@pytest.mark.usefixtures("nothing")
def test_starting_without_a_browser_says_how_to_get_one() -> None:
    with pytest.raises(browser.BrowserUnavailable, match="Mend: "):
        browser.options()


@pytest.mark.parametrize(("user", "sandbox"), [(0, False), (1000, True)])
def test_the_sandbox_is_off_for_root_only(
    monkeypatch: pytest.MonkeyPatch, user: int, *, sandbox: bool
) -> None:
    monkeypatch.setattr(browser, "executable", lambda: Path("/usr/bin/chromium"))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert browser.options()["chromium_sandbox"] is sandbox


def test_a_missing_installer_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert not browser._run(["no-such-installer"])
    assert "no-such-installer" in capsys.readouterr().err

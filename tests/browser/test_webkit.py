"""A third engine, the one of Safari: WebKitGTK runs the pages' code, without stack switching."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from lab import platform, reap, reaper
from lab.process import spawn
from tests.browser.site import Site, serve
from tests.browser.test_run import STOP, policy

PAGE = "scenarios/rate-limiting/"
SQL_PAGE = "scenarios/large-datasets/"
START_SECONDS = 120


class Card:
    """The buttons of one file or one step, pressed as a reader does it."""

    def __init__(self, driver: webdriver.Remote, mark: str) -> None:
        self.driver = driver
        self.wait = WebDriverWait(driver, START_SECONDS, poll_frequency=0.05)
        self.at: WebElement = self.wait.until(
            lambda found: found.find_element(By.CSS_SELECTOR, f".fd-run[data-{mark}]")
        )
        self.wait.until(lambda _: self.buttons())

    def buttons(self) -> dict[str, WebElement]:
        """Those that are shown, by their words."""
        found = self.at.find_elements(By.TAG_NAME, "button")
        return {button.text: button for button in found if button.is_displayed()}

    def press(self, name: str) -> str:
        """Press a button, wait until nothing runs, and give what the status says."""
        self.begin(name)
        self.wait.until(lambda _: not self.at.find_elements(By.CSS_SELECTOR, "[aria-busy=true]"))
        return self.state()

    def begin(self, name: str) -> None:
        self.driver.execute_script("arguments[0].click()", self.buttons()[name])

    def state(self) -> str:
        return self.at.find_element(By.CSS_SELECTOR, "[role=status]").text

    def output(self) -> str:
        return self.at.find_element(By.CSS_SELECTOR, "[role=region]").text

    def insert(self, text: str) -> None:
        """Type a line at the start of the editor, which is opened where it is not.

        Its end is typed first: after a colon, and what comes behind it, the editor may indent the
        next line, depending on how far it has read what was typed.
        """
        if "Edit" in self.buttons():
            self.begin("Edit")
        self.wait.until(lambda _: self.at.find_elements(By.CSS_SELECTOR, ".cm-focused"))
        keys = ActionChains(self.driver).key_down(Keys.CONTROL).send_keys(Keys.HOME)
        keys.key_up(Keys.CONTROL).send_keys(Keys.ENTER, Keys.ARROW_UP, text).perform()


def workers() -> set[str]:
    """The threads of workers in the browser, which is a child of this process."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        for name in Path(f"/proc/{process.pid}/task").glob("*/comm"):
            with contextlib.suppress(OSError):  # it may go meanwhile
                if name.read_text() == "WebCore: Worker\n":
                    found.add(name.parent.name)
    return found


@pytest.fixture
def driver() -> Iterator[webdriver.Remote]:
    """WebKitGTK's own browser on a screen of its own; it goes with the test."""
    # The screen is chosen by the server, which prints it once it takes clients.
    with spawn(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    ) as x:
        assert x.stdout is not None
        display = next(line for line in x.stdout if line.strip().isdigit())
        screen = {"DISPLAY": f":{display.strip()}", "LIBGL_ALWAYS_SOFTWARE": "1"}
        # The mark lets the reaper find the driver and its browser should this process die.
        owned = {**os.environ, **screen, reap.MARK: str(reaper.current().folder)}
        options = Options()
        options.binary_location = platform.webkit()
        options.add_argument("--automation")
        with webdriver.WebKitGTK(
            options, Service(shutil.which("WebKitWebDriver"), env=owned)
        ) as driver:
            yield driver


# Selenium 4.51 calls itself in a way that it warns of.
@pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning")
@pytest.mark.webkit
def test_webkit_runs_edits_stops_and_plans(site: Site, driver: webdriver.Remote) -> None:
    """Under the strict policy: whatever runs asks nobody else."""
    with serve(site.folder, policy(site)) as strict:
        driver.get(strict.url + PAGE)
        card = Card(driver, "fd-run='naive_fixed_window.py'")
        assert card.press("Run").startswith("Finished: ")
        assert "requests passed" in card.output()
        assert card.press("Run its tests") == "Its tests pass: 4 of test_naive_fixed_window.py."
        # asyncio.run waits for a promise here, which is told to it in another way.
        waiting = Card(driver, "fd-run='concurrency_limit.py'")
        assert waiting.press("Run").startswith("Finished: ")
        assert "Run its tests" not in waiting.buttons()
        # No Reset between: it starts Python anew, which takes ten seconds here.
        card.insert("1 / 0")
        assert card.press("Run") == "ZeroDivisionError on line 1."
        card.insert("while True: pass")
        card.begin("Run")
        card.wait.until(lambda _: card.state() == "Running…")
        looping = workers()
        assert driver.execute_script(f"return ({STOP})(arguments[0])", card.at) == "Stopped."
        # WebKit takes a worker for ended whose program goes on; then its thread does not go.
        card.wait.until(lambda _: looping - workers())
        assert "Reset" in card.buttons()

        driver.find_element(By.CSS_SELECTOR, ".fd-sim button").click()
        card.wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, ".fd-sim input:focus"))
        caption = driver.find_element(By.CSS_SELECTOR, ".fd-sim figcaption")
        before = caption.text
        ActionChains(driver).send_keys(Keys.ARROW_RIGHT).perform()
        card.wait.until(lambda _: caption.text != before)

        driver.get(strict.url + SQL_PAGE)
        step = Card(driver, "step='1_offset'")
        assert step.press("Run") == "Finished: SELECT 10."
        assert step.press("Explain") == "Finished: the plan."
        assert "Seq Scan on orders (actual rows=100000.00" in step.output()

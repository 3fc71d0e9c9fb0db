"""A headless Chromium for tests of pages, where there is one."""

import shutil
import time
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
SWITCHES = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update "
    "disable-sync window-size=1280,900 force-color-profile=srgb"
)

needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver")


def start_browser(profile: Path):
    """A browser with an empty profile, which whoever starts it quits."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in (*SWITCHES.split(), f"user-data-dir={profile}"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, Service(DRIVER))


def until(browser, script):
    """Waits for a script to give something true, and returns that."""
    ends = time.monotonic() + 60
    while not (result := browser.execute_script(script)):
        assert time.monotonic() < ends, script
        time.sleep(0.05)
    return result

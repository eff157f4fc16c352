"""The settings of a test run: nothing from an earlier one, and no skip where none is allowed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest


def test_tests_have_no_network_and_a_cache_of_their_own() -> None:
    assert os.environ["VAE_COURSE_OFFLINE"] == "1"
    assert Path(os.environ["VAE_COURSE_CACHE"]).name.startswith("vae-course-tests-")


@pytest.mark.parametrize("required", ["browser,colab", "colab, browser", "browser"])
def test_a_skip_that_is_required_fails(
    missing: Callable[[str, str], NoReturn], monkeypatch: pytest.MonkeyPatch, required: str
) -> None:
    monkeypatch.setenv("VAE_COURSE_REQUIRE", required)
    with pytest.raises(pytest.fail.Exception, match="asks for browser: no Chromium"):
        missing("browser", "no Chromium")


@pytest.mark.parametrize("required", ["", "colab", "browsers"])
def test_other_skips_are_skips(
    missing: Callable[[str, str], NoReturn], monkeypatch: pytest.MonkeyPatch, required: str
) -> None:
    monkeypatch.setenv("VAE_COURSE_REQUIRE", required)
    with pytest.raises(pytest.skip.Exception, match="browser: no Chromium"):
        missing("browser", "no Chromium")

"""What every test stands on: no network, one cache for the whole run, and skips that can be forbidden."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ALL_SLOW = re.compile(r"^pytestmark = .*\bpytest\.mark\.slow\b", re.MULTILINE)


def pytest_configure(config: pytest.Config) -> None:
    """Settings that workers and the kernels of nbval inherit, so they stand before either is started."""
    os.environ.setdefault("VAE_COURSE_OFFLINE", "1")
    if not hasattr(config, "workerinput"):
        # Always new and shared: digits are drawn once a run, and no MNIST of the user's own is taken for them.
        os.environ["VAE_COURSE_CACHE"] = tempfile.mkdtemp(prefix="vae-course-tests-")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without slow tests, files that hold no others are not even imported: that takes seconds for each worker."""
    if "not slow" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    return bool(ALL_SLOW.search(collection_path.read_text(encoding="utf-8"))) or None


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["VAE_COURSE_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def missing() -> Callable[[str, str], NoReturn]:
    """missing("browser", why) skips the test; where VAE_COURSE_REQUIRE names "browser", it fails."""

    def skip_or_fail(what: str, why: str) -> NoReturn:
        if what in os.environ.get("VAE_COURSE_REQUIRE", "").replace(" ", "").split(","):
            pytest.fail(f"VAE_COURSE_REQUIRE asks for {what}: {why}", pytrace=False)
        pytest.skip(f"{what}: {why}")

    return skip_or_fail

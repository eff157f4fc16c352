"""The folder for everything the course writes, and the one way to write there: locked, then renamed into place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path


def folder() -> Path:
    """VAE_COURSE_CACHE, or vae-course in the user's cache folder. May not exist yet."""
    named = os.environ.get("VAE_COURSE_CACHE")
    return Path(named).expanduser() if named else user_cache_path("vae-course")


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`, so that two notebooks started together do the work once."""
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(folder() / f".{name}.lock"):
        yield


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success what was written there becomes `path`, on failure nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)

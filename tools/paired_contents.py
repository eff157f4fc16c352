"""`make edit`: JupyterLab's file access with jupytext's pairing switched on, for that server alone.

jupytext.toml must not set `formats`: then any JupyterLab started in this folder, a learner's too, would
rewrite a lesson's source when its notebook is saved.
"""

import os
from typing import Any

from jupytext import AsyncTextFileContentsManager

FOLDERS = ("notebooks", "solutions")


def is_source(path: str) -> bool:
    folder, name = os.path.split(path.strip("/"))
    return folder in FOLDERS and name.endswith(".py")


class PairedContents(AsyncTextFileContentsManager):
    """A lesson's .py and .ipynb are one notebook: whichever is saved, both are written."""

    async def get_config(self, path: str, use_cache: bool = False) -> Any:
        config = await super().get_config(path, use_cache)
        paired = path.strip("/").split("/")[0] in FOLDERS
        config.formats = ["ipynb,py:percent"] if paired else []
        # A built .ipynb is always newer than its source; jupytext would refuse to open such a pair.
        config.outdated_text_notebook_margin = float("inf")
        return config

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        saved: dict[str, Any] = await super().save(model, path)
        if model["type"] == "file" and is_source(path):  # from the text editor, which jupytext does not pair
            notebook = await self.get(path, type="notebook")
            twin = path[: -len("py")] + "ipynb"
            await self.super.save({"type": "notebook", "content": notebook["content"]}, twin)
        return saved

"""Twenty steps of a toy run, alone or as one of the processes that torchrun starts.

    [torchrun --nproc_per_node 2] shared_run.py FOLDER

Each process writes FOLDER/rank-N.json: how many processes there are, and the examples that it computed.
"""

import json
import sys
from pathlib import Path
from typing import Any

from toy_faces import toy_faces, toy_recipe

from vae_course import feeding, run


def main() -> None:
    folder = Path(sys.argv[1])
    seen: list[int] = []
    share = feeding.share

    def noted(whole: Any, *, rank: int, world: int) -> Any:
        mine = share(whole, rank=rank, world=world)
        seen.extend(mine.tolist())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"rank-{rank}.json").write_text(json.dumps({"world": world, "examples": seen}))
        return mine

    feeding.share = noted
    options = {"log_every": 1, "validate_every": 10, "checkpoint_every": 10, "tracker": "none"}
    run.train(toy_recipe(), toy_faces(), folder / "run", steps=20, precision="fp32", cpu=True, **options)


if __name__ == "__main__":
    main()

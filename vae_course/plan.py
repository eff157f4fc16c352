"""What a long run is to do, from its first step to its last, and its schedules."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vae_course.data import cache
from vae_course.recipes import Recipe
from vae_course.schedules import linear_annealing, one_cycle

FILE = "run.json"


@dataclass(frozen=True)
class Plan:
    """What a run is to do, from its first step to its last; stands in run.json and in every checkpoint."""

    recipe: Recipe
    data: dict[str, Any]  # the arguments of load_faces
    fingerprint: str  # of the pictures
    steps: int
    seed: int
    precision: str
    accumulate: int  # parts of a batch, one after the other, where memory is short
    log_every: int
    validate_every: int
    checkpoint_every: int
    keep: int
    tracker: str
    id: str  # drawn once, for trackers that are shared with others
    backbone: str = "auto"  # of the perceptual distance; from the first step on, the one that was found

    def as_dict(self) -> dict[str, Any]:
        """For JSON and checkpoints."""
        return {**asdict(self), "recipe": self.recipe.as_dict()}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Plan":
        """The plan that `as_dict` wrote. Raises TypeError or ValueError on any other."""
        return Plan(**{**values, "recipe": Recipe.from_dict(values["recipe"])})

    def write(self, folder: Path) -> None:
        """Write run.json, whole or not at all."""
        with cache.atomic(folder / FILE) as part:
            part.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> "Plan":
        """The plan in run.json. Raises FileNotFoundError if there is none, ValueError if it is damaged."""
        text = (folder / FILE).read_text(encoding="utf-8")
        try:
            return Plan.from_dict(json.loads(text))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{folder / FILE} is damaged, or of another version of the course ({error})") from error


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The recipe's learning rate at one step, counted from 0."""
    return one_cycle(step, steps, peak=recipe.lr) if recipe.schedule == "one-cycle" else recipe.lr


def kl_weight(recipe: Recipe, step: int, steps: int) -> float:
    """The recipe's weight of the KL at one step, counted from 0."""
    if not recipe.beta_annealing:
        return recipe.kl_weight
    return linear_annealing(step, steps, fraction=recipe.beta_annealing, peak=recipe.kl_weight)

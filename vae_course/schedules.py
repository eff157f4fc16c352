"""How a training's settings change from step to step."""

import math


def one_cycle(step: int, steps: int, *, peak: float) -> float:
    """The learning rate of one step: up in a straight line for 30 % of the steps, then down to zero along a cosine.

    step counts from 0 to steps - 1. After L. N. Smith and N. Topin, "Super-Convergence", arXiv 1708.07120.
    """
    rise = max(1.0, 0.3 * steps)
    if step < rise:
        return peak * min(1.0, (step + 1) / rise)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))

"""How a training's settings change from step to step."""

import math


def one_cycle(step: int, steps: int, *, peak: float) -> float:
    """The learning rate of one step: up in a straight line for 30 % of the steps, then towards zero along a cosine.

    step counts from 0 to steps - 1. Raises ValueError on a step outside the training. After L. N. Smith and N.
    Topin, "Super-Convergence", arXiv 1708.07120.
    """
    _require_step(step, steps)
    rise = max(1.0, 0.3 * steps)
    if step < rise:
        return peak * min(1.0, (step + 1) / rise)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def linear_annealing(step: int, steps: int, *, fraction: float = 0.5, peak: float = 1.0) -> float:
    """The weight β of the KL: from 0 in a straight line up to peak in the first `fraction` of the steps, then constant.

    step counts from 0 to steps - 1. Raises ValueError as `cyclical_annealing` does, of which this is one cycle. The
    idea is that of Bowman et al. 2016 (arXiv 1511.06349), whose β rises along a sigmoid.
    """
    return cyclical_annealing(step, steps, cycles=1, fraction=fraction, peak=peak)


def cyclical_annealing(step: int, steps: int, *, cycles: int = 4, fraction: float = 0.5, peak: float = 1.0) -> float:
    """The weight β of the KL: `cycles` times from 0 up to peak, in the first `fraction` of each cycle.

    step counts from 0 to steps - 1. Raises ValueError on a training of no steps, fewer steps than cycles, a fraction
    outside (0, 1], or a peak that is negative or not finite. Fu et al. 2019 (arXiv 1903.10145).
    """
    if steps < 1 or cycles < 1 or steps < cycles:
        raise ValueError(f"annealing wants at least one step a cycle, got {steps} steps for {cycles} cycles")
    _require_step(step, steps)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie in (0, 1], got {fraction}: annealing over zero steps is none")
    if not (math.isfinite(peak) and peak >= 0):
        raise ValueError(f"peak must be a finite number >= 0, got {peak}")
    done = step * cycles / steps % 1  # of the present cycle, from 0 up to 1
    return peak * min(1.0, done / fraction)


def falling_beta(step: int, steps: int, *, start: float = 20.0) -> float:
    """The weight β of the KL: from start down to 1, by equal factors, in the first half of the steps; then 1.

    While z is too dear for anything a decoder learns to use its condition; then z adds what the condition does not
    say. step counts from 0 to steps - 1; for `training.fit(..., beta=)`. Raises ValueError on a step outside the
    training, or a start below 1 or not finite.
    """
    _require_step(step, steps)
    if not (math.isfinite(start) and start >= 1):
        raise ValueError(f"start must be a finite number >= 1, from which β falls to 1, got {start}")
    return float(start ** max(0.0, 1 - 2 * step / steps))


def _require_step(step: int, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"a schedule wants at least one step, got {steps}")
    if not 0 <= step < steps:
        raise ValueError(f"step must lie between 0 and {steps - 1}, got {step}")

"""Checks for the exercise sheets: each says which mistake was made, and accepts every right answer.

One module a sheet: `from vae_course.checks import elbo as check`, then `check.evidence(my_function)`.
"""

from vae_course.checks.check import CHECKS, MIME, Check, CheckFailed, progress

__all__ = ["CHECKS", "MIME", "Check", "CheckFailed", "progress"]

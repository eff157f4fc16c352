"""Hold what an answer computes against the truth, and against what each known mistake would compute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vae_course.checks.answer import Answer, Finding

Case = tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """A mistake that learners make: its name, what to tell them, and how to recognise it.

    `wrong` computes what the mistake returns; `when` looks at all results beside the true ones. One of them is given.
    """

    name: str
    hint: str
    wrong: Callable[..., Any] | None = None
    when: Callable[[list[Any], list[Any]], bool] | None = None

    def made(self, cases: Sequence[Case], got: list[Any], want: list[Any]) -> bool:
        if self.when is not None:
            return self.when(got, want)
        assert self.wrong is not None
        return all(agree(result, self.wrong(*case)) for case, result in zip(cases, got, strict=True))


def examine_formula(
    answer: Answer,
    cases: Sequence[Case],
    truth: Callable[..., Any],
    mistakes: Sequence[Mistake],
    meaning: str,
) -> None:
    """Raise the `Finding` that fits, unless the answer agrees with `truth` on every case.

    Results are tensors, arrays or numbers, or tuples of them, of the kind that `truth` returns. `meaning` says what
    the result should be, for the message about a wrong type or shape: "one number an example, in nats".
    """
    got = [answer(*case) for case in cases]
    want = [truth(*case) for case in cases]
    for result, true in zip(got, want, strict=True):
        require_kind(result, true, meaning)
    if all(map(agree, got, want)):
        return
    for mistake in mistakes:
        if mistake.made(cases, got, want):
            raise Finding("mistake", mistake.hint, mistake.name)
    for result, true in zip(got, want, strict=True):
        require_shape(result, true, meaning)
    for case, result, true in zip(cases, got, want, strict=True):
        if not agree(result, true):
            raise Finding("wrong", f"{difference(result, true)} for {shown_case(case)}.")


def paired(result: Any, true: Any) -> list[tuple[Any, Any]]:
    """Each part of the result beside its true value; several only where the truth is a tuple."""
    return list(zip(result, true, strict=True)) if isinstance(true, tuple) else [(result, true)]


def require_kind(result: Any, true: Any, meaning: str) -> None:
    """Right number of results, each a tensor or an array (or a number, where the truth is one)."""
    if isinstance(true, tuple) and not (isinstance(result, (tuple, list)) and len(result) == len(true)):
        raise Finding("wrong type or shape", f"It should return {len(true)} results, {meaning}; got {named(result)}.")
    for one, expected in paired(result, true):
        tensor = isinstance(expected, torch.Tensor)
        if not (isinstance(one, torch.Tensor) if tensor else is_numpy(one)):
            kind = "a tensor" if tensor else "a NumPy array" if np.ndim(expected) else "a number"
            raise Finding("wrong type or shape", f"It should return {kind}, {meaning}; got {named(one)}.")


def is_numpy(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.number, float, int)) and not isinstance(value, bool)


def require_shape(result: Any, true: Any, meaning: str) -> None:
    for one, expected in paired(result, true):
        if np.shape(one) != np.shape(expected):
            number = "" if "number" in meaning else "one number, "
            shape = f"shape {tuple(np.shape(expected))}, " if np.ndim(expected) else number
            hint = f"It should return {shape}{meaning}; got shape {tuple(np.shape(one))}."
            raise Finding("wrong type or shape", hint)


def as_float64(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=np.float64)


def agree(result: Any, true: Any, rtol: float = 1e-4, atol: float = 1e-5) -> bool:
    """Equal shapes and, within single precision, equal numbers; NaN agrees with nothing."""
    if isinstance(true, tuple):
        return len(result) == len(true) and all(agree(*both, rtol, atol) for both in paired(result, true))
    theirs, ours = as_float64(result), as_float64(true)
    return theirs.shape == ours.shape and bool(np.allclose(theirs, ours, rtol=rtol, atol=atol))


def require_stable(answer: Answer, sure: Case, truth: Callable[..., Any]) -> None:
    """Raise a `Finding` unless the answer is right for a decoder whose logits are far from 0, which the case has."""
    if not agree(tuple(answer(*sure)), truth(*sure)):
        hint = (
            "Right for ordinary logits, but not for a decoder that is sure of its pixels: float32 rounds its "
            "probabilities to 0 or 1. Compute the cost from the logits, without a sigmoid and without clipping."
        )
        raise Finding("mistake", hint, "unstable for a sure decoder")


def plain(value: Any) -> Any:
    """A number that came as a tensor or array with one value, as Python's; anything else as it is."""
    single = isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim == 0
    return value.item() if single else value


def with_plain_numbers(answer: Answer) -> Answer:
    """The same answer, its numbers as Python's; two in one tensor or array count as two results."""

    def called(*case: Any) -> Any:
        result = answer(*case)
        if isinstance(result, (torch.Tensor, np.ndarray)) and result.ndim == 1:
            return tuple(result.tolist())
        return tuple(map(plain, result)) if isinstance(result, (tuple, list)) else plain(result)

    return Answer(called, answer.name)


def not_finite(got: list[Any], want: list[Any]) -> bool:
    """Somewhere infinite or NaN, and right wherever it is finite: a formula that is right only on paper."""
    both = [(as_float64(result), as_float64(true)) for result, true in zip(got, want, strict=True)]
    if any(result.shape != true.shape for result, true in both):
        return False
    finite = [np.isfinite(result) for result, _ in both]
    right = all(agree(result[where], true[where]) for (result, true), where in zip(both, finite, strict=True))
    return right and any(where.any() for where in finite) and not all(where.all() for where in finite)


def named(value: Any) -> str:
    if isinstance(value, tuple) and hasattr(value, "values") and hasattr(value, "indices"):
        return "the values together with their places, as `min(dim=…)` gives them: take `.values`"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{'a tensor' if isinstance(value, torch.Tensor) else 'an array'} of shape {tuple(value.shape)}"
    return "None (is there a `return`?)" if value is None else f"a {type(value).__name__}"


def difference(result: Any, true: Any) -> str:
    """The first place where they differ, and in which result if there are several."""
    for number, (one, expected) in enumerate(paired(result, true)):
        theirs, ours = as_float64(one), as_float64(expected)
        off = np.argwhere(~np.isclose(theirs, ours, rtol=1e-4, atol=1e-5))
        if len(off):
            place = tuple(int(i) for i in off[0])
            where = f" at {list(place)}" if place else ""
            where += f" of result {number + 1}" if isinstance(true, tuple) else ""
            return f"It returns {theirs[place]:.6g}{where} where {ours[place]:.6g} is right"
    return "It returns something else"


def shown_case(case: Case) -> str:
    """The inputs in a few words: numbers as they are, arrays by shape, small ones whole."""
    words = []
    for value in case:
        if isinstance(value, (torch.Tensor, np.ndarray)):
            small = np.size(as_float64(value)) <= 4
            words.append(str(as_float64(value).round(3).tolist()) if small else f"shape {tuple(np.shape(value))}")
        elif isinstance(value, (int, float)):
            words.append(f"{value:g}")
        elif isinstance(value, (tuple, list, str)) and len(repr(value)) <= 60:
            words.append(repr(value))
        elif callable(value):
            words.append("a function")
        elif isinstance(value, (tuple, list, dict, str)):
            words.append(f"a {type(value).__name__}")
    return "inputs " + ", ".join(words) if words else "no input"

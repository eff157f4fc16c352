"""Right and wrong answers for sheet 07, each as a learner might write it."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence

from vae_course import collapse, losses, schedules
from vae_course.checks import beta_vae as sheet

cyclical = Bench(sheet.cyclical_beta)


@cyclical.accepts
def by_remainder(step, steps, cycles, fraction):
    length = steps / cycles
    return min(1.0, (step % length) / (length * fraction))


@cyclical.accepts
def with_ifs(step, steps, cycles, fraction, peak=1.0):
    position = step * cycles / steps
    position = position - math.floor(position)
    if position >= fraction:
        return peak
    return peak * position / fraction


@cyclical.accepts
def clamped_tensor(step, steps, cycles, fraction):
    t = torch.tensor(step * cycles / steps, dtype=torch.float64).frac()
    return (t / fraction).clamp(max=1)


@cyclical.accepts
def by_numpy(step, steps, cycles, fraction):
    return np.interp(np.fmod(step, steps / cycles), [0, fraction * steps / cycles], [0, 1])


@cyclical.accepts
def by_subtraction(step, steps, cycles, fraction):
    length = steps / cycles
    while step >= length:
        step -= length
    beta = step / (fraction * length)
    return 1 if beta > 1 else beta


@cyclical.accepts
def whole_numbers_first(step, steps, cycles, fraction):
    return float(np.clip((step * cycles % steps) / steps / fraction, 0, 1))


@cyclical.accepts
def the_courses_own(step, steps, cycles, fraction):
    return schedules.cyclical_annealing(step, steps, cycles=cycles, fraction=fraction)


@cyclical.names("no reset")
def once_and_for_all(step, steps, cycles, fraction):
    length = steps / cycles
    return min(1.0, step / (length * fraction))


@cyclical.names("rises above 1")
def without_a_cap(step, steps, cycles, fraction):
    length = steps / cycles
    return (step % length) / (length * fraction)


@cyclical.names("rises over the whole cycle")
def saw(step, steps, cycles, fraction):
    length = steps / cycles
    return min(1.0, (step % length) / length)


@cyclical.names("the fraction always ½")
def half(step, steps, cycles, fraction=0.5):
    return schedules.cyclical_annealing(step, steps, cycles=cycles)


@cyclical.names("cycles ignored")
def linear(step, steps, cycles, fraction):
    return schedules.linear_annealing(step, steps, fraction=fraction)


@cyclical.names("a fraction of the whole training")
def ramp_of_all_steps(step, steps, cycles, fraction):
    length = steps / cycles
    return min(1.0, (step % length) / (fraction * steps))


@cyclical.names("multiplied by the fraction")
def times(step, steps, cycles, fraction):
    length = steps / cycles
    return min(1.0, (step % length) / length * fraction)


@cyclical.names("stops at the fraction")
def min_with_fraction(step, steps, cycles, fraction):
    position = (step / steps * cycles) % 1
    return min(position, fraction)


@cyclical.names("back to 0 after the rise")
def falls_to_zero(step, steps, cycles, fraction):
    length = steps / cycles
    position = step % length / length
    return position / fraction if position < fraction else 0.0


@cyclical.names("the rise at the end of the cycle")
def late(step, steps, cycles, fraction):
    position = step * cycles / steps % 1
    start = 1 - fraction
    return 0.0 if position < start else (position - start) / fraction


@cyclical.names("falls instead of rising")
def downwards(step, steps, cycles, fraction):
    return max(0.0, 1 - (step * cycles / steps % 1) / fraction)


@cyclical.names("a cosine")
def smooth(step, steps, cycles, fraction):
    rise = min(1.0, (step * cycles / steps % 1) / fraction)
    return 0.5 * (1 - math.cos(math.pi * rise))


@cyclical.names("steps counted from 1")
def from_one(step, steps, cycles, fraction):
    return min(1.0, ((step + 1) * cycles / steps % 1) / fraction)


@cyclical.names("steps counted from 1")
def from_one_in_each_cycle(step, steps, cycles, fraction):
    length = steps / cycles
    return min(1.0, (step % length + 1) / (fraction * length))


@cyclical.names("the length of a cycle rounded down")
def whole_length(step, steps, cycles, fraction):
    length = steps // cycles
    return min(1.0, (step % length) / (fraction * length))


@cyclical.rejects("wrong")
def squared(step, steps, cycles, fraction):
    return min(1.0, (step * cycles / steps % 1) / fraction) ** 2


@cyclical.rejects("wrong type or shape")
def whole_list(step, steps, cycles, fraction):
    return [by_remainder(s, steps, cycles, fraction) for s in range(steps)]


free = Bench(sheet.free_bits_kl)


@free.accepts
def term_by_term(mu, logvar, free):
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1)
    return kl.mean(dim=0).clamp(min=free).sum()


@free.accepts
def torch_maximum(mu, logvar, free):
    per_latent = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp(), dim=0)
    return torch.maximum(per_latent, torch.full_like(per_latent, free)).sum()


@free.accepts
def by_divergence(mu, logvar, free):
    q = Normal(mu, (0.5 * logvar).exp())
    kl = kl_divergence(q, Normal(0.0, 1.0)).mean(0)
    return torch.where(kl > free, kl, torch.tensor(free)).sum()


@free.accepts
def latent_by_latent(mu, logvar, free):
    total = torch.zeros(())
    for j in range(mu.shape[1]):
        kl = sum(0.5 * (m**2 + lv.exp() - lv - 1) for m, lv in zip(mu[:, j], logvar[:, j], strict=True)) / len(mu)
        total = total + max(kl, torch.tensor(free))
    return total


@free.accepts
def with_relu(mu, logvar, free, *, beta=1.0):
    mu, logvar = mu.double(), logvar.double()
    kl = torch.einsum("bd->d", mu.square() + logvar.expm1() - logvar) / (2 * len(mu))
    return beta * (free + F.relu(kl - free)).sum()


@free.accepts
def the_courses_mean(mu, logvar, free):
    return losses.kl_with_free_bits(mu, logvar, free=free).mean()


def matrix(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1)


@free.names("the fault is still there")
def unchanged(mu, logvar, free):
    return matrix(mu, logvar).clamp(min=free).mean(dim=0).sum()


@free.names("the fault is still there")
def sum_then_mean(mu, logvar, free):
    return torch.clamp(matrix(mu, logvar), min=free).sum(dim=1).mean()


@free.names("a maximum for each image's total")
def clamped_totals(mu, logvar, free):
    return losses.kl_to_standard_normal(mu, logvar).clamp(min=free).mean()


@free.names("one allowance for the total")
def free_in_total(mu, logvar, free):
    return collapse.kl_with_free_total(mu, logvar, free=free).mean()


@free.names("all allowances against the total")
def total_against_d_times_free(mu, logvar, free):
    total = matrix(mu, logvar).sum(1).mean()
    return torch.clamp(total, min=mu.shape[1] * free)


@free.names("minimum for maximum")
def clamp_max(mu, logvar, free):
    return matrix(mu, logvar).mean(0).clamp(max=free).sum()


@free.names("the allowance subtracted")
def only_the_excess(mu, logvar, free):
    return F.relu(matrix(mu, logvar).mean(0) - free).sum()


@free.names("nothing charged below the allowance")
def masked(mu, logvar, free):
    kl = matrix(mu, logvar).mean(0)
    return kl[kl > free].sum()


@free.names("no allowance")
def plain_kl(mu, logvar, free):
    return losses.kl_to_standard_normal(mu, logvar).mean()


@free.names("averaged over latents")
def mean_of_all(mu, logvar, free):
    return matrix(mu, logvar).mean(0).clamp(min=free).mean()


@free.names("summed over the batch")
def batch_sum(mu, logvar, free):
    return matrix(mu, logvar).sum(dim=0).clamp(min=free).sum()


@free.names("a maximum for each image, summed over the batch")
def clamp_and_sum_everything(mu, logvar, free):
    return matrix(mu, logvar).clamp(min=free).sum()


@free.names("latents and images exchanged")
def wrong_dim(mu, logvar, free):
    return matrix(mu, logvar).mean(dim=1).clamp(min=free).sum()


@free.names("one value for each latent")
def not_added(mu, logvar, free):
    return matrix(mu, logvar).mean(0).clamp(min=free)


@free.names("one value for each image")
def per_image(mu, logvar, free):
    return matrix(mu, logvar).clamp(min=free).sum(dim=-1)


@free.names("the allowance read as bits")
def in_bits(mu, logvar, free):
    return matrix(mu, logvar).mean(0).clamp(min=math.log(2) * free).sum()


@free.names("log σ for log σ²")
def log_sigma(mu, logvar, free):
    sigma = logvar.exp()
    return (0.5 * (mu**2 + sigma**2 - 1) - logvar).mean(0).clamp(min=free).sum()


@free.names("σ for σ²")
def sigma_for_variance(mu, logvar, free):
    sigma = (0.5 * logvar).exp()
    return (0.5 * (mu**2 + sigma - logvar - 1)).mean(0).clamp(min=free).sum()


@free.names("factor ½ missing")
def twice(mu, logvar, free):
    return (mu**2 + logvar.exp() - logvar - 1).mean(0).clamp(min=free).sum()


@free.names("KL with its sign flipped")
def as_in_some_posts(mu, logvar, free):
    kl = 0.5 * (1 + logvar - mu**2 - logvar.exp())
    return kl.mean(0).clamp(min=free).sum()


@free.names("gradient cut off")
def detached(mu, logvar, free):
    return matrix(mu, logvar).detach().mean(0).clamp(min=free).sum()


@free.names("gradient cut off")
def new_tensor(mu, logvar, free):
    return torch.tensor(sum(max(free, kl.item()) for kl in matrix(mu, logvar).mean(0)))


@free.names("gradient cut off")
def width_detached(mu, logvar, free):
    return matrix(mu, logvar.detach()).mean(0).clamp(min=free).sum()


@free.names("gradient below the allowance")
def topped_up(mu, logvar, free):
    kl = matrix(mu, logvar).mean(0)
    missing = (free - kl).clamp(min=0).detach()
    return (kl + missing).sum()


@free.rejects("wrong type or shape")
def python_number(mu, logvar, free):
    return term_by_term(mu, logvar, free).item()


units = Bench(sheet.active_units)


@units.accepts
def joined(answers, threshold):
    mu = torch.cat([mu for mu, _ in answers])
    return int((mu.var(dim=0) > threshold).sum())


@units.rejects("wrong")
def the_papers_threshold(answers, threshold):
    return int((torch.cat([mu for mu, _ in answers]).var(dim=0) > 0.01).sum())


@units.accepts
def running_sums(answers, threshold):
    n, total, squares = 0, 0.0, 0.0
    for mu, _ in answers:
        n += len(mu)
        total = total + mu.double().sum(0)
        squares = squares + (mu.double() ** 2).sum(0)
    return (squares / n - (total / n) ** 2 > threshold).sum().item()


@units.accepts
def in_numpy(answers, threshold):
    mu = np.concatenate([mu.numpy() for mu, _ in answers])
    return np.sum(np.var(mu, axis=0) > threshold)


@units.accepts
def with_a_loop(answers, threshold, verbose=True):
    mu = torch.vstack(next(zip(*answers, strict=True)))
    active = 0
    for column in mu.T:
        centred = column - column.mean()
        if (centred @ centred) / len(column) > threshold:
            active += 1
    return active


@units.accepts
def by_covariance(answers, threshold):
    mu = torch.cat([pair[0] for pair in answers], dim=0)
    return torch.count_nonzero(torch.cov(mu.T).diagonal() > threshold)


@units.accepts
def courses_own(answers, threshold):
    return collapse.active_units(torch.cat([mu for mu, _ in answers]), threshold=threshold)


@units.names("variances of batches averaged")
def mean_of_variances(answers, threshold):
    var = sum(mu.var(dim=0) for mu, _ in answers) / len(answers)
    return int((var > threshold).sum())


@units.names("one batch only")
def last_batch(answers, threshold):
    for mu, _logvar in answers:
        active = (mu.var(0) > threshold).sum()
    return int(active)


@units.names("one batch only")
def first_batch(answers, threshold):
    mu, _ = answers[0]
    return int((mu.var(0) > threshold).sum())


@units.names("a unit active in any batch")
def any_batch(answers, threshold):
    return int(torch.stack([mu.var(0) > threshold for mu, _ in answers]).any(0).sum())


@units.names("a unit active in every batch")
def every_batch(answers, threshold):
    active = torch.ones(answers[0][0].shape[1], dtype=torch.bool)
    for mu, _ in answers:
        active &= mu.var(0, correction=0) > threshold
    return int(active.sum())


@units.names("counts of batches added")
def added(answers, threshold):
    count = 0
    for mu, _ in answers:
        count += int((mu.var(0) > threshold).sum())
    return count


@units.names("variance of the batches' means")
def means_of_batches(answers, threshold):
    means = torch.stack([mu.mean(0) for mu, _ in answers])
    return int((means.var(0) > threshold).sum())


def all_of(answers):
    return [torch.cat(part) for part in zip(*answers, strict=True)]


@units.names("standard deviation for variance")
def std(answers, threshold):
    mu, _ = all_of(answers)
    return int((mu.std(0) > threshold).sum())


@units.names("mean not subtracted")
def mean_square(answers, threshold):
    mu, _ = all_of(answers)
    return int(((mu**2).mean(0) > threshold).sum())


@units.names("size of μ for its variance")
def large_means(answers, threshold):
    mu, _ = all_of(answers)
    return int((mu.abs().mean(0) > threshold).sum())


@units.names("variance over the latents")
def wrong_axis(answers, threshold):
    mu, _ = all_of(answers)
    return int((mu.var(dim=1) > threshold).sum())


@units.names("σ² for the variance of μ")
def variance_of_q(answers, threshold):
    _, logvar = all_of(answers)
    return int((logvar.exp().mean(0) > threshold).sum())


@units.names("variance of logvar")
def second_answer(answers, threshold):
    return joined([(logvar, mu) for mu, logvar in answers], threshold)


@units.names("variance of σ²")
def variance_of_variances(answers, threshold):
    _, logvar = all_of(answers)
    return int((logvar.exp().var(0) > threshold).sum())


@units.names("total variance of z")
def aggregate_variance(answers, threshold):
    mu, logvar = all_of(answers)
    return int((mu.var(0) + logvar.exp().mean(0) > threshold).sum())


@units.names("KL for the variance of μ")
def by_kl(answers, threshold):
    kl = losses.kl_per_latent(*all_of(answers)).mean(0)
    return int((kl > threshold).sum())


@units.names("the idle latents counted")
def collapsed_ones(answers, threshold):
    mu, _ = all_of(answers)
    return int((mu.var(0) < threshold).sum())


@units.rejects("wrong")
def by_range(answers, threshold):
    mu, _ = all_of(answers)
    return int((mu.amax(0) - mu.amin(0) > threshold).sum())


@units.rejects("wrong type or shape")
def mask(answers, threshold):
    mu, _ = all_of(answers)
    return mu.var(0) > threshold


curve = Bench(sheet.slopes)


@curve.accepts
def sorted_rows(betas, rates, distortions):
    rows = sorted(zip(betas, rates, distortions, strict=True))
    slopes, between = [], []
    for (b1, r1, d1), (b2, r2, d2) in itertools.pairwise(rows):
        slope = (d2 - d1) / (r1 - r2)
        slopes.append(slope)
        between.append(b1 <= slope <= b2)
    return slopes, between


@curve.accepts
def by_argsort(betas, rates, distortions):
    order = np.argsort(betas)
    b, r, d = (np.array(values)[order] for values in (betas, rates, distortions))
    slope = -np.diff(d) / np.diff(r)
    return slope, (b[:-1] <= slope) & (slope <= b[1:])


@curve.accepts
def in_torch(betas, rates, distortions):
    b, order = torch.tensor(betas, dtype=torch.float64).sort()
    r, d = torch.tensor(rates)[order], torch.tensor(distortions)[order]
    slope = (d[1:] - d[:-1]) / (r[:-1] - r[1:])
    return slope, torch.logical_and(slope >= b[:-1], slope <= b[1:])


@curve.accepts
def by_index(betas, rates, distortions, tolerance=0.0):
    order = sorted(range(len(betas)), key=lambda i: betas[i])
    found = []
    for i, j in itertools.pairwise(order):
        s = (distortions[j] - distortions[i]) / (rates[i] - rates[j])
        found.append((s, bool(min(betas[i], betas[j]) - tolerance <= s <= max(betas[i], betas[j]) + tolerance)))
    return tuple(map(list, zip(*found, strict=True)))


@curve.accepts
def by_dictionary(betas, rates, distortions):
    points = dict(zip(betas, zip(rates, distortions, strict=True), strict=True))
    prices = sorted(points)
    slopes = []
    for k in range(len(prices) - 1):
        (r1, d1), (r2, d2) = points[prices[k]], points[prices[k + 1]]
        slopes.append((d1 - d2) / (r2 - r1))
    return [slopes, [low <= s and s <= high for low, s, high in zip(prices, slopes, prices[1:], strict=False)]]


@curve.accepts
def in_one_array(betas, rates, distortions):
    return np.array(sorted_rows(betas, rates, distortions))


def pairwise(rows, slope, test=lambda low, s, high: low <= s <= high):
    found = [(slope(*one[1:], *two[1:]), one[0], two[0]) for one, two in itertools.pairwise(rows)]
    return [s for s, *_ in found], [test(low, s, high) for s, low, high in found]


def right(r1, d1, r2, d2):
    return (d2 - d1) / (r1 - r2)


def rows_of(betas, rates, distortions):
    return sorted(zip(betas, rates, distortions, strict=True))


@curve.names("not sorted by β")
def as_given(betas, rates, distortions):
    return pairwise(list(zip(betas, rates, distortions, strict=True)), right)


@curve.names("not sorted by β")
def as_given_between_both(betas, rates, distortions):
    rows = list(zip(betas, rates, distortions, strict=True))
    return pairwise(rows, right, lambda a, s, b: min(a, b) <= s <= max(a, b))


@curve.names("only β sorted")
def betas_alone(betas, rates, distortions):
    return pairwise(list(zip(sorted(betas), rates, distortions, strict=True)), right)


@curve.names("each list sorted by itself")
def three_sorts(betas, rates, distortions):
    return pairwise(list(zip(sorted(betas), sorted(rates), sorted(distortions), strict=True)), right)


@curve.names("from the largest β down")
def descending(betas, rates, distortions):
    rows = sorted(zip(betas, rates, distortions, strict=True), reverse=True)
    return pairwise(rows, right, lambda high, s, low: low <= s <= high)


@curve.names("sorted by rate")
def along_the_curve(betas, rates, distortions):
    rows = sorted(zip(betas, rates, distortions, strict=True), key=lambda row: row[1], reverse=True)
    return pairwise(rows, right)


@curve.names("sign flipped")
def dd_by_dr(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), lambda r1, d1, r2, d2: (d2 - d1) / (r2 - r1))


@curve.names("sign flipped")
def dd_by_dr_tested_right(betas, rates, distortions):
    rows = rows_of(betas, rates, distortions)
    return pairwise(rows, lambda r1, d1, r2, d2: (d2 - d1) / (r2 - r1), lambda low, s, high: low <= -s <= high)


@curve.names("the inverse")
def dr_by_dd(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), lambda r1, d1, r2, d2: (r1 - r2) / (d2 - d1))


@curve.names("the inverse, with its sign flipped")
def derivative_of_the_rate(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), lambda r1, d1, r2, d2: (r2 - r1) / (d2 - d1))


@curve.names("D + R for D")
def by_negative_elbo(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), lambda r1, d1, r2, d2: (d2 + r2 - d1 - r1) / (r1 - r2))


@curve.names("divided by the step in β")
def per_price(betas, rates, distortions):
    rows = rows_of(betas, rates, distortions)
    slopes = [(two[2] - one[2]) / (two[0] - one[0]) for one, two in itertools.pairwise(rows)]
    return slopes, [one[0] <= s <= two[0] for s, one, two in zip(slopes, rows, rows[1:], strict=False)]


@curve.names("signs removed")
def absolute(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), lambda r1, d1, r2, d2: abs(d2 - d1) / abs(r1 - r2))


@curve.names("the difference for the slope")
def differences(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), lambda r1, d1, r2, d2: d2 - d1)


@curve.names("always from the first model")
def from_the_cheapest(betas, rates, distortions):
    (b1, r1, d1), *rest = rows_of(betas, rates, distortions)
    slopes = [(d - d1) / (r1 - r) for _, r, d in rest]
    return slopes, [b1 <= s <= b for s, (b, *_) in zip(slopes, rest, strict=True)]


@curve.names("one β compared")
def upper_limit_only(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), right, lambda low, s, high: s <= high)


@curve.names("one β compared")
def lower_limit_only(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), right, lambda low, s, high: low <= s)


@curve.names("the answer negated")
def violated(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), right, lambda low, s, high: s < low or s > high)


@curve.names("ends left out")
def strictly_between(betas, rates, distortions):
    order = np.argsort(betas)
    b, r, d = (np.array(values)[order] for values in (betas, rates, distortions))
    slope = np.diff(d) / (r[:-1] - r[1:])
    return slope, [low < s < high for low, s, high in zip(b, slope, b[1:], strict=False)]


@curve.names("always False")
def between_the_wrong_way(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), right, lambda low, s, high: high <= s <= low)


@curve.names("always True")
def or_for_and(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), right, lambda low, s, high: s >= low or s <= high)


@curve.names("always True")
def never_tested(betas, rates, distortions):
    return pairwise(rows_of(betas, rates, distortions), right, lambda low, s, high: True)


@curve.names("results exchanged")
def flags_first(betas, rates, distortions):
    return sorted_rows(betas, rates, distortions)[::-1]


@curve.rejects("wrong type or shape")
def slopes_alone(betas, rates, distortions):
    return sorted_rows(betas, rates, distortions)[0]


information = Bench(sheet.mutual_information)


@information.accepts
def as_in_the_lesson(mu, logvar, z):
    gap = z[:, None, :] - mu
    log_q = -0.5 * (gap**2 / logvar.exp() + logvar + math.log(2 * math.pi)).sum(2)
    return (log_q.diagonal() - log_q.logsumexp(1) + math.log(len(mu))).mean()


@information.accepts
def by_distributions(mu, logvar, z):
    q = Independent(Normal(mu, (0.5 * logvar).exp()), 1)
    mixture = MixtureSameFamily(Categorical(torch.ones(len(mu))), q)
    return (q.log_prob(z) - mixture.log_prob(z)).mean().item()


@information.accepts
def image_by_image(mu, logvar, z):
    total = 0.0
    for n in range(len(z)):
        logs = torch.stack([Normal(m, lv.exp().sqrt()).log_prob(z[n]).sum() for m, lv in zip(mu, logvar, strict=True)])
        total += logs[n] - torch.logsumexp(logs, 0) + math.log(len(mu))
    return total / len(z)


@information.accepts
def in_numpy_double(mu, logvar, z):
    m, v, z = (t.double().numpy() for t in (mu, logvar, z))
    log_q = -0.5 * np.einsum("nmd->nm", (z[:, None] - m) ** 2 * np.exp(-v) + v)
    ratio = np.diag(log_q)[:, None] - log_q
    return -np.log(np.exp(-ratio).mean(1)).mean()


@information.accepts
def by_softmax(mu, logvar, z, bits=False):
    """How sure one would be of the image, plus log N."""
    density = MultivariateNormal(mu, torch.diag_embed(logvar.exp()))
    log_q = density.log_prob(z[:, None])
    return math.log(len(mu)) - F.cross_entropy(log_q, torch.arange(len(mu)))


@information.accepts
def plain_in_double(mu, logvar, z):
    mu, logvar, z = mu.double(), logvar.double(), z.double()
    q = Normal(mu, (logvar / 2).exp()).log_prob(z[:, None]).sum(-1).exp()
    return float(torch.log(q.diagonal() / q.mean(dim=1)).mean())


def log_densities(mu, logvar, z):
    return Normal(mu, torch.exp(0.5 * logvar)).log_prob(z[:, None]).sum(2)


@information.names("mean of logarithms")
def log_inside(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - log_q.mean(dim=1)).mean()


@information.names("log N forgotten")
def sum_of_densities(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - torch.logsumexp(log_q, 1)).mean()


@information.names("log N with the wrong sign")
def times_n(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - (log_q.logsumexp(1) + math.log(len(z)))).mean()


@information.names("the prior for the mixture")
def sampled_rate(mu, logvar, z):
    of_own = Normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(1)
    return (of_own - Normal(0, 1).log_prob(z).sum(1)).mean()


@information.names("the other part of the rate")
def aggregate_kl(mu, logvar, z):
    of_all = log_densities(mu, logvar, z).logsumexp(1) - math.log(len(mu))
    return (of_all - Normal(0, 1).log_prob(z).sum(1)).mean()


@information.names("the wrong axis")
def over_samples(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - log_q.logsumexp(dim=0) + math.log(len(mu))).mean()


@information.names("own code left out")
def leave_one_out(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    of_own = log_q.diag().clone()
    log_q.fill_diagonal_(-torch.inf)
    return (of_own - log_q.logsumexp(1) + math.log(len(mu) - 1)).mean()


@information.names("each latent mixed by itself")
def product_of_mixtures(mu, logvar, z):
    log_q = Normal(mu, torch.exp(0.5 * logvar)).log_prob(z[:, None])  # (N, N, D)
    of_all = (log_q.logsumexp(1) - math.log(len(mu))).sum(1)
    return (log_q.sum(2).diag() - of_all).mean()


@information.names("averaged over latents")
def mean_over_latents(mu, logvar, z):
    log_q = Normal(mu, torch.exp(0.5 * logvar)).log_prob(z[:, None]).mean(2)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).mean()


@information.names("densities for their logarithms")
def no_logarithm(mu, logvar, z):
    q = log_densities(mu, logvar, z).exp()
    return (q.diag() - q.mean(1)).mean()


@information.names("ratio of densities without its logarithm")
def ratio(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).exp().mean()


@information.names("logarithm after the average")
def log_outside(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).exp().mean().log()


@information.names("sign flipped")
def negative(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.logsumexp(1) - math.log(len(mu)) - log_q.diag()).mean()


@information.names("summed over images")
def total(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).sum()


@information.names("not averaged over images")
def one_each(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))


@information.names("in bits")
def bits(mu, logvar, z):
    return as_in_the_lesson(mu, logvar, z) / math.log(2)


@information.names("only log q(z|x)")
def first_term_only(mu, logvar, z):
    return log_densities(mu, logvar, z).diag().mean()


@information.names("only log q(z)")
def entropy_of_the_mixture(mu, logvar, z):
    return (math.log(len(mu)) - log_densities(mu, logvar, z).logsumexp(1)).mean()


@information.names("log σ for log σ²")
def exp_as_scale(mu, logvar, z):
    return by_distributions(mu, 2 * logvar, z)


@information.names("σ for σ²")
def square_over_sigma(mu, logvar, z):
    log_q = -0.5 * ((z[:, None] - mu) ** 2 / (0.5 * logvar).exp() + logvar).sum(2)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).mean()


@information.names("the width's term left out")
def unnormalised(mu, logvar, z):
    log_q = -0.5 * ((z[:, None] - mu) ** 2 / logvar.exp()).sum(2)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).mean()


@information.names("½ missing before the square")
def whole_square(mu, logvar, z):
    log_q = (-((z[:, None] - mu) ** 2) / logvar.exp() - 0.5 * logvar).sum(2)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).mean()


@information.names("logarithm of zero")
def exp_sum_log(mu, logvar, z):
    log_q = log_densities(mu, logvar, z)
    return (log_q.diag() - log_q.exp().mean(1).log()).mean()


@information.names("logarithm of zero")
def ratio_of_densities(mu, logvar, z):
    q = log_densities(mu, logvar, z).exp()
    return (q.diag() / q.mean(1)).log().mean()


@information.rejects("wrong")
def absolute_distance(mu, logvar, z):
    log_q = -0.5 * ((z[:, None] - mu).abs() / logvar.exp() + logvar).sum(2)
    return (log_q.diag() - log_q.logsumexp(1) + math.log(len(mu))).mean()


bought = Bench(sheet.predicted_rate)


@bought.accepts
def by_eigenvalues(x, var, beta, z_dim):
    centred = x - x.mean(dim=0)
    lam = torch.linalg.eigvalsh(centred.T @ centred / len(x)).flip(0)[:z_dim]
    s = beta * var
    active = lam > s
    return int(active.sum()), float(0.5 * (lam[active] / s).log().sum())


@bought.accepts
def by_singular_values(x, var, beta, z_dim):
    lam = torch.linalg.svdvals((x - x.mean(0)).double()) ** 2 / len(x)
    lam = lam[lam > beta * var][:z_dim]
    return len(lam), 0.5 * torch.log(lam / (beta * var)).sum()


@bought.accepts
def numpy_covariance(x, var, beta, z_dim):
    values = sorted(np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True)), reverse=True)
    active, rate = 0, 0.0
    for value in values[:z_dim]:
        if value > beta * var:
            active += 1
            rate += 0.5 * math.log(value / (beta * var))
    return active, rate


@bought.accepts
def between_images(x, var, beta, z_dim):
    """The matrix of inner products of images has the same eigenvalues but for zeros."""
    centred = x - x.mean(0, keepdim=True)
    lam = torch.linalg.eigvalsh(centred @ centred.T / x.shape[0])
    ratio = lam.topk(min(z_dim, len(lam))).values / (beta * var)
    return [(ratio > 1).sum(), 0.5 * ratio.clamp(min=1).log().sum()]


@bought.accepts
def through_the_model(x, var, beta, z_dim, device="cpu"):
    images = ((x - x.min()) / (x.max() - x.min()))[:, None, None]
    scale = (x.max() - x.min()).item()
    model = collapse.optimal_linear_vae(images, z_dim=z_dim, var=var / scale**2, beta=beta)
    with torch.no_grad():
        mu, logvar = model.encode(images)
    return collapse.active_units(mu), losses.kl_to_standard_normal(mu, logvar).mean().item()


@bought.accepts
def both_in_one_tensor(x, var, beta, z_dim):
    return torch.tensor(by_eigenvalues(x, var, beta, z_dim))


def with_eigenvalues(lam, s, z_dim):
    lam = lam.sort(descending=True).values[:z_dim]
    return int((lam > s).sum()), (0.5 * torch.log(lam[lam > s] / s)).sum().item()


def right_ones(x):
    return torch.linalg.svdvals(x - x.mean(0)) ** 2 / len(x)


@bought.names("not centred")
def mean_included(x, var, beta, z_dim):
    return with_eigenvalues(torch.linalg.eigvalsh(x.T @ x / len(x)), beta * var, z_dim)


@bought.names("each image centred by itself")
def centred_rows(x, var, beta, z_dim):
    x = x - x.mean(dim=1, keepdim=True)
    return with_eigenvalues(torch.linalg.svdvals(x) ** 2 / len(x), beta * var, z_dim)


@bought.names("not divided by N")
def scatter_matrix(x, var, beta, z_dim):
    return with_eigenvalues(torch.linalg.svdvals(x - x.mean(0)) ** 2, beta * var, z_dim)


@bought.names("divided by N − 1")
def torch_cov(x, var, beta, z_dim):
    return with_eigenvalues(torch.linalg.eigvalsh(torch.cov(x.T)), beta * var, z_dim)


@bought.names("divided by the number of pixels")
def per_pixel(x, var, beta, z_dim):
    return with_eigenvalues(torch.linalg.svdvals(x - x.mean(0)) ** 2 / x.shape[1], beta * var, z_dim)


@bought.names("singular values for eigenvalues")
def svd_of_the_data(x, var, beta, z_dim):
    _, S, _ = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    return with_eigenvalues(S, beta * var, z_dim)


@bought.names("standard deviations for variances")
def roots(x, var, beta, z_dim):
    return with_eigenvalues(right_ones(x).sqrt(), beta * var, z_dim)


@bought.names("pixel variances for eigenvalues")
def diagonal(x, var, beta, z_dim):
    return with_eigenvalues(x.var(0, correction=0), beta * var, z_dim)


@bought.names("pixels standardised")
def correlations(x, var, beta, z_dim):
    return with_eigenvalues(torch.linalg.eigvalsh(torch.corrcoef(x.T)), beta * var, z_dim)


@bought.names("the smallest first")
def ascending(x, var, beta, z_dim):
    lam = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))[:z_dim]
    s = beta * var
    return int((lam > s).sum()), float(0.5 * (lam[lam > s] / s).log().sum())


@bought.names("z_dim ignored")
def as_many_as_pay(x, var, beta, z_dim):
    return with_eigenvalues(right_ones(x), beta * var, len(right_ones(x)))


@bought.names("z_dim ignored")
def count_limited_rate_not(x, var, beta, z_dim):
    active, rate = as_many_as_pay(x, var, beta, z_dim)
    return min(z_dim, active), rate


@bought.names("σ for σ²")
def beta_times_sigma(x, var, beta, z_dim):
    return with_eigenvalues(right_ones(x), beta * math.sqrt(var), z_dim)


@bought.names("var squared")
def var_taken_for_sigma(x, var, beta, z_dim):
    return with_eigenvalues(right_ones(x), beta * var**2, z_dim)


@bought.names("divided by β")
def var_over_beta(x, var, beta, z_dim):
    return with_eigenvalues(right_ones(x), var / beta, z_dim)


@bought.names("β ignored")
def at_beta_one(x, var, beta, z_dim):
    return with_eigenvalues(right_ones(x), var, z_dim)


@bought.names("inactive latents charged")
def all_latents(x, var, beta, z_dim):
    lam = right_ones(x)[:z_dim]
    return int((lam > beta * var).sum()), (0.5 * (lam / (beta * var)).log()).sum()


@bought.names("factor ½ missing")
def whole_logarithm(x, var, beta, z_dim):
    active, rate = by_eigenvalues(x, var, beta, z_dim)
    return active, 2 * rate


@bought.names("in bits")
def log2(x, var, beta, z_dim):
    lam = right_ones(x)[:z_dim]
    lam = lam[lam > beta * var]
    return len(lam), 0.5 * (lam / (beta * var)).log2().sum()


@bought.names("sign flipped")
def logarithm_of_the_variance(x, var, beta, z_dim):
    lam = right_ones(x)[:z_dim]
    lam = lam[lam > beta * var]
    return len(lam), 0.5 * (beta * var / lam).log().sum()


@bought.names("averaged over latents")
def mean_rate(x, var, beta, z_dim):
    lam = right_ones(x)[:z_dim]
    return int((lam > beta * var).sum()), 0.5 * (lam[lam > beta * var] / (beta * var)).log().mean()


@bought.names("β times the rate")
def weighted(x, var, beta, z_dim):
    active, rate = by_eigenvalues(x, var, beta, z_dim)
    return active, beta * rate


@bought.names("variances of the mean added")
def spread_of_the_means(x, var, beta, z_dim):
    lam = right_ones(x)[:z_dim]
    lam = lam[lam > beta * var]
    return len(lam), (1 - beta * var / lam).sum()


@bought.names("results exchanged")
def rate_first(x, var, beta, z_dim):
    return by_eigenvalues(x, var, beta, z_dim)[::-1]


@bought.rejects("wrong type or shape")
def count_alone(x, var, beta, z_dim):
    return by_eigenvalues(x, var, beta, z_dim)[0]

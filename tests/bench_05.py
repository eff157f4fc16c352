"""Right and wrong answers for sheet 05, each as a learner might write it."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench
from torch.distributions import Categorical, MultivariateNormal, Normal, kl_divergence

from vae_course import losses
from vae_course.checks import autoencoder_vs_vae as sheet

score = Bench(sheet.log_inception_score)


@score.accepts
def with_xlogy(probabilities):
    p = probabilities.mean(dim=0)
    h_mean = -torch.special.xlogy(p, p).sum()
    h_each = -torch.special.xlogy(probabilities, probabilities).sum(dim=1)
    return h_mean - h_each.mean()


@score.accepts
def with_a_small_number(probabilities, eps=1e-12):
    p = probabilities.mean(0)
    a = -(p * (p + eps).log()).sum()
    b = -(probabilities * (probabilities + eps).log()).sum(1).mean(0)
    return (a - b).item()


@score.accepts
def as_a_mean_kl(probabilities):
    p = probabilities.double()
    log_ratio = torch.where(p > 0, p.clamp(min=1e-300).log() - p.mean(dim=0).clamp(min=1e-300).log(), 0)
    return torch.einsum("nk,nk->", p, log_ratio) / len(p)


@score.accepts
def with_distributions(probabilities):
    each = Categorical(probs=probabilities)
    crowd = Categorical(probs=probabilities.mean(dim=0))
    return (crowd.entropy() - each.entropy().mean()).item()


@score.accepts
def with_loops(probabilities):
    rows = probabilities.tolist()

    def h(row):
        return -sum(p * math.log(p) for p in row if p > 0)

    average = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return h(average) - sum(map(h, rows)) / len(rows)


@score.accepts
def in_numpy(probabilities):
    p = probabilities.numpy().astype(np.float64)
    with np.errstate(divide="ignore"):
        logs = np.where(p > 0, np.log(np.maximum(p, 1e-300)), 0)
        mean = p.mean(axis=0)
        log_mean = np.where(mean > 0, np.log(np.maximum(mean, 1e-300)), 0)
    return np.float64((p * (logs - log_mean)).sum(axis=1).mean())


def h(p, dim=-1):
    return torch.special.entr(p).sum(dim)


@score.names("entropy of the mean alone")
def class_entropy(probabilities):
    p = probabilities.mean(dim=0)
    return -torch.special.xlogy(p, p).sum().item()


@score.names("mean of the entropies alone")
def undecided(probabilities):
    return -(torch.special.xlogy(probabilities, probabilities)).sum(dim=1).mean()


@score.names("sign flipped")
def minus_missing_twice(probabilities):
    p = probabilities.mean(dim=0)
    return torch.special.xlogy(p, p).sum() - torch.special.xlogy(probabilities, probabilities).sum(1).mean()


@score.names("added")
def plus(probabilities):
    return (h(probabilities.mean(0)) + h(probabilities).mean()).item()


@score.names("the score itself")
def exponential(probabilities):
    return (h(probabilities.mean(0)) - h(probabilities).mean()).exp()


@score.names("bits instead of nats")
def log2(probabilities):
    p = probabilities.mean(dim=0)
    return -(p * p.log2()).sum() + (probabilities * probabilities.log2()).sum(dim=1).mean()


@score.names("0 · log 0")
def plain_logarithm(probabilities):
    p = probabilities.mean(dim=0)
    return -(p * p.log()).sum() + (probabilities * probabilities.log()).sum(dim=1).mean()


@score.names("0 · log 0")
def kl_without_care(probabilities):
    mean = probabilities.mean(dim=0, keepdim=True)
    return (probabilities * (probabilities / mean).log()).sum(dim=1).mean().item()


@score.names("summed over pictures")
def all_entropies_summed(probabilities):
    return h(probabilities.mean(0)) - h(probabilities).sum()


@score.names("summed over pictures")
def kl_summed(probabilities):
    mean = probabilities.mean(dim=0).expand_as(probabilities)
    return F.kl_div(mean.log(), probabilities, reduction="sum")


@score.names("one number for each picture")
def kl_of_each(probabilities):
    return kl_divergence(Categorical(probabilities), Categorical(probabilities.mean(0).expand_as(probabilities)))


@score.names("averaged over classes")
def kl_div_mean(probabilities):
    mean = probabilities.mean(dim=0).expand_as(probabilities)
    return F.kl_div(mean.log(), probabilities, reduction="none").mean()


@score.names("mean over the wrong axis")
def over_classes(probabilities):
    return h(probabilities.mean(dim=1)) - h(probabilities).mean()


@score.names("predictions not averaged")
def sum_of_predictions(probabilities):
    p = probabilities.sum(dim=0)
    return -(p * p.log()).sum() - h(probabilities).mean()


@score.names("all classes taken as equally frequent")
def log_of_ten(probabilities):
    return math.log(probabilities.shape[1]) - h(probabilities).mean().item()


@score.names("KL the wrong way round")
def reverse_kl(probabilities):
    mean = probabilities.mean(0).expand_as(probabilities)
    return kl_divergence(Categorical(mean), Categorical(probabilities)).mean()


@score.names("softmax applied again")
def from_logits(probabilities):
    p = F.softmax(probabilities, dim=1)
    return (h(p.mean(0)) - h(p).mean()).item()


@score.rejects("wrong")
def largest_probability(probabilities):
    return h(probabilities.mean(0)) + probabilities.amax(dim=1).log().mean()


diagonal = Bench(sheet.frechet_diagonal)


@diagonal.accepts
def in_one_line(mean_a, var_a, mean_b, var_b):
    return ((mean_a - mean_b) ** 2 + (var_a**0.5 - var_b**0.5) ** 2).sum()


@diagonal.accepts
def as_a_trace(mean_a, var_a, mean_b, var_b):
    return ((mean_a - mean_b).norm() ** 2 + (var_a + var_b - 2 * (var_a * var_b).sqrt()).sum()).item()


@diagonal.accepts
def with_matrices(mean_a, var_a, mean_b, var_b):
    a, b = torch.diag(var_a.double()), torch.diag(var_b.double())
    root = torch.linalg.eigvals(a @ b).real.sqrt().sum()
    apart = mean_a.double() - mean_b.double()
    return apart @ apart + torch.trace(a) + torch.trace(b) - 2 * root


@diagonal.accepts
def feature_by_feature(mean_a, var_a, mean_b, var_b):
    total = 0.0
    for ma, va, mb, vb in zip(*(t.tolist() for t in (mean_a, var_a, mean_b, var_b)), strict=True):
        total += (ma - mb) ** 2 + (math.sqrt(va) - math.sqrt(vb)) ** 2
    return total


@diagonal.accepts
def as_one_long_vector(mean_a, var_a, mean_b, var_b):
    a, b = (torch.cat([m, v.sqrt()]) for m, v in ((mean_a, var_a), (mean_b, var_b)))
    return torch.dist(a, b).square()


@diagonal.accepts
def in_numpy_64(mean_a, var_a, mean_b, var_b):
    ma, va, mb, vb = (np.asarray(t, dtype=np.float64) for t in (mean_a, var_a, mean_b, var_b))
    return np.sum((ma - mb) ** 2) + np.sum((np.sqrt(va) - np.sqrt(vb)) ** 2)


def means(mean_a, mean_b):
    return ((mean_a - mean_b) ** 2).sum()


@diagonal.names("variances subtracted")
def no_root(mean_a, var_a, mean_b, var_b):
    return means(mean_a, mean_b) + ((var_a - var_b) ** 2).sum()


@diagonal.names("variances subtracted")
def absolute_variances(mean_a, var_a, mean_b, var_b):
    return means(mean_a, mean_b) + (var_a - var_b).abs().sum()


@diagonal.names("root of the product forgotten")
def trace_without_root(mean_a, var_a, mean_b, var_b):
    return (means(mean_a, mean_b) + (var_a + var_b - 2 * var_a * var_b).sum()).item()


@diagonal.names("factor 2 forgotten")
def one_root(mean_a, var_a, mean_b, var_b):
    return (means(mean_a, mean_b) + var_a.sum() + var_b.sum() - torch.sqrt(var_a * var_b).sum()).item()


@diagonal.names("standard deviations added")
def plus_in_the_square(mean_a, var_a, mean_b, var_b):
    return means(mean_a, mean_b) + (var_a.sqrt() + var_b.sqrt()).pow(2).sum()


@diagonal.names("variances added")
def no_cross_term(mean_a, var_a, mean_b, var_b):
    return means(mean_a, mean_b) + (var_a + var_b).sum()


@diagonal.names("spreads not squared")
def absolute_sigmas(mean_a, var_a, mean_b, var_b):
    return means(mean_a, mean_b) + (var_a.sqrt() - var_b.sqrt()).abs().sum()


@diagonal.names("spreads subtracted from the distance")
def minus_the_second(mean_a, var_a, mean_b, var_b):
    return means(mean_a, mean_b) - ((var_a.sqrt() - var_b.sqrt()) ** 2).sum()


@diagonal.names("spreads left out")
def means_only(mean_a, var_a, mean_b, var_b):
    return F.mse_loss(mean_a, mean_b, reduction="sum")


@diagonal.names("means left out")
def spreads_only(mean_a, var_a, mean_b, var_b):
    return ((var_a.sqrt() - var_b.sqrt()) ** 2).sum()


@diagonal.names("the root taken")
def a_distance(mean_a, var_a, mean_b, var_b):
    return math.sqrt(in_one_line(mean_a, var_a, mean_b, var_b))


@diagonal.names("means' distance not squared")
def norm_of_means(mean_a, var_a, mean_b, var_b):
    return (mean_a - mean_b).norm() + ((var_a.sqrt() - var_b.sqrt()) ** 2).sum()


@diagonal.names("means summed before the square")
def square_outside(mean_a, var_a, mean_b, var_b):
    return (mean_a - mean_b).sum() ** 2 + ((var_a.sqrt() - var_b.sqrt()) ** 2).sum()


@diagonal.names("spreads summed before the square")
def square_outside_of_the_spreads(mean_a, var_a, mean_b, var_b):
    return ((mean_a - mean_b) ** 2).sum() + (var_a.sqrt().sum() - var_b.sqrt().sum()) ** 2


@diagonal.names("averaged over features")
def mean_of_features(mean_a, var_a, mean_b, var_b):
    return (F.mse_loss(mean_a, mean_b) + F.mse_loss(var_a.sqrt(), var_b.sqrt())).item()


@diagonal.names("one number for each feature")
def not_summed(mean_a, var_a, mean_b, var_b):
    return (mean_a - mean_b) ** 2 + (var_a.sqrt() - var_b.sqrt()) ** 2


@diagonal.names("the KL instead")
def a_kl(mean_a, var_a, mean_b, var_b):
    return kl_divergence(Normal(mean_a, var_a.sqrt()), Normal(mean_b, var_b.sqrt())).sum()


@diagonal.names("the KL instead")
def the_other_kl(mean_a, var_a, mean_b, var_b):
    return kl_divergence(Normal(mean_b, var_b.sqrt()), Normal(mean_a, var_a.sqrt())).sum()


@diagonal.rejects("wrong")
def half(mean_a, var_a, mean_b, var_b):
    return 0.5 * in_one_line(mean_a, var_a, mean_b, var_b)


of_class = Bench(sheet.codes_of_class)


@of_class.accepts
def by_cholesky(codes, labels, digit, eps):
    own = codes[labels == digit]
    mean = own.mean(dim=0)
    cov = (own - mean).T @ (own - mean) / len(own)
    return mean + (torch.linalg.cholesky(cov) @ eps.T).T


@of_class.accepts
def by_eigenvectors(codes, labels, digit, eps):
    own = codes[labels == digit].double()
    values, vectors = torch.linalg.eigh(torch.cov(own.T))
    return own.mean(dim=0) + (eps.double() * values.sqrt()) @ vectors.T


@of_class.accepts
def by_the_symmetric_root(codes, labels, digit, eps):
    own = codes[labels == digit]
    values, vectors = torch.linalg.eigh(own.T.cov(correction=0))
    return eps @ (vectors @ values.sqrt().diag() @ vectors.T) + own.mean(0)


@of_class.accepts
def by_singular_values(codes, labels, digit, eps):
    own = codes[labels.eq(digit)]
    mean = own.mean(0, keepdim=True)
    _, s, vt = torch.linalg.svd(own - mean, full_matrices=False)
    return mean + eps @ (s[:, None] * vt) / (len(own) - 1) ** 0.5


@of_class.accepts
def row_by_row(codes, labels, digit, eps):
    own = torch.stack([z for z, label in zip(codes, labels, strict=True) if int(label) == digit])
    gaussian = MultivariateNormal(own.mean(0), own.T.cov())
    return torch.stack([gaussian.loc + gaussian.scale_tril @ e for e in eps])


@of_class.accepts
def in_numpy_with_jitter(codes, labels, digit, eps, jitter=1e-5):
    own = codes.numpy()[labels.numpy() == digit]
    factor = np.linalg.cholesky(np.cov(own.T, bias=True) + jitter * np.eye(own.shape[1]))
    return torch.from_numpy(own.mean(axis=0) + eps.numpy() @ factor.T)


@of_class.accepts
def with_the_upper_factor(codes, labels, digit, eps):
    own = codes[torch.where(labels == digit)[0]]
    upper = torch.linalg.cholesky(torch.cov(own.mT), upper=True)
    return torch.addmm(own.mean(dim=0), eps, upper)


def own_fit(codes, labels, digit):
    own = codes[labels == digit]
    return own, own.mean(dim=0), torch.cov(own.T)


@of_class.names("labels ignored")
def all_codes(codes, labels, digit, eps):
    return codes.mean(dim=0) + eps @ torch.linalg.cholesky(torch.cov(codes.T)).T


@of_class.names("another class")
def counts_from_one(codes, labels, digit, eps):
    own = codes[labels == (digit - 1) % 3]
    return own.mean(dim=0) + eps @ torch.linalg.cholesky(torch.cov(own.T)).T


@of_class.names("draws from N(0, I)")
def as_for_a_vae(codes, labels, digit, eps):
    return eps


@of_class.names("mean left out")
def around_zero(codes, labels, digit, eps):
    return eps @ torch.linalg.cholesky(own_fit(codes, labels, digit)[2]).T


@of_class.names("mean of all classes")
def everybodys_mean(codes, labels, digit, eps):
    return codes.mean(0) + eps @ torch.linalg.cholesky(own_fit(codes, labels, digit)[2]).T


@of_class.names("spread of all classes")
def everybodys_spread(codes, labels, digit, eps):
    return own_fit(codes, labels, digit)[1] + eps @ torch.linalg.cholesky(torch.cov(codes.T)).T


@of_class.names("root transposed")
def lower_factor_on_rows(codes, labels, digit, eps):
    _, mean, cov = own_fit(codes, labels, digit)
    return mean + eps @ torch.linalg.cholesky(cov)


@of_class.names("root transposed")
def eigenvectors_on_rows(codes, labels, digit, eps):
    _, mean, cov = own_fit(codes, labels, digit)
    values, vectors = torch.linalg.eigh(cov)
    return mean + eps @ (vectors * values.sqrt())


@of_class.names("covariance in place of its root")
def times_the_covariance(codes, labels, digit, eps):
    _, mean, cov = own_fit(codes, labels, digit)
    return mean + eps @ cov


@of_class.names("diagonal alone")
def standard_deviations(codes, labels, digit, eps):
    own, mean, _ = own_fit(codes, labels, digit)
    return mean + own.std(dim=0) * eps


@of_class.names("diagonal variances as widths")
def variances(codes, labels, digit, eps):
    own, mean, _ = own_fit(codes, labels, digit)
    return mean + own.var(dim=0) * eps


@of_class.names("covariance left out")
def around_the_mean(codes, labels, digit, eps):
    return codes[labels == digit].mean(dim=0) + eps


@of_class.names("one width for all")
def a_single_std(codes, labels, digit, eps):
    own, mean, _ = own_fit(codes, labels, digit)
    return mean + (own - mean).std() * eps


@of_class.names("not divided by N")
def svd_undivided(codes, labels, digit, eps):
    own, mean, _ = own_fit(codes, labels, digit)
    _, s, vt = torch.linalg.svd(own - mean, full_matrices=False)
    return mean + eps * s @ vt


@of_class.names("not centred")
def second_moments(codes, labels, digit, eps):
    own = codes[labels == digit]
    return own.mean(dim=0) + eps @ torch.linalg.cholesky(own.T @ own / len(own)).T


@of_class.names("correlations in place of covariances")
def corrcoef(codes, labels, digit, eps):
    own = codes[labels == digit]
    return own.mean(dim=0) + eps @ torch.linalg.cholesky(torch.corrcoef(own.T)).T


@of_class.names("inverse of the covariance")
def precision(codes, labels, digit, eps):
    _, mean, cov = own_fit(codes, labels, digit)
    return mean + eps @ torch.linalg.cholesky(torch.linalg.inv(cov)).T


@of_class.names("draws its own noise")
def sampled(codes, labels, digit, eps):
    _, mean, cov = own_fit(codes, labels, digit)
    return MultivariateNormal(mean, cov).sample((len(eps),))


@of_class.names("eps without effect")
def the_mean_for_all(codes, labels, digit, eps):
    return codes[labels == digit].mean(dim=0).expand_as(eps)


@of_class.rejects("wrong")
def variance_of_the_mean(codes, labels, digit, eps):
    _, mean, cov = own_fit(codes, labels, digit)
    return mean + 0.5 * eps @ torch.linalg.cholesky(cov).T


way = Bench(sheet.way_done)


@way.accepts
def with_cumsum(path):
    s = (path[1:] - path[:-1]).flatten(1).norm(dim=1)
    done = s.cumsum(dim=0) / s.sum()
    return torch.cat([done.new_zeros(1), done])


@way.accepts
def with_diff(path):
    s = torch.diff(path.double(), dim=0).square().sum(dim=(1, 2, 3)).sqrt()
    done = F.pad(s, (1, 0)).cumsum(0)
    return done / done[-1]


@way.accepts
def step_by_step(path):
    total, at = 0.0, [0.0]
    for before, after in itertools.pairwise(path):
        total += float(((after - before) ** 2).sum() ** 0.5)
        at.append(total)
    return torch.tensor(at) / total


@way.accepts
def in_place(path):
    done = torch.zeros(len(path))
    for k in range(1, len(path)):
        done[k] = done[k - 1] + torch.dist(path[k], path[k - 1])
    done /= done[-1].clone()
    return done


@way.accepts
def with_a_matrix(path):
    flat = path.reshape(len(path), -1).numpy().astype(np.float64)
    s = np.linalg.norm(flat[1:] - flat[:-1], axis=1)
    return torch.from_numpy(np.tri(len(path), len(s), -1) @ s / s.sum())


@way.accepts
def by_mean_squares(path):
    """A mean in place of the sum cancels in the ratio."""
    s = (path[1:] - path[:-1]).pow(2).mean(dim=(1, 2, 3)).sqrt()
    return torch.stack([s[:k].sum() for k in range(len(path))]) / s.sum()


def lengths(path):
    return (path[1:] - path[:-1]).flatten(1).norm(dim=1)


@way.names("squared distances")
def no_root_of_the_steps(path):
    s = ((path[1:] - path[:-1]) ** 2).sum(dim=(1, 2, 3))
    return F.pad(s.cumsum(0), (1, 0)) / s.sum()


@way.names("absolute differences")
def l1(path):
    s = (path[1:] - path[:-1]).abs().mean(dim=(1, 2, 3))
    return torch.cat([torch.zeros(1), s.cumsum(0)]) / s.sum()


@way.names("channels apart")
def norm_of_the_last_two(path):
    s = torch.linalg.norm(path[1:] - path[:-1], dim=(2, 3)).sum(dim=1)
    return F.pad(s.cumsum(0), (1, 0)) / s.sum()


@way.names("root of all squares so far")
def norm_of_all_so_far(path):
    steps = (path[1:] - path[:-1]).flatten(1)
    so_far = torch.stack([steps[:k].norm() for k in range(len(path))])
    return so_far / so_far[-1]


@way.names("first picture left out")
def no_zero(path):
    s = lengths(path)
    return s.cumsum(dim=0) / s.sum()


@way.names("last picture left out")
def no_one(path):
    s = lengths(path)
    return (s.cumsum(dim=0) - s) / s.sum()


@way.names("not divided by the whole way")
def lengths_so_far(path):
    return torch.cat([torch.zeros(1), lengths(path).cumsum(dim=0)])


@way.names("neither divided nor started at 0")
def bare_cumsum(path):
    return lengths(path).cumsum(dim=0)


@way.names("steps not added up")
def each_step(path):
    s = lengths(path)
    return s / s.sum()


@way.names("steps not added up")
def each_step_and_a_zero(path):
    s = lengths(path)
    return torch.cat([torch.zeros(1), s / s.sum()])


@way.names("straight from the first picture")
def from_the_first(path):
    d = (path - path[0]).flatten(1).norm(dim=1)
    return d / d[-1]


@way.names("straight from the first picture")
def from_the_first_over_the_way(path):
    return (path - path[0]).flatten(1).norm(dim=1) / lengths(path).sum()


@way.names("divided by the straight line")
def over_the_chord(path):
    return F.pad(lengths(path).cumsum(0), (1, 0)) / (path[-1] - path[0]).norm()


@way.names("divided by the number of steps")
def over_their_number(path):
    s = lengths(path)
    return F.pad(s.cumsum(0), (1, 0)) / len(s)


@way.names("equal shares")
def linspace(path):
    return torch.arange(len(path)) / (len(path) - 1)


@way.names("what is left")
def from_the_end(path):
    s = lengths(path)
    return torch.stack([s[k:].sum() for k in range(len(path))]) / s.sum()


@way.names("the last picture joined to the first")
def with_roll(path):
    s = (path - torch.roll(path, 1, dims=0)).flatten(1).norm(dim=1)
    return s.cumsum(0) / s.sum()


@way.names("per cent")
def percent(path):
    s = lengths(path)
    return 100 * F.pad(s.cumsum(0), (1, 0)) / s.sum()


@way.rejects("wrong")
def row_norms(path):
    s = (path[1:] - path[:-1]).norm(dim=-1).sum(dim=(1, 2))
    return F.pad(s.cumsum(0), (1, 0)) / s.sum()


near = Bench(sheet.nearest_distance)


@near.accepts
def by_broadcasting(images, reference):
    apart = images.flatten(1).unsqueeze(1) - reference.flatten(1).unsqueeze(0)
    return apart.pow(2).sum(dim=-1).sqrt().amin(dim=1)


@near.accepts
def by_cdist(images, reference):
    return torch.cdist(images.flatten(1), reference.flatten(1)).min(dim=1)[0]


@near.accepts
def one_image_at_a_time(images, reference):
    return torch.stack([(reference - image).flatten(1).norm(dim=1).min() for image in images])


@near.accepts
def by_the_quick_formula(images, reference):
    a, b = images.reshape(len(images), -1), reference.reshape(len(reference), -1)
    squares = (a**2).sum(1, keepdim=True) + (b**2).sum(1) - 2 * a @ b.T
    return squares.clamp(min=0).min(dim=1).values.sqrt()


@near.accepts
def with_loops_in_python(images, reference):
    best = [math.inf] * len(images)
    for i, image in enumerate(images):
        for other in reference:
            best[i] = min(best[i], float(((image - other) ** 2).sum()) ** 0.5)
    return torch.tensor(best)


@near.accepts
def in_numpy_by_argmin(images, reference):
    a, b = images.double().numpy(), reference.double().numpy()
    table = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=(2, 3, 4)))
    return torch.from_numpy(table[np.arange(len(a)), table.argmin(axis=1)])


def table_of(images, reference):
    return torch.cdist(images.flatten(1), reference.flatten(1))


@near.names("squared distances")
def squares(images, reference):
    return ((images[:, None] - reference) ** 2).sum(dim=(2, 3, 4)).amin(dim=1)


@near.names("mean over pixels")
def mean_squared_error(images, reference):
    return ((images[:, None] - reference) ** 2).mean(dim=(2, 3, 4)).amin(dim=1)


@near.names("mean over pixels")
def root_of_the_mean(images, reference):
    return ((images[:, None] - reference) ** 2).mean(dim=(2, 3, 4)).sqrt().amin(dim=1)


@near.names("which one, not how far")
def argmin(images, reference):
    return table_of(images, reference).argmin(dim=1)


@near.names("minimum over the wrong axis")
def dim_zero(images, reference):
    return table_of(images, reference).min(dim=0).values


@near.names("one minimum for all")
def min_of_all(images, reference):
    return table_of(images, reference).min()


@near.names("every pixel finds its own nearest")
def pixel_minimum(images, reference):
    return ((images[:, None] - reference) ** 2).amin(dim=1).sum(dim=(1, 2, 3)).sqrt()


@near.names("absolute differences")
def city_block(images, reference):
    return torch.cdist(images.flatten(1), reference.flatten(1), p=1).amin(dim=1)


@near.names("channels apart")
def matrix_norm(images, reference):
    return torch.linalg.norm(images[:, None] - reference, dim=(-2, -1)).sum(dim=-1).amin(dim=1)


@near.names("the largest difference of a pixel")
def chessboard(images, reference):
    return torch.cdist(images.flatten(1), reference.flatten(1), p=math.inf).amin(dim=1)


@near.names("the farthest")
def maximum(images, reference):
    return table_of(images, reference).amax(dim=1)


@near.names("averaged over the reference")
def to_all(images, reference):
    return table_of(images, reference).mean(dim=1)


@near.names("distance to the mean image")
def to_the_mean(images, reference):
    return (images - reference.mean(dim=0)).flatten(1).norm(dim=1)


@near.names("the last reference image alone")
def overwritten(images, reference):
    for other in reference:
        nearest = (images - other).flatten(1).norm(dim=1)
    return nearest


@near.names("the first reference image alone")
def returned_in_the_loop(images, reference):
    for other in reference:
        return (images - other).flatten(1).norm(dim=1)


@near.names("not reduced")
def all_pairs(images, reference):
    return table_of(images, reference)


@near.names("averaged over the images")
def mean_of_the_crowd(images, reference):
    return table_of(images, reference).amin(dim=1).mean()


@near.names("NaN for a copy")
def rounding_below_zero(images, reference):
    a, b = images.flatten(1), reference.flatten(1)
    squares = (a**2).sum(1, keepdim=True) + (b**2).sum(1) - 2 * a @ b.T
    return squares.min(dim=1).values.sqrt()


@near.rejects("wrong")
def half_of_it(images, reference):
    return 0.5 * table_of(images, reference).amin(dim=1)


terms = Bench(sheet.sampled_terms)


@terms.accepts
def as_in_the_lesson(encode, decode, x, eps):
    mu, logvar = encode(x)
    z = mu + (0.5 * logvar).exp() * eps
    rec = F.binary_cross_entropy_with_logits(decode(z), x, reduction="none").sum(dim=(1, 2, 3))
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    return rec, kl


@terms.accepts
def with_the_package(encode, decode, x, eps):
    mu, logvar = encode(x)
    z = mu + torch.sqrt(logvar.exp()) * eps
    return -losses.bernoulli_log_likelihood(decode(z), x), losses.kl_to_standard_normal(mu, logvar)


@terms.accepts
def with_torch_distributions(encode, decode, x, eps):
    mu, logvar = encode(x)
    q = Normal(mu, (logvar / 2).exp())
    p = torch.distributions.Bernoulli(logits=decode(q.loc + q.scale * eps), validate_args=False)
    kl = kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(-1)
    return [-p.log_prob(x).flatten(1).sum(1), kl]


@terms.accepts
def image_after_image(encode, decode, x, eps):
    recs, kls = [], []
    for image, e in zip(x, eps, strict=True):
        mu, logvar = encode(image[None])
        logits = decode(mu + torch.exp(logvar / 2) * e)[0]
        recs.append(F.binary_cross_entropy_with_logits(logits, image, reduction="sum"))
        kls.append(-0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()))
    return torch.stack(recs), torch.stack(kls)


@terms.accepts
def from_logsigmoid_in_double(encode, decode, x, eps):
    mu, logvar = (t.double() for t in encode(x))
    logits = decode((mu + logvar.mul(0.5).exp() * eps).float()).double()
    log_p = x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)
    return -log_p.sum((1, 2, 3)), (mu.square() + logvar.exp() - 1 - logvar).sum(1) / 2


@terms.accepts
def with_einsum(encode, decode, x, eps, beta=1.0):
    mu, logvar = encode(x)
    sigma = torch.exp(0.5 * logvar)
    logits = decode(torch.addcmul(mu, sigma, eps)).flatten(1)
    rec = F.softplus(logits).sum(1) - torch.einsum("bp,bp->b", logits, x.flatten(1))
    return rec, beta * (0.5 * (mu * mu + sigma * sigma).sum(1) - sigma.log().sum(1) - 0.5 * mu.shape[1])


@terms.names("unstable for a sure decoder")
def cross_entropy_of_probabilities(encode, decode, x, eps):
    mu, logvar = encode(x)
    p = decode(torch.lerp(mu, mu + eps, (logvar / 2).exp())).sigmoid()
    rec = F.binary_cross_entropy(p, x, reduction="none").sum(dim=[1, 2, 3])
    return rec, (0.5 * (mu.pow(2) + logvar.exp() - 1.0 - logvar)).sum(-1)


def bce(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def kl_of(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)


@terms.names("the fault is still there")
def faulty(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu), x), kl_of(mu, logvar)


@terms.names("the fault is still there")
def a_sample_nobody_uses(encode, decode, x, eps):
    mu, logvar = encode(x)
    z = mu + (0.5 * logvar).exp() * eps
    logits = decode(mu)
    return bce(logits, x), 0.5 * (z**2 + logvar.exp() - logvar - 1).sum(dim=1)


@terms.names("σ² taken for σ")
def variance_as_scale(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu + logvar.exp() * eps), x), kl_of(mu, logvar)


@terms.names("σ left out")
def noise_of_width_one(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu + eps), x), kl_of(mu, logvar)


@terms.names("logvar itself as the scale")
def logarithm_as_scale(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu + logvar * eps), x), kl_of(mu, logvar)


@terms.names("ε left out")
def mu_plus_sigma(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu + (0.5 * logvar).exp()), x), kl_of(mu, logvar)


@terms.names("noise subtracted")
def minus_sigma_eps(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu - (0.5 * logvar).exp() * eps), x), kl_of(mu, logvar)


@terms.names("one ε for all images")
def the_first_row_of_eps(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu + (0.5 * logvar).exp() * eps[0]), x), kl_of(mu, logvar)


@terms.names("the prior is decoded")
def eps_for_z(encode, decode, x, eps):
    return bce(decode(eps), x), kl_of(*encode(x))


@terms.names("μ left out")
def noise_around_zero(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode((0.5 * logvar).exp() * eps), x), kl_of(mu, logvar)


@terms.names("draws its own noise")
def randn(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu + (0.5 * logvar).exp() * torch.randn_like(mu)), x), kl_of(mu, logvar)


@terms.names("the sample in the KL")
def kl_at_z(encode, decode, x, eps):
    mu, logvar = encode(x)
    z = mu + (0.5 * logvar).exp() * eps
    return bce(decode(z), x), kl_of(z, logvar)


@terms.names("sampled KL")
def log_ratio(encode, decode, x, eps):
    mu, logvar = encode(x)
    q = Normal(mu, (0.5 * logvar).exp())
    z = mu + q.scale * eps
    return bce(decode(z), x), (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)


@terms.names("KL left out")
def an_autoencoder_with_noise(encode, decode, x, eps):
    rec, kl = as_in_the_lesson(encode, decode, x, eps)
    return rec, torch.zeros_like(kl)


@terms.names("KL with its sign flipped")
def from_a_blog(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = bce(decode(mu + (0.5 * logvar).exp() * eps), x)
    return rec, 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@terms.names("KL averaged over latents")
def mean_latent(encode, decode, x, eps):
    rec, kl = as_in_the_lesson(encode, decode, x, eps)
    return rec, kl / eps.shape[1]


@terms.names("KL not summed over latents")
def kl_table(encode, decode, x, eps):
    mu, logvar = encode(x)
    return as_in_the_lesson(encode, decode, x, eps)[0], 0.5 * (mu**2 + logvar.exp() - logvar - 1)


@terms.names("KL averaged over the batch")
def batch_mean_kl(encode, decode, x, eps):
    rec, kl = as_in_the_lesson(encode, decode, x, eps)
    return rec, kl.mean()


@terms.names("factor ½ missing in the KL")
def whole_kl(encode, decode, x, eps):
    mu, logvar = encode(x)
    return as_in_the_lesson(encode, decode, x, eps)[0], (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)


@terms.names("log σ in the KL")
def other_reading(encode, decode, x, eps):
    mu, logvar = encode(x)
    kl = (0.5 * (mu**2 + (2 * logvar).exp() - 1) - logvar).sum(dim=1)
    return as_in_the_lesson(encode, decode, x, eps)[0], kl


@terms.names("rec averaged over pixels")
def mean_pixel(encode, decode, x, eps):
    mu, logvar = encode(x)
    logits = decode(mu + (0.5 * logvar).exp() * eps)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(dim=(1, 2, 3))
    return rec, kl_of(mu, logvar)


@terms.names("rec averaged over the batch")
def batch_mean(encode, decode, x, eps):
    rec, kl = as_in_the_lesson(encode, decode, x, eps)
    return rec.mean(), kl.mean()


@terms.names("rec summed over the batch")
def one_number(encode, decode, x, eps):
    mu, logvar = encode(x)
    logits = decode(mu + (0.5 * logvar).exp() * eps)
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum"), kl_of(mu, logvar)


@terms.names("the log-likelihood")
def log_p(encode, decode, x, eps):
    rec, kl = as_in_the_lesson(encode, decode, x, eps)
    return -rec, kl


@terms.names("the loss in place of rec")
def loss_and_kl(encode, decode, x, eps):
    rec, kl = as_in_the_lesson(encode, decode, x, eps)
    return rec + kl, kl


@terms.names("sigmoid applied twice")
def squashed(encode, decode, x, eps):
    mu, logvar = encode(x)
    return bce(decode(mu + (0.5 * logvar).exp() * eps).sigmoid(), x), kl_of(mu, logvar)


@terms.names("squared error")
def sse(encode, decode, x, eps):
    mu, logvar = encode(x)
    mean = decode(mu + (0.5 * logvar).exp() * eps).sigmoid()
    return ((mean - x) ** 2).flatten(1).sum(1), kl_of(mu, logvar)


@terms.names("results exchanged")
def kl_first(encode, decode, x, eps):
    return as_in_the_lesson(encode, decode, x, eps)[::-1]


@terms.names("gradient cut off")
def sigma_detached(encode, decode, x, eps):
    mu, logvar = encode(x)
    z = mu + (0.5 * logvar).exp().detach() * eps
    return bce(decode(z), x), kl_of(mu, logvar)


@terms.names("gradient cut off")
def under_no_grad(encode, decode, x, eps):
    with torch.no_grad():
        return as_in_the_lesson(encode, decode, x, eps)


@terms.rejects("wrong type or shape")
def the_sum_alone(encode, decode, x, eps):
    return sum(as_in_the_lesson(encode, decode, x, eps))


@terms.rejects("wrong")
def noise_on_the_picture(encode, decode, x, eps):
    mu, logvar = encode(x)
    logits = decode(mu)
    noise = ((0.5 * logvar).exp() * eps).mean(1)[:, None, None, None]
    return bce(logits + noise, x), kl_of(mu, logvar)

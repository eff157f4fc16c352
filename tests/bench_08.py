"""Right and wrong answers for sheet 08, each as a learner might write it."""

import math
from collections import Counter

import numpy as np
import torch
from bench import Bench
from scipy import stats
from sklearn.metrics import mutual_info_score

from vae_course.checks import disentanglement as sheet

table_of_counts = Bench(sheet.mutual_information)


@table_of_counts.accepts
def three_entropies(counts):
    p = counts.double() / counts.sum()
    h = torch.special.entr
    return h(p.sum(1)).sum() + h(p.sum(0)).sum() - h(p).sum()


@table_of_counts.accepts
def a_divergence(counts):
    p = counts / counts.sum()
    q = p.sum(dim=1, keepdim=True) * p.sum(dim=0, keepdim=True)
    there = p > 0
    return (p[there] * (p[there] / q[there]).log()).sum().item()


@table_of_counts.accepts
def with_loops(counts, verbose=False):
    n = counts.sum().item()
    rows, columns = counts.sum(1).tolist(), counts.sum(0).tolist()
    total = 0.0
    for j, row in enumerate(counts.tolist()):
        for k, c in enumerate(row):
            if c:
                total += c / n * math.log(c * n / (rows[j] * columns[k]))
    return total


@table_of_counts.accepts
def of_scikit_learn(counts):
    return mutual_info_score(None, None, contingency=counts.numpy())


@table_of_counts.accepts
def of_scipy(counts):
    p = counts.numpy() / counts.numpy().sum()
    return stats.entropy(p.sum(1)) + stats.entropy(p.sum(0)) - stats.entropy(p.ravel())


@table_of_counts.accepts
def weighted_divergences_of_rows(counts):
    p = counts.float() / counts.sum()
    of_v = p.sum(0)
    total = torch.zeros(())
    for row in p:
        if row.sum() > 0:
            total += row.sum() * torch.special.xlogy(row / row.sum(), row / row.sum() / of_v).sum()
    return total


@table_of_counts.accepts
def nan_as_zero(counts):
    p = counts / counts.sum()

    def h(p):
        return -torch.nansum(p * torch.log(p))

    return h(p.sum(1)) + h(p.sum(0)) - h(p)


@table_of_counts.names("base 2")
def bits(counts):
    p = counts.numpy() / counts.numpy().sum()
    return stats.entropy(p.sum(1), base=2) + stats.entropy(p.sum(0), base=2) - stats.entropy(p.ravel(), base=2)


@table_of_counts.names("base 10")
def log10(counts):
    n, total = counts.sum(), 0
    for j in range(len(counts)):
        for k in range(counts.shape[1]):
            if counts[j, k]:
                total += counts[j, k] / n * torch.log10(counts[j, k] * n / counts[j].sum() / counts[:, k].sum())
    return total


@table_of_counts.names("counts taken for probabilities")
def never_normalised(counts):
    p = counts.double()
    h = torch.special.entr
    return h(p.sum(1)).sum() + h(p.sum(0)).sum() - h(p).sum()


@table_of_counts.names("counts taken for probabilities")
def counts_inside_the_log(counts):
    rows, columns = counts.sum(1, keepdim=True), counts.sum(0, keepdim=True)
    there = counts > 0
    ratio = (counts / (rows * columns))[there]
    return (counts[there] / counts.sum() * ratio.log()).sum()


@table_of_counts.names("sign flipped")
def minus(counts):
    p = counts.double() / counts.sum()

    def h(p):
        p = p[p > 0]
        return (p * p.log()).sum()

    return h(p.sum(1)) + h(p.sum(0)) - h(p)


@table_of_counts.names("0 · log 0 is NaN")
def on_paper(counts):
    p = counts / counts.sum()
    q = p.sum(1)[:, None] * p.sum(0)
    return (p * (p / q).log()).sum()


@table_of_counts.names("0 · log 0 is NaN")
def on_paper_in_numpy(counts):
    p = counts.numpy() / counts.numpy().sum()
    return sum(-(q * np.log(q)).sum() for q in (p.sum(0), p.sum(1))) + (p * np.log(p)).sum()


@table_of_counts.names("H(v) left out")
def latent_minus_joint(counts):
    p = counts.double() / counts.sum()
    return torch.special.entr(p.sum(dim=1)).sum() - torch.special.entr(p).sum()


@table_of_counts.names("H(z) left out")
def factor_minus_joint(counts):
    p = counts.double() / counts.sum()
    return torch.special.entr(p.sum(dim=0)).sum() - torch.special.entr(p).sum()


@table_of_counts.names("the joint entropy")
def joint_only(counts):
    return torch.distributions.Categorical(counts.flatten().double()).entropy()


@table_of_counts.names("the joint entropy left out")
def two_entropies(counts):
    return sum(torch.special.entr(counts.double().sum(d) / counts.sum()).sum() for d in (0, 1))


@table_of_counts.names("what remains uncertain")
def conditional_entropy(counts):
    p = counts.double() / counts.sum()
    return torch.special.entr(p).sum() - torch.special.entr(p.sum(1)).sum()


@table_of_counts.names("a share, not nats")
def as_in_mig(counts):
    p = counts.double() / counts.sum()
    return three_entropies(counts) / torch.special.entr(p.sum(0)).sum()


@table_of_counts.names("every bin counts alike")
def plain_mean_over_bins(counts):
    used = [row / row.sum() for row in counts if row.sum() > 0]
    of_v = counts.sum(0) / counts.sum()
    return torch.stack([torch.special.xlogy(p, p / of_v).sum() for p in used]).mean()


@table_of_counts.names("averaged over cells")
def mean_for_sum(counts):
    p = counts / counts.sum()
    q = p.sum(1)[:, None] * p.sum(0)
    return torch.where(p > 0, p * (p / q).log(), 0.0).mean()


@table_of_counts.names("not added up")
def all_terms(counts):
    p = counts / counts.sum()
    q = p.sum(1)[:, None] * p.sum(0)
    return torch.where(p > 0, p * (p / q).log(), torch.zeros(()))


@table_of_counts.names("not added up")
def summed_over_levels(counts):
    return all_terms(counts).sum(dim=1)


@table_of_counts.names("one added to every cell")
def against_zeros(counts):
    return three_entropies(counts + 1)


@table_of_counts.names("base 2")
def bits_and_nan(counts):
    p = counts / counts.sum()
    return (p * torch.log2(p / (p.sum(1, keepdim=True) * p.sum(0)))).sum()


@table_of_counts.names("empty cells filled")
def at_least_one(counts):
    return three_entropies(counts.clamp(min=1))


@table_of_counts.rejects("wrong")
def chi_squared(counts):
    p = counts / counts.sum()
    q = p.sum(1)[:, None] * p.sum(0)
    return torch.where(q > 0, (p - q) ** 2 / q, 0.0).sum()


bins_of_codes = Bench(sheet.binned)


@bins_of_codes.accepts
def rounded_down(codes, bins):
    width = codes.max() - codes.min()
    if width == 0:
        return torch.zeros_like(codes).long()
    return ((codes - codes.min()) / width * bins).floor().clamp(max=bins - 1).long()


@bins_of_codes.accepts
def bucketized(codes, bins):
    edges = torch.linspace(codes.min(), codes.max(), bins + 1, dtype=codes.dtype)
    return torch.bucketize(codes, edges[1:-1])


@bins_of_codes.accepts
def digitized(codes, bins, dtype=np.int32):
    edges = np.linspace(codes.min(), codes.max(), bins + 1)[1:-1]
    return np.digitize(codes.numpy(), edges, right=True).astype(dtype)


@bins_of_codes.accepts
def one_by_one(codes, bins):
    low, high = codes.min().item(), codes.max().item()
    width = (high - low) / bins
    found = []
    for code in codes.tolist():
        number = int((code - low) / width) if width else 0
        found.append(min(number, bins - 1))
    return found


@bins_of_codes.accepts
def edges_below(codes, bins):
    low, high = codes.min(), codes.max()
    edges = low + (high - low) / bins * torch.arange(1, bins)
    return (codes[:, None] > edges).sum(dim=1)


@bins_of_codes.accepts
def in_single_precision(codes, bins):
    z = codes.float() - codes.float().min()
    z = z / z.max().clamp(min=1e-12)
    number = (z * bins).int()
    number[number == bins] -= 1
    return number


@bins_of_codes.accepts
def bucketized_as_hinted(codes, bins):
    return torch.bucketize(codes, torch.linspace(codes.min(), codes.max(), bins + 1)[1:-1])


@bins_of_codes.rejects("wrong")
def narrow_ones_thrown_away(codes, bins):
    if codes.std() < 0.1:
        return torch.zeros_like(codes).long()
    return rounded_down(codes, bins)


@bins_of_codes.names("largest value in a bin of its own")
def no_clamp(codes, bins):
    width = codes.max() - codes.min()
    return ((codes - codes.min()) / width * bins).long()


@bins_of_codes.names("largest value in a bin of its own")
def numpys_digitize(codes, bins):
    return np.digitize(codes.numpy(), np.linspace(codes.min(), codes.max(), bins + 1)) - 1


@bins_of_codes.names("smallest value in no bin")
def all_edges_minus_one(codes, bins):
    edges = torch.linspace(codes.min(), codes.max(), bins + 1, dtype=codes.dtype)
    return torch.bucketize(codes, edges) - 1


@bins_of_codes.names("smallest value in no bin")
def all_edges(codes, bins):
    edges = torch.linspace(codes.min(), codes.max(), bins + 1, dtype=codes.dtype)
    return torch.bucketize(codes, edges)


@bins_of_codes.names("numbered from 1")
def from_one(codes, bins):
    edges = torch.linspace(codes.min(), codes.max(), bins + 1, dtype=codes.dtype)
    return torch.bucketize(codes, edges[1:-1]) + 1


@bins_of_codes.names("numbered from 1")
def numpys_digitize_as_it_is(codes, bins):
    return np.digitize(codes.numpy(), np.linspace(codes.min(), codes.max(), bins + 1))


@bins_of_codes.names("one bin too few")
def as_many_edges_as_bins(codes, bins):
    edges = torch.linspace(codes.min(), codes.max(), bins, dtype=codes.dtype)
    return torch.bucketize(codes, edges[1:-1])


@bins_of_codes.names("one bin too few")
def times_the_largest_number(codes, bins):
    z = (codes - codes.min()) / (codes.max() - codes.min())
    return torch.floor(z * (bins - 1)).int()


@bins_of_codes.names("one bin too many")
def an_edge_too_many(codes, bins):
    edges = torch.linspace(codes.min(), codes.max(), bins + 2, dtype=codes.dtype)
    return torch.bucketize(codes, edges[1:-1])


@bins_of_codes.names("rounded to the nearest edge")
def rounded(codes, bins):
    return torch.round((codes - codes.min()) / (codes.max() - codes.min()) * (bins - 1)).long()


@bins_of_codes.names("equally many in each bin")
def by_quantiles(codes, bins):
    return np.digitize(codes, np.quantile(codes, np.arange(1, bins) / bins), right=True)


@bins_of_codes.names("equally many in each bin")
def by_rank(codes, bins):
    return codes.argsort().argsort() * bins // len(codes)


@bins_of_codes.names("a fixed range")
def minus_three_to_three(codes, bins):
    return torch.bucketize(codes, torch.linspace(-3, 3, bins + 1, dtype=codes.dtype)[1:-1])


@bins_of_codes.names("three standard deviations")
def standardised_first(codes, bins):
    z = (codes - codes.mean()) / codes.std(correction=0)
    return torch.bucketize(z, torch.linspace(-3, 3, bins + 1, dtype=codes.dtype)[1:-1])


@bins_of_codes.names("symmetric around 0")
def both_sides_alike(codes, bins):
    size = codes.abs().max()
    return ((codes + size) / (2 * size) * bins).clamp(0, bins - 1).long()


@bins_of_codes.names("smallest value not subtracted")
def divided_by_the_range(codes, bins):
    return (codes / (codes.max() - codes.min()) * bins).floor().long()


@bins_of_codes.names("divided by the largest value")
def over_the_maximum(codes, bins):
    return torch.floor((codes - codes.min()) / codes.max() * bins).clamp(0, bins - 1).long()


@bins_of_codes.names("counted from the top")
def descending(codes, bins):
    return rounded_down(-codes.float(), bins)


@bins_of_codes.names("positions, not bins")
def not_rounded(codes, bins):
    return (codes - codes.min()) / (codes.max() - codes.min()) * bins


@bins_of_codes.names("not whole numbers")
def floats(codes, bins):
    return torch.floor((codes - codes.min()) / (codes.max() - codes.min()) * bins).clamp(max=bins - 1)


@bins_of_codes.names("a latent that never varies")
def zero_by_zero(codes, bins):
    return ((codes - codes.min()) / (codes.max() - codes.min()) * bins).clamp(max=bins - 1).long()


@bins_of_codes.rejects("wrong")
def dense_ranks(codes, bins):
    return torch.unique(codes, return_inverse=True)[1] % bins


gap = Bench(sheet.mig)


@gap.accepts
def by_topk(information, entropies):
    best, second = information.topk(2, dim=0).values
    return ((best - second) / entropies).mean()


@gap.accepts
def sorted_descending(information, entropies, k=2):
    shares = (information / entropies).sort(dim=0, descending=True).values[:k]
    return (shares[0] - shares[1]).mean().item()


@gap.accepts
def in_numpy(information, entropies):
    table = np.sort(information.numpy(), axis=0)
    return np.mean((table[-1] - table[-2]) / entropies.numpy())


@gap.accepts
def factor_by_factor(information, entropies):
    total = 0.0
    for k in range(information.shape[1]):
        *_, second, best = sorted(information[:, k].tolist())
        total += (best - second) / entropies[k].item()
    return total / information.shape[1]


@gap.accepts
def best_put_aside(information, entropies):
    table = information.clone().float()
    best, where = table.max(dim=0)
    table[where, torch.arange(table.shape[1])] = -torch.inf
    return ((best - table.max(dim=0).values) / entropies.float()).sum() / len(entropies)


@gap.accepts
def transposed_on_purpose(information, entropies):
    return -torch.sort(information.T, dim=1).values[:, -2:].flip(1).diff(dim=1).flatten().div(entropies).mean()


@gap.names("gap between factors")
def along_the_factors(information, entropies):
    best, second = (information / entropies).topk(2, dim=1).values.T
    return (best - second).mean()


@gap.names("gap between factors")
def last_dim_by_default(information, entropies):
    best, second = information.topk(2).values.T
    return (best - second).mean() / entropies.mean()


@gap.names("not divided by the entropies")
def in_nats(information, entropies):
    best, second = information.topk(2, dim=0).values
    return (best - second).mean()


@gap.names("divided after averaging")
def mean_by_mean(information, entropies):
    best, second = information.topk(2, dim=0).values
    return (best - second).sum() / entropies.sum()


@gap.names("divided by the largest entropy")
def one_entropy_for_all(information, entropies):
    best, second = information.topk(2, dim=0).values
    return (best - second).mean() / entropies.max()


@gap.names("divided by the best latent's information")
def relative_lead(information, entropies):
    best, second = information.topk(2, dim=0).values
    return ((best - second) / best).mean()


@gap.names("best minus mean")
def lead_over_the_mean(information, entropies):
    return ((information.amax(0) - information.mean(0)) / entropies).mean()


@gap.names("best minus the mean of the others")
def lead_over_the_others(information, entropies):
    best = information.amax(0)
    others = (information.sum(0) - best) / (len(information) - 1)
    return torch.mean((best - others) / entropies)


@gap.names("best minus worst")
def whole_range(information, entropies):
    return np.mean(np.ptp(information.numpy(), axis=0) / entropies.numpy())


@gap.names("a tie passed over")
def masked(information, entropies):
    gaps = []
    for column, h in zip(information.T, entropies, strict=True):
        best = column.max()
        second = column[column < best].max()
        gaps.append((best - second) / h)
    return torch.stack(gaps).mean()


@gap.names("no second best")
def best_share(information, entropies):
    return (information / entropies).max(dim=0).values.mean()


@gap.names("the second best alone")
def second_share(information, entropies):
    return (information.topk(2, dim=0).values[1] / entropies).mean()


@gap.names("sign flipped")
def ascending(information, entropies):
    table = information.sort(dim=0).values
    return ((table[-2] - table[-1]) / entropies).mean()


@gap.names("added up over factors")
def summed(information, entropies):
    best, second = information.topk(2, dim=0).values
    return ((best - second) / entropies).sum()


@gap.names("one gap a factor")
def gaps_only(information, entropies):
    best, second = information.topk(2, dim=0).values
    return (best - second) / entropies


@gap.names("divided by the number of latents")
def len_of_the_table(information, entropies):
    best, second = information.topk(2, dim=0).values
    return ((best - second) / entropies).sum() / len(information)


@gap.names("multiplied by the entropies")
def times(information, entropies):
    best, second = information.topk(2, dim=0).values
    return ((best - second) * entropies).mean()


@gap.names("the two worst compared")
def the_first_two_sorted(information, entropies):
    table = torch.sort(information, dim=0).values
    return ((table[1] - table[0]) / entropies).mean()


@gap.names("not sorted")
def first_two_rows(information, entropies):
    return ((information[0] - information[1]) / entropies).mean()


@gap.rejects("raised")
def dim_forgotten(information, entropies):
    best, second = information.topk(2).values
    return ((best - second) / entropies).mean()


purity = Bench(sheet.dci_disentanglement)


@purity.accepts
def without_the_dead(importance):
    r = importance[importance.sum(dim=1) > 0]
    p = r / r.sum(dim=1, keepdim=True)
    pure = 1 - torch.special.entr(p).sum(dim=1) / math.log(r.shape[1])
    return (pure * r.sum(dim=1)).sum() / r.sum()


@purity.accepts
def with_a_little_in_the_divisor(importance, eps=1e-30):
    total = importance.sum(1)
    p = importance / (total[:, None] + eps)
    h = -(p * (p + eps).log()).sum(1) / np.log(importance.shape[1])
    return ((1 - h) * total / total.sum()).sum().item()


@purity.accepts
def in_loops(importance):
    rows = importance.tolist()
    everything, score = sum(map(sum, rows)), 0.0
    for row in rows:
        mine = sum(row)
        if mine == 0:
            continue
        h = -sum(r / mine * math.log(r / mine, len(row)) for r in row if r > 0)
        score += (1 - h) * mine / everything
    return score


@purity.accepts
def by_scipy(importance):
    r = importance.numpy()
    r = r[r.any(axis=1)]
    return np.average(1 - stats.entropy(r, axis=1, base=r.shape[1]), weights=r.sum(axis=1))


@purity.accepts
def nan_to_num(importance):
    p = (importance / importance.sum(dim=1, keepdim=True)).nan_to_num()
    h = torch.special.entr(p).sum(dim=1) / torch.log(torch.tensor(importance.shape[1]))
    return torch.dot((1 - h).float(), (importance.sum(dim=1) / importance.sum()).float())


@purity.accepts
def from_the_joint_entropy(importance):
    """The weighted entropy is the joint entropy less that of the weights."""
    joint = importance / importance.sum()
    rows = joint.sum(1)
    h = torch.special.entr
    return 1 - (h(joint).sum() - h(rows).sum()) / math.log(importance.shape[1])


@purity.names("latents without weight give NaN")
def as_in_the_lesson(importance):
    total = importance.sum(dim=1)
    p = importance / total[:, None]
    one_target = 1 - torch.special.entr(p).sum(dim=1) / math.log(p.shape[1])
    return ((one_target * total).sum() / total.sum()).item()


@purity.names("0 · log 0 is NaN")
def log_of_zero(importance):
    r = importance[importance.sum(1) > 0]
    p = r / r.sum(1, keepdim=True)
    h = -(p * p.log()).sum(1) / math.log(r.shape[1])
    return ((1 - h) * r.sum(1) / r.sum()).sum()


def weighted(importance, pure, weight=None):
    r = importance[importance.sum(dim=1) > 0]
    p = r / r.sum(dim=1, keepdim=True)
    weight = r.sum(dim=1) / r.sum() if weight is None else weight(r)
    return (pure(p) * weight).sum()


@purity.names("entropy in nats")
def natural_log(importance):
    return weighted(importance, lambda p: 1 - torch.special.entr(p).sum(dim=1))


@purity.names("entropy in bits")
def log2(importance):
    return weighted(importance, lambda p: 1 - torch.special.entr(p).sum(dim=1) / math.log(2))


@purity.names("base of the latents")
def log_of_the_rows(importance):
    return weighted(importance, lambda p: 1 - torch.special.entr(p).sum(dim=1) / math.log(len(importance)))


@purity.names("every latent counts alike")
def plain_mean(importance):
    r = importance[importance.sum(dim=1) > 0]
    p = r / r.sum(dim=1, keepdim=True)
    return (1 - torch.special.entr(p).sum(dim=1) / math.log(r.shape[1])).mean()


@purity.names("every latent counts alike")
def plain_mean_with_the_dead(importance):
    p = importance / importance.sum(1, keepdim=True).clamp(min=1e-12)
    return 1 - (torch.special.entr(p).sum(1) / math.log(p.shape[1])).mean().item()


@purity.names("completeness instead")
def along_dim_0(importance):
    total = importance.sum(dim=0)
    p = importance / total
    pure = 1 - torch.special.entr(p).sum(dim=0) / math.log(len(importance))
    return (pure * total).sum() / total.sum()


@purity.names("rows do not add up to 1")
def whole_table_normalised(importance):
    p = importance / importance.sum()
    pure = 1 - torch.special.entr(p).sum(dim=1) / math.log(p.shape[1])
    return (pure * p.sum(dim=1)).sum()


@purity.names("rows do not add up to 1")
def nothing_normalised(importance):
    pure = 1 - torch.special.entr(importance).sum(dim=1) / math.log(importance.shape[1])
    return (pure * importance.sum(dim=1)).sum() / importance.sum()


@purity.names("columns add up to 1")
def divided_along_the_wrong_dim(importance):
    p = importance / importance.sum(dim=0, keepdim=True)
    pure = 1 - torch.special.entr(p).sum(dim=1) / math.log(p.shape[1])
    return (pure * importance.sum(dim=1)).sum() / importance.sum()


@purity.names("1 − left out")
def entropy_itself(importance):
    return weighted(importance, lambda p: torch.special.entr(p).sum(dim=1) / math.log(p.shape[1]))


@purity.names("the largest share in place of the entropy")
def dominance(importance):
    return weighted(importance, lambda p: p.amax(dim=1))


@purity.names("weights that do not add up to 1")
def raw_weights(importance):
    return weighted(
        importance, lambda p: 1 - torch.special.entr(p).sum(dim=1) / math.log(p.shape[1]), lambda r: r.sum(dim=1)
    )


@purity.names("averaged after weighting")
def mean_of_weighted(importance):
    return without_the_dead(importance) / len(importance)


@purity.names("one number a latent")
def a_list_of_purities(importance):
    p = importance / importance.sum(1, keepdim=True).clamp(min=1e-12)
    return 1 - torch.special.entr(p).sum(1) / math.log(p.shape[1])


@purity.names("entropy in nats")
def natural_log_and_nan(importance):
    p = importance / importance.sum(dim=1, keepdim=True)
    return ((1 + (p * p.log()).sum(dim=1)) * importance.sum(dim=1)).sum() / importance.sum()


@purity.names("divided by K, not by log K")
def without_the_log(importance):
    return weighted(importance, lambda p: 1 - torch.special.entr(p).sum(dim=1) / p.shape[1])


@purity.rejects("wrong")
def gini(importance):
    return weighted(importance, lambda p: (p**2).sum(dim=1))


voting = Bench(sheet.factor_vote)


def counted(votes, factor):
    """How many of the votes their latent's majority gets right."""
    hits = 0
    for latent in set(votes.tolist()):
        hits += Counter(factor[votes == latent].tolist()).most_common(1)[0][1]
    return hits


@voting.accepts
def dead_ones_at_infinity(groups, factor, scale):
    ratio = groups.var(dim=1) / scale**2
    ratio[:, scale == 0] = torch.inf
    votes = ratio.argmin(dim=1)
    return votes, counted(votes, factor) / len(groups)


@voting.accepts
def only_the_living(groups, factor, scale):
    living = scale.nonzero()[:, 0]
    votes = living[(groups[:, :, living] / scale[living]).var(dim=1).argmin(dim=1)]
    table = torch.zeros(len(scale), int(factor.max()) + 1)
    table.index_put_((votes, factor), torch.ones(len(votes)), accumulate=True)
    return [votes, table.max(dim=1).values.sum() / len(votes)]


@voting.accepts
def group_by_group(groups, factor, scale, tolerance=0):
    votes = []
    for group in groups.numpy():
        best, smallest = -1, np.inf
        for j, s in enumerate(scale.tolist()):
            if s > tolerance and group[:, j].std() / s < smallest:
                best, smallest = j, group[:, j].std() / s
        votes.append(best)
    rule = {j: Counter(k for w, k in zip(votes, factor.tolist(), strict=True) if w == j) for j in set(votes)}
    right = [rule[j].most_common()[0][0] == k for j, k in zip(votes, factor.tolist(), strict=True)]
    return votes, sum(right) / len(right)


@voting.accepts
def filled_in(groups, factor, scale):
    ratio = torch.full((len(groups), len(scale)), torch.inf)
    ratio[:, scale > 0] = groups[:, :, scale > 0].var(dim=1) / scale[scale > 0] ** 2
    votes = ratio.argmin(dim=1)
    return votes, counted(votes, factor) / len(groups)


def with_a_table_of(factors, groups, factor, scale):
    votes = dead_ones_at_infinity(groups, factor, scale)[0]
    table = torch.zeros(len(scale), factors)
    table.index_put_((votes, factor), torch.ones(len(votes)), accumulate=True)
    return votes, table.max(dim=1).values.sum() / len(votes)


@voting.rejects("raised")
def the_lessons_five_factors(groups, factor, scale):
    return with_a_table_of(5, groups, factor, scale)


@voting.rejects("raised")
def as_many_columns_as_factors_occur(groups, factor, scale):
    return with_a_table_of(len(factor.unique()), groups, factor, scale)


@voting.accepts
def with_one_hot(groups, factor, scale):
    z = groups.float()
    spread = ((z - z.mean(1, keepdim=True)) ** 2).mean(1).sqrt()
    votes = torch.where(scale.float() > 0, spread / scale.float(), torch.tensor(torch.inf)).argmin(1)
    table = torch.nn.functional.one_hot(votes).T @ torch.nn.functional.one_hot(factor)
    return votes, table.amax(1).sum().item() / len(z)


@voting.accepts
def in_numpy_with_a_mask(groups, factor, scale):
    z, k, s = groups.numpy(), factor.numpy(), scale.numpy()
    ratio = np.ma.array(z.var(axis=1) / np.where(s > 0, s, 1) ** 2, mask=np.tile(s == 0, (len(z), 1)))
    votes = np.asarray(ratio.argmin(axis=1))
    table = np.histogram2d(votes, k, bins=(np.arange(len(s) + 1), np.arange(k.max() + 2)))[0]
    return votes, np.float32(table.max(axis=1).sum() / len(votes))


def variant(groups, factor, scale, ratio=None, score=None, alive=True):
    ratio = groups.var(dim=1) / scale**2 if ratio is None else ratio
    if alive:
        ratio = ratio.masked_fill(scale == 0, torch.inf)
    votes = ratio.argmin(dim=1)
    return votes, (score(votes) if score else counted(votes, factor) / len(votes))


@voting.names("a latent that never varies gets the votes")
def nan_is_the_smallest(groups, factor, scale):
    return variant(groups, factor, scale, alive=False)


@voting.names("a latent that never varies gets the votes")
def zero_is_the_smallest(groups, factor, scale):
    return variant(groups, factor, scale, groups.var(dim=1) / (scale**2 + 1e-12), alive=False)


@voting.names("latents renumbered")
def dropped(groups, factor, scale):
    groups, scale = groups[:, :, scale > 0], scale[scale > 0]
    return variant(groups, factor, scale)


@voting.names("variances not divided")
def raw_variances(groups, factor, scale):
    return variant(groups, factor, scale, groups.var(dim=1), alive=False)


@voting.names("variances not divided")
def raw_variances_of_the_living(groups, factor, scale):
    return variant(groups, factor, scale, groups.std(dim=1))


@voting.names("divided by the standard deviation")
def one_root_only(groups, factor, scale):
    return variant(groups, factor, scale, groups.var(dim=1) / scale)


@voting.names("multiplied by the scale")
def times_scale(groups, factor, scale):
    return variant(groups, factor, scale, (groups * scale).var(dim=1))


@voting.names("the largest variance wins")
def argmax(groups, factor, scale):
    ratio = (groups.var(dim=1) / scale**2).nan_to_num(0)
    votes = ratio.argmax(dim=1)
    return votes, counted(votes, factor) / len(votes)


@voting.names("means compared, not variances")
def means(groups, factor, scale):
    return variant(groups, factor, scale, groups.mean(dim=1) / scale)


@voting.names("means compared, not variances")
def absolute_means(groups, factor, scale):
    return variant(groups, factor, scale, groups.mean(dim=1).abs() / scale)


@voting.names("divided by the spread within the groups")
def own_scale(groups, factor, scale):
    return variant(groups, factor, scale, groups.var(dim=1) / groups.flatten(0, 1).var(dim=0))


@voting.names("majority over the wrong axis")
def each_factor_chooses(groups, factor, scale):
    def score(votes):
        table = torch.zeros(len(scale), int(factor.max()) + 1)
        for j, k in zip(votes, factor, strict=True):
            table[j, k] += 1
        return table.max(dim=0).values.sum() / len(votes)

    return variant(groups, factor, scale, score=score)


@voting.names("latent's number taken for the factor's")
def equal_numbers(groups, factor, scale):
    return variant(groups, factor, scale, score=lambda votes: (votes == factor).float().mean())


@voting.names("one factor for all latents")
def overall_majority(groups, factor, scale):
    return variant(groups, factor, scale, score=lambda votes: (factor == factor.mode().values).double().mean())


@voting.names("one latent for all factors")
def favourite(groups, factor, scale):
    return variant(groups, factor, scale, score=lambda votes: votes.bincount().max() / len(votes))


@voting.names("averaged over latents")
def latents_alike(groups, factor, scale):
    def score(votes):
        shares = [factor[votes == j].bincount().double() for j in votes.unique()]
        return torch.stack([s.max() / s.sum() for s in shares]).mean()

    return variant(groups, factor, scale, score=score)


@voting.names("votes counted, not their share")
def a_count(groups, factor, scale):
    return variant(groups, factor, scale, score=lambda votes: counted(votes, factor))


@voting.names("the share that is wrong")
def errors(groups, factor, scale):
    return variant(groups, factor, scale, score=lambda votes: 1 - counted(votes, factor) / len(votes))


@voting.names("counted on half of the groups")
def as_in_the_lesson_in_halves(groups, factor, scale):
    def score(votes):
        half = len(votes) // 2
        table = torch.zeros(len(scale), int(factor.max()) + 1)
        for j, k in zip(votes[:half], factor[:half], strict=True):
            table[j, k] += 1
        return (table.argmax(1)[votes[half:]] == factor[half:]).float().mean()

    return variant(groups, factor, scale, score=score)


@voting.names("squares in place of variances")
def not_centred(groups, factor, scale):
    return variant(groups, factor, scale, ((groups / scale) ** 2).mean(dim=1))


@voting.names("divided once too often")
def std_over_variance(groups, factor, scale):
    return variant(groups, factor, scale, groups.std(dim=1) / scale**2)


@voting.names("latents numbered from 1")
def latents_from_one(groups, factor, scale):
    votes, score = dead_ones_at_infinity(groups, factor, scale)
    return votes + 1, score


@voting.names("results exchanged")
def score_first(groups, factor, scale):
    return dead_ones_at_infinity(groups, factor, scale)[::-1]


@voting.rejects("raised")
def image_by_image(groups, factor, scale):
    ratio = groups.var(dim=2) / scale**2
    return ratio.argmin(dim=1), 0.0


@voting.rejects("wrong type or shape")
def votes_only(groups, factor, scale):
    return dead_ones_at_infinity(groups, factor, scale)[0]


parts = Bench(sheet.variance_shares)


@parts.accepts
def population_variances(scores):
    between = scores.mean(dim=1).var(correction=0)
    within = scores.var(dim=1, correction=0).mean()
    return (between / (between + within)).item(), (within / (between + within)).item()


@parts.accepts
def by_the_total(scores):
    total = scores.var(unbiased=False)
    between = scores.mean(1).var(unbiased=False) / total
    return between, 1 - between


@parts.accepts
def numpys_default(scores, axis=1):
    s = scores.numpy()
    return [s.mean(axis).var() / s.var(), s.var(axis).mean() / s.var()]


@parts.accepts
def sums_of_squares(scores):
    means = scores.mean(dim=1, keepdim=True)
    within = ((scores - means) ** 2).sum()
    between = scores.shape[1] * ((means - scores.mean()) ** 2).sum()
    return torch.stack([between, within]) / (between + within)


@parts.accepts
def by_hand(scores):
    rows = scores.tolist()
    means = [sum(row) / len(row) for row in rows]
    centre = sum(means) / len(means)
    between = sum((m - centre) ** 2 for m in means) / len(means)
    within = sum((x - m) ** 2 for row, m in zip(rows, means, strict=True) for x in row) / scores.numel()
    return np.array([between, within]) / (between + within)


@parts.accepts
def squares_less_squares(scores):
    s = scores.double()
    second, of_means, centre = (s**2).mean(), (s.mean(1) ** 2).mean(), s.mean() ** 2
    return (of_means - centre) / (second - centre), (second - of_means) / (second - centre)


@parts.names("the fault is still there")
def faulty(scores):
    total = scores.var()
    return scores.mean(dim=1).var() / total, scores.var(dim=1).mean() / total


@parts.names("only the sum repaired")
def divided_by_their_sum(scores):
    between, within = scores.mean(dim=1).var(), scores.var(dim=1).mean()
    return between / (between + within), within / (between + within)


@parts.names("one variance repaired, another not")
def only_between(scores):
    between, within = scores.mean(dim=1).var(correction=0), scores.var(dim=1).mean()
    return between / (between + within), within / (between + within)


@parts.names("one variance repaired, another not")
def only_the_total_left(scores):
    total = scores.var()
    return scores.mean(dim=1).var(correction=0) / total, scores.var(dim=1, correction=0).mean() / total


@parts.names("one variance repaired, another not")
def only_the_total(scores):
    total = scores.var(correction=0)
    return scores.mean(dim=1).var() / total, scores.var(dim=1).mean() / total


@parts.names("made to add up")
def one_minus(scores):
    between = scores.mean(dim=1).var() / scores.var()
    return between, 1 - between


@parts.names("exchanged, and the fault still there")
def faulty_and_exchanged(scores):
    return faulty(scores)[::-1]


@parts.names("within and between exchanged")
def seeds_first(scores):
    return population_variances(scores)[::-1]


@parts.names("seeds taken for settings")
def means_of_seeds(scores):
    s = scores.numpy()
    return s.mean(0).var() / s.var(), s.var(0).mean() / s.var()


@parts.names("standard deviations")
def roots(scores):
    between, within = scores.mean(dim=1).std(correction=0), scores.std(dim=1, correction=0).mean()
    return between / (between + within), within / (between + within)


@parts.names("means not centred")
def second_moments(scores):
    between, within = (scores.mean(dim=1) ** 2).mean(), scores.var(dim=1, correction=0).mean()
    return between / (between + within), within / (between + within)


@parts.names("the luck of the means subtracted")
def variance_components(scores):
    within = scores.var(dim=1).mean()
    between = scores.mean(dim=1).var() - within / scores.shape[1]
    return between / (between + within), within / (between + within)


@parts.names("the settings counted once")
def forgotten_number_of_seeds(scores):
    means = scores.mean(dim=1, keepdim=True)
    between, within = ((means - scores.mean()) ** 2).sum(), ((scores - means) ** 2).sum()
    return between / (between + within), within / (between + within)


@parts.names("mean squares of the F test")
def anova(scores):
    settings, seeds = scores.shape
    means = scores.mean(dim=1, keepdim=True)
    between = seeds * ((means - scores.mean()) ** 2).sum() / (settings - 1)
    within = ((scores - means) ** 2).sum() / (settings * (seeds - 1))
    return between / (between + within), within / (between + within)


@parts.names("variances, not shares")
def not_divided(scores):
    return scores.mean(dim=1).var(correction=0), scores.var(dim=1, correction=0).mean()


@parts.names("percent")
def in_percent(scores):
    return torch.tensor(population_variances(scores)) * 100


@parts.rejects("wrong type or shape")
def between_only(scores):
    return population_variances(scores)[0]

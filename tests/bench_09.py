"""Right and wrong answers for sheet 09, each as a learner might write it."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from vae_course import condition, losses
from vae_course.checks import conditional_vae as sheet

# ---- with_condition

one_hot = Bench(sheet.with_condition)


@one_hot.accepts
def with_torchs_one_hot(h, c, classes):
    return torch.cat([h, F.one_hot(c, classes)], dim=1)


@one_hot.accepts
def with_the_identity(h, c, classes, dtype=torch.float64):
    return torch.hstack([h.to(dtype), torch.eye(classes, dtype=dtype)[c]])


@one_hot.accepts
def scattered(h, c, classes):
    places = torch.zeros(len(c), classes)
    places.scatter_(1, c.unsqueeze(1), 1.0)
    return torch.cat((h, places), -1)


@one_hot.accepts
def filled_in_a_loop(h, c, classes):
    B, n = h.shape
    out = torch.zeros(B, n + classes)
    out[:, :n] = h
    for i in range(B):
        out[i, n + c[i].item()] = 1
    return out


@one_hot.accepts
def one_row_at_a_time(h, c, classes):
    rows = []
    for row, k in zip(h, c.tolist(), strict=True):
        mark = [0.0] * classes
        mark[k] = 1.0
        rows.append(torch.cat([row, torch.tensor(mark)]))
    return torch.stack(rows)


@one_hot.accepts
def by_comparison(h, c, classes):
    return torch.column_stack([h, *(c == k for k in range(classes))])


@one_hot.names("the number itself appended")
def number_beside(h, c, classes):
    return torch.cat([h, c.unsqueeze(1).to(h.dtype)], dim=1)


@one_hot.names("the number in every place")
def number_expanded(h, c, classes):
    return torch.cat([h, c[:, None].repeat(1, classes)], 1)


@one_hot.names("the number in place of the one")
def number_at_its_place(h, c, classes):
    places = torch.zeros(len(c), classes)
    places[torch.arange(len(c)), c] = c.float()
    return torch.cat([h, places], 1)


@one_hot.names("as long as the largest label")
def length_guessed(h, c, classes):
    return torch.cat([h, F.one_hot(c).float()], dim=1)


@one_hot.names("one place too many")
def one_more(h, c, classes):
    return torch.cat([h, F.one_hot(c, classes + 1).float()], dim=1)


@one_hot.names("always ten places")
def of_digits(h, c, classes):
    return torch.cat([h, F.one_hot(c, 10)], dim=1)


@one_hot.names("off by one")
def counted_from_one(h, c, classes):
    places = torch.zeros(len(c), classes)
    places[torch.arange(len(c)), c - 1] = 1
    return torch.cat([h, places], dim=1)


@one_hot.names("off by one")
def first_place_cut(h, c, classes):
    return torch.cat([h, F.one_hot(c, classes + 1)[:, 1:]], dim=1)


@one_hot.names("order exchanged")
def condition_first(h, c, classes):
    return torch.cat([F.one_hot(c, classes), h], dim=1)


@one_hot.names("one class for the whole batch")
def first_label(h, c, classes):
    place = torch.zeros(classes)
    place[c[0]] = 1
    return torch.cat([h, place.repeat(len(h), 1)], dim=1)


@one_hot.names("the classes of the whole batch")
def all_rows_marked(h, c, classes):
    places = torch.zeros(len(h), classes)
    places[:, c] = 1
    return torch.cat([h, places], dim=1)


@one_hot.names("zeros and ones exchanged")
def unequal(h, c, classes):
    return torch.cat([h, (c[:, None] != torch.arange(classes)).float()], 1)


@one_hot.names("nothing marked")
def a_copy_filled(h, c, classes):
    places = torch.zeros(len(h), classes)
    places[torch.arange(len(h))][:, c] = 1  # fills a copy
    return torch.cat([h, places], dim=1)


@one_hot.names("the condition left out")
def the_features(h, c, classes):
    F.one_hot(c, classes)
    return h * 1.0


@one_hot.names("the features left out")
def the_mark(h, c, classes):
    return F.one_hot(c, classes).float()


@one_hot.names("multiplied")
def outer(h, c, classes):
    return (h.unsqueeze(2) * F.one_hot(c, classes).unsqueeze(1)).reshape(len(h), -1)


@one_hot.names("gradient cut off")
def through_numpy(h, c, classes):
    return torch.from_numpy(np.concatenate([h.detach().numpy(), np.eye(classes, dtype=np.float32)[c.numpy()]], axis=1))


@one_hot.rejects("raised")
def below_one_another(h, c, classes):
    return torch.cat([h, F.one_hot(c, classes)], dim=0)


# ---- conditional_terms

bound = Bench(sheet.conditional_terms)


def right_rec(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def right_kl(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


def right_z(mu, logvar, eps):
    return mu + torch.exp(0.5 * logvar) * eps


@bound.accepts
def term_by_term(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    z = mu + (logvar / 2).exp() * eps
    logits = decode(z, c)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=(1, 2, 3))
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    return rec, kl


@bound.names("gradient cut off")
def sigma_detached(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    logits = decode(mu + (0.5 * logvar).exp().detach() * eps, c)
    return right_rec(logits, x), right_kl(mu, logvar)


@bound.names("unstable for a sure decoder")
def logarithm_of_the_sigmoid(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    p = decode(right_z(mu, logvar, eps), c).sigmoid()
    rec = -(x * torch.log(p + 1e-8) + (1 - x) * torch.log(1 - p + 1e-8)).flatten(1).sum(1)
    return rec, right_kl(mu, logvar)


@bound.accepts
def by_the_courses_losses(encode, decode, x, c, eps, beta=1.0):
    mu, logvar = encode(x, c)
    logits = decode(mu + logvar.exp().sqrt() * eps, c)
    return [-losses.bernoulli_log_likelihood(logits, x), beta * losses.kl_to_standard_normal(mu, logvar)]


@bound.accepts
def by_distributions(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    q = Normal(mu, (0.5 * logvar).exp())
    p = Bernoulli(logits=decode(q.loc + q.scale * eps, c), validate_args=False)
    return -p.log_prob(x).sum((1, 2, 3)), kl_divergence(q, Normal(0.0, 1.0)).sum(1)


@bound.accepts
def image_by_image(encode, decode, x, c, eps):
    rec, kl = [], []
    for i in range(len(x)):
        mu, logvar = encode(x[i : i + 1], c[i : i + 1])
        sigma = torch.exp(0.5 * logvar)
        logits = decode(mu + sigma * eps[i : i + 1], c[i : i + 1])
        rec.append((logits.clamp(min=0) - logits * x[i] + torch.log1p(torch.exp(-logits.abs()))).sum())
        kl.append(torch.einsum("bd->", mu**2 + sigma**2 - logvar - 1) / 2)
    return torch.stack(rec), torch.stack(kl)


@bound.accepts
def in_double(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    m = decode(torch.addcmul(mu, logvar.mul(0.5).exp(), eps), c=c).double().sigmoid()
    x = x.double()
    log_p = x * torch.log(m) + (1 - x) * torch.log1p(-m)
    return -log_p.flatten(1).sum(1), right_kl(mu.double(), logvar.double())


@bound.accepts
def by_logsigmoid(encode, decode, x, c, eps):
    mu, logvar = encode(x=x, c=c)
    logits = decode(right_z(mu, logvar, eps), c)
    rec = -(x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits))
    return rec.reshape(len(x), -1).sum(-1), right_kl(mu, logvar)


@bound.names("the decoder is not told c")
def decoder_forgotten(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps)), x), right_kl(mu, logvar)


@bound.names("the encoder is not told c")
def encoder_forgotten(encode, decode, x, c, eps):
    mu, logvar = encode(x)
    return right_rec(decode(right_z(mu, logvar, eps), c), x), right_kl(mu, logvar)


@bound.names("neither network is told c")
def the_plain_vae(encode, decode, x, c, eps):
    mu, logvar = encode(x)
    return right_rec(decode(right_z(mu, logvar, eps)), x), right_kl(mu, logvar)


@bound.names("the decoder is not told c")
def decoder_forgotten_and_averaged(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps)), x) / x[0].numel(), right_kl(mu, logvar)


@bound.names("the decoder is told other classes")
def shuffled_for_the_decoder(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps), c[torch.randperm(len(c))]), x), right_kl(mu, logvar)


@bound.names("the decoder is told other classes")
def class_zero_for_all(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps), torch.zeros_like(c)), x), right_kl(mu, logvar)


@bound.names("the encoder is told other classes")
def first_class_for_the_encoder(encode, decode, x, c, eps):
    mu, logvar = encode(x, c[0].expand(len(x)))
    return right_rec(decode(right_z(mu, logvar, eps), c), x), right_kl(mu, logvar)


@bound.rejects("raised")
def one_hot_for_the_decoder(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps), F.one_hot(c)), x), right_kl(mu, logvar)


@bound.names("σ left out")
def unit_noise(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(mu + eps, c), x), right_kl(mu, logvar)


@bound.names("σ² taken for σ")
def variance_as_scale(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(mu + logvar.exp() * eps, c), x), right_kl(mu, logvar)


@bound.names("logvar as the scale")
def logvar_times_eps(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(mu + eps * logvar, c), x), right_kl(mu, logvar)


@bound.names("the mean used as log-variance")
def copied_and_pasted(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)[0], encode(x, c)[0]
    return right_rec(decode(right_z(mu, logvar, eps), c), x), right_kl(mu, logvar)


@bound.names("both signs flipped")
def terms_of_the_elbo(encode, decode, x, c, eps):
    rec, kl = term_by_term(encode, decode, x, c, eps)
    return -rec, -kl


@bound.names("noise left out")
def mean_decoded(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(mu, c), x), right_kl(mu, logvar)


@bound.names("a sample of the prior decoded")
def prior_decoded(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(eps, c), x), right_kl(mu, logvar)


@bound.names("draws its own noise")
def own_noise(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(losses.reparameterize(mu, logvar), c), x), right_kl(mu, logvar)


@bound.names("squashed twice")
def sigmoid_with_logits(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(torch.sigmoid(decode(right_z(mu, logvar, eps), c)), x), right_kl(mu, logvar)


@bound.names("rec is the log-likelihood")
def without_the_minus(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    logits = decode(right_z(mu, logvar, eps), c)
    return losses.bernoulli_log_likelihood(logits, x), right_kl(mu, logvar)


@bound.names("rec averaged over pixels")
def mean_over_pixels(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    logits = decode(right_z(mu, logvar, eps), c)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).mean(1)
    return rec, right_kl(mu, logvar)


@bound.names("rec not summed over pixels")
def every_pixel(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    logits = decode(right_z(mu, logvar, eps), c)
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none"), right_kl(mu, logvar)


@bound.names("squared error")
def least_squares(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    m = decode(right_z(mu, logvar, eps), c).sigmoid()
    return ((x - m) ** 2).flatten(1).sum(1), right_kl(mu, logvar)


@bound.names("dark pixels free of charge")
def ink_only(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    m = decode(right_z(mu, logvar, eps), c).sigmoid()
    return -(x * m.log()).sum((1, 2, 3)), right_kl(mu, logvar)


@bound.names("KL with its sign flipped")
def as_in_some_posts(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    kl = 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1)
    return right_rec(decode(right_z(mu, logvar, eps), c), x), kl


@bound.names("factor ½ missing in the KL")
def no_half(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    kl = (mu**2 + logvar.exp() - logvar - 1).sum(1)
    return right_rec(decode(right_z(mu, logvar, eps), c), x), kl


@bound.names("KL averaged over latents")
def mean_kl(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).mean(1)
    return right_rec(decode(right_z(mu, logvar, eps), c), x), kl


@bound.names("KL not summed over latents")
def kl_matrix(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps), c), x), losses.kl_per_latent(mu, logvar)


@bound.names("logvar read as log σ in the KL")
def kl_of_log_sigma(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    kl = (0.5 * (mu**2 + torch.exp(logvar) ** 2 - 1) - logvar).sum(1)
    return right_rec(decode(right_z(mu, logvar, eps), c), x), kl


@bound.names("KL estimated by the sample")
def monte_carlo_kl(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    z = right_z(mu, logvar, eps)
    kl = Normal(mu, (0.5 * logvar).exp()).log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    return right_rec(decode(z, c), x), kl.sum(1)


@bound.names("summed over the batch")
def two_sums(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    logits = decode(right_z(mu, logvar, eps), c)
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum"), right_kl(mu, logvar).sum()


@bound.names("averaged over the batch")
def two_means(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps), c), x).mean(), right_kl(mu, logvar).mean()


@bound.names("averaged over pixels and latents")
def means_of_everything(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    logits = decode(right_z(mu, logvar, eps), c)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean((1, 2, 3))
    return rec, -0.5 * (1 + logvar - mu**2 - logvar.exp()).mean(1)


@bound.names("results exchanged")
def kl_first(encode, decode, x, c, eps):
    return term_by_term(encode, decode, x, c, eps)[::-1]


@bound.names("gradient cut off")
@torch.no_grad()
def without_gradients(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps), c), x), right_kl(mu, logvar)


@bound.names("gradient cut off")
def sample_detached(encode, decode, x, c, eps):
    mu, logvar = encode(x, c)
    return right_rec(decode(right_z(mu, logvar, eps).detach(), c), x), right_kl(mu, logvar)


@bound.rejects("wrong type or shape")
def only_the_loss(encode, decode, x, c, eps):
    return sum(term_by_term(encode, decode, x, c, eps))


# ---- style_grid

styles = Bench(sheet.style_grid)


@styles.accepts
def repeated_and_cycled(decode, z, classes):
    c = torch.arange(classes).repeat(len(z))
    return decode(z.repeat_interleave(classes, dim=0), c).sigmoid()


@styles.accepts
def row_by_row(decode, z, classes):
    rows = [torch.sigmoid(decode(style.expand(classes, -1), torch.arange(classes))) for style in z]
    return torch.cat(rows)


@styles.accepts
@torch.no_grad()
def one_picture_at_a_time(decode, z, classes, dtype=torch.float64):
    pictures = []
    for i in range(len(z)):
        for k in range(classes):
            pictures.append(decode(z[i : i + 1], torch.tensor([k]))[0].to(dtype).sigmoid())
    return torch.stack(pictures)


@styles.accepts
def class_by_class(decode, z, classes):
    columns = [decode(z, torch.full((len(z),), k)) for k in range(classes)]
    logits = torch.stack(columns, dim=1)  # (S, classes, C, H, W)
    return 1 / (1 + torch.exp(-logits.flatten(0, 1)))


@styles.accepts
def by_a_product(decode, z, classes):
    pairs = torch.cartesian_prod(torch.arange(len(z)), torch.arange(classes))
    return decode(z[pairs[:, 0]], pairs[:, 1]).sigmoid_()


@styles.accepts
def expanded(decode, z, classes):
    S, D = z.shape
    c = torch.arange(classes).expand(S, classes).reshape(-1)
    return decode(z[:, None].expand(S, classes, D).reshape(-1, D), c).sigmoid()


@styles.names("rows and columns exchanged")
def classes_as_rows(decode, z, classes):
    c = torch.arange(classes).repeat_interleave(len(z))
    return decode(z.repeat(classes, 1), c).sigmoid()


@styles.names("rows and columns exchanged")
def column_after_column(decode, z, classes):
    return torch.cat([decode(z, torch.full((len(z),), k)).sigmoid() for k in range(classes)])


@styles.names("styles cycle with the classes")
def both_cycle(decode, z, classes):
    return decode(z.repeat(classes, 1), torch.arange(classes).repeat(len(z))).sigmoid()


@styles.names("classes repeated in blocks")
def both_in_blocks(decode, z, classes):
    c = torch.arange(classes).repeat_interleave(len(z))
    return decode(z.repeat_interleave(classes, 0), c).sigmoid()


@styles.names("logits")
def not_squashed(decode, z, classes):
    return decode(z.repeat_interleave(classes, 0), torch.arange(classes).repeat(len(z)))


@styles.names("squashed twice")
def two_sigmoids(decode, z, classes):
    images = torch.sigmoid(decode(z.repeat_interleave(classes, 0), torch.arange(classes).repeat(len(z))))
    return torch.sigmoid(images)


@styles.names("pixels rounded")
def black_and_white(decode, z, classes):
    return (repeated_and_cycled(decode, z, classes) > 0.5).float()


@styles.names("the same style in all rows")
def first_style(decode, z, classes):
    return torch.cat([decode(z[0].expand(classes, -1), torch.arange(classes)).sigmoid() for _ in z])


@styles.names("the same class in all columns")
def class_zero(decode, z, classes):
    z = z.repeat_interleave(classes, 0)
    return decode(z, torch.zeros(len(z), dtype=torch.long)).sigmoid()


@styles.names("classes from the last to the first")
def counted_down(decode, z, classes):
    c = torch.arange(classes - 1, -1, -1).repeat(len(z))
    return decode(z.repeat_interleave(classes, 0), c).sigmoid()


@styles.rejects("raised")
def counted_from_one_up(decode, z, classes):
    return decode(z.repeat_interleave(classes, 0), torch.arange(1, classes + 1).repeat(len(z))).sigmoid()


@styles.names("classes not from 0")
def counted_from_one_around(decode, z, classes):
    c = (torch.arange(len(z) * classes) + 1) % classes
    return decode(z.repeat_interleave(classes, 0), c).sigmoid()


@styles.names("the last class left out")
def range_too_short(decode, z, classes):
    c = torch.arange(0, classes - 1)
    return decode(z.repeat_interleave(len(c), 0), c.repeat(len(z))).sigmoid()


@styles.names("one picture for each class")
def returned_too_early(decode, z, classes):
    for style in z:
        return decode(style.repeat(classes, 1), torch.arange(classes)).sigmoid()


@styles.names("one picture for each class")
def overwritten(decode, z, classes):
    for style in z:
        images = decode(style.repeat(classes, 1), torch.arange(classes)).sigmoid()
    return images


@styles.names("one picture for each style")
def diagonal(decode, z, classes):
    return decode(z, torch.arange(len(z)) % classes).sigmoid()


@styles.names("rows and columns as dimensions")
def stacked(decode, z, classes):
    return torch.stack([decode(s.repeat(classes, 1), torch.arange(classes)).sigmoid() for s in z])


@styles.names("draws its own z")
def a_new_z_for_each(decode, z, classes):
    z = torch.randn(len(z) * classes, z.shape[1])
    return decode(z, torch.arange(classes).repeat(len(z) // classes)).sigmoid()


@styles.names("draws its own z")
def some_noise(decode, z, classes):
    z = z.repeat_interleave(classes, 0)
    return decode(z + 0.1 * torch.randn_like(z), torch.arange(classes).repeat(len(z) // classes)).sigmoid()


@styles.names("draws the classes")
def random_classes(decode, z, classes):
    return decode(z.repeat_interleave(classes, 0), torch.randint(classes, (len(z) * classes,))).sigmoid()


@styles.names("the decoder is not told c")
def without_class(decode, z, classes):
    return decode(z.repeat_interleave(classes, 0)).sigmoid()


@styles.rejects("wrong type or shape")
def as_a_list(decode, z, classes):
    return [decode(s.repeat(classes, 1), torch.arange(classes)).sigmoid() for s in z]


# ---- swap_shares

swap = Bench(sheet.swap_shares)


@swap.accepts
def with_a_mask(read, asked, original):
    swapped = asked != original
    obeyed = (read[swapped] == asked[swapped]).float().mean().item()
    stayed = (read[swapped] == original[swapped]).float().mean().item()
    return obeyed, stayed


@swap.accepts
def as_tensors(read, asked, original):
    keep = torch.nonzero(asked != original).flatten()
    read, asked, original = read[keep], asked[keep], original[keep]
    return [(read == asked).double().mean(), (read == original).double().mean()]


@swap.accepts
def one_by_one(read, asked, original):
    n = obeyed = stayed = 0
    for r, a, o in zip(read.tolist(), asked.tolist(), original.tolist(), strict=True):
        if a == o:
            continue
        n += 1
        obeyed += r == a
        stayed += r == o
    return obeyed / n, stayed / n


@swap.accepts
def in_numpy(read, asked, original, percent=False):
    read, asked, original = (each.numpy() for each in (read, asked, original))
    where = np.flatnonzero(asked != original)
    return np.mean(read[where] == asked[where]), np.mean(read[where] == original[where])


@swap.accepts
def in_one_tensor(read, asked, original):
    both = torch.stack([asked, original])
    hits = (read == both)[:, asked.ne(original)]
    return hits.float().mean(dim=1)


@swap.accepts
def by_weights(read, asked, original):
    w = (asked != original).float()
    return ((read == asked) * w).sum() / w.sum(), ((read == original) * w).sum() / w.sum()


@swap.names("swaps to the same class counted")
def unfiltered(read, asked, original):
    return (read == asked).float().mean().item(), (read == original).float().mean().item()


@swap.names("divided by all images")
def wrong_divisor(read, asked, original):
    swapped = asked != original
    obeyed = ((read == asked) & swapped).sum().item() / len(read)
    return obeyed, ((read == original) & swapped).sum().item() / len(read)


@swap.names("divided by all images")
def mask_averaged(read, asked, original):
    swapped = asked != original
    return [(swapped & (read == k)).float().mean() for k in (asked, original)]


@swap.names("swaps to the same class counted")
def filtered_divisor(read, asked, original):
    n = (asked != original).sum()
    return (read == asked).sum() / n, (read == original).sum() / n


@swap.names("the second share of all images")
def filtered_the_first(read, asked, original):
    swapped = asked != original
    return (read == asked)[swapped].float().mean(), (read == original).float().mean()


@swap.names("merely changed")
def no_longer_itself(read, asked, original):
    swapped = asked != original
    kept = (read == original)[swapped].float().mean().item()
    return 1 - kept, kept


@swap.names("merely changed")
def no_longer_itself_anywhere(read, asked, original):
    return (read != original).float().mean().item(), (read == original).float().mean().item()


@swap.names("the rest taken for the second share")
def complement(read, asked, original):
    swapped = asked != original
    obeyed = (read[swapped] == asked[swapped]).float().mean().item()
    return obeyed, 1 - obeyed


@swap.names("changed in place of kept")
def changed_second(read, asked, original):
    swapped = asked != original
    return (read == asked)[swapped].float().mean(), (read != original)[swapped].float().mean()


@swap.names("failures counted")
def error_rates(read, asked, original):
    swapped = asked != original
    return (read != asked)[swapped].float().mean(), (read != original)[swapped].float().mean()


@swap.names("per cent")
def times_hundred(read, asked, original):
    return tuple(100 * share for share in with_a_mask(read, asked, original))


@swap.names("counts")
def not_divided(read, asked, original):
    swapped = asked != original
    return (read == asked)[swapped].sum().item(), (read == original)[swapped].sum().item()


@swap.names("counts")
def nothing_divided_nothing_filtered(read, asked, original):
    return (read == asked).sum(), (read == original).sum()


@swap.names("the filter turned round")
def equal_kept(read, asked, original):
    keep = asked == original
    return (read == asked)[keep].float().mean(), (read == original)[keep].float().mean()


@swap.names("third readings left out")
def between_the_two(read, asked, original):
    swapped = asked != original
    a, o = (read == asked)[swapped].sum().item(), (read == original)[swapped].sum().item()
    return a / (a + o), o / (a + o)


@swap.names("only changed readings counted")
def filtered_by_reading(read, asked, original):
    keep = read != original
    return (read == asked)[keep].float().mean(), (read == original)[keep].float().mean()


@swap.names("a vote for each class")
def mean_of_classes(read, asked, original):
    swapped = asked != original
    read, asked, original = read[swapped], asked[swapped], original[swapped]
    each = [
        ((read == asked)[asked == k].float().mean(), (read == original)[asked == k].float().mean())
        for k in asked.unique()
    ]
    return torch.tensor(each).mean(dim=0)


@swap.names("results exchanged")
def stayed_first(read, asked, original):
    return with_a_mask(read, asked, original)[::-1]


@swap.rejects("wrong type or shape")
def obeyed_alone(read, asked, original):
    return with_a_mask(read, asked, original)[0]


# ---- repaired_variance

diverse = Bench(sheet.repaired_variance)


@diverse.accepts
def dimension_named(images, c):
    of_class = [images[c == k].var(dim=0, correction=0).sum() for k in c.unique()]
    return torch.stack(of_class).mean()


@diverse.accepts
def by_the_course(images, c):
    return condition.within_class_variance(images, c)


@diverse.accepts
def deviations(images, c):
    total, classes = 0.0, sorted(set(c.tolist()))
    for k in classes:
        group = images[c == k].double()
        total += ((group - group.mean(0)) ** 2).mean(0).sum().item()
    return total / len(classes)


@diverse.accepts
def in_numpy_too(images, c, axis=0):
    images, c = images.numpy(), c.numpy()
    return np.mean([images[c == k].var(axis=axis).sum() for k in np.unique(c)])


@diverse.accepts
def mean_square_minus_squared_mean(images, c):
    values = []
    for k in torch.unique(c):
        rows = images[c == k].flatten(1).double()
        values.append((rows.pow(2).mean(0) - rows.mean(0).pow(2)).sum())
    return sum(values) / len(values)


@diverse.accepts
def present_of_all(images, c):
    values = [torch.var(images[c == k], 0, unbiased=False).sum() for k in range(int(c.max()) + 1) if (c == k).any()]
    return torch.tensor(values).mean().item()


@diverse.accepts
def with_products(images, c):
    rows = images.flatten(1)
    member = F.one_hot(c).float()
    member = member[:, member.sum(0) > 0]
    share = member / member.sum(0)
    centred = rows - member @ (share.T @ rows)
    return (share.T @ centred**2).sum(dim=1).mean()


@diverse.names("the fault is still there")
def unchanged(images, c):
    of_class = [images[c == k].var(correction=0) for k in c.unique()]
    return torch.stack(of_class).mean()


@diverse.names("the fault is still there")
def times_pixels(images, c):
    of_class = [images[c == k].var(correction=0) * images[0].numel() for k in c.unique()]
    return torch.stack(of_class).mean()


@diverse.names("within a picture")
def contrast(images, c):
    of_class = [images[c == k].var(dim=(1, 2, 3), correction=0).mean() for k in c.unique()]
    return torch.stack(of_class).mean()


@diverse.names("within a picture")
def wrong_dimension(images, c):
    of_class = [images[c == k].flatten(1).var(dim=1).sum() for k in c.unique()]
    return torch.stack(of_class).mean()


@diverse.names("total variance")
def classes_forgotten(images, c):
    return images.var(dim=0, correction=0).sum()


@diverse.names("variance between the classes")
def means_compared(images, c):
    means = torch.stack([images[c == k].mean(dim=0) for k in c.unique()])
    return means.var(dim=0, correction=0).sum()


@diverse.names("averaged over pixels")
def mean_over_pixels_too(images, c):
    of_class = [images[c == k].var(dim=0, correction=0).mean() for k in c.unique()]
    return torch.stack(of_class).mean()


@diverse.names("only the first class")
def returns_in_the_loop(images, c):
    for k in c.unique():
        return images[c == k].var(dim=0, correction=0).sum()


@diverse.names("only the last class")
def overwrites(images, c):
    for k in c.unique():
        v = images[c == k].var(dim=0, correction=0).sum()
    return v


@diverse.names("divided by n − 1")
def correction_left_out(images, c):
    return torch.stack([images[c == k].var(0).sum() for k in c.unique()]).mean()


@diverse.names("deviations summed over images")
def not_averaged(images, c):
    of_class = []
    for k in c.unique():
        group = images[c == k]
        of_class.append(((group - group.mean(0)) ** 2).sum())
    return sum(of_class) / len(of_class)


@diverse.names("standard deviation")
def deviation_for_variance(images, c):
    of_class = [images[c == k].std(dim=0, correction=0).sum() for k in c.unique()]
    return torch.stack(of_class).mean()


@diverse.names("weighted by class size")
def by_frequency(images, c):
    total = 0.0
    for k in c.unique():
        group = images[c == k]
        total += len(group) / len(images) * group.var(0, correction=0).sum().item()
    return total


@diverse.names("weighted by class size")
def own_class_subtracted(images, c):
    means = {k: images[c == k].mean(0) for k in c.unique().tolist()}
    rest = torch.stack([image - means[k] for image, k in zip(images, c.tolist(), strict=True)])
    return (rest**2).mean(0).sum().item()


@diverse.names("summed over classes")
def added_up(images, c):
    return sum(images[c == k].var(0, correction=0).sum() for k in c.unique())


@diverse.names("classes counted that do not occur")
def largest_label(images, c):
    n = c.max().item() + 1
    return sum(images[c == k].var(0, correction=0).sum().item() for k in c.unique()) / n


@diverse.names("divided by ten")
def always_ten(images, c):
    return sum(images[c == k].var(0, correction=0).sum().item() for k in c.unique()) / 10


@diverse.names("not a number")
def empty_classes(images, c):
    return torch.stack([images[c == k].var(0, correction=0).sum() for k in range(10)]).mean()


@diverse.rejects("wrong type or shape")
def for_each_class(images, c):
    return torch.stack([images[c == k].var(0, correction=0).sum() for k in c.unique()])


# ---- log_p_x

marginal = Bench(sheet.log_p_x)


@marginal.accepts
def by_logsumexp(bounds, log_p_c):
    return torch.logsumexp(bounds + log_p_c, dim=1)


@marginal.accepts
def largest_first(bounds, log_p_c):
    top = bounds.max(dim=1, keepdim=True).values
    return top.squeeze(1) + ((bounds - top).exp() * log_p_c.exp()).sum(1).log()


@marginal.names("overflow")
def smallest_first(bounds, log_p_c):
    bottom = bounds.min(dim=1, keepdim=True).values
    return bottom.squeeze(1) + ((bounds - bottom).exp() * log_p_c.exp()).sum(1).log()


@marginal.accepts
def pair_by_pair(bounds, log_p_c):
    total = bounds[:, 0] + log_p_c[0]
    for k in range(1, bounds.shape[1]):
        total = torch.logaddexp(total, bounds[:, k] + log_p_c[k])
    return total


@marginal.accepts
def in_double_precision(bounds, log_p_c, dim=1):
    joint = bounds.double() + log_p_c.double()
    m = joint.mean(dim=dim)
    return m + torch.log(torch.exp(joint - m[:, None]).sum(dim))


@marginal.accepts
def by_the_posterior(bounds, log_p_c):
    joint = bounds + log_p_c[None]
    return (joint - joint.log_softmax(dim=1))[:, 0]


@marginal.accepts
def image_after_image(bounds, log_p_c):
    out = []
    for row in bounds:
        m = float(row.max())
        out.append(m + math.log(sum(math.exp(p + b - m) for p, b in zip(log_p_c.tolist(), row.tolist(), strict=True))))
    return torch.tensor(out)


@marginal.names("underflow")
def as_written(bounds, log_p_c):
    return torch.log((log_p_c.exp() * bounds.exp()).sum(dim=1))


@marginal.names("underflow")
def as_written_in_double(bounds, log_p_c):
    return torch.log(bounds.double().exp() @ log_p_c.double().exp())


@marginal.names("underflow")
def one_maximum_for_all(bounds, log_p_c):
    top = bounds.max()
    return top + ((bounds - top).exp() * log_p_c.exp()).sum(1).log()


@marginal.names("a floor under the density")
def with_a_small_number(bounds, log_p_c):
    return torch.log((bounds + log_p_c).exp().sum(1) + 1e-12)


@marginal.names("prior left out")
def as_written_without_prior(bounds, log_p_c):
    return torch.log(bounds.exp().sum(dim=1))


@marginal.names("logarithm of a logarithm")
def log_of_bounds(bounds, log_p_c):
    return torch.log((log_p_c.exp() * bounds).sum(dim=1))


@marginal.names("bounds averaged")
def weighted_mean(bounds, log_p_c):
    return (bounds * log_p_c.exp()).sum(1)


@marginal.names("bounds averaged")
def plain_mean(bounds, log_p_c):
    return bounds.mean(1)


@marginal.names("logarithms added")
def sum_of_logs(bounds, log_p_c):
    return (bounds + log_p_c).sum(1)


@marginal.names("only the largest")
def best_class(bounds, log_p_c):
    return bounds.max(dim=1).values


@marginal.names("only the largest")
def best_joint(bounds, log_p_c):
    return (bounds + log_p_c).max(dim=1).values


@marginal.names("prior left out")
def without_prior(bounds, log_p_c):
    return bounds.logsumexp(dim=1)


@marginal.names("all classes equally likely")
def as_in_the_lesson(bounds, log_p_c):
    return bounds.logsumexp(dim=1) - math.log(bounds.shape[1])


@marginal.names("divided by the number of classes as well")
def averaged_twice(bounds, log_p_c):
    return (bounds + log_p_c).logsumexp(dim=1) - math.log(len(log_p_c))


@marginal.names("prior not in the sum")
def prior_afterwards(bounds, log_p_c):
    return bounds.logsumexp(dim=1, keepdim=True) + log_p_c


@marginal.names("p(c) taken for log p(c)")
def probability_added(bounds, log_p_c):
    return torch.logsumexp(bounds + log_p_c.exp(), 1)


@marginal.names("logarithms multiplied")
def product_of_logs(bounds, log_p_c):
    return torch.logsumexp(bounds * log_p_c, 1)


@marginal.names("bounds weighted by p(c)")
def weights_in_the_exponent(bounds, log_p_c):
    return torch.logsumexp(log_p_c.exp() * bounds, 1)


@marginal.names("divided by p(c)")
def prior_subtracted(bounds, log_p_c):
    return torch.logsumexp(bounds - log_p_c, 1)


@marginal.names("sign")
def negative(bounds, log_p_c):
    return -torch.logsumexp(bounds + log_p_c, 1)


@marginal.names("the posterior of the class")
def class_probabilities(bounds, log_p_c):
    return torch.softmax(bounds + log_p_c, dim=1)


@marginal.names("the logarithm left out")
def density(bounds, log_p_c):
    return (log_p_c + bounds).exp().sum(1)


@marginal.names("summed over the images")
def wrong_dim(bounds, log_p_c):
    return torch.logsumexp(bounds + log_p_c, dim=0)


@marginal.names("averaged over the batch")
def batch_mean(bounds, log_p_c):
    return torch.logsumexp(bounds + log_p_c, dim=1).mean()


@marginal.names("not summed over the classes")
def joint_only(bounds, log_p_c):
    return bounds + log_p_c


@marginal.names("not summed over the classes")
def joint_by_categorical(bounds, log_p_c):
    prior = Categorical(logits=log_p_c)
    return bounds + prior.log_prob(torch.arange(len(log_p_c)))

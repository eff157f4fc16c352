"""Right and wrong answers for sheet 02, each as a learner might write it."""

import math

import numpy as np
from bench import Bench

from vae_course.checks import numpy_forward

soft = Bench(numpy_forward.softplus)


@soft.accepts
def by_logaddexp(a):
    return np.logaddexp(0, a)


@soft.accepts
def relu_and_correction(a):
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


@soft.accepts
def two_cases(a):
    return np.where(a > 0, a + np.log1p(np.exp(-a)), np.log1p(np.exp(a)))  # the branch not taken may overflow


@soft.accepts
def two_masks(a, out=None):
    out = np.empty(a.shape)
    positive = a > 0
    out[positive] = a[positive] + np.log1p(np.exp(-a[positive]))
    out[~positive] = np.log1p(np.exp(a[~positive]))
    return out


@soft.accepts
def number_by_number(a):
    def one(value):
        return max(value, 0.0) + math.log1p(math.exp(-abs(value)))

    return np.array([one(value) for value in a.flatten()]).reshape(a.shape)


@soft.accepts
def half_precision_of_double(a):
    a = a.astype(np.float32)
    return np.maximum(a, np.float32(0)) + np.log1p(np.exp(-np.abs(a)))


@soft.accepts
def by_torch_softplus(a):
    import torch

    return torch.nn.functional.softplus(torch.from_numpy(a)).numpy()


@soft.names("overflow")
def as_it_stands(a):
    return np.log(1 + np.exp(a))


@soft.names("overflow")
def log1p_alone(a):
    return np.log1p(np.exp(a))


@soft.names("overflow")
def by_a_rounded_sigmoid(a):
    return -np.log(1 / (1 + np.exp(a)))


@soft.names("overflow")
def not_a_number(a):
    return a - np.log(np.exp(a) / (1 + np.exp(a)))


@soft.names("ReLU instead of softplus")
def relu(a):
    return a * (a > 0)


@soft.names("ReLU instead of softplus")
def threshold_at_zero(a):
    return np.where(a > 0, a, 0.0)


@soft.names("the large part is missing")
def correction_alone(a):
    return np.log1p(np.exp(-abs(a)))


@soft.names("|a| where max(a, 0) is wanted")
def with_absolute_value(a):
    return np.abs(a) + np.log1p(np.exp(-np.abs(a)))


@soft.names("sigmoid instead of softplus")
def derivative(a):
    return np.where(a >= 0, 1, np.exp(-np.abs(a))) / (1 + np.exp(-np.abs(a)))


@soft.names("sign of a flipped")
def mirrored(a):
    return np.maximum(-a, 0) + np.log1p(np.exp(-np.abs(a)))


@soft.names("sign flipped")
def log_of_one_minus_m(a):
    return -np.maximum(a, 0) - np.log1p(np.exp(-np.abs(a)))


@soft.names("logarithm to base 2")
def in_bits(a):
    return np.logaddexp2(0, a / np.log(2))


@soft.names("summed up")
def one_sum(a):
    return np.sum(np.logaddexp(0, a))


@soft.names("clipped")
def clipped_at_twenty(a):
    return np.log(1 + np.exp(np.clip(a, -20, 20)))


@soft.names("clipped")
def clipped_at_500(a):
    return np.log1p(np.exp(np.minimum(a, 500)))


@soft.names("overflow replaced by a number")
def nan_to_num(a):
    return np.nan_to_num(np.log(1 + np.exp(a)))


@soft.names("sign flipped")
def overflowing_and_negative(a):
    return -np.log(1 + np.exp(np.minimum(a, 700)))


def linear_above(threshold):
    def with_threshold(a):
        return np.where(a > threshold, a, np.log1p(np.exp(np.minimum(a, threshold))))

    return with_threshold


for threshold in (0, 1, 3, 5, 7, 8, 10):
    soft.names("a itself for large a")(linear_above(threshold))


@soft.names("small values lost")
def one_added_first(a):
    return np.maximum(a, 0) + np.log(1 + np.exp(-np.abs(a)))


@soft.names("small values lost")
def minus_log_of_one_minus(a):
    small = np.exp(-np.abs(a))
    return np.where(a > 0, a + np.log(1 + small), -np.log(1 - small / (1 + small)))


@soft.names("small values lost")
def zero_below_minus_thirty(a):
    return np.where(a < -30, 0.0, np.logaddexp(0, a))


@soft.rejects("raised")
def only_for_numbers(a):
    return max(a, 0) + math.log1p(math.exp(-abs(a)))


@soft.rejects("wrong")
def clipped_at_one(a):
    return np.log1p(np.exp(np.minimum(a, 1)))


density = Bench(numpy_forward.gaussian_log_likelihood)


@density.accepts
def sum_of_logs(x, mean, var):
    return np.sum(-0.5 * np.log(2 * np.pi * var) - 0.5 * (x - mean) ** 2 / var, axis=1)


@density.names("the density leaves the range of floats")
def logarithm_of_the_product(x, mean, var):
    return np.log(np.prod(np.exp(-((x - mean) ** 2) / (2 * var)) / np.sqrt(2 * np.pi * var), axis=1))


@density.names("the density leaves the range of floats")
def logarithm_of_each_density(x, mean, var):
    return np.log(np.exp(-((x - mean) ** 2) / (2 * var)) / np.sqrt(2 * np.pi * var)).sum(axis=1)


@density.names("cut off at 0")
def never_positive(x, mean, var):
    return np.minimum(sum_of_logs(x, mean, var), 0)


@density.accepts
def normaliser_apart(x, mean, var):
    P = x.shape[-1]
    return -0.5 * P * math.log(2 * math.pi * var) - np.einsum("bp,bp->b", x - mean, x - mean) / (2 * var)


@density.accepts
def image_by_image(x, mean, var):
    sigma = math.sqrt(var)
    result = []
    for image, center in zip(x, mean, strict=True):
        total = 0.0
        for value, m in zip(image, center, strict=True):
            total -= math.log(sigma * math.sqrt(2 * math.pi)) + ((value - m) / sigma) ** 2 / 2
        result.append(total)
    return np.array(result)


@density.accepts
def by_torch_distributions(x, mean, var, validate=False):
    import torch
    from torch.distributions import Independent, Normal

    return Independent(Normal(torch.tensor(mean), var**0.5), 1).log_prob(torch.tensor(x)).numpy()


@density.accepts
def by_a_full_covariance(x, mean, var):
    P = x.shape[1]
    covariance = var * np.eye(P)
    d = x - mean
    quadratic = (d @ np.linalg.inv(covariance) * d).sum(-1)
    return -0.5 * (quadratic + np.linalg.slogdet(covariance)[1] + P * np.log(2 * np.pi))


@density.accepts
def in_single_precision(x, mean, var):
    d = (x - mean).astype(np.float32)
    d *= d
    d /= -2 * var
    d -= np.float32(0.5 * np.log(2 * np.pi * var))
    return d.sum(1)


@density.names("sign flipped")
def negative_log_likelihood(x, mean, var):
    return (0.5 * (x - mean) ** 2 / var + 0.5 * np.log(2 * np.pi * var)).sum(1)


@density.names("averaged over pixels")
def mean_over_pixels(x, mean, var):
    return np.mean(-0.5 * (x - mean) ** 2 / var - 0.5 * np.log(2 * np.pi * var), axis=-1)


@density.names("summed over the batch")
def whole_batch(x, mean, var):
    return (-0.5 * (x - mean) ** 2 / var - 0.5 * np.log(2 * np.pi * var)).sum()


@density.names("averaged over the batch")
def batch_mean(x, mean, var):
    return (-0.5 * (x - mean) ** 2 / var - 0.5 * np.log(2 * np.pi * var)).sum() / len(x)


@density.names("summed over the wrong axis")
def axis_zero(x, mean, var):
    return (-0.5 * (x - mean) ** 2 / var - 0.5 * np.log(2 * np.pi * var)).sum(0)


@density.names("not summed over pixels")
def every_pixel(x, mean, var):
    return np.log(np.exp(-0.5 * (x - mean) ** 2 / var) / np.sqrt(2 * np.pi * var))


@density.names("normaliser counted once an image")
def one_normaliser(x, mean, var):
    return -0.5 * np.log(2 * np.pi * var) - 0.5 * np.sum((x - mean) ** 2, axis=1) / var


@density.names("normaliser left out")
def weighted_squared_error(x, mean, var):
    return -0.5 / var * np.sum((mean - x) ** 2, axis=1)


@density.names("squared error alone")
def minus_squared_error(x, mean, var):
    return -np.square(x - mean).sum(axis=1)


@density.names("2π left out")
def no_two_pi(x, mean, var):
    return -0.5 * np.sum((x - mean) ** 2 / var + np.log(var), axis=1)


@density.names("normaliser without σ")
def no_log_var(x, mean, var):
    return -0.5 * np.sum((x - mean) ** 2 / var + np.log(2 * np.pi), axis=1)


@density.names("normaliser added")
def plus_log_var(x, mean, var):
    return -0.5 * np.sum((x - mean) ** 2 / var - np.log(2 * np.pi * var), axis=1)


@density.names("σ² taken for σ")
def var_as_std(x, mean, var):
    return np.sum(-np.log(var * np.sqrt(2 * np.pi)) - 0.5 * ((x - mean) / var) ** 2, axis=1)


@density.names("square root of σ²")
def std_as_var(x, mean, var):
    sigma = np.sqrt(var)
    return np.sum(-0.5 * np.log(2 * np.pi * sigma) - 0.5 * (x - mean) ** 2 / sigma, axis=1)


@density.names("σ² left out")
def unit_variance(x, mean, var):
    return -0.5 * ((x - mean) ** 2 + np.log(2 * np.pi)).sum(1)


@density.names("factor ½ of the square missing")
def full_square(x, mean, var):
    return np.sum(-0.5 * np.log(2 * np.pi * var) - (x - mean) ** 2 / var, axis=1)


@density.names("factor ½ of the normaliser missing")
def full_normaliser(x, mean, var):
    return np.sum(-np.log(2 * np.pi * var) - 0.5 * (x - mean) ** 2 / var, axis=1)


@density.names("factor ½ missing")
def no_half_at_all(x, mean, var):
    return -np.sum(np.log(2 * np.pi * var) + (x - mean) ** 2 / var, axis=1)


@density.names("density instead of its logarithm")
def product_of_densities(x, mean, var):
    return np.prod(np.exp(-0.5 * (x - mean) ** 2 / var) / np.sqrt(2 * np.pi * var), axis=1)


@density.rejects("wrong")
def square_forgotten(x, mean, var):
    return np.sum(-0.5 * np.log(2 * np.pi * var) - 0.5 * np.abs(x - mean) / var, axis=1)


average = Bench(numpy_forward.mean_reconstruction)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@average.accepts
def all_samples_at_once(decode, mu, logvar, eps):
    return sigmoid(decode(mu + np.exp(0.5 * logvar) * eps)).mean(axis=0)


@average.accepts
def sample_by_sample(decode, mu, logvar, eps):
    total = 0
    for e in eps:
        total = total + sigmoid(decode(mu + np.sqrt(np.exp(logvar)) * e))
    return total / len(eps)


@average.accepts
def image_by_image_too(decode, mu, logvar, eps, samples=None):
    pictures = []
    for b in range(len(mu)):
        rows = [decode(mu[b] + np.exp(logvar[b] / 2) * eps[k, b]) for k in range(eps.shape[0])]
        pictures.append(np.mean([np.exp(row) / (1 + np.exp(row)) for row in rows], axis=0))
    return np.stack(pictures)


@average.accepts
def flat_and_back(decode, mu, logvar, eps):
    K, B, D = eps.shape
    z = eps * np.exp(logvar / 2)
    z += mu
    logits = decode(z.reshape(K * B, D))
    return np.add.reduce(sigmoid(logits).reshape(K, B, -1)) / K


@average.accepts
def by_torch_in_single_precision(decode, mu, logvar, eps):
    import torch

    z = torch.tensor(mu) + torch.tensor(logvar).mul(0.5).exp() * torch.tensor(eps)
    return torch.from_numpy(decode(z.numpy())).float().sigmoid().mean(0).numpy()


@average.names("logits averaged")
def sigmoid_last(decode, mu, logvar, eps):
    return sigmoid(np.mean(decode(mu + np.exp(0.5 * logvar) * eps), axis=0))


@average.names("z averaged")
def decode_once(decode, mu, logvar, eps):
    z = np.mean(mu + np.exp(0.5 * logvar) * eps, axis=0)
    return sigmoid(decode(z))


@average.names("z averaged")
def eps_averaged(decode, mu, logvar, eps):
    return sigmoid(decode(mu + np.exp(0.5 * logvar) * eps.mean(0)))


@average.names("the mean of q instead of samples")
def decode_mu(decode, mu, logvar, eps):
    return sigmoid(decode(mu))


@average.names("logits instead of probabilities")
def never_squashed(decode, mu, logvar, eps):
    return decode(mu + np.exp(0.5 * logvar) * eps).mean(axis=0)


@average.names("squashed twice")
def two_sigmoids(decode, mu, logvar, eps):
    pictures = sigmoid(decode(mu + np.exp(0.5 * logvar) * eps))
    return sigmoid(pictures).mean(axis=0)


@average.names("summed over samples")
def added_up(decode, mu, logvar, eps):
    return sum(sigmoid(decode(mu + np.exp(0.5 * logvar) * e)) for e in eps)


@average.names("not averaged over samples")
def all_k(decode, mu, logvar, eps):
    return sigmoid(decode(mu + np.exp(0.5 * logvar) * eps))


@average.names("only the first sample")
def first_only(decode, mu, logvar, eps):
    return sigmoid(decode(mu + np.exp(0.5 * logvar) * eps[0]))


@average.names("averaged over the batch")
def over_axis_one(decode, mu, logvar, eps):
    return np.mean(sigmoid(decode(mu + np.exp(0.5 * logvar) * eps)), 1)


@average.names("σ² taken for σ")
def variance_as_std(decode, mu, logvar, eps):
    return sigmoid(decode(mu + np.exp(logvar) * eps)).mean(0)


@average.names("logvar taken for σ")
def logvar_as_std(decode, mu, logvar, eps):
    return sigmoid(decode(mu + eps * logvar)).mean(0)


@average.names("σ left out")
def unit_noise(decode, mu, logvar, eps):
    return sigmoid(decode(eps + mu)).mean(0)


@average.names("μ left out")
def no_mean(decode, mu, logvar, eps):
    return sigmoid(decode(np.exp(logvar / 2) * eps)).mean(0)


@average.names("one ε for all images")
def first_images_noise(decode, mu, logvar, eps):
    rows = [sigmoid(decode(mu + np.exp(logvar / 2) * eps[k, 0])) for k in range(len(eps))]
    return np.mean(rows, axis=0)


@average.names("one ε for all latents")
def first_latents_noise(decode, mu, logvar, eps):
    return np.mean([sigmoid(decode(mu + np.exp(logvar / 2) * e[:, [0]])) for e in eps], axis=0)


@average.rejects("wrong")
def softplus_of_logvar(decode, mu, logvar, eps):
    return sigmoid(decode(mu + np.log1p(np.exp(logvar)) * eps)).mean(0)


convolution = Bench(numpy_forward.conv2d)


def size(n, k, stride):
    return (n - k) // stride + 1


@convolution.accepts
def seven_loops(x, W, b, stride):
    B, C, H, Wd = x.shape
    n_out, k = W.shape[0], W.shape[2]
    out = np.zeros((B, n_out, size(H, k, stride), size(Wd, k, stride)))
    for n in range(B):
        for o in range(n_out):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    total = b[o]
                    for c in range(C):
                        for u in range(k):
                            for v in range(k):
                                total += W[o, c, u, v] * x[n, c, i * stride + u, j * stride + v]
                    out[n, o, i, j] = total
    return out


@convolution.accepts
def window_by_window(x, W, b, stride):
    k = W.shape[-1]
    tops, lefts = range(0, x.shape[2] - k + 1, stride), range(0, x.shape[3] - k + 1, stride)
    rows = [[np.einsum("bcij,ocij->bo", x[:, :, t : t + k, s : s + k], W) for s in lefts] for t in tops]
    return np.array(rows).transpose(2, 3, 0, 1) + b.reshape(1, -1, 1, 1)


@convolution.accepts
def weight_by_weight(x, W, b, stride):
    k = W.shape[-1]
    h, w = size(x.shape[2], k, stride), size(x.shape[3], k, stride)
    out = np.zeros((len(x), len(W), h, w)) + b[:, None, None]
    for u in range(k):
        for v in range(k):
            shifted = x[:, :, u : u + (h - 1) * stride + 1 : stride, v : v + (w - 1) * stride + 1 : stride]
            out += np.tensordot(W[:, :, u, v], shifted, axes=(1, 1)).swapaxes(0, 1)
    return out


@convolution.accepts
def one_matrix_product(x, W, b, stride):
    B, C, k = len(x), x.shape[1], W.shape[-1]
    seen = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
    h, w = seen.shape[2:4]
    columns = seen.transpose(0, 2, 3, 1, 4, 5).reshape(B, h * w, C * k * k)
    return (columns @ W.reshape(len(W), -1).T + b).transpose(0, 2, 1).reshape(B, -1, h, w)


@convolution.accepts
def by_torch(x, W, b, stride, padding=0):
    import torch

    x, W, b = (torch.tensor(each, dtype=torch.float32) for each in (x, W, b))
    return torch.nn.functional.conv2d(x, W, b, stride=stride, padding=padding).numpy()


@convolution.accepts
def stride_one_then_thinned(x, W, b, stride):
    return window_by_window(x, W, b, 1)[:, :, ::stride, ::stride]


@convolution.names("kernel flipped")
def true_convolution(x, W, b, stride):
    return window_by_window(x, np.flip(W, axis=(2, 3)), b, stride)


@convolution.names("kernel transposed")
def kernel_on_its_side(x, W, b, stride):
    return by_torch(x, W.transpose(0, 1, 3, 2), b, stride)


@convolution.names("height and width swapped")
def output_on_its_side(x, W, b, stride):
    k = W.shape[-1]
    tops, lefts = range(0, x.shape[2] - k + 1, stride), range(0, x.shape[3] - k + 1, stride)
    columns = [[np.einsum("bcij,ocij->bo", x[:, :, t : t + k, s : s + k], W) for t in tops] for s in lefts]
    return np.array(columns).transpose(2, 3, 0, 1) + b.reshape(1, -1, 1, 1)


@convolution.names("bias left out")
def no_bias(x, W, b, stride):
    return by_torch(x, W, 0 * b, stride)


@convolution.names("bias added for each input channel")
def bias_in_the_channel_loop(x, W, b, stride):
    return sum(weight_by_weight(x[:, [c]], W[:, [c]], b, stride) for c in range(x.shape[1]))


@convolution.names("bias added for each weight")
def bias_in_the_inner_loop(x, W, b, stride):
    seen = np.lib.stride_tricks.sliding_window_view(x, W.shape[2:], (2, 3))[:, None, :, ::stride, ::stride]
    products = seen * W[None, :, :, None, None] + b[:, None, None, None, None, None]
    return products.sum(axis=(2, 5, 6))


@convolution.names("stride ignored")
def always_one(x, W, b, stride):
    return weight_by_weight(x, W, b, stride=1)


@convolution.names("stride only in the output's size")
def window_moves_by_one(x, W, b, stride):
    k = W.shape[-1]
    out = np.empty((len(x), len(W), size(x.shape[2], k, stride), size(x.shape[3], k, stride)))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = np.einsum("bcuv,ocuv->bo", x[:, :, i : i + k, j : j + k], W) + b
    return out


@convolution.names("stride along the height only")
def down_only(x, W, b, stride):
    return window_by_window(x, W, b, 1)[:, :, ::stride]


@convolution.names("stride along the width only")
def across_only(x, W, b, stride):
    return window_by_window(x, W, b, 1)[..., ::stride]


@convolution.names("only the first channel")
def grey_only(x, W, b, stride):
    return by_torch(x[:, :1], W[:, :1], b, stride)


@convolution.names("averaged over channels")
def channel_mean(x, W, b, stride):
    k = W.shape[-1]
    seen = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
    each = np.einsum("bchwij,ocij->cbohw", seen, W)
    return each.mean(axis=0) + b[None, :, None, None]


@convolution.names("averaged over the window")
def window_mean(x, W, b, stride):
    seen = np.lib.stride_tricks.sliding_window_view(x, W.shape[2:], (2, 3))[:, None, :, ::stride, ::stride]
    return (seen * W[None, :, :, None, None]).mean(axis=(2, 5, 6)) + b[:, None, None]


@convolution.names("input channels kept apart")
def five_axes(x, W, b, stride):
    apart = [weight_by_weight(x[:, [c]], W[:, [c]], b, stride) for c in range(x.shape[1])]
    return np.stack(apart, axis=2)


@convolution.names("padded")
def same_size(x, W, b, stride):
    return by_torch(x, W, b, stride, padding=W.shape[-1] // 2)


@convolution.names("last row or column left out")
def no_plus_one(x, W, b, stride):
    k = W.shape[-1]
    h, w = (x.shape[2] - k) // stride, (x.shape[3] - k) // stride
    return window_by_window(x, W, b, stride)[:, :, :h, :w]


@convolution.names("last row or column left out")
def range_too_short(x, W, b, stride):
    k = W.shape[-1]
    tops, lefts = range(0, x.shape[2] - k, stride), range(0, x.shape[3] - k, stride)
    out = np.zeros((len(x), len(W), len(tops), len(lefts)))
    for i, t in enumerate(tops):
        for j, s in enumerate(lefts):
            out[:, :, i, j] = np.einsum("bcuv,ocuv->bo", x[:, :, t : t + k, s : s + k], W) + b
    return out


@convolution.names("last row or column left out")
def plus_one_before_dividing(x, W, b, stride):
    k = W.shape[-1]
    h, w = (x.shape[2] - k + 1) // stride, (x.shape[3] - k + 1) // stride
    return weight_by_weight(x, W, b, stride)[:, :, :h, :w]


@convolution.rejects("wrong type or shape")
def summed_over_outputs(x, W, b, stride):
    return by_torch(x, W, b, stride).sum(axis=1)


@convolution.rejects("wrong")
def bias_with_a_minus(x, W, b, stride):
    return by_torch(x, W, -b, stride)


repaired = Bench(numpy_forward.repaired_rec)


@repaired.accepts
def logaddexp(logits, x):
    return (np.logaddexp(0, logits) - x * logits).sum(axis=(1, 2, 3))


@repaired.accepts
def two_log_sigmoids(logits, x):
    costs = x * np.logaddexp(0, -logits) + (1 - x) * np.logaddexp(0, logits)
    return costs.reshape(len(x), -1).sum(1)


@repaired.accepts
def as_pytorch_computes_it(logits, x, reduction="none"):
    each = np.maximum(logits, 0) - logits * x + np.log1p(np.exp(-np.abs(logits)))
    return np.einsum("bchw->b", each)


@repaired.accepts
def by_torch_with_logits(logits, x):
    import torch

    loss = torch.nn.functional.binary_cross_entropy_with_logits
    return loss(torch.tensor(logits), torch.tensor(x), reduction="none").flatten(1).sum(1).numpy()


@repaired.accepts
def by_torch_bernoulli(logits, x):
    import torch

    q = torch.distributions.Bernoulli(logits=torch.tensor(logits).float(), validate_args=False)
    return -q.log_prob(torch.tensor(x).float()).sum(dim=(1, 2, 3)).numpy()


@repaired.accepts
def pixel_by_pixel(logits, x):
    def cost(a, v):
        return max(a, 0) - a * v + math.log1p(math.exp(-abs(a)))

    return np.array([sum(map(cost, a.ravel(), v.ravel())) for a, v in zip(logits, x, strict=True)])


@repaired.names("the logarithm of 0")
def from_probabilities(logits, x):
    m = 1 / (1 + np.exp(-logits))
    return -(x * np.log(m) + (1 - x) * np.log(1 - m)).sum(axis=(1, 2, 3))


@repaired.names("the logarithm of 0")
def log_only_where_needed(logits, x):
    m = 1 / (1 + np.exp(-logits))
    costs = np.where(x == 1, -np.log(m), np.where(x == 0, -np.log(1 - m), logaddexp_per_pixel(logits, x)))
    return costs.sum(axis=(1, 2, 3))


def logaddexp_per_pixel(logits, x):
    return np.logaddexp(0, logits) - x * logits


@repaired.names("e^logit overflows")
def written_out(logits, x):
    return (np.log(1 + np.exp(logits)) - x * logits).sum(axis=(1, 2, 3))


@repaired.names("e^logit overflows")
def both_softplus_written_out(logits, x):
    costs = x * np.log1p(np.exp(-logits)) + (1 - x) * np.log1p(np.exp(logits))
    return costs.sum(axis=(1, 2, 3))


@repaired.names("logits taken for probabilities")
def logarithms_of_logits(logits, x):
    return -(x * np.log(logits) + (1 - x) * np.log(1 - logits)).sum(axis=(1, 2, 3))


@repaired.names("black pixels are free")
def log_of_the_probability_of_white(logits, x):
    return -(x * np.log(1 / (1 + np.exp(-logits)))).sum(axis=(1, 2, 3))


@repaired.names("still squashed twice")
def as_published(logits, x):
    m = 1 / (1 + np.exp(-logits))
    return -(x * m - np.log(1 + np.exp(m))).sum(axis=(1, 2, 3))


@repaired.names("squashed once more")
def a_third_sigmoid(logits, x):
    m = 1 / (1 + np.exp(-1 / (1 + np.exp(-logits))))
    return (np.logaddexp(0, m) - x * m).sum(axis=(1, 2, 3))


@repaired.names("sign flipped")
def log_likelihood(logits, x):
    return (x * logits - np.logaddexp(0, logits)).sum(axis=(1, 2, 3))


@repaired.names("averaged over pixels")
def pixel_mean(logits, x):
    return np.mean(logaddexp_per_pixel(logits, x), axis=(1, 2, 3))


@repaired.names("summed over the batch")
def one_total(logits, x):
    return np.sum(logaddexp_per_pixel(logits, x))


@repaired.names("averaged over the batch")
def mean_image_cost(logits, x):
    return np.sum(logaddexp_per_pixel(logits, x)) / x.shape[0]


@repaired.names("not summed over all pixels")
def axis_one_only(logits, x):
    return logaddexp_per_pixel(logits, x).sum(axis=1)


@repaired.names("not summed over all pixels")
def last_axis_only(logits, x):
    return logaddexp_per_pixel(logits, x).sum(axis=-1)


@repaired.names("not summed over all pixels")
def not_summed(logits, x):
    return logaddexp_per_pixel(logits, x)


@repaired.names("black pixels are free")
def white_term_only(logits, x):
    log_m = logits - np.logaddexp(0, logits)
    return -(x * log_m).sum(axis=(1, 2, 3))


@repaired.names("white pixels are free")
def black_term_only(logits, x):
    log_one_minus_m = -np.logaddexp(0, logits)
    return -((1 - x) * log_one_minus_m).sum(axis=(1, 2, 3))


@repaired.names("x and logits swapped")
def wrong_order(logits, x):
    return two_log_sigmoids(x, logits)


@repaired.names("squared error")
def sse(logits, x):
    return np.sum((1 / (1 + np.exp(-logits)) - x) ** 2, axis=(1, 2, 3))


@repaired.names("clipped")
def tiny_added(logits, x):
    m = 1 / (1 + np.exp(-logits))
    return -(x * np.log(m + 1e-12) + (1 - x) * np.log(1 - m + 1e-12)).sum(axis=(1, 2, 3))


@repaired.names("clipped")
def clipped_probability(logits, x):
    m = (1 / (1 + np.exp(-logits))).clip(1e-7, 1 - 1e-7)
    return -(x * np.log(m) + (1 - x) * np.log(1 - m)).sum(axis=(1, 2, 3))


@repaired.names("clipped")
def torch_without_logits(logits, x):
    import torch

    m = torch.tensor(logits).sigmoid()
    loss = torch.nn.functional.binary_cross_entropy(m, torch.tensor(x), reduction="none")  # never above 100
    return loss.sum(dim=(1, 2, 3)).numpy()


@repaired.rejects("wrong")
def signs_mixed(logits, x):
    return (np.logaddexp(0, logits) + x * logits).sum(axis=(1, 2, 3))


forward = Bench(numpy_forward.negative_elbo)


def coins(logits, x):
    return (np.logaddexp(0, logits) - x * logits).sum(axis=-1)


def gaussian_kl(mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - logvar - 1).sum(axis=-1)


@forward.accepts
def at_once(encode, decode, x, eps):
    mu, logvar = encode(x)
    z = mu + np.exp(0.5 * logvar) * eps
    rec = coins(decode(z), x).mean(axis=0)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.accepts
def sample_after_sample(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = np.zeros(len(x))
    for e in eps:
        rec += coins(decode(mu + np.sqrt(np.exp(logvar)) * e), x) / len(eps)
    kl = gaussian_kl(mu, logvar)
    return [rec + kl, rec, kl]


@forward.accepts
def one_image_at_a_time(encode, decode, x, eps, *, beta=1.0):
    recs, kls = [], []
    for b in range(len(x)):
        mu, logvar = (row[0] for row in encode(x[b : b + 1]))
        recs.append(np.mean([coins(decode(mu + np.exp(logvar / 2) * e), x[b]) for e in eps[:, b]]))
        kls.append(sum(0.5 * (m * m + math.exp(lv) - lv - 1) for m, lv in zip(mu, logvar, strict=True)))
    rec, kl = np.array(recs), np.array(kls)
    return rec + beta * kl, rec, kl


@forward.accepts
def by_torch_throughout(encode, decode, x, eps):
    import torch
    from torch.distributions import Bernoulli, Normal, kl_divergence

    mu, logvar = map(torch.tensor, encode(x))
    q = Normal(mu, (0.5 * logvar).exp())
    logits = torch.tensor(decode((q.loc + q.scale * torch.tensor(eps)).numpy()))
    rec = -Bernoulli(logits=logits, validate_args=False).log_prob(torch.tensor(x)).sum(-1).mean(0)
    kl = kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
    return (rec + kl).numpy(), rec.numpy(), kl.numpy()


@forward.accepts
def images_repeated(encode, decode, x, eps):
    K, B, D = eps.shape
    mu, logvar = encode(np.tile(x, (K, 1)))
    z = mu + np.exp(logvar / 2) * eps.reshape(K * B, D)
    rec = coins(decode(z), np.tile(x, (K, 1))).reshape(K, B).mean(0).astype(np.float32)
    kl = gaussian_kl(mu, logvar)[:B].astype(np.float32)
    return rec + kl, rec, kl


@forward.names("results out of order")
def kl_before_rec(encode, decode, x, eps):
    loss, rec, kl = at_once(encode, decode, x, eps)
    return loss, kl, rec


@forward.names("results out of order")
def loss_last(encode, decode, x, eps):
    loss, rec, kl = at_once(encode, decode, x, eps)
    return rec, kl, loss


@forward.names("summed over samples")
def samples_added(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = sum(coins(decode(mu + np.exp(logvar / 2) * e), x) for e in eps)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("not averaged over samples")
def k_rows(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec, kl = coins(decode(mu + np.exp(logvar / 2) * eps), x), gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("only the first sample")
def first_sample(encode, decode, x, eps):
    return at_once(encode, decode, x, eps[:1])


@forward.names("unstable for a sure decoder")
def log_of_the_sigmoid(encode, decode, x, eps):
    mu, logvar = encode(x)
    m = 1 / (1 + np.exp(-decode(mu + np.exp(logvar / 2) * eps)))
    rec = -(x * np.log(m) + (1 - x) * np.log(1 - m)).sum(axis=-1).mean(axis=0)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("unstable for a sure decoder")
def exponential_of_the_logit(encode, decode, x, eps):
    mu, logvar = encode(x)
    logits = decode(mu + np.exp(logvar / 2) * eps)
    rec = (np.log(1 + np.exp(logits)) - x * logits).sum(axis=-1).mean(axis=0)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("sign of rec flipped")
def plus_log_likelihood(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = -coins(decode(mu + np.exp(logvar / 2) * eps), x).mean(axis=0)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("factor ½ missing in the KL")
def kl_without_half(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = coins(decode(mu + np.exp(logvar / 2) * eps), x).mean(axis=0)
    kl = (mu**2 + np.exp(logvar) - logvar - 1).sum(axis=1)
    return rec + kl, rec, kl


@forward.names("logarithm of the average")
def likelihoods_averaged(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = np.log(len(eps)) - np.logaddexp.reduce(-coins(decode(mu + np.exp(logvar / 2) * eps), x), axis=0)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("noise averaged")
def mean_z_decoded(encode, decode, x, eps):
    mu, logvar = encode(x)
    z = (mu + np.exp(logvar / 2) * eps).mean(0)
    rec, kl = coins(decode(z), x), gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("the mean of q instead of samples")
def mu_decoded(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec, kl = coins(decode(mu), x), gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("σ² taken for σ")
def var_times_eps(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = coins(decode(mu + np.exp(logvar) * eps), x).mean(0)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("log σ taken for log σ² in the KL")
def kl_of_the_squared(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = at_once(encode, decode, x, eps)[1]
    kl = (0.5 * (mu**2 + np.exp(logvar) ** 2 - 1) - logvar).sum(1)
    return rec + kl, rec, kl


@forward.names("squashed twice")
def sigmoid_of_the_decoder(encode, decode, x, eps):
    return at_once(encode, lambda z: sigmoid(decode(z)), x, eps)


@forward.names("rec averaged over pixels")
def mean_over_the_image(encode, decode, x, eps):
    mu, logvar = encode(x)
    logits = decode(mu + np.exp(logvar / 2) * eps)
    rec = (np.logaddexp(0, logits) - x * logits).mean(axis=(0, 2))
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("KL averaged over latents")
def mean_over_latents(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = at_once(encode, decode, x, eps)[1]
    kl = 0.5 * np.mean(mu**2 + np.exp(logvar) - logvar - 1, axis=1)
    return rec + kl, rec, kl


@forward.names("KL divided by K")
def everything_divided(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = sum(coins(decode(mu + np.exp(logvar / 2) * e), x) for e in eps)
    kl = gaussian_kl(mu, logvar)
    return (rec + kl) / len(eps), rec / len(eps), kl / len(eps)


@forward.names("KL counted K times")
def kl_inside_the_loop(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = kl = 0
    for e in eps:
        rec = rec + coins(decode(mu + np.exp(logvar / 2) * e), x) / len(eps)
        kl = kl + gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("KL left out of the loss")
def autoencoder(encode, decode, x, eps):
    _, rec, kl = at_once(encode, decode, x, eps)
    return rec, rec, kl


@forward.names("KL subtracted")
def minus_kl(encode, decode, x, eps):
    _, rec, kl = at_once(encode, decode, x, eps)
    return rec - kl, rec, kl


@forward.names("sign of the KL flipped")
def kl_as_in_blog_posts(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = at_once(encode, decode, x, eps)[1]
    kl = 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(1)
    return rec + kl, rec, kl


@forward.names("sign of rec flipped")
def log_likelihood_as_rec(encode, decode, x, eps):
    mu, logvar = encode(x)
    rec = -coins(decode(mu + np.exp(logvar / 2) * eps), x).mean(0)
    kl = gaussian_kl(mu, logvar)
    return rec + kl, rec, kl


@forward.names("the ELBO instead of the loss")
def elbo_first(encode, decode, x, eps):
    _, rec, kl = at_once(encode, decode, x, eps)
    return -rec - kl, rec, kl


@forward.names("the ELBO and the log-likelihood")
def all_for_ascent(encode, decode, x, eps):
    loss, rec, kl = at_once(encode, decode, x, eps)
    return -loss, -rec, kl


@forward.names("log-likelihood returned as rec")
def right_loss_and_log_likelihood(encode, decode, x, eps):
    loss, rec, kl = at_once(encode, decode, x, eps)
    return loss, -rec, kl


def with_costs(cost):
    """A whole pass whose pixels cost what `cost` says."""

    def whole(encode, decode, x, eps):
        mu, logvar = encode(x)
        rec = cost(decode(mu + np.exp(logvar / 2) * eps), x).sum(axis=-1).mean(axis=0)
        kl = gaussian_kl(mu, logvar)
        return rec + kl, rec, kl

    whole.__name__ = cost.__name__
    return whole


forward.accepts(with_costs(logaddexp_per_pixel))


def unstable(cost):
    return forward.names("unstable for a sure decoder")(with_costs(cost))


@unstable
def logarithms_of_m(logits, x):
    m = sigmoid(logits)
    return -(x * np.log(m) + (1 - x) * np.log(1 - m))


@unstable
def logarithm_of_the_coins_side(logits, x):
    m = sigmoid(logits)
    between = -(x * np.log(m) + (1 - x) * np.log(1 - m))
    return np.where(x == 1, -np.log(m), np.where(x == 0, -np.log(sigmoid(-logits)), between))


@unstable
def something_small_added(logits, x):
    m = sigmoid(logits)
    return -(x * np.log(m + 1e-8) + (1 - x) * np.log(1 - m + 1e-8))


@unstable
def probabilities_clipped(logits, x):
    m = np.clip(sigmoid(logits), 1e-6, 1 - 1e-6)
    return -(x * np.log(m) + (1 - x) * np.log(1 - m))


@unstable
def logits_clipped(logits, x):
    return logaddexp_per_pixel(logits.clip(-30, 30), x)


@unstable
def log1p_of_exp(logits, x):
    return np.log1p(np.exp(logits)) - x * logits


@unstable
def nan_taken_for_zero(logits, x):
    m = sigmoid(logits)
    return np.nan_to_num(-(x * np.log(m) + (1 - x) * np.log(1 - m)))


@forward.names("averaged over the batch")
def three_numbers(encode, decode, x, eps):
    return [term.mean() for term in at_once(encode, decode, x, eps)]


@forward.rejects("wrong")
def loss_doubled(encode, decode, x, eps):
    loss, rec, kl = at_once(encode, decode, x, eps)
    return loss * 2, rec, kl


@forward.rejects("wrong type or shape")
def as_a_dictionary(encode, decode, x, eps):
    loss, rec, kl = at_once(encode, decode, x, eps)
    return {"loss": loss, "rec": rec, "kl": kl}

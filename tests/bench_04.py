"""Right and wrong answers for sheet 04, each as a learner might write it."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from vae_course import losses
from vae_course.checks import low_level_pytorch as sheet

budget = Bench(sheet.encoder_budget)


@budget.accepts
def by_formula(shape, layers):
    c, h, w = shape
    n = 0
    for out, k, s, p in layers:
        n += out * c * k * k + out
        c, h, w = out, (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    return c, h, w, n


@budget.accepts
def by_running_it(shape, layers, device="meta"):
    x, total = torch.empty(1, *shape, device=device), 0
    for out, kernel, stride, padding in layers:
        conv = nn.Conv2d(x.shape[1], out, kernel, stride, padding, device=device)
        total += sum(p.numel() for p in conv.parameters())
        x = conv(x)
    return [*x.shape[1:], total]


@budget.accepts
def window_by_window(shape, layers):
    channels, *sizes = shape
    count = 0
    for out, k, s, p in layers:
        sizes = [len(range(0, n + 2 * p - k + 1, s)) for n in sizes]
        count += out * (channels * k**2 + 1)
        channels = out
    return channels, sizes[0], sizes[1], count


@budget.accepts
def in_numpy(shape, layers):
    channels = np.array([shape[0], *(layer[0] for layer in layers)])
    kernels = np.array([layer[1] for layer in layers])
    sizes = np.array(shape[1:])
    for _, k, s, p in layers:
        sizes = np.floor((sizes + 2 * p - k) / s + 1).astype(int)
    return channels[-1], *sizes, (channels[:-1] * channels[1:] * kernels**2).sum() + channels[1:].sum()


@budget.accepts
def recursively(shape, layers):
    if not layers:
        return *shape, 0
    (out, k, s, p), *rest = layers
    h, w = (math.floor((n + 2 * p - k) / s) + 1 for n in shape[1:])
    *sizes, deeper = recursively((out, h, w), rest)
    return *sizes, deeper + torch.Size((out, shape[0], k, k)).numel() + out


@budget.accepts
def in_one_array(shape, layers):
    return np.array(by_formula(shape, layers))


@budget.accepts
def in_one_tensor(shape, layers):
    return torch.tensor(by_formula(shape, layers))


@budget.rejects("wrong")
def rounded_to_the_nearest(shape, layers):
    c, h, w = shape
    n = 0
    for out, k, s, p in layers:
        n += out * c * k * k + out
        c, h, w = out, round((h + 2 * p - k) / s + 1), round((w + 2 * p - k) / s + 1)
    return c, h, w, n


@budget.names("biases left out")
def weights_only(shape, layers):
    c, h, w = shape
    n = 0
    for out, k, s, p in layers:
        n += out * c * k * k
        c, h, w = out, (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    return c, h, w, n


@budget.names("kernel counted along one side")
def k_for_k_squared(shape, layers):
    total, c = 0, shape[0]
    for out, k, _, _ in layers:
        total += out * c * k + out
        c = out
    return *by_formula(shape, layers)[:3], total


@budget.names("input channels left out")
def one_image_a_kernel(shape, layers):
    return *by_formula(shape, layers)[:3], sum(out * k * k + out for out, k, _, _ in layers)


@budget.names("channels not carried on")
def always_the_images_channels(shape, layers):
    channels, h, w = shape
    total = 0
    for out, k, s, p in layers:
        total += out * channels * k * k + out
        h, w = (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    return out, h, w, total


@budget.names("only the last layer counted")
def assigned_not_added(shape, layers):
    c, h, w = shape
    for out, k, s, p in layers:
        n = out * c * k * k + out
        c, h, w = out, (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    return c, h, w, n


@budget.names("channels replaced too early")
def channels_first_then_count(shape, layers):
    c, h, w = shape
    n = 0
    for out, k, s, p in layers:
        c, h, w = out, (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
        n += out * c * k * k + out
    return c, h, w, n


@budget.names("only the first layer")
def returned_too_early(shape, layers):
    c, h, w = shape
    for out, k, s, p in layers:
        return out, (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1, out * c * k * k + out


def with_biases(shape, layers, bias):
    n, c = 0, shape[0]
    for out, k, _, _ in layers:
        n += out * c * k * k + bias(c)
        c = out
    return *by_formula(shape, layers)[:3], n


@budget.names("a bias for each input channel")
def bias_of_the_channels_in(shape, layers):
    return with_biases(shape, layers, lambda channels: channels)


@budget.names("one bias for each layer")
def one_bias_a_layer(shape, layers):
    return np.array(with_biases(shape, layers, lambda channels: 1))


def chained(shape, layers, side):
    c, h, w = shape
    for out, k, s, p in layers:
        c, h, w = out, side(h, k, s, p), side(w, k, s, p)
    return c, h, w, by_formula(shape, layers)[3]


@budget.names("rounded up")
def ceiling(shape, layers):
    return chained(shape, layers, lambda n, k, s, p: math.ceil((n + 2 * p - k) / s) + 1)


@budget.names("padding on one side only")
def padding_once(shape, layers):
    return chained(shape, layers, lambda n, k, s, p: (n + p - k) // s + 1)


@budget.names("padding left out")
def no_padding(shape, layers):
    return chained(shape, layers, lambda n, k, s, p: (n - k) // s + 1)


@budget.names("+ 1 left out")
def moves_not_positions(shape, layers):
    return chained(shape, layers, lambda n, k, s, p: int((n + 2 * p - k) / s))


@budget.names("stride left out")
def no_stride(shape, layers):
    return chained(shape, layers, lambda n, k, s, p: n + 2 * p - k + 1)


@budget.names("height used for both sides")
def square_images(shape, layers):
    c, n = shape[0], shape[1]
    total = 0
    for out, k, s, p in layers:
        total += (c * k * k + 1) * out
        c, n = out, (n + 2 * p - k) // s + 1
    return c, n, n, total


@budget.names("height and width exchanged")
def width_first(shape, layers):
    c, w, h = by_formula(shape, layers)[:3]
    return c, h, w, by_formula(shape, layers)[3]


@budget.names("parameters first")
def count_first(shape, layers):
    c, h, w, n = by_formula(shape, layers)
    return n, c, h, w


@budget.rejects("wrong")
def a_bias_for_each_output_pixel(shape, layers):
    c, h, w = shape
    n = 0
    for out, k, s, p in layers:
        h, w = (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
        n += out * c * k * k + out * h * w
        c = out
    return c, h, w, n


decoder = Bench(sheet.decode_to_size)


def missing(have, want):
    return tuple(w - ((n - 1) * 2 - 2 + 3) for n, w in zip(have, want, strict=True))


@decoder.accepts
def with_functions(params, z, sizes):
    h = F.relu(F.linear(z, params["dec.weight"], params["dec.bias"]))
    h = h.unflatten(1, (params["deconv1.weight"].shape[0], *sizes[0]))
    up = {"stride": 2, "padding": 1}
    pad1, pad2 = missing(sizes[0], sizes[1]), missing(sizes[1], sizes[2])
    h = F.conv_transpose2d(h, params["deconv1.weight"], params["deconv1.bias"], **up, output_padding=pad1).relu()
    return F.conv_transpose2d(h, params["deconv2.weight"], params["deconv2.bias"], **up, output_padding=pad2)


@decoder.accepts
def with_modules(params, z, sizes):
    h = F.relu(z @ params["dec.weight"].T + params["dec.bias"])
    h = h.reshape(len(z), -1, *sizes[0])
    for name, size in zip(("deconv1", "deconv2"), sizes[1:], strict=True):
        weight = params[f"{name}.weight"]
        layer = nn.ConvTranspose2d(*weight.shape[:2], 3, stride=2, padding=1)
        state = {"weight": weight, "bias": params[f"{name}.bias"]}
        h = torch.func.functional_call(layer, state, (h, list(size)))
        h = h.relu() if name == "deconv1" else h
    return h


@decoder.accepts
def too_large_and_cropped(params, z, sizes):
    h = torch.einsum("bd,od->bo", z, params["dec.weight"]).add(params["dec.bias"]).clamp(min=0)
    h = h.view(z.shape[0], -1, sizes[0][0], sizes[0][1])
    h = F.conv_transpose2d(h, params["deconv1.weight"], params["deconv1.bias"], 2, 1, 1)
    h = torch.relu_(h[:, :, : sizes[1][0], : sizes[1][1]])
    h = F.conv_transpose2d(h, params["deconv2.weight"], params["deconv2.bias"], 2, 1, 1)
    return h[:, :, : sizes[2][0], : sizes[2][1]]


@decoder.accepts
def zeros_between_then_convolution(params, z, sizes, double=False):
    """What a transposed convolution is: zeros between the pixels, then a convolution with the kernel turned round."""
    h = F.relu(torch.addmm(params["dec.bias"], z, params["dec.weight"].t())).view(len(z), -1, *sizes[0])
    for i in (1, 2):
        rows, columns = sizes[i]
        spread = h.new_zeros(*h.shape[:2], rows + 2, columns + 2)
        spread[:, :, 1 : 2 * h.shape[2] : 2, 1 : 2 * h.shape[3] : 2] = h
        weight = params[f"deconv{i}.weight"].flip(2, 3).transpose(0, 1)
        h = F.conv2d(spread, weight, params[f"deconv{i}.bias"])
        if i == 1:
            h = F.relu(h)
    return h.double() if double else h


@decoder.accepts
def image_by_image(params, z, sizes):
    images = []
    for row in z:
        h = torch.relu(params["dec.weight"] @ row + params["dec.bias"]).reshape(1, -1, *sizes[0])
        for i, (have, want) in enumerate(itertools.pairwise(sizes), start=1):
            extra = [b - 2 * a + 1 for a, b in zip(have, want, strict=True)]
            weight, bias = params[f"deconv{i}.weight"], params[f"deconv{i}.bias"]
            h = F.conv_transpose2d(torch.relu(h), weight, bias, stride=2, padding=1, output_padding=extra)
        images.append(h)
    return torch.cat(images)


def variant(
    params, z, sizes, relus=(True, True), last=None, extra=None, linear_bias=True, biases=(1, 2), shape=None, order=None
):
    h = F.linear(z, params["dec.weight"], params["dec.bias"] if linear_bias else None)
    h = F.relu(h) if relus[0] else h
    channels = params["deconv1.weight"].shape[0]
    h = h.reshape(len(z), *(shape(channels, *sizes[0]) if shape else (channels, *sizes[0])))
    h = h.permute(order) if order else h
    for i in (1, 2):
        pad = missing(h.shape[2:], sizes[i]) if extra is None else extra
        bias = params[f"deconv{i}.bias"] if i in biases else None
        h = F.conv_transpose2d(h, params[f"deconv{i}.weight"], bias, stride=2, padding=1, output_padding=pad)
        h = F.relu(h) if i == 1 and relus[1] else h
    return last(h) if last else h


@decoder.names("squashed by a sigmoid")
def means_not_logits(params, z, sizes):
    return variant(params, z, sizes, last=torch.sigmoid)


@decoder.names("activation after the last layer")
def relu_everywhere(params, z, sizes):
    return variant(params, z, sizes, last=F.relu)


@decoder.names("no activation after the linear layer")
def linear_then_deconv(params, z, sizes):
    return variant(params, z, sizes, relus=(False, True))


@decoder.names("no activation after the first transposed convolution")
def deconv_then_deconv(params, z, sizes):
    return variant(params, z, sizes, relus=(True, False))


@decoder.names("no activation at all")
def all_linear(params, z, sizes):
    return variant(params, z, sizes, relus=(False, False))


@decoder.names("output padding left out")
def default_output_padding(params, z, sizes):
    return variant(params, z, sizes, extra=0)


@decoder.names("output padding always 1")
def as_in_the_lesson(params, z, sizes):
    return variant(params, z, sizes, extra=1)


@decoder.names("filled up with zeros")
def zeros_at_the_edge(params, z, sizes):
    h = F.relu(F.linear(z, params["dec.weight"], params["dec.bias"])).view(len(z), -1, *sizes[0])
    for i in (1, 2):
        h = F.conv_transpose2d(h, params[f"deconv{i}.weight"], params[f"deconv{i}.bias"], stride=2, padding=1)
        full = torch.zeros(*h.shape[:2], *sizes[i])
        full[:, :, : h.shape[2], : h.shape[3]] = h
        h = F.relu(full) if i == 1 else full
    return h


@decoder.names("resized at the end")
def stretched(params, z, sizes):
    return F.interpolate(variant(params, z, sizes, extra=0), size=sizes[-1])


@decoder.names("channels last")
def as_in_numpy_pictures(params, z, sizes):
    return variant(params, z, sizes, shape=lambda c, h, w: (h, w, c), order=(0, 3, 1, 2))


@decoder.names("columns before rows")
def transposed_maps(params, z, sizes):
    return variant(params, z, sizes, shape=lambda c, h, w: (c, w, h), order=(0, 1, 3, 2))


@decoder.names("biases left out")
def weights_alone(params, z, sizes):
    return variant(params, z, sizes, linear_bias=False, biases=())


@decoder.names("the linear layer's bias left out")
def no_linear_bias(params, z, sizes):
    return variant(params, z, sizes, linear_bias=False)


@decoder.names("the transposed layers' biases left out")
def no_deconv_biases(params, z, sizes):
    return variant(params, z, sizes, biases=())


@decoder.names("deconv1's bias left out")
def no_first_deconv_bias(params, z, sizes):
    return variant(params, z, sizes, biases=(2,))


@decoder.names("deconv2's bias left out")
def no_second_deconv_bias(params, z, sizes):
    return variant(params, z, sizes, biases=(1,))


@decoder.names("gradient cut off")
def by_data(params, z, sizes):
    return with_functions({name: value.data for name, value in params.items()}, z, sizes)


@decoder.names("gradient cut off")
def under_no_grad(params, z, sizes):
    with torch.no_grad():
        return with_functions(params, z, sizes)


@decoder.names("height and width exchanged")
def width_before_height(params, z, sizes):
    return variant(params, z, sizes, shape=lambda c, h, w: (c, w, h), extra=1)


@decoder.rejects("raised")
def weights_transposed(params, z, sizes):
    changed = {name: value.transpose(0, 1) if "deconv" in name and value.ndim > 1 else value
               for name, value in params.items()}  # fmt: skip
    return with_functions(changed, z, sizes)


rec = Bench(sheet.calibrated_rec)


@rec.accepts
def by_the_formula(x, mean):
    var = ((x - mean) ** 2).mean()
    return ((x - mean) ** 2 / (2 * var) + 0.5 * torch.log(2 * math.pi * var)).sum(dim=(1, 2, 3))


@rec.accepts
def with_a_detached_variance(x, mean):
    error = (x - mean).pow(2).flatten(1)  # (B, C·H·W)
    var = error.mean().item()
    return error.sum(1) / (2 * var) + 0.5 * error.shape[1] * math.log(2 * math.pi * var)


@rec.accepts
def by_distributions(x, mean):
    sigma = F.mse_loss(mean, x).sqrt()
    return -Independent(Normal(mean, sigma), 3).log_prob(x)


@rec.accepts
def by_the_package(x, mean):
    return -losses.gaussian_log_likelihood(mean, x, var=F.mse_loss(x, mean))


@rec.accepts
def by_functional(x, mean, full=True):
    var = torch.mean((mean - x) * (mean - x)).detach().expand_as(x)
    return F.gaussian_nll_loss(mean, x, var, full=full, reduction="none").flatten(1).sum(-1)


@rec.accepts
def image_by_image_in_double(x, mean):
    x, mean = x.double(), mean.double()
    var = sum(((a - b) ** 2).sum() for a, b in zip(x, mean, strict=True)) / x.numel()
    terms = [0.5 * ((a - b) ** 2).sum() / var + a.numel() * var.sqrt().log() for a, b in zip(x, mean, strict=True)]
    return torch.stack(terms) + 0.5 * x[0].numel() * math.log(2 * math.pi)


def gaussian(x, mean, var):
    return 0.5 * ((x - mean) ** 2 / var + torch.log(2 * math.pi * var)).flatten(1).sum(1)


@rec.names("a variance for each image")
def variance_of_each_image(x, mean):
    return gaussian(x, mean, ((x - mean) ** 2).flatten(1).mean(1).view(-1, 1, 1, 1))


@rec.names("a variance for each pixel")
def variance_of_each_pixel(x, mean):
    return gaussian(x, mean, ((x - mean) ** 2).mean(0, keepdim=True))


@rec.names("a variance for each channel")
def variance_of_each_channel(x, mean):
    return gaussian(x, mean, ((x - mean) ** 2).mean((0, 2, 3), keepdim=True))


@rec.names("σ² taken for σ")
def variance_as_scale(x, mean):
    return -Normal(mean, F.mse_loss(mean, x)).log_prob(x).sum((1, 2, 3))


@rec.names("σ taken for σ²")
def root_of_mse(x, mean):
    return gaussian(x, mean, F.mse_loss(mean, x) ** 0.5)


@rec.names("σ² = 1")
def unit_variance(x, mean):
    return 0.5 * (x - mean).pow(2).sum((1, 2, 3)) + 0.5 * x[0].numel() * math.log(2 * math.pi)


@rec.names("summed error taken for σ²")
def sse_as_variance(x, mean):
    return gaussian(x, mean, ((x - mean) ** 2).sum())


@rec.names("variance about the mean error")
def torch_var(x, mean):
    return gaussian(x, mean, torch.var(x - mean))


@rec.names("variance about the mean error")
def torch_var_without_correction(x, mean):
    return gaussian(x, mean, (x - mean).var(unbiased=False))


@rec.names("the log term left out")
def weighted_squares(x, mean):
    var = F.mse_loss(mean, x)
    return ((x - mean) ** 2).sum((1, 2, 3)) / (2 * var)


@rec.names("the squared error left out")
def log_variance_alone(x, mean):
    var = F.mse_loss(mean, x)
    return (0.5 * torch.log(2 * math.pi * var)).expand_as(x).sum((1, 2, 3))


@rec.names("the log term counted once")
def one_log_term(x, mean):
    var = F.mse_loss(mean, x)
    return ((x - mean) ** 2).sum((1, 2, 3)) / (2 * var) + 0.5 * torch.log(2 * math.pi * var)


@rec.names("averaged over pixels")
def mean_over_pixels(x, mean):
    var = F.mse_loss(mean, x)
    return (0.5 * (x - mean) ** 2 / var + 0.5 * torch.log(2 * math.pi * var)).mean((1, 2, 3))


@rec.names("factor ½ missing")
def no_halves(x, mean):
    var = F.mse_loss(mean, x)
    return ((x - mean) ** 2 / var + torch.log(2 * math.pi * var)).sum((1, 2, 3))


@rec.names("factor ½ missing before the squared error")
def no_half_in_the_exponent(x, mean):
    var = F.mse_loss(mean, x)
    return ((x - mean) ** 2 / var + 0.5 * torch.log(2 * math.pi * var)).sum((1, 2, 3))


@rec.names("factor ½ missing before the logarithm")
def no_half_before_the_log(x, mean):
    var = F.mse_loss(mean, x)
    return ((x - mean) ** 2 / (2 * var) + torch.log(2 * math.pi * var)).sum((1, 2, 3))


@rec.names("2π left out")
def no_two_pi(x, mean):
    var = F.mse_loss(mean, x)
    return F.gaussian_nll_loss(mean, x, var.expand_as(x), reduction="none").sum((1, 2, 3))


@rec.names("the log-likelihood itself")
def log_likelihood(x, mean):
    return Normal(mean, F.mse_loss(mean, x).sqrt()).log_prob(x).sum((1, 2, 3))


@rec.names("summed over the batch")
def one_sum(x, mean):
    return by_the_formula(x, mean).sum()


@rec.names("averaged over the batch")
def one_mean(x, mean):
    return by_the_formula(x, mean).mean()


@rec.names("gradient cut off")
def detached(x, mean):
    return by_the_formula(x, mean.detach())


@rec.names("half of the gradient cut off")
def variance_term_alone_learns(x, mean):
    var = F.mse_loss(mean, x)
    return ((x - mean.detach()) ** 2 / (2 * var) + 0.5 * torch.log(2 * math.pi * var)).sum((1, 2, 3))


@rec.rejects("wrong")
def plus_for_minus(x, mean):
    var = F.mse_loss(mean, x)
    return ((x - mean) ** 2 / (2 * var) - 0.5 * torch.log(2 * math.pi * var)).sum((1, 2, 3))


weight = Bench(sheet.hidden_beta)


@weight.accepts
def by_counting(rec, kl, shape, latents):
    values = shape[0] * shape[1] * shape[2]
    a = rec[0] / values if rec[1] == "mean" else rec[0]
    b = kl[0] / latents if kl[1] == "mean" else kl[0]
    beta = 0.5 * b / a
    return beta, math.sqrt(beta)


@weight.accepts
def by_table(rec, kl, shape, latents, *, verbose=False):
    divide = {("rec", "mean"): math.prod(shape), ("kl", "mean"): latents}
    weights = [f / divide.get((term, how), 1) for term, (f, how) in (("rec", rec), ("kl", kl))]
    beta = np.float32(weights[1] / weights[0] / 2)
    return [beta, beta**0.5]


@weight.accepts
def by_gradients(rec, kl, shape, latents):
    e = torch.rand(shape, dtype=torch.float64, requires_grad=True)  # each squared error
    k = torch.rand(latents, dtype=torch.float64, requires_grad=True)  # the KL of each latent
    loss = rec[0] * getattr(e, rec[1])() + kl[0] * getattr(k, kl[1])()
    loss.backward()
    beta = (k.grad[0] / (e.grad.flatten()[0] / 0.5)).item()
    return beta, beta**0.5


@weight.accepts
def in_logarithms(rec, kl, shape, latents):
    log_beta = math.log(kl[0]) - math.log(rec[0]) - math.log(2)
    if rec[1] == "mean":
        log_beta += sum(math.log(n) for n in shape)
    if kl[1] == "mean":
        log_beta -= math.log(latents)
    return math.exp(log_beta), math.exp(log_beta / 2)


@weight.accepts
def in_tensors(rec, kl, shape, latents):
    a, b = torch.tensor(rec[0]), torch.tensor(kl[0])
    a = a / torch.Size(shape).numel() if rec[1] == "mean" else a
    b = b / latents if kl[1] == "mean" else b
    return b / a / 2, (b / a / 2).sqrt()


@weight.accepts
def in_one_numpy_array(rec, kl, shape, latents):
    a = rec[0] / math.prod(shape) if rec[1] == "mean" else rec[0]
    b = kl[0] / latents if kl[1] == "mean" else kl[0]
    return np.array([b / a / 2, (b / a / 2) ** 0.5])


@weight.accepts
def in_one_torch_tensor(rec, kl, shape, latents):
    return torch.stack(in_tensors(rec, kl, shape, latents))


def counted(rec, kl, shape, latents, two=2.0):
    a = rec[0] / np.prod(shape) if rec[1] == "mean" else rec[0]
    b = kl[0] / latents if kl[1] == "mean" else kl[0]
    return b / (two * a)


def with_sigma(beta):
    return beta, beta**0.5


@weight.names("the inverse")
def rec_by_kl(rec, kl, shape, latents):
    return with_sigma(1 / counted(rec, kl, shape, latents))


@weight.names("factor 2 forgotten")
def relative_to_the_whole_square(rec, kl, shape, latents):
    return with_sigma(counted(rec, kl, shape, latents, two=1.0))


@weight.names("factor 2 the wrong way")
def doubled_kl(rec, kl, shape, latents):
    return with_sigma(counted(rec, kl, shape, latents, two=0.5))


@weight.names("mean over pixels read as a sum")
def kl_reduction_only(rec, kl, shape, latents):
    b = kl[0] / latents if kl[1] == "mean" else kl[0]
    return with_sigma(b / rec[0] / 2)


@weight.names("mean over latents read as a sum")
def rec_reduction_only(rec, kl, shape, latents):
    a = rec[0] / math.prod(shape) if rec[1] == "mean" else rec[0]
    return with_sigma(kl[0] / (2 * a))


@weight.names("both means read as sums")
def factors_only(rec, kl, shape, latents):
    return with_sigma(kl[0] / rec[0] / 2)


@weight.names("pixels and latents exchanged")
def counts_exchanged(rec, kl, shape, latents):
    a = rec[0] / latents if rec[1] == "mean" else rec[0]
    b = kl[0] / math.prod(shape) if kl[1] == "mean" else kl[0]
    return with_sigma(b / (2 * a))


@weight.names("means multiply")
def times_the_count(rec, kl, shape, latents):
    a = rec[0] * math.prod(shape) if rec[1] == "mean" else rec[0]
    b = kl[0] * latents if kl[1] == "mean" else kl[0]
    return with_sigma(b / (2 * a))


@weight.names("sums and means exchanged")
def condition_the_wrong_way(rec, kl, shape, latents):
    a = rec[0] / math.prod(shape) if rec[1] == "sum" else rec[0]
    b = kl[0] / latents if kl[1] == "sum" else kl[0]
    return with_sigma(b / (2 * a))


@weight.names("channels left out")
def height_times_width(rec, kl, shape, latents):
    return with_sigma(counted(rec, kl, shape[1:], latents))


@weight.names("the reconstruction term's factor left out")
def no_rec_factor(rec, kl, shape, latents):
    a = 1 / math.prod(shape) if rec[1] == "mean" else 1
    b = kl[0] / latents if kl[1] == "mean" else kl[0]
    return with_sigma(b / (2 * a))


@weight.names("the KL's factor left out")
def no_kl_factor(rec, kl, shape, latents):
    return with_sigma(counted(rec, kl, shape, latents) / kl[0])


@weight.names("the written factor taken for β")
def as_the_program_says(rec, kl, shape, latents):
    return with_sigma(kl[0])


@weight.names("σ² returned for σ")
def variance(rec, kl, shape, latents):
    beta = counted(rec, kl, shape, latents)
    return beta, beta


@weight.names("σ² taken as β/2")
def halved_again(rec, kl, shape, latents):
    beta = counted(rec, kl, shape, latents)
    return beta, (beta / 2) ** 0.5


@weight.names("results exchanged")
def sigma_first(rec, kl, shape, latents):
    beta = counted(rec, kl, shape, latents)
    return beta**0.5, beta


@weight.names("σ² returned for σ")
def variance_in_an_array(rec, kl, shape, latents):
    return np.full(2, counted(rec, kl, shape, latents))


@weight.rejects("wrong type or shape")
def three_in_an_array(rec, kl, shape, latents):
    return np.full(3, counted(rec, kl, shape, latents))


@weight.rejects("wrong type or shape")
def beta_alone(rec, kl, shape, latents):
    return counted(rec, kl, shape, latents)


repaired = Bench(sheet.repaired_terms)


@repaired.accepts
def halved_in_the_sample(mu, logvar, eps):
    z = mu + torch.exp(logvar / 2) * eps
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)
    return z, kl


@repaired.accepts
def with_sigma_named(mu, logvar, eps):
    sigma = logvar.exp().sqrt()
    return [sigma * eps + mu, (0.5 * (mu**2 + sigma**2 - 1) - sigma.log()).sum(dim=-1)]


@repaired.accepts
def by_divergence(mu, logvar, eps):
    q = Normal(mu, (0.5 * logvar).exp())
    return q.loc + q.scale * eps, kl_divergence(q, Normal(0.0, 1.0)).sum(1)


@repaired.accepts
def in_double(mu, logvar, eps, *, beta=1.0):
    mu, logvar, eps = mu.double(), logvar.double(), eps.double()
    kl = torch.einsum("bd->b", mu.pow(2) + logvar.expm1() - logvar) / 2
    return torch.addcmul(mu, logvar.mul(0.5).exp_(), eps), beta * kl


@repaired.accepts
def row_by_row(mu, logvar, eps):
    z, kl = [], []
    for m, lv, e in zip(mu, logvar, eps, strict=True):
        z.append(m + e * torch.exp(0.5 * lv))
        kl.append(losses.kl_to_standard_normal(m[None], lv[None])[0])
    return torch.stack(z), torch.stack(kl)


def right_kl(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


def right_z(mu, logvar, eps):
    return mu + eps * torch.exp(0.5 * logvar)


@repaired.names("the fault is still there")
def unchanged(mu, logvar, eps):
    return mu + logvar.exp() * eps, right_kl(mu, logvar)


@repaired.names("log σ in both places")
def agreed_on_log_sigma(mu, logvar, eps):
    sigma = logvar.exp()
    return mu + sigma * eps, (0.5 * (mu**2 + sigma**2 - 1) - logvar).sum(1)


@repaired.names("the other place broken")
def kl_of_log_sigma(mu, logvar, eps):
    return right_z(mu, logvar, eps), 0.5 * (mu**2 + (2 * logvar).exp() - 2 * logvar - 1).sum(1)


@repaired.names("½ in the KL's exponent as well")
def sigma_for_variance(mu, logvar, eps):
    sigma = torch.exp(0.5 * logvar)
    return mu + sigma * eps, 0.5 * (mu**2 + sigma - logvar - 1).sum(1)


@repaired.names("logvar itself as the scale")
def forgotten_exp(mu, logvar, eps):
    return mu + logvar * eps, right_kl(mu, logvar)


@repaired.names("noise left out")
def the_mean(mu, logvar, eps):
    return mu.clone(), right_kl(mu, logvar)


@repaired.names("σ left out")
def unit_noise(mu, logvar, eps):
    return mu + eps, right_kl(mu, logvar)


@repaired.names("KL with its sign flipped")
def as_in_some_posts(mu, logvar, eps):
    return right_z(mu, logvar, eps), 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)


@repaired.names("KL averaged over latents")
def mean_kl(mu, logvar, eps):
    return right_z(mu, logvar, eps), 0.5 * (mu**2 + logvar.exp() - logvar - 1).mean(1)


@repaired.names("KL not summed over latents")
def kl_matrix(mu, logvar, eps):
    return right_z(mu, logvar, eps), 0.5 * (mu**2 + logvar.exp() - logvar - 1)


@repaired.names("KL summed over the batch")
def total_kl(mu, logvar, eps):
    return right_z(mu, logvar, eps), -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


@repaired.names("KL averaged over the batch")
def batch_mean_kl(mu, logvar, eps):
    return right_z(mu, logvar, eps), right_kl(mu, logvar).mean()


@repaired.names("factor ½ missing in the KL")
def double_kl(mu, logvar, eps):
    return right_z(mu, logvar, eps), (mu**2 + logvar.exp() - logvar - 1).sum(1)


@repaired.names("results exchanged")
def kl_first(mu, logvar, eps):
    return right_kl(mu, logvar), right_z(mu, logvar, eps)


@repaired.names("draws its own noise")
def own_noise(mu, logvar, eps):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu), right_kl(mu, logvar)


@repaired.names("gradient cut off")
def detached_scale(mu, logvar, eps):
    return mu + torch.exp(0.5 * logvar).detach() * eps, right_kl(mu, logvar)


@repaired.names("gradient cut off")
def detached_kl(mu, logvar, eps):
    return right_z(mu, logvar, eps), right_kl(mu, logvar).detach()


@repaired.rejects("wrong")
def softplus_scale(mu, logvar, eps):
    return mu + F.softplus(logvar) * eps, right_kl(mu, logvar)


step = Bench(sheet.sgd_step)


@step.accepts
def zero_backward_update(params, loss_function, lr):
    loss = loss_function(params).mean()
    for p in params.values():
        p.grad = None
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
    return loss.item()


@step.accepts
def functional_gradients(params, loss_function, lr):
    loss = loss_function(params).mean()
    gradients = torch.autograd.grad(loss, list(params.values()))
    for p, g in zip(params.values(), gradients, strict=True):
        p.data = p.data - lr * g
    return loss.detach()


@step.accepts
def with_torchs_optimiser(params, loss_function, lr, optimizer=torch.optim.SGD):
    descent = optimizer(params.values(), lr=lr)
    loss = torch.mean(loss_function(params))
    descent.zero_grad()
    loss.backward()
    descent.step()
    return float(loss)


@step.accepts
@torch.no_grad()
def zeroed_in_place(params, loss_function, lr):
    for p in params.values():
        if p.grad is not None:
            p.grad.zero_()
    with torch.enable_grad():
        per_image = loss_function(params)
        (per_image.sum() / len(per_image)).backward()
    for p in params.values():
        p.copy_(p - lr * p.grad)
    return per_image.mean().numpy()


@step.accepts
def averaged_by_hand(params, loss_function, lr):
    per_image = loss_function(params)
    B = per_image.shape[0]
    tensors = list(params.values())
    sums = [torch.zeros_like(p) for p in tensors]
    for one in per_image:
        for total, g in zip(sums, torch.autograd.grad(one, tensors, retain_graph=True), strict=True):
            total += g
    for p, total in zip(tensors, sums, strict=True):
        p.detach().sub_(total, alpha=lr / B)
    return sum(per_image.tolist()) / B


@step.names("gradients accumulate")
def never_zeroed(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
    return loss.item()


@step.names("zeroed only after the step")
def zeroed_afterwards(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
            p.grad.zero_()
    return loss.item()


def plain_step(params, loss, size):
    for p in params.values():
        p.grad = None
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p += size * p.grad
    return loss.item()


@step.names("goes uphill")
def plus(params, loss_function, lr):
    return plain_step(params, loss_function(params).mean(), lr)


@step.names("summed over the batch")
def summed(params, loss_function, lr):
    per_image = loss_function(params)
    plain_step(params, per_image.sum(), -lr)
    return per_image.mean().item()


@step.names("summed over the batch")
def summed_and_returned(params, loss_function, lr):
    return plain_step(params, loss_function(params).sum(), -lr)


@step.names("summed over the batch, and not zeroed")
def summed_and_never_zeroed(params, loss_function, lr):
    loss = loss_function(params).sum()
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
    return loss.item()


@step.names("summed over the batch, and not zeroed")
def summed_for_the_step_and_never_zeroed(params, loss_function, lr):
    per_image = loss_function(params)
    per_image.sum().backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
    return per_image.mean().item()


@step.names("summed over the batch, and not zeroed")
def summed_and_zeroed_afterwards(params, loss_function, lr):
    loss = loss_function(params).sum()
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
            p.grad = None
    return loss.item()


@step.names("divided by the batch twice")
def mean_of_the_mean(params, loss_function, lr):
    per_image = loss_function(params)
    return plain_step(params, per_image.mean(), -lr / len(per_image))


@step.names("learning rate left out")
def gradient_as_step(params, loss_function, lr):
    return plain_step(params, loss_function(params).mean(), -1)


@step.names("parameters stay as they were")
def rebound(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p = p - lr * p.grad
    return loss.item()


@step.names("parameters stay as they were")
def zeroed_too_late(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p.grad.zero_()
            p -= lr * p.grad
    return loss.item()


@step.names("one parameter only")
def returns_inside_the_loop(params, loss_function, lr):
    loss = loss_function(params).mean()
    for p in params.values():
        p.grad = None
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
            return loss.item()


@step.names("one parameter only")
def returns_inside_the_loop_that_zeroes_last(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    with torch.no_grad():
        for p in params.values():
            p -= lr * p.grad
            p.grad = None
            return loss.item()


@step.names("one parameter only")
def updates_after_the_loop(params, loss_function, lr):
    loss = loss_function(params).mean()
    for p in params.values():
        p.grad = None
    loss.backward()
    with torch.no_grad():
        p -= lr * p.grad
    return loss.item()


@step.names("first example only")
def one_example(params, loss_function, lr):
    per_image = loss_function(params)
    plain_step(params, per_image[0], -lr)
    return per_image.mean().item()


@step.names("the loss after the step")
def loss_afterwards(params, loss_function, lr):
    plain_step(params, loss_function(params).mean(), -lr)
    return loss_function(params).mean().item()


@step.names("the summed loss returned")
def reports_the_sum(params, loss_function, lr):
    per_image = loss_function(params)
    plain_step(params, per_image.mean(), -lr)
    return per_image.sum().item()


@step.names("the graph is kept")
def returns_the_tensor(params, loss_function, lr):
    loss = loss_function(params).mean()
    plain_step(params, loss, -lr)
    return loss


@step.names("new tensors in the dictionary")
def replaces_the_tensors(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    for name, p in params.items():
        params[name] = (p - lr * p.grad).detach().requires_grad_()
    return loss.item()


@step.names("update recorded by autograd")
def no_no_grad(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    for p in params.values():
        p -= lr * p.grad
    return loss.item()


@step.names("requires_grad is lost")
def switched_off(params, loss_function, lr):
    loss = loss_function(params).mean()
    loss.backward()
    for p in params.values():
        p.requires_grad_(False)
        p -= lr * p.grad
        p.grad = None
    return loss.item()


@step.rejects("wrong type or shape")
def losses_of_all(params, loss_function, lr):
    per_image = loss_function(params)
    plain_step(params, per_image.mean(), -lr)
    return per_image.detach()


@step.rejects("wrong")
def half_a_step(params, loss_function, lr):
    return plain_step(params, loss_function(params).mean(), -lr / 2)

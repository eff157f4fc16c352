"""Right and wrong answers for sheet 15, each as a learner might write it."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench
from torch import nn

from vae_course import latent
from vae_course.checks import celeba_gpu as sheet

# ---- conv_cost

layer_cost = Bench(sheet.conv_cost)


@layer_cost.accepts
def by_the_formula(shape, channels, kernel, stride, padding, groups):
    c, h, w = shape
    out_h = (h + 2 * padding - kernel) // stride + 1
    out_w = (w + 2 * padding - kernel) // stride + 1
    weights = channels * (c // groups) * kernel**2
    return weights + channels, weights * out_h * out_w


@layer_cost.accepts
def by_a_layer(shape, channels, kernel, stride, padding, groups, bias=True):
    layer = nn.Conv2d(shape[0], channels, kernel, stride, padding, groups=groups, bias=bias)
    out = layer(torch.zeros(1, *shape))
    return sum(p.numel() for p in layer.parameters()), layer.weight.numel() * out[0, 0].numel()


@layer_cost.accepts
def by_torchs_counter(shape, channels, kernel, stride, padding, groups):
    from torch.utils.flop_counter import FlopCounterMode

    weight = torch.empty(channels, shape[0] // groups, kernel, kernel)
    with FlopCounterMode(display=False) as counter:
        F.conv2d(torch.empty(1, *shape), weight, None, stride, padding, 1, groups)
    return torch.tensor(weight.numel() + channels), torch.tensor(counter.get_total_flops() / 2)


@layer_cost.accepts
def window_by_window(shape, channels, kernel, stride, padding, groups):
    n_in, rows, columns = shape
    tall = len(range(0, rows + 2 * padding - kernel + 1, stride))
    wide = len(range(0, columns + 2 * padding - kernel + 1, stride))
    multiply_adds = parameters = 0
    for _ in range(channels):
        parameters += n_in / groups * kernel * kernel + 1
        multiply_adds += tall * wide * n_in / groups * kernel * kernel
    return [parameters, multiply_adds]


@layer_cost.accepts
def group_by_group(shape, channels, kernel, stride, padding, groups):
    sides = np.floor((np.array(shape[1:]) + 2 * padding - kernel) / stride) + 1
    of_a_group = (shape[0] // groups) * (channels // groups) * kernel**2
    return np.array([groups * of_a_group + channels, groups * of_a_group * np.prod(sides)])


def out_places(shape, kernel, stride, padding):
    return math.prod((n + 2 * padding - kernel) // stride + 1 for n in shape[1:])


@layer_cost.names("biases left out")
def no_bias(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] * kernel * kernel // groups
    return weights, weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("a bias for each group")
def bias_in_each_group(shape, channels, kernel, stride, padding, groups):
    in_a_group = (channels // groups) * (shape[0] // groups) * kernel**2
    weights = groups * in_a_group
    return weights + channels // groups, weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("one bias for the layer")
def single_bias(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] * kernel * kernel // groups
    return weights + 1, weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("biases counted as multiply-adds")
def all_parameters_everywhere(shape, channels, kernel, stride, padding, groups):
    parameters = channels * (shape[0] // groups * kernel**2 + 1)
    return parameters, parameters * out_places(shape, kernel, stride, padding)


@layer_cost.names("groups left out")
def ungrouped(shape, channels, kernel, stride, padding, groups):
    layer = nn.Conv2d(shape[0], channels, kernel, stride, padding)
    places = layer(torch.zeros(1, *shape))[0, 0].numel()
    return sum(p.numel() for p in layer.parameters()), layer.weight.numel() * places


@layer_cost.names("groups left out of the parameters")
def groups_save_time_only(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] * kernel**2
    return weights + channels, weights // groups * out_places(shape, kernel, stride, padding)


@layer_cost.names("groups left out of the multiply-adds")
def groups_save_memory_only(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] * kernel**2
    return weights // groups + channels, weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("divided by the groups twice")
def both_divided(shape, channels, kernel, stride, padding, groups):
    weights = (channels // groups) * (shape[0] // groups) * kernel**2
    return weights + channels, weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("kernel counted along one side")
def one_side(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel
    return weights + channels, weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("input channels left out")
def one_channel_deep(shape, channels, kernel, stride, padding, groups):
    weights = channels * kernel**2
    return weights + channels, weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("one place only")
def weights_used_once(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights


@layer_cost.names("height used for both sides")
def square_pictures(shape, channels, kernel, stride, padding, groups):
    side = (shape[1] + 2 * padding - kernel) // stride + 1
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * side**2


@layer_cost.names("counted at the places of the input")
def input_places(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * shape[1] * shape[2]


@layer_cost.names("stride left out")
def every_pixel(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * out_places(shape, kernel, 1, padding)


@layer_cost.names("padding left out")
def no_padding(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * out_places(shape, kernel, stride, 0)


@layer_cost.names("+ 1 left out")
def moves(shape, channels, kernel, stride, padding, groups):
    rows, columns = ((n + 2 * padding - kernel) // stride for n in shape[1:])
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * rows * columns


@layer_cost.names("rounded up")
def ceiled(shape, channels, kernel, stride, padding, groups):
    rows, columns = (math.ceil((n + 2 * padding - kernel) / stride) + 1 for n in shape[1:])
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * rows * columns


@layer_cost.names("a bias for each input channel")
def bias_of_the_input(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights + shape[0], weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("not rounded")
def fractions_of_places(shape, channels, kernel, stride, padding, groups):
    rows, columns = ((n + 2 * padding - kernel) / stride + 1 for n in shape[1:])
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * rows * columns


@layer_cost.names("side divided by the stride")
def halved_sides(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, weights * (shape[1] // stride) * (shape[2] // stride)


@layer_cost.names("output channels left out")
def one_kernel(shape, channels, kernel, stride, padding, groups):
    window = shape[0] // groups * kernel**2
    return channels * (window + 1), window * out_places(shape, kernel, stride, padding)


@layer_cost.names("counted as two operations")
def flops(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights + channels, 2 * weights * out_places(shape, kernel, stride, padding)


@layer_cost.names("results exchanged")
def work_first(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] // groups * kernel**2
    return weights * out_places(shape, kernel, stride, padding), weights + channels


@layer_cost.rejects("wrong")
def two_things(shape, channels, kernel, stride, padding, groups):
    weights = channels * shape[0] * kernel**2  # groups forgotten, and the biases
    return weights, weights * out_places(shape, kernel, stride, padding)


# ---- kl_factor

factor = Bench(sheet.kl_factor)


@factor.accepts
def term_by_term(sigma, rec, kl, shape, z_shape):
    weight, reduction = rec
    per_value = weight / math.prod(shape) if reduction == "mean" else weight
    of_kl = 2 * sigma**2 * per_value  # (x - m)² / (2σ²), multiplied by 2σ² per_value
    return of_kl * math.prod(z_shape) if kl == "mean" else of_kl


@factor.accepts
def by_ratios(sigma, rec, kl, shape, z_shape):
    n = {"sum": 1, "mean": torch.Size(shape).numel()}[rec[1]]
    d = {"sum": 1, "mean": torch.Size(z_shape).numel()}[kl]
    return torch.tensor(rec[0] * d / n * 2 * sigma * sigma)


@factor.accepts
def by_the_loss_at_one_point(sigma, rec, kl, shape, z_shape):
    """Both losses where every squared error is 1 and every latent costs 1 nat."""
    e, k = np.ones(shape), np.ones(z_shape)
    ours = rec[0] * getattr(e, rec[1])()
    scale = ours / (e.sum() / (2 * sigma**2))
    return scale * k.sum() / getattr(k, kl)()


@factor.accepts
def by_gradients(sigma, rec, kl, shape, z_shape):
    e, k = torch.rand(shape, dtype=torch.double), torch.rand(z_shape, dtype=torch.double)
    e.requires_grad_(), k.requires_grad_()
    reduce = {"sum": torch.sum, "mean": torch.mean}
    (of_error,) = torch.autograd.grad(rec[0] * reduce[rec[1]](e), e)
    (of_kl,) = torch.autograd.grad(reduce[kl](k), k)
    return (of_error.flatten()[0] * 2 * sigma**2 / of_kl.flatten()[0]).item()


@factor.accepts
def by_cases(sigma, rec, kl, shape, z_shape, digits=12):
    a, C, H, W = rec[0], *shape
    D = 1
    for size in z_shape:
        D *= size
    if rec[1] == "sum" and kl == "sum":
        w = 2 * a * sigma**2
    elif rec[1] == "sum":
        w = 2 * a * sigma**2 * D
    elif kl == "sum":
        w = 2 * a * sigma**2 / (C * H * W)
    else:
        w = 2 * a * sigma**2 * D / (C * H * W)
    return round(w, digits)


def counted(reduction, shape):
    return math.prod(shape) if reduction == "mean" else 1


@factor.names("the 2 of 2σ² left out")
def full_squared_error(sigma, rec, kl, shape, z_shape):
    return sigma**2 * rec[0] / counted(rec[1], shape) * counted(kl, z_shape)


@factor.names("halved in place of doubled")
def half_of_it(sigma, rec, kl, shape, z_shape):
    return 0.5 * sigma**2 * rec[0] / counted(rec[1], shape) * counted(kl, z_shape)


@factor.names("σ taken for σ²")
def not_squared(sigma, rec, kl, shape, z_shape):
    return 2 * sigma * rec[0] / counted(rec[1], shape) * counted(kl, z_shape)


@factor.names("squared twice")
def as_if_a_standard_deviation_was_a_variance(sigma, rec, kl, shape, z_shape):
    var = sigma**2
    return 2 * var**2 * rec[0] / counted(rec[1], shape) * counted(kl, z_shape)


@factor.names("1/σ² taken for σ²")
def divided_by_the_variance(sigma, rec, kl, shape, z_shape):
    return 2 * rec[0] / counted(rec[1], shape) * counted(kl, z_shape) / sigma**2


@factor.names("1/(2σ²) taken for 2σ²")
def as_before_the_squared_error(sigma, rec, kl, shape, z_shape):
    return rec[0] / counted(rec[1], shape) / (2 * sigma**2) * counted(kl, z_shape)


@factor.names("upside down")
def other_way_round(sigma, rec, kl, shape, z_shape):
    return counted(rec[1], shape) / (2 * sigma**2 * rec[0] * counted(kl, z_shape))


@factor.names("the mean over pixels ignored")
def pixels_always_summed(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] * counted(kl, z_shape)


@factor.names("the mean over pixels multiplied")
def more_pixels_more_kl(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] * counted(rec[1], shape) * counted(kl, z_shape)


@factor.names("the mean over latents ignored")
def latents_always_summed(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], shape)


@factor.names("the mean over latents divided")
def divided_by_latents(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], shape) / counted(kl, z_shape)


@factor.names("both means ignored")
def no_reductions(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0]


@factor.names("sum and mean exchanged")
def sums_divide(sigma, rec, kl, shape, z_shape):
    n = math.prod(shape) if rec[1] == "sum" else 1
    d = math.prod(z_shape) if kl == "sum" else 1
    return 2 * sigma**2 * rec[0] / n * d


@factor.names("the squared error's own factor ignored")
def factor_unused(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 / counted(rec[1], shape) * counted(kl, z_shape)


@factor.names("divided by the squared error's factor")
def factor_below(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 / counted(rec[1], shape) * counted(kl, z_shape) / rec[0]


@factor.names("channels left out")
def pixels_without_channels(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], shape[1:]) * counted(kl, z_shape)


@factor.names("only the first size of the latent")
def channels_of_the_latent(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], shape) * (z_shape[0] if kl == "mean" else 1)


@factor.names("only the places of the latent")
def places_of_the_latent(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], shape) * counted(kl, z_shape[1:])


@factor.names("sizes of the latent added")
def sizes_added(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], shape) * (sum(z_shape) if kl == "mean" else 1)


@factor.names("numbers of values exchanged")
def crossed(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], z_shape) * counted(kl, shape)


@factor.names("both divided by the image's values")
def pixels_for_both(sigma, rec, kl, shape, z_shape):
    return 2 * sigma**2 * rec[0] / counted(rec[1], shape) * counted(kl, shape)


# ---- ema_update

ema = Bench(sheet.ema_update)


def rate(decay, step):
    return (1 - decay) / (1 - decay**step)


@ema.accepts
@torch.no_grad()
def in_place(average, model, decay, step):
    r = rate(decay, step)
    for slow, now in zip(average.parameters(), model.parameters(), strict=True):
        slow += r * (now - slow)


@ema.accepts
def by_lerp(average, model, decay, step):
    for slow, now in zip(average.parameters(), model.parameters(), strict=True):
        slow.data.lerp_(now.data, (1 - decay) / (1 - decay**step))


@ema.accepts
def by_state_dicts(average, model, decay, step, strict=True):
    old, new = average.state_dict(), model.state_dict()
    r = torch.tensor(1 - decay).double() / (1 - torch.tensor(decay).double() ** step)
    average.load_state_dict({name: (1 - r) * old[name] + r * new[name] for name in old}, strict=strict)
    return average


@ema.accepts
def mul_and_add(average, model, decay, step):
    r = rate(decay, step)
    ours = dict(average.named_parameters())
    with torch.inference_mode(False), torch.no_grad():
        for name, p in model.named_parameters():
            ours[name].mul_(1 - r).add_(p, alpha=r)


@ema.accepts
def as_one_vector(average, model, decay, step):
    from torch.nn.utils import parameters_to_vector as flat
    from torch.nn.utils import vector_to_parameters

    with torch.no_grad():
        slow, now = flat(average.parameters()), flat(model.parameters())
        # the same with the uncorrected average, which is the corrected one times 1 - decay^(t-1)
        sums = decay * (1 - decay ** (step - 1)) * slow + (1 - decay) * now
        vector_to_parameters(sums / (1 - decay**step), average.parameters())


@ema.accepts
def foreach(average, model, decay, step):
    torch._foreach_lerp_(
        [p.detach() for p in average.parameters()], [p.detach() for p in model.parameters()], rate(decay, step)
    )


def each(average, model):
    return zip(average.parameters(), model.parameters(), strict=True)


@ema.names("gradients left off")
def switched_off(average, model, decay, step):
    torch.set_grad_enabled(False)
    for slow, now in each(average, model):
        slow += rate(decay, step) * (now - slow)


@ema.names("changes the model")
def left_in_eval_mode(average, model, decay, step):
    model.eval()
    in_place(average, model, decay, step)


@ema.rejects("wrong")
@torch.no_grad()
def the_larger_of_two_rates(average, model, decay, step):
    for slow, now in each(average, model):
        slow.lerp_(now, max(1 - decay, 1 / step))


@ema.names("the average stays as it was")
@torch.no_grad()
def rebound(average, model, decay, step):
    for slow, now in each(average, model):
        slow = slow + rate(decay, step) * (now - slow)


@ema.names("the average stays as it was")
def returned_only(average, model, decay, step):
    r = rate(decay, step)
    return {name: (1 - r) * p + r * model.state_dict()[name] for name, p in average.state_dict().items()}


@ema.names("not corrected")
@torch.no_grad()
def textbook(average, model, decay, step):
    for slow, now in each(average, model):
        slow.mul_(decay).add_(now, alpha=1 - decay)


@ema.names("decay and 1 − decay exchanged")
@torch.no_grad()
def exchanged(average, model, decay, step):
    for slow, now in each(average, model):
        slow.mul_(1 - decay).add_(now, alpha=decay)


@ema.names("decay and 1 − decay exchanged")
@torch.no_grad()
def exchanged_with_correction(average, model, decay, step):
    for slow, now in each(average, model):
        slow += decay / (1 - decay**step) * (now - slow)


@ema.names("average and weights exchanged")
@torch.no_grad()
def rate_for_the_average(average, model, decay, step):
    r = rate(decay, step)
    for slow, now in each(average, model):
        slow.copy_(r * slow + (1 - r) * now)


@ema.names("moves away from the weights")
@torch.no_grad()
def sign(average, model, decay, step):
    for slow, now in each(average, model):
        slow.add_(slow - now, alpha=rate(decay, step))


@ema.names("the stored average divided each time")
@torch.no_grad()
def adams_way(average, model, decay, step):
    for slow, now in each(average, model):
        slow.mul_(decay).add_((1 - decay) * now)
        slow /= 1 - decay**step


@ema.names("multiplied by 1 − decayᵗ")
@torch.no_grad()
def multiplied(average, model, decay, step):
    for slow, now in each(average, model):
        slow.lerp_(now, (1 - decay) * (1 - decay**step))


@ema.names("decay · t in place of decayᵗ")
@torch.no_grad()
def times_step(average, model, decay, step):
    for slow, now in each(average, model):
        slow.lerp_(now, (1 - decay) / (1 - decay * step))


@ema.names("step counted one too far")
@torch.no_grad()
def from_zero(average, model, decay, step):
    for slow, now in each(average, model):
        slow.lerp_(now, (1 - decay) / (1 - decay ** (step + 1)))


@ema.names("the correction of the first step only")
@torch.no_grad()
def first_copied(average, model, decay, step):
    for slow, now in each(average, model):
        slow.copy_(now if step == 1 else decay * slow + (1 - decay) * now)


@ema.names("a decay that rises")
@torch.no_grad()
def warmed_up(average, model, decay, step):
    d = min(decay, (1 + step) / (10 + step))
    for slow, now in each(average, model):
        slow.mul_(d).add_(now, alpha=1 - d)


@ema.names("an even mean")
@torch.no_grad()
def running_mean(average, model, decay, step):
    for slow, now in each(average, model):
        slow += (now - slow) / step


@ema.names("a copy of the weights")
def copied(average, model, decay, step):
    average.load_state_dict(model.state_dict())


@ema.names("all of the average kept")
@torch.no_grad()
def only_added(average, model, decay, step):
    for slow, now in each(average, model):
        slow.add_(now, alpha=rate(decay, step))


@ema.names("some tensors left out")
@torch.no_grad()
def weights_only(average, model, decay, step):
    for name, p in average.named_parameters():
        if name.endswith("weight"):
            p.lerp_(model.get_parameter(name), rate(decay, step))


@ema.names("some tensors left out")
@torch.no_grad()
def return_inside(average, model, decay, step):
    for slow, now in each(average, model):
        slow.lerp_(now, rate(decay, step))
        return average
    return average


@ema.names("update recorded by autograd")
def recorded(average, model, decay, step):
    for slow, now in each(average, model):
        slow.lerp_(now, rate(decay, step))


@ema.names("changes the model")
@torch.no_grad()
def wrong_one(average, model, decay, step):
    for slow, now in each(average, model):
        now.copy_(slow + rate(decay, step) * (now - slow))


@ema.names("shares tensors with the model")
def same_tensors(average, model, decay, step):
    for slow, now in each(average, model):
        slow.data = now.data if step == 1 else slow.data + rate(decay, step) * (now.data - slow.data)


@ema.names("the average wants gradients")
@torch.no_grad()
def new_parameters(average, model, decay, step):
    for name, now in model.named_parameters():
        owner, last = name.rsplit(".", 1)
        slow = average.get_parameter(name)
        setattr(average.get_submodule(owner), last, nn.Parameter(slow + rate(decay, step) * (now - slow)))


@ema.rejects("raised")
@torch.no_grad()
def one_step_behind(average, model, decay, step):
    for slow, now in each(average, model):
        slow.lerp_(now, (1 - decay) / (1 - decay ** (step - 1)))


# ---- where_to_go_on

resume = Bench(sheet.where_to_go_on)


@resume.accepts
def with_divmod(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


@resume.accepts
def from_the_start(step, images, batch_size, order):
    """Goes through all steps, and looks at the one that was asked for."""
    epoch, done = 0, 0
    while True:
        shuffled = order(epoch)
        for start in range(0, images - batch_size + 1, batch_size):
            if done == step:
                return [epoch, shuffled[start : start + batch_size].clone()]
            done += 1
        epoch += 1


@resume.accepts
def in_rows(step, images, batch_size, order):
    steps = images // batch_size
    epoch = step // steps
    whole = order(epoch)[: steps * batch_size].view(steps, batch_size)
    return torch.tensor(epoch), whole[step % steps]


@resume.accepts
def as_a_list(step, images, batch_size, order, drop_last=True):
    steps = int(np.floor(images / batch_size)) if drop_last else int(np.ceil(images / batch_size))
    epoch = int(step / steps)
    start = (step - epoch * steps) * batch_size
    return epoch, order(epoch).tolist()[start : start + batch_size]


@resume.accepts
def in_numpy(step, images, batch_size, order):
    batches = np.split(np.asarray(order(step // (images // batch_size))), range(batch_size, images, batch_size))
    return float(step // (images // batch_size)), batches[step % (images // batch_size)]


@resume.names("partial batch counted")
def rounded_up(step, images, batch_size, order):
    epoch, batch = divmod(step, math.ceil(images / batch_size))
    return epoch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("epoch by images seen")
def seen(step, images, batch_size, order):
    epoch, start = step * batch_size // images, step * batch_size % images
    return epoch, order(epoch)[start : start + batch_size]


@resume.names("the last batch again")
def one_behind(step, images, batch_size, order):
    epoch, batch = divmod(max(step, 1) - 1, images // batch_size)
    return epoch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("one batch skipped")
def one_ahead(step, images, batch_size, order):
    step += 1
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("the first epoch's order")
def one_order(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(0)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("the order of another epoch")
def next_order(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(epoch + 1)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("order asked for by step")
def by_step(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(step)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("the epoch started anew")
def first_batch(step, images, batch_size, order):
    epoch = step // (images // batch_size)
    return epoch, order(epoch)[:batch_size]


@resume.names("not shuffled")
def in_order(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, torch.arange(images)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("batches of one step's distance")
def sliding(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(epoch)[batch : batch + batch_size]


@resume.names("not reduced to the epoch")
def beyond(step, images, batch_size, order):
    epoch = step // (images // batch_size)
    return epoch, order(epoch)[step * batch_size : (step + 1) * batch_size]


@resume.names("one index")
def single(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(epoch)[batch * batch_size]


@resume.names("the rest of the epoch")
def endless(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, order(epoch)[batch * batch_size :]


@resume.names("every so many images")
def strided(step, images, batch_size, order):
    steps = images // batch_size
    epoch, batch = divmod(step, steps)
    return epoch, order(epoch)[batch::steps][:batch_size]


@resume.names("epochs counted from 1")
def first_is_one(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch + 1, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("epochs counted from 1")
def first_is_one_throughout(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    epoch += 1
    return epoch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("the epoch as a fraction")
def slash(step, images, batch_size, order):
    steps = images // batch_size
    start = step % steps * batch_size
    return step / steps, order(int(step / steps))[start : start + batch_size]


@resume.names("the batch in place of the epoch")
def batch_first(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return batch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("results exchanged")
def indices_first(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return order(epoch)[batch * batch_size : (batch + 1) * batch_size], epoch


@resume.names("order drawn anew")
def drawn(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    return epoch, torch.randperm(images)[batch * batch_size : (batch + 1) * batch_size]


@resume.names("an order of its own")
def own_seed(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    mine = torch.randperm(images, generator=torch.Generator().manual_seed(epoch))
    return epoch, mine[batch * batch_size : (batch + 1) * batch_size]


@resume.rejects("wrong")
def step_before_and_ceil(step, images, batch_size, order):
    epoch, batch = divmod(step + 1, math.ceil(images / batch_size))
    return epoch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


# ---- direction_and_control


@resume.names("a batch too short")
def a_step_late_into_the_next_epoch(step, images, batch_size, order):
    epoch, batch = divmod(step, images // batch_size)
    if batch == 0 and step > 0:
        epoch, batch = epoch - 1, images // batch_size
    return epoch, order(epoch)[batch * batch_size : (batch + 1) * batch_size]


smile = Bench(sheet.direction_and_control)


@smile.names("each part of the latent scaled by itself")
def normalised_along_the_last_dimension(codes, labels, noise):
    direction = codes[labels == 1].mean(0) - codes[labels == -1].mean(0)
    return direction, F.normalize(noise, dim=-1) * direction.norm()


@smile.accepts
def by_comparison(codes, labels, noise):
    direction = codes[labels == 1].mean(0) - codes[labels == -1].mean(0)
    return direction, noise / noise.norm() * direction.norm()


@smile.accepts
def by_a_mask(codes, labels, noise, dim=0):
    mask = labels > 0
    direction = torch.mean(codes[mask], dim=dim) - torch.mean(codes[~mask], dim=dim)
    return [direction, F.normalize(noise.flatten(), dim=0).view_as(noise) * torch.linalg.vector_norm(direction)]


@smile.accepts
def by_weights(codes, labels, noise):
    has = (labels.double() + 1) / 2
    weights = has / has.sum() - (1 - has) / (1 - has).sum()
    direction = torch.einsum("n,n...->...", weights, codes.double())
    return direction, noise.double() * (direction.pow(2).sum() / noise.double().pow(2).sum()).sqrt()


@smile.accepts
def face_by_face(codes, labels, noise):
    sums, counts = {1: 0, -1: 0}, {1: 0, -1: 0}
    for code, label in zip(codes, labels.tolist(), strict=True):
        sums[label] = sums[label] + code
        counts[label] += 1
    direction = sums[1] / counts[1] - sums[-1] / counts[-1]
    length = math.sqrt((direction**2).sum())
    return direction, noise * length / math.sqrt((noise**2).sum())


@smile.accepts
def by_least_squares(codes, labels, noise):
    """The slope of each latent on the label, over the two units from -1 to 1."""
    flat = codes.flatten(1).double()
    inputs = torch.stack([torch.ones(len(labels)), labels], dim=1).double()
    direction = 2 * torch.linalg.lstsq(inputs, flat).solution[1].view(codes.shape[1:])
    return direction, noise.mul(direction.norm()).div(noise.norm())


def plain_control(direction, noise):
    return noise / noise.norm() * direction.norm()


def means(codes, labels):
    return codes[labels == 1].mean(0), codes[labels == -1].mean(0)


@smile.names("sign flipped")
def the_other_way(codes, labels, noise):
    with_it, without = means(codes, labels)
    return without - with_it, plain_control(without - with_it, noise)


@smile.names("mean of all faces subtracted")
def from_the_mean_face(codes, labels, noise):
    d = codes[labels == 1].mean(0) - codes.mean(0)
    return d, plain_control(d, noise)


@smile.names("nothing subtracted")
def the_mean_smile(codes, labels, noise):
    d = codes[labels == 1].mean(0)
    return d, plain_control(d, noise)


@smile.names("halved")
def from_the_middle(codes, labels, noise):
    d = means(codes, labels)[0] - torch.stack(means(codes, labels)).mean(0)
    return d, plain_control(d, noise)


@smile.names("labels taken as weights")
def weighed(codes, labels, noise):
    d = (labels.view(-1, *[1] * (codes.ndim - 1)) * codes).mean(0)
    return d, plain_control(d, noise)


@smile.names("sums in place of means")
def summed(codes, labels, noise):
    d = codes[labels == 1].sum(0) - codes[labels == -1].sum(0)
    return d, plain_control(d, noise)


@smile.names("labels taken as places")
def not_compared(codes, labels, noise):
    d = codes[labels].mean(0) - codes[~labels].mean(0)
    return d, plain_control(d, noise)


@smile.names("labels taken as places")
def minus_labels(codes, labels, noise):
    d = codes[labels].mean(0) - codes[-labels].mean(0)
    return d, plain_control(d, noise)


@smile.names("a group without faces")
def as_booleans(codes, labels, noise):
    d = codes[labels.bool()].mean(0) - codes[~labels.bool()].mean(0)
    return d, plain_control(d, noise)


@smile.names("a group without faces")
def zero_means_no(codes, labels, noise):
    d = codes[labels == 1].mean(0) - codes[labels == 0].mean(0)
    return d, plain_control(d, noise)


@smile.names("length taken out of the direction")
def unit_length(codes, labels, noise):
    with_it, without = means(codes, labels)
    d = F.normalize((with_it - without).flatten(), dim=0).view_as(with_it)
    return d, noise / noise.norm()


@smile.names("length taken out of the direction")
def unit_direction_only(codes, labels, noise):
    with_it, without = means(codes, labels)
    d = with_it - without
    return d / d.norm(), plain_control(d, noise)


@smile.names("averaged over latents")
def one_number(codes, labels, noise):
    d = codes[labels == 1].mean() - codes[labels == -1].mean()
    return d, plain_control(d, noise)


@smile.names("the control is the noise itself")
def any_length(codes, labels, noise):
    with_it, without = means(codes, labels)
    return with_it - without, noise.clone()


@smile.names("the control has length 1")
def unit_control(codes, labels, noise):
    with_it, without = means(codes, labels)
    return with_it - without, noise / noise.norm()


@smile.names("the noise's own length left in")
def times_its_length(codes, labels, noise):
    with_it, without = means(codes, labels)
    return with_it - without, (with_it - without).norm() * noise


@smile.names("lengths exchanged")
def quotient_upside_down(codes, labels, noise):
    with_it, without = means(codes, labels)
    return with_it - without, noise * (noise.norm() / (with_it - without).norm())


@smile.names("lengths as sums of absolute values")
def city_blocks(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, noise / noise.norm(p=1) * d.norm(p=1)


@smile.names("squares of the lengths")
def squared_lengths(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, noise * (d**2).sum() / (noise**2).sum()


@smile.names("each part of the latent scaled by itself")
def normalised_along_channels(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, F.normalize(noise, dim=0) * d.norm(dim=0)


@smile.names("the noise turned round")
def minus_the_noise(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, -plain_control(d, noise)


@smile.names("the noise left, the direction scaled")
def direction_brought_to_the_noise(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d * noise.norm() / d.norm(), noise


@smile.names("the control is not as long as the direction")
def root_of_the_size(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, noise / math.sqrt(noise.numel()) * d.norm()


@smile.names("the control is not as long as the direction")
def standardised_by_spread(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, noise * d.std() / noise.std()


@smile.names("the control follows the direction")
def shaken(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, plain_control(d, d + noise)


@smile.names("draws its own noise")
def fresh_noise(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return d, plain_control(d, torch.randn_like(d))


@smile.names("results exchanged")
def control_first(codes, labels, noise):
    d = means(codes, labels)[0] - means(codes, labels)[1]
    return plain_control(d, noise), d


@smile.rejects("wrong")
def sign_and_length(codes, labels, noise):
    d = means(codes, labels)[1] - means(codes, labels)[0]
    return d, noise


# ---- repaired_line

line = Bench(sheet.repaired_line)


def weights_along(steps, like):
    return torch.linspace(0, 1, steps).view(-1, *[1] * like.ndim)


@line.accepts
def tanh_last(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode(torch.tanh((1 - t) * z_a + t * z_b))


@line.accepts
def one_at_a_time(decode, z_a, z_b, steps):
    pictures = []
    for i in range(steps):
        z = z_a + i / (steps - 1) * (z_b - z_a)
        pictures.append(decode(z.tanh().unsqueeze(0))[0])
    return torch.stack(pictures)


@line.accepts
def by_the_courses_lerp(decode, z_a, z_b, steps):
    z = latent.lerp(z_a.flatten(), z_b.flatten(), torch.linspace(0, 1, steps))
    return decode(z.tanh().reshape(steps, *z_a.shape))


@line.accepts
def by_torch_lerp(decode, z_a, z_b, steps, device="cpu"):
    ts = torch.arange(steps, device=device) / (steps - 1)
    z = torch.cat([torch.lerp(z_a, z_b, float(t))[None] for t in ts])
    return decode(F.tanh(z))


@line.accepts
def in_double(decode, z_a, z_b, steps):
    t = torch.from_numpy(np.linspace(0, 1, steps))
    z = torch.einsum("t,...->t...", 1 - t, z_a.double()) + torch.einsum("t,...->t...", t, z_b.double())
    return decode((2 / (1 + torch.exp(-2 * z)) - 1).float())


@line.names("the fault is still there")
def untouched(decode, z_a, z_b, steps):
    t = torch.linspace(0, 1, steps).view(-1, *[1] * z_a.ndim)
    return decode((1 - t) * z_a + t * z_b)


@line.names("tanh before the line")
def ends_squashed(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode((1 - t) * z_a.tanh() + t * z_b.tanh())


@line.names("tanh before the line and after it")
def to_be_safe(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    z_a, z_b = z_a.tanh(), z_b.tanh()
    return decode(((1 - t) * z_a + t * z_b).tanh())


@line.names("tanh twice")
def doubled(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    h = torch.tanh((1 - t) * z_a + t * z_b)
    return decode(torch.tanh(h))


@line.names("one end only")
def precedence(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode((1 - t) * z_a + t * z_b.tanh())


@line.names("tanh on the logits")
def after_the_decoder(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode((1 - t) * z_a + t * z_b).tanh()


@line.names("tanh on both sides of the decoder")
def both_sides(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode(((1 - t) * z_a + t * z_b).tanh()).tanh()


@line.names("cut off at ±1")
def clipped(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode(((1 - t) * z_a + t * z_b).clamp(-1, 1))


@line.names("sigmoid in place of tanh")
def the_other_squash(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode(((1 - t) * z_a + t * z_b).sigmoid())


@line.names("not a number")
def undone(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode(torch.atanh((1 - t) * z_a + t * z_b))


@line.names("divided by the largest")
def rescaled(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    z = (1 - t) * z_a + t * z_b
    return decode(z / z.abs().max())


@line.names("cross-fade")
def faded(decode, z_a, z_b, steps):
    first, last = decode(torch.stack([z_a, z_b]).tanh())
    t = weights_along(steps, first)
    return (1 - t) * first + t * last


@line.names("squashed into pixels")
def pixels(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode(((1 - t) * z_a + t * z_b).tanh()).sigmoid()


@line.names("along an arc")
def spherical(decode, z_a, z_b, steps):
    z = latent.slerp(z_a.reshape(-1), z_b.reshape(-1), torch.linspace(0, 1, steps))
    return decode(z.view(steps, *z_a.shape).tanh())


@line.names("ends exchanged")
def backwards(decode, z_a, z_b, steps):
    t = weights_along(steps, z_a)
    return decode((t * z_a + (1 - t) * z_b).tanh())


@line.names("last end left out")
def never_arrives(decode, z_a, z_b, steps):
    return torch.cat([decode(torch.lerp(z_a, z_b, i / steps).tanh()[None]) for i in range(steps)])


@line.names("one step too many")
def one_more(decode, z_a, z_b, steps):
    t = weights_along(steps + 1, z_a)
    return decode(((1 - t) * z_a + t * z_b).tanh())


@line.rejects("raised")
def without_a_batch(decode, z_a, z_b, steps):
    return torch.stack([decode(torch.lerp(z_a, z_b, t).tanh()) for t in torch.linspace(0, 1, steps)])

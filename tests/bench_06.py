"""Right and wrong answers for sheet 06, each as a learner might write it."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench

from vae_course import latent, metrics
from vae_course.checks import latent_space as sheet

moves = Bench(sheet.traversal)


@moves.accepts
def repeated(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j] = torch.linspace(-span, span, steps)
    return out


@moves.accepts
def row_by_row(z, j, span, steps):
    rows = []
    for i in range(steps):
        row = z.clone()
        row[j] = -span + 2 * span * i / (steps - 1)
        rows.append(row)
    return torch.stack(rows)


@moves.accepts
def through_numpy(z, j, span, steps, dtype=np.float64):
    grid = np.tile(z.numpy().astype(dtype), (steps, 1))
    grid[:, j] = np.linspace(-span, span, steps)
    return torch.from_numpy(grid)


@moves.accepts
def in_three_pieces(z, j, span, steps):
    column = torch.linspace(-span, span, steps)[:, None]
    return torch.cat([z[:j].expand(steps, -1), column, z[j + 1 :].expand(steps, -1)], dim=1)


@moves.accepts
def by_one_hot(z, j, span, steps):
    direction = F.one_hot(torch.tensor(j), len(z)).float()
    values = torch.linspace(-1, 1, steps) * span
    return z + torch.outer(values - z[j], direction)


@moves.names("added instead of replaced")
def plus_equals(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j] += torch.linspace(-span, span, steps)
    return out


@moves.names("multiplied")
def times_equals(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j] *= torch.linspace(-span, span, steps)
    return out


@moves.names("the others zeroed")
def from_zeros(z, j, span, steps):
    out = torch.zeros(steps, len(z))
    out[:, j] = torch.linspace(-span, span, steps)
    return out


@moves.names("all latents moved")
def no_index(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:] = torch.linspace(-span, span, steps)[:, None]
    return out


@moves.names("the latent before")
def counted_from_one(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j - 1] = torch.linspace(-span, span, steps)
    return out


@moves.names("all rows alike")
def the_same_tensor_each_time(z, j, span, steps):
    row, rows = z.clone(), []
    for value in torch.linspace(-span, span, steps):
        row[j] = value
        rows.append(row)
    return torch.stack(rows)


@moves.names("changes its inputs")
def writes_into_z(z, j, span, steps):
    rows = []
    for value in torch.linspace(-span, span, steps):
        z[j] = value
        rows.append(z.clone())
    return torch.stack(rows)


@moves.names("an end missing")
def by_arange(z, j, span, steps):
    out = z.repeat(steps, 1)
    for i in range(steps):
        out[i, j] = -span + i * 2 * span / steps
    return out


@moves.names("an end missing")
def both_ends_cut(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j] = torch.linspace(-span, span, steps + 2)[1:-1]
    return out


@moves.names("one row too many")
def steps_as_intervals(z, j, span, steps):
    out = z.repeat(steps + 1, 1)
    out[:, j] = torch.linspace(-span, span, steps + 1)
    return out


@moves.names("backwards")
def from_the_top(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j] = torch.linspace(span, -span, steps)
    return out


@moves.names("half of the span")
def whole_width(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j] = torch.linspace(-span / 2, span / 2, steps)
    return out


@moves.names("from zero")
def one_sided(z, j, span, steps):
    out = z.repeat(steps, 1)
    out[:, j] = torch.linspace(0, span, steps)
    return out


@moves.names("rows and columns exchanged")
def in_columns(z, j, span, steps):
    out = z[:, None].repeat(1, steps)
    out[j] = torch.linspace(-span, span, steps)
    return out


@moves.rejects("wrong type or shape")
def a_list(z, j, span, steps):
    return list(repeated(z, j, span, steps))


plane = Bench(sheet.draw_latent_space)


@plane.accepts
def by_meshgrid(decode, n, span):
    v = torch.linspace(-span, span, n)
    up, right = torch.meshgrid(v.flip(0), v, indexing="ij")
    x = torch.sigmoid(decode(torch.stack([right, up], dim=-1).reshape(-1, 2)))
    h, w = x.shape[-2:]
    return x.view(n, n, h, w).transpose(1, 2).reshape(n * h, n * w)


@plane.accepts
def picture_by_picture(decode, n, span):
    values = [-span + 2 * span * i / (n - 1) for i in range(n)]
    canvas = None
    for r in range(n):
        for c in range(n):
            x = decode(torch.tensor([[values[c], values[n - 1 - r]]])).sigmoid()[0, 0]
            h, w = x.shape
            if canvas is None:
                canvas = torch.zeros(n * h, n * w)
            canvas[r * h : (r + 1) * h, c * w : (c + 1) * w] = x
    return canvas


@plane.accepts
def rows_glued(decode, n, span):
    v = torch.linspace(-span, span, n)
    bands = []
    for y in reversed(v.tolist()):
        row = decode(torch.stack([v, torch.full((n,), y)], dim=1)).sigmoid()[:, 0]
        bands.append(torch.cat(list(row), dim=1))
    return torch.cat(bands)


@plane.accepts
def with_the_packages_grid(decode, n, span, *, channel=0):
    pixels = decode(latent.plane_grid(torch.linspace(-span, span, n).double())).sigmoid()[:, channel]
    return torch.einsum("rchw->rhcw", pixels.unflatten(0, (n, n))).flatten(2).flatten(0, 1)


@plane.accepts
def columns_then_turned(decode, n, span):
    v = torch.linspace(-span, span, n)
    x = 1 / (1 + (-decode(torch.cartesian_prod(v, v))).exp())
    x = x.reshape(n, n, *x.shape[2:]).transpose(0, 1).flip(0)
    return torch.vstack([torch.hstack(list(row)) for row in x])


def pasted(pixels, n):
    h, w = pixels.shape[-2:]
    return pixels.view(n, n, h, w).permute(0, 2, 1, 3).reshape(n * h, n * w)


def codes(first, second):
    return torch.stack([first.flatten(), second.flatten()], dim=1)


@plane.names("upside down")
def not_flipped(decode, n, span):
    v = torch.linspace(-span, span, n)
    right, down = torch.meshgrid(v, v, indexing="xy")
    return pasted(decode(codes(right, down)).sigmoid(), n)


@plane.names("axes exchanged")
def products_as_they_come(decode, n, span):
    v = torch.linspace(-span, span, n)
    return pasted(decode(torch.cartesian_prod(v, v)).sigmoid(), n)


@plane.names("axes exchanged")
def products_flipped(decode, n, span):
    v = torch.linspace(-span, span, n)
    return pasted(decode(torch.cartesian_prod(v.flip(0), v)).sigmoid(), n)


@plane.names("axes exchanged")
def permuted_the_grid_as_well(decode, n, span):
    x = decode(latent.plane_grid(torch.linspace(-span, span, n))).sigmoid()
    h, w = x.shape[-2:]
    return x.view(n, n, h, w).permute(1, 2, 0, 3).reshape(n * h, n * w)


@plane.names("left and right exchanged")
def the_whole_picture_mirrored(decode, n, span):
    v = torch.linspace(-span, span, n)
    right, up = torch.meshgrid(v.flip(0), v.flip(0), indexing="xy")
    return pasted(decode(codes(right, up)).sigmoid(), n)


@plane.names("turned by 180 degrees")
def the_wrong_one_flipped(decode, n, span):
    v = torch.linspace(-span, span, n)
    right, up = torch.meshgrid(v.flip(0), v, indexing="xy")
    return pasted(decode(codes(right, up)).sigmoid(), n)


@plane.names("logits shown")
def no_sigmoid(decode, n, span):
    return pasted(decode(latent.plane_grid(torch.linspace(-span, span, n))), n)


@plane.names("squashed twice")
def two_sigmoids(decode, n, span):
    return pasted(decode(latent.plane_grid(torch.linspace(-span, span, n))).sigmoid(), n).sigmoid()


@plane.names("clamped instead of squashed")
def clipped(decode, n, span):
    return pasted(decode(latent.plane_grid(torch.linspace(-span, span, n))).clip(0, 1), n)


@plane.names("pixels scrambled")
def only_reshaped(decode, n, span):
    x = decode(latent.plane_grid(torch.linspace(-span, span, n))).sigmoid()
    return x.reshape(n * x.shape[2], n * x.shape[3])


@plane.names("pixels scrambled")
def pixels_before_places(decode, n, span):
    x = decode(latent.plane_grid(torch.linspace(-span, span, n))).sigmoid()
    h, w = x.shape[2:]
    return x.view(n, n, h, w).permute(2, 0, 3, 1).reshape(n * h, -1)


@plane.names("pictures upside down")
def the_canvas_turned(decode, n, span):
    return not_flipped(decode, n, span).flipud()


@plane.names("pictures on their side")
def width_before_height(decode, n, span):
    x = decode(latent.plane_grid(torch.linspace(-span, span, n))).sigmoid()
    return pasted(x.permute(0, 1, 3, 2).contiguous(), n)


@plane.names("an end missing")
def steps_of_a_cell(decode, n, span):
    v = torch.tensor([-span + 2 * span / n * i for i in range(n)])
    return pasted(decode(latent.plane_grid(v)).sigmoid(), n)


@plane.names("an end missing")
def middles_of_cells(decode, n, span):
    v = (torch.arange(n) - (n - 1) / 2) * 2 * span / n
    return pasted(decode(latent.plane_grid(v)).sigmoid(), n)


@plane.names("one value too many")
def n_intervals(decode, n, span):
    v = torch.linspace(-span, span, n + 1)
    return pasted(decode(latent.plane_grid(v)).sigmoid(), n + 1)


@plane.names("the prior's quantiles")
def quantiles(decode, n, span):
    return pasted(decode(latent.plane_grid(latent.prior_quantiles(n))).sigmoid(), n)


@plane.names("span ignored")
def three_sigma(decode, n, span):
    return pasted(decode(latent.plane_grid(torch.linspace(-3, 3, n))).sigmoid(), n)


@plane.names("half of the span")
def side_of_one_span(decode, n, span):
    return pasted(decode(latent.plane_grid(torch.linspace(-0.5, 0.5, n) * span)).sigmoid(), n)


@plane.names("from zero")
def first_quadrant(decode, n, span):
    return pasted(decode(latent.plane_grid(torch.linspace(0, span, n))).sigmoid(), n)


@plane.rejects("wrong type or shape")
def a_batch_of_pictures(decode, n, span):
    return decode(latent.plane_grid(torch.linspace(-span, span, n))).sigmoid()


walk = Bench(sheet.interpolate)


@walk.accepts
def both_at_once(encode, decode, x0, x1, steps):
    a, b = encode(torch.stack([x0, x1]))[0]
    t = torch.linspace(0, 1, steps).unsqueeze(1)
    return torch.sigmoid(decode((1 - t) * a + t * b))


@walk.accepts
def one_after_the_other(encode, decode, x0, x1, steps):
    mu0, _ = encode(x0.unsqueeze(0))
    mu1, _ = encode(x1.unsqueeze(0))
    pictures = []
    for i in range(steps):
        z = mu0 + i / (steps - 1) * (mu1 - mu0)
        pictures.append(decode(z).sigmoid().squeeze(0))
    return torch.stack(pictures)


@walk.accepts
def with_the_packages_line(encode, decode, x0, x1, steps, line=latent.lerp):
    ends = [encode(x[None])[0][0] for x in (x0, x1)]
    return decode(line(*ends, torch.linspace(0, 1, steps))).sigmoid_()


@walk.accepts
@torch.no_grad()
def in_double(encode, decode, x0, x1, steps):
    (a, _), (b, _) = encode(x0[None].double()), encode(x1[None].double())
    w = torch.linspace(0, 1, steps, dtype=torch.float64)
    z = torch.einsum("t,d->td", 1 - w, a[0].double()) + torch.einsum("t,d->td", w, b[0].double())
    return 1 / (1 + torch.exp(-decode(z).double()))


@walk.accepts
def by_torchs_lerp(encode, decode, x0, x1, steps):
    mu = encode(torch.stack((x0, x1)))[0]
    weight = torch.arange(steps)[:, None] / (steps - 1)
    return decode(torch.lerp(mu[:1], mu[1:], weight)).sigmoid()


def means(encode, x0, x1):
    return encode(torch.stack([x0, x1]))[0]


@walk.names("pixels mixed")
def cross_fade(encode, decode, x0, x1, steps):
    t = torch.linspace(0, 1, steps)[:, None, None, None]
    return (1 - t) * x0 + t * x1


@walk.names("mixed before the encoder")
def fade_rebuilt(encode, decode, x0, x1, steps):
    t = torch.linspace(0, 1, steps)[:, None, None, None]
    return decode(encode((1 - t) * x0 + t * x1)[0]).sigmoid()


@walk.names("reconstructions mixed")
def fade_of_reconstructions(encode, decode, x0, x1, steps):
    a, b = decode(means(encode, x0, x1)).sigmoid()
    return torch.stack([(1 - t) * a + t * b for t in torch.linspace(0, 1, steps)])


@walk.names("reconstructions mixed")
def fade_of_logits(encode, decode, x0, x1, steps):
    a, b = decode(means(encode, x0, x1))
    return torch.stack([torch.lerp(a, b, t) for t in torch.linspace(0, 1, steps)]).sigmoid()


@walk.names("backwards")
def weights_exchanged(encode, decode, x0, x1, steps):
    a, b = means(encode, x0, x1)
    t = torch.linspace(0, 1, steps)[:, None]
    return decode(t * a + (1 - t) * b).sigmoid()


@walk.names("an end missing")
def never_arrives(encode, decode, x0, x1, steps):
    a, b = means(encode, x0, x1)
    return torch.cat([decode((a + i / steps * (b - a))[None]).sigmoid() for i in range(steps)])


@walk.names("an end missing")
def inner_points(encode, decode, x0, x1, steps):
    a, b = means(encode, x0, x1)
    t = torch.linspace(0, 1, steps + 2)[1:-1, None]
    return decode((1 - t) * a + t * b).sigmoid()


@walk.names("too many pictures")
def one_for_each_interval_and_one(encode, decode, x0, x1, steps):
    a, b = means(encode, x0, x1)
    return torch.cat([decode(torch.lerp(a, b, i / steps)[None]) for i in range(steps + 1)]).sigmoid()


@walk.names("originals at the ends")
def images_kept(encode, decode, x0, x1, steps):
    a, b = means(encode, x0, x1)
    t = torch.linspace(0, 1, steps)[1:-1, None]
    return torch.cat([x0[None], decode((1 - t) * a + t * b).sigmoid(), x1[None]])


@walk.names("log-variances taken for codes")
def second_output(encode, decode, x0, x1, steps):
    a, b = encode(torch.stack([x0, x1]))[-1]
    t = torch.linspace(0, 1, steps)[:, None]
    return decode((1 - t) * a + t * b).sigmoid()


@walk.names("sampled codes")
def reparameterised(encode, decode, x0, x1, steps):
    mu, logvar = encode(torch.stack([x0, x1]))
    a, b = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
    t = torch.linspace(0, 1, steps)[:, None]
    return decode((1 - t) * a + t * b).sigmoid()


@walk.names("σ added to the code")
def without_eps(encode, decode, x0, x1, steps):
    mu, logvar = encode(torch.stack([x0, x1]))
    a, b = mu + logvar.exp().sqrt()
    t = torch.linspace(0, 1, steps)[:, None]
    return decode((1 - t) * a + t * b).sigmoid()


@walk.names("the arc instead of the line")
def on_the_arc(encode, decode, x0, x1, steps):
    return decode(latent.slerp(*means(encode, x0, x1), torch.linspace(0, 1, steps))).sigmoid()


@walk.names("logits shown")
def unsquashed(encode, decode, x0, x1, steps):
    return decode(latent.lerp(*means(encode, x0, x1), torch.linspace(0, 1, steps)))


@walk.names("squashed twice")
def sigmoid_and_sigmoid(encode, decode, x0, x1, steps):
    return decode(latent.lerp(*means(encode, x0, x1), torch.linspace(0, 1, steps))).sigmoid().sigmoid()


@walk.names("clamped instead of squashed")
def cut_off(encode, decode, x0, x1, steps):
    return decode(latent.lerp(*means(encode, x0, x1), torch.linspace(0, 1, steps))).clamp(0, 1)


@walk.rejects("raised")
def no_batch_dimension(encode, decode, x0, x1, steps):
    (a, _), (b, _) = encode(x0), encode(x1)
    return decode(latent.lerp(a, b, torch.linspace(0, 1, steps))).sigmoid()


@walk.rejects("wrong")
def not_a_mixture(encode, decode, x0, x1, steps):
    a, b = means(encode, x0, x1)
    return decode(a + torch.linspace(0, 1, steps)[:, None] * b).sigmoid()


arcs = Bench(sheet.slerp)


@arcs.accepts
def the_packages(z0, z1, t):
    return latent.slerp(z0, z1, t)


@arcs.accepts
def with_a_threshold(z0, z1, t, threshold=0.9999995):
    n0, n1 = torch.linalg.norm(z0), torch.linalg.norm(z1)
    cos = (z0 / n0) @ (z1 / n1)
    if cos > threshold:
        return (1 - t)[:, None] * z0 + t[:, None] * z1
    omega = torch.arccos(cos)
    s = torch.sin(omega)
    w0, w1 = torch.sin((1 - t) * omega) / s, torch.sin(t * omega) / s
    direction = torch.outer(w0, z0 / n0) + torch.outer(w1, z1 / n1)
    return direction * ((1 - t) * n0 + t * n1)[:, None]


@arcs.accepts
def one_row_at_a_time(z0, z1, t):
    u0, u1 = F.normalize(z0, dim=0), F.normalize(z1, dim=0)
    omega = math.acos(max(-1.0, min(1.0, float(u0 @ u1))))
    rows = []
    for s in t.tolist():
        if omega < 1e-3:
            rows.append((1 - s) * z0 + s * z1)
            continue
        turned = (math.sin((1 - s) * omega) * u0 + math.sin(s * omega) * u1) / math.sin(omega)
        rows.append(((1 - s) * z0.norm() + s * z1.norm()) * turned)
    return torch.stack(rows)


@arcs.accepts
def in_the_plane_of_both(z0, z1, t):
    """Gram and Schmidt: a unit vector at right angles to z0, then cos and sin."""
    a, b, t = z0.double(), z1.double(), t.double()
    u = a / a.norm()
    rest = b - (b @ u) * u
    angle = torch.atan2(rest.norm(), b @ u)
    v = rest / rest.norm().clamp_min(1e-30)
    norm = a.norm() + t * (b.norm() - a.norm())
    return norm[:, None] * (torch.cos(t * angle)[:, None] * u + torch.sin(t * angle)[:, None] * v)


@arcs.accepts
def clamped_a_little_below_one(z0, z1, t):
    u0, u1 = z0 / z0.norm(), z1 / z1.norm()
    omega = torch.acos((u0 @ u1).clamp(-1 + 1e-6, 1 - 1e-6))
    weights = torch.stack([torch.sin((1 - t) * omega), torch.sin(t * omega)]) / omega.sin()
    norms = torch.lerp(z0.norm(), z1.norm(), t)
    return torch.einsum("kt,kd,t->td", weights, torch.stack([u0, u1]), norms)


@arcs.accepts
def where_it_is_a_number(z0, z1, t):
    arc = unit_arc(z0, z1, t) * norms(z0, z1, t)
    line = torch.lerp(z0, z1, t[:, None])
    return torch.where(arc.isfinite(), arc, line)


def norms(z0, z1, t):
    return ((1 - t) * z0.norm() + t * z1.norm())[:, None]


def angle_between(z0, z1):
    return torch.acos((z0 @ z1 / (z0.norm() * z1.norm())).clamp(-1, 1))


def weighted(a, b, t, omega):
    return (torch.sin((1 - t) * omega)[:, None] * a + torch.sin(t * omega)[:, None] * b) / torch.sin(omega)


def unit_arc(z0, z1, t):
    return weighted(z0 / z0.norm(), z1 / z1.norm(), t, angle_between(z0, z1))


@arcs.names("NaN for ends of one direction")
def as_in_the_lesson(z0, z1, t):
    u0, u1 = z0 / z0.norm(), z1 / z1.norm()
    return norms(z0, z1, t) * weighted(u0, u1, t, torch.acos(u0 @ u1))


@arcs.names("NaN for ends of one direction")
def only_clamped(z0, z1, t):
    return norms(z0, z1, t) * unit_arc(z0, z1, t)


@arcs.names("NaN for ends of one direction")
def only_where_equal(z0, z1, t):
    if torch.equal(z0, z1):
        return z0.repeat(len(t), 1)
    return norms(z0, z1, t) * unit_arc(z0, z1, t)


@arcs.names("NaN for ends of one direction")
def never_clamped(z0, z1, t):
    u0, u1 = z0 / z0.norm(), z1 / z1.norm()
    omega = torch.acos(u0 @ u1)  # NaN where rounding makes the cosine larger than 1
    if omega < 1e-3:
        return torch.lerp(z0, z1, t[:, None])
    return norms(z0, z1, t) * weighted(u0, u1, t, omega)


def straight_below(z0, z1, t, cosine):
    if torch.cos(angle_between(z0, z1)) > cosine:
        return torch.lerp(z0, z1, t[:, None])
    return norms(z0, z1, t) * unit_arc(z0, z1, t)


@arcs.names("the straight line too early")
def straight_below_25_degrees(z0, z1, t):
    return straight_below(z0, z1, t, 0.9)


@arcs.names("the straight line too early")
def straight_below_half_a_radian(z0, z1, t):
    return straight_below(z0, z1, t, math.cos(0.5 + 1e-3))


@arcs.accepts
def straight_where_many_libraries_are(z0, z1, t):
    return straight_below(z0, z1, t, 0.9995)


@arcs.names("zero for ends of one direction")
def something_small_below(z0, z1, t):
    u0, u1 = z0 / z0.norm(), z1 / z1.norm()
    omega = angle_between(z0, z1)
    sines = torch.sin((1 - t) * omega)[:, None] * u0 + torch.sin(t * omega)[:, None] * u1
    return norms(z0, z1, t) * sines / (torch.sin(omega) + 1e-8)


@arcs.names("one end for the whole line")
def stays_at_the_start(z0, z1, t):
    omega = angle_between(z0, z1)
    if omega.sin() < 1e-3:
        return z0.repeat(len(t), 1)
    return norms(z0, z1, t) * unit_arc(z0, z1, t)


@arcs.rejects("wrong type or shape")
def a_single_latent_there(z0, z1, t):
    if angle_between(z0, z1) < 1e-3:
        return z0
    return norms(z0, z1, t) * unit_arc(z0, z1, t)


@arcs.names("the straight line")
def lerp(z0, z1, t):
    return (1 - t)[:, None] * z0 + t[:, None] * z1


@arcs.names("a straight line, stretched")
def normalised_lerp(z0, z1, t):
    line = (1 - t)[:, None] * z0 / z0.norm() + t[:, None] * z1 / z1.norm()
    return norms(z0, z1, t) * line / line.norm(dim=1, keepdim=True)


@arcs.names("angle of unnormalised vectors")
def dot_as_cosine(z0, z1, t):
    omega = torch.acos(z0 @ z1)
    return norms(z0, z1, t) * weighted(z0 / z0.norm(), z1 / z1.norm(), t, omega)


@arcs.names("angle of unnormalised vectors")
def dot_as_cosine_and_whole_vectors(z0, z1, t):
    return weighted(z0, z1, t, torch.acos((z0 @ z1).clamp(-1, 1)))


@arcs.names("weights on the whole vectors")
def as_often_published(z0, z1, t):
    omega = angle_between(z0, z1)
    if omega.sin() < 1e-4:
        return lerp(z0, z1, t)
    return weighted(z0, z1, t, omega)


@arcs.names("everything of length one")
def on_the_unit_sphere(z0, z1, t):
    return unit_arc(z0, z1, t)


@arcs.names("norm of one end")
def keeps_the_first_norm(z0, z1, t):
    return z0.norm() * unit_arc(z0, z1, t)


@arcs.names("norms exchanged")
def norms_the_other_way(z0, z1, t):
    return norms(z0, z1, 1 - t) * unit_arc(z0, z1, t)


@arcs.names("ends exchanged")
def from_the_second(z0, z1, t):
    return norms(z0, z1, 1 - t) * unit_arc(z0, z1, 1 - t)


@arcs.names("directions exchanged")
def weights_the_other_way(z0, z1, t):
    return norms(z0, z1, t) * unit_arc(z1, z0, t)


@arcs.names("sin t for sin(t·Ω)")
def sine_of_t(z0, z1, t):
    u0, u1 = z0 / z0.norm(), z1 / z1.norm()
    direction = torch.sin(1 - t)[:, None] * u0 + torch.sin(t)[:, None] * u1
    return norms(z0, z1, t) * direction / torch.sin(angle_between(z0, z1))


@arcs.names("degrees")
def in_degrees(z0, z1, t):
    omega = angle_between(z0, z1) * 180 / math.pi
    return norms(z0, z1, t) * weighted(z0 / z0.norm(), z1 / z1.norm(), t, omega)


@arcs.names("not divided by the sine")
def no_division(z0, z1, t):
    return only_clamped(z0, z1, t) * torch.sin(angle_between(z0, z1))


@arcs.names("divided by the angle")
def over_omega(z0, z1, t):
    omega = angle_between(z0, z1)
    return only_clamped(z0, z1, t) * torch.sin(omega) / omega


@arcs.names("cosine taken for the angle")
def forgot_acos(z0, z1, t):
    u0, u1 = z0 / z0.norm(), z1 / z1.norm()
    return norms(z0, z1, t) * weighted(u0, u1, t, u0 @ u1)


@arcs.names("sine of the angle taken for the angle")
def asin_for_acos(z0, z1, t):
    u0, u1 = z0 / z0.norm(), z1 / z1.norm()
    return norms(z0, z1, t) * weighted(u0, u1, t, torch.asin(u0 @ u1))


ruler = Bench(sheet.psnr)


@ruler.accepts
def by_the_formula(x, y):
    error = ((x - y) ** 2).mean(dim=(1, 2, 3))
    return 10 * torch.log10(1 / error)


@ruler.accepts
def from_the_root(x, y, data_range=1.0):
    rmse = (x - y).pow(2).flatten(1).mean(1).sqrt()
    return 20 * torch.log10(data_range / rmse)


@ruler.accepts
def image_by_image(x, y):
    return torch.tensor([-10 * math.log10(F.mse_loss(a, b)) for a, b in zip(x, y, strict=True)])


@ruler.accepts
def packages_own(x, y):
    return metrics.psnr(x, y)


@ruler.accepts
def in_double_with_a_small_number(x, y):
    difference = x.double().sub(y.double())
    mse = torch.einsum("bchw,bchw->b", difference, difference) / difference[0].numel()
    return -10 * torch.log(mse + 1e-12) / math.log(10)


@ruler.names("both faults still there")
def unchanged(x, y):
    mse = ((x - y) ** 2).mean()
    return 10 * torch.log10(2**2 / mse)


@ruler.names("data range 2")
def one_fault_left(x, y):
    mse = ((x - y) ** 2).mean(dim=(1, 2, 3))
    return 10 * torch.log10(2**2 / mse)


@ruler.names("averaged over the batch first")
def the_other_fault_left(x, y):
    mse = ((x - y) ** 2).mean()
    return 10 * torch.log10(1 / mse)


@ruler.names("averaged over the batch first")
def the_same_for_all(x, y):
    return torch.full((len(x),), -10 * math.log10(F.mse_loss(x, y)))


@ruler.names("averaged over the batch at the end")
def averaged(x, y):
    return by_the_formula(x, y).mean()


@ruler.names("range not squared")
def a_square_forgotten(x, y):
    return 10 * torch.log10(2 / ((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("data range 255")
def of_whole_numbers(x, y):
    return 20 * math.log10(255) - 10 * torch.log10((x - y).square().mean((1, 2, 3)))


@ruler.names("range taken from the images")
def largest_pixel(x, y):
    return 10 * torch.log10(x.max() ** 2 / ((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("range taken from the images")
def largest_pixel_of_each(x, y):
    peak = y.flatten(1).max(dim=1).values
    return 20 * torch.log10(peak / ((x - y) ** 2).mean(dim=(1, 2, 3)).sqrt())


@ruler.names("range taken from the images")
def from_darkest_to_brightest(x, y):
    return 10 * torch.log10((x.max() - x.min()) ** 2 / ((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("natural logarithm")
def by_log(x, y):
    return 10 * torch.log(1 / ((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("logarithm to base 2")
def by_log2(x, y):
    return 10 * torch.log2(1 / ((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("factor 20 on the MSE")
def twenty(x, y):
    return 20 * torch.log10(1 / ((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("factor 10 on the root")
def ten_on_the_root(x, y):
    return 10 * torch.log10(1 / ((x - y) ** 2).mean(dim=(1, 2, 3)).sqrt())


@ruler.names("factor 10 left out")
def in_bels(x, y):
    return torch.log10(1 / ((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("sign flipped")
def upside_down_fraction(x, y):
    return 10 * torch.log10(((x - y) ** 2).mean(dim=(1, 2, 3)))


@ruler.names("sum of squares")
def summed(x, y):
    return 10 * torch.log10(1 / ((x - y) ** 2).sum(dim=(1, 2, 3)))


@ruler.names("absolute errors")
def l1(x, y):
    return 10 * torch.log10(1 / (x - y).abs().mean(dim=(1, 2, 3)))


@ruler.names("logarithm before the mean")
def map_of_decibels(x, y):
    return (10 * torch.log10(1 / (x - y) ** 2)).mean(dim=(1, 2, 3))


@ruler.names("the MSE itself")
def no_decibels(x, y):
    return ((x - y) ** 2).flatten(1).mean(1)


@ruler.names("channels not averaged")
def for_each_channel(x, y):
    return 10 * torch.log10(1 / ((x - y) ** 2).mean(dim=(2, 3)))


principal = Bench(sheet.pca_plane)


@principal.accepts
def by_svd(codes):
    centred = codes - codes.mean(0)
    _, _, vh = torch.linalg.svd(centred, full_matrices=False)
    return centred @ vh[:2].T


@principal.accepts
def u_times_s(codes):
    u, s, _ = torch.linalg.svd(codes - codes.mean(dim=0, keepdim=True))
    return u[:, :2] * s[:2]


@principal.accepts
def by_covariance(codes):
    values, vectors = torch.linalg.eigh(torch.cov(codes.T))
    best = values.argsort(descending=True)[:2]
    return (codes - codes.mean(dim=0)) @ vectors[:, best]


@principal.accepts
def by_low_rank(codes, q=2):
    _, _, v = torch.pca_lowrank(codes, q=q)
    return -(codes - codes.mean(0)) @ v[:, :2]


@principal.accepts
def with_the_packages_plane(codes):
    return latent.principal_plane(codes).project(codes)


@principal.accepts
def by_power_iteration(codes):
    x = codes.double() - codes.double().mean(0)
    covariance = x.T @ x / len(x)
    columns = []
    for _ in range(2):
        v = torch.linspace(1, 2, x.shape[1]).double()
        for _ in range(200):
            v = F.normalize(covariance @ v, dim=0)
        columns.append(x @ v)
        covariance = covariance - (v @ covariance @ v) * torch.outer(v, v)
    return torch.stack(columns, dim=1)


@principal.accepts
def through_numpy_eig(codes):
    x = codes.numpy() - codes.numpy().mean(axis=0)
    values, vectors = np.linalg.eig(x.T @ x)
    return x @ vectors.real[:, np.argsort(-values.real)[:2]]


@principal.names("not centred")
def svd_as_it_is(codes):
    return codes @ torch.linalg.svd(codes, full_matrices=False)[2][:2].T


@principal.names("not centred")
def centred_too_late(codes):
    _, _, vh = torch.linalg.svd(codes, full_matrices=False)
    return (codes - codes.mean(0)) @ vh[:2].T


@principal.names("mean not subtracted from the codes")
def projected_as_they_are(codes):
    _, _, vh = torch.linalg.svd(codes - codes.mean(0), full_matrices=False)
    return codes @ vh[:2].T


@principal.names("mean over the wrong axis")
def row_means(codes):
    x = codes - codes.mean(dim=1, keepdim=True)
    return x @ torch.linalg.svd(x, full_matrices=False)[2][:2].T


@principal.names("smallest directions")
def eigh_taken_from_the_front(codes):
    x = codes - codes.mean(0)
    return x @ torch.linalg.eigh(x.T @ x)[1][:, :2]


@principal.names("smallest directions")
def svd_taken_from_the_back(codes):
    x = codes - codes.mean(0)
    return x @ torch.linalg.svd(x)[2][-2:].T


@principal.names("second direction first")
def ascending(codes):
    x = codes - codes.mean(0)
    return x @ torch.linalg.eigh(torch.cov(x.T))[1][:, -2:]


@principal.names("rows and columns of V exchanged")
def vh_taken_for_v(codes):
    x = codes - codes.mean(0)
    _, _, v = torch.linalg.svd(x, full_matrices=False)
    return x @ v[:, :2]


@principal.names("whitened")
def u_alone(codes):
    return torch.linalg.svd(codes - codes.mean(0), full_matrices=False)[0][:, :2]


@principal.names("whitened")
def unit_variance(codes):
    points = by_svd(codes)
    return points / points.std(dim=0)


@principal.names("multiplied by the singular values again")
def s_once_more(codes):
    x = codes - codes.mean(0)
    _, s, vh = torch.linalg.svd(x, full_matrices=False)
    return x @ vh[:2].T * s[:2]


@principal.names("latents standardised first")
def correlations(codes):
    return by_svd((codes - codes.mean(0)) / codes.std(0))


@principal.names("latents instead of directions")
def two_columns(codes):
    return codes[:, :2] - codes[:, :2].mean(0)


@principal.names("latents instead of directions")
def two_widest_columns(codes):
    best = codes.var(0).topk(2).indices
    return (codes - codes.mean(0))[:, best]


@principal.names("every code of length one")
def unit_codes(codes):
    return by_svd(codes / codes.norm(dim=1, keepdim=True))


@principal.names("directions returned")
def the_directions(codes):
    return torch.linalg.svd(codes - codes.mean(0), full_matrices=False)[2][:2]


@principal.names("directions returned")
def the_directions_in_columns(codes):
    return torch.linalg.svd(codes - codes.mean(0), full_matrices=False)[2][:2].T


@principal.names("rows and columns exchanged")
def coordinates_in_rows(codes):
    return by_svd(codes).T


@principal.rejects("wrong type or shape")
def all_coordinates(codes):
    x = codes - codes.mean(0)
    return x @ torch.linalg.svd(x, full_matrices=False)[2].T


@principal.rejects("wrong")
def one_direction_twice(codes):
    return by_svd(codes)[:, [0, 0]]

"""What each subcommand of `vae-course` does; the words of its command line are in `vae_course.cli`."""

import argparse
import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vae_course import face_latents, keyed, metrics, models, runtime
from vae_course.checkpoints import CheckpointError
from vae_course.data import DataError, cache, celeba, mnist
from vae_course.data import faces as drawn
from vae_course.data.celeba import Faces, load_faces
from vae_course.generation import frechet_distance
from vae_course.models.attributes import AttributeClassifier, train_classifier
from vae_course.recipes import Recipe, objective, recipe
from vae_course.weights import WeightsError, load_run

EXPLAINED = (DataError, CheckpointError, WeightsError, FloatingPointError, ValueError, OSError)
RUNS = Path("runs")  # in the current folder
BATCH = 100
AT_MOST = 10_000  # training faces from which a direction is computed
MOVED = 1000  # validation faces, at most, that a judge looks at
JUDGE_SEED = 20_000  # far from the seeds of runs: a judge shares no random choice with what it judges


# ---- data ----


def data(args: argparse.Namespace) -> None:
    """Say what is here; or draw faces, or fetch CelebA."""
    if args.draw:
        drawn.write_celeba(args.draw, args.count)
        print(f"{args.count:,} drawn faces in {args.draw}: vae-course train RECIPE --data {args.draw}")
        return
    if args.download:
        print(f"CelebA is in {celeba.download_celeba()}")
        return
    if args.data is None:
        print(_digits())
    listing = _listing(args)
    if listing is None:
        print(f"faces: no CelebA here, so {celeba.DRAWN:,} drawn ones are used. {celeba.WAYS}")
    else:
        known = f", {len(listing.attribute_names)} attributes" if listing.attribute_names else ""
        print(f"faces: {listing.words}: {len(listing.names):,} pictures{known}, in {listing.root}")
    there = cache.folder()
    size = sum(path.stat().st_size for path in there.rglob("*") if path.is_file())
    print(f"cache: {size / 1e9:.2f} GB in {there}")
    if args.verify and listing is not None:
        _verify(listing)


def _digits() -> str:
    """What `load_digits` would find without a network, every byte of it held against its checksum."""
    named = os.environ.get("VAE_COURSE_DATA")
    root = Path(named).expanduser() if named else cache.folder()
    if not mnist.is_there(root):
        return f"digits: no MNIST in {root}" + ("" if named else ": lessons download it, or draw digits")
    train, _, test, _ = mnist.read(root)
    return f"digits: MNIST, {len(train):,} for training and {len(test):,} for testing, in {root}"


def _listing(args: argparse.Namespace) -> celeba.Listing | None:
    """The pictures that training would take, none of them opened; None if it would draw them."""
    named = _where(args)
    try:
        return celeba.list_pictures(named.get("source", "celeba"), named.get("folder"))
    except DataError:
        if named or any(must for _, _, must in celeba.places()):
            raise
        return None


def _verify(listing: celeba.Listing) -> None:
    """Decode every picture. Raises DataError after naming the damaged ones, if there are any."""
    results = celeba.decode_each(listing.root, listing.names, 64, None)
    damaged = [(name, each) for name, each in zip(listing.names, results, strict=True) if isinstance(each, str)]
    for name, reason in damaged:
        print(f"damaged: {name} ({reason})")
    if damaged:
        raise DataError(f"{len(damaged):,} of {len(listing.names):,} pictures are damaged; training leaves them out")
    print(f"all {len(listing.names):,} pictures can be decoded")


# ---- training ----


def train(args: argparse.Namespace) -> None:
    """Train a recipe in a folder of its own, or go on in one."""
    from vae_course import run  # imported here: nothing else needs accelerate

    if args.out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("several processes have to agree on one folder for the run: name it with --out")
    folder = args.out or (_newest(args.recipe) if args.resume else None)
    changes = {name: getattr(args, name) for name in ("epochs", "batch_size", "lr", "clip", "size")}
    plan = recipe(args.recipe, **{name: value for name, value in changes.items() if value is not None})
    if args.resume and folder is not None and _is_run(folder):
        _require_same(folder, plan, args)
        _go_on(folder, args)
        return
    faces = load_faces(plan.size, split=plan.split, count=plan.images, seed=args.seed, **_where(args))
    folder = folder or _next(args.recipe)
    print(f"run: {plan.name} in {folder}")
    run.train(
        plan,
        faces,
        folder,
        seed=args.seed,
        steps=args.steps,
        precision=args.precision,
        accumulate=args.accumulate or 1,
        checkpoint_every=args.checkpoint_every,
        keep=args.keep,
        tracker=args.tracker,
        minutes=args.minutes,
        cpu=args.cpu,
    )


def resume(args: argparse.Namespace) -> None:
    """Go on with a run from its newest whole checkpoint."""
    _go_on(_run(args), args)


def _require_same(folder: Path, plan: Recipe, args: argparse.Namespace) -> None:
    """Raise ValueError unless the run in folder was started as the command line says: a run keeps its plan."""
    noted = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    now = {**json.loads(json.dumps(plan.as_dict())), "seed": args.seed, "steps": args.steps or noted["steps"]}
    then = {**noted["recipe"], "seed": noted["seed"], "steps": noted["steps"], "accumulate": noted["accumulate"]}
    now["accumulate"] = args.accumulate or noted["accumulate"]
    if differing := [f"{name} {then.get(name)}, now {now[name]}" for name in now if then.get(name) != now[name]]:
        raise ValueError(f"the run in {folder} was started otherwise ({'; '.join(differing)}): a run keeps its plan")


def _go_on(folder: Path, args: argparse.Namespace) -> None:
    from vae_course import run

    print(f"run: {folder}")
    faces = _faces(args, folder, load_run(folder)[1]) if args.data or args.source else None
    run.resume(folder, faces, minutes=args.minutes, cpu=args.cpu)


# ---- looking at a run ----


def evaluate(args: argparse.Namespace) -> None:
    """The recipe's losses and the reconstructions' likeness on validation faces, and the samples' Fréchet distance."""
    model, plan, done, run = _trained(args)
    faces = _faces(args, run, plan)
    chosen = _spread(_validation(faces), args.n)
    print(f"{run.name}, step {done['step']:,}, {len(chosen):,} of {len(faces.splits['valid']):,} validation faces")
    for name, value in _losses(model, plan, faces, chosen, run, args.seed).items():
        print(f"{name:<12}{value:.5g}{' nats' if name == 'kl' else ''}")
    for name, value in _likeness(model, faces, chosen).items():
        print(f"{name:<12}{value:.4g}{' dB' if name == 'PSNR' else ''}")
    print(_frechet_words(model, faces, chosen, args.seed))


def _frechet_words(model: Any, faces: Faces, chosen: np.ndarray, seed: int) -> str:
    """Fréchet distance of as many samples from the chosen faces, and what it compares with; or why there is none."""
    if faces.attributes is None or faces.size % 16:
        why = "these have none" if faces.attributes is None else "it wants sizes that are multiples of 16"
        return f"Fréchet distance: none, because its features come from a classifier of attributes, and {why}"
    judge, n = _judge(faces), len(chosen)
    real = judge.features(_images(faces, chosen))
    if n <= real.shape[1]:
        return f"Fréchet distance: none, because {real.shape[1]} features want more faces than {n}"
    training = _spread(faces.splits["train"], n)
    of_samples = frechet_distance(judge.features(_samples(model, n, seed)), real)
    of_training = frechet_distance(judge.features(_images(faces, training)), real)
    width = real.shape[1]
    return (
        f"Fréchet distance from {n:,} faces: {of_samples:.4g} for {n:,} samples, and {of_training:.4g} for "
        f"{len(training):,} training faces\n(on {width} features of our own attribute classifier: it compares with "
        "other runs on these faces at equal numbers, not with a published FID)"
    )


def sample(args: argparse.Namespace) -> None:
    """Faces from the prior, as one picture."""
    model, _, done, run = _trained(args)
    images = _samples(model, args.n, args.seed)
    path = face_latents.save_grid(images, args.output, math.ceil(math.sqrt(args.n)))
    print(f"{args.n} samples of {run.name}, step {done['step']:,}, seed {args.seed}: {path}")


def reconstruct(args: argparse.Namespace) -> None:
    """Validation faces above their reconstructions."""
    model, plan, done, run = _trained(args)
    faces = _faces(args, run, plan)
    chosen = _spread(_validation(faces), args.n)
    columns = min(len(chosen), 8)
    rows, captions = [], []
    for part in np.split(chosen, range(columns, len(chosen), columns)):
        x = faces.batch(part)
        rows += [_filled(x, columns), _filled(_decoded(model, face_latents.codes(model, faces, part)), columns)]
        captions += ["faces of the validation split", "their reconstructions"]
    path = face_latents.save_grid(torch.cat(rows), args.output, columns, captions)
    likeness = _likeness(model, faces, chosen)
    words = ", ".join(f"{name} {value:.4g}" for name, value in likeness.items())
    print(f"{len(chosen)} reconstructions of {run.name}, step {done['step']:,}, {words}: {path}")


def interpolate(args: argparse.Namespace) -> None:
    """The way from one face's code to another's, on the straight line and on the arc."""
    model, plan, _, run = _trained(args)
    faces = _faces(args, run, plan)
    first, second = _spread(_validation(faces), 2)[[0, -1]]
    ends = np.array([_place(faces, args.start, first), _place(faces, args.end, second)])
    a, b = face_latents.codes(model, faces, ends)
    face_a, face_b = faces.batch(ends).split(1)
    rows = []
    for way in ("lerp", "slerp"):
        rows += [face_a, _decoded(model, face_latents.interpolate(a, b, args.steps, way=way)), face_b]
    names = f"{faces.names[ends[0]]} to {faces.names[ends[1]]}"
    captions = [f"{names}: the straight line between their codes", "the arc, which keeps the norm"]
    path = face_latents.save_grid(torch.cat(rows), args.output, args.steps + 2, captions)
    print(f"{names}, {args.steps} pictures between the two faces themselves: {path}")


def attributes(args: argparse.Namespace) -> None:
    """List the attributes; or add one to faces that lack it, beside a random direction if asked."""
    if args.add is None:
        _list_attributes(args)
        return
    model, plan, _, run = _trained(args)
    faces = _faces(args, run, plan)
    _require_attributes(faces)
    labels = faces.attribute(args.add)  # (N,), of all faces
    known = _spread(faces.splits["train"], AT_MOST)
    d = face_latents.direction(face_latents.codes(model, faces, known), labels[known])
    ways = {f"{args.amount:+g} {args.add}": d}
    if args.control:
        generator = torch.Generator().manual_seed(args.seed)
        ways[f"{args.amount:+g} random direction of equal length"] = face_latents.random_direction(d, generator)

    adding = args.amount >= 0  # else it is taken away, from faces that have it
    others = _validation(faces)
    others = _spread(others[labels[others].numpy() != adding], MOVED)
    if len(others) == 0:
        raise ValueError(f"no validation face {'lacks' if adding else 'has'} {args.add}: there is nothing to change")
    z = face_latents.codes(model, faces, others)
    after = {words: face_latents.moved(z, way, torch.tensor([args.amount]))[:, 0] for words, way in ways.items()}

    columns = min(8, len(others))
    rows = [faces.batch(others[:columns]), *(_decoded(model, codes[:columns]) for codes in (z, *after.values()))]
    captions = [f"validation faces {'without' if adding else 'with'} {args.add}", "their reconstructions", *after]
    path = face_latents.save_grid(torch.cat(rows), args.output, columns, captions)
    print(f"{args.add}: the difference of means over {len(known):,} training faces, of length {d.norm():.3g}: {path}")
    if args.control:
        _count_turned(_judge(faces), model, args.add, z, after, adding=adding)


def _count_turned(
    judge: AttributeClassifier, model: Any, name: str, z: Tensor, after: dict[str, Tensor], *, adding: bool
) -> None:
    """Print for each way, random or not, how many of a judge's answers it turned."""

    def answers(codes: Tensor) -> Tensor:  # (N,): the probability of what was to be reached
        p = judge.probabilities(_decoded(model, codes))[:, judge.names.index(name)]
        return p if adding else 1 - p

    before = answers(z)
    asked = int((before < 0.5).sum())
    if asked == 0:
        print(f"an independent classifier's answer is the one wanted for all {len(z):,} faces before: none can turn")
        return
    for words, codes in after.items():
        share = face_latents.turned(before, answers(codes))
        print(f"{words}: an independent classifier's answer turned for {share:.0%} of {asked:,} faces")


def _list_attributes(args: argparse.Namespace) -> None:
    """Each attribute with the number of faces that have it."""
    run = _run(args)
    faces = _faces(args, run, load_run(run)[1])
    _require_attributes(faces)
    for name in faces.attribute_names:
        count = int(faces.attribute(name).sum())
        print(f"{name:<22}{count:>9,} of {len(faces.pixels):,}")


# ---- a run and its faces ----


def _run(args: argparse.Namespace) -> Path:
    """The folder that was named, as it is or in runs/; without a name, the newest run."""
    if args.run is None:
        if newest := _newest():
            return newest
        raise ValueError(
            f"there is no run in {RUNS.resolve()}: start one with vae-course train RECIPE, or name a folder"
        )
    if not args.run.exists() and _is_run(RUNS / args.run):
        return RUNS / args.run
    return args.run


def _newest(name: str | None = None) -> Path | None:
    """The run of this recipe, or of any, that was written to last."""
    runs = [path.parent for path in RUNS.glob("*/run.json")]
    if name is not None:
        runs = [folder for folder in runs if folder.name.rpartition("-")[0] == name]
    return max(runs, key=lambda folder: max(path.stat().st_mtime for path in folder.iterdir()), default=None)


def _next(name: str) -> Path:
    """A new folder runs/name-1, or with the first number that is free: made here, so that nobody else takes it."""
    number = 1
    while True:
        try:
            (RUNS / f"{name}-{number}").mkdir(parents=True)
            return RUNS / f"{name}-{number}"
        except FileExistsError:
            number += 1


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").exists()


def _trained(args: argparse.Namespace) -> tuple[Any, Recipe, dict[str, Any], Path]:
    """The model, ready on this machine's device, its recipe, its last figures, and the run's folder."""
    run = _run(args)
    model, plan, done = load_run(run)
    return model.to(runtime.device()), plan, done, run


def _faces(args: argparse.Namespace, run: Path, plan: Recipe) -> Faces:
    """The faces of the run, or those that the command line names, prepared in the same way.

    Raises ValueError if the run's own faces are no longer where it found them.
    """
    asked: dict[str, Any] = {"size": plan.size, "split": plan.split, "count": plan.images}
    if not _is_run(run):
        return load_faces(**asked | _where(args))
    noted = json.loads((run / "run.json").read_text(encoding="utf-8"))
    faces = load_faces(**noted["data"] | _where(args))
    if not _where(args) and faces.fingerprint != noted["fingerprint"]:
        raise ValueError(f"these are not the pictures of the run {run} ({faces.words}): name those with --data")
    return faces


def _where(args: argparse.Namespace) -> dict[str, Any]:
    """What the command line says about the faces, as load_faces takes it; a folder may hold CelebA or any pictures."""
    if args.data is None:
        return {"source": args.source, "folder": None} if args.source else {}
    is_celeba = celeba.pictures_folder(args.data) is not None
    return {"source": args.source or ("celeba" if is_celeba else "folder"), "folder": args.data}


def _validation(faces: Faces) -> np.ndarray:
    """The validation split. Raises ValueError if there is none."""
    if len(faces.splits["valid"]) == 0:
        raise ValueError(f"these faces have no validation split ({faces.words})")
    return faces.splits["valid"]


def _place(faces: Faces, name: str | None, default: int) -> int:
    """The index of a picture that was named by its file, or by its number from 0."""
    if name is None:
        return default
    if name in faces.names:
        return faces.names.index(name)
    if name.isdecimal() and int(name) < len(faces.names):
        return int(name)
    raise ValueError(
        f"there is no picture {name!r}: give a file name such as {faces.names[0]}, or a number below {len(faces.names)}"
    )


def _require_attributes(faces: Faces) -> None:
    if faces.attributes is None:
        raise ValueError(f"these faces have no attributes ({faces.words}): CelebA and the drawn faces have some")


# ---- measuring ----


@torch.inference_mode()
def _losses(model: Any, plan: Recipe, faces: Faces, chosen: np.ndarray, run: Path, seed: int) -> dict[str, float]:
    """The recipe's loss and its parts, means over the chosen faces; the same noise for the same seed."""
    device = next(model.parameters()).device
    perceptual = None
    if plan.perceptual_weight:
        from vae_course.perceptual import perceptual_distance  # imported here: few runs need it

        folder = run if _is_run(run) else None
        backbone = json.loads((run / "run.json").read_text(encoding="utf-8"))["backbone"] if folder else "auto"
        perceptual = perceptual_distance(backbone, faces=faces, folder=folder, device=device)
    sums: dict[str, float] = {}
    for part in _split(chosen):
        eps = keyed.validation_noise(part.tolist(), model.z_shape, seed=seed).to(device)
        for name, values in objective(plan, model, faces.batch(part).to(device), eps, perceptual=perceptual).items():
            sums[name] = sums.get(name, 0.0) + values.sum().item()
    return {name: total / len(chosen) for name, total in sums.items()}


def _likeness(model: Any, faces: Faces, chosen: np.ndarray) -> dict[str, float]:
    """How alike faces and their reconstructions from the posterior mean are: MSE, PSNR and SSIM, means over faces."""
    rulers = {"MSE": metrics.mse, "PSNR": metrics.psnr, "SSIM": metrics.ssim}
    sums = dict.fromkeys(rulers, 0.0)
    for part in _split(chosen):
        x, y = faces.batch(part), _decoded(model, face_latents.codes(model, faces, part))
        for name, ruler in rulers.items():
            sums[name] += ruler(x, y).sum().item()
    return {name: total / len(chosen) for name, total in sums.items()}


def _judge(faces: Faces) -> AttributeClassifier:
    """A classifier that knows nothing of any run, trained once on these faces and kept in the cache."""
    path = cache.folder() / f"judge-{_judge_key(faces)}.safetensors"
    judge = AttributeClassifier(faces.size, faces.attribute_names)
    try:
        judge.load_state_dict(load_file(path))
        return judge.eval()
    except (OSError, SafetensorError, RuntimeError):  # not there, or damaged
        print(f"an independent classifier of {len(faces.attribute_names)} attributes is trained, once")
    judge = train_classifier(faces, seed=JUDGE_SEED, device=runtime.device()).cpu()
    try:
        with cache.atomic(path) as part:
            save_file(judge.state_dict(), part)
    except OSError as error:
        print(f"the classifier cannot be kept in {path.parent} ({error}); set VAE_COURSE_CACHE")
    return judge


def _judge_key(faces: Faces) -> str:
    """Other pictures, attributes or code of the classifier give another."""
    code = Path(models.attributes.__file__).read_bytes()
    words = f"{faces.fingerprint} {faces.size} {faces.attribute_names}".encode()
    return hashlib.sha256(code + words + np.packbits(np.asarray(faces.attributes)).tobytes()).hexdigest()[:12]


# ---- pictures ----


@torch.inference_mode()
def _decoded(model: Any, z: Tensor) -> Tensor:
    """Mean images of latents (N, *z_shape), in batches -> (N, 3, H, W), in [0, 1], on the CPU."""
    device = next(model.parameters()).device
    return torch.cat([model.mean(part.to(device)).cpu() for part in z.split(BATCH)])


def _samples(model: Any, n: int, seed: int) -> Tensor:
    """n faces from the prior, the same first ones for any n. -> (n, 3, H, W), in [0, 1], on the CPU."""
    return _decoded(model, keyed.validation_noise(range(n), model.z_shape, seed=seed))


def _images(faces: Faces, indices: np.ndarray) -> Tensor:
    return torch.cat([faces.batch(part) for part in _split(indices)])


def _split(indices: np.ndarray) -> list[np.ndarray]:
    return np.split(indices, range(BATCH, len(indices), BATCH))


def _spread(indices: np.ndarray, n: int) -> np.ndarray:
    """At most n of the indices, evenly spread over all of them."""
    n = min(n, len(indices))
    return indices[np.arange(n) * len(indices) // n] if n else indices


def _filled(images: Tensor, columns: int) -> Tensor:
    """A row of the grid, filled up with white: (N, C, H, W), N <= columns -> (columns, C, H, W)."""
    return torch.cat([images, images.new_ones(columns - len(images), *images.shape[1:])])

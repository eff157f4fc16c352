# ---
# jupyter:
#   accelerator: GPU
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 15 · Faces at scale
#
# You train a VAE on faces, on this machine in a minute or two and on a GPU overnight by the same code, and ask it for a smile.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - say before a training what it will cost in memory, operations and time, on your card;
# - run a training that a lost connection costs nothing, and show that it does;
# - judge generated faces by a Fréchet distance, and name the conditions under which two such numbers may be compared;
# - add an attribute to a face by arithmetic on its code, and test the result against a control.
#
# *Time:* about 75 minutes; the computer works for about three of them. *Assumed:* [lesson 04](04_low_level_pytorch.ipynb), for the effective weights, [lesson 05](05_autoencoder_vs_vae.ipynb), for the Fréchet distance, and [lesson 06](06_latent_space.ipynb), for interpolation.

# %% tags=["setup"]
try:
    import vae_course  # noqa: F401
except ModuleNotFoundError:  # install the course on Colab; anywhere else say how to get it
    import pathlib, sys

    RELEASE = ""  # empty: Colab takes the wheel that lies beside this notebook
    HELP = "This kernel has no vae_course. Run `make lab` in the course's folder and open the lesson there. On Colab, upload vae_course-….whl beside this notebook."
    course = max(map(str, pathlib.Path().glob("vae_course-*.whl")), default=RELEASE)
    if "google.colab" not in sys.modules or not course:
        raise ModuleNotFoundError(HELP) from None
    get_ipython().run_line_magic("pip", f"install -q --no-deps {course} lpips")
import json, pathlib, subprocess, sys, tempfile, time, numpy as np, torch
from vae_course import budget, face_latents, generation, plots, recipes, run, runtime, weights

# %% [markdown]
# Nothing in this lesson's mathematics is new. What is new is size: images that no longer fit into memory at once, networks of tens of millions of parameters, and trainings that outlast an evening, a battery and a free GPU session. The lesson is about what changes then, and what must not.
#
# ## The faces
#
# **CelebA** (Liu et al. 2015) has 202,599 photographs of well-known people, aligned by their eyes, with forty attributes each. It is for non-commercial research, may not be passed on, and shows people who were never asked; do not put its pictures, or pictures made from single ones, where others will take them for something else. If you have it, set `CELEBA_ROOT` to its folder, and this lesson takes it. If not, the course draws faces of its own, with attributes under CelebA's names, in the same layout on disk, read by the same code.

# %%
from vae_course.data import celeba

rng = runtime.seed(0)
on_gpu = runtime.device().type == "cuda"
faces = celeba.load_faces(128 if on_gpu else 64, count=runtime.steps(None, 600))
some, held_out = (
    faces.splits["train"][:4800],
    faces.splits["valid"][:600],
)  # to judge by: these fit into memory

# %% [markdown]
# The line above says what was read, and how it was cut. That belongs to every figure on faces: the centre of 178×178 pixels, of 148×148 or of 140×140 are all in use, and show more or less of the hair and the background. Numbers from two crops cannot be compared; nor can numbers from two ways of making pictures smaller.
#
# The pictures were decoded once, into a file from which batches are read as they are. A hundred thousand JPEGs decoded anew in each epoch would keep a GPU waiting. Training reads batches from that file; where we judge later, we take at most 4,800 training faces and 600 held-out ones, whatever the data set.

# %%
ax = plots.image_grid(faces.batch(some[:24]), columns=8, title=f"Training faces ({faces.source})")
plots.show(
    ax,
    alt="Three rows of eight faces, of many skin tones, with different hair, hats, glasses and expressions.",
)

# %% [markdown]
# Each face has its attributes, as yes or no. **Predict:** the drawn faces' attributes were drawn independently, each by its own throw of a coin. How large a correlation will you find between two of them? And in photographs of well-known people?

# %%
names, labels = faces.attribute_names, np.asarray(faces.attributes, dtype=float)  # (N, A)
correlation = np.corrcoef(labels.T) - np.eye(len(names))
a, b = np.unravel_index(np.abs(correlation).argmax(), correlation.shape)
print(
    ", ".join(f"{name} {share:.0%}" for name, share in zip(names, labels.mean(axis=0), strict=True))
)
print(f"\nlargest correlation: {names[a]} and {names[b]}, {correlation[a, b]:+.2f}")

# %% [markdown]
# For independent throws one correlation is of the order of one over the square root of the number of faces, 0.013 for six thousand; the largest among the 78 pairs of thirteen attributes is commonly two to three times that. CelebA's attributes are far from independent: what is called `Male` seldom comes with `Wearing_Lipstick`, and a method that finds a direction for one of them finds some of the others with it. Keep that in mind for the smile below.
#
# ## What it will cost
#
# Before a long training, compute what it needs; it takes seconds, and a run that dies of memory after the first hour takes an hour. Here is `flat-32`, a recipe for 128×128: four convolutions, a linear layer to 32 latents, and the mirror of both.
#
# A **multiply-add** is a product and the addition that follows it. The encoder's last layer has 64 outputs: a mean and a log-variance for each of 32 latents. **Predict:** which layer has most of the parameters? And which computes most?

# %%
with torch.device("meta"):  # shapes without values: nothing is computed
    network = recipes.recipe("flat-32").build()
print(budget.as_text(budget.summary(network, network.x_shape)))

# %% [markdown]
# Parameters and work live in different places. A linear layer uses each weight once for an image; a convolution uses each of its few weights at every place of its output. So in this network the linear layers decide how large the file is, the convolutions how long you wait.
#
# **Memory.** Adam keeps two moments for each weight, the gradient is as large as the weights, and so is the moving average of the weights that we keep beside them (more below). To these come the activations, which wait for the backward pass; they grow with the batch, everything else does not.
#
# **Time.** A training step computes about three forward passes: one forward, and in the backward pass one for the gradients of the inputs and one for those of the weights. Divide by what the card can do according to its data sheet (`budget.PEAK`), and by the share of it that is reached. We assume 0.3; small networks and small batches reach less, above all on fast cards. T4, A100 and H100 are GPUs, from slow to fast; fp32, fp16 and bf16 say in how many bits a number is held (more below). The memory is for 32 bits, the minutes are for 16.

# %%
CELEBA = 162_770  # its training images
cards = {"T4": "fp16", "A100": "bf16", "H100": "bf16"}
for full in map(recipes.recipe, ("flat-32", "perceptual-12m", "residual-spatial")):
    with torch.device("meta"):
        network = full.build()
    million = sum(p.numel() for p in network.parameters()) / 1e6
    work, memory = budget.multiply_adds(network, network.x_shape), budget.training_memory(full)
    images = full.images or CELEBA
    print(
        f"{full.name}: {million:.1f} million parameters, {work / 1e9:.2f} billion multiply-adds an image"
    )
    print(
        f"    {full.batch_size} images in fp32: {memory.total / 1e9:.1f} GB, {memory.activations / 1e9:.1f} of it activations"
    )
    for card, precision in cards.items():
        seconds = budget.time_to_expect(work, images, full.epochs, card, 0.3, precision=precision)
        print(
            f"    {full.epochs} epochs of {images:,} images on {card}: {seconds / 60:,.1f} minutes"
        )

# %% [markdown]
# The minutes are arithmetic, not promises: reading images, validation and a card that is shared come on top. Measured figures stand in each run's log. And something large is missing from the second recipe's minutes: its perceptual distance looks at the image and at its reconstruction with another network, VGG16, in every step.

# %%
from torchvision.models import vgg16

with torch.device("meta"):
    vgg = vgg16(weights=None).features
print(f"VGG16: {budget.multiply_adds(vgg, (3, 128, 128)) / 1e9:.2f} billion multiply-adds an image")

# %% [markdown]
# Two images go forward through VGG16, and the gradient for one of them comes back: three of its passes beside three of the recipe's own, ten times dearer each. VGG16's own weights need no gradients, but those for the picture pass through it on their way to the decoder.
#
# The recipes also differ in what they minimise. The table of [lesson 04](04_low_level_pytorch.ipynb) said how to read a loss whose terms are summed or averaged by habit: bring it into the form "error summed over pixels plus $w\cdot$KL summed over latents". For a squared error that is the $-$ELBO of a Gaussian decoder with variance $\sigma^2 = w/2$, up to the factor $2\sigma^2$ and a constant, neither of which moves the minimum; lesson 04 halved the squared error, so its β is $w/2$. For an absolute error $w$ is the `scale` of a Laplace decoder, if a perceptual term is left out.

# %%
for name in ("flat-32", "perceptual-12m", "residual-spatial"):
    found = recipes.recipe(name).effective()
    print(f"{name:<18}" + ", ".join(f"{key} {value:.4g}" for key, value in found.items()))

# %% [markdown]
# `flat-32` believes in pixels with a standard deviation of 0.7, on a scale from black 0 to white 1: it has every reason to be blurred. `perceptual-12m` adds a **perceptual distance**, between features of another network instead of pixels; it is the one recipe of this course that averages, and `if_kl_were_summed` is the number that its weight of 0.02 would turn into if somebody summed its KL and left the rest.
#
# ## A run
#
# A **recipe** is a frozen list of numbers; a **run** is a recipe, pictures, a seed and a folder. `run.train` is a loop like that of lesson 04 on `accelerate`, a library that moves it to a GPU, to several, or to a lower precision without changing it. On a CPU we take the small twin of a recipe. It is not only smaller: it has more latents, norms between its layers, a learning rate that rises and falls, and a smaller weight on the KL, as its fields say. A **checkpoint** is the whole state of a run on disk. The line about precision says which was faster here in a short trial.

# %%
recipe = recipes.recipe("flat-32", epochs=8) if on_gpu else recipes.recipe("flat-32-small")
print(
    f"{recipe.name}: {recipe.z} latents, KL weight {recipe.kl_weight}, σ {recipe.effective()['sigma']:.2f}"
)
work_folder = pathlib.Path(tempfile.mkdtemp())
steps = runtime.steps(None if on_gpu else 3500, 20)
log = run.train(
    recipe,
    faces,
    work_folder / "faces",
    steps=steps,
    validate_every=runtime.steps(500, 10),
    tracker="none",
)

# %% [markdown]
# Two curves, and a reason why they need not meet. The training loss is an average over the steps before, with the weights of that moment. The validation loss is computed on faces that were never trained on, with a **moving average of the weights**, $\bar w \leftarrow d\,\bar w + (1-d)\,w$ after each step. Its decay $d$ starts small and rises, so that the first weights are soon forgotten. The average evens out the noise of single steps and often does better than the last weights; it is what a run shares.

# %%
train_rows, valid_rows = ([row for row in log if key in row] for key in ("loss", "valid_loss"))
losses = {"training": [row["loss"] for row in train_rows]}
ax = plots.curves(
    [row["step"] for row in train_rows],
    losses,
    title="The loss falls on faces that were never trained on, too",
    xlabel="step",
    ylabel="squared error + weighted KL",
)
valid = [[row[key] for row in valid_rows] for key in ("step", "valid_loss")]
ax.plot(*valid, "o--", color=plots.ORANGE, label="validation")
ax.legend(frameon=False)
plots.show(
    ax,
    alt="Training and validation loss over the steps: both fall steeply at first and then slowly.",
)
print({key: round(valid_rows[-1][key], 1) for key in ("valid_loss", "valid_rec", "valid_kl")})

# %% [markdown]
# The validation loss is `valid_rec` plus the recipe's weight times `valid_kl`. If the training loss goes on falling while the validation loss stands still, a run has begun to learn its faces by heart.
#
# ## What it has learnt
#
# `weights.load_run` reads the newest checkpoint of a run, the averaged weights in it. It reads numbers and nothing else: a checkpoint in Python's pickle format may run any code when it is opened, so the course opens none.
#
# **Predict:** what will be lost on the way through so few numbers: the lightness of the background, its hue, the pattern of a tie, an earring?

# %%
model, recipe, metrics = weights.load_run(work_folder / "faces")
x = faces.batch(held_out[:8])
with torch.no_grad():
    rebuilt = model.mean(model.encode(x)[0])
rows = torch.cat([x, rebuilt, model.sample(16, generator=rng)])
ax = plots.image_grid(rows, columns=8, row_labels=["held out", "rebuilt", "sampled", ""])
plots.show(
    ax,
    alt="Eight held-out faces, their blurred reconstructions, and sixteen faces sampled from the prior.",
)

# %% [markdown]
# A reconstruction keeps first what saves most squared error for its price: large areas, light against dark. Small things are cheap to lose, and a hue may be as well; compare backgrounds, ties and earrings in the first two rows. The samples are softer than the reconstructions, and some do not hold together as a face. How far they are from real ones, we measure next.
#
# ## How good are they? A number, and its conditions
#
# For 28×28 digits we compared features of our own classifier by the **Fréchet distance** ([lesson 05](05_autoencoder_vs_vae.ipynb)). With 2,048 features of the Inception-v3 network, trained on ImageNet, it is called FID (Heusel et al. 2017). The construction is the same and so are the traps, but numbers from other features compare with no FID. We take a classifier of the attributes as our judge; it is trained on real faces alone, with a seed of its own.

# %%
from vae_course.models.attributes import train_classifier

judge = train_classifier(faces, seed=1, epochs=runtime.steps(4, 1))
answers = judge.probabilities(faces.batch(held_out)).numpy() > 0.5  # (n, A)
accuracy = dict(
    zip(names, (answers == faces.attributes[held_out]).mean(axis=0).tolist(), strict=True)
)
print(", ".join(f"{name} {share:.0%}" for name, share in accuracy.items()))

# %% [markdown]
# Read an accuracy beside the share of the more frequent answer, which the shares in the first part give: for a rare attribute, a judge that always says no is right nearly always.
#
# **Predict:** what is the distance between two sets of real faces, both drawn from the same data? It should be zero. Is it?


# %%
def distance(a, b):
    return generation.frechet_distance(judge.features(a), judge.features(b))


shuffled = faces.batch(np.random.default_rng(0).permutation(some))
many = torch.cat([model.sample(100, generator=rng) for _ in range(runtime.steps(20, 2))])
frechet = {}
for n in (n for n in (150, 500, 1000, 2000) if n <= len(many) and 2 * n <= len(shuffled)):
    frechet[n] = {
        "real": distance(shuffled[:n], shuffled[-n:]),
        "samples": distance(shuffled[:n], many[:n]),
    }
    print(
        f"{n:>5} each: real against real {frechet[n]['real']:6.3g}, samples against real {frechet[n]['samples']:6.3g}"
    )

# %% [markdown]
# Two sets of real faces are apart, and less so the more there are: means and covariances are estimated, errors of estimation count as distance, and a covariance of 128 features has thousands of numbers to be wrong in. So fewer samples give, on average, a larger distance for the same model (a single column may go up and down, because each entry is one draw), and distances from different numbers of samples do not compare (Chong and Forsyth 2020). Say with every Fréchet distance: how many samples, which features, which crop, which way of resizing, and what real data get.
#
# ## From one face to another
#
# Interpolation happens between codes, in the space of the prior. Some decoders squash $z$ first, by a tanh for instance; then interpolate before it, where straight lines are what they were in training.

# %%
with torch.no_grad():
    start, end = model.encode(x[[0, 5]])[0]
    way = model.mean(face_latents.interpolate(start, end, 8))
ax = plots.image_grid(way, columns=8, title="A straight line between two codes")
plots.show(ax, alt="Eight faces that change smoothly from one held-out face to another.")

# %% [markdown]
# ## A smile by arithmetic, and a control
#
# Take the mean code of the faces that smile, and the mean code of those that do not. Their difference is a **direction**: added to the code of a face that does not smile, it should make it smile (Larsen et al. 2016).
#
# That the picture then shows a smile is easily believed, by those who look for one. So we let the judge say it, which never saw a decoded picture: among held-out faces without the attribute, in which it sees none after decoding either, in what share does it see the attribute after the step? And we ask the same of a **random direction of equal length**, without which the first number would say little. Both steps are 1½ times the difference of means long.

# %%
some_codes, held_codes = (face_latents.codes(model, faces, rows) for rows in (some, held_out))


def labels_of(name, rows=held_out):
    return faces.attribute(name)[rows]


@torch.no_grad()
def seen(z):
    """What the judge sees in the decoded faces: (N, A), probabilities."""
    return torch.cat([judge.probabilities(model.mean(part)) for part in z.split(100)])


def turned_by(name, step):
    """The share of faces without the attribute in which the judge sees it after a step of 1½."""
    without, column = held_codes[~labels_of(name)], names.index(name)
    before, after = (seen(without + t * step)[:, column] for t in (0, 1.5))
    return (
        face_latents.turned(before, after) if before.min() < 0.5 else 0.0
    )  # or there is nobody who could turn


# %% [markdown]
# **Predict:** how often will a random step of the same length put glasses on a face?

# %%
directions, shares = {}, {}
for name in ("Eyeglasses", "Smiling"):
    step = directions[name] = face_latents.direction(some_codes, labels_of(name, some))
    controls = [turned_by(name, face_latents.random_direction(step, rng)) for _ in range(5)]
    shares[name] = {"turned": turned_by(name, step), "random": sum(controls) / len(controls)}
    print(
        f"{name:<12}{shares[name]['turned']:.0%} turned by its direction, {shares[name]['random']:.0%} by random ones"
    )

# %% [markdown]
# Compare each share with its control, not with zero. The control has its limit: it points evenly everywhere, also along latents that the decoder hardly uses; a stricter one is the difference of means for labels that were shuffled, brought to the same length. And the judge learned from sharp pictures; on decoded ones it can be wrong. So look, too: steps of 0, ½, 1 and 1½ times the difference.

# %%
neither = ~labels_of("Eyeglasses") & ~labels_of("Smiling")
z, amounts = held_codes[neither][:8], torch.tensor([0.5, 1.0, 1.5])
ways = [face_latents.moved(z, step, amounts) for step in directions.values()]  # each (8, 3, D)
rows = torch.cat([z[:, None], *ways], dim=1).transpose(0, 1)  # (7, 8, D)
with torch.no_grad():
    pictures = model.mean(rows.flatten(0, 1))
labels = ["as it is", "glasses ½", "1", "1½", "smile ½", "1", "1½"]
ax = plots.image_grid(
    pictures, columns=8, row_labels=labels, title="Eight codes, and two directions added to them"
)
plots.show(
    ax,
    alt="Eight faces; the same with glasses that appear in three steps, and with a smile in three steps.",
)

# %% [markdown]
# A direction may change more than its name says. Where attributes hang together in the data, it carries its company with it; and even where they do not, they can share pixels, as a smile, an open mouth and lipstick do. Of what else does the judge change its mind, and how often would a random step do the same? (The share of `Smiling` is not the one above: here all faces without the label count, also those in which the judge sees a smile before the step.)

# %%
without, smile = held_codes[~labels_of("Smiling")], directions["Smiling"]
before = seen(without) > 0.5  # (N, A)
steps = [smile] + [face_latents.random_direction(smile, rng) for _ in range(5)]
changed, *by_chance = [(before != (seen(without + 1.5 * d) > 0.5)).float().mean(0) for d in steps]
low, high = torch.stack(by_chance).aminmax(dim=0)  # (A,) each

# %%
for k in changed.argsort(descending=True)[:5].tolist():
    print(
        f"{names[k]:<20} answer changed in {changed[k]:.0%} of the faces, "
        f"by five random steps in {low[k]:.0%} to {high[k]:.0%}"
    )

# %% [markdown]
# A share above all its controls is an effect of the direction; one among them says nothing. In photographs the reason may be correlation; drawn faces have none, so look for shared pixels, for a step that is too long, and for blurred pictures on which the judge is undecided.
#
# ## What a disconnect costs
#
# Colab takes its GPU back, a laptop's lid closes, a cluster ends a job. We try it: the command line starts a run in a process of its own, and as soon as three checkpoints are there (the first is of step 0), we kill it, with the signal that no program can answer. Then we go on with it, and beside it we do the same run undisturbed. Both compute in fp32, because a trial of speed might choose differently for each.

# %%
folder = work_folder / "killed"
quiet = subprocess.DEVNULL
words = "train flat-32-small --size 32 --steps 100 --checkpoint-every 10 --precision fp32 --source drawn --tracker none --cpu"
process = subprocess.Popen(
    [sys.executable, "-m", "vae_course.cli", *words.split(), "--out", folder],
    stdout=quiet,
    stderr=quiet,
)
while len(list(folder.glob("checkpoints/step-*"))) < 3 and process.poll() is None:
    time.sleep(0.05)
process.kill()
print(
    "killed" if process.wait() < 0 else "it ended before it could be killed",
    "- exit code",
    process.returncode,
)

# %%
log = run.resume(folder, cpu=True)
small = recipes.recipe("flat-32-small", size=32)
few = celeba.load_faces(32, source="drawn", split="80/20")
calm = run.train(
    small,
    few,
    work_folder / "calm",
    steps=100,
    checkpoint_every=10,
    precision="fp32",
    tracker="none",
    cpu=True,
)

# %% [markdown]
# A checkpoint holds everything that the next step depends on: weights and their average, Adam's moments, the random states, and the number of the step. What it does not hold is the order of the pictures and the noise: these are drawn from keys, (seed, epoch) and (seed, step, picture), so any process that knows the step can draw them again. So the result should not be similar to the undisturbed run's but the same, bit for bit.

# %%
one, other = (weights.load_run(path)[0].state_dict() for path in (folder, work_folder / "calm"))
same_weights = all(torch.equal(one[name], other[name]) for name in other)
same_losses = [row.get("loss") for row in log] == [row.get("loss") for row in calm]
print("equal weights:", same_weights, "  equal losses:", same_losses)
assert same_weights, "a resumed run must end with the weights of an undisturbed one"

# %% [markdown]
# On one machine, with equal versions and equally many threads, this holds on a CPU. A GPU may add in another order each time. The next step then agrees up to rounding, and over thousands of steps the small differences grow: expect equally good weights there, not equal ones.
#
# ## On a GPU, on several, overnight
#
# The same code, from a terminal. Each command has a `--help`, and [docs/training.md](../docs/training.md) goes through Colab with Drive, a workstation, several GPUs and a cluster, and says what each message means.
#
# ```
# vae-course train residual-spatial --out runs/faces         # the GPU, if there is one; bf16 or fp16 by itself
# vae-course resume runs/faces                               # after whatever happened
# torchrun --nproc_per_node 4 -m vae_course.cli train residual-spatial --out runs/faces-4
# vae-course attributes runs/faces --add Smiling --amount 1.5 --control   # as above, as one picture
# ```
#
# What changes with **mixed precision**: products are computed in 16 bits, which a GPU's tensor cores, units for products of small matrices, do many times faster; weights, their average and the sums of the loss stay in 32. bf16 has the range of fp32 with 8 bits of precision. fp16 has 11 bits and little range: small gradients would become zero. So the loss is scaled up before the backward pass and the gradients down after it; a step whose scaled gradients overflow is skipped, and the scale is lowered.
#
# What does not change with **several processes**: four of them share a batch, each takes a quarter, and their gradients are averaged. Since the noise belongs to the picture and the step, not to the process, each step is the one that a single process would take, up to rounding.
#
# ## The bridge to latent diffusion
#
# `residual-spatial` keeps a map of latents instead of a vector, and weighs the KL less: more numbers at a lower price, so that more detail can be kept.

# %%
spatial = recipes.recipe("residual-spatial")
with torch.device("meta"):
    network = spatial.build()
values, latents = np.prod(network.x_shape), np.prod(network.z_shape)
print(
    f"image {network.x_shape}, latents {network.z_shape}: {values:,} numbers in {latents:,}, {values / latents:.0f} to one"
)
print(f"standard deviation of its pixels: {spatial.effective()['sigma']:.2f}")

# %% [markdown]
# (A count of numbers, not of bits.) Such a code is an image itself: small, and with neighbouring places that depend on each other. $N(0, I)$ knows nothing of that: it draws each place by itself, and a weak KL does little to make the codes agree with it ([lesson 07](07_beta_vae.ipynb) would call their rate high). Samples from $N(0, I)$ then show parts of faces, not faces. So one trains a second model, a diffusion model, on the codes, and lets it be the prior (Rombach et al. 2022): the VAE takes care of pixels, the diffusion model of what they mean, at a fraction of the cost of working on pixels. Models that turn text into images have been built on this plan, with an autoencoder much like this one at their end.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {
    "shares": shares,
    "accuracy": accuracy,
    "frechet": frechet,
    "first_loss": train_rows[0]["loss"],
}
figures |= {"valid": {key: valid_rows[-1][key] for key in ("valid_loss", "valid_rec", "valid_kl")}}
figures = json.loads(json.dumps(figures), parse_float=lambda number: round(float(number), 4))
print(json.dumps({"source": faces.source, "resumed": same_weights and same_losses, **figures}))

# %% [markdown]
# ## Recap
#
# - You computed parameters, operations, memory and time of three recipes before any of them was trained, and saw that parameters and work live in different layers.
# - You killed a run and went on with it, and found its weights and losses equal, bit for bit, to those of an undisturbed one.
# - You judged samples by a Fréchet distance, saw real faces at a distance from real faces, though both come from the same data, and listed what has to be said with such a number.
# - You added glasses and a smile by the difference of two means, asked a judge that never saw the model, and compared with random directions of equal length.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | the GPU is half idle | batches are not there in time | decode once (`waited` in the log says how long the loop waited) |
# | out of memory in the first step | activations, which grow with the batch | the same batch in parts (`accumulate`), or bf16 |
# | out of memory after a while | something keeps tensors with their graphs, a list of losses for instance | `.item()` or `.detach()` before keeping |
# | validation losses better than training losses | they are computed with averaged weights, after the steps that the training loss averages over | nothing |
# | the loss turns infinite or NaN in fp16 | a value in the forward pass exceeds 65,504, often in a large sum | bf16, or that part in 32 bits |
# | training in fp16 makes no progress | gradients too small for fp16 have become zero | scale the loss; `accelerate` does it by itself |
# | samples of a spatial model are noise | sampled without the tanh that its decoder was trained with, or a KL too weak for a prior | `model.sample` applies it; train a prior on the codes |
# | a better FID than in the paper | more samples, a tighter crop, another resizing, or another set of real images to compare with | measure both under the same conditions |
# | adding a smile changes the hair | attributes that hang together in the data | balance the two means, and look at what else turns |
#
# ## References
#
# - Z. Liu, P. Luo, X. Wang and X. Tang, *Deep Learning Face Attributes in the Wild*, ICCV 2015: CelebA.
# - A. B. L. Larsen, S. K. Sønderby, H. Larochelle and O. Winther, *Autoencoding beyond pixels using a learned similarity metric*, ICML 2016, [arXiv 1512.09300](https://arxiv.org/abs/1512.09300): attribute vectors, and a loss on features.
# - R. Zhang, P. Isola, A. A. Efros, E. Shechtman and O. Wang, *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*, CVPR 2018, [arXiv 1801.03924](https://arxiv.org/abs/1801.03924): LPIPS.
# - M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler and S. Hochreiter, *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, NeurIPS 2017, [arXiv 1706.08500](https://arxiv.org/abs/1706.08500): the Fréchet Inception distance.
# - M. J. Chong and D. Forsyth, *Effectively Unbiased FID and Inception Score and Where to Find Them*, CVPR 2020, [arXiv 1911.07023](https://arxiv.org/abs/1911.07023): the bias of few samples.
# - T. White, *Sampling Generative Networks*, 2016, [arXiv 1609.04468](https://arxiv.org/abs/1609.04468): attribute vectors when labels hang together.
# - G. Parmar, R. Zhang and J.-Y. Zhu, *On Aliased Resizing and Surprising Subtleties in GAN Evaluation*, CVPR 2022, [arXiv 2104.11222](https://arxiv.org/abs/2104.11222): what resizing and compression do to it.
# - P. Micikevicius et al., *Mixed Precision Training*, ICLR 2018, [arXiv 1710.03740](https://arxiv.org/abs/1710.03740).
# - R. Rombach, A. Blattmann, D. Lorenz, P. Esser and B. Ommer, *High-Resolution Image Synthesis with Latent Diffusion Models*, CVPR 2022, [arXiv 2112.10752](https://arxiv.org/abs/2112.10752).
#
# **Exercises:** [sheet 15](../exercises/15_celeba_gpu.ipynb) · Back to the map and your checklist: [00 · Start here](00_start_here.ipynb)

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here
#
# In the next few minutes you will check that everything runs, train a variational autoencoder on handwritten digits, and draw new digits by moving sliders.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - say which versions and which data your copy of the course uses;
# - train a small variational autoencoder (VAE) and read its loss;
# - move through its latent space with sliders and describe what you see;
# - say what the course will teach you, and in which order.
#
# *Time:* about 15 minutes; the computer works for less than one of them. *Assumed:* you have seen Python; nothing about VAEs.
#
# A notebook is run cell by cell: click into a cell, press Shift+Enter, and its output appears underneath. Begin with the next cell, which loads the course and prints nothing. Then go on from top to bottom, and leave no cell out.

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
import json, torch
from vae_course import data, explorer, plots, runtime, training

# %% [markdown]
# ## Does it run here?
#
# The next cell lists versions and what the machine offers. If you ever ask somebody for help, send these lines along.

# %%
print(runtime.report())

# %% [markdown]
# A graphics card is not needed: if the report names an accelerator, this lesson still uses the processor. `mode full` means that nothing has been shortened for a test.
#
# The random numbers of a lesson start from a fixed seed, so that a second run on the same machine shows the same pictures.

# %%
rng = runtime.seed(0)

# %% [markdown]
# ## The data
#
# We work with images of handwritten digits: 28 × 28 grey pixels, each a number from 0 (black) to 1 (white). If the real MNIST collection is on your machine or can be downloaded, we use it. If not, the course draws digits of its own, and every lesson still works. The line that the next cell prints says which you have.

# %%
digits = data.load_digits()

# %%
first = digits.train_x[:30]  # (30, 1, 28, 28)
plots.show(
    plots.image_grid(first, columns=10, title="Thirty training digits"),
    alt="Thirty handwritten digits, white on black, in three rows of ten.",
)

# %% [markdown]
# The shape `(30, 1, 28, 28)` reads: 30 images, 1 colour channel (grey), 28 rows, 28 columns. All images in this course are stored in this way.
#
# ## A first VAE
#
# A VAE is two neural networks with a bottleneck between them:
#
# - the **encoder** looks at an image $x$ and names a small region of a **latent space**: a centre and a size, here in 4 dimensions;
# - a point $z$ is drawn at random from that region;
# - the **decoder** turns the point $z$ back into an image.
#
# Training has two aims at once. The decoded image should resemble the original (**rec**, for reconstruction), and each image's region should stay close to one and the same simple cloud, a standard normal distribution (**kl**, for Kullback–Leibler divergence). The **loss** is the sum of the two, and smaller is better. Where this sum comes from is the subject of lesson 01; for now, watch it fall.
#
# In the next cell, `z_dim` is the number of latents, and `hidden` the width of the layer between. `lr` says how large the training steps may become, and `generator=rng` fixes the random order of the images. `runtime.steps(a, b)` is `a` for you; `b` is a short run for automatic tests.

# %%
from vae_course.models.mlp import MLPVAE

model = MLPVAE(z_dim=4, hidden=(400,))
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]
history = training.fit(
    model, train_x, test=digits.test_x, epochs=runtime.steps(7, 1), lr=3e-3, generator=rng
)

# %% [markdown]
# One **epoch** shows every training image to the model once. Each row of `history` is an epoch, and its numbers are averages over images; the `test_` values come from images that the model never trained on.

# %%
plots.show(
    plots.history(history, title="The loss on training digits, and on unseen ones"),
    alt="Training and test loss over the epochs; in a full run two falling curves, close to each other.",
)

# %% [markdown]
# In the first epoch the training curve lies above the test curve, and nothing is wrong: the training value is an average over the whole epoch, including its beginning, when the model knew nothing; the test value is measured at the end of the epoch.
#
# The unit *nats* measures information, as bits do (1 nat is 1.44 bits). Roughly, the loss is the price of describing one image with the model's help. Lesson 01 says when this is exact, and lesson 02 what grey pixels add to the number. Here is the loss of the last epoch in its two parts:

# %%
last = history[-1]
print(
    f"test: rec {last['test_rec']:.2f} + kl {last['test_kl']:.2f} = loss {last['test_loss']:.2f} nats per image"
)

# %% [markdown]
# ## What has it learnt?
#
# We send ten test images through the encoder and back through the decoder. 784 pixel values have to pass through 4 numbers.
#
# **Predict:** what will survive, the kind of digit or the handwriting? Decide before you run the cells.
#
# The encoder returns the centre `mu` of the region and its size, as the logarithm of a variance (`logvar`). We decode the centre itself and draw nothing at random. `.sigmoid()` turns the decoder's output into brightness between 0 and 1, and `torch.no_grad()` says that nothing is to be trained here.

# %%
x = digits.test_x[:10]
with torch.no_grad():
    mu, logvar = model.encode(x)  # (10, 4) each: centre and log-variance of the region
    rebuilt = model.decode(mu).sigmoid()  # (10, 1, 28, 28)

# %%
pair = plots.image_grid(
    torch.cat([x, rebuilt]),
    columns=10,
    row_labels=["original", "rebuilt"],
    title="784 pixels through 4 numbers and back",
)
plots.show(
    pair,
    alt="Ten test digits above, and below each its reconstruction: smoother, and after a full run mostly the same digit.",
)

# %% [markdown]
# After a full run some of both survives: mostly the kind of digit, and of the handwriting the slant and the overall shape. The details of the pen are smoothed away. Where a rebuilt digit has turned into another one, four numbers were not enough to tell the two apart.
#
# Now **new** digits. The second aim, which keeps all regions close to one simple cloud, makes them possible: we draw $z$ from that cloud, the standard normal distribution, without any image, and decode it. Training for reconstruction alone prepares no such cloud; [lesson 05](05_autoencoder_vs_vae.ipynb) looks at what can be done then.

# %%
samples = model.sample(30, generator=rng)
plots.show(
    plots.image_grid(samples, columns=10, title="Digits that nobody wrote"),
    alt="Thirty generated digits; after a full run many are readable, and others lie between two digits.",
)

# %% [markdown]
# After a full run many of them are readable, and others stand between two digits: the latent space is continuous, and between the region of the fours and the region of the nines there is a path.
#
# ## Move through the latent space
#
# Each slider below moves one of the four numbers of $z$, from −3 to +3 standard deviations; nearly all values of a standard normal distribution lie between these. **Run the cell and drag a slider**; with the keyboard, use Tab to reach a slider and the arrow keys to move it. If you read this without running it, you see a still picture instead. In it, each row belongs to one latent number, which goes from −3 at the left to +3 at the right while the other three stay at 0.

# %%
sliders = explorer.Explorer(lambda z: model.decode(z).sigmoid(), z_dim=model.z_dim)
sliders.show()

# %% [markdown]
# **Try:** find a zero. Find a seven. Is there a path from one to the other on which no image is nonsense? Does a slider have a meaning that you can name, such as slant or thickness, or does its effect depend on where the others stand? Nothing in the training asked for sliders with a meaning.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
print(
    json.dumps(
        {
            "source": digits.source,
            "test_loss": round(history[-1]["test_loss"], 2),
            "training_seconds": round(history[-1]["seconds"], 1),
        }
    )
)

# %% [markdown]
# ## The map
#
# | lesson | the question it answers |
# |---|---|
# | [01 · The evidence lower bound](01_elbo.ipynb) | why do we maximise a bound, and what is lost? |
# | [02 · One forward pass in NumPy](02_numpy_forward.ipynb) | what does a VAE compute, number by number? |
# | [03 · Gradients through a sample](03_gradients.ipynb) | how can we differentiate something random? |
# | [04 · A VAE from functions](04_low_level_pytorch.ipynb) | what do the ready-made layers and losses hide? |
# | [05 · Autoencoder against VAE](05_autoencoder_vs_vae.ipynb) | what does the V add? |
# | [06 · Inside the latent space](06_latent_space.ipynb) | what is in there? |
# | [07 · What β trades](07_beta_vae.ipynb) | what do we gain and lose by weighing the KL? |
# | [08 · Disentanglement](08_disentanglement.ipynb) | does a single latent mean something? |
# | [09 · Conditional VAE](09_conditional_vae.ipynb) | how do we ask for a seven? |
# | [15 · Faces at scale](15_celeba_gpu.ipynb) | does it scale? |
#
# (10 to 14 are kept for lessons to come.) Each of these lessons has a sheet of exercises, linked at its end: functions to write, with a check below each that says which mistake it found. `make progress` shows what you have solved so far.
#
# Each lesson asks you to **predict** before it shows a result. Do it, in writing if you can: a wrong prediction is remembered longer than a right sentence. The symbols used throughout are listed in the [glossary](../GLOSSARY.md).
#
# ## Your checklist for the whole course
#
# Come back to this list, and tick what you could explain to somebody else without notes. The first four boxes are lessons 01 to 04, and lesson 07 goes deeper into the fourth; the last two are lessons 06 and 09.
#
# - [ ] **ELBO derivation.** I can derive the evidence lower bound from log p(x), and name what separates the two.
# - [ ] **Reparameterisation.** I can say why a sample blocks the gradient, how z = μ + σ·ε lets it through, and how to test that it does.
# - [ ] **KL.** I can write the KL divergence from a Gaussian to the standard normal, say when it is zero, and spot a wrong sign, a wrong average and a mistaken log σ.
# - [ ] **The role of β.** I can say what a weight on the KL trades, and find the weight that an implementation hides in its averages.
# - [ ] **Latent space.** I can draw it, walk through it, and say which statements about it were measured and which only look true.
# - [ ] **Conditional VAE.** I can say where a condition enters the two networks, and how to check that it is used.
#
# ## Recap
#
# - You read off which versions and data your copy uses.
# - You trained a small VAE and read its loss: a reconstruction part plus a KL part, in nats per image.
# - You moved through its latent space with sliders and described what changed.
# - You saw which questions the course answers, and in which order.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | "This kernel has no vae_course" | the notebook was opened with another Python than the course's | start with `make lab`, or choose the course's `.venv` as kernel |
# | the data line says "drawn for this course" | no MNIST on this machine, and no network | nothing needs fixing; to use MNIST, set `VAE_COURSE_DATA` to a folder that holds `MNIST/raw/*.gz` |
# | "VAE_COURSE_DATA is …, and there is no folder MNIST in it" | the variable names another folder | correct it or unset it, then restart the kernel |
# | a still picture where sliders should be | the cell has not been run in this session, or the editor shows no widgets | run the cell; the still picture shows the same latents |
# | *Run All Cells* runs nothing, or a window asks you to *Select Kernel* | the kernel, which does the computing, had not started yet | choose *Select* if you are asked; wait until *Python 3* stands at the top right, and run again |
# | a name is not defined | a cell further up has not been run | *Run* menu, *Run All Above* |
#
# ## References
#
# - D. P. Kingma and M. Welling, *Auto-Encoding Variational Bayes*, 2014, [arXiv 1312.6114](https://arxiv.org/abs/1312.6114): the paper that introduced the model, independently of the next one.
# - D. J. Rezende, S. Mohamed and D. Wierstra, *Stochastic Backpropagation and Approximate Inference in Deep Generative Models*, 2014, [arXiv 1401.4082](https://arxiv.org/abs/1401.4082).
# - Y. LeCun, C. Cortes and C. Burges, *The MNIST database of handwritten digits*, CC BY-SA 3.0.
#
# **Next:** [01 · The evidence lower bound](01_elbo.ipynb)

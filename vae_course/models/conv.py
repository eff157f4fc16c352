"""The convolutional VAE of lesson 04: two strided convolutions down to 7×7, and two transposed ones back."""

from torch import nn

from vae_course.models.vae import VAE, require_z_dim


class ConvVAE(VAE):
    """1→32→64 channels, kernel 3, stride 2, a hidden layer of 256, and its mirror as decoder; for 28×28 digits."""

    def __init__(self, z_dim: int = 20) -> None:
        require_z_dim(z_dim)
        encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),  # (B, 32, 14, 14)
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),  # (B, 64, 7, 7)
            nn.ReLU(),
            nn.Flatten(),  # (B, 3136)
            nn.Linear(64 * 7 * 7, 256),
            nn.ReLU(),
            nn.Linear(256, 2 * z_dim),
        )
        decoder = nn.Sequential(
            nn.Linear(z_dim, 256),
            nn.ReLU(),
            nn.Linear(256, 64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),  # (B, 64, 7, 7)
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),  # (B, 32, 14, 14)
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1),  # (B, 1, 28, 28)
        )
        super().__init__(encoder, decoder, x_shape=(1, 28, 28), z_dim=z_dim)

"""What deep image networks are made of: for now, the residual block."""

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """SiLU(GroupNorm(shortcut(x) + f(x))), f two 3×3 convolutions with GroupNorm and SiLU between them; no biases.

    The residual sum itself is normalised, at the block's end, so activations keep one scale however many blocks follow
    each other. The shortcut is the identity, or a 1×1 convolution where the number of channels changes.
    GroupNorm looks at one image at a time: what a block says about an image does not depend on the rest of the batch.
    He et al. 2016 (arXiv 1512.03385), Wu and He 2018 (arXiv 1803.08494).
    """

    def __init__(self, channels_in: int, channels_out: int, *, groups: int) -> None:
        super().__init__()
        if groups < 1 or channels_out % groups:
            raise ValueError(f"{channels_out} channels cannot be split into {groups} groups of one size")
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, channels_out)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, channels_in, H, W) -> (B, channels_out, H, W)."""
        f = self.conv2(F.silu(self.norm1(self.conv1(x))))
        return F.silu(self.norm2(self.shortcut(x) + f))

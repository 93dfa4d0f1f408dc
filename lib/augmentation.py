"""Random views of pictures for contrastive learning, drawn and applied to a whole batch at once."""

import math

import torch


def random_view(
    pictures: torch.Tensor, generator: torch.Generator, *, least_area: float = 0.6, colour: float = 1.0, grey: float = 0.2
) -> torch.Tensor:
    """A cropped, mirrored and recoloured view of each picture (Chen et al., SimCLR, ICML 2020, appendix A, without blur).

    Args:
        pictures: (n, 3, H, W), normalised floats around zero.
        generator: source of all randomness, on the CPU whatever the pictures' device.
        least_area: smallest share of the picture a crop keeps.
        colour: strength of brightness, contrast and saturation jitter: factors are drawn from 1 - colour to 1 + colour; each channel is
            shifted by up to 0.2 colour in place of a hue rotation.
        grey: probability of losing colour altogether.
    """
    n, device = len(pictures), pictures.device

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(n, *shape, generator=generator).to(device)

    area, ratio = uniform(least_area, 1), torch.exp(uniform(math.log(3 / 4), math.log(4 / 3)))
    scale = torch.stack([torch.sqrt(area * ratio), torch.sqrt(area / ratio)], 1).clamp(max=1)  # (n, 2) share of each side
    centre = (1 - scale) * uniform(-1, 1, 2)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    transform = torch.zeros(n, 2, 3, device=device)
    transform[:, 0, 0], transform[:, 1, 1], transform[:, :, 2] = scale[:, 0] * mirror, scale[:, 1], centre
    grid = torch.nn.functional.affine_grid(transform, list(pictures.shape), align_corners=False)
    views = torch.nn.functional.grid_sample(pictures, grid, align_corners=False, padding_mode="reflection")

    brightness, contrast, saturation = (uniform(1 - colour, 1 + colour, 1, 1, 1) for _ in range(3))
    shift = uniform(-0.2, 0.2, 3, 1, 1) * colour  # a tint in place of a hue rotation
    luminance = views.mean(1, keepdim=True)
    saturation = torch.where(uniform(0, 1, 1, 1, 1) < grey, torch.zeros_like(saturation), saturation)
    views = luminance + saturation * (views - luminance)
    return (contrast * (views - views.mean((1, 2, 3), keepdim=True)) + brightness * views.mean((1, 2, 3), keepdim=True) + shift).clamp(
        -2, 2
    )

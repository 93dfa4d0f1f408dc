"""The mapping net: from the width of the text encoder to the dimensions of a feature map (specs/lico.md, 2.1)."""

from torch import nn

HIDDEN = 512


def mapping_net(width: int, dims: int, *, hidden: int = HIDDEN, dropout: float = 0.5) -> nn.Sequential:
    """Linear(width, hidden), dropout, ReLU, Linear(hidden, dims), in the released code's order.

    Args:
        width: of the text features.
        dims: d', the number of places of a feature map, or of channels where places are the points.
        hidden: width in between; the released code's 512.
        dropout: share of hidden units that are left out in training; the second study has none.

    Raises:
        ValueError: if a width is below 1 or dropout not in [0, 1).
    """
    for name, value in (("width", width), ("dims", dims), ("hidden", hidden)):
        if value < 1:
            raise ValueError(f"{name}: found {value}; expected at least 1")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: found {dropout}; expected 0 to below 1")
    return nn.Sequential(nn.Linear(width, hidden), nn.Dropout(dropout), nn.ReLU(), nn.Linear(hidden, dims))

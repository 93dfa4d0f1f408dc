"""Representations by name: what turns pictures into features, from pixels to the last layer of a network.

| name | features |
|---|---|
| `pixels` | the picture, averaged to 16 x 16 |
| `noise` | random numbers that have nothing to do with the picture: the floor of every measure |
| `descriptor:hog_colour` | oriented gradients and a colour histogram |
| `<encoder>` | the embedding of an encoder, e.g. `local:simclr,seed=0` |
| `<encoder>@<layer>` | means over places of the units of one of its layers |
"""

import numpy as np
from PIL import Image

from lib import activations, descriptors, encoders, store
from lib.datasets.pictures import Pictures
from lib.keyed_random import generator
from lib.survey import code_of

PIXELS, NOISE, DESCRIPTOR = "pixels", "noise", "descriptor:hog_colour"
PIXEL_SIDE, NOISE_DIMENSIONS = 16, 64


def features(name: str, pictures: Pictures, *, device: str = "cpu") -> np.ndarray:
    """The features of all pictures, (pictures, dims) float32; kept in the cache where a network makes them.

    Args:
        name: see the table above.
        pictures: which.
        device: where a network runs.

    Raises:
        ValueError: if the name, or a layer in it, is not known.
    """
    if name == PIXELS:
        return np.concatenate([np.stack([_shrunk(picture) for picture in batch]) for _, batch in pictures.batches(512)])
    if name == NOISE:
        return generator(0, 51).standard_normal((len(pictures), NOISE_DIMENSIONS), dtype=np.float32)
    if name == DESCRIPTOR:
        return np.concatenate([descriptors.hog_colour(batch) for _, batch in pictures.batches(512)])
    encoder_name, _, layer = name.partition("@")
    encoder = encoders.load(encoder_name, device=device)

    def make():
        made = activations.activations(encoder, pictures, [layer])[layer] if layer else activations.embeddings(encoder, pictures)
        return {"features": made}

    inputs = {"encoder": encoder.identity, "pictures": pictures.identity, "layer": layer}
    return store.fetch("features", inputs, make, code=[activations, *code_of(encoder)])["features"]


def _shrunk(picture):
    return np.asarray(Image.fromarray(picture).resize((PIXEL_SIDE, PIXEL_SIDE), Image.Resampling.BOX), np.float32).ravel() / 255

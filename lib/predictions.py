"""What the head of an encoder says about pictures."""

import numpy as np
import torch

from lib import store
from lib.datasets.pictures import Pictures
from lib.encoders.encoder import Encoder
from lib.survey import code_of


def class_probabilities(encoder: Encoder, pictures: Pictures) -> np.ndarray:
    """The probability of each class for every picture, (pictures, classes) float32; kept in the cache.

    Raises:
        ValueError: if the encoder has no classification head.
    """
    if encoder.classify is None:
        raise ValueError(f"encoder: found {encoder.name}, which has no classification head; expected one that has")

    def make():
        with torch.no_grad():
            parts = [torch.softmax(encoder.classify(encoder.preprocess(batch)), 1).cpu().numpy() for _, batch in pictures.batches()]
        return {"probabilities": np.concatenate(parts)}

    inputs = {"encoder": encoder.identity, "pictures": pictures.identity}
    return store.fetch("predictions", inputs, make, code=[class_probabilities, *code_of(encoder)])["probabilities"]

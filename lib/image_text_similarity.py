"""How similar pictures and names are in a CLIP: what textual concepts are learned from.

| source | what it is |
|---|---|
| `local:clip,seed=0` | the small CLIP trained on scenes and their captions; names are made of words that captions use |
| `open_clip:ViT-B-16/openai` | a network of open_clip with the weights of its tag, downloaded when first used |
| `open_clip:FOLDER` | a folder with open_clip_config.json and open_clip_model.safetensors |
| `truth` | no CLIP: 1 where a picture has the concept of that name, else 0; stands in where no CLIP is at hand |
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize

from lib import encoders, store
from lib.datasets.pictures import Pictures
from lib.encoders import local
from lib.encoders.open_clip_networks import open_clip_network
from lib.encoders.recipe import tokenizer_of
from lib.encoders.weights import weights_sha256
from lib.survey import code_of

TRUTH = "truth"


def image_text_similarity(source: str, pictures: Pictures, names: Sequence[str], *, device: str = "cpu") -> np.ndarray:
    """Cosine of every picture with every name, (pictures, names) float32; kept in the cache where a network makes it.

    Args:
        source: see the table above.
        pictures: which.
        names: of concepts; for `truth`, columns of the pictures' concepts, with their block ("shape: star") or without ("star").
        device: where a network runs.

    Raises:
        ValueError: if the source is unknown, a name has a word that the small CLIP never saw, or a concept of that name is not known.
        FileNotFoundError: if weights are neither on this machine nor in reach.
    """
    if not len(names):
        raise ValueError("names: found none; expected at least one")
    if source == TRUTH:
        return _truth(pictures, names)
    if source.startswith("local:clip"):
        return _local(source, pictures, names)
    if source.startswith("open_clip:"):
        return _pretrained(source, pictures, names, device)
    raise ValueError(f"source: found {source!r}; expected local:clip, open_clip:MODEL/TAG, open_clip:FOLDER or {TRUTH}")


def _truth(pictures, names):
    if pictures.concepts is None:
        raise ValueError(f"source: found {TRUTH!r} for {pictures.name}, whose concepts are not known; expected a CLIP")
    columns = {column.partition(": ")[2]: column for column in pictures.concepts} | {column: column for column in pictures.concepts}
    if unknown := [name for name in names if name not in columns]:
        raise ValueError(f"names: found {unknown[0]!r}; expected concepts of {pictures.name}, such as {next(iter(columns))!r}")
    return pictures.concepts[[columns[name] for name in names]].to_numpy(np.float32)


def _local(source, pictures, names):
    encoder, recipe = encoders.load(source), local.recipe_named(source)
    tokens = tokenizer_of(local.training_pictures(recipe))(list(names))
    model = local.objective_of(source).clip

    def make():
        return {"cosines": _cosines(pictures, tokens, lambda batch: encoder.embed(encoder.preprocess(batch)), model.encode_text)}

    inputs = {"encoder": encoder.identity, "recipe": asdict(recipe), "pictures": pictures.identity, "names": list(names)}
    return store.fetch("cosines", inputs, make, code=[image_text_similarity, *code_of(encoder)])["cosines"]


def _pretrained(source, pictures, names, device):
    wanted = source.removeprefix("open_clip:")
    model, preprocess, tokenizer = open_clip_network(wanted, device)

    def images(batch):
        return model.encode_image(torch.stack([preprocess(Image.fromarray(picture)) for picture in batch]).to(device))

    def make():
        return {"cosines": _cosines(pictures, tokenizer(list(names)).to(device), images, model.encode_text)}

    inputs = {
        "model": Path(wanted).name if Path(wanted).is_dir() else wanted, "weights": weights_sha256(model),
        "preprocess": hashlib.sha256(repr(preprocess).encode()).hexdigest(), "pictures": pictures.identity, "names": list(names),
    }  # fmt: skip
    return store.fetch("cosines", inputs, make, code=[image_text_similarity])["cosines"]


@torch.no_grad()
def _cosines(pictures, tokens, encode_images, encode_texts):
    texts = normalize(encode_texts(tokens), dim=1)
    return torch.cat([normalize(encode_images(batch), dim=1) @ texts.T for _, batch in pictures.batches(128)]).float().cpu().numpy()

"""Text encoders by name:

| name | what it is |
|---|---|
| `local:clip,seed=0` | the small CLIP trained on scenes and their captions; it knows the words that captions use |
| `open_clip:ViT-B-32/openai` | the text side of a network of open_clip, downloaded when first used |
| `open_clip:FOLDER` | a folder with open_clip_config.json and open_clip_model.safetensors |
| `hugging_face:NAME` | a text encoder of Hugging Face's transformers that takes vectors for words, by name or local folder |

The last has BERT and its kind, and sentence encoders; it needs the package transformers. A CLIP comes by open_clip; a T5 decodes, too.
"""

from functools import lru_cache
from pathlib import Path

from lib.encoders import local
from lib.encoders.open_clip_networks import open_clip_network
from lib.encoders.recipe import tokenizer_of
from lib.lico.text_encoders import ContrastiveText, HuggingFaceText, TextEncoder


@lru_cache(maxsize=2)
def load(source: str, *, device: str = "cpu") -> TextEncoder:
    """A text encoder by name, see the table above; the same one for all that ask, since it is frozen.

    Raises:
        ValueError: if the name is unknown.
        FileNotFoundError: if weights are neither on this machine nor in reach.
        ImportError: if transformers is needed and not installed.
    """
    scheme, _, rest = source.partition(":")
    if source.startswith("local:clip"):
        tokenizer = tokenizer_of(local.training_pictures(local.recipe_named(source)))
        return ContrastiveText(local.objective_of(source).clip, tokenizer, source).to(device)
    if scheme == "open_clip" and rest:
        network, _, tokenizer = open_clip_network(rest, device)
        return ContrastiveText(network, tokenizer, source).to(device)
    if scheme == "hugging_face" and rest:
        return _hugging_face(rest, source).to(device)
    raise ValueError(f"source: found {source!r}; expected local:clip, open_clip:MODEL/TAG, open_clip:FOLDER or hugging_face:NAME")


def _hugging_face(wanted, name):
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ImportError(f"{name}: needs the package transformers, which is not installed; pip install '.[text]'") from error
    try:
        model, tokenizer = AutoModel.from_pretrained(wanted, use_safetensors=True), AutoTokenizer.from_pretrained(wanted)
    except (OSError, ValueError) as error:
        help_ = "name a local folder with config.json, model.safetensors and the tokenizer's files"
        raise FileNotFoundError(f"{name}: cannot be loaded ({error})\nWhat helps: {help_}") from error
    label = Path(wanted).name if Path(wanted).is_dir() else wanted
    return HuggingFaceText(model, tokenizer, f"hugging_face:{label}")


def stop_of(source: str) -> str:
    """The sign that ends a prompt; the captions of scenes have none."""
    return "" if source.startswith("local:clip") else "."

"""Networks of timm and torchvision, and the reader's own weights for one of these architectures."""

import difflib
import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from lib import paths
from lib.downloads import fetch_by_prefix
from lib.encoders import published
from lib.encoders.encoder import Encoder
from lib.encoders.preprocess import with_transform
from lib.encoders.weights import load_strictly, read_weights, weights_sha256


def load_timm(name: str, base: str, options: dict, device: str) -> Encoder:
    """`timm:resnet50.a1_in1k`: a network of timm with the weights of its tag.

    Args:
        name: the whole string.
        base: model name of timm, with or without the tag of its weights.
        options: pretrained=0 leaves the weights random, seed=0 says which ones, classes=10 sets the size of the head (random weights only).
        device: where it runs.

    Raises:
        ValueError: if the model, its weights or an option is not known.
        FileNotFoundError: if the weights are neither on this machine nor in reach.
    """
    pretrained = _options(name, options)
    module = _timm(base, options, pretrained)
    return _assemble_timm(name, base, module, device, "imagenet" if pretrained and module.num_classes else "")


def load_torchvision(name: str, base: str, options: dict, device: str) -> Encoder:
    """`torchvision:resnet18`: a network of torchvision with its best weights; arguments and errors as in `load_timm`."""
    import torchvision

    pretrained = _options(name, options)
    module = _torchvision(base, options)
    if pretrained:
        url = torchvision.models.get_model_weights(base).DEFAULT.url
        try:
            path = fetch_by_prefix(url, mirror_folder="weights/torchvision")
        except FileNotFoundError as error:
            raise _unreachable(name, error, str(paths.WEIGHTS)) from error
        load_strictly(module, read_weights(path), name)
    return _assemble_torchvision(name, base, module, device, "imagenet" if pretrained else "")


def load_file(name: str, base: str, options: dict, device: str) -> Encoder:
    """`file:path.pt+timm:resnet18`: the reader's weights for an architecture of timm, torchvision or of our published ones.

    Args:
        name: the whole string.
        base: path of a state dict (.safetensors, or torch.save of tensors), a plus sign, the architecture. A relative path is looked for in
            the working directory, then in the root of the project.
        options: classes=10 sets the size of the head (0 is none, timm only); labels=cifar10 names the data set whose labels trained it.
        device: where it runs.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds anything but tensors, or its keys or shapes are not those of the architecture.
    """
    if not (parts := re.fullmatch(r"(.+)\+(timm|torchvision|published):([^+]+)", base)):
        raise ValueError(f"{name}: expected file:PATH+timm:MODEL, file:PATH+torchvision:MODEL or file:PATH+published:MODEL")
    given, scheme, model = parts.groups()
    _only(name, options, {"labels"} if scheme == "published" else {"labels", "classes"})
    labels = str(options.get("labels", ""))
    path = next((folder / given for folder in (Path.cwd(), paths.ROOT) if (folder / given).is_file()), Path(given))
    if scheme == "published":
        published.known(model)
    weights = read_weights(path)
    if scheme == "published":
        return published.assemble(name, model, weights, given, device, labels)
    module = _timm(model, options, pretrained=False) if scheme == "timm" else _torchvision(model, options)
    load_strictly(module, weights, given)
    return (_assemble_timm if scheme == "timm" else _assemble_torchvision)(name, model, module, device, labels)


def _timm(base: str, options: dict, pretrained: bool) -> nn.Module:
    import timm

    architecture = base.partition(".")[0]
    if not timm.is_model(architecture):
        raise ValueError(f"timm: found {base!r}; {_nearest(architecture, timm.list_models())}")
    if pretrained and not timm.list_pretrained(f"{architecture}.*" if base == architecture else base):
        tags = timm.list_pretrained(f"{architecture}.*")
        expected = ", ".join(tags) if tags else f"timm:{architecture},pretrained=0, since there are none"
        raise ValueError(f"timm: found no weights {base!r}; expected {expected}")
    classes = {"num_classes": options["classes"]} if "classes" in options else {}
    with _seeded(options.get("seed", 0)):
        if not pretrained:
            return timm.create_model(base, pretrained=False, **classes)
        try:
            return timm.create_model(base, pretrained=True)
        except OSError as error:
            raise _unreachable(f"timm:{base}", error, "the Hugging Face cache (HF_HOME)") from error


def _torchvision(base: str, options: dict) -> nn.Module:
    import torchvision

    models = torchvision.models.list_models(module=torchvision.models)
    if base not in models:
        raise ValueError(f"torchvision: found {base!r}; {_nearest(base, models)}")
    if options.get("classes") == 0:
        raise ValueError(f"torchvision:{base}: classes: found 0; expected at least 1 (only timm has networks without a head)")
    # These two rescale their input when they use their published weights.
    special = {"transform_input": True, "init_weights": True} if base in ("googlenet", "inception_v3") else {}
    classes = {"num_classes": options["classes"]} if "classes" in options else {}
    with _seeded(options.get("seed", 0)):
        return torchvision.models.get_model(base, weights=None, **special, **classes)


def _assemble_timm(name: str, base: str, module: nn.Module, device: str, labels: str) -> Encoder:
    import timm

    config = timm.data.resolve_data_config({}, model=module)
    transform = timm.data.create_transform(**config, is_training=False)
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}
    module = module.eval().to(device)
    return Encoder(
        name=name,
        module=module,
        preprocess=with_transform(transform, device),
        embed=lambda batch: module.forward_head(module.forward_features(batch), pre_logits=True),
        classify=module if module.num_classes else None,
        identity={"architecture": f"timm:{base.partition('.')[0]}", "weights": weights_sha256(module), "preprocess": plain,
                  "timm": timm.__version__},
        circular_labels=labels,
    )


def _assemble_torchvision(name: str, base: str, module: nn.Module, device: str, labels: str) -> Encoder:
    import torchvision

    transform = torchvision.models.get_model_weights(base).DEFAULT.transforms()
    module = module.eval().to(device)
    squeezed = isinstance(module, torchvision.models.SqueezeNet)          # its head is a convolution
    return Encoder(
        name=name,
        module=module,
        preprocess=with_transform(transform, device),
        embed=(lambda batch: module.features(batch).mean((2, 3))) if squeezed else _before_last_linear(module),
        classify=module,
        identity={"architecture": f"torchvision:{base}", "weights": weights_sha256(module), "preprocess": " ".join(repr(transform).split()),
                  "torchvision": torchvision.__version__},
        circular_labels=labels,
    )


def _before_last_linear(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """What enters the last linear layer: torchvision's networks share no name for it."""
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]

    def embed(batch: torch.Tensor) -> torch.Tensor:
        caught = []
        hook = last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        try:
            module(batch)
        finally:
            hook.remove()
        return caught[0]

    return embed


def _options(name: str, options: dict) -> bool:
    """Check the options of timm: and torchvision:; whether trained weights are wanted."""
    _only(name, options, {"pretrained", "seed", "classes"})
    pretrained = options.get("pretrained", 1)
    if pretrained not in (0, 1):
        raise ValueError(f"{name}: pretrained: found {pretrained!r}; expected 0 or 1")
    if pretrained and (surplus := sorted({"seed", "classes"} & set(options))):
        raise ValueError(f"{name}: found {', '.join(surplus)} beside trained weights; expected it only with pretrained=0")
    return bool(pretrained)


def _only(name: str, options: dict, allowed: set[str]) -> None:
    if unknown := sorted(set(options) - allowed):
        raise ValueError(f"{name}: found the options {', '.join(unknown)}; expected only {', '.join(sorted(allowed))}")
    for option in ("seed", "classes"):
        if option in options and (not isinstance(options[option], int) or options[option] < 0):
            raise ValueError(f"{name}: {option}: found {options[option]!r}; expected a whole number")


def _nearest(found: str, names: list[str]) -> str:
    nearest = difflib.get_close_matches(found, names, n=5, cutoff=0.5)
    return f"expected one of its {len(names)} models{', the nearest are ' + ', '.join(nearest) if nearest else ''}"


def _unreachable(name: str, error: Exception, cache: str) -> FileNotFoundError:
    scheme, _, base = name.partition(":")
    return FileNotFoundError(f"{name}: the weights are not on this machine and cannot be downloaded ({str(error).splitlines()[0]})\n"
                             f"What helps: load them once on a machine with a network and copy {cache}, "
                             f"or give a file (file:PATH+{scheme}:{base.partition('.')[0]}), or take random weights ({name},pretrained=0)")


@contextmanager
def _seeded(seed: int):
    """torch's random numbers come from this seed inside, and go on afterwards as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

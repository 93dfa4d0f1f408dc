"""Data sets by name: `scenes`, `digits`, `mnist`, `cifar10`, `cifar100`, `svhn`, `imagenet`, `folder:path`."""

from lib.datasets.pictures import Pictures, random_subset

__all__ = ["Pictures", "load"]

NAMES = (
    "scenes", "digits", "mnist", "cifar10", "cifar10:jpeg", "cifar10:lossless100", "cifar100", "svhn", "svhn:extra", "imagenet",
    "folder:PATH",
)  # fmt: skip


def load(name: str, *, count: int | None = None, seed: int = 0, split: str = "test", **options) -> Pictures:
    """Load a data set.

    Args:
        name: one of
            `scenes`, drawn on the spot (lib/datasets/scenes.py);
            `digits`, 1,797 handwritten digits that come with scikit-learn;
            `mnist`;
            `cifar10`, the original pictures, or their JPEG version where only the mirror's is at hand (the name of the result says so);
            `cifar10:jpeg`, always the JPEG version; `cifar10:lossless100`, the first 100 original test pictures;
            `cifar100`; `svhn`, house numbers, whose training pictures are with `svhn:extra` half a million more;
            `imagenet`, the reader's folder of ImageNet-1k (environment variable IMAGENET_ROOT) or the mirror's sample of 1,000 pictures;
            `folder:path`, the reader's pictures, one sub-folder per class or none.
        count: how many pictures. For scenes, how many to draw; otherwise a random subset in random order; None is all, in their own order.
        seed: of the subset, or of the scenes drawn.
        split: "train" or "test". Scenes and folders have one part only, called "test": for other scenes take another seed.
        options: further keyword arguments of scenes.

    Raises:
        ValueError: if a name, split, count or option is not known.
        FileNotFoundError: if the data are neither on this machine nor in reach; the message says what helps.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split: found {split!r}; expected 'train' or 'test'")
    kind, _, rest = name.partition(":")
    if kind in ("scenes", "folder") and split != "test":
        raise ValueError(f"split: found {split!r} for {kind}, which has one part only; "
                         "expected 'test' (for other scenes take another seed)")
    if options and kind != "scenes":
        raise ValueError(f"options: found {', '.join(options)} for {name}; expected none, only scenes has options")

    # Imported here, so that drawing scenes needs neither scikit-learn nor a network library.
    if name == "scenes":
        if count is None:
            raise ValueError("count: found None; expected how many scenes to draw")
        from lib.datasets.scenes import scenes
        return scenes(count, seed=seed, **options)
    if kind == "folder" and rest:
        from lib.datasets.folder import folder
        return folder(rest, count=count, seed=seed)
    if name == "imagenet":
        from lib.datasets.folder import imagenet
        return imagenet(split, count=count, seed=seed)

    if name == "digits":
        from lib.datasets.digits import digits
        pictures = digits(split)
    elif name == "mnist":
        from lib.datasets.mnist import mnist
        pictures = mnist(split)
    elif kind == "cifar10" and rest in ("", "jpeg", "lossless100"):
        from lib.datasets.cifar10 import cifar10
        pictures = cifar10(split, version=rest)
    elif name == "cifar100":
        from lib.datasets.cifar100 import cifar100
        pictures = cifar100(split)
    elif kind == "svhn" and rest in ("", "extra"):
        from lib.datasets.svhn import svhn
        pictures = svhn(split, extra=rest == "extra")
    else:
        raise ValueError(f"name: found {name!r}; expected one of {', '.join(NAMES)}")
    return pictures if count is None else pictures.take(random_subset(len(pictures), count, seed))

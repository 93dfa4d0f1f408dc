"""Libraries of concept vectors: what the Inherent Interpretability Score lets a representation say."""

"""LICO, language-image consistency: a classifier whose feature maps are pulled towards what a text encoder says of its classes."""

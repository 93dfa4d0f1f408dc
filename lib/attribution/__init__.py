"""Where an embedding looks: attribution of every latent unit of a network to the places of any of its layers.

sites (where) and strategies (how) -> attributions (of every unit) -> maps (of units, of the representation, of a task).
"""

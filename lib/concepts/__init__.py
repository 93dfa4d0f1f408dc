"""Concepts of pictures that bring none along: from labels, from the pixels, from people, from another network.

A concept is a column of 0 and 1 named "block: value"; concepts of one block answer the same question about a picture.
"""

from lib.concepts.blocks import BLOCKS, binarised, block_name, concepts_of
from lib.concepts.learned_expert import audit, predictions_above

__all__ = ["BLOCKS", "audit", "binarised", "block_name", "concepts_of", "predictions_above"]

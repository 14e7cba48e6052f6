"""The stages between a producer and storage: the edge, the decoder, the loader."""

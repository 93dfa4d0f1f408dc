"""Five papers on the interpretability of vision representations: the code behind the notebooks."""

import os

# torch and faiss each load an OpenMP runtime whose waiting threads spin against the other's (up to 17 times slower).
# The runtimes read this when they are loaded, so it helps wherever `lib` is imported before them; the Makefile sets it too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

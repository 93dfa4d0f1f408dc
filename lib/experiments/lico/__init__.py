"""The experiments of notebook 03: LICO, language-image consistency."""

"""What the notebooks do with the measures: sweeps over encoders, settings and controls that return tables. One module per notebook."""

"""Looking at embeddings: projections to the plane, and figures. Arrays in, pictures out."""

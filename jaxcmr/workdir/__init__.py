"""What a run keeps on disk: its folder, its data's record, log, embeddings, checkpoints."""

"""Every way in. Everything that learns of a call appends it to the journal and nothing else."""

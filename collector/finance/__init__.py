"""Every way out that carries money."""

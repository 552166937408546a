"""What the calls of a gateway, and the workers that share its port, know together."""

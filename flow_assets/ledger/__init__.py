"""What happened? Reports, manifests, and our own durable record of them."""

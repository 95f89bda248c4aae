"""How do rows become files? Shape, split, encode."""

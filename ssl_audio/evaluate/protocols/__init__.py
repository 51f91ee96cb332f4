"""Protocols as published: `compat` does what the published program does, its faults among it, `strict` mends
them."""

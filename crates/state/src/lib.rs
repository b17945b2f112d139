//! What a machine-driver run is, what can happen to it, and how it stays on disk.

//! Each file beside this one is a program of its own that shows one extension point: `cargo run --example custom_worker`.

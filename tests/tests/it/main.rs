//! machine-driver as its users run it: the real binary, real files, real processes.
//!
//! `MACHINE_DRIVER_KILLS=n` sets how often the crash tests kill (each; default 40), `MACHINE_DRIVER_HALTS=n` how often the
//! halt test halts (default 12). `MACHINE_DRIVER_BIN` names another binary.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a broken assumption is to end it"
)]

mod aar_cli;
mod alerts;
mod audit;
mod bad_input;
mod commits;
mod contract;
mod council;
mod crash;
mod demo;
mod disk;
mod exits;
mod gate;
mod halts;
mod hostile;
mod lock;
mod model;
mod old_folders;
mod overrides;
mod records;
mod signals;
mod sink;
mod syscalls;
mod tampering;
mod texts;
mod tidy;
mod workers;

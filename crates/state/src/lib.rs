//! What a machine-driver run is, what can happen to it, and how it stays on disk.
//!
//! This is the vocabulary crate: the [`Goal`](goal::Goal) that an operator wrote, the closed set of
//! [`Event`](event::Event)s that can happen to it, the [`State`](state::State) that those events fold into, and the
//! [`store`] that keeps both on disk so that a kill at any instant loses nothing. The rules that decide what happens
//! next live in `machine-driver-governor`; nothing in here starts a process or reads a clock.

pub mod alert;
pub mod canonical;
pub mod change;
pub mod control;
pub mod did;
pub mod environment;
pub mod event;
pub mod glob;
pub mod goal;
pub mod id;
pub mod record;
pub mod state;
pub mod store;
pub mod strict;
pub mod survey;
pub mod time;
pub mod usage;

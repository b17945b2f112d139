//! One task, one fresh process: the Worker port of machine-driver.

pub mod template;

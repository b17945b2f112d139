//! Run one child tree to a deadline and leave nothing behind.

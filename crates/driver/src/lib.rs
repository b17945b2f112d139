//! The dumb, tireless loop: works tasks off with a fresh worker each, verifies, retries, quarantines, survives.

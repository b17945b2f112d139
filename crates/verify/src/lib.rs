//! Ask reality: the Verifier port of machine-driver.

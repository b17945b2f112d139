//! May this proceed, and what comes next: the pure rules of machine-driver.

//! What an entry of the table is: what a worker does, the rules, and what the audit has to say of it.

/// What the audit says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Says {
    /// These lines and no others, in whatever order: a word and a path each.
    Names(&'static [&'static str]),
    /// That all rules hold.
    Holds,
    /// Nothing, since the folder cannot be seen; the worker is told why, with this word.
    Refuses(&'static str),
}

/// One worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What the worker does, for `sh -e`, in the folder.
    pub(crate) script: &'static str,
    /// Shows that it had an effect: fails before it, and succeeds after.
    pub(crate) control: &'static str,
    pub(crate) scope: Option<&'static [&'static str]>,
    pub(crate) immutable: &'static [&'static str],
    pub(crate) says: Says,
}

/// A worker that may change `src` and nothing else.
pub(crate) const fn scoped(
    name: &'static str,
    script: &'static str,
    control: &'static str,
    says: Says,
) -> Attack {
    Attack {
        name,
        script,
        control,
        scope: Some(&["src/**"]),
        immutable: &[],
        says,
    }
}

/// A worker that may change anything but these.
pub(crate) const fn protected(
    name: &'static str,
    immutable: &'static [&'static str],
    script: &'static str,
    control: &'static str,
    says: Says,
) -> Attack {
    Attack {
        name,
        script,
        control,
        scope: None,
        immutable,
        says,
    }
}

impl Attack {
    /// With this scope in place of `src/**`.
    pub(crate) const fn within(mut self, scope: &'static [&'static str]) -> Self {
        self.scope = Some(scope);
        self
    }
}

//! A command cut into characters and placeholders, each with its place in what the operator wrote.

use super::{At, Placeholder, TemplateError};

/// A character or a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    Char(char),
    Hole(Placeholder),
}

/// A symbol and where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) symbol: Symbol,
    pub(super) at: At,
}

/// Cuts a text up. `argument` says which one of an array command it is.
pub(super) fn cut(text: &str, argument: Option<usize>) -> Result<Vec<Unit>, TemplateError> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let at = At {
            argument,
            byte: text.len() - rest.len(),
        };
        if first == '\0' {
            return Err(TemplateError::Nul { at });
        }
        let Some((placeholder, length, braces_before)) = placeholder_ahead(rest) else {
            units.push(Unit {
                symbol: Symbol::Char(first),
                at,
            });
            rest = rest.strip_prefix(first).unwrap_or_default();
            continue;
        };
        if braces_before % 2 == 1 {
            return Err(TemplateError::Doubled { placeholder, at });
        }
        for offset in 0..braces_before {
            units.push(Unit {
                symbol: Symbol::Char('{'),
                at: At {
                    argument,
                    byte: at.byte + offset,
                },
            });
        }
        let at = At {
            argument,
            byte: at.byte + braces_before,
        };
        units.push(Unit {
            symbol: Symbol::Hole(placeholder),
            at,
        });
        rest = rest.get(braces_before + length..).unwrap_or_default();
    }
    Ok(units)
}

/// The units of a text in which nothing is a placeholder, all at one place.
pub(super) fn plain(text: &str, at: At) -> Vec<Unit> {
    text.chars()
        .map(|c| Unit {
            symbol: Symbol::Char(c),
            at,
        })
        .collect()
}

/// If `rest` is a run of `{` whose last one begins a placeholder: which, its length, and the braces before it.
fn placeholder_ahead(rest: &str) -> Option<(Placeholder, usize, usize)> {
    let run = rest.len() - rest.trim_start_matches('{').len();
    let name = rest.get(run..)?;
    let placeholder = Placeholder::ALL.into_iter().find(|p| {
        run > 0
            && name
                .strip_prefix(p.name())
                .is_some_and(|after| after.starts_with('}'))
    })?;
    Some((placeholder, placeholder.name().len() + 2, run - 1))
}

/// Makes doubled braces single where every brace of the command is doubled, as the original's `str.format` asked for.
/// Whether it did.
pub(super) fn make_braces_single(texts: &mut [Vec<Unit>]) -> bool {
    let runs = || {
        texts
            .iter()
            .flat_map(|units| units.chunk_by(|a, b| is_brace(a) && a.symbol == b.symbol))
    };
    let mut braces = runs().filter(|run| run.first().is_some_and(is_brace)).peekable();
    if braces.peek().is_none() || !braces.all(|run| run.len() % 2 == 0) {
        return false;
    }
    for units in texts {
        let mut seen: Option<Symbol> = None;
        units.retain(|unit| {
            let second = is_brace(unit) && seen == Some(unit.symbol);
            seen = (is_brace(unit) && !second).then_some(unit.symbol);
            !second
        });
    }
    true
}

fn is_brace(unit: &Unit) -> bool {
    matches!(unit.symbol, Symbol::Char('{' | '}'))
}

//! What is generated from the command line and the reader of goal.json: schema, completions, manual pages.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use machine_driver::Exit;
use machine_driver_state::goal;

use crate::args::Cli;
use crate::error::Failure;
use crate::out::Out;

/// `schema`
pub(crate) fn schema(out: &Out) -> Result<Exit, Failure> {
    out.raw(&format!("{}\n", goal::schema().trim_end()));
    Ok(Exit::Done)
}

/// `completions`
pub(crate) fn completions(shell: Shell, out: &Out) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "machine-driver", &mut script);
    out.raw(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

/// `man`
pub(crate) fn man(dir: Option<&Path>, out: &Out) -> Result<Exit, Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        Man::new(Cli::command())
            .render(&mut page)
            .map_err(Failure::io("render", "the manual page"))?;
        out.raw(&String::from_utf8_lossy(&page));
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(dir).map_err(Failure::io("make", dir))?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(Failure::io("write manual pages to", dir))?;
    out.note(format!("wrote the manual pages to {}", dir.display()));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::captured::capture;

    #[test]
    fn the_schema_is_printed_as_it_is() {
        let (result, text, _) = capture(false, false, schema);
        assert_eq!(result.ok(), Some(Exit::Done));
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["title"], "goal.json");
    }

    #[test]
    fn every_shell_and_every_command_is_served() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::Elvish,
            Shell::PowerShell,
        ] {
            let (_, text, _) = capture(false, false, |out| completions(shell, out));
            assert!(
                text.contains("machine-driver") && text.contains("verify"),
                "{shell}"
            );
        }
        let (_, page, _) = capture(false, false, |out| man(None, out));
        assert!(
            page.contains(".TH machine-driver 1") && page.contains("130"),
            "{page}"
        );
        let folder = tempfile::tempdir().unwrap();
        let (result, ..) = capture(false, false, |out| man(Some(&folder.path().join("man1")), out));
        assert_eq!(result.ok(), Some(Exit::Done));
        assert!(folder.path().join("man1/machine-driver-log-query.1").is_file());
    }
}

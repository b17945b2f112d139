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
    let schema = goal::schema();
    out.raw(&format!("{:#}\n", serde_json::Value::from(schema)));
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
        Man::new(Cli::command()).render(&mut page).map_err(Failure::io("render", "the manual page"))?;
        out.raw(&String::from_utf8_lossy(&page));
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(dir).map_err(Failure::io("make", dir))?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(Failure::io("write manual pages to", dir))?;
    out.note(format!("wrote the manual pages to {}", dir.display()));
    Ok(Exit::Done)
}

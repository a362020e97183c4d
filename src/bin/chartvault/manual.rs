//! `completions` and `man`: what is told of the tool by its own arguments.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};

/// Write completions for a shell to standard output
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault completions bash > /etc/bash_completion.d/chartvault
  chartvault completions fish > ~/.config/fish/completions/chartvault.fish")]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

pub fn completions(args: &Completions) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "chartvault", &mut text);
    put(&text)
}

/// Write the manual: to standard output, or a page for each verb into a directory
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  chartvault man | man -l -
  chartvault man --out /usr/local/share/man/man1")]
pub struct Manual {
    /// The directory to write the pages to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn manual(args: &Manual) -> Outcome {
    let mut command = Cli::command();
    command.build();
    if let Some(dir) = &args.out {
        pages(dir, &command, "chartvault")?;
        return Ok(Code::Ok);
    }
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    put(&text)
}

fn put(text: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()?;
    Ok(Code::Ok)
}

fn pages(dir: &Path, command: &Command, name: &str) -> Outcome<()> {
    let mut text = Vec::new();
    Man::new(command.clone()).title(name).render(&mut text)?;
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, text).map_err(|error| Failure::file("writing", &path, &error))?;
    let mut verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
    verbs.try_for_each(|verb| pages(dir, verb, &format!("{name}-{}", verb.get_name())))
}

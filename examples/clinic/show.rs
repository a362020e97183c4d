//! Output for a person, in 80 columns.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};

const WIDTH: usize = 80;

/// Starts a numbered section.
pub fn heading(title: &str) {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    println!("\n{number}. {title}\n");
}

/// A name and what it stands for.
pub fn item(name: &str, value: impl Display) {
    let mut name = name;
    for line in wrap(&value.to_string(), WIDTH - 26) {
        println!("   {name:<22} {line}");
        name = "";
    }
}

/// A remark, under an empty line.
pub fn note(text: &str) {
    println!();
    wrap(text, WIDTH - 3).iter().for_each(|line| say(line));
}

/// One line.
pub fn say(line: &str) {
    println!("{}", format!("   {line}").trim_end());
}

/// Lines of at most so many characters, broken between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Cut to so many characters.
pub fn short(text: &str, width: usize) -> String {
    match text.chars().count() {
        fits if fits <= width => text.to_owned(),
        _ => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

pub fn count(number: impl TryInto<u64>) -> String {
    HumanCount(number.try_into().unwrap_or(u64::MAX)).to_string()
}

pub fn size(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

pub fn rate(records: usize, took: Duration) -> String {
    let per_second = records as f64 / took.as_secs_f64();
    format!("{} records/s ({:.2} s)", count(per_second as u64), took.as_secs_f64())
}

/// A progress bar on the terminal; nothing where there is none.
pub fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("   {bar:44} {percent:>3} %  {eta} left");
    let bar = ProgressBar::new(total);
    style.map_or(ProgressBar::hidden(), |style| bar.with_style(style))
}

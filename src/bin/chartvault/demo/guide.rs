//! Tells the drill, and asks: paragraphs and questions for people, an object a scene for programs.

use std::io::{self, Write};

use chartvault::{AuditEntry, AuditEvent};
use serde_json::{Map, Value, json};

use super::answers::Answers;
use super::house::House;
use crate::failure::{Failure, Outcome};
use crate::show::{Show, printable};

/// Columns of a line for people.
const WIDTH: usize = 92;

/// Lines that are no number before the drill takes it that nobody is there.
const PATIENCE: u8 = 5;

/// What the reader decides.
pub struct Question {
    pub asks: &'static str,
    /// Two to four, each with what to say to whoever takes it.
    pub answers: &'static [Answer],
    /// The number of the one that is right, from 1.
    pub right: usize,
}

pub struct Answer {
    pub text: &'static str,
    pub because: &'static str,
}

/// What was answered over all scenes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    pub asked: u32,
    pub at_once: u32,
    pub second_try: u32,
}

pub struct Guide {
    show: Show,
    /// Takes the right answers by itself.
    yes: bool,
    answers: Answers,
    /// The scene that is under way, as programs read it.
    scene: Map<String, Value>,
    pub score: Score,
}

impl Guide {
    pub fn new(show: Show, yes: bool) -> Self {
        Self { show, yes, answers: Answers::default(), scene: Map::new(), score: Score::default() }
    }

    pub fn begin(&mut self, number: usize, of: usize, name: &str, title: &str) -> Outcome<()> {
        self.scene = Map::new();
        self.put("scene", json!(name));
        self.put("number", json!(number));
        self.put("title", json!(title));
        self.show.note(&format!("\n{}\n{number} of {of}  {title}\n{}", "=".repeat(WIDTH), "=".repeat(WIDTH)))
    }

    /// A paragraph.
    pub fn tell(&self, text: &str) -> Outcome<()> {
        self.show.note(&format!("\n{}", wrapped(text, "")))
    }

    /// Something that was done just now, and what the vault answered.
    pub fn happened(&mut self, what: &str, answer: impl ToString) -> Outcome<()> {
        let answer = answer.to_string();
        self.add("happened", json!({ "what": what, "answer": answer }));
        let lines: Vec<_> = answer.lines().map(|line| wrapped(&printable(line), "      ")).collect();
        let colon = if what.ends_with('?') { "" } else { ":" };
        self.show.note(&format!("  * {what}{colon}\n{}", lines.join("\n")))
    }

    /// Asks until there is an answer, and once more where it is wrong.
    pub fn ask(&mut self, question: &Question) -> Outcome<()> {
        self.prompt(&format!("\n{}", wrapped(&format!("QUESTION: {}", question.asks), "")))?;
        for (number, answer) in (1..).zip(question.answers) {
            self.prompt(&wrapped_after(&format!("  {number}  "), answer.text))?;
        }
        let mut given = Vec::new();
        for last in [false, true] {
            let number = self.number(question)?;
            given.push(number);
            let right = number == question.right;
            let because = of(question, number).map_or("", |answer| answer.because);
            self.prompt(&wrapped(&format!("{} {because}", if right { "Right." } else { "Not quite." }), ""))?;
            if right {
                break;
            }
            if !last {
                self.prompt("Try once more.")?;
            } else if let Some(answer) = of(question, question.right) {
                self.prompt(&wrapped(&format!("It is {}: {} {}", question.right, answer.text, answer.because), ""))?;
            }
        }
        let (right, at_once) = (given.last() == Some(&question.right), given.len() == 1);
        self.score.asked = self.score.asked.saturating_add(1);
        let counted = if at_once { &mut self.score.at_once } else { &mut self.score.second_try };
        *counted = counted.saturating_add(u32::from(right));
        self.put("question", json!(question.asks));
        self.put("answers", question.answers.iter().map(|answer| answer.text).collect::<Vec<_>>().into());
        self.put("given", json!(given));
        self.put("right_answer", json!(question.right));
        self.put("right", json!(right));
        Ok(())
    }

    fn number(&mut self, question: &Question) -> Outcome<usize> {
        let most = question.answers.len();
        if self.yes {
            self.prompt(&format!("Your answer (1 to {most}): {}, as --yes says", question.right))?;
            return Ok(question.right);
        }
        for _ in 0..PATIENCE {
            self.prompt(&format!("Your answer, 1 to {most}, then Enter:"))?;
            let Some(line) = self.answers.next()? else {
                return Err(Failure::usage("the input ended before the question was answered")
                    .hint("run it at a terminal, or add --yes to have the right answers taken"));
            };
            match line.trim().parse() {
                Ok(number) if (1..=most).contains(&number) => return Ok(number),
                _ => self.prompt(&format!("That is none of the numbers from 1 to {most}."))?,
            }
        }
        Err(Failure::usage(format_args!("{PATIENCE} lines came that are no answer"))
            .hint("type the number of an answer, or add --yes to have the right answers taken"))
    }

    /// The entries that a scene has written to the practice's log.
    pub fn log(&mut self, house: &House, entries: &[AuditEntry]) -> Outcome<()> {
        self.log_of("WHERE IT STANDS IN THE LOG (read by the auditor)", "log", "clinic.vault", house, entries)
    }

    /// The same for a vault that is not the practice's, under another name for programs.
    pub fn log_of(
        &mut self,
        title: &str,
        name: &str,
        vault: &str,
        house: &House,
        entries: &[AuditEntry],
    ) -> Outcome<()> {
        self.show.note(&format!("\n{title}:"))?;
        for entry in entries {
            let who = entry.actor.map_or("-", |actor| house.name_of(actor));
            self.show.note(&in_words(entry, who))?;
            let entry = json!({
                "vault": vault,
                "number": entry.seq,
                "time": entry.time.to_string(),
                "event": entry.event.to_string(),
                "outcome": entry.outcome.to_string(),
                "count": entry.count,
                "who": entry.actor.map(|_| who),
            });
            self.add(name, entry);
        }
        let explained = EXPLAINED.iter().filter(|(event, _)| entries.iter().any(|entry| entry.event == *event));
        explained.into_iter().try_for_each(|(event, means)| self.show.note(&format!("  ({event}: {means})")))
    }

    /// What a person should do, step by step, and the commands of this tool for it.
    pub fn advise(&mut self, steps: &[&str], commands: &[String]) -> Outcome<()> {
        self.put("to_do", json!(steps));
        self.put("commands", json!(commands));
        self.show.note("\nWHAT TO DO:")?;
        for (number, step) in (1..).zip(steps) {
            self.show.note(&wrapped_after(&format!("  {number}. "), step))?;
        }
        self.show.note("with these commands:")?;
        commands.iter().try_for_each(|command| self.show.note(&format!("  {command}")))
    }

    /// Ends a scene.
    pub fn end(&mut self) -> Outcome<()> {
        let scene = std::mem::take(&mut self.scene);
        if self.show.json { self.show.line(&Value::Object(scene)) } else { Ok(()) }
    }

    /// What is part of a question: to people; where programs read the answer, people see it on standard error.
    fn prompt(&self, text: &str) -> Outcome<()> {
        if self.show.json {
            if !self.yes {
                // Where nobody reads standard error there is nobody to ask.
                drop(writeln!(io::stderr(), "{text}"));
            }
            return Ok(());
        }
        self.show.note(text)
    }

    fn put(&mut self, name: &str, value: Value) {
        drop(self.scene.insert(name.to_owned(), value));
    }

    fn add(&mut self, name: &str, value: Value) {
        let list = self.scene.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(value);
        }
    }
}

/// Words of the log that do not explain themselves.
const EXPLAINED: [(AuditEvent, &str); 11] = [
    (AuditEvent::UnlockFailed, "somebody tried to open the vault with something wrong"),
    (AuditEvent::HeaderWritten, "the list of what opens the vault was saved; the change holds from here on"),
    (AuditEvent::SlotAdded, "something more opens the vault"),
    (AuditEvent::SlotRemoved, "something opens the vault no more"),
    (AuditEvent::IssuerTrusted, "somebody who can open the vault said who may sign passes"),
    (AuditEvent::GlassBroken, "somebody declared an emergency"),
    (AuditEvent::FlagRaised, "monitoring found something that a person should look at"),
    (AuditEvent::Revoked, "a pass was declared worthless"),
    (AuditEvent::VaultChecked, "somebody had the files checked"),
    (AuditEvent::VaultRestored, "this vault was brought back from a backup; what came after it is not here"),
    (AuditEvent::VaultSalvaged, "this vault was made from a damaged one"),
];

/// An entry on a line.
fn in_words(entry: &AuditEntry, who: &str) -> String {
    let time = entry.time.to_string();
    let count = entry.count.filter(|count| *count > 1).map(|count| format!(" x{count}")).unwrap_or_default();
    let (event, outcome) = (format!("{}{count}", entry.event), entry.outcome.to_string());
    let time = time.get(..19).unwrap_or(&time);
    format!("  entry {:>4}  {time}  {event:<17}  {outcome:<8}  {who}", entry.seq).trim_end().to_owned()
}

fn of(question: &Question, number: usize) -> Option<&Answer> {
    question.answers.get(number.checked_sub(1)?)
}

/// Text in lines that fit a terminal, each behind `before`.
fn wrapped(text: &str, before: &str) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = before.len().saturating_add(line.chars().count()).saturating_add(word.chars().count());
        if !line.is_empty() && longer >= WIDTH {
            lines.push(format!("{before}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{before}{line}"));
    lines.join("\n")
}

/// The same, with something in front of the first line.
fn wrapped_after(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.chars().count());
    let lines = wrapped(text, &indent);
    format!("{first}{}", lines.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_no_word_is_lost() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text, "    ");
        assert!(lines.lines().count() > 3 && lines.lines().all(|line| line.len() <= WIDTH && line.starts_with("    ")));
        assert_eq!(lines.split_whitespace().count(), 60);
        assert_eq!(wrapped_after("1. ", "a b"), "1. a b");
    }
}

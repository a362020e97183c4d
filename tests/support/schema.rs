//! Validates values by a JSON schema, as far as the schema of FHIR uses the language: any other keyword or pattern is an error.

use serde_json::Value;

pub struct Schema(Value);

impl Schema {
    pub fn new(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap())
    }

    /// What is wrong with a value; empty where it is valid.
    pub fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.0, value, "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (keyword, rule) in schema.as_object().unwrap() {
            let holds = match keyword.as_str() {
                "$schema" | "id" | "definitions" => true,
                "$ref" => {
                    let name = rule.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                    let definition = self.0["definitions"].get(name).unwrap_or_else(|| panic!("no definition {name}"));
                    self.check(definition, value, at, faults);
                    true
                }
                "type" => match rule.as_str().unwrap() {
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    other => panic!("type {other}"),
                },
                "const" => value == rule,
                "enum" => rule.as_array().unwrap().contains(value),
                "pattern" => value.as_str().is_none_or(|text| is_match(rule.as_str().unwrap(), text)),
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{at}/{n}"), faults);
                    }
                    true
                }
                "properties" => {
                    for (name, property) in rule.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            self.check(property, member, &format!("{at}/{name}"), faults);
                        }
                    }
                    value.is_object()
                }
                "additionalProperties" => {
                    assert_eq!(*rule, Value::Bool(false));
                    let known = schema["properties"].as_object().unwrap();
                    value.as_object().is_some_and(|object| object.keys().all(|name| known.contains_key(name)))
                }
                "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
                other => panic!("keyword {other}"),
            };
            if !holds {
                faults.push(format!("{at}: {keyword}: {value}"));
            }
        }
    }
}

/// Blanks as either this language or that of patterns counts them.
fn blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn is_match(pattern: &str, text: &str) -> bool {
    const INSTANT: &str = r"^([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))$";
    match pattern {
        r"^\S*$" => !text.chars().any(blank),
        r"^[ \r\n\t\S]+$" => !text.is_empty() && text.chars().all(|c| !blank(c) || " \r\n\t".contains(c)),
        r"^[A-Za-z0-9\-\.]{1,64}$" => {
            (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        }
        r"^[^\s]+(\s[^\s]+)*$" => text.split(blank).all(|word| !word.is_empty()),
        // As it stands there; what it is of has to be a boolean anyway.
        "^true|false$" => text.starts_with("true") || text.ends_with("false"),
        INSTANT => is_instant(text),
        other => panic!("pattern {other}"),
    }
}

/// In UTC, as all of ours are.
fn is_instant(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| text.get(range).and_then(|text| text.parse::<u32>().ok());
    let shape = text.get(..19).map(|text| text.replace(|c: char| c.is_ascii_digit(), "0"));
    let fraction = text.get(19..).and_then(|rest| rest.strip_suffix('Z'));
    shape.as_deref() == Some("0000-00-00T00:00:00")
        && digits(0..4).is_some_and(|year| year > 0)
        && digits(5..7).is_some_and(|month| (1..=12).contains(&month))
        && digits(8..10).is_some_and(|day| (1..=31).contains(&day))
        && digits(11..13).is_some_and(|hour| hour < 24)
        && digits(14..16).is_some_and(|minute| minute < 60)
        && digits(17..19).is_some_and(|second| second <= 60)
        && fraction.is_some_and(|fraction| {
            fraction.is_empty()
                || fraction
                    .strip_prefix('.')
                    .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
        })
}

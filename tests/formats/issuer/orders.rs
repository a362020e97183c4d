//! Orders for `tests/interop/issue_token.py`, and what they have in common.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A key that the tests know.
pub fn seed(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn can_run() -> bool {
    let needed = "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey";
    let able = Command::new("python3").args(["-c", needed]).output().is_ok_and(|output| output.status.success());
    if !able {
        println!("skipped: there is no python3 with the package cryptography and its Ed25519");
    }
    able
}

/// Has orders carried out in one run; yields the line of each, or the issuer's complaint.
pub fn try_run(orders: &[Value]) -> Result<Vec<String>, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/issue_token.py");
    let mut command = Command::new("python3");
    command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(Value::from(orders).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    if !output.status.success() {
        assert_eq!((output.status.code(), complaint.lines().count()), (Some(2), 1), "{complaint}");
        return Err(complaint);
    }
    let lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), orders.len());
    Ok(lines)
}

pub fn run(orders: &[Value]) -> Vec<String> {
    try_run(orders).unwrap()
}

/// The items of a grant of everything, for a day, to `dr.osei`.
pub fn everything(now: u64) -> Value {
    let actions = "read list create amend void export erase audit review grant operate";
    let purposes = "TREAT ETREAT BTG HPAYMT HOPERAT HRESCH PUBHLTH PATRQT FAMRQT COVERAGE HLEGAL HSYSADMIN";
    json!({
        "subject": "dr.osei", "not_after": now + 86_400, "actions": actions.split(' ').collect::<Vec<_>>(),
        "kinds": "all", "patients": "all", "purposes": purposes.split(' ').collect::<Vec<_>>(), "sensitivity": "V",
        "max_depth": 7,
    })
}

/// Everything that a block can say, as widely as it can be said, without what only a grant says.
pub fn widening(now: u64) -> Value {
    let mut items = everything(now);
    items.as_object_mut().unwrap().remove("subject");
    let wide = json!({
        "not_before": 0, "not_after": now + 300 * 86_400, "max_uses": u32::MAX, "session": [u32::MAX, u32::MAX],
    });
    with(items, wide)
}

/// Items, some of them replaced or added.
pub fn with(mut items: Value, changed: Value) -> Value {
    let Value::Object(changed) = changed else { panic!("{changed}") };
    items.as_object_mut().unwrap().extend(changed);
    items
}

pub fn block(now: u64, items: &Value) -> Value {
    json!({ "issued_at": now, "items": items })
}

pub const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A token's text, by hand: the tests write what the library would not.
pub fn text_of(bytes: &[u8]) -> String {
    let mut text = String::from("cvt1_");
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        (0..=chunk.len()).for_each(|at| text.push(char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize])));
    }
    text
}

/// And back.
pub fn bytes_of(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in text.strip_prefix("cvt1_").unwrap().bytes() {
        let value = DIGITS.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6 | value as u32) & 0xFFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

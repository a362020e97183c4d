//! The worked example of docs/format/token.md, made again by the issuer in another language from what the page fixes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::orders::{bytes_of, can_run, hex, run};

/// The page: its fields of bytes by their names, and all of it.
struct Page {
    lines: Vec<String>,
}

impl Page {
    fn read() -> Self {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format/token.md");
        Self { lines: fs::read_to_string(page).unwrap().lines().map(str::to_owned).collect() }
    }

    fn field(&self, name: &str) -> String {
        let is_it = |line: &&String| line.split_once('=').is_some_and(|(left, _)| left.trim_end() == name);
        let at = self.lines.iter().position(|line| is_it(&line)).unwrap_or_else(|| panic!("no field {name}"));
        let (_, first) = self.lines[at].split_once('=').unwrap();
        let more = self.lines[at + 1..].iter().take_while(|line| line.starts_with("      "));
        std::iter::once(first).chain(more.map(String::as_str)).map(str::trim).collect()
    }

    fn says(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line == text)
    }
}

#[test]
fn another_issuer_makes_every_byte_of_the_worked_example() {
    if !can_run() {
        return;
    }
    let page = Page::read();
    let at = |seconds: u64| 1_767_614_400 + seconds; // 2026-01-05T12:00:00Z
    let grant = json!({
        "issued_at": at(0), "nonce": page.field("nonce 0"), "seed": page.field("seed 0"), "items": {
            "subject": "dr.osei", "not_after": at(12 * 3_600), "actions": ["read", "list"], "kinds": ["note"],
            "patients": "all", "purposes": ["TREAT"], "sensitivity": "N", "max_depth": 7,
        },
    });
    let narrowing = |signs: (&str, &str)| {
        json!({
            "issued_at": at(60), "nonce": page.field("nonce 1"), signs.0: signs.1, "items": {
                "not_after": at(60 + 1_800), "actions": ["read"], "patients": [page.field("patient id")],
            },
        })
    };
    let issue = |last: Value, proof: &str| {
        let (issuer, vault) = (page.field("issuer seed"), page.field("vault id"));
        json!({ "do": "issue", "issuer": issuer, "vault": vault, "blocks": [grant, last], "proof": proof })
    };
    let key = |of: &str| json!({ "do": "key", "of": of, "seed": page.field(&format!("{of} seed")) });
    let keys = run(&["issuer", "holder", "device", "attester"].map(key));
    let public: Vec<&str> = keys.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert!(page.says(public[0]));

    let seed_1 = page.field("seed 1");
    let challenge = "cvch1_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE";
    let prove = |what: &str| {
        json!({
            "do": what, "token": 2, "challenge": challenge, "purpose": "TREAT", "transcript": page.field("transcript"),
            "key": page.field(if what == "device" { "device seed" } else { "holder seed" }),
        })
    };
    let made = run(&[
        issue(narrowing(("seed", &seed_1)), "open"),
        issue(narrowing(("seed", &seed_1)), "sealed"),
        issue(narrowing(("holder", public[1])), "bound"),
        prove("possession"),
        prove("device"),
        json!({
            "do": "attest", "token": 2, "attester": page.field("attester seed"), "claim": 1, "issued_at": at(90),
            "not_after": at(90 + 300), "challenge": challenge,
        }),
        json!({ "do": "narrow", "token": 0, "blocks": [], "proof": "sealed" }),
        json!({ "do": "narrow", "token": 1, "key": seed_1, "blocks": [] }),
        json!({ "do": "narrow", "token": 0, "blocks": [], "proof": "bound" }),
    ]);
    assert!(page.says(&made[0]) && page.says(challenge) && page.says(&made[3]) && page.says(&made[5]));
    for (text, name) in [(&made[0], "token"), (&made[1], "sealed token"), (&made[2], "bound token")] {
        assert_eq!(hex(&bytes_of(text)), page.field(name));
    }
    let device: chartvault::DeviceProof = made[4].parse().unwrap();
    assert_eq!(hex(&device.to_bytes()), page.field("device proof"));
    // Whoever has the last key turns a token from any form into any other.
    assert_eq!((&made[6], &made[7]), (&made[1], &made[0]));
    let bound = bytes_of(&made[8]);
    assert_eq!((&bound[..bound.len() - 1], bound.last()), (&bytes_of(&made[0])[..bound.len() - 1], Some(&3)));
}

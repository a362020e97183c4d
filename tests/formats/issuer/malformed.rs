//! Tokens that are wrong in one thing, signed all the same wherever a forger could sign: each is refused for that thing.

use std::collections::BTreeSet;

use super::orders::{DIGITS, bytes_of, seed, text_of};
use super::*;

/// Seeds of the keys of the blocks, so that a forger can sign what comes behind them.
const KEYS: [u8; 3] = [0x61, 0x62, 0x63];
/// The neutral element, as a public key: any signature (s·B, s) fits it, whatever is signed, unless keys of small order
/// are refused.
const NEUTRAL: &str = "0100000000000000000000000000000000000000000000000000000000000000";
/// (B, 1), which does.
const FITS_NEUTRAL: &str = concat!(
    "5866666666666666666666666666666666666666666666666666666666666666",
    "0100000000000000000000000000000000000000000000000000000000000000"
);

/// A row of the table: what is wrong, how it is made, and which error is right.
struct Row(String, Made, Right);

type Right = fn(&TokenError) -> bool;

type Change = Box<dyn Fn(&[Cut; 2]) -> String>;

enum Made {
    /// By Python, which signs what it forged.
    Order(Value),
    /// By changing the text of the token of three blocks, or of another like it.
    Changed(Change),
}

/// A token of three blocks, cut at its blocks.
struct Cut {
    text: String,
    head: Vec<u8>,
    blocks: Vec<Vec<u8>>,
    proof: Vec<u8>,
}

impl Cut {
    fn new(text: &str) -> Self {
        let bytes = bytes_of(text);
        let (mut at, mut blocks) = (37, Vec::new());
        for _ in 0..bytes[36] {
            let len = 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]])) + 96;
            blocks.push(bytes[at..at + len].to_vec());
            at += len;
        }
        Self { text: text.to_owned(), head: bytes[..37].to_vec(), blocks, proof: bytes[at..].to_vec() }
    }

    fn joined(&self, blocks: &[&[u8]], proof: &[u8]) -> String {
        let mut bytes = [&self.head[..36], &[u8::try_from(blocks.len()).unwrap()]].concat();
        blocks.iter().for_each(|block| bytes.extend(*block));
        bytes.extend(proof);
        text_of(&bytes)
    }
}

fn keyed(start: u64, at: usize, items: &Value) -> Value {
    with(block(start, items), json!({ "seed": seed(KEYS[at]) }))
}

fn rows(clinic: &Clinic) -> Vec<Row> {
    let start = clinic.start;
    let plain = || [keyed(start, 0, &everything(start)), keyed(start, 1, &json!({})), keyed(start, 2, &json!({}))];
    let whole = |changed: Value| Made::Order(with(clinic.issue(&plain()), changed));
    let forged = |at: usize, forged: Value| {
        let mut blocks = plain();
        blocks[at] = with(blocks[at].clone(), json!({ "forged": forged }));
        Made::Order(clinic.issue(&blocks))
    };
    let value = |at: usize, tag: &str, value: Value| forged(at, json!({ "values": { tag: value } }));
    let changed = |change: fn(&Cut, &Cut) -> String| Made::Changed(Box::new(move |[one, other]| change(one, other)));
    let mut rows = Vec::new();
    let mut row = |name: &str, made: Made, right: Right| rows.push(Row(name.to_owned(), made, right));

    row("another magic", whole(json!({ "forged": { "magic": "CVT2" } })), |e| matches!(e, TokenError::NotCvt1));
    row("another vault", whole(json!({ "vault": seed(1)[..32] })), |e| matches!(e, TokenError::WrongVault { .. }));
    row("an unknown issuer", whole(json!({ "issuer": seed(1) })), |e| matches!(e, TokenError::UnknownIssuer { .. }));
    row("signed by another than it names", forged(0, json!({ "signer": seed(1) })), |e| {
        matches!(e, TokenError::BadSignature { block: 0 })
    });
    row("a block signed by the issuer", forged(1, json!({ "signer": seed(1) })), |e| {
        matches!(e, TokenError::BadSignature { block: 1 })
    });
    row("no block", whole(json!({ "blocks": [], "forged": { "prover": seed(1) } })), |e| {
        matches!(e, TokenError::BlockCount { found: 0 })
    });
    let nine: Vec<Value> =
        std::iter::once(block(start, &everything(start))).chain((1..9).map(|_| block(start, &json!({})))).collect();
    row("9 blocks", Made::Order(clinic.issue(&nine)), |e| matches!(e, TokenError::BlockCount { found: 9 }));
    row("more blocks than it says", whole(json!({ "forged": { "n": 2 } })), |e| {
        matches!(e, TokenError::UnknownProof { found: 0 })
    });
    row("fewer blocks than it says", whole(json!({ "forged": { "n": 4 } })), |e| matches!(e, TokenError::WrongLength));

    row("a body of 25 bytes", forged(1, json!({ "fill": 25 })), |e| {
        matches!(e, TokenError::BodyLength { block: 1, found: 25 })
    });
    row("a body of 1,025 bytes", forged(1, json!({ "fill": 1_025 })), |e| {
        matches!(e, TokenError::BodyLength { block: 1, found: 1_025 })
    });
    row("a body said to have 65,535 bytes", forged(0, json!({ "length": 65_535 })), |e| {
        matches!(e, TokenError::BodyLength { block: 0, found: 65_535 })
    });
    row("a body of 0 bytes", forged(2, json!({ "fill": 0 })), |e| {
        matches!(e, TokenError::BodyLength { block: 2, found: 0 })
    });
    row("a grant behind a grant", forged(1, json!({ "kind": 0 })), |e| {
        matches!(e, TokenError::BlockKind { block: 1, found: 0 })
    });
    row("a narrowing first", forged(0, json!({ "kind": 1 })), |e| {
        matches!(e, TokenError::BlockKind { block: 0, found: 1 })
    });
    row("an unknown kind of block", forged(2, json!({ "kind": 2 })), |e| {
        matches!(e, TokenError::BlockKind { block: 2, found: 2 })
    });
    row("25 items", forged(0, json!({ "n_items": 25 })), |e| {
        matches!(e, TokenError::ItemCount { block: 0, found: 25 })
    });
    row("more items than it says", forged(0, json!({ "n_items": 7 })), |e| matches!(e, TokenError::WrongLength));
    row("fewer items than it says", forged(0, json!({ "n_items": 9 })), |e| matches!(e, TokenError::WrongLength));
    row("bytes behind the items", forged(1, json!({ "more": "00" })), |e| matches!(e, TokenError::WrongLength));

    for tag in ["00", "03", "0f", "1f", "ff"] {
        row(&format!("item {tag}"), value(1, tag, json!("")), |e| {
            matches!(e, TokenError::UnknownItem { block: 1, .. })
        });
    }
    row("tags out of order", forged(0, json!({ "tags": ["01", "11", "13", "12", "14", "15", "16", "18"] })), |e| {
        matches!(e, TokenError::ItemOrder { block: 0, caveat: Caveat::Actions })
    });
    let twice = json!({ "values": { "12": "00000001" }, "tags": ["12", "12"] });
    row("a tag twice", forged(1, twice), |e| matches!(e, TokenError::ItemOrder { block: 1, caveat: Caveat::Actions }));
    for (tag, right) in MISPLACED {
        let content = if tag == "01" { seed(1)[..32].to_owned() } else { format!("01{}00000001", &seed(1)[..32]) };
        row(&format!("item {tag} in a narrowing"), value(1, tag, json!(content)), right);
    }
    for (tag, right) in MISSING {
        row(&format!("a grant without item {tag}"), value(0, tag, Value::Null), right);
    }
    for (name, tag, content, right) in bad_items() {
        let at = usize::from(tag != "01" && tag != "02");
        row(name, value(at, tag, json!(content)), right);
    }

    for block in 0..3 {
        let right: Right = [
            |e: &TokenError| matches!(e, TokenError::BadSignature { block: 0 }),
            |e: &TokenError| matches!(e, TokenError::BadSignature { block: 1 }),
            |e: &TokenError| matches!(e, TokenError::BadSignature { block: 2 }),
        ][block];
        for (part, from_end) in
            [("body", 100), ("next_pub", 80), ("R of the signature", 64), ("S of the signature", 20)]
        {
            let flip = move |cut: &[Cut; 2]| {
                let mut blocks = cut[0].blocks.clone();
                let at = blocks[block].len() - from_end;
                // In a body: in its nonce.
                blocks[block][if part == "body" { 5 } else { at }] ^= 4;
                let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
                cut[0].joined(&blocks, &cut[0].proof)
            };
            row(&format!("block {block}: {part} flipped"), Made::Changed(Box::new(flip)), right);
        }
        row(
            &format!("block {block}: S with the order of the group added"),
            forged(block, json!({ "times": 1 })),
            right,
        );
    }
    row("two blocks swapped", changed(|t, _| t.joined(&[&t.blocks[0], &t.blocks[2], &t.blocks[1]], &t.proof)), |e| {
        matches!(e, TokenError::BadSignature { block: 1 })
    });
    row("a block dropped", changed(|t, _| t.joined(&[&t.blocks[0], &t.blocks[2]], &t.proof)), |e| {
        matches!(e, TokenError::BadSignature { block: 1 })
    });
    row("the grant dropped", changed(|t, _| t.joined(&[&t.blocks[1], &t.blocks[2]], &t.proof)), |e| {
        matches!(e, TokenError::BlockKind { block: 0, found: 1 })
    });
    row("the last block dropped", changed(|t, _| t.joined(&[&t.blocks[0], &t.blocks[1]], &t.proof)), |e| {
        matches!(e, TokenError::BadProof)
    });
    row("a block twice", changed(|t, _| t.joined(&[&t.blocks[0], &t.blocks[1], &t.blocks[1]], &t.proof)), |e| {
        matches!(e, TokenError::BadSignature { block: 2 })
    });
    row(
        "a block of another token",
        changed(|t, u| t.joined(&[&t.blocks[0], &t.blocks[1], &u.blocks[2]], &t.proof)),
        |e| matches!(e, TokenError::BadSignature { block: 2 }),
    );
    row(
        "the grant of another token",
        changed(|t, u| t.joined(&[&u.blocks[0], &t.blocks[1], &t.blocks[2]], &t.proof)),
        |e| matches!(e, TokenError::BadSignature { block: 1 }),
    );
    let mut anybody = plain();
    anybody[0] = with(anybody[0].clone(), json!({ "forged": { "next_pub": NEUTRAL } }));
    anybody[1] = with(anybody[1].clone(), json!({ "forged": { "sig": FITS_NEUTRAL } }));
    row("a key of small order, and a block that anybody signed", Made::Order(clinic.issue(&anybody)), |e| {
        matches!(e, TokenError::BadSignature { block: 1 })
    });
    let sealed = json!({ "proof": "sealed", "forged": { "proof": FITS_NEUTRAL } });
    row("a key of small order, and anybody's seal", Made::Order(with(clinic.issue(&anybody[..1]), sealed)), |e| {
        matches!(e, TokenError::BadProof)
    });

    row("the seed of another", whole(json!({ "forged": { "prover": seed(1) } })), |e| {
        matches!(e, TokenError::BadProof)
    });
    row("the seal of another", whole(json!({ "proof": "sealed", "forged": { "prover": seed(1) } })), |e| {
        matches!(e, TokenError::BadProof)
    });
    for kind in [0, 4, 255] {
        row(&format!("proof kind {kind}"), whole(json!({ "forged": { "proof_kind": kind } })), |e| {
            matches!(e, TokenError::UnknownProof { .. })
        });
    }
    for kind in [2, 3] {
        row(
            &format!("a seed said to be of proof kind {kind}"),
            whole(json!({ "forged": { "proof_kind": kind } })),
            |e| matches!(e, TokenError::WrongLength),
        );
    }
    row("a byte behind the proof", whole(json!({ "forged": { "more": "00" } })), |e| {
        matches!(e, TokenError::WrongLength)
    });
    row("a proof cut", changed(|t, _| t.joined(&[&t.blocks[0]], &t.proof[..32])), |e| {
        matches!(e, TokenError::WrongLength)
    });
    row("nothing", changed(|_, _| text_of(&[])), |e| matches!(e, TokenError::NotCvt1));
    row("padding characters", changed(|t, _| format!("{}=", t.text)), |e| matches!(e, TokenError::NotText));
    row("white space behind it", changed(|t, _| format!("{}\n", t.text)), |e| matches!(e, TokenError::NotText));
    row("another prefix", changed(|t, _| t.text.replacen("cvt1_", "CVT1_", 1)), |e| matches!(e, TokenError::NotText));
    row("characters of base64, not base64url", changed(|t, _| format!("{}+/", &t.text[..t.text.len() - 2])), |e| {
        matches!(e, TokenError::NotText)
    });
    row("unused bits that are not zero", changed(|t, _| unused_bits(t)), |e| matches!(e, TokenError::NotText));

    row("made in the future", Made::Order(clinic.issue(&[block(start + 121, &everything(start))])), |e| {
        matches!(e, TokenError::NotYetValid { block: 0, .. })
    });
    let year = with(everything(start), json!({ "not_after": start + 366 * 86_400 + 1 }));
    row("valid for more than a year", Made::Order(clinic.issue(&[block(start, &year)])), |e| {
        matches!(e, TokenError::LifetimeTooLong { .. })
    });
    rows
}

macro_rules! rights {
    ($variant:ident: $($tag:literal $caveat:ident),*) => {
        [$(($tag, |e| matches!(e, TokenError::$variant { caveat: Caveat::$caveat, .. }))),*]
    };
}

const MISPLACED: [(&str, Right); 2] = rights!(MisplacedItem: "01" Subject, "02" Roles);
const MISSING: [(&str, Right); 8] = rights!(MissingItem: "01" Subject, "11" NotAfter, "12" Actions, "13" Kinds,
    "14" Patients, "15" Purposes, "16" Sensitivity, "18" MaxDepth);

/// Values that no item has: what is wrong, tag, value in hexadecimal.
fn bad_items() -> Vec<(&'static str, &'static str, String, Right)> {
    let (a, b) = (&seed(0xA)[..32], &seed(0xB)[..32]);
    let many = |n: u8, rest: &str| (0..n).map(|at| format!("{at:02x}{}{rest}", &a[2..])).collect::<String>();
    macro_rules! bad {
        ($($name:literal, $tag:literal, $caveat:ident, $value:expr;)*) => {
            vec![$(($name, $tag, $value.to_string(), |e| {
                matches!(e, TokenError::BadItem { caveat: Caveat::$caveat, .. })
            })),*]
        };
    }
    bad! {
        "a subject of 15 bytes", "01", Subject, &a[2..];
        "no role", "02", Roles, "00";
        "9 roles", "02", Roles, format!("09{}", many(9, "00000001"));
        "a role at two revisions", "02", Roles, format!("02{a}00000001{a}00000002");
        "roles out of order", "02", Roles, format!("02{b}00000001{a}00000002");
        "a time of 7 bytes", "10", NotBefore, "00000000000000";
        "a time of 9 bytes", "11", NotAfter, "000000000000000001";
        "no action", "12", Actions, "00000000";
        "an unknown action", "12", Actions, "00000801";
        "actions in 3 bytes", "12", Actions, "000001";
        "kinds neither all nor listed", "13", Kinds, "02";
        "all kinds, and one more", "13", Kinds, format!("0001{a}");
        "an empty list of kinds", "13", Kinds, "0100";
        "kinds out of order", "13", Kinds, format!("0102{b}{a}");
        "a kind twice", "13", Kinds, format!("0102{a}{a}");
        "33 kinds", "13", Kinds, format!("0121{}", many(33, ""));
        "fewer kinds than counted", "13", Kinds, format!("0102{a}");
        "more kinds than counted", "13", Kinds, format!("0101{a}{b}");
        "an empty list of patients", "14", Patients, "0100";
        "a patient twice", "14", Patients, format!("0102{a}{a}");
        "patients out of order", "14", Patients, format!("0102{b}{a}");
        "no purpose", "15", Purposes, "00000000";
        "an unknown purpose", "15", Purposes, "00001000";
        "an unknown sensitivity", "16", Sensitivity, "06";
        "no use at all", "17", MaxUses, "00000000";
        "a depth of 8", "18", MaxDepth, "08";
        "a sign-in of 4 bytes", "19", Mfa, "01000000";
        "a device of 31 bytes", "1a", Device, &seed(1)[2..];
        "a session without idle time", "1b", Session, "000000000000003c";
        "a session of no length", "1b", Session, "0000003c00000000";
        "an empty list of attestations", "1c", Attestations, "00";
        "an attestation at two ages", "1c", Attestations, format!("02{a}00010000003c{a}00010000003d");
        "5 attestations", "1c", Attestations, format!("05{}", many(5, "00010000003c"));
        "an empty list of facilities", "1d", Facility, "00";
        "17 facilities", "1d", Facility, format!("11{}", many(17, ""));
        "facilities out of order", "1d", Facility, format!("02{b}{a}");
        "an emergency without actions", "1e", Emergency, "000000000400000384";
        "an emergency of an unknown sensitivity", "1e", Emergency, "000000010600000384";
        "an emergency of no length", "1e", Emergency, "000000010400000000";
    }
}

/// A text whose last character stands for bits that no byte has.
fn unused_bits(token: &Cut) -> String {
    assert_ne!(bytes_of(&token.text).len() % 3, 0, "all bits of the last character are used");
    let (rest, last) = token.text.split_at(token.text.len() - 1);
    let next = DIGITS.iter().position(|digit| *digit == last.as_bytes()[0]).unwrap() + 1;
    format!("{rest}{}", char::from(DIGITS[next]))
}

fn answer(clinic: &Clinic, text: &str) -> Result<(), TokenError> {
    match clinic.vault.session(&UnverifiedToken::from_text(text)?, Purpose::Treatment) {
        Ok(_) => Ok(()),
        Err(Error::Token(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn what_is_wrong_with_a_token_of_another_issuer_is_named() {
    if !can_run() {
        return;
    }
    let clinic = Clinic::new();
    let rows = rows(&clinic);
    let good = |other: Value| {
        let later = [1, 2].map(|at| keyed(clinic.start, at, &json!({})));
        clinic.issue(&[&[keyed(clinic.start, 0, &with(everything(clinic.start), other))][..], &later].concat())
    };
    let goods = [good(json!({})), good(json!({ "kinds": ["note"] }))];
    let made = rows
        .iter()
        .filter_map(|Row(_, made, _)| if let Made::Order(order) = made { Some(order.clone()) } else { None });
    let texts = run(&goods.into_iter().chain(made).collect::<Vec<_>>());
    let good = [Cut::new(&texts[0]), Cut::new(&texts[1])];
    for token in &good {
        assert_eq!(answer(&clinic, &token.text), Ok(()));
        let blocks: Vec<&[u8]> = token.blocks.iter().map(Vec::as_slice).collect();
        assert_eq!(token.joined(&blocks, &token.proof), token.text, "put together as it was taken apart");
    }
    let mut forged = texts[2..].iter();
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for Row(name, made, right) in &rows {
        assert!(seen.insert(name), "{name} stands twice");
        let text = match made {
            Made::Order(_) => forged.next().unwrap().clone(),
            Made::Changed(change) => change(&good),
        };
        match answer(&clinic, &text) {
            Err(error) if right(&error) => {}
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() > 100, "{}", rows.len());
}

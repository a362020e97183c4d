use super::*;
use crate::committer::Changes;
use crate::format::keys::Tree;
use zeroize::Zeroizing;

const KEPT: bool = true;

fn key(chart: u8, number: u64, version: u32) -> RecordKey {
    RecordKey { patient_tag: [chart; 16], kind_tag: [9; 8], number, version }
}

fn body(key: RecordKey, len: usize) -> Arc<OpenedBody> {
    Arc::new(OpenedBody::new(key, Zeroizing::new(vec![7; len])))
}

fn name(key: RecordKey) -> Name {
    body(key, 0).name()
}

/// Two stamps of the same chart.
fn stamps() -> [Stamp; 2] {
    let changes = Changes::default();
    let before = changes.stamp(&[1; 16]);
    changes.count(Tree::Records, &[1; 36]);
    [before, changes.stamp(&[1; 16])]
}

fn has(bodies: &Bodies, key: RecordKey) -> bool {
    bodies.version(&key, None).is_some()
}

#[test]
fn the_newest_is_known_as_such_only_at_its_stamp() {
    let (bodies, [then, now]) = (Bodies::new(1 << 20), stamps());
    let (first, second) = (key(1, 1, 1), key(1, 1, 2));
    assert!(bodies.newest(&name(first), then).is_none());
    bodies.keep(&body(first, 10), then, || KEPT);
    let newest = |at| bodies.newest(&name(first), at).map(|(body, newest)| (body.key.version, newest));
    assert_eq!((newest(then), newest(now)), (Some((1, true)), Some((1, false))));
    assert!(!has(&bodies, second));
    // Looked up, and found to be the newest still.
    assert!(bodies.version(&first, Some(now)).is_some());
    assert_eq!((newest(then), newest(now)), (Some((1, false)), Some((1, true))));
    bodies.keep(&body(second, 10), now, || KEPT);
    assert_eq!(newest(now), Some((2, true)));
    assert!(!has(&bodies, first), "of each record one version is kept");
    assert_eq!(bodies.held().0, 1);
}

#[test]
fn a_chart_that_changed_meanwhile_is_not_kept() {
    let (bodies, [then, _]) = (Bodies::new(1 << 20), stamps());
    bodies.keep(&body(key(1, 1, 1), 10), then, || false);
    assert_eq!(bodies.held(), (0, 0));
}

#[test]
fn what_is_held_stays_within_its_bytes_and_what_is_used_stays_longest() {
    let bound = 64 << 10;
    let (bodies, [at, _]) = (Bodies::new(bound), stamps());
    let used = key(1, 1, 1);
    bodies.keep(&body(used, 500), at, || KEPT);
    for number in 2..2_000 {
        bodies.keep(&body(key(1, number, 1), 300 + usize::try_from(number % 300).unwrap()), at, || KEPT);
        assert!(has(&bodies, used), "{number} pushed out what is used all the time");
        let (count, bytes) = bodies.held();
        let most = usize::try_from(bound).unwrap();
        assert!(bytes <= most, "{bytes}");
        let really: usize = bodies
            .shards
            .iter()
            .flat_map(|shard| locked(shard).slots.values().map(|slot| slot.body.cost()).collect::<Vec<_>>())
            .sum();
        assert_eq!(bytes, really);
        let ring: usize = bodies.shards.iter().map(|shard| locked(shard).ring.len()).sum();
        assert_eq!(ring, count);
    }
    assert!(bodies.held().0 > 60);
    assert!(!has(&bodies, key(1, 2, 1)), "what nobody used went first");
}

#[test]
fn what_goes_is_dropped_and_thereby_wiped() {
    let (bodies, [at, _]) = (Bodies::new(1 << 20), stamps());
    let kept = |key| {
        let body = body(key, 10);
        bodies.keep(&body, at, || KEPT);
        Arc::downgrade(&body)
    };
    let (own, other) = (kept(key(1, 1, 1)), kept(key(2, 1, 1)));
    let replaced = own.clone();
    kept(key(1, 1, 2));
    assert!(replaced.upgrade().is_none());
    let own = kept(key(1, 2, 1));
    bodies.forget(&[1; 16]);
    assert!(own.upgrade().is_none() && other.upgrade().is_some());
    assert_eq!(bodies.held(), (1, body(key(2, 1, 1), 10).cost()));
    bodies.clear();
    assert!(other.upgrade().is_none());
    assert_eq!(bodies.held(), (0, 0));
}

#[test]
fn too_large_a_body_and_a_cache_of_nothing_keep_nothing() {
    let at = stamps()[0];
    let bodies = Bodies::new(8 * 2_000);
    bodies.keep(&body(key(1, 1, 1), 1_000 - EACH), at, || KEPT);
    bodies.keep(&body(key(1, 2, 1), 1_001 - EACH), at, || KEPT);
    assert!(has(&bodies, key(1, 1, 1)) && !has(&bodies, key(1, 2, 1)));
    let none = Bodies::new(0);
    none.keep(&body(key(1, 1, 1), 0), at, || KEPT);
    assert_eq!(none.held(), (0, 0));
}

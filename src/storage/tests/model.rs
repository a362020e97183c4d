//! Random histories, compared with a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Key, length of the value (none: delete), and length of an entry.
    Commit(Vec<(u8, Option<u16>)>, Option<u16>),
    /// At so many percent of the entries that are kept, with one entry.
    Cut(u8),
    Checkpoint,
    Compact,
    Rebuild,
    Close,
    Crash,
    Scan(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let value = proptest::option::weighted(0.8, prop_oneof![4 => 0..200u16, 1 => 3900..9000u16]);
    let writes = proptest::collection::btree_map(0..12u8, value, 0..4);
    let entry = proptest::option::of(prop_oneof![4 => 1..400u16, 1 => 4000..6000u16]);
    prop_oneof![
        12 => (writes, entry).prop_map(|(writes, entry)| Step::Commit(writes.into_iter().collect(), entry)),
        2 => (0..=100u8).prop_map(Step::Cut),
        1 => Just(Step::Checkpoint),
        2 => Just(Step::Compact),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Close),
        2 => Just(Step::Crash),
        2 => (0..12u8, 0..12u8).prop_map(|(after, limit)| Step::Scan(after, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn storage_is_a_map_that_survives(steps in proptest::collection::vec(step(), 1..60)) {
        work(OnDisk::default(), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn storage_in_memory_is_the_same_map(steps in proptest::collection::vec(step(), 1..60)) {
        work(InMemory::default(), steps);
    }
}

fn work(mut place: impl Place, steps: Vec<Step>) {
    let mut storage = place.create();
    let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut first = 0;
    for (number, step) in (0u8..).zip(steps) {
        match step {
            Step::Commit(writes, len) => {
                // The last byte tells apart the many values of the same length.
                let value = |len: u16| vec![number; usize::from(len)];
                let writes: Vec<(Vec<u8>, Option<Vec<u8>>)> =
                    writes.iter().map(|(key, len)| (vec![key % 3, *key], len.map(value))).collect();
                let borrowed: Vec<(&[u8], Option<&[u8]>)> =
                    writes.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
                let new: Vec<_> = len.into_iter().map(value).collect();
                put(&*storage, &borrowed, new.iter().map(|bytes| entry(bytes, &[1])).collect());
                entries.extend(new);
                for (key, value) in writes {
                    match value {
                        Some(value) => rows.insert(key, value),
                        None => rows.remove(&key),
                    };
                }
            }
            Step::Cut(percent) => {
                first += (entries.len() - first) * usize::from(percent) / 100;
                cut(&*storage, first as u64, entry(&[number; 30], &[1]));
                entries.push(vec![number; 30]);
            }
            Step::Checkpoint => storage.checkpoint().unwrap(),
            Step::Compact => {
                if number % 2 == 0 {
                    storage.close_segment().unwrap();
                }
                storage.compact(&mut |_| (), &|| true).unwrap();
                storage.remove_compacted(u64::MAX).unwrap();
            }
            Step::Rebuild => {
                let (reopened, opened) = place.lose_trees(storage);
                assert!(!opened.clean && opened.torn.is_none());
                storage = reopened;
            }
            Step::Close => {
                storage.close().unwrap();
                drop(storage);
                let (reopened, opened) = place.reopen();
                assert!(opened.clean && opened.replayed_frames == 0 && opened.rebuilt.is_none());
                storage = reopened;
            }
            Step::Crash => {
                let (reopened, opened) = place.crash(storage);
                assert!(!opened.clean && opened.torn.is_none());
                storage = reopened;
            }
            Step::Scan(after, limit) => {
                let after = [after % 3, after];
                let scan = Scan { prefix: b"", after: Some(&after), limit: usize::from(limit) };
                let found = storage.scan(Tree::Records, scan).unwrap();
                let expected: Vec<(Vec<u8>, Bytes)> = rows
                    .range(after.to_vec()..)
                    .filter(|(key, _)| **key != after)
                    .take(usize::from(limit))
                    .map(|(key, value)| (key.clone(), Bytes::from(&value[..])))
                    .collect();
                assert_eq!(found, expected);
            }
        }
        assert_eq!(all(&*storage), rows.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(storage.first_entry(), first as u64);
        let found = storage.entries(first as u64, usize::MAX).unwrap();
        assert!(found.iter().map(|(number, _)| *number).eq(first as u64..entries.len() as u64));
        assert!(found.iter().map(|(_, entry)| &entry[..]).eq(entries[first..].iter().map(|entry| &entry[..])));
        if let Some(before) = first.checked_sub(1) {
            let pruned = storage.entries(before as u64, 1);
            assert!(matches!(pruned, Err(StorageError::Pruned { first: at }) if at == first as u64));
        }
        assert_eq!(storage.tally(&[1; 16]), entries.len() as u64);
        assert_eq!(storage.last_entry().map(|entry| entry.to_vec()), entries.last().cloned());
    }
}
